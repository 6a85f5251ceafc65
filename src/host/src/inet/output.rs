//! Packets that this host sends.
#![forbid(unsafe_code)]

use crate::service::Service;
use memtun_abi::Errno;
use memtun_stack::sockets::question::Wire;
use memtun_stack::sockets::Flow;
use std::net::IpAddr;
use std::time::Instant;

/// What IP keeps between packets: ways, neighbours, pieces.
#[derive(Default)]
pub struct Stack {}

/// The way that a packet takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// The interface.
    pub ifindex: u32,
    /// The source address.
    pub source: IpAddr,
    /// The next hop.
    pub next_hop: IpAddr,
    /// Longest packet in bytes: the interface's, or what was learnt of the path.
    pub mtu: u32,
    /// Hop limit, unless the sender has set one.
    pub hops: u8,
}

/// How packets leave: the service, which knows routes and interfaces, and what IP keeps.
pub struct Output<'o, 'n> {
    /// Addresses, routes, interfaces.
    pub service: &'o mut Service<'n>,
    /// What IP keeps between packets.
    pub stack: &'o mut Stack,
}

impl Output<'_, '_> {
    /// Sends an IP packet of any size, in fragments where that is allowed. Without a way it is
    /// looked for.
    ///
    /// # Errors
    ///
    /// ENETUNREACH and so on as for a program's call; EMSGSIZE where fragments are not allowed.
    pub fn send(&mut self, _packet: &[u8], _way: Option<&Way>) -> Result<(), Errno> {
        Err(Errno(libc::ENOSYS))
    }

    /// Returns the way of a flow's packets.
    ///
    /// # Errors
    ///
    /// ENETUNREACH and so on as for a program's call.
    pub fn way(&mut self, _flow: &Flow) -> Result<Way, Errno> {
        Err(Errno(libc::ENOSYS))
    }

    /// Returns how a packet to a next hop is put on the wire of an interface. Where the neighbour
    /// is not known, it is asked for.
    pub fn wire(&mut self, _ifindex: u32, _next_hop: IpAddr) -> Wire {
        Wire::Unknown
    }

    /// Returns the time.
    pub fn now(&self) -> Instant {
        Instant::now()
    }
}
