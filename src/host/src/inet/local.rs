//! What IP hands up: to sockets, and to connections.
#![forbid(unsafe_code)]

use super::output::Output;
use memtun_ip::{Embedded, IcmpError, Packet};

/// How a packet came in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Meta {
    /// Index of the interface.
    pub index: u32,
    /// Was it for a multicast group?
    pub multicast: bool,
    /// Was it for a broadcast address of IPv4?
    pub broadcast: bool,
    /// Was its frame for everybody or for a group, whatever its packet says?
    pub link_group: bool,
}

/// Did somebody take a datagram?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Somebody did.
    Yes,
    /// Nobody listens there, and the sender is told.
    No,
}

/// The sockets of the net. Packets are whole and right; checksums of UDP and TCP are still to be
/// looked at.
pub trait Local {
    /// Takes a datagram.
    fn udp(&mut self, out: &mut Output<'_>, meta: &Meta, packet: &Packet<'_>) -> Taken;
    /// Takes a segment. It answers with a reset by itself where nobody listens.
    fn tcp(&mut self, out: &mut Output<'_>, meta: &Meta, packet: &Packet<'_>);
    /// Hears of an error about a packet that this net has sent. Returns whether the flow is known:
    /// only then is a smaller MTU believed.
    fn error(
        &mut self,
        out: &mut Output<'_>,
        meta: &Meta,
        of: &Embedded<'_>,
        error: &IcmpError,
    ) -> bool;
    /// Takes the reply to an echo request, and all other messages that IP has no use for.
    fn icmp(&mut self, _out: &mut Output<'_>, _meta: &Meta, _packet: &Packet<'_>) {}
    /// Takes a copy of a packet for raw sockets. Returns whether there is one for its protocol: then
    /// a protocol that nobody knows is not refused.
    fn raw(&mut self, _out: &mut Output<'_>, _meta: &Meta, _packet: &Packet<'_>) -> bool {
        false
    }
}

/// Nobody: what is above a net without sockets.
pub struct Nobody;

impl Local for Nobody {
    fn udp(&mut self, _: &mut Output<'_>, _: &Meta, _: &Packet<'_>) -> Taken {
        Taken::No
    }

    fn tcp(&mut self, out: &mut Output<'_>, _: &Meta, packet: &Packet<'_>) {
        out.reset(packet);
    }

    fn error(&mut self, _: &mut Output<'_>, _: &Meta, _: &Embedded<'_>, _: &IcmpError) -> bool {
        false
    }
}
