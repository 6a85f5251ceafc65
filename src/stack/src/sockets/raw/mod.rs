//! Packet sockets (packet(7)) and raw sockets (raw(7)) on the net's own interfaces, for programs
//! that the kernel allows neither.
//!
//! The program's descriptor is a datagram socket of AF_UNIX, bound to a name in the net's
//! directory, which nobody else can reach. The host process sends copies of packets to it; in front
//! of each stands a [`Head`], which a receive hook takes off and shows as the sender's address. So
//! poll, the queue and its flags are the kernel's. What the program has asked for is known by the
//! host process ([`Order`]), and the little that its own calls need stands in options of the socket
//! that mean nothing for AF_UNIX ([`Kind`], [`Bound`]): it goes with the socket over fork, exec,
//! dup and SCM_RIGHTS.
#![forbid(unsafe_code)]

pub mod kept;
mod parts;

use crate::ask::place;
use crate::wire::{u16_at, u32_at};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys as sys;
pub use parts::{octets_of, of_octets, Element, Membership, Setting, BY_ADDRESS};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

/// What the program has asked for with socket(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// AF_PACKET, AF_INET or AF_INET6.
    pub family: i32,
    /// SOCK_RAW or SOCK_DGRAM.
    pub kind: i32,
}

impl Kind {
    /// The bits of the mark that say so.
    pub fn bits(self) -> i32 {
        let family = match self.family {
            libc::AF_PACKET => 0,
            libc::AF_INET => 1,
            _ => 2,
        };
        family | i32::from(self.kind == libc::SOCK_DGRAM) << 2
    }

    /// Is it a packet socket?
    pub fn is_packet(self) -> bool {
        self.family == libc::AF_PACKET
    }

    /// Is it a socket of echo requests, which the kernel calls a ping socket?
    pub fn is_ping(self) -> bool {
        !self.is_packet() && self.kind == libc::SOCK_DGRAM
    }

    /// Reads the bits of a mark.
    pub fn of_bits(bits: i32) -> Kind {
        Kind {
            family: match bits & 3 {
                0 => libc::AF_PACKET,
                1 => libc::AF_INET,
                _ => libc::AF_INET6,
            },
            kind: match bits & 4 {
                0 => libc::SOCK_RAW,
                _ => libc::SOCK_DGRAM,
            },
        }
    }
}

/// What a socket is bound to, and which options it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bound {
    /// The interface, 0 for all.
    pub ifindex: u32,
    /// The ethertype of a packet socket, or the protocol of a raw one, in host byte order.
    pub protocol: u16,
    /// Bits of [`set`].
    pub set: u16,
}

/// Bits of [`Bound::set`].
pub mod set {
    /// PACKET_AUXDATA.
    pub const AUXDATA: u16 = 1;
    /// IP_HDRINCL or IPV6_HDRINCL.
    pub const HEADER_INCLUDED: u16 = 2;
    /// IP_PKTINFO or IPV6_RECVPKTINFO.
    pub const PACKET_INFO: u16 = 4;
    /// IP_RECVTTL or IPV6_RECVHOPLIMIT.
    pub const HOPS: u16 = 8;
    /// IP_RECVTOS or IPV6_RECVTCLASS.
    pub const TOS: u16 = 16;
    /// The socket was bound to a name.
    pub const BOUND: u16 = 32;
    /// SO_BROADCAST.
    pub const BROADCAST: u16 = 64;
    /// Errors reach the socket: see [`Action::Errors`](super::Action::Errors).
    pub const ERRORS: u16 = 128;
    /// SO_REUSEADDR was taken away, which these sockets have at first.
    pub const NOT_SHARED: u16 = 256;
    /// IP_RECVOPTS.
    pub const OPTIONS: u16 = 512;
    /// IP_RETOPTS.
    pub const RETURNED_OPTIONS: u16 = 1024;
    /// HOPS and PACKET_INFO of IPv6 are told by the numbers of RFC 2292: IPV6_2292HOPLIMIT,
    /// IPV6_2292PKTINFO.
    pub const OLD_HOPS: u16 = 2048;
    /// As above.
    pub const OLD_PACKET_INFO: u16 = 4096;
}

impl Bound {
    /// Returns it as one number. The uppermost bit says that there is one.
    pub fn to_word(self) -> u64 {
        u64::from(self.ifindex)
            | u64::from(self.protocol) << 32
            | u64::from(self.set & 0x7fff) << 48
            | 1 << 63
    }

    /// Reads a number.
    pub fn of_word(word: u64) -> Bound {
        Bound {
            ifindex: word as u32,
            protocol: (word >> 32) as u16,
            set: (word >> 48) as u16 & 0x7fff,
        }
    }
}

/// What is done to a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Action {
    /// It is made, or bound to something else: from now on it gets copies.
    Bind = 1,
    /// It gets a filter of classic BPF, whose instructions follow; none for no filter.
    Filter = 2,
    /// It asks for its counters: the answer is those of PACKET_STATISTICS.
    Statistics = 3,
    /// It sends a packet through IP, which follows: behind a [`Sending`].
    Send = 4,
    /// It receives only what this address has sent, which follows as 16 bytes (zeros for none; one
    /// of IPv4 is mapped), with a port of two bytes behind it.
    Connect = 5,
    /// It gets the filter of types of ICMP, which follows.
    Types = 6,
    /// It sends a frame, which follows, by the interface in `bound`: it must not get its own copy.
    Frame = 7,
    /// It receives only what is sent to this address, and sends from it: as for Connect. The
    /// port is the identifier of a socket of echo requests.
    Own = 8,
    /// It asks for both addresses: the answer is the own one and that of the other end, as for
    /// Connect, and the ports of both.
    Names = 9,
    /// It wants to hear of errors. The host process binds a socket to a name
    /// (`NetDir::errors_socket`), and connects it; the program's is connected to that one then.
    /// Where the host process disconnects, the machine's kernel tells the program's socket
    /// ECONNRESET, with all that belongs to an error that waits.
    Errors = 10,
    /// It takes the error that waits. The answer is its errno, or 0, and whether there is anything
    /// in the queue of errors.
    Error = 11,
    /// It takes the oldest element of the queue of errors, which is the answer ([`Element`]).
    Queued = 12,
    /// There is something in the queue of errors still: it is to be told again.
    Again = 13,
    /// It gets an option of IP, which follows as [`Setting`].
    Set = 14,
    /// It asks for an option of IP, whose level and number follow. The answer is the value.
    Get = 15,
    /// It joins a group, which follows as [`Membership`].
    Join = 16,
    /// It leaves a group.
    Leave = 17,
    /// It gets the options of IPv4 that follow, for what it sends.
    Options = 18,
    /// It asks for them.
    GetOptions = 19,
    /// It asks for the filter of types of ICMP.
    GetTypes = 20,
    /// It hears a source of a group, or does so no more: a [`Membership`], and behind it two bytes,
    /// whether the source is put to the others and whether it is blocked, and its 16 bytes.
    Source = 21,
    /// It gets all sources of a group: a [`Membership`] and [`Sources`](super::filter::Sources).
    Sources = 22,
    /// It asks for the [`Sources`](super::filter::Sources) of a group, a [`Membership`].
    GetSources = 23,
}

impl Action {
    const ALL: [Action; 23] = {
        use Action::*;
        [
            Bind, Filter, Statistics, Send, Connect, Types, Frame, Own, Names, Errors, Error,
            Queued, Again, Set, Get, Join, Leave, Options, GetOptions, GetTypes, Source, Sources,
            GetSources,
        ]
    };
}

/// What is answered to a socket of echo requests whose packets go the machine's way.
pub const MACHINES_WAY: u8 = 1;

/// A question about a packet socket or a raw one ([`What::Raw`](crate::ask::What::Raw)).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// What is done.
    pub action: Action,
    /// The inode of the socket.
    pub inode: u64,
    /// What it is.
    pub kind: Kind,
    /// What it is bound to.
    pub bound: Bound,
}

/// Length in bytes of an order.
pub const ORDER: usize = 24;

impl Order {
    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; ORDER] {
        let mut bytes = [0; ORDER];
        bytes[0] = self.action as u8;
        bytes[1] = self.kind.bits() as u8;
        bytes[8..16].copy_from_slice(&self.inode.to_ne_bytes());
        bytes[16..].copy_from_slice(&self.bound.to_word().to_ne_bytes());
        bytes
    }

    /// Reads an order, and what follows it.
    pub fn of_bytes(bytes: &[u8]) -> Option<(Order, &[u8])> {
        let (head, rest) = bytes.split_at_checked(ORDER)?;
        let long = |at: usize| Some(u64::from_ne_bytes(head[at..at + 8].try_into().ok()?));
        let order = Order {
            action: *Action::ALL
                .iter()
                .find(|action| **action as u8 == head[0])?,
            kind: Kind::of_bits(head[1].into()),
            inode: long(8)?,
            bound: Bound::of_word(long(16)?),
        };
        Some((order, rest))
    }
}

/// How a packet of a raw socket is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sending {
    /// The destination; None where the socket is connected.
    pub to: Option<IpAddr>,
    /// The interface of the destination's IPv6 address of a link, or that of the control messages.
    pub scope: u32,
    /// Hop limit that the program has said with the packet, 0 for none.
    pub hops: u8,
    /// Type of service that it has said.
    pub tos: Option<u8>,
    /// The port of the destination, which a raw socket of IPv6 may name as protocol.
    pub port: u16,
    /// The source address, where the program has given one.
    pub from: Option<IpAddr>,
}

/// Length in bytes of it.
pub const SENDING: usize = 48;

fn put_address(bytes: &mut [u8], address: Option<IpAddr>) -> u8 {
    match address {
        None => 0,
        Some(IpAddr::V4(address)) => {
            bytes[..4].copy_from_slice(&address.octets());
            4
        }
        Some(IpAddr::V6(address)) => {
            bytes[..16].copy_from_slice(&address.octets());
            6
        }
    }
}

fn address_of(kind: u8, bytes: &[u8]) -> Option<IpAddr> {
    let six: [u8; 16] = bytes.get(..16)?.try_into().ok()?;
    match kind {
        4 => Some(Ipv4Addr::new(six[0], six[1], six[2], six[3]).into()),
        6 => Some(Ipv6Addr::from(six).into()),
        _ => None,
    }
}

impl Sending {
    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; SENDING] {
        let mut bytes = [0; SENDING];
        bytes[0] = put_address(&mut bytes[16..32], self.to);
        bytes[3] = put_address(&mut bytes[32..], self.from);
        bytes[1] = self.hops;
        bytes[2] = self.tos.unwrap_or(0);
        bytes[4..6].copy_from_slice(&self.port.to_ne_bytes());
        bytes[6] = u8::from(self.tos.is_some());
        bytes[8..12].copy_from_slice(&self.scope.to_ne_bytes());
        bytes
    }

    /// Reads it, and the packet behind it.
    pub fn of_bytes(bytes: &[u8]) -> Option<(Sending, &[u8])> {
        let (head, rest) = bytes.split_at_checked(SENDING)?;
        let sending = Sending {
            to: address_of(head[0], &head[16..32]),
            from: address_of(head[3], &head[32..]),
            scope: u32_at(head, 8)?,
            hops: head[1],
            tos: (head[6] != 0).then_some(head[2]),
            port: u16::from_ne_bytes([head[4], head[5]]),
        };
        Some((sending, rest))
    }
}

/// Is the socket of a program with this inode open still?
pub fn is_open(net: &NetDir, inode: u64) -> bool {
    let tried = (|| {
        let (name, dir) = (NetDir::packet_socket(inode)?, net.open_dir()?);
        let socket = sys::socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0)?;
        place::in_directory(dir.raw(), net.path(), &name, |path| {
            sys::connect_path(socket.as_fd(), path)
        })
    })();
    // One that hears its own end only refuses others in another way.
    !matches!(tried, Err(Errno(libc::ECONNREFUSED | libc::ENOENT)))
}

/// What stands in front of each copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The interface.
    pub ifindex: u32,
    /// ARPHRD_* of the interface.
    pub link_type: u16,
    /// PACKET_HOST and so on.
    pub packet_type: u8,
    /// The ethertype in host byte order.
    pub protocol: u16,
    /// The link-layer address of the sender; `None` where the interface has none.
    pub address: Option<[u8; 6]>,
    /// Length in bytes of the whole packet.
    pub length: u32,
    /// What a filter has left of it.
    pub kept: u32,
    /// Where the network header is, counted from the link header.
    pub network: u16,
    /// Source and destination of an IP packet, for sockets of IP; one of IPv4 is mapped.
    pub addresses: [[u8; 16]; 2],
    /// Its hop limit and traffic class.
    pub hops: [u8; 2],
    /// When it came, in nanoseconds of CLOCK_REALTIME.
    pub time: u64,
    /// Options of IPv4 that the program wants to see, zeros behind the last one.
    pub options: Shown,
}

/// Options of IPv4 that are shown with a copy: how many bytes, and the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// How many bytes they are.
    pub length: u8,
    words: [u32; 10],
}

impl Shown {
    /// Keeps options.
    pub fn new(options: &[u8]) -> Shown {
        let mut shown = Shown {
            length: options.len().min(40) as u8,
            ..Shown::default()
        };
        for (word, bytes) in shown.words.iter_mut().zip(options.chunks_exact(4)) {
            *word = u32_at(bytes, 0).unwrap_or(0);
        }
        shown
    }

    /// Returns the bytes, as many as there can be.
    pub fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes.copy_from_slice(self.words.map(u32::to_ne_bytes).as_flattened());
        bytes
    }
}

/// Length in bytes of a head.
pub const HEAD: usize = 116;
const MAGIC: u32 = 0x6d74_7063;

impl Head {
    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[4] = self.packet_type;
        bytes[6..8].copy_from_slice(&self.link_type.to_ne_bytes());
        bytes[8..10].copy_from_slice(&self.protocol.to_ne_bytes());
        bytes[10..12].copy_from_slice(&self.network.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.ifindex.to_ne_bytes());
        if let Some(address) = self.address {
            bytes[5] = 6;
            bytes[16..22].copy_from_slice(&address);
        }
        bytes[22..24].copy_from_slice(&self.hops);
        bytes[24..28].copy_from_slice(&self.length.to_ne_bytes());
        bytes[28..32].copy_from_slice(&self.kept.to_ne_bytes());
        bytes[32..48].copy_from_slice(&self.addresses[0]);
        bytes[48..64].copy_from_slice(&self.addresses[1]);
        bytes[64..72].copy_from_slice(&self.time.to_ne_bytes());
        bytes[72] = self.options.length;
        bytes[76..].copy_from_slice(&self.options.bytes());
        bytes
    }

    /// Reads a head. None means that the datagram is none of the host process's.
    pub fn of_bytes(bytes: &[u8]) -> Option<Head> {
        let bytes = bytes.get(..HEAD)?;
        if u32_at(bytes, 0)? != MAGIC {
            return None;
        }
        let mut addresses = [[0; 16]; 2];
        addresses[0].copy_from_slice(&bytes[32..48]);
        addresses[1].copy_from_slice(&bytes[48..64]);
        Some(Head {
            ifindex: u32_at(bytes, 12)?,
            link_type: u16_at(bytes, 6)?,
            packet_type: bytes[4],
            protocol: u16_at(bytes, 8)?,
            address: (bytes[5] == 6).then_some(bytes[16..22].try_into().ok()?),
            length: u32_at(bytes, 24)?,
            kept: u32_at(bytes, 28)?,
            network: u16_at(bytes, 10)?,
            addresses,
            hops: [bytes[22], bytes[23]],
            time: u64::from(u32_at(bytes, 64)?) | u64::from(u32_at(bytes, 68)?) << 32,
            options: Shown::new(&bytes[76..76 + usize::from(bytes[72].min(40))]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Report;
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let order = Order {
            action: Action::Filter,
            inode: 1 << 40 | 7,
            kind: Kind {
                family: libc::AF_INET6,
                kind: libc::SOCK_RAW,
            },
            bound: Bound {
                ifindex: 9,
                protocol: 0x806,
                set: set::AUXDATA | set::BOUND,
            },
        };
        let mut bytes = order.to_bytes().to_vec();
        bytes.push(1);
        assert_eq!(Order::of_bytes(&bytes), Some((order, &[1][..])));
        let head = Head {
            ifindex: 3,
            link_type: 1,
            packet_type: 4,
            protocol: 0x800,
            address: Some([1, 2, 3, 4, 5, 6]),
            length: 70000,
            kept: 60000,
            network: 14,
            addresses: [[1; 16], [2; 16]],
            hops: [64, 3],
            time: 1 << 60 | 7,
            options: Shown::new(&[7, 7, 8, 1, 2, 3, 4, 0]),
        };
        assert_eq!(Head::of_bytes(&head.to_bytes()), Some(head));
        assert_eq!(Head::of_bytes(&[0; HEAD]), None);
        let element = Element {
            report: Report {
                errno: 113,
                origin: 2,
                kind: 3,
                code: 1,
                hops: 63,
                info: 7,
                offender: [10, 0, 0, 2].into(),
                scope: 0,
                number: 5,
            },
            to: ([10, 0, 0, 3], 4).into(),
            at: [10, 0, 0, 1].into(),
            ifindex: 2,
        };
        let mut bytes = element.to_bytes().to_vec();
        bytes.push(9);
        assert_eq!(Element::of_bytes(&bytes), Some((element, &[9][..])));
        let sending = Sending {
            to: Some([10, 0, 0, 1].into()),
            scope: 4,
            hops: 1,
            tos: Some(8),
            port: 9,
            from: Some(std::net::Ipv6Addr::LOCALHOST.into()),
        };
        assert_eq!(
            Sending::of_bytes(&sending.to_bytes()),
            Some((sending, &[][..]))
        );
    }
}
