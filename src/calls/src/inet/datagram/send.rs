//! send(2) and its relatives on a socket of UDP.
#![forbid(unsafe_code)]

use super::control::Rules;
use super::local::{of_header, Given, Natively, Sent};
use super::ways::{From, Pieces, Way, Ways};
use crate::host::{self, Host};
use crate::inet::call::{Inet, Native};
use crate::inet::name::{is_any, is_loopback};
use memtun_abi::Errno;
use memtun_ip::{ethernet, fragment::Fragments, options, protocol, udp, Head, NoRoom, Options};
use memtun_kernel::tun::Source;
use memtun_stack::ask::{self, What};
use memtun_stack::counters::{self, Counter};
use memtun_stack::sockets::question::{
    set, PacketQuestion, Path, SocketAnswer, SocketQuestion, Wire,
};
use memtun_stack::sockets::{Entry, Protocol};
use memtun_sys::Room;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: i32 = 103;
/// What a piece of a datagram counts for in the kernel's buffer, roughly.
const PIECE: usize = 2304;
/// UDP_NO_CHECK6_TX of linux/udp.h.
const UDP_NO_CHECK6_TX: i32 = 101;
/// UDP_CORK of linux/udp.h.
const UDP_CORK: i32 = 1;
/// Datagrams that one call makes at most (UDP_MAX_SEGMENTS).
const MOST_SEGMENTS: usize = 128;
/// Longest payload of an IP packet.
const LONGEST: usize = 0xffff;
/// Bytes of a packet that is built on the stack.
const SHORT: usize = 2048;
const TOO_LONG: Errno = Errno(libc::EMSGSIZE);

/// Puts frames into the queues of interfaces.
pub trait Transmits {
    /// Puts a frame into the queue of the interface with this index. What the interface drops is
    /// lost, as on a wire.
    ///
    /// # Errors
    ///
    /// - ENODEV, ENETDOWN, where there is no such interface or its link is down.
    /// - EOPNOTSUPP, EACCES, EMFILE, ENFILE, ENOMEM, where this process cannot and the host process
    ///   has to.
    fn transmit(&self, ifindex: u32, frame: &[u8]) -> Result<(), Errno>;
    /// Notes that a datagram of a socket to a name is too long for its path, whose MTU is this, and
    /// that the socket has forbidden pieces.
    fn too_long(&self, cookie: u64, to: SocketAddr, mtu: u32);
    /// Returns the ways that this process keeps.
    fn ways(&self) -> &Ways;
}

/// What a repeated attempt may help.
enum Trouble {
    /// The way may have changed.
    Stale,
    Final(Errno),
}

impl core::convert::From<Errno> for Trouble {
    fn from(e: Errno) -> Trouble {
        Trouble::Final(e)
    }
}

impl core::convert::From<NoRoom> for Trouble {
    fn from(_: NoRoom) -> Trouble {
        Trouble::Final(TOO_LONG)
    }
}

impl<N: Native, H: Host> Inet<'_, N, H> {
    /// Returns whose rules hold for what goes with a datagram to a name, or to the other end where
    /// none is given.
    ///
    /// # Errors
    ///
    /// ENETUNREACH for a name of IPv4 where the socket is one of IPv6 alone, which comes before
    /// what is wrong with the rest.
    pub fn rules(&self, to: Option<SocketAddr>) -> Result<Rules, Errno> {
        let is_v6 = self
            .told_kind()?
            .is_some_and(|kind| kind.family == libc::AF_INET6);
        let other = || {
            let peer = self.socket.peer_name().ok()?;
            Some(self.peer_name(&peer).unwrap_or(peer))
        };
        if let Some(to) = to.filter(|_| is_v6) {
            self.is_of_family(&to)?;
        }
        Ok(Rules::of(is_v6, to.or_else(other).map(|to| to.ip())))
    }

    /// Sends a datagram, to the other end of a connected socket where no name is given.
    ///
    /// # Errors
    ///
    /// What send(2) fails with, and what asking fails with.
    pub fn send(
        &self,
        to: Option<SocketAddr>,
        data: &impl Source,
        given: &Given,
        by: &impl Transmits,
    ) -> Result<Sent, Errno> {
        let (to, connected) = match to {
            Some(to) => (to, None),
            None => {
                let Ok(peer) = self.socket.peer_name() else {
                    self.named_before_it_failed();
                    return Ok(Sent::Machine);
                };
                match self.flow_at(Protocol::Udp, &peer) {
                    Some(flow) if flow.protocol == Protocol::Udp => (flow.remote, Some(flow.local)),
                    _ => return self.send_to_own_peer(&peer, given, by.ways()),
                }
            }
        };
        let to = match connected {
            None if !self.table.is_active() || to.port() == 0 => return Ok(Sent::Machine),
            None => self.reached(to, given.source),
            Some(_) => to,
        };
        if connected.is_none() && is_any(&to) {
            return Ok(Sent::Machine);
        }
        let crosses = || {
            self.table.is_apart(Protocol::Udp, to.port())
                || self.crosses(&to, given.source) && !self.net.knows_index(given.out)
        };
        if connected.is_none() && is_loopback(&to) && !crosses() {
            self.is_of_family(&to)?;
            return self.send_to_loopback(to, given, data.len());
        }
        let from = From {
            cookie: self.socket.cookie()?,
            to,
            source: given.source.or(connected.map(|own| own.ip())),
            out: given.out,
        };
        let connected = connected.is_some();
        if let Some(error) = self.table.error(from.cookie, true) {
            return Err(error);
        }
        let mut tried = false;
        loop {
            let generation = self.table.generation(self.net);
            let way = match by.ways().find(&from, generation).filter(|_| !tried) {
                Some(way) => way,
                None => match self.find_way(&from, connected, by.ways())? {
                    Some(way) => way,
                    // Its native peer is an alias, which leads nowhere without the net.
                    None if connected => return Err(Errno(libc::ENETUNREACH)),
                    None => return Ok(Sent::Machine),
                },
            };
            let path = match way.answer {
                SocketAnswer::Local(from, to) => {
                    return Ok(Sent::Natively(Natively {
                        to: Some(to),
                        source: from.map(|from| from.ip()),
                        ..of_header(&way, given)
                    }));
                }
                SocketAnswer::Path(path) => path,
                _ => return Ok(Sent::Machine),
            };
            let begun = by.ways().begin(from.cookie, given.more);
            if begun || given.more || way.corked {
                // The machine's kernel puts the parts together, and the host process sends them.
                return self.send_part(&way, connected);
            }
            match self.send_by(&way, &path, data, given, by) {
                Ok(()) => return Ok(Sent::Done(data.len())),
                Err(Trouble::Stale) if !tried => tried = true,
                // A link without a carrier, or that went just now, drops what it is sent.
                Err(Trouble::Stale) => return Ok(Sent::Done(data.len())),
                Err(Trouble::Final(e)) => return Err(e),
            }
        }
    }

    /// Says what becomes of sending on a socket of UDP that the net has not taken in: Ok leaves it
    /// to the machine.
    fn unknown(&self) -> Result<(), Errno> {
        match self.host.is_isolated() {
            true => Err(Errno(libc::ENETUNREACH)),
            false => Ok(()),
        }
    }

    /// Says where a part of a datagram goes.
    fn send_part(&self, way: &Way, connected: bool) -> Result<Sent, Errno> {
        let Some(kind) = self.told_kind()?.filter(|_| !connected) else {
            return Ok(Sent::Machine);
        };
        let question = self.question(kind, Some(way.from.to))?;
        let asked = SocketQuestion {
            flags: question.flags | set::NEEDS_ALIAS,
            ..question
        };
        match self.ask(What::Path, &asked)? {
            SocketAnswer::Path(Path {
                alias: Some(alias), ..
            }) => Ok(Sent::Natively(Natively {
                to: Some(alias),
                ..Natively::default()
            })),
            _ => Ok(Sent::Machine),
        }
    }

    /// Asks for the way. None leaves it to the machine: it is no socket of the net's.
    fn find_way(&self, from: &From, connected: bool, ways: &Ways) -> Result<Option<Way>, Errno> {
        let options = ways.options();
        let kind = match self.told_kind()? {
            Some(kind) if kind.protocol == Protocol::Udp => kind,
            Some(_) => return Ok(None),
            None => return self.uncarried(&from.to).map(|()| None),
        };
        if from.to.is_ipv6() && kind.family == libc::AF_INET {
            return Ok(None);
        }
        let is_v4 = from.to.ip().to_canonical().is_ipv4();
        if is_v4 && self.hears_only_v6(kind) {
            return Err(Errno(libc::ENETUNREACH));
        }
        if !is_v4 && !self.has_told_own(from)? {
            return Ok(None);
        }
        let mut question = self.question(kind, Some(from.to))?;
        let known = |entry: &Entry| entry.protocol == Protocol::Udp;
        let mut entry = self.table.socket(from.cookie).filter(known);
        if entry.is_none() {
            self.autobind(kind, &question)?;
            question = self.question(kind, Some(from.to))?;
            entry = self.table.socket(from.cookie).filter(known);
        }
        let Some(entry) = entry else {
            return self.unknown().map(|()| None);
        };
        let asked = SocketQuestion {
            source: from.source.or(question.source),
            out: if from.out != 0 {
                from.out
            } else {
                question.out
            },
            ..question
        };
        let answer = self.ask(What::Path, &asked)?;
        let discovery = match is_v4 {
            true => self.socket.option(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
            false => self
                .socket
                .option(libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
        };
        let pieces = match discovery {
            Ok(libc::IP_PMTUDISC_DONT | 5) => Pieces::ByAll,
            Ok(libc::IP_PMTUDISC_DO) => Pieces::ByNobody,
            Ok(libc::IP_PMTUDISC_PROBE | 4) => Pieces::Probe,
            _ if !is_v4 && self.socket.option(libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG) == Ok(1) => {
                Pieces::ByNobody
            }
            _ => Pieces::BySender,
        };
        let segment = self.socket.option(libc::IPPROTO_UDP, UDP_SEGMENT);
        let general = |option| self.socket.option(libc::SOL_SOCKET, option).unwrap_or(0);
        let hops = match (asked.hops, &answer) {
            (0, SocketAnswer::Path(path)) => path.hops,
            (hops, _) => hops,
        };
        let way = Way {
            from: *from,
            answer,
            port: entry.local.port(),
            class: question.tos,
            hops,
            pieces,
            may_broadcast: general(libc::SO_BROADCAST) != 0,
            segment: segment.unwrap_or(0).clamp(0, 0xffff) as u16,
            corked: self.socket.option(libc::IPPROTO_UDP, UDP_CORK) == Ok(1),
            unchecked: match is_v4 {
                true => general(libc::SO_NO_CHECK) != 0,
                false => self.socket.option(libc::IPPROTO_UDP, UDP_NO_CHECK6_TX) == Ok(1),
            },
            // The first bytes of options are never all 0.
            has_ip_options: is_v4
                && matches!(self.socket.option(libc::IPPROTO_IP, libc::IP_OPTIONS), Ok(some) if some != 0),
            buffer: general(libc::SO_SNDBUF).max(0) as u32,
            connected,
            generation: match answer {
                SocketAnswer::Path(path) => path.generation,
                _ => self.table.generation(self.net),
            },
            options,
        };
        ways.keep(way);
        Ok(Some(way))
    }

    /// Does the net know the interface and the source that a program names with a datagram of
    /// IPv6? False leaves them to the machine (`ip6_datagram_send_ctl`).
    ///
    /// # Errors
    ///
    /// - ENODEV for an interface that nobody has.
    /// - EINVAL for a source that is nobody's, and for one of the loopback at another interface.
    fn has_told_own(&self, from: &From) -> Result<bool, Errno> {
        /// The index of the loopback.
        const LOOPBACK: u32 = 1;
        let wrong = |errno| match self.host.is_isolated() {
            true => Err(Errno(errno)),
            false => Ok(false),
        };
        if from.out > LOOPBACK && !self.net.knows_index(from.out) {
            return wrong(libc::ENODEV);
        }
        // An address of a link is one by the link that the packet leaves by.
        let out = match (from.out, from.to) {
            (0, SocketAddr::V6(to)) if !is_global(to.ip()) => to.scope_id(),
            (out, _) => out,
        };
        match from.source {
            Some(source) if source == Ipv6Addr::LOCALHOST => match from.out {
                0 | LOOPBACK => Ok(true),
                _ => Err(Errno(libc::EINVAL)),
            },
            Some(source) if self.table.alias_of(source, out).is_none() => wrong(libc::EINVAL),
            _ => Ok(true),
        }
    }

    fn send_by(
        &self,
        way: &Way,
        path: &Path,
        data: &impl Source,
        given: &Given,
        by: &impl Transmits,
    ) -> Result<(), Trouble> {
        if path.broadcast && !way.may_broadcast {
            return Err(Errno(libc::EACCES).into());
        }
        if given.probes {
            return Ok(());
        }
        let destination = way.from.to.ip().to_canonical();
        let head = Head {
            hop_limit: given.hops.unwrap_or(way.hops),
            traffic_class: given.class.unwrap_or(way.class),
            ..Head::new(path.source, destination, protocol::UDP)
        };
        let options = match (way.has_ip_options, path.source, destination) {
            (true, IpAddr::V4(source), IpAddr::V4(to)) => self.ip_options(source, to),
            _ => None,
        };
        let extra = options.as_ref().map_or(0, |options| options.bytes().len());
        let front = head.length() + udp::HEADER;
        // The length of IPv6 does not count its header.
        let counted = if destination.is_ipv4() {
            front + extra
        } else {
            udp::HEADER
        };
        let segment = usize::from(given.segment.unwrap_or(way.segment));
        let step = match segment {
            0 => data.len().max(1),
            segment if front + extra + segment > path.mtu as usize => {
                return Err(Errno(libc::EINVAL).into())
            }
            segment if data.len() > segment * MOST_SEGMENTS => {
                return Err(Errno(libc::EINVAL).into())
            }
            segment => segment,
        };
        if data.len() + counted > LONGEST {
            // IPv6 looks at the path first.
            if destination.is_ipv6() && matches!(way.pieces, Pieces::ByNobody | Pieces::Probe) {
                by.too_long(way.from.cookie, way.from.to, path.mtu);
            }
            return Err(TOO_LONG.into());
        }
        let most = ethernet::HEADER + front + extra + step.min(data.len());
        let (mut short, mut long);
        let room = if most <= SHORT {
            short = [0; SHORT];
            &mut short[..]
        } else {
            long = Room::new(most)?;
            long.bytes()
        };
        let mut at = 0;
        loop {
            let some = step.min(data.len() - at);
            let packet = &mut room[ethernet::HEADER..];
            data.copy(at, &mut packet[front..front + some])?;
            self.send_one(way, path, (head, options.as_ref()), room, some, by)?;
            at += some;
            if at >= data.len() {
                return Ok(());
            }
        }
    }

    /// Returns the options of IPv4 that a datagram from this address gets. Source routes are not
    /// taken.
    fn ip_options(&self, source: Ipv4Addr, to: Ipv4Addr) -> Option<Options> {
        let mut bytes = [0; 40];
        let length = self.socket.ip_options(&mut bytes).ok()?;
        let is_own = |address: Ipv4Addr| self.table.alias_of(address.into(), 0).is_some();
        let mut options = Options::set(&bytes[..length], &is_own).ok()?;
        let now = options::time_of_day(memtun_sys::now_ns(libc::CLOCK_REALTIME));
        options.fill(source, to, now);
        (!options.is_routed()).then_some(options)
    }

    /// Sends the datagram whose `payload` bytes stand in `room` behind room for all headers.
    fn send_one(
        &self,
        way: &Way,
        path: &Path,
        (mut head, options): (Head, Option<&Options>),
        room: &mut [u8],
        payload: usize,
        by: &impl Transmits,
    ) -> Result<(), Trouble> {
        let extra = options.map_or(0, |options| options.bytes().len());
        let total = head.length() + udp::HEADER + payload + extra;
        let mtu = path.mtu as usize;
        let fits = total <= mtu;
        head.dont_fragment = match way.pieces {
            Pieces::ByAll => false,
            Pieces::BySender => fits,
            Pieces::ByNobody | Pieces::Probe if !fits => {
                by.too_long(way.from.cookie, way.from.to, path.mtu);
                return Err(TOO_LONG.into());
            }
            Pieces::ByNobody | Pieces::Probe => true,
        };
        // That is found with the memory for the packet, without a signal (`sock_alloc_send_pskb`).
        if by.ways().is_shut(way.from.cookie) {
            return Err(Errno(libc::EPIPE).into());
        }
        let pieces = total / mtu.max(1);
        if !fits && pieces * PIECE > 2 * way.buffer as usize {
            return Err(Errno(libc::ENOBUFS).into());
        }
        let id = if head.dont_fragment && !way.connected {
            0
        } else {
            by.ways().number()
        };
        head.id = id as u16;
        let (link, packet) = room.split_at_mut(ethernet::HEADER);
        let length = udp::finish(packet, &head, (way.port, way.from.to.port()), payload)?;
        if way.unchecked {
            let checksum = head.length() + 6;
            packet[checksum..checksum + 2].fill(0);
        }
        let length = match options {
            Some(options) => options.put_into(packet, length).ok_or(NoRoom)?,
            None => length,
        };
        let link = match path.wire {
            Wire::Bare => &[][..],
            Wire::Ethernet(header) => {
                link.copy_from_slice(&header);
                &*link
            }
            Wire::Unknown => return Ok(self.hand_over(path, false, &packet[..length])?),
        };
        if path.copy {
            self.hand_over(path, true, &packet[..length])?;
        }
        counters::requested(self.table.state(), &packet[..length]);
        if fits {
            counters::transmitted(self.table.state(), &packet[..length]);
            let start = ethernet::HEADER - link.len();
            return self.transmit(path, &room[start..ethernet::HEADER + length], length, by);
        }
        let mut piece = [0; SHORT];
        let mut long;
        let piece = if ethernet::HEADER + mtu <= SHORT {
            &mut piece[..]
        } else {
            long = Room::new(ethernet::HEADER + mtu)?;
            long.bytes()
        };
        let front = link.len();
        piece[..front].copy_from_slice(link);
        let mut pieces = Fragments::of(&packet[..length], mtu, id)?;
        let v6 = head.destination.is_ipv6();
        counters::count(
            self.table.state(),
            counters::of(v6, Counter::FragOks, Counter::V6FragOks),
        );
        while let Some(some) = pieces.next(&mut piece[front..])? {
            let each = counters::of(v6, Counter::FragCreates, Counter::V6FragCreates);
            counters::count(self.table.state(), each);
            counters::transmitted(self.table.state(), &piece[front..front + some]);
            self.transmit(path, &piece[..front + some], some, by)?;
        }
        Ok(())
    }

    /// Sends a frame whose last `packet` bytes are the packet.
    fn transmit(
        &self,
        path: &Path,
        frame: &[u8],
        packet: usize,
        by: &impl Transmits,
    ) -> Result<(), Trouble> {
        match by.transmit(path.ifindex, frame) {
            Ok(()) => Ok(()),
            // The host process has descriptors and memory of its own.
            Err(e) if matches!(e.0, libc::EOPNOTSUPP | libc::EACCES) || e.is_lack() => {
                let packet = &frame[frame.len() - packet..];
                Ok(self.hand_over(path, false, packet)?)
            }
            Err(_) => Err(Trouble::Stale),
        }
    }

    /// Has the host process send a packet, or with `copy` only give it to sockets of this net.
    fn hand_over(&self, path: &Path, copy: bool, packet: &[u8]) -> Result<(), Errno> {
        let about = PacketQuestion {
            ifindex: path.ifindex,
            copy,
            next_hop: path.next_hop,
        };
        let question = host::question(self.host, What::Packet);
        let parts = [&about.to_bytes()[..], packet];
        let handed = ask::ask(self.net, self.host.start(), &question, &parts, &mut |_| {});
        // A call that sends has no other word for that.
        handed.map_err(|e| if e.is_lack() { Errno(libc::ENOBUFS) } else { e })
    }
}

/// Does an address mean the same on each link?
fn is_global(address: &Ipv6Addr) -> bool {
    let group_of_link = [0xff01, 0xff02].contains(&(address.segments()[0] & 0xff0f));
    !address.is_unicast_link_local() && !group_of_link
}
