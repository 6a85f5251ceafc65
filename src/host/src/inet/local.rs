//! Who gets the packets that are for this host.
#![forbid(unsafe_code)]

use super::meta::{Meta, Taken};
use super::stack::Output;
use memtun_ip::{Embedded, IcmpError, Packet};
use std::net::IpAddr;

/// Who gets the packets that are for this host. [`device`](super::device) gives them.
pub trait Local {
    /// A datagram of UDP, whole, whose checksum is right.
    fn udp(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) -> Taken;
    /// A segment of TCP whose checksum is right. A closed port is answered here, too.
    fn tcp(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>);
    /// An error that came by ICMP about a packet of this host.
    fn error(
        &mut self,
        out: &mut Output<'_, '_>,
        meta: &Meta,
        offender: IpAddr,
        of: &Embedded<'_>,
        kind: &IcmpError,
    );
    /// An echo reply, for the sockets that have sent echo requests.
    fn echo_reply(&mut self, out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>);
    /// A copy of a packet, whole, for the raw sockets of its protocol. Returns whether there is
    /// one: then a protocol that this host does not know is not refused.
    fn raw(&mut self, _out: &mut Output<'_, '_>, _meta: &Meta, _packet: &Packet<'_>) -> bool {
        false
    }
}
