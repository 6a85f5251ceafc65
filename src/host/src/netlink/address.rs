//! Addresses of interfaces: RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR.
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Parsed, Policy, Table, U32, U8};
use super::request::{Request, DUMP_FILTERED};
use super::row::{row, Row};
use crate::engine::address::{v4, v6};
use crate::engine::place::Place;
use crate::engine::route::{lookup, Cause};
use crate::message::conf;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::address::{FOREVER, HEADER, IFA_PROTO, IFA_RT_PRIORITY};
use memtun_stack::wire::{u32_at, Writer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;
const UNSPEC: u8 = libc::AF_UNSPEC as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWADDR, INET, Some(new_v4), None),
    row(libc::RTM_DELADDR, INET, Some(delete_v4), None),
    row(libc::RTM_GETADDR, INET, None, Some(dump_v4)),
    row(libc::RTM_NEWADDR, INET6, Some(new_v6), None),
    row(libc::RTM_DELADDR, INET6, Some(delete_v6), None),
    row(libc::RTM_GETADDR, INET6, Some(get_v6), Some(dump_v6)),
    row(libc::RTM_GETADDR, UNSPEC, None, Some(dump_all)),
];

/// IFA_TARGET_NETNSID of linux/if_addr.h.
const IFA_TARGET_NETNSID: u16 = 10;
/// Length of `struct ifa_cacheinfo`.
const CACHE: u16 = 16;

/// What attributes of an IPv4 address may be (`ifa_ipv4_policy`).
static V4: Table = Table {
    max: IFA_PROTO,
    strict_from: 0,
    entries: &[
        (libc::IFA_LOCAL, U32),
        (libc::IFA_ADDRESS, U32),
        (libc::IFA_BROADCAST, U32),
        (libc::IFA_LABEL, Policy::of(Kind::String, 15)),
        (libc::IFA_CACHEINFO, Policy::of(Kind::Unspec, CACHE)),
        (libc::IFA_FLAGS, U32),
        (IFA_RT_PRIORITY, U32),
        (IFA_TARGET_NETNSID, Policy::of(Kind::S32, 0)),
        (IFA_PROTO, U8),
    ],
};

/// What attributes of an IPv6 address may be (`ifa_ipv6_policy`).
static V6: Table = Table {
    max: IFA_PROTO,
    strict_from: 0,
    entries: &[
        (libc::IFA_ADDRESS, Policy::of(Kind::Unspec, 16)),
        (libc::IFA_LOCAL, Policy::of(Kind::Unspec, 16)),
        (libc::IFA_CACHEINFO, Policy::of(Kind::Unspec, CACHE)),
        (libc::IFA_FLAGS, Policy::of(Kind::Unspec, 4)),
        (IFA_RT_PRIORITY, Policy::of(Kind::Unspec, 4)),
        (IFA_TARGET_NETNSID, Policy::of(Kind::S32, 0)),
        (IFA_PROTO, U8),
    ],
};

/// `struct ifaddrmsg`.
struct Head {
    prefix: u8,
    flags: u8,
    scope: u8,
    index: u32,
}

fn head(request: &Request<'_>) -> Head {
    let byte = |at: usize| request.message.body.get(at).copied().unwrap_or(0);
    Head {
        prefix: byte(1),
        flags: byte(2),
        scope: byte(3),
        index: u32_at(request.message.body, 4).unwrap_or(0),
    }
}

fn cause(request: &Request<'_>) -> Cause {
    Cause {
        port: request.asker.port,
        sequence: request.message.sequence,
    }
}

fn word(attributes: &Parsed<'_>, kind: u16) -> Option<u32> {
    attributes.get(kind)?.u32()
}

fn v4_at(attributes: &Parsed<'_>, kind: u16) -> Option<Ipv4Addr> {
    let value = attributes.get(kind)?.value.get(..4)?;
    Some(<[u8; 4]>::try_from(value).ok()?.into())
}

fn v6_at(attributes: &Parsed<'_>, kind: u16) -> Option<Ipv6Addr> {
    let value = attributes.get(kind)?.value.get(..16)?;
    Some(<[u8; 16]>::try_from(value).ok()?.into())
}

/// Returns the lifetimes: of validity, and of preference.
fn lifetimes(attributes: &Parsed<'_>, text: &'static str) -> Result<(u32, u32), Failure> {
    let Some(cache) = attributes.get(libc::IFA_CACHEINFO) else {
        return Ok((FOREVER, FOREVER));
    };
    let preferred = u32_at(cache.value, 0).unwrap_or(0);
    let valid = u32_at(cache.value, 4).unwrap_or(0);
    if valid == 0 || preferred > valid {
        return Err(Failure::said(libc::EINVAL, text));
    }
    Ok((valid, preferred))
}

fn new_v4(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let attributes = request.parse(HEADER, &V4, Mode::Liberal)?;
    let refuse = |text: &'static str| Err(Failure::said(libc::EINVAL, text));
    let head = head(request);
    if head.prefix > 32 {
        return refuse("ipv4: Invalid prefix length");
    }
    let Some(local) = v4_at(&attributes, libc::IFA_LOCAL) else {
        return refuse("ipv4: Local address is not supplied");
    };
    let lives = lifetimes(&attributes, "ipv4: address lifetime invalid")?;
    if local.is_unspecified() {
        return Ok(());
    }
    let Some(link) = world.link(head.index) else {
        return Err(Failure::said(libc::ENODEV, "ipv4: Device not found"));
    };
    if link.extra.mtu < 68 {
        return Err(Failure::new(libc::ENOBUFS));
    }
    let (name, label) = (link.extra.name, attributes.get(libc::IFA_LABEL));
    crate::engine::link::is_settled(world, head.index);
    let label = match label {
        Some(label) => Name::new(label.string().get(..15).unwrap_or(label.string())),
        None => Some(name),
    };
    let label = label.unwrap_or(name);
    let mut address = v4::plain(head.index, local, head.prefix, label, world.now);
    if let Some(peer) = v4_at(&attributes, libc::IFA_ADDRESS) {
        address.peer = peer.into();
    }
    address.broadcast = v4_at(&attributes, libc::IFA_BROADCAST).filter(|b| !b.is_unspecified());
    address.scope = head.scope;
    address.flags = word(&attributes, libc::IFA_FLAGS).unwrap_or(head.flags.into());
    address.priority = word(&attributes, IFA_RT_PRIORITY).unwrap_or(0);
    address.protocol = attributes.get(IFA_PROTO).and_then(|a| a.u8()).unwrap_or(0);
    let how = request.message.flags.into();
    v4::add(world, address, lives, how, cause(request))
}

fn delete_v4(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let attributes = request.parse(HEADER, &V4, Mode::Liberal)?;
    let head = head(request);
    if world
        .link(head.index)
        .is_none_or(|link| link.extra.mtu < 68)
    {
        return Err(Failure::said(libc::ENODEV, "ipv4: Device not found"));
    }
    let local = v4_at(&attributes, libc::IFA_LOCAL).map(IpAddr::V4);
    let label = attributes.get(libc::IFA_LABEL).map(|label| label.string());
    let network = v4_at(&attributes, libc::IFA_ADDRESS);
    let mut places = world.address_places(head.index, true).into_iter();
    let found = places.find(|place| {
        let address = world.address(*place);
        local.is_none_or(|local| address.local == local)
            && label.is_none_or(|label| address.label.as_bytes() == label)
            && network.is_none_or(|network| {
                address.prefix == head.prefix && v4::matches(address, network)
            })
    });
    match found {
        Some(place) => {
            v4::remove(world, place, cause(request));
            Ok(())
        }
        None => Err(Failure::said(
            libc::EADDRNOTAVAIL,
            "ipv4: Address not found",
        )),
    }
}

/// Returns the address that is meant, and that at the other end if it is another
/// (`extract_addr`).
fn both(attributes: &Parsed<'_>) -> Result<(Ipv6Addr, Option<Ipv6Addr>), Failure> {
    let address = v6_at(attributes, libc::IFA_ADDRESS);
    let local = v6_at(attributes, libc::IFA_LOCAL);
    match (local, address) {
        (Some(local), Some(address)) => Ok((local, Some(address).filter(|a| *a != local))),
        (Some(one), None) | (None, Some(one)) => Ok((one, None)),
        (None, None) => Err(Failure::new(libc::EINVAL)),
    }
}

fn new_v6(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let attributes = request.parse(HEADER, &V6, Mode::Liberal)?;
    let head = head(request);
    let (local, peer) = both(&attributes)?;
    let flags = word(&attributes, libc::IFA_FLAGS).unwrap_or(head.flags.into());
    let kept = libc::IFA_F_NODAD
        | libc::IFA_F_HOMEADDRESS
        | libc::IFA_F_MANAGETEMPADDR
        | libc::IFA_F_NOPREFIXROUTE
        | libc::IFA_F_MCAUTOJOIN
        | libc::IFA_F_OPTIMISTIC;
    let (valid, preferred) = lifetimes(&attributes, "ipv6: address lifetime invalid")?;
    let mut wanted = v6::Wanted {
        local,
        peer,
        prefix: head.prefix,
        flags: flags & kept,
        valid,
        preferred,
        priority: word(&attributes, IFA_RT_PRIORITY).unwrap_or(0),
        protocol: attributes.get(IFA_PROTO).and_then(|a| a.u8()).unwrap_or(0),
    };
    if valid == FOREVER {
        wanted.flags |= libc::IFA_F_PERMANENT;
    }
    if preferred == 0 {
        wanted.flags |= libc::IFA_F_DEPRECATED;
    }
    let Some(link) = world.link(head.index) else {
        let text = "ipv6: Unable to find the interface";
        return Err(Failure::said(libc::ENODEV, text));
    };
    if !conf::has_inet6(world.state, link) {
        return Err(Failure::new(libc::EINVAL));
    }
    // Addresses are used before the detection of duplicates only where that was switched on.
    if world.setting_of("ipv6", head.index, "optimistic_dad") == 0 {
        wanted.flags &= !libc::IFA_F_OPTIMISTIC;
    }
    let exclusive = libc::IFA_F_NODAD | libc::IFA_F_OPTIMISTIC;
    if wanted.flags & exclusive == exclusive {
        let text = "IFA_F_NODAD and IFA_F_OPTIMISTIC are mutually exclusive";
        return Err(Failure::said(libc::EINVAL, text));
    }
    match v6::find(world, head.index, local) {
        None => v6::add(world, head.index, &wanted),
        Some(_) if request.has(libc::NLM_F_EXCL) || !request.has(libc::NLM_F_REPLACE) => Err(
            Failure::said(libc::EEXIST, "ipv6: address already assigned"),
        ),
        Some(place) => v6::modify(world, place, &wanted),
    }
}

fn delete_v6(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let attributes = request.parse(HEADER, &V6, Mode::Liberal)?;
    let head = head(request);
    let (local, _) = both(&attributes)?;
    v6::delete(world, head.index, local, head.prefix.into())
}

fn get_v6(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let refuse = |text: &'static str| Err(Failure::said(libc::EINVAL, text));
    if request.message.body.len() < HEADER {
        return refuse("ipv6: Invalid header for get address request");
    }
    let head = head(request);
    let mut mode = Mode::Liberal;
    if request.is_strict() {
        if head.prefix != 0 || head.flags != 0 || head.scope != 0 {
            return refuse("ipv6: Invalid values in header for get address request");
        }
        mode = Mode::Known;
    }
    let attributes = request.parse(HEADER, &V6, mode)?;
    let known = [IFA_TARGET_NETNSID, libc::IFA_ADDRESS, libc::IFA_LOCAL];
    if request.is_strict() && attributes.iter().any(|a| !known.contains(&a.kind)) {
        return refuse("ipv6: Unsupported attribute in get address request");
    }
    if attributes.has(IFA_TARGET_NETNSID) {
        return Err(Failure::new(libc::EINVAL));
    }
    let (local, _) = both(&attributes)?;
    let links = match world.link(head.index) {
        Some(_) => vec![head.index],
        None => lookup::links(world),
    };
    let mut found = links
        .into_iter()
        .filter_map(|link| v6::find(world, link, local));
    let place = found.next().ok_or(Failure::new(libc::EADDRNOTAVAIL))?;
    append(world, request, to, place, 0);
    Ok(())
}

/// Appends an address as an answer. What the machine's kernel told of is told in its words.
fn append(world: &World<'_>, request: &Request<'_>, to: &mut Writer, place: Place, flags: u16) {
    match place {
        Place::Machine(at) => request.repeat(to, &world.machine.addresses[at].message, flags),
        Place::Net(_) => {
            let head = request.head(libc::RTM_NEWADDR, flags);
            world.address(place).write(to, head, Some(world.now));
        }
    }
}

fn dump(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
    v4: bool,
) -> Result<(), Failure> {
    let (links, flags) = links_asked_for(world, request, v4)?;
    for link in links {
        for place in world.address_places(link, v4) {
            append(world, request, to, place, flags);
        }
    }
    Ok(())
}

/// Returns the links of whose addresses a dump tells, and the flags of its messages
/// (`inet_valid_dump_ifaddr_req`, `inet6_valid_dump_ifaddr_req`).
pub(super) fn links_asked_for(
    world: &World<'_>,
    request: &Request<'_>,
    v4: bool,
) -> Result<(Vec<u32>, u16), Failure> {
    let module = if v4 { "ipv4" } else { "ipv6" };
    let refuse = |text: &str| Err(Failure::said(libc::EINVAL, format!("{module}: {text}")));
    let mut links = lookup::links(world);
    let mut flags = 0;
    if request.is_strict() {
        if request.message.body.len() < HEADER {
            return refuse("Invalid header for address dump request");
        }
        let head = head(request);
        if head.prefix != 0 || head.flags != 0 || head.scope != 0 {
            return refuse("Invalid values in header for address dump request");
        }
        if head.index != 0 {
            request.end_is_filtered();
            flags = DUMP_FILTERED;
        }
        let attributes = request.parse(HEADER, if v4 { &V4 } else { &V6 }, Mode::Known)?;
        if let Some(attribute) = attributes.iter().next() {
            return match attribute.kind {
                IFA_TARGET_NETNSID => refuse("Invalid target network namespace id"),
                _ => refuse("Unsupported attribute in dump request"),
            };
        }
        if head.index != 0 {
            if world.link(head.index).is_none() {
                return Err(Failure::new(libc::ENODEV));
            }
            links = vec![head.index];
        }
    }
    Ok((links, flags))
}

fn dump_v4(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    dump(world, request, to, true)
}

fn dump_v6(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    dump(world, request, to, false)
}

fn dump_all(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    dump(world, request, to, true)?;
    dump(world, request, to, false)
}
