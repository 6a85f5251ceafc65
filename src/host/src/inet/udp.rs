//! Datagrams for sockets, and errors about those that sockets have sent (`__udp4_lib_rcv`,
//! `__udp4_lib_mcast_deliver`, `udp_err` and theirs of IPv6).
#![forbid(unsafe_code)]

use super::groups::Groups;
use super::meta::{Cast, Meta, Taken};
use super::output::Output;
use super::sockets::names::with_port;
use super::sockets::target::Listener;
use super::sockets::Sockets;
use memtun_abi::Errno;
use memtun_ip::udp::{self, Datagram};
use memtun_ip::{protocol, Embedded, Head, IcmpError, Packet};
use memtun_stack::sockets::{flag, Flow, Protocol, Report};
use memtun_sys::{self as sys, inet, Fd};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// Longest datagram.
const LONGEST: usize = 65_536;
/// Most sockets of ::1 by which those are reached that hear nothing of IPv4.
const MOST_LEGS: usize = 256;
/// Most sockets that one datagram to a group is given to.
const MOST_COPIES: usize = 256;

/// What UDP keeps.
pub struct Udp {
    /// Sockets on ::1, each for one flow.
    legs: HashMap<Ipv4Addr, Fd>,
    room: Vec<u8>,
    hasher: RandomState,
}

impl Default for Udp {
    fn default() -> Udp {
        Udp {
            legs: HashMap::new(),
            room: Vec::new(),
            hasher: RandomState::new(),
        }
    }
}

/// One datagram on its way to sockets.
struct Delivery<'d> {
    flow: Flow,
    hops: u8,
    tos: u8,
    parts: [&'d [u8]; 2],
}

impl Udp {
    /// Gives a datagram to the sockets that it is for.
    pub fn receive(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        meta: &Meta,
        packet: &Packet<'_>,
    ) -> Taken {
        let Some(datagram) = Datagram::parse(packet) else {
            return Taken::Yes;
        };
        let end = |address: IpAddr, port: u16| {
            with_port(SocketAddr::new(address, port), port, meta.ifindex)
        };
        let delivery = Delivery {
            flow: Flow {
                protocol: Protocol::Udp,
                local: end(packet.destination, datagram.destination),
                remote: end(packet.source, datagram.source),
                ifindex: meta.ifindex,
                mss: 0,
                error: 0,
            },
            hops: packet.hop_limit,
            tos: packet.traffic_class,
            parts: [datagram.payload, &[]],
        };
        match meta.cast {
            Cast::Unicast | Cast::Anycast => match self.give_one(sockets, &delivery) {
                // A driver that receives the port is a socket, too.
                Taken::No if out.service.net().is_received(datagram.destination) => Taken::Yes,
                taken => taken,
            },
            Cast::Broadcast | Cast::Multicast => {
                self.give_all(sockets, &out.stack.groups, &delivery)
            }
        }
    }

    /// Gives a datagram to the socket that suits best.
    fn give_one(&mut self, sockets: &mut Sockets, delivery: &Delivery<'_>) -> Taken {
        let flow = &delivery.flow;
        let number = self.hasher.hash_one((flow.local, flow.remote));
        /// Number of sockets that may be gone.
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let found = sockets.receiver(flow, number);
            let Some((row, listener)) = found else { break };
            match self.give(sockets, row, &listener, delivery) {
                // Nobody has that port any more.
                Err(Errno(libc::ECONNREFUSED)) => match row {
                    Some(row) => sockets.gone(row),
                    None => break,
                },
                _ => return Taken::Yes,
            }
        }
        Taken::No
    }

    /// Gives a datagram to all sockets that hear it.
    fn give_all(
        &mut self,
        sockets: &mut Sockets,
        groups: &Groups,
        delivery: &Delivery<'_>,
    ) -> Taken {
        let flow = &delivery.flow;
        let mut all = sockets.receivers(flow);
        let (group, source) = (flow.local.ip(), flow.remote.ip());
        all.retain(|(_, listener)| {
            let entry = &listener.entry;
            let joined_only = match group {
                IpAddr::V4(_) => flag::JOINED_ONLY,
                IpAddr::V6(_) => flag::JOINED_ONLY_V6,
            };
            let others = !group.is_multicast() || entry.flags & joined_only == 0;
            groups
                .hears(entry.cookie, flow.ifindex, group, source)
                .unwrap_or(others)
        });
        for (row, listener) in all.into_iter().take(MOST_COPIES) {
            let given = self.give(sockets, Some(row), &listener, delivery);
            if given == Err(Errno(libc::ECONNREFUSED)) {
                sockets.gone(row);
            }
        }
        Taken::Yes
    }

    /// Gives a datagram to a socket, as one from the flow's alias.
    fn give(
        &mut self,
        sockets: &mut Sockets,
        row: Option<usize>,
        listener: &Listener,
        delivery: &Delivery<'_>,
    ) -> Result<(), Errno> {
        let alias = match listener
            .entry
            .flow
            .filter(|_| listener.entry.remote.is_some())
        {
            Some(alias) => alias,
            None => sockets
                .new_flow(&delivery.flow)
                .ok_or(Errno(libc::ENOBUFS))?,
        };
        if listener.from_loopback {
            return self.give_by_leg(sockets, listener, alias, delivery);
        }
        let datagram = inet::Datagram {
            to: listener.native,
            from: Some(alias),
            hops: delivery.hops.max(1),
            tos: Some(delivery.tos),
        };
        let port = sockets.ports().datagram;
        // The one who would get it must be the one who asked for it.
        let gets = |row| sockets.gets(row, listener.native, (alias, port));
        if !row.is_some_and(gets) {
            return Err(Errno(libc::ECONNREFUSED));
        }
        let socket = sockets.datagram_socket().ok_or(Errno(libc::ENETDOWN))?;
        send(socket, &datagram, &delivery.parts)?;
        // Where nobody listens, that is known at once.
        let refused = inet::receive_datagram(socket, &mut [0; 64], libc::MSG_ERRQUEUE).is_ok();
        drain_errors(sockets);
        match refused {
            true => Err(Errno(libc::ECONNREFUSED)),
            false => Ok(()),
        }
    }

    /// Gives a datagram to a socket that hears nothing of IPv4: from a port of ::1 that stands for
    /// the flow.
    fn give_by_leg(
        &mut self,
        sockets: &mut Sockets,
        listener: &Listener,
        alias: Ipv4Addr,
        delivery: &Delivery<'_>,
    ) -> Result<(), Errno> {
        let leg = self.leg(sockets, alias)?;
        let datagram = inet::Datagram {
            to: listener.native,
            from: None,
            hops: 0,
            tos: None,
        };
        send(leg.as_fd(), &datagram, &delivery.parts)
    }

    /// Returns the leg of a flow.
    ///
    /// # Errors
    ///
    /// EMFILE and others.
    pub fn leg(&mut self, sockets: &mut Sockets, alias: Ipv4Addr) -> Result<&Fd, Errno> {
        if !self.legs.contains_key(&alias) {
            if self.legs.len() >= MOST_LEGS {
                let connected = sockets.connected_flows();
                let stays = |alias: &Ipv4Addr| connected.contains(alias);
                // Where all are of sockets that are connected, none of them stays.
                let any = !self.legs.keys().all(stays);
                for (_, leg) in self.legs.extract_if(|alias, _| !(any && stays(alias))) {
                    if let Ok(name) = inet::own_name(leg.raw()) {
                        sockets.name_v6_leg(Protocol::Udp, name.port(), None);
                    }
                }
            }
            let leg = sys::socket(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
            inet::bind_name(leg.as_fd(), &(Ipv6Addr::LOCALHOST, 0).into())?;
            let port = inet::own_name(leg.raw())?.port();
            sockets.name_v6_leg(Protocol::Udp, port, Some(alias));
            self.legs.insert(alias, leg);
        }
        self.legs.get(&alias).ok_or(Errno(libc::ENOBUFS))
    }

    /// Tells the socket that has sent a packet of an error.
    pub fn error(
        &mut self,
        sockets: &mut Sockets,
        meta: &Meta,
        offender: IpAddr,
        of: &Embedded<'_>,
        kind: &IcmpError,
    ) -> bool {
        let Some(protocol) = Protocol::of(of.protocol) else {
            return false;
        };
        let end = |end: SocketAddr| with_port(end, end.port(), meta.ifindex);
        let flow = Flow {
            protocol,
            local: end(of.local),
            remote: end(of.remote),
            ifindex: meta.ifindex,
            mss: 0,
            error: 0,
        };
        let Some((row, listener)) = sockets.receiver(&flow, 0) else {
            return false;
        };
        // What is no socket of the net's is not told.
        let Some(row) = row else { return true };
        let Some((errno, is_hard)) = kind.errno() else {
            return true;
        };
        let (connected, asks) = (
            listener.entry.remote.is_some(),
            listener.entry.flags & flag::RECEIVES_ERRORS != 0,
        );
        // Only who asks for errors hears of those that may pass.
        let hears = asks || connected && is_hard;
        if !hears {
            return true;
        }
        if sockets.is_unseen(&listener.entry) {
            return true;
        }
        let number = sockets.raise(row, Errno(errno));
        let report = Report {
            number,
            ..meta.report(errno, kind, offender)
        };
        let Some(secret) = sockets.table().map(|table| table.secret()) else {
            return true;
        };
        let head = report.to_bytes(secret);
        let delivery = Delivery {
            flow,
            hops: 64,
            tos: 0,
            parts: [&head, of.data()],
        };
        let _ = self.give(sockets, Some(row), &listener, &delivery);
        true
    }

    /// Sends on a datagram that a program has sent to an alias by itself. Returns false when there
    /// is none.
    pub fn send_native(&mut self, sockets: &mut Sockets, out: &mut Output<'_, '_>) -> bool {
        let Some(socket) = sockets.datagram_socket() else {
            return false;
        };
        let mut room = std::mem::take(&mut self.room);
        // The headers are put in front of what is received.
        const HEADERS: usize = 48;
        room.resize(HEADERS + LONGEST, 0);
        let received = inet::receive_datagram(socket, &mut room[HEADERS..], 0);
        let going_on = match received {
            Ok(_) => true,
            Err(Errno(libc::EAGAIN)) => false,
            Err(_) => {
                drain_errors(sockets);
                true
            }
        };
        if let Ok(received) = received {
            let payload = room[HEADERS..].get(..received.length);
            if let (Some(payload), Some(from), Some(to)) = (payload, received.from, received.to) {
                pass_on(sockets, out, from, to, payload);
            }
        }
        self.room = room;
        going_on
    }
}

/// Sends on what a program has sent from its native name to an alias.
fn pass_on(
    sockets: &mut Sockets,
    out: &mut Output<'_, '_>,
    from: SocketAddr,
    to: IpAddr,
    payload: &[u8],
) {
    let IpAddr::V4(alias) = to else { return };
    let Some(flow) = sockets.flow(alias) else {
        return;
    };
    let port = sockets.ports().datagram;
    // A socket that the net does not know may not speak for one of its addresses.
    let other = SocketAddr::new(alias.into(), port);
    let native = sockets.native(Protocol::Udp, from, other);
    let Some(native) = native else { return };
    let flow = match flow.local.port() {
        0 => sockets.adopt_unseen(&native, from, alias, &flow),
        _ => sockets.speaks_for(&native, &flow).then_some(flow),
    };
    let Some(flow) = flow else { return };
    let Ok(way) = out.way(&flow) else { return };
    let source = match flow.local.ip() {
        any if any.is_unspecified() => way.source,
        own => own,
    };
    let mut head = Head::new(source, flow.remote.ip(), protocol::UDP);
    head.hop_limit = way.hops;
    let needs_pieces = head.length() + udp::HEADER + payload.len() > way.mtu as usize;
    if needs_pieces {
        head.dont_fragment = false;
        head.id = out.next_id() as u16;
    }
    let mut packet = vec![0; head.length() + udp::HEADER + payload.len()];
    let length = match flow.protocol {
        Protocol::Udp => {
            let ports = (flow.local.port(), flow.remote.port());
            udp::write(&mut packet, &head, ports, payload)
        }
        _ => return,
    };
    if let Ok(length) = length {
        let _ = out.send(&packet[..length], Some(&way));
    }
}

fn send(socket: BorrowedFd<'_>, datagram: &inet::Datagram, parts: &[&[u8]]) -> Result<(), Errno> {
    /// An error of an earlier datagram may have to be taken first.
    const TRIES: usize = 4;
    let mut sent = Ok(0);
    for _ in 0..TRIES {
        sent = inet::send_datagram(socket, datagram, parts);
        match sent {
            Err(Errno(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::EINTR)) => {
                let _ = inet::receive_datagram(socket, &mut [0; 64], libc::MSG_ERRQUEUE);
            }
            _ => break,
        }
    }
    sent.map(drop)
}

/// Takes what is left in the queue of errors.
fn drain_errors(sockets: &Sockets) {
    if let Some(socket) = sockets.datagram_socket() {
        while inet::receive_datagram(socket, &mut [0; 64], libc::MSG_ERRQUEUE).is_ok() {}
    }
}
