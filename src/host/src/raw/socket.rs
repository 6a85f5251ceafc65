//! One packet socket or raw socket.
#![forbid(unsafe_code)]

use super::end::End;
use crate::inet::groups::{Groups, Holder};
use crate::inet::meta::Meta;
use memtun_abi::Errno;
use memtun_ip::icmp::echo::Echo;
use memtun_ip::{protocol, Packet};
use memtun_kernel::bpf::{self, Frame, Instruction};
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::{is_open, octets_of, set, Bound, Head, Kind, Shown};
use memtun_sys as sys;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Most bytes that wait for room in the queue, about as many as SO_RCVBUF allows by default.
const MOST_WAITING: usize = 212_992;
/// What a copy is counted with beside its bytes.
const OVERHEAD: usize = 256;
/// ETH_P_ALL.
const EVERYTHING: u16 = 3;
/// PACKET_OUTGOING.
const OUTGOING: u8 = 4;

/// A socket.
pub(super) struct Socket {
    pub(super) inode: u64,
    pub(super) kind: Kind,
    pub(super) bound: Bound,
    /// The program's filter, empty for none.
    pub(super) program: Vec<Instruction>,
    /// The other end, where the program has connected it.
    pub(super) peer: Option<IpAddr>,
    /// The own address, where it has one.
    pub(super) own: Option<IpAddr>,
    /// A bit for each type of ICMP that is not wanted.
    pub(super) unwanted: [u32; 8],
    /// Copies, and those that found no room, since the program has last asked.
    pub(super) counts: [u32; 2],
    /// Is it known to be closed?
    pub(super) closed: bool,
    /// The identifier of a socket of echo requests, 0 for none yet.
    pub(super) id: u16,
    /// The port of the other end, which means nothing but is told.
    pub(super) port: u16,
    /// What the program has chosen itself, and keeps when it is disconnected: [`ADDRESS`] and
    /// [`IDENTIFIER`].
    pub(super) chosen: u8,
    /// Options of IP, by level and number.
    pub(super) options: BTreeMap<(i32, i32), i32>,
    /// Groups that it has joined, by interface.
    pub(super) groups: Vec<(u32, IpAddr)>,
    /// The error that waits.
    pub(super) error: i32,
    /// The queue of errors.
    pub(super) errors: VecDeque<Vec<u8>>,
    pub(super) end: End,
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// Bits of [`Socket::chosen`]: the own address, and the identifier.
pub(super) const ADDRESS: u8 = 1;
pub(super) const IDENTIFIER: u8 = 2;

/// What has become of a copy.
enum Sent {
    Done,
    Waits,
    Closed,
}

/// A packet of an interface, as packet sockets get it.
pub(super) struct Seen<'p> {
    /// The bytes from the link header on.
    pub(super) bytes: &'p [u8],
    /// What is known of it.
    pub(super) head: Head,
}

impl Socket {
    /// Connects with the socket of a program.
    pub(super) fn new(net: &NetDir, inode: u64, kind: Kind) -> Result<Socket, Errno> {
        let end = End::new(net, inode)?;
        Ok(Socket {
            inode,
            kind,
            bound: Bound::default(),
            program: Vec::new(),
            peer: None,
            own: None,
            unwanted: [0; 8],
            counts: [0; 2],
            closed: false,
            id: 0,
            port: 0,
            chosen: 0,
            options: BTreeMap::new(),
            groups: Vec::new(),
            error: 0,
            errors: VecDeque::new(),
            end,
            waiting: VecDeque::new(),
            bytes: 0,
        })
    }

    /// Is the program's end still open?
    pub(super) fn is_open(&self, net: &NetDir) -> bool {
        !self.closed && is_open(net, self.inode)
    }

    /// Does a packet socket listen to this interface?
    pub(super) fn listens_to(&self, index: u32) -> bool {
        let bound = self.bound.ifindex;
        self.kind.family == libc::AF_PACKET
            && self.bound.protocol != 0
            && !self.closed
            && (bound == 0 || bound == index)
    }

    /// Returns the copy that a packet socket gets.
    pub(super) fn copy(&mut self, seen: &Seen<'_>) -> Option<(Head, Vec<u8>)> {
        if !self.listens_to(seen.head.ifindex) {
            return None;
        }
        let wanted = self.bound.protocol;
        let outgoing = seen.head.packet_type == OUTGOING;
        if wanted != EVERYTHING && (wanted != seen.head.protocol || outgoing) {
            return None;
        }
        let network = usize::from(seen.head.network).min(seen.bytes.len());
        let (data, network) = match self.kind.kind {
            libc::SOCK_DGRAM => (&seen.bytes[network..], 0),
            _ => (seen.bytes, network),
        };
        self.filtered(data, network, seen.head)
    }

    /// Is it a socket of the family of a packet, that hears the interface and its own address?
    fn hears(&self, meta: &Meta, packet: &Packet<'_>) -> bool {
        self.hears_to(meta, packet) && self.own.is_none_or(|own| own == packet.destination)
    }

    /// Is it the same, whatever the own address is?
    fn hears_to(&self, meta: &Meta, packet: &Packet<'_>) -> bool {
        let family = match packet.is_v6() {
            true => libc::AF_INET6,
            false => libc::AF_INET,
        };
        let bound = self.bound.ifindex;
        self.kind.family == family
            && self.bound.protocol == u16::from(packet.protocol)
            && (bound == 0 || bound == meta.ifindex)
            && !self.closed
    }

    /// Is it a socket of IPv6 with an address of its own, and the packet one for a group? It hears
    /// those beside what is for its address (`raw_v6_match`).
    fn hears_group_too(&self, meta: &Meta, packet: &Packet<'_>) -> bool {
        let own = self.own;
        packet.is_v6()
            && packet.destination.is_multicast()
            && own.is_some_and(|own| own.is_ipv6())
            && self.hears_to(meta, packet)
    }

    /// Does the socket hear the source of a packet for a group? One of IPv6 that has no address
    /// does not ask.
    fn hears_source(&self, groups: &Groups, meta: &Meta, packet: &Packet<'_>) -> bool {
        let group = packet.destination;
        let asks = match packet.is_v6() {
            true => self.own.is_some_and(|own| own != group),
            false => true,
        };
        if !group.is_multicast() || !asks {
            return true;
        }
        let cookie = Holder::raw(self.inode).cookie;
        let heard = groups.hears(cookie, meta.ifindex, group, packet.source);
        heard.unwrap_or_else(|| self.hears_all_groups())
    }

    /// Returns the copy that a raw socket gets of a packet for this host.
    pub(super) fn copy_of_packet(
        &mut self,
        groups: &Groups,
        meta: &Meta,
        packet: &Packet<'_>,
    ) -> Option<(Head, Vec<u8>)> {
        let is_for = !self.kind.is_ping()
            && (self.hears(meta, packet) || self.hears_group_too(meta, packet))
            && self.hears_source(groups, meta, packet)
            && self.peer.is_none_or(|peer| peer == packet.source)
            && self.wants_type(packet);
        match is_for {
            true if packet.is_v6() => self.copy_of(meta, packet, packet.payload()),
            true => self.copy_of(meta, packet, packet.bytes()),
            false => None,
        }
    }

    /// Returns the copy that a socket of echo requests gets of a reply.
    pub(super) fn copy_of_reply(
        &mut self,
        meta: &Meta,
        packet: &Packet<'_>,
    ) -> Option<(Head, Vec<u8>)> {
        let is_for = self.kind.is_ping()
            && self.hears(meta, packet)
            && Echo::parse(packet).is_some_and(|echo| echo.reply && echo.id == self.id);
        match is_for {
            true => self.copy_of(meta, packet, packet.payload()),
            false => None,
        }
    }

    fn copy_of(
        &mut self,
        meta: &Meta,
        packet: &Packet<'_>,
        data: &[u8],
    ) -> Option<(Head, Vec<u8>)> {
        let octets = |address: IpAddr| octets_of(Some(address));
        let head = Head {
            ifindex: meta.ifindex,
            link_type: 0,
            packet_type: 0,
            protocol: if packet.is_v6() { 0x86dd } else { 0x800 },
            address: None,
            length: data.len() as u32,
            kept: data.len() as u32,
            network: 0,
            addresses: [octets(packet.source), octets(packet.destination)],
            hops: [packet.hop_limit, packet.traffic_class],
            time: memtun_sys::now_ns(libc::CLOCK_REALTIME),
            options: self.shown(meta),
        };
        self.filtered(data, 0, head)
    }

    /// Returns the options of a packet as the program wants to see them (`ip_cmsg_recv_opts`,
    /// `ip_cmsg_recv_retopts`).
    fn shown(&self, meta: &Meta) -> Shown {
        let is = |bit: u16| self.bound.set & bit != 0;
        let Some(options) = &meta.options else {
            return Shown::default();
        };
        if is(set::RETURNED_OPTIONS) {
            let echo = options.echo(&|_| false).map(|echo| echo.undone());
            return echo.map_or(Shown::default(), |echo| Shown::new(echo.bytes()));
        }
        match is(set::OPTIONS) {
            true => Shown::new(options.bytes()),
            false => Shown::default(),
        }
    }

    /// Is a message of ICMP of a type that the socket wants?
    fn wants_type(&self, packet: &Packet<'_>) -> bool {
        let kind = match packet.protocol {
            protocol::ICMP if !packet.is_v6() => packet.payload().first(),
            protocol::ICMP6 if packet.is_v6() => packet.payload().first(),
            _ => None,
        };
        let bit = |kind: &u8| self.unwanted[usize::from(kind / 32)] >> (kind % 32) & 1;
        match kind {
            // The filter of IPv4 has a word only.
            Some(kind) if !packet.is_v6() && *kind >= 32 => true,
            kind => kind.map_or(0, bit) == 0,
        }
    }

    /// Runs the program's filter, and cuts off what it leaves out.
    fn filtered(&mut self, data: &[u8], network: usize, mut head: Head) -> Option<(Head, Vec<u8>)> {
        head.length = data.len() as u32;
        let mut left = data.len();
        if !self.program.is_empty() {
            let frame = Frame {
                data,
                network,
                ethertype: head.protocol,
                ifindex: head.ifindex,
                link_type: head.link_type,
                packet_type: head.packet_type,
                queue: 0,
                random: || sys::random() as u32,
                processor: sys::processor,
            };
            left = left.min(bpf::run(&self.program, &frame) as usize);
            if left == 0 {
                return None;
            }
        }
        head.kept = left as u32;
        Some((head, data[..left].to_vec()))
    }

    /// Sends a copy, or keeps it until there is room. Returns whether it waits.
    pub(super) fn give(&mut self, head: &Head, bytes: &[u8]) -> bool {
        match self.send(head, bytes) {
            Sent::Done => false,
            Sent::Waits => true,
            // Its name is removed when somebody looks for such.
            Sent::Closed => {
                self.closed = true;
                false
            }
        }
    }

    fn send(&mut self, head: &Head, bytes: &[u8]) -> Sent {
        let head = head.to_bytes();
        self.counts[0] = self.counts[0].wrapping_add(1);
        if self.waiting.is_empty() {
            match self.end.send(&[&head, bytes]) {
                Ok(_) => return Sent::Done,
                Err(Errno(libc::EAGAIN | libc::EINTR | libc::ENOBUFS)) => {}
                Err(Errno(libc::EMSGSIZE)) => {
                    self.counts[1] = self.counts[1].wrapping_add(1);
                    return Sent::Done;
                }
                Err(_) => return Sent::Closed,
            }
        }
        let size = head.len() + bytes.len() + OVERHEAD;
        if self.bytes + size > MOST_WAITING {
            self.counts[1] = self.counts[1].wrapping_add(1);
            return Sent::Done;
        }
        self.bytes += size;
        self.waiting.push_back([&head, bytes].concat());
        Sent::Waits
    }

    /// Returns what is waited for until there is room; None where nothing waits.
    pub(super) fn waits_for(&self) -> Option<libc::pollfd> {
        let fd = self.end.descriptor()?;
        let waits = !self.waiting.is_empty() && !self.closed;
        waits.then_some(libc::pollfd {
            fd,
            events: libc::POLLOUT,
            revents: 0,
        })
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn go_on(&mut self) {
        while let Some(copy) = self.waiting.front() {
            match self.end.send(&[copy]) {
                Err(Errno(libc::EAGAIN | libc::EINTR | libc::ENOBUFS)) => return,
                sent => self.closed |= sent.is_err(),
            }
            self.bytes = self.bytes.saturating_sub(copy.len() + OVERHEAD);
            self.waiting.pop_front();
        }
    }
}
