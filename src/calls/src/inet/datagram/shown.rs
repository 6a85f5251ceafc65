//! Control messages that come with a datagram (`struct cmsghdr`), as a program sees them.
#![forbid(unsafe_code)]

use crate::ancillary::{Control, HEAD};
use crate::memory::Memory;
use memtun_kernel::net::NetDir;
use memtun_stack::brief::each_address;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{Flow, Protocol, Table};
use memtun_sys::inet::SocketName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Bytes that the longest message has which is not shown as it came: `struct sockaddr_in6`.
const LONGEST: usize = 28;

/// Where a datagram came from that is shown to a program.
#[derive(Clone, Copy)]
pub struct Came<'f> {
    /// The net whose program receives it.
    pub net: &'f NetDir,
    /// The sockets of the net.
    pub table: &'f Table,
    /// Its flow; None for one from a socket of this net.
    pub flow: Option<&'f Flow>,
    /// Is it one of IPv6? Natively it comes in one of IPv4.
    pub is_v6: bool,
}

/// Stores the control messages `native`, which the kernel has given with a datagram, in `room`
/// bytes at an address, with the net's addresses and interfaces in the place of the machine's.
/// `came` is None for a datagram of the machine's. Returns how many bytes are used, and whether
/// something found no room. What cannot be written is left out, as by the kernel.
pub fn show(
    memory: &impl Memory,
    came: Option<Came<'_>>,
    native: &[u8],
    (at, room): (usize, usize),
) -> (usize, bool) {
    let mut control = Control::behind(memory, (at, 0, room));
    let mut rest = native;
    while let Some((message, next)) = Message::first(rest) {
        rest = next;
        let shown = came.and_then(|came| message.shown(came));
        let _ = match &shown {
            Some((level, kind, data)) => control.put(*level, *kind, data.bytes()),
            None => control.put(message.level, message.kind, message.data),
        };
    }
    (control.used, control.cut)
}

/// The data of a message that is shown.
struct Data {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Data {
    fn new(bytes: &[u8]) -> Data {
        let length = bytes.len().min(LONGEST);
        let mut data = Data {
            bytes: [0; LONGEST],
            length,
        };
        data.bytes[..length].copy_from_slice(&bytes[..length]);
        data
    }
    fn int(value: i32) -> Data {
        Data::new(&value.to_ne_bytes())
    }
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

/// One control message of the kernel's.
struct Message<'b> {
    level: i32,
    kind: i32,
    data: &'b [u8],
}

impl<'b> Message<'b> {
    /// Returns the first one, and what stands behind it.
    fn first(bytes: &'b [u8]) -> Option<(Message<'b>, &'b [u8])> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (level, rest) = rest.split_first_chunk::<4>()?;
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let length = usize::from_ne_bytes(*length);
        let message = Message {
            level: i32::from_ne_bytes(*level),
            kind: i32::from_ne_bytes(*kind),
            data: bytes.get(HEAD..length)?,
        };
        let next = length.next_multiple_of(size_of::<usize>());
        Some((message, bytes.get(next..).unwrap_or_default()))
    }

    fn v4(&self, at: usize) -> Option<Ipv4Addr> {
        let octets = self.data.get(at..at + 4)?;
        Some(<[u8; 4]>::try_from(octets).ok()?.into())
    }

    /// Returns what is shown in its place: level, type, and data. None where it is shown as it is.
    fn shown(&self, came: Came<'_>) -> Option<(i32, i32, Data)> {
        let own = |alias: Ipv4Addr| {
            let own = came.table.own(alias).map(|own| own.address);
            // The alias of a socket of any address says nothing.
            own.filter(|address| !address.is_unspecified())
        };
        let to = came.flow.map(|flow| flow.local.ip());
        let (v4, v6) = (libc::IPPROTO_IP, libc::IPPROTO_IPV6);
        match (self.level, self.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let (spec, native) = (own(self.v4(4)?), own(self.v4(8)?));
                let to = to.or(native);
                let mut data = Data::new(self.data);
                for (at, address) in [(4, spec.or(to)), (8, to)] {
                    if let Some(IpAddr::V4(address)) = address {
                        data.put(at, &address.octets());
                    }
                }
                if let Some(index) = index(came, to) {
                    data.put(0, &index.to_ne_bytes());
                }
                Some((v4, self.kind, data))
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let native = <[u8; 16]>::try_from(self.data.get(..16)?).ok()?;
                let native = native_v4(IpAddr::from(native)).and_then(own);
                let to = to.or(native);
                let mut data = Data::new(self.data);
                match to {
                    Some(IpAddr::V4(to)) => data.put(0, &to.to_ipv6_mapped().octets()),
                    Some(IpAddr::V6(to)) => data.put(0, &to.octets()),
                    None => {}
                }
                if let Some(index) = index(came, to) {
                    data.put(16, &index.to_ne_bytes());
                }
                Some((v6, self.kind, data))
            }
            (libc::IPPROTO_IP, libc::IP_TTL) if came.is_v6 => {
                Some((v6, libc::IPV6_HOPLIMIT, Data::new(self.data)))
            }
            (libc::IPPROTO_IP, libc::IP_TOS) if came.is_v6 => {
                let class = Data::int((*self.data.first()?).into());
                Some((v6, libc::IPV6_TCLASS, class))
            }
            (libc::IPPROTO_IP, libc::IP_ORIGDSTADDR) => {
                let port = u16::from_be_bytes(self.data.get(2..4)?.try_into().ok()?);
                let native = SocketAddr::from((self.v4(4)?, port));
                let flow = came.flow.map(|flow| flow.local);
                let name = flow.or_else(|| came.table.name_of(Protocol::Udp, native))?;
                let (level, kind) = match name {
                    SocketAddr::V4(_) => (v4, libc::IP_ORIGDSTADDR),
                    SocketAddr::V6(_) => (v6, libc::IPV6_ORIGDSTADDR),
                };
                Some((level, kind, Data::new(SocketName::new(&name).bytes())))
            }
            _ => None,
        }
    }
}

/// Returns the interface by which a datagram of this flow has come, or the one that has the own
/// address that it was sent to.
fn index(came: Came<'_>, to: Option<IpAddr>) -> Option<u32> {
    const LOOPBACK: u32 = 1;
    if let Some(flow) = came.flow {
        let is_own = flow.ifindex == LOOPBACK && !flow.local.ip().is_loopback();
        // What the net sends to itself has the interface of the address.
        if !is_own {
            return (flow.ifindex != 0).then_some(flow.ifindex);
        }
    }
    let mut found = None;
    let _ = each_address(came.net, |address| {
        found = (Some(address.local) == to).then_some(address.index);
        found.is_none()
    });
    found
}
