//! Neighbours (net/core/neighbour.c, net/ipv4/arp.c, net/ipv6/ndisc.c).
//!
//! A neighbour of the machine's is told until one of the same address is in the state.
#![forbid(unsafe_code)]

use crate::engine::route::tables;
use crate::message::conf;
use crate::{Failure, World};
use memtun_stack::address::Head;
use memtun_stack::neighbour::NUD_VALID;
use memtun_stack::wire::Writer;
use memtun_stack::{Link, Neighbour};
use std::net::{IpAddr, Ipv4Addr};

const PERMANENT: u16 = libc::NUD_PERMANENT;
const NOARP: u16 = libc::NUD_NOARP;
const REACHABLE: u16 = libc::NUD_REACHABLE;
/// NUD_CONNECTED: nothing has to be asked before a packet is sent.
const CONNECTED: u16 = PERMANENT | NOARP | REACHABLE;

/// How a neighbour is changed (NEIGH_UPDATE_F_*); who asks is an administrator always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Another address may replace the one that is known.
    pub replaces: bool,
    /// Whether it is a router may change.
    pub replaces_router: bool,
    /// It is a router.
    pub router: bool,
    /// Something outside of the kernel has learned of it.
    pub learned: bool,
    /// It is kept fresh.
    pub managed: bool,
    /// Something outside of the kernel has found it to be right.
    pub validated: bool,
    /// It is to be resolved.
    pub used: bool,
}

fn has_header(link: &Link) -> bool {
    !link.extra.address.is_empty()
}

fn has(link: &Link, flag: i32) -> bool {
    link.extra.flags & flag as u32 != 0
}

fn place(world: &World<'_>, index: u32, address: IpAddr, proxy: bool) -> Option<usize> {
    let mut all = world.state.neighbours.iter();
    all.position(|n| n.index == index && n.address == address && n.is_proxy() == proxy)
}

/// Returns all neighbours that are told: the machine's, then the net's.
pub fn all(world: &World<'_>) -> Vec<Neighbour> {
    let shadowed = |n: &&Neighbour| place(world, n.index, n.address, n.is_proxy()).is_some();
    let machine = world.machine.neighbours.iter().map(|own| &own.item);
    let machine = machine.filter(|n| !shadowed(n));
    let aged = |n: &Neighbour| aged(n, world.now);
    machine
        .cloned()
        .chain(world.state.neighbours.iter().map(aged))
        .collect()
}

/// Returns a neighbour as time has left it: who was reachable may have moved on, and who does not
/// answer has failed.
fn aged(neighbour: &Neighbour, now: u32) -> Neighbour {
    let mut neighbour = neighbour.clone();
    let since = |at: u32| now.wrapping_sub(at);
    if neighbour.state == REACHABLE && since(neighbour.times[0]) > 3000 {
        neighbour.state = libc::NUD_STALE;
    }
    if neighbour.state == libc::NUD_INCOMPLETE && since(neighbour.times[2]) > 300 {
        neighbour.state = libc::NUD_FAILED;
    }
    neighbour
}

/// Finds a neighbour, or an address that is answered for: on this link or on all.
pub fn find(world: &World<'_>, index: u32, address: IpAddr, proxy: bool) -> Option<Neighbour> {
    if proxy && index != 0 && place(world, index, address, true).is_none() {
        return find(world, 0, address, true);
    }
    if let Some(place) = place(world, index, address, proxy) {
        return Some(aged(&world.state.neighbours[place], world.now));
    }
    let mut machine = world.machine.neighbours.iter().map(|own| &own.item);
    let found = machine.find(|n| n.index == index && n.address == address && n.is_proxy() == proxy);
    found.cloned()
}

/// Returns what an IPv4 address is on a link (`inet_addr_type_dev_table`).
fn kind_of(world: &World<'_>, address: Ipv4Addr, index: u32) -> u8 {
    let own = |a: &memtun_stack::Address| a.index == index && a.local == IpAddr::V4(address);
    let broadcast = |a: &memtun_stack::Address| {
        let IpAddr::V4(local) = a.local else {
            return false;
        };
        let host = u32::MAX.checked_shr(a.prefix.into()).unwrap_or(0);
        let whole = Ipv4Addr::from(u32::from(local) | host);
        a.index == index && (a.broadcast == Some(address) || a.prefix < 31 && whole == address)
    };
    // Before somebody has made the table of local addresses there is none that could tell.
    let knows = world.addresses().any(|a| a.local.is_ipv4())
        || tables::has_v4(world, libc::RT_TABLE_LOCAL.into());
    match () {
        () if address.is_multicast() => libc::RTN_MULTICAST,
        () if address.is_broadcast() || address.octets()[0] == 0 => libc::RTN_BROADCAST,
        () if world.addresses().any(own) => libc::RTN_LOCAL,
        () if !knows || world.addresses().any(broadcast) => libc::RTN_BROADCAST,
        () => libc::RTN_UNICAST,
    }
}

/// Makes a neighbour of a link as its table does (`arp_constructor`, `ndisc_constructor`), or finds
/// the one that has its place.
fn create(world: &mut World<'_>, link: &Link, address: IpAddr) -> usize {
    let index = link.extra.index;
    let point = has(link, libc::IFF_LOOPBACK) || has(link, libc::IFF_POINTOPOINT);
    // At the other end of such a link there is one neighbour, whoever is spoken to.
    let address = match address {
        IpAddr::V4(_) if point => Ipv4Addr::UNSPECIFIED.into(),
        address => address,
    };
    if let Some(place) = place(world, index, address, false) {
        return place;
    }
    let kind = match address {
        IpAddr::V4(address) => kind_of(world, address, index),
        IpAddr::V6(address) if address.is_multicast() => libc::RTN_MULTICAST,
        IpAddr::V6(_) if has(link, libc::IFF_LOOPBACK) => libc::RTN_LOCAL,
        IpAddr::V6(_) => libc::RTN_UNICAST,
    };
    let extra = &link.extra;
    let (state, lladdr) = match () {
        () if !has_header(link) => (NOARP, Vec::new()),
        () if kind == libc::RTN_MULTICAST => (NOARP, multicast(address)),
        () if has(link, libc::IFF_NOARP) || has(link, libc::IFF_LOOPBACK) => {
            (NOARP, extra.address.clone())
        }
        () if kind == libc::RTN_BROADCAST || has(link, libc::IFF_POINTOPOINT) => {
            (NOARP, extra.broadcast.clone())
        }
        () => (0, vec![0; extra.address.len()]),
    };
    world.state.neighbours.push(Neighbour {
        index,
        address,
        lladdr,
        state,
        flags: 0,
        more_flags: 0,
        kind,
        protocol: 0,
        times: [world.now; 3],
    });
    world.state.neighbours.len() - 1
}

/// Returns the Ethernet address of a group.
fn multicast(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => {
            let [_, b, c, d] = a.octets();
            vec![1, 0, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(a) => {
            let mut group = vec![0x33, 0x33];
            group.extend(&a.octets()[12..]);
            group
        }
    }
}

/// Takes a neighbour of the machine's into the state, so that it can be changed.
fn adopt(world: &mut World<'_>, index: u32, address: IpAddr) -> Option<usize> {
    if let Some(place) = place(world, index, address, false) {
        let aged = aged(&world.state.neighbours[place], world.now);
        world.state.neighbours[place] = aged;
        return Some(place);
    }
    let found = find(world, index, address, false)?;
    world.state.neighbours.push(found);
    Some(world.state.neighbours.len() - 1)
}

/// What is wanted of a neighbour.
#[derive(Clone, Debug)]
pub struct Wanted<'w> {
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address, at least as long as the link's, where one is given.
    pub lladdr: Option<&'w [u8]>,
    /// NUD_* state.
    pub state: u16,
    /// Who makes it (RTPROT_*), 0 to leave that.
    pub protocol: u8,
    /// How it is changed.
    pub change: Change,
}

/// Adds or changes a neighbour of a link. `creates` says that it may be new, `exclusive` that it
/// must be.
///
/// # Errors
///
/// - EINVAL where the link has no such neighbours, and when no link-layer address is known.
/// - ENOENT when it would be new and may not be, EEXIST when it has to be and is not.
pub fn set(
    world: &mut World<'_>,
    index: u32,
    wanted: &Wanted<'_>,
    creates: bool,
    exclusive: bool,
) -> Result<(), Failure> {
    let link = world
        .link(index)
        .cloned()
        .ok_or(Failure::new(libc::ENODEV))?;
    if wanted.address.is_ipv6() {
        let of = conf::Of::Link(&link);
        let disabled = conf::v6(world.state, of, "disable_ipv6") != 0;
        if disabled || !conf::has_inet6(world.state, &link) {
            let text = "IPv6 is disabled on this device";
            return Err(Failure::said(libc::EINVAL, text));
        }
    }
    let resolved = wanted.change.used || wanted.change.managed;
    if wanted.change.validated && (resolved || wanted.state & NUD_VALID == 0) {
        let text = "Cannot mark neighbor as externally validated with an invalid state";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let place = match adopt(world, index, wanted.address) {
        Some(_) if exclusive => return Err(Failure::new(libc::EEXIST)),
        Some(place) => place,
        None if !creates => return Err(Failure::new(libc::ENOENT)),
        None => {
            if wanted.state & PERMANENT != 0 && wanted.change.managed {
                let text = "Invalid NTF_* flag for permanent entry";
                return Err(Failure::said(libc::EINVAL, text));
            }
            if wanted.address.is_ipv4() && !conf::has_inet4(&link) {
                return Err(Failure::new(libc::EINVAL));
            }
            let before = world.state.neighbours.len();
            let place = create(world, &link, wanted.address);
            if place == before {
                set_learned(&mut world.state.neighbours[place], wanted.change);
            }
            place
        }
    };
    if wanted.protocol != 0 {
        world.state.neighbours[place].protocol = wanted.protocol;
    }
    update(world, place, &link, wanted)
}

/// Sets the flags of who has learned and of who is kept fresh. Returns whether one has changed.
fn set_learned(neighbour: &mut Neighbour, change: Change) -> bool {
    /// NTF_EXT_LEARNED.
    const LEARNED: u8 = 0x10;
    let before = (neighbour.flags, neighbour.more_flags);
    neighbour.flags &= !LEARNED;
    if change.learned {
        neighbour.flags |= LEARNED;
    }
    // NTF_EXT_MANAGED, NTF_EXT_EXT_VALIDATED.
    neighbour.more_flags = u32::from(change.managed) | u32::from(change.validated) << 2;
    before != (neighbour.flags, neighbour.more_flags)
}

/// Changes a neighbour (`__neigh_update`).
fn update(
    world: &mut World<'_>,
    place: usize,
    link: &Link,
    wanted: &Wanted<'_>,
) -> Result<(), Failure> {
    let (now, change) = (world.now, wanted.change);
    let length = link.extra.address.len();
    let neighbour = &mut world.state.neighbours[place];
    let old = neighbour.state;
    let mut told = set_learned(neighbour, change);
    let mut result = Ok(());
    let mut router = false;
    'done: {
        if change.used || change.managed {
            neighbour.state = old & !PERMANENT;
            break 'done;
        }
        let new = wanted.state;
        if new & NUD_VALID == 0 {
            neighbour.state = new;
            told = old & NUD_VALID != 0;
            break 'done;
        }
        let known = old & NUD_VALID != 0;
        let given = wanted.lladdr.and_then(|a| a.get(..length));
        let other = match given {
            _ if length == 0 => None,
            Some(given) if known && given == neighbour.lladdr => None,
            Some(given) => Some(given),
            None if known => None,
            None => {
                let text = "No link layer address given";
                result = Err(Failure::said(libc::EINVAL, text));
                break 'done;
            }
        };
        if new & CONNECTED != 0 {
            neighbour.times[0] = now;
        }
        router = change.replaces_router;
        if known && other.is_some() && !change.replaces {
            router = false;
            break 'done;
        }
        if new != old || other.is_some() {
            neighbour.times[2] = now;
        }
        if new != old {
            neighbour.state = new;
            told = true;
        }
        if let Some(other) = other {
            neighbour.lladdr = other.to_vec();
            if new & CONNECTED == 0 {
                neighbour.times[0] = now.wrapping_sub(6000);
            }
            told = true;
        }
    }
    if router {
        let before = neighbour.flags;
        neighbour.flags &= !libc::NTF_ROUTER;
        if change.router {
            neighbour.flags |= libc::NTF_ROUTER;
        }
        told |= before != neighbour.flags;
    }
    if told {
        let neighbour = neighbour.clone();
        let port = world.port;
        tell(world, &neighbour, libc::RTM_NEWNEIGH, port);
    }
    if result.is_ok() && (change.used || change.managed) {
        resolve(world, place);
    }
    result
}

/// Begins to look for a neighbour (`neigh_event_send`).
fn resolve(world: &mut World<'_>, place: usize) {
    let now = world.now;
    let neighbour = &mut world.state.neighbours[place];
    if neighbour.state & (CONNECTED | libc::NUD_DELAY | libc::NUD_PROBE) != 0 {
        return;
    }
    neighbour.state = if neighbour.state & libc::NUD_STALE != 0 {
        libc::NUD_DELAY
    } else {
        libc::NUD_INCOMPLETE
    };
    neighbour.times[2] = now;
}

fn tell(world: &mut World<'_>, neighbour: &Neighbour, kind: u16, port: u32) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        port,
        ..Head::default()
    };
    neighbour.write(&mut to, head, Some(world.now));
    world.tell(libc::RTNLGRP_NEIGH, to.take());
}

/// Takes a neighbour away (`neigh_delete`). Its link-layer address is lost first.
///
/// # Errors
///
/// ENOENT when there is none.
pub fn remove(world: &mut World<'_>, index: u32, address: IpAddr) -> Result<(), Failure> {
    let place = adopt(world, index, address).ok_or(Failure::new(libc::ENOENT))?;
    let neighbour = &mut world.state.neighbours[place];
    let known = neighbour.is_valid();
    set_learned(neighbour, Change::default());
    neighbour.state = libc::NUD_FAILED;
    let neighbour = neighbour.clone();
    if known {
        let port = world.port;
        tell(world, &neighbour, libc::RTM_NEWNEIGH, port);
    }
    take(world, |n| {
        n.index == index && n.address == address && !n.is_proxy()
    });
    hide(world, index, address);
    tell(world, &neighbour, libc::RTM_DELNEIGH, 0);
    Ok(())
}

fn take(world: &mut World<'_>, mut which: impl FnMut(&Neighbour) -> bool) {
    world.state.neighbours.retain(|n| !which(n));
}

/// Hides a neighbour of the machine's.
fn hide(world: &mut World<'_>, index: u32, address: IpAddr) {
    let is_it = |n: &Neighbour| n.index == index && n.address == address;
    let machine = &mut world.machine.neighbours;
    if let Some(place) = machine.iter().position(|own| is_it(&own.item)) {
        let own = machine.remove(place);
        world.state.hidden.push(own.message);
    }
}

/// Answers for an address on a link, or on all for index 0 (`pneigh_create`).
pub fn set_proxy(
    world: &mut World<'_>,
    index: u32,
    address: IpAddr,
    flags: (u8, u32),
    protocol: u8,
) {
    let known = place(world, index, address, true).or(place(world, 0, address, true));
    let place = known.unwrap_or_else(|| {
        world.state.neighbours.push(Neighbour {
            index,
            address,
            lladdr: Vec::new(),
            state: 0,
            flags: libc::NTF_PROXY,
            more_flags: 0,
            kind: libc::RTN_UNICAST,
            protocol: 0,
            times: [0; 3],
        });
        world.state.neighbours.len() - 1
    });
    let proxy = &mut world.state.neighbours[place];
    proxy.flags = flags.0 | libc::NTF_PROXY;
    proxy.more_flags = flags.1;
    if protocol != 0 {
        proxy.protocol = protocol;
    }
}

/// Answers for an address no more (`pneigh_delete`).
///
/// # Errors
///
/// ENOENT when it was not answered for.
pub fn remove_proxy(world: &mut World<'_>, index: u32, address: IpAddr) -> Result<(), Failure> {
    let found = place(world, index, address, true);
    let place = found.ok_or(Failure::new(libc::ENOENT))?;
    world.state.neighbours.remove(place);
    Ok(())
}

/// Takes neighbours of a link away and tells of each (`neigh_flush_dev`).
fn flush(world: &mut World<'_>, index: u32, which: impl Fn(&Neighbour) -> bool) {
    let all = world.state.neighbours.iter();
    let gone = all.filter(|n| n.index == index && !n.is_proxy() && which(n));
    let gone: Vec<Neighbour> = gone.cloned().collect();
    take(world, |n| n.index == index && !n.is_proxy() && which(n));
    for neighbour in gone {
        tell(world, &neighbour, libc::RTM_DELNEIGH, 0);
    }
}

/// Carries out what follows from the end of IPv4 or of IPv6 on a link: it has no neighbours any
/// more (`neigh_ifdown`).
pub fn family_is_down(world: &mut World<'_>, index: u32, v4: bool) {
    flush(world, index, |n| n.address.is_ipv4() == v4);
    take(world, |n| {
        n.index == index && n.is_proxy() && n.address.is_ipv4() == v4
    });
}

/// Carries out what follows from another link-layer address of a link.
pub fn address_has_changed(world: &mut World<'_>, index: u32) {
    flush(world, index, |n| n.address.is_ipv4());
    flush(world, index, |_| true);
}

/// Carries out what follows from a carrier that has come or gone.
pub fn carrier_has_changed(world: &mut World<'_>, index: u32, carrier: bool) {
    let Some(link) = world.link(index).filter(|_| !carrier).cloned() else {
        return;
    };
    let of = conf::Of::Link(&link);
    if conf::v4(world.state, of, "arp_evict_nocarrier") != 0 {
        flush(world, index, |n| {
            n.address.is_ipv4() && n.state & PERMANENT == 0
        });
    }
    if conf::v6(world.state, of, "ndisc_evict_nocarrier") != 0 {
        flush(world, index, |n| {
            n.address.is_ipv6() && n.state & PERMANENT == 0
        });
    }
}
