//! The names of both ends, as the net has them.
#![forbid(unsafe_code)]

use super::call::{Inet, Native, IP_BIND_ADDRESS_NO_PORT};
use super::name::{family_of, is_any, is_for, is_loopback, of_family, of_loopback};
use crate::host::Host;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::{SocketAnswer, SocketQuestion};
use memtun_stack::sockets::table::{native_v4, Alias, Moment, Standing};
use memtun_stack::sockets::{flag, Entry, Flow, Protocol};
use memtun_sys::now_ns;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whose connection accept(2) has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accepted {
    /// It came from the machine, to a socket that hears it.
    Machine,
    /// It came over the net, from this end.
    Net(SocketAddr),
    /// Somebody on the machine has connected to an address of the net's, which nobody may.
    Foreign,
}

/// Returns a name of any address, with the same port.
fn of_any(name: SocketAddr) -> SocketAddr {
    let none = match name {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(none, name.port())
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns the flow at whose native end this name stands.
    pub(super) fn flow_at(&self, protocol: Protocol, native: &SocketAddr) -> Option<Flow> {
        match native_v4(native.ip()) {
            Some(alias) => self.table.flow(alias),
            None if is_loopback(native) => self.table.flow_of_v6_port(protocol, native.port()),
            None => None,
        }
    }

    /// Is this the native name of one own address?
    fn is_own(&self, native: &SocketAddr) -> bool {
        let what = native_v4(native.ip()).and_then(|alias| self.table.what(alias));
        matches!(what, Some(Alias::Own(_)))
    }

    /// Returns the name that a connected socket of IPv6 keeps, because it was connected to one of
    /// IPv6 first, whatever it sends from now (`np->saddr`).
    fn first_name(&self, family: i32) -> Option<SocketAddr> {
        let entry = self.entry().filter(|_| family == libc::AF_INET6)?;
        let is_v6 = entry.local.is_ipv6() && !is_any(&entry.local);
        (entry.protocol == Protocol::Udp && is_v6).then_some(entry.local)
    }

    fn protocol(&self) -> Option<Protocol> {
        self.kind().map(|kind| kind.protocol)
    }

    /// Returns what getsockname(2) says in place of this native name; None for what the machine's
    /// kernel says.
    pub fn own_name(&self, native: &SocketAddr) -> Option<SocketAddr> {
        if !is_any(native) && !is_loopback(native) {
            return None;
        }
        let family = family_of(native);
        let protocol = self.protocol()?;
        let peer = self.socket.peer_name().ok();
        let flow = peer.and_then(|peer| self.flow_at(protocol, &peer));
        // Who is connected has its port.
        let may_wait = protocol == Protocol::Tcp && flow.is_none();
        let name = match flow {
            Some(flow) => Some(self.first_name(family).unwrap_or(flow.local)),
            None if native.port() == 0 => None,
            None => {
                let entry = self.entry();
                let entry = entry.filter(|entry| entry.native.port() == native.port());
                match entry {
                    // Its connection has ended, and with it the name that it had for that.
                    Some(entry) if is_any(&entry.local) && self.is_own(native) => {
                        let has_port = entry.flags & (flag::PORT_GIVEN | flag::FALLBACK) != 0;
                        let port = if has_port { entry.local.port() } else { 0 };
                        Some(SocketAddr::new(entry.local.ip(), port))
                    }
                    Some(entry) if entry.flags & flag::ADDRESS_GIVEN != 0 => Some(entry.local),
                    known => {
                        let named = || self.table.name_of(protocol, *native);
                        let name = known.map(|entry| entry.local).or_else(named);
                        // Or it talks to the machine, by an address that the kernel has chosen.
                        let reached = |name: &SocketAddr| match is_any(name) {
                            true => self.reached_by(protocol, peer).or_else(|| {
                                let chosen = self.chosen_by_machine(native);
                                chosen.map(|address| SocketAddr::new(address, name.port()))
                            }),
                            false => None,
                        };
                        let name = name.map(|name| reached(&name).unwrap_or(name));
                        // A connection that did not come, or was ended by the program, leaves it
                        // its port.
                        name.map(|name| match protocol {
                            Protocol::Tcp if self.is_disconnected() => of_any(name),
                            _ => name,
                        })
                    }
                }
            }
        }?;
        let name = match may_wait && self.waits_for_port() {
            true => SocketAddr::new(name.ip(), 0),
            false => name,
        };
        Some(of_family(family, name))
    }

    /// Has a socket of TCP only an address yet, because the program has asked for no port before it
    /// connects? Its native one has both.
    fn waits_for_port(&self) -> bool {
        let asked = || {
            self.socket
                .option(libc::IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)
                == Ok(1)
        };
        let none = |entry: &Entry| entry.flags & (flag::PORT_GIVEN | flag::LISTENS) == 0;
        asked() && self.entry().is_some_and(|entry| none(&entry)) && self.is_disconnected()
    }

    /// Returns the name by which a socket of this net has reached this one: its native name says
    /// no more than that it has any address.
    fn reached_by(&self, protocol: Protocol, peer: Option<SocketAddr>) -> Option<SocketAddr> {
        self.table.of_native(protocol, peer?)?.remote
    }

    /// Returns the name of a socket of this net that stood for any address and was connected by an
    /// address of the machine's loopback, which its native name is.
    pub(super) fn connected_from(
        &self,
        protocol: Protocol,
        native: SocketAddr,
    ) -> Option<SocketAddr> {
        let entry = self.table.of_native(protocol, native)?;
        let from_loopback = is_loopback(&entry.local);
        let named = from_loopback || entry.remote.is_some() && !is_any(&entry.local);
        named.then_some(entry.local)
    }

    /// Is what came from this native name from a socket of the net? The table alone does not tell:
    /// a socket ends without a word, and whoever is on the machine can bind another one to its
    /// name.
    pub(super) fn speaks_for_net(&self, protocol: Protocol, native: &SocketAddr) -> bool {
        let now = Moment((now_ns(libc::CLOCK_MONOTONIC_COARSE) / 1_000_000) as u32);
        let Some(standing) = self.table.standing(protocol, *native, now) else {
            return false;
        };
        // One that was there a moment ago says nothing of a connection that has come since.
        if standing == Standing::Seen && protocol != Protocol::Tcp {
            return true;
        }
        let unasked = standing != Standing::Ended;
        if self.table.is_deaf(now) {
            return unasked;
        }
        let question = SocketQuestion {
            native: self.socket.own_name().ok(),
            ..SocketQuestion::about(protocol, *native)
        };
        match self.ask(What::Speaks, &question) {
            Ok(SocketAnswer::Done) => {
                self.table.saw(protocol, *native, now);
                true
            }
            Ok(_) => false,
            // Where nobody answers, nobody has noticed an end either.
            Err(_) => {
                self.table.was_deaf(now);
                unasked
            }
        }
    }

    /// Returns the address of a native name that the machine's kernel has chosen, and not the net.
    fn chosen_by_machine(&self, native: &SocketAddr) -> Option<IpAddr> {
        let alias = native_v4(native.ip());
        let of_net = alias.is_some_and(|alias| self.table.what(alias).is_some());
        (!is_any(native) && !of_net).then_some(native.ip())
    }

    /// Returns what getpeername(2) says in place of this native name; None for what the machine's
    /// kernel says.
    pub fn peer_name(&self, native: &SocketAddr) -> Option<SocketAddr> {
        if !is_loopback(native) {
            return None;
        }
        // Both ends may stand for any address natively, so what was noted comes first.
        match self.entry().and_then(|entry| entry.remote) {
            Some(remote) => Some(of_family(family_of(native), remote)),
            None => self.remote_name(native).filter(|_| {
                // A socket of datagrams that the net has not connected is the machine's, even where
                // one of the net's has that name natively.
                let of_net = native_v4(native.ip()).and_then(|alias| self.table.what(alias));
                of_net.is_some() || self.protocol() != Some(Protocol::Udp)
            }),
        }
    }

    /// Returns the net's name of a sender, or of the other end of a connection, with this native
    /// name.
    pub fn remote_name(&self, native: &SocketAddr) -> Option<SocketAddr> {
        if !is_loopback(native) {
            return None;
        }
        let protocol = self.protocol()?;
        let name = match self.flow_at(protocol, native) {
            Some(flow) => flow.remote,
            None => match self.table.name_of(protocol, *native) {
                Some(name) => of_loopback(name),
                None => self.connected_from(protocol, *native)?,
            },
        };
        Some(of_family(family_of(native), name))
    }

    /// Says whose connection this is, on a socket that accept(2) has just given. `peer` is its
    /// other end's native name.
    pub fn accepted(&self, peer: &SocketAddr) -> Accepted {
        let family = family_of(peer);
        let own = || self.socket.own_name().ok();
        let Some(alias) = native_v4(peer.ip()) else {
            // A listener that hears nothing of IPv4.
            let flow = self.flow_at(Protocol::Tcp, peer);
            return flow.map_or(Accepted::Machine, |flow| Accepted::Net(flow.remote));
        };
        match self.table.what(alias) {
            Some(Alias::Flow(at)) => match self.table.flow_at(at) {
                // Nobody else can bind the host process's port. A socket of this net can have the
                // alias where that tells who it is.
                Some(flow)
                    if flow.protocol == Protocol::Tcp
                        && is_for(family, &flow.remote)
                        && (peer.port() == self.table.ports().plug
                            || self.speaks_for_net(Protocol::Tcp, peer)) =>
                {
                    Accepted::Net(of_family(family, flow.remote))
                }
                _ => Accepted::Foreign,
            },
            Some(_) => match self.table.name_of(Protocol::Tcp, *peer).map(of_loopback) {
                Some(name) if is_for(family, &name) && self.speaks_for_net(Protocol::Tcp, peer) => {
                    Accepted::Net(of_family(family, name))
                }
                _ => Accepted::Foreign,
            },
            // Such a program hears nothing of the machine's networks.
            None if self.host.is_isolated() && own().is_none_or(|own| !is_loopback(&own)) => {
                Accepted::Foreign
            }
            None => {
                let own = own().and_then(|own| native_v4(own.ip()));
                let Some(_) = own.and_then(|own| self.table.what(own)) else {
                    return Accepted::Machine;
                };
                let name = self.connected_from(Protocol::Tcp, *peer);
                let name = name.filter(|name| is_for(family, name));
                match name.filter(|_| self.speaks_for_net(Protocol::Tcp, peer)) {
                    Some(name) => Accepted::Net(of_family(family, name)),
                    None => match self.reached_by(Protocol::Tcp, Some(*peer)) {
                        Some(_) => Accepted::Machine,
                        None => Accepted::Foreign,
                    },
                }
            }
        }
    }
}
