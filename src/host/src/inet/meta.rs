//! How a packet came in, and what has become of it.
#![forbid(unsafe_code)]

use memtun_ip::{IcmpError, Options};
use memtun_stack::sockets::Report;
use std::net::IpAddr;

/// How a packet came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// The interface.
    pub ifindex: u32,
    /// Whom it was for.
    pub cast: Cast,
    /// Was its frame for everybody or for a group, whatever its packet says? Such a packet is
    /// taken, and no error follows.
    pub group_frame: bool,
    /// Hop limit and traffic class that it came with.
    pub hops: [u8; 2],
    /// Its options of IPv4, with what this host has filled in.
    pub options: Option<Options>,
}

impl Meta {
    /// Returns how a packet came in by an interface, in a frame for this host alone.
    pub fn new(ifindex: u32, cast: Cast) -> Meta {
        Meta {
            ifindex,
            cast,
            group_frame: false,
            hops: [64, 0],
            options: None,
        }
    }

    /// Returns what is told of an error that came by ICMP in such a packet.
    pub fn report(&self, errno: i32, kind: &IcmpError, offender: IpAddr) -> Report {
        /// SO_EE_ORIGIN_ICMP; the next number is that of ICMPv6.
        const ICMP: u8 = 2;
        Report {
            errno: errno as u32,
            origin: ICMP + u8::from(kind.v6),
            kind: kind.kind,
            code: kind.code,
            hops: self.hops[0],
            info: kind.told(),
            offender,
            scope: 0,
            number: 0,
        }
    }
}

/// Whom a packet was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cast {
    /// An own address.
    Unicast,
    /// All of a network.
    Broadcast,
    /// A group.
    Multicast,
    /// An address that several hosts may have.
    Anycast,
}

/// Has somebody taken a packet?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Somebody has.
    Yes,
    /// Nobody listens there.
    No,
}
