//! Packets on their way down: route, fragments, neighbour, interface.
#![forbid(unsafe_code)]

use super::fragment::Pieces;
use super::ground::Ground;
use super::limit::Limit;
use super::local::Meta;
use super::multicast::Groups;
use super::neighbour::{self, Neighbours};
use super::route::{Routes, Way};
use super::view::View;
use crate::engine::route::lookup::Flow;
use memtun_abi::Errno;
use memtun_ip::fragment::Fragments;
use memtun_ip::{ethernet, tcp, Embedded, IcmpError, Packet};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Longest frame: a packet of the largest size with a link header.
pub const LONGEST: usize = 65_536 + ethernet::HEADER;
/// Most packets that wait to be handed up.
const MOST_WAITING: usize = 1024;

/// What IP remembers between packets.
#[derive(Default)]
pub struct Ip {
    pub(super) view: Option<Arc<View>>,
    pub(super) routes: Routes,
    pub(super) neighbours: Neighbours,
    pub(super) pieces: Pieces,
    pub(super) limit: Limit,
    pub(super) groups: Groups,
    /// What waits to be handed up to sockets, when nobody of them is running.
    pub(super) waiting: VecDeque<Waiting>,
    /// Identification of the next packet.
    id: Option<u32>,
    room: Vec<u8>,
    pieces_room: Vec<u8>,
}

/// What waits to be handed up.
pub(super) enum Waiting {
    /// An error about a packet of this host, found out by this host itself.
    Error(Meta, Vec<u8>, IcmpError),
    /// A packet from this host to itself.
    Packet(Vec<u8>),
}

impl Ip {
    /// Returns when [`Output::run_timers`] has something to do, by the clock of the ground.
    pub fn next_timer(&self) -> Option<Duration> {
        let timers = [self.neighbours.next_timer(), self.pieces.next_timer()];
        timers.into_iter().flatten().min()
    }
}

/// The way down from sockets: what is sent goes out by the net's interfaces.
pub struct Output<'o> {
    pub(super) ip: &'o mut Ip,
    pub(super) ground: &'o mut dyn Ground,
}

impl<'o> Output<'o> {
    /// Sends by `ground` with what IP remembers.
    pub fn new(ip: &'o mut Ip, ground: &'o mut dyn Ground) -> Output<'o> {
        Output { ip, ground }
    }

    /// Returns the time of a clock that goes forward.
    pub fn now(&self) -> Duration {
        self.ground.now()
    }

    /// Returns the net as it is in this generation.
    pub fn view(&mut self) -> Arc<View> {
        let generation = self.ground.generation();
        if let Some(view) = self.ip.view.as_ref().filter(|it| it.generation == generation) {
            return view.clone();
        }
        let mut found = None;
        self.ground
            .with_world(&mut |world| found = Some(View::of(world, generation)));
        // To look at the net may have been a change of it, of which the next call tells.
        let view = match (found, &self.ip.view) {
            (Some(found), _) => Arc::new(found),
            (None, Some(old)) => return old.clone(),
            (None, None) => Arc::new(View::empty()),
        };
        let now = self.now();
        self.ip.neighbours.follow(&view, now);
        self.ip.view = Some(view.clone());
        view
    }

    /// Returns an identification for the next packet that may be fragmented.
    pub fn next_id(&mut self) -> u32 {
        let id = self.ip.id.unwrap_or_else(|| memtun_sys::random() as u32);
        self.ip.id = Some(id.wrapping_add(1));
        id
    }

    /// Finds the way of what this host sends.
    ///
    /// # Errors
    ///
    /// The errno of the lookup: ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL.
    pub fn way(&mut self, flow: &Flow) -> Result<Way, Errno> {
        self.ip.routes.output(self.ground, flow).map_err(Errno)
    }

    /// Sends a whole IP packet of this host, whose header and checksums are complete. It is taken to
    /// pieces where it is too long and that is allowed. `way` is its way where that is known
    /// already.
    ///
    /// # Errors
    ///
    /// - EMSGSIZE: it is too long for the path, and forbids fragments.
    /// - EINVAL: it is no packet.
    /// - Those of [`Output::way`], and of putting it into the queue.
    pub fn send(&mut self, packet: &[u8], way: Option<Way>) -> Result<(), Errno> {
        let read = Packet::parse(packet).map_err(|_| Errno(libc::EINVAL))?;
        let way = match way {
            Some(way) => way,
            None => self.way(&Flow {
                from: read.source,
                tos: read.traffic_class,
                protocol: read.protocol,
                ..Flow::to(read.destination)
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

    /// Sends a packet in pieces.
    pub(super) fn in_pieces(&mut self, packet: &[u8], way: &Way) -> Result<(), Errno> {
        let id = self.next_id();
        let mut pieces = Fragments::of(packet, way.mtu as usize, id).map_err(|_| Errno(libc::EMSGSIZE))?;
        let mut room = std::mem::take(&mut self.ip.pieces_room);
        room.resize(LONGEST, 0);
        let mut sent = Ok(());
        while let (Ok(()), Ok(Some(length))) = (sent, pieces.next(&mut room)) {
            sent = self.give(&room[..length], way);
        }
        self.ip.pieces_room = room;
        sent
    }

    /// Gives a packet that is short enough to its next hop.
    fn give(&mut self, packet: &[u8], way: &Way) -> Result<(), Errno> {
        let view = self.view();
        let interface = view.interface(way.index).ok_or(Errno(libc::ENODEV))?;
        let ethertype = match way.hop {
            IpAddr::V4(_) => ethernet::IPV4,
            IpAddr::V6(_) => ethernet::IPV6,
        };
        let Some(own) = interface.mac else {
            return self.ground.transmit(way.index, packet, ethertype);
        };
        let to = match () {
            () if way.is_broadcast() => ethernet::BROADCAST,
            () if way.hop.is_multicast() => ethernet::of_group(way.hop),
            () if interface.no_arp => own,
            () => match neighbour::resolve(self, interface, way.hop, packet) {
                Some(mac) => mac,
                None => return Ok(()),
            },
        };
        self.frame(way.index, ethernet::header(to, own, ethertype), packet)
    }

    /// Sends a packet with a link header.
    pub(super) fn frame(
        &mut self,
        index: u32,
        header: [u8; ethernet::HEADER],
        packet: &[u8],
    ) -> Result<(), Errno> {
        let mut room = std::mem::take(&mut self.ip.room);
        room.clear();
        room.extend_from_slice(&header);
        room.extend_from_slice(packet);
        let ethertype = u16::from_be_bytes([header[12], header[13]]);
        let sent = self.ground.transmit(index, &room, ethertype);
        self.ip.room = room;
        sent
    }

    /// Answers a segment with a reset.
    pub fn reset(&mut self, packet: &Packet<'_>) {
        let mut room = [0; 80];
        if let Ok(Some(length)) = tcp::reset(&mut room, packet) {
            let _ = self.send(&room[..length], None);
        }
    }

    /// Lets the sockets hear of an error about a packet of this host, or its sender, where that is
    /// somebody else.
    pub(super) fn fails(&mut self, index: u32, packet: Vec<u8>, error: IcmpError) {
        let meta = Meta {
            index,
            ..Meta::default()
        };
        self.wait(Waiting::Error(meta, packet, error));
    }

    pub(super) fn wait(&mut self, what: Waiting) {
        if self.ip.waiting.len() < MOST_WAITING {
            self.ip.waiting.push_back(what);
        }
    }

    /// Is the flow that an error quotes one of this net's addresses?
    pub(super) fn is_own(&mut self, of: &Embedded<'_>, index: u32) -> bool {
        self.view().owns(of.local.ip(), index)
    }
}
