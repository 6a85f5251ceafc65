//! Packets that this host sends, or passes on: route, pieces, neighbour.
#![forbid(unsafe_code)]

use super::neighbour;
use super::stack::{clock, Waiting};
use super::view::Interface;
use crate::engine::route::lookup::Flow as Wanted;
use memtun_abi::Errno;
use memtun_ip::fragment::Fragments;
use memtun_ip::{ethernet, options, tcp, Options, Packet};
use memtun_stack::counters::{self, Counter};
use memtun_stack::sockets::question::Wire;
use memtun_stack::sockets::Flow;
use std::net::{IpAddr, SocketAddr};

pub use super::route::Way;
pub use super::stack::{Output, Stack};

/// Longest frame: a packet of the largest size with a link header.
const LONGEST: usize = 65_536 + ethernet::HEADER;
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
        self.counted(|table| counters::requested(table, packet));
        if way.is_local() {
            self.counted(|table| counters::transmitted(table, packet));
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

    /// Sends a packet that is complete but for its options of IPv4, if it has any, which get what
    /// this host has to say in them. It goes to `last` in the end, where the options have a route.
    ///
    /// # Errors
    ///
    /// As [`send`](Output::send).
    pub fn send_with(
        &mut self,
        packet: &[u8],
        options: Option<Options>,
        last: IpAddr,
        way: &Way,
    ) -> Result<(), Errno> {
        let Some(mut options) = options else {
            return self.send(packet, Some(way));
        };
        let now = options::time_of_day(memtun_sys::now_ns(libc::CLOCK_REALTIME));
        let read = Packet::parse(packet).map_err(|_| Errno(libc::EINVAL))?;
        if let (IpAddr::V4(source), IpAddr::V4(to)) = (way.source, last) {
            let source = match read.source {
                IpAddr::V4(given) if !given.is_unspecified() => given,
                _ => source,
            };
            options.fill(source, to, now);
        }
        let packet = options.insert(packet).ok_or(Errno(libc::EMSGSIZE))?;
        self.send(&packet, Some(way))
    }

    /// Returns the way of a flow's packets.
    ///
    /// # Errors
    ///
    /// ENETUNREACH and so on as for a program's call.
    pub fn way(&mut self, flow: &Flow) -> Result<Way, Errno> {
        if flow.local.ip().is_loopback() || flow.remote.ip().is_loopback() {
            return Ok(Way::within(flow.local.ip(), flow.remote.ip()));
        }
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

    /// Counts that a program's packets have no way, if that is what an error says.
    pub(crate) fn count_no_route(&mut self, error: Errno, v6: bool) {
        if error == Errno(libc::ENETUNREACH) {
            self.count(v6, Counter::OutNoRoutes, Counter::V6OutNoRoutes);
        }
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

    /// Sends a packet in pieces.
    pub(super) fn in_pieces(&mut self, packet: &[u8], way: &Way) -> Result<(), Errno> {
        let id = self.next_id();
        let v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        self.count(v6, Counter::FragOks, Counter::V6FragOks);
        let pieces = Fragments::of(packet, way.mtu as usize, id);
        let mut pieces = pieces.map_err(|_| Errno(libc::EMSGSIZE))?;
        let mut room = std::mem::take(&mut self.stack.piece);
        room.resize(LONGEST, 0);
        let mut sent = Ok(());
        while let (Ok(()), Ok(Some(length))) = (sent, pieces.next(&mut room)) {
            self.count(v6, Counter::FragCreates, Counter::V6FragCreates);
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
        self.counted(|table| counters::transmitted(table, packet));
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

    /// Answers a segment with a reset.
    pub fn reset(&mut self, packet: &Packet<'_>) {
        let mut room = [0; 80];
        if let Ok(Some(length)) = tcp::reset(&mut room, packet) {
            let _ = self.send(&room[..length], None);
        }
    }
}

fn ethertype(next_hop: IpAddr) -> u16 {
    match next_hop {
        IpAddr::V4(_) => ethernet::IPV4,
        IpAddr::V6(_) => ethernet::IPV6,
    }
}
