//! What programs ask the host process about sockets, and the answers, as the payload of a question
//! and of its answer ([`ask`](crate::ask)).
#![forbid(unsafe_code)]

use super::tuning::{Tuning, TUNING};
use super::Protocol;
use memtun_abi::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bits of [`SocketQuestion::flags`].
pub mod set {
    /// SO_REUSEADDR.
    pub const REUSE_ADDRESS: u32 = 1;
    /// SO_REUSEPORT.
    pub const REUSE_PORT: u32 = 2;
    /// IPV6_V6ONLY, as the program has set it.
    pub const V6ONLY: u32 = 4;
    /// O_NONBLOCK.
    pub const NONBLOCK: u32 = 8;
    /// SO_BROADCAST.
    pub const BROADCAST: u32 = 16;
    /// IP_FREEBIND, IPV6_FREEBIND or IP_TRANSPARENT.
    pub const FREEBIND: u32 = 32;
    /// The program has bound it: `native` is its name.
    pub const BOUND: u32 = 64;
    /// No program calls bind(2), but the first send or connect(2) or listen(2) needs a name.
    pub const AUTOBIND: u32 = 128;
    /// IP_RECVERR or IPV6_RECVERR.
    pub const RECEIVES_ERRORS: u32 = 256;
    /// IP_MULTICAST_LOOP or IPV6_MULTICAST_LOOP is set, as it is at first.
    pub const MULTICAST_LOOP: u32 = 1024;
    /// The program cannot send by itself: [`Path::alias`](super::Path::alias) is needed.
    pub const NEEDS_ALIAS: u32 = 2048;
    /// The socket leaves the group, and does not join it.
    pub const LEAVES: u32 = 4096;
    /// The group is joined, or left, for the one source that stands in the question: nothing else
    /// of it is heard (MCAST_INCLUDE).
    pub const OF_SOURCE: u32 = 8192;
    /// The source that stands in the question is not heard of the group any more, or with
    /// [`LEAVES`] again (MCAST_EXCLUDE).
    pub const BLOCKS: u32 = 1 << 14;
    /// All sources of the group are set at once: [`Sources`](crate::sockets::filter::Sources)
    /// follow the question.
    pub const SOURCES: u32 = 1 << 15;
    /// IP_MULTICAST_ALL is off.
    pub const JOINED_ONLY: u32 = 1 << 16;
    /// IPV6_MULTICAST_ALL is off.
    pub const JOINED_ONLY_V6: u32 = 1 << 17;
}

/// What is asked about a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketQuestion {
    /// SO_COOKIE of the socket.
    pub cookie: u64,
    /// Its inode.
    pub inode: u64,
    /// AF_INET or AF_INET6.
    pub family: u16,
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_RAW.
    pub kind: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Hop limit that the program has set, 0 for none.
    pub hops: u8,
    /// Bits of [`set`].
    pub flags: u32,
    /// The interface of the net that the socket is bound to, 0 for none.
    pub device: u32,
    /// The interface that the packet is to leave by: of IP_PKTINFO, IP_UNICAST_IF or
    /// IP_MULTICAST_IF; 0 for any.
    pub out: u32,
    /// SO_MARK.
    pub mark: u32,
    /// The errno with which the native call failed, of a question that is put again; 0 otherwise.
    pub failed: u32,
    /// The source address of IP_PKTINFO or IP_MULTICAST_IF; of a group, whose datagrams are meant.
    pub source: Option<IpAddr>,
    /// Own name of the native socket.
    pub native: Option<SocketAddr>,
    /// The name that the program gave. For [`What::ListenOn`](crate::ask::What::ListenOn) there
    /// is none.
    pub name: Option<SocketAddr>,
    /// What the program has set, of a socket of TCP.
    pub tuning: Tuning,
}

impl SocketQuestion {
    /// A question about what has this name, of a socket of IPv4 of which nothing is known.
    pub fn about(protocol: Protocol, name: SocketAddr) -> SocketQuestion {
        SocketQuestion {
            cookie: 0,
            inode: 0,
            family: libc::AF_INET as u16,
            kind: match protocol {
                Protocol::Tcp => libc::SOCK_STREAM as u16,
                _ => libc::SOCK_DGRAM as u16,
            },
            protocol,
            tos: 0,
            hops: 0,
            flags: 0,
            device: 0,
            out: 0,
            mark: 0,
            failed: 0,
            source: None,
            native: None,
            name: Some(name),
            tuning: Tuning::default(),
        }
    }
}

/// Length in bytes of a question about a socket.
pub const QUESTION: usize = NAMES + 3 * NAME + TUNING;
/// Length in bytes of the longest answer.
pub const ANSWER: usize = 8 + 2 * NAME + 48;
/// Where the names begin in a question.
const NAMES: usize = 48;
/// Length in bytes of a name.
const NAME: usize = 24;

fn put_name(bytes: &mut [u8], name: Option<SocketAddr>) {
    let Some(name) = name else { return };
    bytes[2..4].copy_from_slice(&name.port().to_ne_bytes());
    match name {
        SocketAddr::V4(name) => {
            bytes[0] = 4;
            bytes[8..12].copy_from_slice(&name.ip().octets());
        }
        SocketAddr::V6(name) => {
            bytes[0] = 6;
            bytes[4..8].copy_from_slice(&name.scope_id().to_ne_bytes());
            bytes[8..24].copy_from_slice(&name.ip().octets());
        }
    }
}

fn name_of(bytes: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_ne_bytes([bytes[2], bytes[3]]);
    match bytes[0] {
        4 => Some(
            (
                Ipv4Addr::new(bytes[8], bytes[9], bytes[10], bytes[11]),
                port,
            )
                .into(),
        ),
        6 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[8..24]);
            let scope = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

impl SocketQuestion {
    /// Returns the bytes of the question.
    pub fn to_bytes(&self) -> [u8; QUESTION] {
        let mut bytes = [0; QUESTION];
        bytes[..8].copy_from_slice(&self.cookie.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inode.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.family.to_ne_bytes());
        bytes[18..20].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[20..23].copy_from_slice(&[self.protocol as u8, self.tos, self.hops]);
        let words = [self.flags, self.device, self.out, self.mark, self.failed];
        for (to, word) in bytes[24..44].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        let source = self.source.map(|source| SocketAddr::new(source, 0));
        for (at, name) in [source, self.native, self.name].into_iter().enumerate() {
            put_name(&mut bytes[NAMES + at * NAME..][..NAME], name);
        }
        bytes[QUESTION - TUNING..].copy_from_slice(&self.tuning.to_bytes());
        bytes
    }

    /// Reads a question. None means that it is none.
    pub fn of_bytes(bytes: &[u8]) -> Option<SocketQuestion> {
        let bytes = bytes.get(..QUESTION)?;
        let name = |at: usize| name_of(&bytes[NAMES + at * NAME..][..NAME]);
        let mut tuning = [0; TUNING];
        tuning.copy_from_slice(&bytes[QUESTION - TUNING..]);
        Some(SocketQuestion {
            cookie: long(bytes, 0),
            inode: long(bytes, 8),
            family: u16::from_ne_bytes([bytes[16], bytes[17]]),
            kind: u16::from_ne_bytes([bytes[18], bytes[19]]),
            protocol: Protocol::of(bytes[20])?,
            tos: bytes[21],
            hops: bytes[22],
            flags: word(bytes, 24),
            device: word(bytes, 28),
            out: word(bytes, 32),
            mark: word(bytes, 36),
            failed: word(bytes, 40),
            source: name(0).map(|name| name.ip()),
            native: name(1),
            name: name(2),
            tuning: Tuning::of_bytes(&tuning),
        })
    }
}

/// How a packet is put on the wire of its interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// As it is: a tun.
    Bare,
    /// Behind this Ethernet header: a tap whose neighbour is known.
    Ethernet([u8; 14]),
    /// The neighbour is not known: the packet goes to the host process, see [`PacketQuestion`].
    Unknown,
}

/// The way of datagrams that a program sends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The interface.
    pub ifindex: u32,
    /// The source address.
    pub source: IpAddr,
    /// The next hop.
    pub next_hop: IpAddr,
    /// How it is put on the wire.
    pub wire: Wire,
    /// Longest packet in bytes.
    pub mtu: u32,
    /// Hop limit, unless the program has set one.
    pub hops: u8,
    /// Is the destination a broadcast address, for which SO_BROADCAST is needed?
    pub broadcast: bool,
    /// Does the host process need a copy, for sockets of this net that receive it too?
    pub copy: bool,
    /// [`Table::generation`](super::Table::generation) for which it counts.
    pub generation: u32,
    /// The alias that stands for the flow, to which it can be sent natively.
    pub alias: Option<SocketAddr>,
}

/// What is answered to a question about a socket, where it is not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketAnswer {
    /// It is not the net's: the call goes on natively with what the program gave.
    Machine,
    /// To [`What::Bind`](crate::ask::What::Bind): the native socket is bound to this.
    Bind(SocketAddr),
    /// To [`What::Connect`](crate::ask::What::Connect) and
    /// [`What::Path`](crate::ask::What::Path): the other end is a socket of this net. The native
    /// socket is bound to the first name, if there is one, and connects or sends to the second.
    Local(Option<SocketAddr>, SocketAddr),
    /// To Connect: the host process carries it. The native socket is bound to the first name, if
    /// there is one, and connects to the second.
    Carried(Option<SocketAddr>, SocketAddr),
    /// To Path: the program sends by itself.
    Path(Path),
    /// To [`What::ListenOn`](crate::ask::What::ListenOn): it is noted.
    Done,
    /// To [`What::Join`](crate::ask::What::Join): the last source is left, and with it the group.
    Left,
}

impl SocketAnswer {
    /// Returns the bytes of the answer.
    pub fn to_bytes(&self) -> [u8; ANSWER] {
        let mut bytes = [0; ANSWER];
        let (kind, first, second) = match *self {
            SocketAnswer::Machine => (1, None, None),
            SocketAnswer::Bind(to) => (2, None, Some(to)),
            SocketAnswer::Local(bind, to) => (3, bind, Some(to)),
            SocketAnswer::Carried(bind, to) => (4, bind, Some(to)),
            SocketAnswer::Path(path) => {
                path.put(&mut bytes[8 + 2 * NAME..]);
                let source = SocketAddr::new(path.source, 0);
                (5, Some(source), Some(SocketAddr::new(path.next_hop, 0)))
            }
            SocketAnswer::Done => (6, None, None),
            SocketAnswer::Left => (7, None, None),
        };
        bytes[0] = kind;
        put_name(&mut bytes[8..][..NAME], first);
        put_name(&mut bytes[8 + NAME..][..NAME], second);
        bytes
    }

    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// EPROTO when it is none.
    pub fn of_bytes(bytes: &[u8]) -> Result<SocketAnswer, Errno> {
        let wrong = Errno(libc::EPROTO);
        let bytes = bytes.get(..ANSWER).ok_or(wrong)?;
        let first = name_of(&bytes[8..][..NAME]);
        let second = name_of(&bytes[8 + NAME..][..NAME]);
        Ok(match bytes[0] {
            1 => SocketAnswer::Machine,
            2 => SocketAnswer::Bind(second.ok_or(wrong)?),
            3 => SocketAnswer::Local(first, second.ok_or(wrong)?),
            4 => SocketAnswer::Carried(first, second.ok_or(wrong)?),
            5 => SocketAnswer::Path(Path::of(
                &bytes[8 + 2 * NAME..],
                first.ok_or(wrong)?.ip(),
                second.ok_or(wrong)?.ip(),
            )),
            6 => SocketAnswer::Done,
            7 => SocketAnswer::Left,
            _ => return Err(wrong),
        })
    }
}

impl Path {
    fn put(&self, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&self.ifindex.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.mtu.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.generation.to_ne_bytes());
        bytes[12] = self.hops;
        bytes[13] = u8::from(self.broadcast) | u8::from(self.copy) << 1;
        match self.wire {
            Wire::Bare => bytes[14] = 0,
            Wire::Ethernet(header) => {
                bytes[14] = 1;
                bytes[16..30].copy_from_slice(&header);
            }
            Wire::Unknown => bytes[14] = 2,
        }
        if let Some(alias) = self.alias {
            bytes[15] = if alias.is_ipv6() { 6 } else { 4 };
            let address = super::table::native_v4(alias.ip());
            let octets = address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
            bytes[32..36].copy_from_slice(&octets);
            bytes[36..38].copy_from_slice(&alias.port().to_ne_bytes());
        }
    }

    fn of(bytes: &[u8], source: IpAddr, next_hop: IpAddr) -> Path {
        let mut header = [0; 14];
        header.copy_from_slice(&bytes[16..30]);
        let alias = Ipv4Addr::new(bytes[32], bytes[33], bytes[34], bytes[35]);
        let port = u16::from_ne_bytes([bytes[36], bytes[37]]);
        Path {
            ifindex: word(bytes, 0),
            source,
            next_hop,
            wire: match bytes[14] {
                0 => Wire::Bare,
                1 => Wire::Ethernet(header),
                _ => Wire::Unknown,
            },
            mtu: word(bytes, 4),
            hops: bytes[12],
            broadcast: bytes[13] & 1 != 0,
            copy: bytes[13] & 2 != 0,
            generation: word(bytes, 8),
            alias: match bytes[15] {
                4 => Some((alias, port).into()),
                6 => Some((alias.to_ipv6_mapped(), port).into()),
                _ => None,
            },
        }
    }
}

/// A packet that the host process sends for a program ([`What::Packet`](crate::ask::What::Packet)):
/// this head, and the whole IP packet behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketQuestion {
    /// The interface.
    pub ifindex: u32,
    /// Does it only go to sockets of this net, because the program has sent it itself?
    pub copy: bool,
    /// The next hop.
    pub next_hop: IpAddr,
}

/// Length in bytes of the head of a packet.
pub const PACKET: usize = 8 + NAME;

impl PacketQuestion {
    /// Returns the bytes of the head.
    pub fn to_bytes(&self) -> [u8; PACKET] {
        let mut bytes = [0; PACKET];
        bytes[..4].copy_from_slice(&self.ifindex.to_ne_bytes());
        bytes[4] = self.copy.into();
        put_name(&mut bytes[8..], Some(SocketAddr::new(self.next_hop, 0)));
        bytes
    }

    /// Reads the head of a packet. None means that it is none.
    pub fn of_bytes(bytes: &[u8]) -> Option<(PacketQuestion, &[u8])> {
        let (head, packet) = bytes.split_at_checked(PACKET)?;
        let question = PacketQuestion {
            ifindex: word(head, 0),
            copy: head[4] != 0,
            next_hop: name_of(&head[8..])?.ip(),
        };
        Some((question, packet))
    }
}
