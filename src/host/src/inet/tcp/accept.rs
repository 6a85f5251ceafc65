//! A SYN comes for a socket that listens.
//!
//! Where the listener's queue is full the SYN is dropped, and the next one tries again. Else it is
//! answered, and when the other end has answered that, a leg connects to the listener: so what
//! accept and poll say of it is the kernel's. When there are many that have not answered, the older
//! ones are no connections until they do.
#![forbid(unsafe_code)]

use super::halves::Half;
use super::leg::{Connected, Leg};
use super::legs::Legs;
use super::links::Tcp;
use super::live::{After, Generation, Live, Stage};
use crate::inet::meta::Meta;
use crate::inet::output::{Output, Way};
use crate::inet::sockets::manner::Manner;
use crate::inet::sockets::target::Listener;
use crate::inet::sockets::Sockets;
use memtun_abi::Errno;
use memtun_ip::Packet;
use memtun_stack::counters::{self, Counter};
use memtun_stack::sockets::{Flow, Protocol};
use memtun_tcp::segment::{RST, SYN};
use memtun_tcp::{Connection, FastOpen, Pair, Segment, State};
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

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

/// Does a socket of the net listen where a segment goes to?
pub(super) fn is_listened_to(sockets: &mut Sockets, meta: &Meta, segment: &Segment<'_>) -> bool {
    let local = scoped(segment.destination, meta.ifindex);
    sockets.listener(local, meta.ifindex).is_some()
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
        // What has come before it counts: the listener's queue may be full by that.
        self.flush(sockets, out);
        let now = self.now();
        let pair = Pair::of(segment);
        drop(self.halves.take(&pair, now));
        self.begin_half(
            sockets,
            out,
            Half {
                pair,
                syn: packet.bytes().into(),
                ifindex: meta.ifindex,
                seed: 0,
                came: now,
                number: 0,
                serial: 0,
                listener: 0,
            },
        )
    }

    /// Takes a segment for no connection that is known, where the SYN before it is remembered: that
    /// is one again. Returns its number.
    pub(super) fn begin_again(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        segment: &Segment<'_>,
    ) -> Option<usize> {
        let pair = Pair::of(segment);
        let now = self.now();
        let half = self.halves.take(&pair, now)?;
        if segment.flags & (RST | SYN) != 0 {
            let first = Segment::read(&half.syn).map_or(0, |syn| syn.sequence);
            if segment.sequence != first.wrapping_add(1) {
                self.halves.remember(half, now);
            }
            return None;
        }
        self.flush(sockets, out);
        self.begin_half(sockets, out, half);
        self.links.find(&pair)
    }

    /// Makes a connection of a SYN. What has a seed has been answered. Returns false where it is to
    /// be refused.
    fn begin_half(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        mut half: Half,
    ) -> bool {
        let Some(segment) = Segment::read(&half.syn) else {
            return false;
        };
        let (ifindex, answered) = (half.ifindex, half.seed != 0);
        let local = scoped(segment.destination, ifindex);
        let remote = scoped(segment.source, ifindex);
        let Some(listener) = sockets.listener(local, ifindex) else {
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
        half.listener = listener.entry.cookie;
        // What there is no room or no way for is dropped, as by a kernel.
        if !self.begin_legs(sockets) || !self.has_room() {
            return true;
        }
        let Ok(way) = out.way(&flow) else { return true };
        let generation = super::live::generation(out);
        let manner = self.manners.get(&listener.entry.cookie).copied();
        let manner = manner.unwrap_or_default();
        let view = out.view();
        let net = &view.settings;
        let mut settings = self.settings(&flow, net, &way, &manner);
        settings.cookies = net.cookies;
        settings.fast_open = self.fast_open((net.fast_open, net.fast_open_key), &manner);
        match answered {
            true => settings.seed = half.seed,
            false => half.seed = settings.seed,
        }
        let connection = Connection::accept(&half.syn, &settings, half.came);
        let (Some(mut connection), Some(alias)) = (connection, sockets.new_flow(&flow)) else {
            return true;
        };
        self.control.give(&mut connection, out);
        if answered {
            connection.poll(half.came, &mut |_| {});
        }
        let from = match listener.from_loopback {
            true => (Ipv6Addr::LOCALHOST, sockets.ports().plug).into(),
            false => (alias, sockets.ports().plug).into(),
        };
        let cookie = listener.entry.cookie;
        let native = match self.rooms.is_known(cookie, self.now()) {
            true => Some(None),
            false => sockets
                .native(Protocol::Tcp, listener.native, from)
                .map(Some),
        };
        match native {
            // Nobody listens any more, or somebody else where a program of the net did.
            None => {
                sockets.take_back_flow(alias);
                return false;
            }
            // The other end tries again.
            Some(Some(found)) if found.is_full() => {
                sockets.take_back_flow(alias);
                if answered {
                    let now = self.now();
                    self.halves.remember(half, now);
                }
            }
            Some(found) => {
                if let Some(found) = found {
                    self.rooms.learn(cookie, &found, self.now());
                }
                if !answered {
                    out.counted(|table| counters::count(table, Counter::TcpPassiveOpens));
                }
                let parts = (connection, flow, alias);
                let number = self.arrive(sockets, parts, (generation, way), listener, &manner);
                if let Some(number) = number {
                    (half.number, half.serial) = (number, self.serial);
                    self.bound_halves(sockets, half);
                }
            }
        }
        true
    }

    /// Adds one that is not open yet, and gives up the oldest one where there are too many.
    fn bound_halves(&mut self, sockets: &mut Sockets, half: Half) {
        let most = self.rooms.halves(half.listener);
        let Some(old) = self.halves.add(half, most) else {
            return;
        };
        let live = self.live(old.number);
        let is_half = |live: &&mut Live| {
            live.serial == old.serial && live.connection.state() == State::Accepting
        };
        if let Some(live) = live.filter(is_half) {
            let alias = live.alias;
            let now = self.now();
            sockets.take_back_flow(alias);
            self.drop_link(sockets, old.number, now);
            self.halves.remember(old, now);
        }
    }

    /// Whether data in a SYN is taken: bits of net.ipv4.tcp_fastopen.
    fn fast_open(&self, (bits, key): (i64, Option<[u8; 16]>), manner: &Manner) -> Option<FastOpen> {
        const SERVES: i64 = 2;
        const WITHOUT_COOKIE: i64 = 0x200;
        const ALL_LISTENERS: i64 = 0x400;
        let wanted = manner.opens_early() || bits & ALL_LISTENERS != 0;
        (bits & SERVES != 0 && wanted).then(|| {
            let own = [0_u64, 1].map(|half| self.clocks.hash_one(("cookies", half)).to_le_bytes());
            let own = own.concat().try_into().unwrap_or_default();
            FastOpen {
                key: key.unwrap_or(own),
                trusts: bits & WITHOUT_COOKIE != 0,
            }
        })
    }

    /// Answers a SYN. Returns the connection's number.
    fn arrive(
        &mut self,
        sockets: &mut Sockets,
        (connection, flow, alias): (Connection, Flow, Ipv4Addr),
        way: (Generation, Way),
        listener: Listener,
        manner: &Manner,
    ) -> Option<usize> {
        let stage = Stage::Arriving(listener);
        let Some(number) = self.keep(connection, flow, alias, way, stage) else {
            sockets.take_back_flow(alias);
            return None;
        };
        if let Some(live) = self.live(number) {
            live.learn(sockets);
            live.tune(manner);
        }
        Some(number)
    }
}

impl Live {
    /// What becomes of a connection whose SYN is answered: the program gets it when the other end
    /// has answered that.
    pub(super) fn arriving(
        &mut self,
        sockets: &mut Sockets,
        legs: &Legs,
        number: usize,
        listener: Listener,
        now: Duration,
    ) -> After {
        /// How soon a queue that was full is looked at again.
        const SOON: Duration = Duration::from_millis(100);
        match self.connection.state() {
            State::Connecting | State::Accepting => {
                self.stage = Stage::Arriving(listener);
                return After::Stays;
            }
            // One that is over already has its place in the queue nevertheless.
            State::Ended(_) if !self.connection.was_open() => return After::Over,
            State::Ended(_) | State::Open => {}
        }
        let until = self.connection.opened() + self.defers;
        let is_open = self.connection.state() == State::Open;
        if is_open && self.connection.available() == 0 && now < until {
            self.again = Some(until);
            self.stage = Stage::Arriving(listener);
            return After::Stays;
        }
        let refused = Errno(libc::ECONNREFUSED);
        let reached = reach(sockets, legs, &listener, self.alias);
        let ours =
            |sockets: &mut Sockets, own| sockets.is_ours(Protocol::Tcp, listener.native, own);
        match reached {
            Ok((leg, own, Connected::Yes)) => {
                // Somebody else may listen where a program of the net did a moment ago. Without
                // events it would hang: it is ended instead.
                if ours(sockets, own) && legs.add(&leg, number, self.serial).is_ok() {
                    self.stage = Stage::Running(leg);
                    return After::Stays;
                }
                leg.reset();
                self.connection.refuse();
            }
            Ok((_, _, Connected::No(e))) if e == refused => self.connection.refuse(),
            Ok(_) | Err(_) => {
                self.again = Some(now + SOON);
                self.stage = Stage::Arriving(listener);
                return After::Stays;
            }
        }
        // The RST leaves with the next turn.
        self.again = Some(now);
        After::Stays
    }
}

/// Connects to a socket that listens. Returns the leg with its own name, and how far that came.
fn reach(
    sockets: &mut Sockets,
    legs: &Legs,
    listener: &Listener,
    alias: Ipv4Addr,
) -> Result<(Leg, SocketAddr, Connected), Errno> {
    let (leg, own) = match listener.from_loopback {
        true => {
            let leg = legs.bound(&(Ipv6Addr::LOCALHOST, 0).into(), false)?;
            let own = leg.own_name().ok_or(Errno(libc::ENOTCONN))?;
            // All come from the same address there: who this is, the port tells.
            sockets.name_v6_leg(Protocol::Tcp, own.port(), Some(alias));
            (leg, own)
        }
        false => {
            // The port says to the program that it is the host process: nobody else can bind it.
            let own = (alias, sockets.ports().plug).into();
            (legs.bound(&own, true)?, own)
        }
    };
    let connected = leg.connect(&listener.native);
    Ok((leg, own, connected))
}
