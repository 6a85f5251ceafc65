//! Connections.
#![forbid(unsafe_code)]

use super::meta::Meta;
use super::output::Output;
use super::sockets::Sockets;
use crate::reply::Reply;
use memtun_abi::Errno;
use memtun_ip::{Embedded, IcmpError, Packet};
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::Flow;
use std::net::{Ipv4Addr, SocketAddr};

/// What TCP keeps.
#[derive(Default)]
pub struct Tcp {}

/// A connection that a program begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The flow.
    pub flow: Flow,
    /// The alias that stands for it.
    pub alias: Ipv4Addr,
    /// What the program's socket is to be bound to before it connects; None where it is bound.
    pub bind: Option<SocketAddr>,
    /// The native name from which the program's socket will connect.
    pub native: SocketAddr,
    /// Is the program's socket one of AF_INET6, which needs mapped addresses?
    pub v6: bool,
    /// The mtu of the way.
    pub mtu: u32,
}

impl Tcp {
    /// Sends the SYN, and answers by `reply` what the program's socket is to do: at once, or when
    /// something has come back, or a moment later.
    pub fn connect(
        &mut self,
        _sockets: &mut Sockets,
        _out: &mut Output<'_, '_>,
        _opening: Opening,
        reply: Reply,
    ) {
        reply.give(Err::<&SocketAnswer, _>(Errno(libc::ENOSYS)));
    }

    /// Takes a segment.
    pub fn receive(
        &mut self,
        _sockets: &mut Sockets,
        _out: &mut Output<'_, '_>,
        _meta: &Meta,
        _packet: &Packet<'_>,
    ) {
    }

    /// Hears of an error that came by ICMP.
    pub fn error(
        &mut self,
        _sockets: &mut Sockets,
        _out: &mut Output<'_, '_>,
        _meta: &Meta,
        _of: &Embedded<'_>,
        _kind: &IcmpError,
    ) {
    }
}
