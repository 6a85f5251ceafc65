//! Options of IPv4, read, filled in, sent and answered as net/ipv4/ip_options.c does.
#![forbid(unsafe_code)]

use crate::head::refresh_checksum;
use std::net::Ipv4Addr;

/// Most bytes of options that a header has.
pub const LONGEST: usize = 40;
/// Length in bytes of a header without options.
const HEADER: usize = 20;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;

/// What a timestamp option asks for, in the lower half of its fourth byte.
mod stamps {
    pub const ALONE: u8 = 0;
    pub const WITH_ADDRESS: u8 = 1;
    pub const OF_NAMED: u8 = 3;
}

/// Options whose lengths and pointers are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    bytes: [u8; LONGEST],
    length: usize,
    /// Where the option is that records a route, and that of timestamps.
    record: Option<usize>,
    stamp: Option<usize>,
    /// Where a source route is, and its first hop where a program has set it.
    route: Option<usize>,
    hop: Option<Ipv4Addr>,
    /// The address in front of the pointer of the recorded route, and the address and the time in
    /// front of that of the timestamps, are this host's.
    records: bool,
    names: bool,
    times: bool,
}

/// Whose options they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    /// Of a packet that has come to this address at this time.
    Packet(Ipv4Addr, u32),
    /// Of a socket.
    Socket,
}

/// Returns the milliseconds of the day at this time in nanoseconds since 1970, which is what a
/// timestamp says.
pub fn time_of_day(now: u64) -> u32 {
    (now / 1_000_000 % 86_400_000) as u32
}

impl Options {
    fn none() -> Options {
        Options {
            bytes: [END; LONGEST],
            length: 0,
            record: None,
            stamp: None,
            route: None,
            hop: None,
            records: false,
            names: false,
            times: false,
        }
    }

    /// Reads the options of a packet that has come to the address `own`, and fills in what they ask
    /// for. `now` is a [`time_of_day`]; `is_own` says whether an address is this host's.
    ///
    /// # Errors
    ///
    /// At which byte of the options they are wrong, and those in front of it.
    pub fn received(
        bytes: &[u8],
        own: Ipv4Addr,
        now: u32,
        is_own: &dyn Fn(Ipv4Addr) -> bool,
    ) -> Result<Options, (usize, Options)> {
        let mut options = Options::none();
        match options.read(bytes, Of::Packet(own, now), is_own) {
            Ok(()) => Ok(options),
            Err(at) => Err((at, options)),
        }
    }

    /// Reads the options that a program has set on a socket.
    ///
    /// # Errors
    ///
    /// At which byte they are wrong.
    pub fn set(bytes: &[u8], is_own: &dyn Fn(Ipv4Addr) -> bool) -> Result<Options, usize> {
        let mut options = Options::none();
        options.read(bytes, Of::Socket, is_own)?;
        Ok(options)
    }

    /// `__ip_options_compile`.
    fn read(
        &mut self,
        bytes: &[u8],
        of: Of,
        is_own: &dyn Fn(Ipv4Addr) -> bool,
    ) -> Result<(), usize> {
        let length = bytes.len().next_multiple_of(4);
        if length > LONGEST {
            return Err(LONGEST);
        }
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.length = length;
        let mut at = 0;
        while at < length {
            match self.bytes[at] {
                END => {
                    self.bytes[at..].fill(END);
                    break;
                }
                NO_OPERATION => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let size = usize::from(*self.bytes[..length].get(at + 1).ok_or(at)?);
            if size < 2 || at + size > length {
                return Err(at);
            }
            match self.bytes[at] {
                LOOSE_ROUTE | STRICT_ROUTE => self.read_route(at, size, of)?,
                RECORD_ROUTE => self.read_record(at, size, of)?,
                TIMESTAMP => self.read_stamp(at, size, of, is_own)?,
                _ => {}
            }
            at += size;
        }
        Ok(())
    }

    /// Returns the pointer of the option of `size` bytes at `at`, which is `first` at least.
    fn pointer(&self, at: usize, size: usize, first: usize) -> Result<usize, usize> {
        if size < first - 1 {
            return Err(at + 1);
        }
        let pointer = usize::from(self.bytes[at + 2]);
        match pointer < first {
            true => Err(at + 2),
            false => Ok(pointer),
        }
    }

    /// Moves a pointer on by this many bytes.
    fn move_on(&mut self, at: usize, by: usize) {
        self.bytes[at + 2] += by as u8;
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        let four = [0, 1, 2, 3].map(|i| self.bytes[at + i]);
        Ipv4Addr::from(four)
    }

    fn put(&mut self, at: usize, word: [u8; 4]) {
        if let Some(to) = self.bytes.get_mut(at..at + 4) {
            to.copy_from_slice(&word);
        }
    }

    fn read_route(&mut self, at: usize, size: usize, of: Of) -> Result<(), usize> {
        if self.route.is_some() {
            return Err(at);
        }
        let pointer = self.pointer(at, size, 4)?;
        if of == Of::Socket {
            if pointer != 4 || size < 7 || !(size - 3).is_multiple_of(4) {
                return Err(at + 1);
            }
            // The first hop is where the packet goes; its own place is the last one.
            self.hop = Some(self.address(at + 3));
            self.bytes.copy_within(at + 7..at + size, at + 3);
        }
        self.route = Some(at);
        Ok(())
    }

    fn read_record(&mut self, at: usize, size: usize, of: Of) -> Result<(), usize> {
        if self.record.is_some() {
            return Err(at);
        }
        let pointer = self.pointer(at, size, 4)?;
        if pointer <= size {
            if pointer + 3 > size {
                return Err(at + 2);
            }
            if let Of::Packet(own, _) = of {
                self.put(at + pointer - 1, own.octets());
            }
            self.move_on(at, 4);
            self.records = true;
        }
        self.record = Some(at);
        Ok(())
    }

    fn read_stamp(
        &mut self,
        at: usize,
        size: usize,
        of: Of,
        is_own: &dyn Fn(Ipv4Addr) -> bool,
    ) -> Result<(), usize> {
        if self.stamp.is_some() {
            return Err(at);
        }
        let pointer = self.pointer(at, size, 5)?;
        let kind = self.bytes[at + 3] & 15;
        if pointer <= size {
            let needs = if kind == stamps::ALONE { 3 } else { 7 };
            let known = matches!(
                kind,
                stamps::ALONE | stamps::WITH_ADDRESS | stamps::OF_NAMED
            );
            if pointer + 3 > size || known && pointer + needs > size {
                return Err(at + 2);
            }
            let time = |slot: usize| match of {
                Of::Packet(_, now) => Some((slot, now.to_be_bytes())),
                Of::Socket => None,
            };
            let slot = at + pointer - 1;
            let stamped = match kind {
                stamps::ALONE => {
                    self.move_on(at, 4);
                    time(slot)
                }
                stamps::WITH_ADDRESS => {
                    if let Of::Packet(own, _) = of {
                        self.put(slot, own.octets());
                    }
                    self.names = true;
                    self.move_on(at, 8);
                    time(slot + 4)
                }
                stamps::OF_NAMED if is_own(self.address(slot)) => {
                    self.move_on(at, 8);
                    time(slot + 4)
                }
                _ => {
                    self.stamp = Some(at);
                    return Ok(());
                }
            };
            self.times = true;
            if let Some((slot, time)) = stamped {
                self.put(slot, time);
            }
        } else if kind != stamps::OF_NAMED {
            let overflow = self.bytes[at + 3] >> 4;
            if overflow == 15 {
                return Err(at + 3);
            }
            if of != Of::Socket {
                self.bytes[at + 3] = kind | (overflow + 1) << 4;
            }
        }
        self.stamp = Some(at);
        Ok(())
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Is there a source route?
    pub fn is_routed(&self) -> bool {
        self.route.is_some()
    }

    /// Returns where a packet with these options of a socket goes first, if they say so.
    pub fn first_hop(&self) -> Option<Ipv4Addr> {
        self.hop
    }

    /// Returns those of an answer to a packet that came with these (`__ip_options_echo`). None
    /// where there is no room for what the answer has to say.
    pub fn echo(&self, is_own: &dyn Fn(Ipv4Addr) -> bool) -> Option<Options> {
        let mut echo = Options::none();
        let mut end = 0;
        if let Some(from) = self.record {
            let size = usize::from(self.bytes[from + 1]);
            let pointer = usize::from(self.bytes[from + 2]);
            echo.copy(self, from, size, end);
            echo.record = Some(end);
            if self.records && pointer <= size {
                if pointer + 3 > size {
                    return None;
                }
                echo.move_on(end, 4);
                echo.records = true;
            }
            end += size;
        }
        if let Some(from) = self.stamp {
            let size = usize::from(self.bytes[from + 1]);
            let mut pointer = usize::from(self.bytes[from + 2]);
            echo.copy(self, from, size, end);
            echo.stamp = Some(end);
            if pointer <= size {
                let room = |pointer: usize| (pointer + 3 <= size).then_some(());
                if self.names {
                    room(pointer)?;
                    echo.names = true;
                    pointer += 4;
                }
                if self.times {
                    room(pointer)?;
                    if self.bytes[from + 3] & 15 != stamps::OF_NAMED {
                        echo.times = true;
                        pointer += 4;
                    } else if pointer + 7 <= size && is_own(echo.address(end + pointer - 1)) {
                        echo.times = true;
                        pointer += 8;
                    }
                }
                echo.bytes[end + 2] = pointer as u8;
            }
            end += size;
        }
        echo.length = end.next_multiple_of(4);
        Some(echo)
    }

    fn copy(&mut self, from: &Options, at: usize, size: usize, to: usize) {
        self.bytes[to..to + size].copy_from_slice(&from.bytes[at..at + size]);
    }

    /// Writes in what this host says when a packet leaves it with this source address, for
    /// `to` at last (`ip_options_build`).
    pub fn fill(&mut self, source: Ipv4Addr, to: Ipv4Addr, now: u32) {
        if let (Some(at), Some(_)) = (self.route, self.hop) {
            let size = usize::from(self.bytes[at + 1]);
            self.put(at + size - 4, to.octets());
        }
        self.pass(source);
        if let Some(at) = self.stamp {
            let pointer = usize::from(self.bytes[at + 2]);
            if self.names {
                self.put(at + pointer - 9, source.octets());
            }
            if self.times {
                self.put(at + pointer - 5, now.to_be_bytes());
            }
        }
    }

    /// Writes in what a router says when it passes a packet on with this source address
    /// (`ip_forward_options`).
    pub fn pass(&mut self, source: Ipv4Addr) {
        if let (Some(at), true) = (self.record, self.records) {
            let pointer = usize::from(self.bytes[at + 2]);
            self.put(at + pointer - 5, source.octets());
        }
    }

    /// Returns them without what this host says of itself, as programs see them
    /// (`ip_options_undo`).
    pub fn undone(&self) -> Options {
        let mut undone = *self;
        if let (Some(at), Some(hop)) = (self.route, self.hop) {
            let size = usize::from(self.bytes[at + 1]);
            undone.bytes.copy_within(at + 3..at + size - 4, at + 7);
            undone.put(at + 3, hop.octets());
        }
        if let (Some(at), true) = (self.record, self.records) {
            undone.take_back(at);
        }
        if let Some(at) = self.stamp {
            if self.times {
                undone.take_back(at);
                if self.bytes[at + 3] & 15 == stamps::OF_NAMED {
                    undone.bytes[at + 2] -= 4;
                }
            }
            if self.names {
                undone.take_back(at);
            }
        }
        undone
    }

    /// Removes the last word in front of the pointer of an option.
    fn take_back(&mut self, at: usize) {
        self.bytes[at + 2] -= 4;
        let pointer = usize::from(self.bytes[at + 2]);
        self.put(at + pointer - 1, [0; 4]);
    }

    /// Puts them into a packet in place of as many bytes of options. The checksum of its header
    /// stays what it was, as where the kernel fills them in.
    pub fn replace(&self, packet: &mut [u8]) {
        if let Some(there) = packet.get_mut(HEADER..HEADER + self.length) {
            there.copy_from_slice(self.bytes());
        }
    }

    /// Puts them into the packet without options that the first `length` bytes of `room` are.
    /// Returns its length then; None where there is no room, or it is too long.
    pub fn put_into(&self, room: &mut [u8], length: usize) -> Option<usize> {
        let total = length + self.length;
        let whole = room.get_mut(..total).filter(|_| length >= HEADER)?;
        let told = u16::try_from(total).ok()?;
        whole.copy_within(HEADER..length, HEADER + self.length);
        whole[HEADER..HEADER + self.length].copy_from_slice(self.bytes());
        whole[0] = 0x40 | ((HEADER + self.length) / 4) as u8;
        whole[2..4].copy_from_slice(&told.to_be_bytes());
        refresh_checksum(whole);
        Some(total)
    }

    /// Returns a packet without options with these in it. None when it is too long then.
    pub fn insert(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut whole = vec![0; packet.len() + self.length];
        whole[..packet.len()].copy_from_slice(packet);
        self.put_into(&mut whole, packet.len())?;
        Some(whole)
    }
}
