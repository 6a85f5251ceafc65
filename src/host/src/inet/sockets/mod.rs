//! The sockets of the net's programs: their names, ports and flows, and the table of them.
#![forbid(unsafe_code)]

use memtun_stack::sockets::{Entry, Flow, Ports, Protocol};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::BorrowedFd;

/// The sockets of the net's programs.
#[derive(Default)]
pub struct Sockets {}

/// A socket that listens, and where a leg connects to reach it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    /// What the net knows of it.
    pub entry: Entry,
    /// Where a leg connects to.
    pub native: SocketAddr,
    /// Must the leg come from ::1, because the socket hears nothing of IPv4? Its port is told by
    /// [`Sockets::name_v6_leg`] before it connects.
    pub from_loopback: bool,
}

impl Sockets {
    /// Gives an alias to a flow. None means that there is none left.
    pub fn new_flow(&mut self, _flow: &Flow) -> Option<Ipv4Addr> {
        None
    }

    /// Says that a flow is over. Its alias is given again when no native socket uses it.
    pub fn end_flow(&mut self, _alias: Ipv4Addr) {}

    /// Returns a flow.
    pub fn flow(&self, _alias: Ipv4Addr) -> Option<Flow> {
        None
    }

    /// Changes a flow, for example to set its error.
    pub fn set_flow(&mut self, _alias: Ipv4Addr, _flow: &Flow) {}

    /// Returns the socket of TCP that listens at a name and hears of what comes by an interface.
    pub fn listener(&mut self, _to: SocketAddr, _ifindex: u32) -> Option<Listener> {
        None
    }

    /// Says that the leg of a flow to a socket that hears nothing of IPv4 comes from this port of
    /// ::1. None takes it back.
    pub fn name_v6_leg(&mut self, _protocol: Protocol, _port: u16, _alias: Option<Ipv4Addr>) {}

    /// Does the native socket with this own name and this other end belong to the user whose net
    /// it is?
    pub fn is_ours(&mut self, _protocol: Protocol, _own: SocketAddr, _other: SocketAddr) -> bool {
        false
    }

    /// Returns the alias of an own address.
    pub fn alias_of(&self, _address: IpAddr, _scope: u32) -> Option<Ipv4Addr> {
        None
    }

    /// Returns the native ports.
    pub fn ports(&self) -> Ports {
        Ports::default()
    }

    /// Returns the listener of the port `open`, from which TCP accepts. It does not block.
    pub fn open_listener(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
