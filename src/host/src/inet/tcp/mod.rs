//! Connections.
#![forbid(unsafe_code)]

use super::meta::Meta;
use super::output::Output;
use super::sockets::connect::Opening;
use super::sockets::Sockets;
use crate::reply::Reply;
use memtun_abi::Errno;
use memtun_ip::{Embedded, IcmpError, Packet};
use memtun_stack::sockets::question::SocketAnswer;
use std::net::Ipv4Addr;

/// What TCP keeps.
#[derive(Default)]
pub struct Tcp {}

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

    /// Gives up a connection whose program asks anew, because its socket could not be bound.
    pub fn abandon(&mut self, _sockets: &mut Sockets, _out: &mut Output<'_, '_>, _alias: Ipv4Addr) {
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
