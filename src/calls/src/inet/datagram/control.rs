//! Control messages that a program sends with a datagram (`struct cmsghdr`).
#![forbid(unsafe_code)]

use super::local::Given;
use crate::ancillary::HEAD;
use crate::memory::Memory;
use memtun_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: i32 = 103;
/// Bytes of control messages that are looked at.
const MOST: usize = 1024;
/// Bytes of the data of a message that are looked at.
const LONGEST: usize = 28;

/// One control message.
struct Message {
    level: i32,
    kind: i32,
    /// The beginning of its data.
    data: [u8; LONGEST],
    /// How much of the data there is.
    length: usize,
}

impl Message {
    fn int(&self) -> Option<i32> {
        let data = self.data;
        (self.length >= 4).then(|| i32::from_ne_bytes([data[0], data[1], data[2], data[3]]))
    }
    fn v4(&self, at: usize) -> Ipv4Addr {
        let data = &self.data[at..];
        Ipv4Addr::new(data[0], data[1], data[2], data[3])
    }
    fn v6(&self) -> Ipv6Addr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.data[..16]);
        Ipv6Addr::from(octets)
    }
    fn word(&self, at: usize) -> u32 {
        let data = &self.data[at..];
        u32::from_ne_bytes([data[0], data[1], data[2], data[3]])
    }
}

/// Calls `each` with the messages of `length` bytes at `at`, as the kernel finds them.
///
/// # Errors
///
/// - EFAULT where they cannot be read.
/// - EINVAL for a message of a wrong length, and what `each` returns.
fn each(
    memory: &impl Memory,
    at: usize,
    length: usize,
    mut each: impl FnMut(&Message) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (mut done, length) = (0, length.min(MOST));
    while done + HEAD <= length {
        let mut head = [0; HEAD];
        memory.read(at + done, &mut head)?;
        let int =
            |at: usize| i32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let whole = int(0) as u32 as usize | (int(4) as u32 as usize) << 32;
        if whole < HEAD || whole > length - done {
            return Err(Errno(libc::EINVAL));
        }
        let mut message = Message {
            level: int(8),
            kind: int(12),
            data: [0; LONGEST],
            length: whole - HEAD,
        };
        let some = message.length.min(LONGEST);
        memory.read(at + done + HEAD, &mut message.data[..some])?;
        each(&message)?;
        done += whole.next_multiple_of(8);
    }
    Ok(())
}

/// Reads what the program says with a datagram. None where there is something that only the
/// machine's kernel can say.
///
/// # Errors
///
/// - EFAULT where the messages cannot be read.
/// - EINVAL for a wrong one.
pub fn given(memory: &impl Memory, at: usize, length: usize) -> Result<Given, Errno> {
    let mut given = Given::default();
    let wrong = Errno(libc::EINVAL);
    each(memory, at, length, |message| {
        let byte = || {
            message
                .int()
                .or_else(|| (message.length == 1).then(|| message.data[0].into()))
        };
        match (message.level, message.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if message.length >= 12 => {
                given.out = message.word(0);
                let source = message.v4(4);
                given.source = (!source.is_unspecified()).then_some(source.into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if message.length >= 20 => {
                given.out = message.word(16);
                let source = message.v6();
                let source = IpAddr::V6(source).to_canonical();
                given.source = (!source.is_unspecified()).then_some(source);
            }
            (libc::IPPROTO_IP, libc::IP_TTL) => {
                let hops = message.int().filter(|hops| (1..=255).contains(hops));
                given.hops = Some(hops.ok_or(wrong)? as u8);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                let hops = message.int().filter(|hops| (-1..=255).contains(hops));
                given.hops = u8::try_from(hops.ok_or(wrong)?).ok();
            }
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                let class = byte().filter(|class| (-1..=255).contains(class));
                given.class = u8::try_from(class.ok_or(wrong)?).ok();
            }
            (libc::IPPROTO_UDP, UDP_SEGMENT) if message.length == 2 => {
                given.segment = Some(u16::from_ne_bytes([message.data[0], message.data[1]]));
            }
            (libc::IPPROTO_UDP, UDP_SEGMENT) => return Err(wrong),
            _ => {}
        }
        Ok(())
    })?;
    Ok(given)
}
