//! Messages and attributes of netlink(7) in bytes: `struct nlmsghdr`, `struct nlattr`.
//!
//! The state of a net is kept in these words, the answers to questions are made of them, and the
//! shim reads them in the middle of a program's call, so reading allocates nothing. The crates of
//! the field for rtnetlink are not used: they know neither the place of an attribute in its message
//! (which an extended acknowledgement names), nor attributes that are too short, nor short headers,
//! and they allocate for each attribute that they read.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length in bytes of `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// Length in bytes of `struct nlattr`.
pub const ATTRIBUTE: usize = 4;
/// What is longer in bytes than this is put into several attributes of the state's file: the length
/// of one has 16 bits, and what stands last may go beyond this.
pub const LONG: usize = 60_000;
/// Bit of an attribute's type that says that it holds attributes (NLA_F_NESTED).
pub const NESTED: u16 = 1 << 15;
/// The bits of an attribute's type that are its number (NLA_TYPE_MASK).
pub const TYPE: u16 = 0x3fff;

/// Rounds a length up to that of whole words of 4 bytes (NLMSG_ALIGN).
pub const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// One message: its header, and the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// What it is (RTM_* or NLMSG_*).
    pub kind: u16,
    /// NLM_F_* flags.
    pub flags: u16,
    /// Number that the asker gave it.
    pub sequence: u32,
    /// Port of the asker.
    pub port: u32,
    /// The bytes behind the header.
    pub body: &'b [u8],
    /// The whole message with its header.
    pub bytes: &'b [u8],
}

impl Message<'_> {
    /// Does it ask for a list (both flags of NLM_F_DUMP)?
    pub fn is_list(&self) -> bool {
        i32::from(self.flags) & libc::NLM_F_DUMP == libc::NLM_F_DUMP
    }
}

/// The messages in a buffer, one after another. Iteration ends before the first message whose
/// header or length is impossible, as the kernel's does (NLMSG_OK).
#[derive(Clone)]
pub struct Messages<'b>(pub &'b [u8]);

impl<'b> Iterator for Messages<'b> {
    type Item = Message<'b>;
    fn next(&mut self) -> Option<Message<'b>> {
        let length = u32_at(self.0, 0)? as usize;
        if length < HEADER {
            return None;
        }
        let bytes = self.0.get(..length)?;
        let message = Message {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            port: u32_at(bytes, 12)?,
            body: &bytes[HEADER..],
            bytes,
        };
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some(message)
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'b> {
    /// Its number, without the flags.
    pub kind: u16,
    /// Does its type say that it holds attributes?
    pub nested: bool,
    /// Its value.
    pub value: &'b [u8],
    /// Where it begins in the bytes that were read.
    pub at: usize,
}

impl<'b> Attribute<'b> {
    /// Returns the value as a number of 1 byte; None when it is shorter.
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }
    /// Returns the value as a number of 2 bytes; None when it is shorter.
    pub fn u16(&self) -> Option<u16> {
        u16_at(self.value, 0)
    }
    /// Returns the value as a number of 4 bytes; None when it is shorter.
    pub fn u32(&self) -> Option<u32> {
        u32_at(self.value, 0)
    }
    /// Returns the value as a number of 8 bytes; None when it is shorter.
    pub fn u64(&self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.value.get(..8)?.try_into().ok()?))
    }
    /// Returns the value up to its first NUL.
    pub fn string(&self) -> &'b [u8] {
        let end = self.value.iter().position(|b| *b == 0);
        &self.value[..end.unwrap_or(self.value.len())]
    }
    /// Returns the value as an IPv4 address of 4 bytes or an IPv6 address of 16; None for any
    /// other length.
    pub fn ip(&self) -> Option<IpAddr> {
        ip_of(self.value)
    }
    /// Returns the attributes in the value.
    pub fn attributes(&self) -> Attributes<'b> {
        Attributes::new(self.value)
    }
}

/// The attributes in a buffer. Iteration ends before the first whose length is impossible
/// (`nla_ok`).
#[derive(Clone)]
pub struct Attributes<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Attributes<'b> {
    /// Reads attributes from the beginning of `bytes`.
    pub fn new(bytes: &'b [u8]) -> Attributes<'b> {
        Attributes { bytes, at: 0 }
    }

    /// Reads the attributes behind a message's own header of `header` bytes, such as `struct
    /// ifaddrmsg`. There are none when the message is shorter.
    pub fn behind(body: &'b [u8], header: usize) -> Attributes<'b> {
        Attributes {
            bytes: body,
            at: align(header),
        }
    }

    /// Reads the attributes that lie from `from` to `to` in the bytes. Their places are counted
    /// from the beginning of the bytes. There are none where the places are impossible.
    pub fn between(bytes: &'b [u8], from: usize, to: usize) -> Attributes<'b> {
        Attributes {
            bytes: bytes.get(..to).unwrap_or(&[]),
            at: from,
        }
    }

    /// Returns the last attribute of this number, as `nla_parse` does.
    pub fn get(&self, kind: u16) -> Option<Attribute<'b>> {
        self.each(kind).last()
    }

    /// Returns all attributes of this number.
    pub fn each(&self, kind: u16) -> impl Iterator<Item = Attribute<'b>> {
        self.clone().filter(move |a| a.kind == kind)
    }

    /// Returns how many bytes are left that are no attribute.
    pub fn rest(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }
}

impl<'b> Iterator for Attributes<'b> {
    type Item = Attribute<'b>;
    fn next(&mut self) -> Option<Attribute<'b>> {
        let length = usize::from(u16_at(self.bytes, self.at)?);
        let kind = u16_at(self.bytes, self.at + 2)?;
        if length < ATTRIBUTE {
            return None;
        }
        let value = self.bytes.get(self.at + ATTRIBUTE..self.at + length)?;
        let attribute = Attribute {
            kind: kind & TYPE,
            nested: kind & NESTED != 0,
            value,
            at: self.at,
        };
        self.at = align(self.at + length);
        Some(attribute)
    }
}

/// Makes messages, one after another.
#[derive(Default, Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Where the message begins that is being made.
    begin: usize,
}

/// An attribute that is being filled with attributes.
#[must_use]
pub struct Open(usize);

impl Writer {
    /// Begins a message. The one before is complete with this.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, port: u32) -> &mut Self {
        self.begin = self.bytes.len();
        self.bytes.extend((HEADER as u32).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        self.bytes.extend(port.to_ne_bytes());
        self
    }

    /// Appends bytes to the message as they are, padded to whole words: its own header, such as
    /// `struct ifaddrmsg`.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.close()
    }

    /// Appends an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (ATTRIBUTE + value.len()) as u16;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.close()
    }

    /// Appends an attribute with a number of 1 byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attribute(kind, &[value])
    }
    /// Appends an attribute with a number of 2 bytes.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }
    /// Appends an attribute with a number of 4 bytes.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }
    /// Appends an attribute with a number of 8 bytes.
    pub fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }
    /// Appends an attribute with a string and the NUL behind it.
    pub fn string(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let mut bytes = value.to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }
    /// Appends an attribute with an address.
    pub fn ip(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(a) => self.attribute(kind, &a.octets()),
            IpAddr::V6(a) => self.attribute(kind, &a.octets()),
        }
    }

    /// Begins an attribute that holds attributes; [`Writer::end`] ends it. `kind` has the flag
    /// [`NESTED`] where the kernel sets it.
    pub fn begin(&mut self, kind: u16) -> Open {
        let at = self.bytes.len();
        self.attribute(kind, &[]);
        Open(at)
    }

    /// Ends an attribute that holds attributes.
    pub fn end(&mut self, open: Open) -> &mut Self {
        let length = (self.bytes.len() - open.0) as u16;
        self.bytes[open.0..open.0 + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Pads to whole words and notes the length of the message in its header.
    fn close(&mut self) -> &mut Self {
        self.bytes.resize(align(self.bytes.len()), 0);
        let length = (self.bytes.len() - self.begin) as u32;
        self.bytes[self.begin..self.begin + 4].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Length in bytes of all messages so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
    /// Is there no message yet?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
    /// Returns all messages so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// Returns all messages, and begins anew.
    pub fn take(&mut self) -> Vec<u8> {
        self.begin = 0;
        std::mem::take(&mut self.bytes)
    }
}

/// Reads a number of 2 bytes in the machine's order.
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// Reads a number of 4 bytes in the machine's order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// Makes an address of 4 or 16 bytes; None for any other number.
pub fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// Returns the family of an address: AF_INET or AF_INET6.
pub fn family_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// Returns the address with all bits behind the prefix of `length` bits zeroed.
pub fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32)));
            Ipv4Addr::from(u32::from(a) & mask.unwrap_or(0)).into()
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128)));
            Ipv6Addr::from(u128::from(a) & mask.unwrap_or(0)).into()
        }
    }
}
