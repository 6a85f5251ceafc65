//! The table of the net's sockets, `.memtun-inet`: what the addresses of the machine's loopback
//! that belong to the net stand for.
//!
//! A program's socket stays one of the machine's on 127/8. Each net has slices of it, networks of
//! 18 bits. In the first slice, with base B, B + 1 to B + 253 are the net's own addresses, B + 254
//! is any IPv4 address of this net and B + 255 any IPv6 address. Each other address, from B + 256
//! on, stands for one flow: a protocol, an own address and port, and a remote address and port.
//!
//! The host process alone writes the table. Programs map it once, and read it without a lock,
//! without memory and without a system call. Each row begins with a number that is odd while the
//! row is written and different afterwards; a row that its writer died in is absent.
//!
//! | module | what it is |
//! |---|---|
//! | [`table`] | the table as programs read it |
//! | [`row`] | how a flow, an own address and a socket stand in a row of words |
//! | [`filter`] | of which sources a socket hears a group |
//! | [`diag`] | messages about sockets, as ss(8) asks for them |
//! | [`question`] | what programs ask the host process about sockets, and the answers |
//! | [`raw`] | packet sockets and raw sockets |
//! | [`report`] | what the host process tells a socket of an error that came by ICMP |
//! | [`tuning`] | what a program has set on a socket of TCP |
//! | [`shown`] | what is shown of a socket that the machine's kernel lists |
#![forbid(unsafe_code)]

pub mod diag;
pub mod filter;
pub mod pushing;
pub mod question;
pub mod raw;
pub mod report;
pub mod row;
pub mod shown;
pub mod table;
pub mod tuning;

pub use report::Report;
pub use table::Table;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The protocol of a socket or a flow, with the kernel's number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Protocol {
    /// ICMP for IPv4, of a socket that sends echo requests: its identifier is the port.
    Icmp = 1,
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// ICMP for IPv6.
    Icmp6 = 58,
}

impl Protocol {
    /// Returns the protocol of a number (IPPROTO_*).
    pub fn of(number: u8) -> Option<Protocol> {
        use Protocol::*;
        [Icmp, Tcp, Udp, Icmp6]
            .into_iter()
            .find(|protocol| *protocol as u8 == number)
    }
}

/// One flow, which an alias stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The protocol.
    pub protocol: Protocol,
    /// The own end.
    pub local: SocketAddr,
    /// The other end. For an IPv6 address of a link its scope is the index of the interface.
    pub remote: SocketAddr,
    /// The interface that the flow is bound to, or came by; 0 for none.
    pub ifindex: u32,
    /// The largest segment of TCP that is sent in the flow, 0 where that is not known.
    pub mss: u16,
    /// The errno that replaces what the native socket says: of a refusal that came late. 0 for
    /// none.
    pub error: u16,
}

/// What the net knows of one socket of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// SO_COOKIE of the socket.
    pub cookie: u64,
    /// Its inode.
    pub inode: u64,
    /// The user who has made it.
    pub uid: u32,
    /// The protocol.
    pub protocol: Protocol,
    /// AF_INET or AF_INET6.
    pub family: u16,
    /// The own name as the net sees it.
    pub local: SocketAddr,
    /// The own name as the machine's kernel has it.
    pub native: SocketAddr,
    /// The other end, once it is connected.
    pub remote: Option<SocketAddr>,
    /// The flow that it is connected by.
    pub flow: Option<Ipv4Addr>,
    /// The interface that it is bound to, 0 for none.
    pub device: u32,
    /// Bits of [`flag`].
    pub flags: u32,
}

/// Bits of [`Entry::flags`].
pub mod flag {
    /// It listens.
    pub const LISTENS: u32 = 1;
    /// IPV6_V6ONLY, as the program has set it.
    pub const V6ONLY: u32 = 2;
    /// It is bound to the alias that stands for any address of the net, instead of none.
    pub const FALLBACK: u32 = 4;
    /// SO_REUSEADDR.
    pub const REUSE_ADDRESS: u32 = 8;
    /// SO_REUSEPORT.
    pub const REUSE_PORT: u32 = 16;
    /// The program has given the address; otherwise it stands for any.
    pub const ADDRESS_GIVEN: u32 = 32;
    /// The program has given the port; otherwise the net has chosen it.
    pub const PORT_GIVEN: u32 = 64;
    /// IP_RECVERR or IPV6_RECVERR.
    pub const RECEIVES_ERRORS: u32 = 128;
    /// It is gone. What it has sent may still wait in the buffer of another one.
    pub const ENDED: u32 = 256;
    /// IP_MULTICAST_ALL is off: of groups of IPv4 it hears those only that it has joined.
    pub const JOINED_ONLY: u32 = 512;
    /// IPV6_MULTICAST_ALL is off.
    pub const JOINED_ONLY_V6: u32 = 1024;
}

/// The native ports of the host process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ports {
    /// A listener of TCP whose queue is full: a connection there waits.
    pub plug: u16,
    /// A listener of TCP that accepts.
    pub open: u16,
    /// A port of TCP on which nobody listens: a connection there is refused.
    pub shut: u16,
    /// The port of UDP from which programs get what comes from the net.
    pub datagram: u16,
}

/// An own address of the net, or one that a socket may be bound to like one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Own {
    /// The address.
    pub address: IpAddr,
    /// The interface of an IPv6 address of a link, 0 for others.
    pub scope: u32,
}

/// Bits of an alias within its slice.
pub const SLICE_BITS: u32 = 14;
/// Number of the alias that stands for any IPv4 address of the net.
pub const ANY_V4: u32 = 254;
/// Number of the alias that stands for any IPv6 address of the net.
pub const ANY_V6: u32 = 255;
/// Number of the first alias of a slice that stands for a flow.
pub const FIRST_FLOW: u32 = 256;
