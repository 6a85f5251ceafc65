//! Control messages that a program sends with a datagram (`struct cmsghdr`).
#![forbid(unsafe_code)]

use super::local::Given;
use crate::ancillary::HEAD;
use crate::memory::Memory;
use memtun_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: i32 = 103;
/// IP_PROTOCOL of linux/in.h.
const IP_PROTOCOL: i32 = 52;
/// Messages of SOL_SOCKET that the kernel takes with a datagram, as numbers of
/// asm-generic/socket.h: SO_PRIORITY, SO_MARK, SO_TIMESTAMPING (old and new), SCM_TXTIME,
/// SCM_TS_OPT_ID, and what only sockets of AF_UNIX look at.
const OF_SOCKET: [i32; 8] = [
    libc::SCM_RIGHTS,
    libc::SCM_CREDENTIALS,
    12,
    36,
    37,
    61,
    65,
    81,
];
/// Those of IPv6 that are not looked at here: IPV6_FLOWINFO, headers (IPV6_HOPOPTS,
/// IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS) by these and by older names, IPV6_DONTFRAG.
const OF_V6: [i32; 9] = [3, 4, 5, 11, 54, 55, 57, 59, 62];
/// IPV6_2292PKTINFO and IPV6_2292HOPLIMIT of linux/in6.h.
const OLD_PKTINFO: i32 = 2;
const OLD_HOPLIMIT: i32 = 8;
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

/// Whose rules hold for what a program says: those of the protocol that carries the datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// IPv4 (`ip_cmsg_send`), by a socket of IPv4.
    V4,
    /// IPv4, by a socket of IPv6, which may name a mapped source as well.
    Mapped,
    /// IPv6 (`ip6_datagram_send_ctl`).
    V6,
}

impl Rules {
    /// Returns the rules for a socket that is one of IPv6 or not, and an address to which it sends.
    pub fn of(is_v6: bool, to: Option<IpAddr>) -> Rules {
        let is_v4 = to.is_some_and(|to| to.to_canonical().is_ipv4());
        match (is_v6, is_v4) {
            (false, _) => Rules::V4,
            (true, true) => Rules::Mapped,
            (true, false) => Rules::V6,
        }
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

/// Reads what the program says with a datagram. What is of another protocol means nothing, as to
/// the kernel.
///
/// # Errors
///
/// - EFAULT where the messages cannot be read.
/// - EINVAL for a wrong one.
pub fn given(memory: &impl Memory, at: usize, length: usize, rules: Rules) -> Result<Given, Errno> {
    let mut given = Given {
        told: length != 0,
        ..Given::default()
    };
    let wrong = Errno(libc::EINVAL);
    let is_v6 = rules == Rules::V6;
    each(memory, at, length, |message| {
        match (message.level, message.kind) {
            (libc::IPPROTO_UDP, UDP_SEGMENT) if message.length == 2 => {
                given.segment = Some(u16::from_ne_bytes([message.data[0], message.data[1]]));
                Ok(())
            }
            (libc::IPPROTO_UDP, _) => Err(wrong),
            (libc::SOL_SOCKET, kind) if !OF_SOCKET.contains(&kind) => Err(wrong),
            (libc::IPPROTO_IP, _) if !is_v6 => of_v4(&mut given, message),
            (libc::IPPROTO_IPV6, _) if is_v6 => of_v6(&mut given, message),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if rules == Rules::Mapped => {
                let source = IpAddr::V6(message.v6()).to_canonical();
                if message.length < 20 || source.is_ipv6() {
                    return Err(wrong);
                }
                take_info(&mut given, message.word(16), source);
                Ok(())
            }
            _ => Ok(()),
        }
    })?;
    Ok(given)
}

/// Takes the interface and the source that a message names. One that names no interface leaves
/// that of another message.
fn take_info(given: &mut Given, out: u32, source: IpAddr) {
    if out != 0 {
        given.out = out;
    }
    given.source = (!source.is_unspecified()).then_some(source);
}

/// Takes a message about the header of IPv4.
fn of_v4(given: &mut Given, message: &Message) -> Result<(), Errno> {
    let wrong = Errno(libc::EINVAL);
    let int = || message.int().filter(|_| message.length == 4);
    match message.kind {
        libc::IP_PKTINFO if message.length == 12 => {
            take_info(given, message.word(0), message.v4(4).into());
        }
        libc::IP_TTL => {
            let hops = int().filter(|hops| (1..=255).contains(hops));
            given.hops = Some(hops.ok_or(wrong)? as u8);
        }
        libc::IP_TOS => {
            let byte = || (message.length == 1).then(|| message.data[0].into());
            let class = int().or_else(byte);
            given.class = Some(u8::try_from(class.ok_or(wrong)?).map_err(|_| wrong)?);
        }
        libc::IP_RETOPTS | IP_PROTOCOL => {}
        _ => return Err(wrong),
    }
    Ok(())
}

/// Takes a message about the header of IPv6. A hop limit of -1 is the socket's.
fn of_v6(given: &mut Given, message: &Message) -> Result<(), Errno> {
    let wrong = Errno(libc::EINVAL);
    let int = || message.int().filter(|_| message.length == 4);
    let byte = || {
        int()
            .filter(|value| (-1..=255).contains(value))
            .ok_or(wrong)
    };
    match message.kind {
        libc::IPV6_PKTINFO | OLD_PKTINFO if message.length >= 20 => {
            let source = IpAddr::V6(message.v6());
            if source.to_canonical().is_ipv4() {
                // It is an address of no interface.
                return Err(wrong);
            }
            take_info(given, message.word(16), source);
        }
        libc::IPV6_HOPLIMIT | OLD_HOPLIMIT => given.hops = u8::try_from(byte()?).ok(),
        // The kernel cuts this one.
        libc::IPV6_TCLASS => given.class = Some(byte()? as u8),
        kind if OF_V6.contains(&kind) => {}
        _ => return Err(wrong),
    }
    Ok(())
}
