//! What the machine's kernel says of its own interfaces, addresses, routes, rules and neighbours.
//!
//! It is read by dumps of rtnetlink(7), and read anew when the kernel has told of a change, or when
//! an answer needs what the kernel does not tell of: counters and remaining lifetimes.
#![forbid(unsafe_code)]

use crate::world::{Event, Machine, Own};
use memtun_abi::{Errno, Name};
use memtun_stack::address::FOREVER;
use memtun_stack::link::{Counters, Extra, Link};
use memtun_stack::state::Hidden;
use memtun_stack::wire::{u16_at, u32_at, Attributes, Message, Messages, Writer};
use memtun_stack::{Address, Neighbour, Route, Rule};
use memtun_sys::{self as sys, Fd};
use std::os::fd::AsFd;
use std::time::Duration;

/// Kinds of things that are read by one dump each; bits of a set.
pub mod part {
    /// Links.
    pub const LINKS: u8 = 1;
    /// Addresses.
    pub const ADDRESSES: u8 = 2;
    /// Routes.
    pub const ROUTES: u8 = 4;
    /// Rules.
    pub const RULES: u8 = 8;
    /// Neighbours.
    pub const NEIGHBOURS: u8 = 16;
    /// All that the kernel tells the changes of.
    pub const ALL: u8 = 31;
    /// Queueing disciplines, of which the kernel is asked when the program asks for them.
    pub const DISCIPLINES: u8 = 32;
}

/// Returns the parts of the machine that a message of this kind is about.
pub fn part_of(kind: u16) -> u8 {
    match kind {
        libc::RTM_NEWLINK..=libc::RTM_SETLINK => part::LINKS,
        libc::RTM_NEWADDR..=libc::RTM_GETADDR => part::ADDRESSES,
        libc::RTM_NEWROUTE..=libc::RTM_GETROUTE => part::ROUTES,
        libc::RTM_NEWNEIGH..=libc::RTM_GETNEIGH => part::NEIGHBOURS,
        libc::RTM_NEWRULE..=libc::RTM_GETRULE => part::RULES,
        libc::RTM_NEWQDISC..=libc::RTM_GETQDISC => part::DISCIPLINES,
        _ => 0,
    }
}

/// Returns the group of listeners that the kernel tells of a message.
fn group_of(message: &Message<'_>) -> Option<u8> {
    const NETCONF: [u16; 2] = [80, 81];
    const NSID: [u16; 2] = [88, 89];
    let v6 = match message.body.first().copied().map(i32::from) {
        Some(libc::AF_INET6) => true,
        // The multicast routes have groups of their own.
        Some(128) => return Some(6),
        Some(129) => return Some(10),
        _ => false,
    };
    let either = |v4, other| Some(if v6 { other } else { v4 });
    match message.kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => either(1, 12),
        libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => Some(3),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => either(5, 9),
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => either(7, 11),
        libc::RTM_NEWRULE | libc::RTM_DELRULE => either(8, 19),
        libc::RTM_NEWPREFIX => Some(18),
        libc::RTM_NEWNDUSEROPT => Some(20),
        kind if NETCONF.contains(&kind) => either(24, 25),
        kind if NSID.contains(&kind) => Some(28),
        _ => None,
    }
}

/// The groups that can be heard by their bits in an address.
const GROUPS: u32 = {
    const HEARD: [u32; 15] = [1, 3, 5, 6, 7, 8, 9, 10, 11, 12, 18, 19, 20, 24, 25];
    let (mut bits, mut at) = (1 << 27, 0);
    while at < HEARD.len() {
        bits |= 1 << (HEARD[at] - 1);
        at += 1;
    }
    bits
};

/// Reads what the machine's kernel says.
pub struct Reader {
    /// Asks.
    asks: Fd,
    /// Is told of changes.
    hears: Fd,
    machine: Machine,
    /// The parts that have to be read anew.
    stale: u8,
    sequence: u32,
    room: Vec<u8>,
}

impl Reader {
    /// Opens the sockets.
    ///
    /// # Errors
    ///
    /// What socket(2) or bind(2) fails with, for example where a sandbox forbids netlink(7).
    pub fn new() -> Result<Reader, Errno> {
        let socket = || sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE);
        let (asks, hears) = (socket()?, socket()?);
        sys::bind_netlink(asks.as_fd(), 0)?;
        sys::bind_netlink(hears.as_fd(), GROUPS)?;
        Ok(Reader {
            asks,
            hears,
            machine: Machine::default(),
            stale: part::ALL,
            sequence: 0,
            room: vec![0; 64 << 10],
        })
    }

    /// Returns the socket that is readable when the kernel tells of a change.
    pub fn hears(&self) -> i32 {
        self.hears.raw()
    }

    /// Takes note of what the kernel has told since the last call, and returns it, for those who
    /// listen.
    pub fn changes(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            match sys::receive(self.hears.as_fd(), &mut self.room, libc::MSG_TRUNC) {
                Ok(n) => {
                    let n = n.min(self.room.len());
                    for message in Messages(&self.room[..n]) {
                        self.stale |= part_of(message.kind);
                        // Routes and addresses go and change with their link without a word, and
                        // routes with the address that they are from.
                        if part_of(message.kind) & (part::LINKS | part::ADDRESSES) != 0 {
                            self.stale = part::ALL;
                        }
                        events.extend(group_of(&message).map(|group| Event {
                            group,
                            message: message.bytes.to_vec(),
                            except: 0,
                        }));
                    }
                }
                // The kernel has told more than there was room for.
                Err(Errno(libc::ENOBUFS)) => self.stale = part::ALL,
                Err(Errno(libc::EINTR)) => {}
                Err(_) => return events,
            }
        }
    }

    /// Says which parts are answered next: what changes in them without a word of the kernel's is
    /// read anew at the next [`Reader::take`]. Those are counters, the states of neighbours, and
    /// times that run out.
    pub fn refresh(&mut self, parts: u8) {
        let machine = &self.machine;
        let runs_out = |own: &Own<Address>| {
            let times = [own.item.valid, own.item.preferred];
            times.iter().any(|time| *time != FOREVER)
        };
        let ages = [
            (part::LINKS, true),
            (part::ADDRESSES, machine.addresses.iter().any(runs_out)),
            (
                part::ROUTES,
                machine.routes.iter().any(|own| own.item.expires.is_some()),
            ),
            (part::RULES, false),
            (part::NEIGHBOURS, true),
            (part::DISCIPLINES, true),
        ];
        for (part, ages) in ages {
            if ages {
                self.stale |= parts & part;
            }
        }
    }

    /// Gives the machine away as it is now, without what is hidden. [`Reader::put_back`] takes it
    /// back.
    ///
    /// # Errors
    ///
    /// What sending or receiving fails with.
    pub fn take(&mut self, hidden: &[Hidden]) -> Result<Machine, Errno> {
        let stale = std::mem::replace(&mut self.stale, part::ALL);
        let mut machine = std::mem::take(&mut self.machine);
        let wanted = |part| stale & part != 0;
        if wanted(part::LINKS) {
            machine.links = self.dump(libc::RTM_GETLINK, 16, link_of)?;
        }
        if wanted(part::ADDRESSES) {
            machine.addresses = self.dump(libc::RTM_GETADDR, 8, Address::read)?;
        }
        if wanted(part::ROUTES) {
            machine.routes = self.dump(libc::RTM_GETROUTE, 12, Route::read)?;
        }
        if wanted(part::RULES) {
            machine.rules = self.dump(libc::RTM_GETRULE, 12, Rule::read)?;
        }
        if wanted(part::LINKS) {
            machine.queueing = queueing();
        }
        if wanted(part::NEIGHBOURS) {
            machine.neighbours = self.dump(libc::RTM_GETNEIGH, 12, Neighbour::read)?;
        }
        if wanted(part::DISCIPLINES) {
            let of = |message: &Message<'_>| u32_at(message.body, 4);
            machine.disciplines = self.dump(libc::RTM_GETQDISC, 20, of)?;
        }
        self.stale = 0;
        hide(&mut machine, hidden);
        Ok(machine)
    }

    /// Takes back what [`Reader::take`] gave away. What was hidden in it is read again when the net
    /// `has_hidden` something, because that may be taken back.
    pub fn put_back(&mut self, machine: Machine, has_hidden: bool) {
        self.machine = machine;
        if has_hidden {
            self.stale = part::ALL;
        }
    }

    /// Reads one part. What cannot be understood is left out.
    fn dump<T>(
        &mut self,
        kind: u16,
        header: usize,
        read: fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<Own<T>>, Errno> {
        /// Number of attempts at a dump that a change interrupts (NLM_F_DUMP_INTR).
        const TRIES: usize = 8;
        const DUMP_INTR: u16 = 0x10;
        let mut found = Vec::new();
        for _ in 0..TRIES {
            found.clear();
            self.sequence = self.sequence.wrapping_add(1);
            let mut request = Writer::default();
            let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
            request
                .message(kind, flags, self.sequence, 0)
                .raw(&[0; 20][..header]);
            if kind == libc::RTM_GETLINK {
                // RTEXT_FILTER_VF: what `ip link` asks for.
                request.u32(libc::IFLA_EXT_MASK, 1);
            }
            sys::send_netlink(self.asks.raw(), 0, &[request.bytes()])?;
            let mut interrupted = false;
            while self.part_of_dump(|message| {
                interrupted |= message.flags & DUMP_INTR != 0;
                if let Some(item) = read(message) {
                    found.push(Own {
                        item,
                        message: message.bytes.to_vec(),
                    });
                }
            })? {}
            if !interrupted {
                break;
            }
        }
        Ok(found)
    }

    /// Receives one datagram of a dump. Returns whether more follows.
    fn part_of_dump(&mut self, mut each: impl FnMut(&Message<'_>)) -> Result<bool, Errno> {
        const TIME: Duration = Duration::from_secs(1);
        const DONE: u16 = libc::NLMSG_DONE as u16;
        const ERROR: u16 = libc::NLMSG_ERROR as u16;
        let n = loop {
            match sys::receive(self.asks.as_fd(), &mut self.room, 0) {
                Ok(n) => break n,
                Err(Errno(libc::EINTR)) => {}
                Err(Errno(libc::EAGAIN)) => {
                    let mut fds = [libc::pollfd {
                        fd: self.asks.raw(),
                        events: libc::POLLIN,
                        revents: 0,
                    }];
                    if sys::poll(&mut fds, Some(TIME)) == Ok(0) {
                        return Err(Errno(libc::ETIMEDOUT));
                    }
                }
                Err(e) => return Err(e),
            }
        };
        for message in Messages(&self.room[..n]) {
            if message.sequence != self.sequence {
                continue;
            }
            match message.kind {
                DONE => return Ok(false),
                ERROR => {
                    let errno = u32_at(message.body, 0).unwrap_or(0) as i32;
                    // A kernel without this part, for example without IPv6's rules, has none of it.
                    return match -errno {
                        0 | libc::EOPNOTSUPP | libc::EAFNOSUPPORT => Ok(false),
                        errno => Err(Errno(errno)),
                    };
                }
                _ => each(&message),
            }
        }
        Ok(true)
    }
}

/// Returns the kind of queueing discipline that links of the machine get.
fn queueing() -> Vec<u8> {
    let text = std::fs::read("/proc/sys/net/core/default_qdisc").unwrap_or_default();
    text.trim_ascii_end().to_vec()
}

/// Leaves out what the net hides.
fn hide(machine: &mut Machine, hidden: &[Hidden]) {
    for hidden in hidden {
        let Some(message) = Messages(hidden).next() else {
            continue;
        };
        match message.kind {
            libc::RTM_NEWLINK => {
                let index = u32_at(message.body, 4);
                let links = &mut machine.links;
                links.retain(|own| Some(own.item.extra.index) != index);
            }
            libc::RTM_NEWADDR => {
                if let Some(it) = Address::read(&message) {
                    let key = |a: &Address| (a.index, a.local, a.peer, a.prefix);
                    let addresses = &mut machine.addresses;
                    addresses.retain(|own| key(&own.item) != key(&it));
                }
            }
            libc::RTM_NEWROUTE => {
                if let Some(mut it) = Route::read(&message) {
                    // What is left of its time is not part of what it is.
                    it.expires = None;
                    machine.routes.retain(|own| {
                        let same = own.item.to == it.to && own.item.table == it.table;
                        !same || {
                            let mut item = own.item.clone();
                            item.expires = None;
                            item != it
                        }
                    });
                }
            }
            libc::RTM_NEWRULE => {
                if let Some(it) = Rule::read(&message) {
                    machine.rules.retain(|own| own.item != it);
                }
            }
            libc::RTM_NEWNEIGH => {
                if let Some(it) = Neighbour::read(&message) {
                    let key = |n: &Neighbour| (n.index, n.address);
                    machine.neighbours.retain(|own| key(&own.item) != key(&it));
                }
            }
            _ => {}
        }
    }
}

/// Reads a link from the kernel's message.
fn link_of(message: &Message<'_>) -> Option<Link> {
    let body = message.body;
    let header = memtun_stack::link::HEADER;
    let attributes = Attributes::behind(body.get(..header).map(|_| body)?, header);
    let number = |kind| attributes.get(kind).and_then(|a| a.u32()).unwrap_or(0);
    let byte = |kind| attributes.get(kind).and_then(|a| a.u8()).unwrap_or(0);
    let bytes = |kind| {
        attributes
            .get(kind)
            .map_or(Vec::new(), |a| a.value.to_vec())
    };
    let stats = attributes.get(libc::IFLA_STATS64).map(|a| a.value);
    let counter = |at: usize| {
        let bytes = stats.and_then(|stats| stats.get(at * 8..at * 8 + 8));
        bytes.map_or(0, |b| u64::from_ne_bytes(b.try_into().unwrap_or_default()))
    };
    let others = attributes.get(libc::IFLA_PROP_LIST);
    let others = others.map_or(Vec::new(), |list| {
        list.attributes().map(|a| a.string().to_vec()).collect()
    });
    Some(Link {
        extra: Extra {
            index: u32_at(body, 4)?,
            name: Name::new(attributes.get(libc::IFLA_IFNAME)?.string())?,
            flags: u32_at(body, 8)?,
            mtu: number(libc::IFLA_MTU),
            txqueuelen: number(libc::IFLA_TXQLEN),
            link_type: u16_at(body, 2)?,
            address: bytes(libc::IFLA_ADDRESS),
            broadcast: bytes(libc::IFLA_BROADCAST),
            group: number(libc::IFLA_GROUP),
            alias: attributes
                .get(libc::IFLA_IFALIAS)
                .map_or(Vec::new(), |a| a.string().to_vec()),
            other_names: others,
            link_mode: byte(libc::IFLA_LINKMODE),
            ..Extra::default()
        },
        carrier: byte(libc::IFLA_CARRIER) != 0,
        counters: Counters {
            rx_packets: counter(0),
            tx_packets: counter(1),
            rx_bytes: counter(2),
            tx_bytes: counter(3),
            rx_dropped: counter(6),
            tx_dropped: counter(7),
            rx_frame_errors: counter(13),
        },
        driver: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_loopback_which_can_be_hidden() {
        let mut reader = Reader::new().expect("netlink");
        let machine = reader.take(&[]).expect("dumps");
        let lo = machine
            .links
            .iter()
            .find(|own| own.item.extra.name.as_bytes() == b"lo")
            .expect("lo");
        assert!(lo.item.is_loopback());
        assert_eq!(lo.item.extra.index, 1);
        let hidden = vec![lo.message.clone()];
        let before = machine.links.len();
        reader.put_back(machine, false);
        let machine = reader.take(&hidden).expect("nothing is stale");
        assert_eq!(machine.links.len(), before - 1);
        reader.put_back(machine, true);
        let machine = reader.take(&[]).expect("dumps");
        assert_eq!(machine.links.len(), before, "what was hidden comes back");
    }

    #[test]
    fn only_what_changes_without_a_word_is_read_again() {
        let mut reader = Reader::new().expect("netlink");
        let machine = reader.take(&[]).expect("dumps");
        reader.put_back(machine, false);
        assert_eq!(reader.stale, 0);
        reader.refresh(part::RULES);
        assert_eq!(reader.stale, 0, "the kernel tells of each change of a rule");
        reader.refresh(part::LINKS | part::NEIGHBOURS);
        let changing = part::LINKS | part::NEIGHBOURS;
        assert_eq!(
            reader.stale, changing,
            "of counters and states it does not tell"
        );
        let mut machine = reader.take(&[]).expect("dumps");
        for own in &mut machine.addresses {
            (own.item.valid, own.item.preferred) = (FOREVER, FOREVER);
        }
        reader.put_back(machine, false);
        reader.refresh(part::ADDRESSES);
        assert_eq!(reader.stale, 0, "no lifetime runs out");
        let mut machine = reader.take(&[]).expect("dumps");
        machine.addresses[0].item.preferred = 10;
        reader.put_back(machine, false);
        reader.refresh(part::ADDRESSES);
        assert_eq!(reader.stale, part::ADDRESSES, "what is left of it is read");
    }
}
