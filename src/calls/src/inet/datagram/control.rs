//! Control messages of datagrams (`struct cmsghdr`).
#![forbid(unsafe_code)]

use super::send::Given;
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::brief::each_address;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{Flow, Table};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: i32 = 103;
/// Bytes of `struct cmsghdr`.
const HEAD: usize = 16;
/// Bytes of control messages that are looked at.
const MOST: usize = 1024;
/// Bytes of the data of a message that are looked at.
const LONGEST: usize = 28;

/// One control message.
struct Message {
    level: i32,
    kind: i32,
    /// Where its data is in the program's memory.
    at: usize,
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
    /// Turns it into one of IPv6 whose data is an int.
    fn become_int(&self, memory: &impl Memory, kind: i32) -> Result<(), Errno> {
        let value = self.int().unwrap_or(self.data[0].into());
        memory.write(self.at - HEAD, &(HEAD + 4).to_ne_bytes())?;
        memory.write(self.at - 8, &libc::IPPROTO_IPV6.to_ne_bytes())?;
        memory.write(self.at - 4, &kind.to_ne_bytes())?;
        memory.write(self.at, &value.to_ne_bytes())
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
            at: at + done + HEAD,
            data: [0; LONGEST],
            length: whole - HEAD,
        };
        let some = message.length.min(LONGEST);
        memory.read(message.at, &mut message.data[..some])?;
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

/// Puts the net's addresses and interfaces in the place of the machine's in the messages that came
/// with a datagram of this flow, or from a socket of this net.
pub fn show(
    memory: &impl Memory,
    (net, table): (&NetDir, &Table),
    flow: Option<&Flow>,
    at: usize,
    length: usize,
) {
    let own = |alias: Ipv4Addr| {
        let own = table.own(alias).map(|own| own.address);
        // The alias of a socket of any address says nothing.
        own.filter(|address| !address.is_unspecified())
    };
    let fits = |message: &Message| message.at + 4 <= at + length;
    let of_v6 = flow.is_some_and(|flow| flow.local.is_ipv6());
    let _ = each(memory, at, length, |message| {
        match (message.level, message.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if message.length >= 12 => {
                let (spec, to) = (own(message.v4(4)), own(message.v4(8)));
                let to = flow.map(|flow| flow.local.ip()).or(to);
                let mut data = message.data;
                let mut put = |at: usize, address: Option<IpAddr>| {
                    if let Some(IpAddr::V4(address)) = address {
                        data[at..at + 4].copy_from_slice(&address.octets());
                    }
                };
                put(4, spec.or(to));
                put(8, to);
                if let Some(index) = index(net, flow, to) {
                    data[..4].copy_from_slice(&index.to_ne_bytes());
                }
                memory.write(message.at, &data[..12])?;
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if message.length >= 20 => {
                let native = native_v4(message.v6().into()).and_then(own);
                let to = flow.map(|flow| flow.local.ip()).or(native);
                let mut data = message.data;
                match to {
                    Some(IpAddr::V4(to)) => {
                        data[..16].copy_from_slice(&to.to_ipv6_mapped().octets())
                    }
                    Some(IpAddr::V6(to)) => data[..16].copy_from_slice(&to.octets()),
                    None => {}
                }
                if let Some(index) = index(net, flow, to) {
                    data[16..20].copy_from_slice(&index.to_ne_bytes());
                }
                memory.write(message.at, &data[..20])?;
            }
            // A datagram of IPv6 comes in one of IPv4.
            (libc::IPPROTO_IP, libc::IP_TTL) if of_v6 && fits(message) => {
                message.become_int(memory, libc::IPV6_HOPLIMIT)?;
            }
            (libc::IPPROTO_IP, libc::IP_TOS) if of_v6 && fits(message) => {
                message.become_int(memory, libc::IPV6_TCLASS)?;
            }
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) if message.length >= 16 => {
                if let Some(std::net::SocketAddr::V4(to)) = flow.map(|flow| flow.local) {
                    let mut data = message.data;
                    data[2..4].copy_from_slice(&to.port().to_be_bytes());
                    data[4..8].copy_from_slice(&to.ip().octets());
                    memory.write(message.at, &data[..16])?;
                }
            }
            _ => {}
        }
        Ok(())
    });
}

/// Returns the interface by which a datagram of this flow has come, or the one that has the own
/// address that it was sent to.
fn index(net: &NetDir, flow: Option<&Flow>, to: Option<IpAddr>) -> Option<u32> {
    if let Some(flow) = flow {
        return (flow.ifindex != 0).then_some(flow.ifindex);
    }
    let mut found = None;
    let _ = each_address(net, |address| {
        found = (Some(address.local) == to).then_some(address.index);
        found.is_none()
    });
    found
}
