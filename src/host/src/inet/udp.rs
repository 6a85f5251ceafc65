//! Datagrams for sockets.
#![forbid(unsafe_code)]

use super::meta::{Meta, Taken};
use super::output::Output;
use super::sockets::Sockets;
use memtun_ip::{Embedded, IcmpError, Packet};
use std::net::IpAddr;

/// What UDP keeps.
#[derive(Default)]
pub struct Udp {}

impl Udp {
    /// Gives a datagram to the sockets that it is for.
    pub fn receive(
        &mut self,
        _sockets: &mut Sockets,
        _out: &mut Output<'_, '_>,
        _meta: &Meta,
        _packet: &Packet<'_>,
    ) -> Taken {
        Taken::No
    }

    /// Tells the socket that has sent a packet of an error.
    pub fn error(
        &mut self,
        _sockets: &mut Sockets,
        _meta: &Meta,
        _offender: IpAddr,
        _of: &Embedded<'_>,
        _kind: &IcmpError,
    ) {
    }

    /// Gives an echo reply to the socket that has sent the request.
    pub fn echo_reply(
        &mut self,
        _sockets: &mut Sockets,
        _out: &mut Output<'_, '_>,
        _meta: &Meta,
        _packet: &Packet<'_>,
    ) {
    }
}
