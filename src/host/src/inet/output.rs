//! Packets that this host sends, or passes on: route, pieces, neighbour, interface.
#![forbid(unsafe_code)]

use super::fragment::Pieces;
use super::ground::Ground;
use super::limit::Limit;
use super::links::Links;
use super::meta::Meta;
use super::multicast::Groups;
use super::neighbour::{self, Neighbours};
use super::route::{Routes, Verdict};
use super::view::{Interface, View};
use crate::engine::route::lookup::Flow as Wanted;
use crate::service::Service;
use memtun_abi::Errno;
use memtun_ip::fragment::Fragments;
use memtun_ip::{ethernet, tcp, IcmpError, Packet};
use memtun_stack::sockets::question::Wire;
use memtun_stack::sockets::Flow;
use memtun_sys as sys;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::route::Way;

/// Longest frame: a packet of the largest size with a link header.
const LONGEST: usize = 65_536 + ethernet::HEADER;
/// Most packets that wait to be handed up.
const MOST_WAITING: usize = 1024;

/// What IP keeps between packets: ways, neighbours, pieces.
#[derive(Default)]
pub struct Stack {
    view: Option<Arc<View>>,
    pub(super) links: Links,
    pub(super) routes: Routes,
    pub(super) neighbours: Neighbours,
    pub(super) pieces: Pieces,
    pub(super) limit: Limit,
    pub(super) groups: Groups,
    /// What waits to be handed up to sockets, when nobody of them is running.
    pub(super) waiting: VecDeque<Waiting>,
    /// When the thread that runs timers will run them next.
    announced: Option<Duration>,
    /// Identification of the next packet that may be taken to pieces.
    id: Option<u32>,
    frame: Vec<u8>,
    piece: Vec<u8>,
}

/// What waits to be handed up.
pub(super) enum Waiting {
    /// An error about a packet, found out by this host itself.
    Error(Meta, Vec<u8>, IcmpError),
    /// A packet from this host to itself.
    Packet(Vec<u8>),
}

impl Stack {
    /// Returns how long it is until [`All::run_timers`](super::All::run_timers) has something to
    /// do.
    pub fn next_timer(&self) -> Option<Duration> {
        self.due().map(|due| due.saturating_sub(clock()))
    }

    fn due(&self) -> Option<Duration> {
        let timers = [self.neighbours.next_timer(), self.pieces.next_timer()];
        timers.into_iter().flatten().min()
    }

    /// Returns the same as [`Stack::next_timer`] to the thread that runs timers, which waits for so
    /// long.
    pub(crate) fn announce_timer(&mut self) -> Option<Duration> {
        self.announced = self.due();
        self.next_timer()
    }

    /// Is something due before the thread that runs timers thinks?
    pub(super) fn is_early(&self) -> bool {
        let due = self.due();
        due.is_some_and(|due| self.announced.is_none_or(|announced| due < announced))
    }

    /// Returns a number that changes with each MTU that is learned of a path: a way that was found
    /// before may have changed.
    pub fn paths_generation(&self) -> u32 {
        self.routes.paths_generation()
    }
}

/// The time of a clock that goes forward.
pub(super) fn clock() -> Duration {
    Duration::from_nanos(sys::now_ns(libc::CLOCK_MONOTONIC))
}

/// How packets leave: the service, which knows routes and interfaces, and what IP keeps.
pub struct Output<'o, 'n> {
    /// Addresses, routes, interfaces.
    pub service: &'o mut Service<'n>,
    /// What IP keeps between packets.
    pub stack: &'o mut Stack,
}

impl Output<'_, '_> {
    /// Sends an IP packet of this host, whose header and checksums are complete, in fragments where
    /// that is allowed. Without a way it is looked for.
    ///
    /// # Errors
    ///
    /// - EMSGSIZE: it is too long for the path, and forbids fragments.
    /// - EINVAL: it is no packet.
    /// - ENETUNREACH and so on as for a program's call, and what putting it into the queue fails
    ///   with.
    pub fn send(&mut self, packet: &[u8], way: Option<&Way>) -> Result<(), Errno> {
        let read = Packet::parse(packet).map_err(|_| Errno(libc::EINVAL))?;
        let way = match way {
            Some(way) => *way,
            None => self.find(&Wanted {
                from: read.source,
                tos: read.traffic_class,
                protocol: read.protocol,
                ..Wanted::to(read.destination)
            })?,
        };
        if way.is_local() {
            self.wait(Waiting::Packet(packet.to_vec()));
            return Ok(());
        }
        if packet.len() <= way.mtu as usize {
            return self.give(packet, &way);
        }
        // IPv6 says nothing of it in the packet: whoever sends decides that before.
        if read.dont_fragment && !read.is_v6() {
            return Err(Errno(libc::EMSGSIZE));
        }
        self.in_pieces(packet, &way)
    }

    /// Returns the way of a flow's packets.
    ///
    /// # Errors
    ///
    /// ENETUNREACH and so on as for a program's call.
    pub fn way(&mut self, flow: &Flow) -> Result<Way, Errno> {
        let scope = match flow.remote {
            SocketAddr::V6(remote) => remote.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        self.find(&Wanted {
            from: flow.local.ip(),
            oif: match flow.ifindex {
                0 => scope,
                index => index,
            },
            protocol: flow.protocol as u8,
            ports: (flow.local.port(), flow.remote.port()),
            ..Wanted::to(flow.remote.ip())
        })
    }

    /// Finds the way of what this host sends.
    ///
    /// # Errors
    ///
    /// ENETUNREACH and so on as for a program's call.
    pub fn find(&mut self, flow: &Wanted) -> Result<Way, Errno> {
        let found = self.stack.routes.output(self.service, clock(), flow);
        found.map_err(Errno)
    }

    /// Finds out what becomes of a packet that has come in by `flow.iif`.
    pub(super) fn verdict(&mut self, flow: &Wanted) -> Verdict {
        self.stack.routes.input(self.service, flow)
    }

    /// Returns how a packet to a next hop is put on the wire of an interface. Where the neighbour
    /// is not known, the packet itself has to be sent by [`Output::send`], which asks for it.
    pub fn wire(&mut self, ifindex: u32, next_hop: IpAddr) -> Wire {
        let view = self.view();
        let Some(interface) = view.interface(ifindex) else {
            return Wire::Unknown;
        };
        let Some(own) = interface.mac else {
            return Wire::Bare;
        };
        match self.link_address(interface, next_hop) {
            Some(mac) => Wire::Ethernet(ethernet::header(mac, own, ethertype(next_hop))),
            None => Wire::Unknown,
        }
    }

    /// Returns the link-layer address of a next hop where nobody has to be asked for it.
    fn link_address(&mut self, interface: &Interface, next_hop: IpAddr) -> Option<ethernet::Mac> {
        if next_hop.is_multicast() {
            return Some(ethernet::of_group(next_hop));
        }
        if interface.no_arp {
            return interface.mac;
        }
        if self.view().is_broadcast(next_hop, interface.index) {
            return Some(ethernet::BROADCAST);
        }
        let neighbours = &mut self.stack.neighbours;
        neighbours.use_known(interface.index, next_hop, clock())
    }

    /// Returns the time.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Returns the net as it is in this generation.
    pub fn view(&mut self) -> Arc<View> {
        let generation = self.service.generation();
        let known = self.stack.view.as_ref();
        if let Some(view) = known.filter(|it| it.generation == generation) {
            return view.clone();
        }
        let mut found = None;
        // To look at the net may change it, which the next call finds.
        self.service
            .consult(&mut |world| found = Some(View::of(world, generation)));
        let view = match (found, &self.stack.view) {
            (Some(found), _) => Arc::new(found),
            (None, Some(old)) => return old.clone(),
            (None, None) => Arc::new(View::empty()),
        };
        self.stack.neighbours.follow(&view, clock());
        self.stack.view = Some(view.clone());
        view
    }

    /// Returns an identification for the next packet that may be taken to pieces.
    pub fn next_id(&mut self) -> u32 {
        let id = self.stack.id.unwrap_or_else(|| sys::random() as u32);
        self.stack.id = Some(id.wrapping_add(1));
        id
    }

    /// Sends a packet in pieces.
    pub(super) fn in_pieces(&mut self, packet: &[u8], way: &Way) -> Result<(), Errno> {
        let id = self.next_id();
        let pieces = Fragments::of(packet, way.mtu as usize, id);
        let mut pieces = pieces.map_err(|_| Errno(libc::EMSGSIZE))?;
        let mut room = std::mem::take(&mut self.stack.piece);
        room.resize(LONGEST, 0);
        let mut sent = Ok(());
        while let (Ok(()), Ok(Some(length))) = (sent, pieces.next(&mut room)) {
            sent = self.give(&room[..length], way);
        }
        self.stack.piece = room;
        sent
    }

    /// Gives a packet that is short enough to its next hop.
    pub(super) fn give(&mut self, packet: &[u8], way: &Way) -> Result<(), Errno> {
        let view = self.view();
        let interface = view.interface(way.ifindex);
        let interface = interface.ok_or(Errno(libc::ENETUNREACH))?;
        let Some(own) = interface.mac else {
            return self.transmit(way.ifindex, packet);
        };
        let known = match way.is_broadcast() {
            true => Some(ethernet::BROADCAST),
            false => self.link_address(interface, way.next_hop),
        };
        let Some(mac) = known else {
            neighbour::resolve(self, interface, way.next_hop, packet);
            return Ok(());
        };
        let header = ethernet::header(mac, own, ethertype(way.next_hop));
        self.frame(way.ifindex, header, packet)
    }

    /// Sends a packet with a link header.
    pub(super) fn frame(
        &mut self,
        index: u32,
        header: [u8; ethernet::HEADER],
        packet: &[u8],
    ) -> Result<(), Errno> {
        let mut room = std::mem::take(&mut self.stack.frame);
        room.clear();
        room.extend_from_slice(&header);
        room.extend_from_slice(packet);
        let sent = self.transmit(index, &room);
        self.stack.frame = room;
        sent
    }

    /// Puts a frame into the queue of an interface.
    pub(super) fn transmit(&mut self, index: u32, frame: &[u8]) -> Result<(), Errno> {
        self.stack.links.transmit(self.service.net(), index, frame)
    }

    /// Answers a segment with a reset.
    pub fn reset(&mut self, packet: &Packet<'_>) {
        let mut room = [0; 80];
        if let Ok(Some(length)) = tcp::reset(&mut room, packet) {
            let _ = self.send(&room[..length], None);
        }
    }

    /// Lets whoever has sent a packet hear that it fails: a socket of this host, or another host.
    pub(super) fn fails(&mut self, meta: Meta, packet: Vec<u8>, error: IcmpError) {
        self.wait(Waiting::Error(meta, packet, error));
    }

    fn wait(&mut self, what: Waiting) {
        if self.stack.waiting.len() < MOST_WAITING {
            self.stack.waiting.push_back(what);
        }
    }
}

fn ethertype(next_hop: IpAddr) -> u16 {
    match next_hop {
        IpAddr::V4(_) => ethernet::IPV4,
        IpAddr::V6(_) => ethernet::IPV6,
    }
}
