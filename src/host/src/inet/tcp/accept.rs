//! A SYN comes for a socket that listens.
//!
//! A leg connects to the listener before the SYN is answered: so its backlog, its refusals and what
//! poll says of it are the kernel's. Where the queue is full the SYN is dropped, and the next one
//! tries again.
#![forbid(unsafe_code)]

use super::leg::{Connected, Leg};
use super::links::Tcp;
use super::live::Stage;
use crate::inet::meta::Meta;
use crate::inet::output::Output;
use crate::inet::sockets::target::Listener;
use crate::inet::sockets::Sockets;
use memtun_abi::Errno;
use memtun_ip::Packet;
use memtun_stack::counters::{self, Counter};
use memtun_stack::sockets::{Flow, Protocol};
use memtun_tcp::{Connection, Segment};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Gives an address of a link the interface that it is of.
fn scoped(address: SocketAddr, ifindex: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(mut v6) if v6.ip().is_unicast_link_local() => {
            v6.set_scope_id(ifindex);
            v6.into()
        }
        other => other,
    }
}

impl Tcp {
    /// Takes a SYN for no connection that is known. Returns false where it is to be refused.
    pub(super) fn begin(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        meta: &Meta,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
    ) -> bool {
        let local = scoped(segment.destination, meta.ifindex);
        let remote = scoped(segment.source, meta.ifindex);
        let Some(listener) = sockets.listener(local, meta.ifindex) else {
            return false;
        };
        let flow = Flow {
            protocol: Protocol::Tcp,
            local,
            remote,
            ifindex: 0,
            mss: 0,
            error: 0,
        };
        // What there is no room or no way for is dropped, as by a kernel.
        if !self.begin_legs(sockets) {
            return true;
        }
        let Ok(way) = out.way(&flow) else { return true };
        let generation = super::live::generation(out);
        let manner = self.manners.get(&listener.entry.cookie).copied();
        let manner = manner.unwrap_or_default();
        let offer = out.view().settings.offer;
        let settings = self.settings(offer, &way, &manner);
        let now = self.now();
        let connection = Connection::accept(packet.bytes(), &settings, now);
        let (Some(mut connection), Some(alias)) = (connection, sockets.new_flow(&flow)) else {
            return true;
        };
        self.control.give(&mut connection, out);
        let (reached, connected) = match reach(sockets, &listener, alias) {
            Ok((leg, own, connected)) => (Some((leg, own)), connected),
            Err(e) => (None, Connected::No(e)),
        };
        let (leg, own) = match (connected, reached) {
            (Connected::Yes, Some(reached)) => reached,
            (connected, _) => {
                sockets.end_flow(alias);
                // Of what else fails here the other end is to hear nothing: it tries again.
                let refused = Errno(libc::ECONNREFUSED);
                return connected != Connected::No(refused);
            }
        };
        if !sockets.is_ours(Protocol::Tcp, listener.native, own) {
            // Somebody else listens where a program of the net did a moment ago.
            leg.reset();
            sockets.end_flow(alias);
            return false;
        }
        let way = (generation, way);
        let stage = Stage::Running(leg);
        let Some(number) = self.keep(connection, flow, alias, way, stage) else {
            sockets.end_flow(alias);
            return true;
        };
        out.counted(|table| counters::count(table, Counter::TcpPassiveOpens));
        let legs = self.legs.clone();
        if let (Some(live), Some(legs)) = (self.live(number), legs) {
            live.learn(sockets);
            live.tune(&manner);
            if let Stage::Running(leg) = &live.stage {
                // Without events it would hang: it is ended instead.
                if legs.add(leg, number, live.serial).is_err() {
                    live.connection.abort();
                }
            }
        }
        true
    }
}

/// Connects to a socket that listens. Returns the leg with its own name, and how far that came.
fn reach(
    sockets: &mut Sockets,
    listener: &Listener,
    alias: Ipv4Addr,
) -> Result<(Leg, SocketAddr, Connected), Errno> {
    let (leg, own) = match listener.from_loopback {
        true => {
            let leg = Leg::bound(&(Ipv6Addr::LOCALHOST, 0).into(), false)?;
            let own = leg.own_name().ok_or(Errno(libc::ENOTCONN))?;
            // All come from the same address there: who this is, the port tells.
            sockets.name_v6_leg(Protocol::Tcp, own.port(), Some(alias));
            (leg, own)
        }
        false => {
            // The port says to the program that it is the host process: nobody else can bind it.
            let own = (alias, sockets.ports().plug).into();
            (Leg::bound(&own, true)?, own)
        }
    };
    let connected = leg.connect(&listener.native);
    Ok((leg, own, connected))
}
