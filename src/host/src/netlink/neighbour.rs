//! Neighbours: RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH, and for AF_BRIDGE the addresses that a
//! card receives (net/core/neighbour.c, net/core/rtnetlink.c).
#![forbid(unsafe_code)]

use super::link_policy;
use super::policy::{Check, Kind, Mode, Policy, Table, NEST, U16, U32, U8};
use super::request::{invalid, Request, DUMP_FILTERED};
use super::row::{row, Row};
use crate::engine::link as links;
use crate::engine::neighbour::{self as engine, Change, Wanted};
use crate::{Failure, World};
use memtun_stack::neighbour::{HEADER, NDA_FLAGS_EXT, NDA_PROTOCOL};
use memtun_stack::wire::{Attribute, Attributes, Writer};
use std::net::IpAddr;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const BRIDGE: u8 = libc::AF_BRIDGE as u8;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWNEIGH, UNSPEC, Some(new), None),
    row(libc::RTM_DELNEIGH, UNSPEC, Some(delete), None),
    row(libc::RTM_GETNEIGH, UNSPEC, Some(get), Some(dump)).joined(),
    row(libc::RTM_NEWNEIGH, BRIDGE, Some(change_bridge), None),
    row(libc::RTM_DELNEIGH, BRIDGE, Some(change_bridge), None).bulk(),
    row(
        libc::RTM_GETNEIGH,
        BRIDGE,
        Some(get_bridge),
        Some(dump_bridge),
    ),
];

const NDA_IFINDEX: u16 = 8;
const NDA_MASTER: u16 = 9;
/// NTF_EXT_LEARNED.
const LEARNED: u8 = 0x10;
/// NTF_EXT_MANAGED among the flags of NDA_FLAGS_EXT.
const MANAGED: u32 = 1;
/// NTF_EXT_EXT_VALIDATED among the flags of NDA_FLAGS_EXT.
const VALIDATED: u32 = 4;

const ADDRESS: Policy = Policy::of(Kind::Binary, 32);

static POLICY: Table = Table {
    max: 17,
    strict_from: 13,
    entries: &[
        (libc::NDA_DST, ADDRESS),
        (libc::NDA_LLADDR, ADDRESS),
        (libc::NDA_CACHEINFO, Policy::of(Kind::Unspec, 16)),
        (libc::NDA_PROBES, U32),
        (libc::NDA_VLAN, U16),
        (6, U16), // NDA_PORT
        (7, U32), // NDA_VNI
        (NDA_IFINDEX, U32),
        (NDA_MASTER, U32),
        (NDA_PROTOCOL, U8),
        (13, U32),  // NDA_NH_ID
        (14, NEST), // NDA_FDB_EXT_ATTRS
        (
            NDA_FLAGS_EXT,
            Policy {
                check: Check::Mask(5),
                ..U32
            },
        ),
    ],
};

/// The same numbers without any policy.
static NO_POLICY: Table = Table {
    max: 17,
    strict_from: 0,
    entries: &[],
};

fn index_in(body: &[u8]) -> u32 {
    memtun_stack::wire::u32_at(body, 4).unwrap_or(0)
}

fn state_in(body: &[u8]) -> u16 {
    memtun_stack::wire::u16_at(body, 8).unwrap_or(0)
}

/// Only one byte of a state is kept.
fn kept_state(body: &[u8]) -> u16 {
    state_in(body) & 0xff
}

/// Reads an address of a family from the beginning of an attribute; None when it is too short.
fn address(family: u8, a: Attribute<'_>) -> Option<IpAddr> {
    let length = if family == INET6 { 16 } else { 4 };
    memtun_stack::wire::ip_of(a.value.get(..length)?)
}

fn new(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &POLICY, Mode::Liberal)?;
    let body = request.message.body;
    let Some(destination) = tb.get(libc::NDA_DST) else {
        return invalid("Network address not specified");
    };
    let lladdr = tb.get(libc::NDA_LLADDR).map(|a| a.value);
    let index = index_in(body);
    if index != 0 {
        let link = world.link(index).ok_or(Failure::new(libc::ENODEV))?;
        if lladdr.is_some_and(|a| a.len() < link.extra.address.len()) {
            return invalid("Invalid link address");
        }
    }
    let family = body[0];
    if !matches!(family, INET | INET6) {
        return Err(Failure::new(libc::EAFNOSUPPORT));
    }
    let Some(destination) = address(family, destination) else {
        return invalid("Invalid network address");
    };
    let protocol = tb.get(NDA_PROTOCOL).and_then(|a| a.u8()).unwrap_or(0);
    let flags = body[10];
    let more = tb.get(NDA_FLAGS_EXT).and_then(|a| a.u32()).unwrap_or(0);
    if flags & libc::NTF_PROXY != 0 {
        if more & MANAGED != 0 {
            return invalid("Invalid NTF_* flag combination");
        }
        let has_inet6 = |link| crate::message::conf::has_inet6(world.state, link);
        if family == INET6 && !world.link(index).is_some_and(has_inet6) {
            // IPv6 answers only on a link that has it.
            return Err(Failure::new(libc::ENOBUFS));
        }
        engine::set_proxy(world, index, destination, (flags, more), protocol);
        return Ok(());
    }
    if index == 0 {
        return invalid("Device not specified");
    }
    let replaces = request.has(libc::NLM_F_REPLACE);
    let is_new = engine::find(world, index, destination, false).is_none();
    let wanted = Wanted {
        address: destination,
        lladdr,
        state: kept_state(body),
        protocol,
        change: Change {
            replaces: is_new || replaces,
            replaces_router: is_new || replaces,
            router: flags & libc::NTF_ROUTER != 0,
            learned: flags & LEARNED != 0,
            managed: more & MANAGED != 0,
            validated: more & VALIDATED != 0,
            used: flags & libc::NTF_USE != 0,
        },
    };
    let creates = request.has(libc::NLM_F_CREATE);
    engine::set(
        world,
        index,
        &wanted,
        creates,
        request.has(libc::NLM_F_EXCL),
    )
}

fn delete(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < HEADER {
        return Err(Failure::new(libc::EINVAL));
    }
    // The first one counts here.
    let destination = Attributes::behind(body, HEADER).find(|a| a.kind == libc::NDA_DST);
    let Some(destination) = destination else {
        return invalid("Network address not specified");
    };
    let index = index_in(body);
    if index != 0 && world.link(index).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    let family = body[0];
    if !matches!(family, INET | INET6) {
        return Err(Failure::new(libc::EAFNOSUPPORT));
    }
    let Some(destination) = address(family, destination) else {
        return invalid("Invalid network address");
    };
    if body[10] & libc::NTF_PROXY != 0 {
        return engine::remove_proxy(world, index, destination);
    }
    if index == 0 {
        return Err(Failure::new(libc::EINVAL));
    }
    engine::remove(world, index, destination)
}

fn get(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < HEADER {
        return invalid("Invalid header for neighbor get request");
    }
    if body[1..4] != [0; 3] || state_in(body) != 0 || body[11] != 0 {
        return invalid("Invalid values in header for neighbor get request");
    }
    if body[10] & !libc::NTF_PROXY != 0 {
        return invalid("Invalid flags in header for neighbor get request");
    }
    let index = index_in(body);
    let proxy = body[10] & libc::NTF_PROXY != 0;
    if index == 0 && !proxy {
        return invalid("No device specified");
    }
    let tb = request.parse(HEADER, &POLICY, Mode::Known)?;
    let Some(destination) = tb.get(libc::NDA_DST) else {
        return Err(Failure::new(libc::EINVAL).misses(libc::NDA_DST));
    };
    if tb.iter().any(|a| a.kind != libc::NDA_DST) {
        return invalid("Unsupported attribute in neighbor get request");
    }
    let family = body[0];
    if !matches!(family, INET | INET6) {
        let text = "Unsupported family in header for neighbor get request";
        return Err(Failure::said(libc::EAFNOSUPPORT, text));
    }
    if destination.value.len() != if family == INET6 { 16 } else { 4 } {
        return invalid("Invalid network address in neighbor get request");
    }
    if index != 0 && world.link(index).is_none() {
        return Err(Failure::said(libc::ENODEV, "Unknown device ifindex"));
    }
    let found = address(family, destination)
        .and_then(|destination| engine::find(world, index, destination, proxy));
    let Some(found) = found else {
        let text = if proxy {
            "Proxy neighbour entry not found"
        } else {
            "Neighbour entry not found"
        };
        return Err(Failure::said(libc::ENOENT, text));
    };
    let head = request.head(libc::RTM_NEWNEIGH, 0);
    found.write(to, head, Some(world.now));
    Ok(())
}

fn dump(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    let family = body[0];
    let parsed = if request.is_strict() {
        if body.len() < HEADER {
            return invalid("Invalid header for neighbor dump request");
        }
        let plain = body[1..8] == [0; 7] && state_in(body) == 0 && body[11] == 0;
        if !plain {
            return invalid("Invalid values in header for neighbor dump request");
        }
        if body[10] & !libc::NTF_PROXY != 0 {
            return invalid("Invalid flags in header for neighbor dump request");
        }
        Some(request.parse(HEADER, &POLICY, Mode::Known)?)
    } else {
        request.try_parse(HEADER, &POLICY)
    };
    let proxy = body.get(10) == Some(&libc::NTF_PROXY) && body.len() >= HEADER;
    let (mut index, mut master) = (0, 0);
    for a in parsed.iter().flat_map(|tb| tb.iter()) {
        match a.kind {
            NDA_IFINDEX => index = a.u32().unwrap_or(0),
            NDA_MASTER => master = a.u32().unwrap_or(0),
            _ if request.is_strict() => {
                return invalid("Unsupported attribute in neighbor dump request");
            }
            _ => {}
        }
    }
    let flags = if index != 0 || master != 0 {
        DUMP_FILTERED
    } else {
        0
    };
    let all = engine::all(world);
    for wanted in [INET, INET6] {
        if family != UNSPEC && family != wanted {
            continue;
        }
        for neighbour in &all {
            let told = memtun_stack::wire::family_of(neighbour.address) == wanted
                && neighbour.is_proxy() == proxy
                && (index == 0 || neighbour.index == index)
                // No link has a master, which is what -1 asks for.
                && (master == 0 || master == u32::MAX);
            if told {
                let head = request.head(libc::RTM_NEWNEIGH, flags);
                neighbour.write(to, head, Some(world.now));
            }
        }
    }
    Ok(())
}

/// Adds or deletes an address that a card receives (`rtnl_fdb_add`, `rtnl_fdb_del`). A tap receives
/// all; the list is only shown.
fn change_bridge(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    /// NLM_F_BULK.
    const BULK: i32 = 0x200;
    let deletes = request.message.kind == libc::RTM_DELNEIGH;
    let bulk = deletes && request.has(BULK);
    let mode = if bulk { Mode::Strict } else { Mode::Liberal };
    let tb = request.parse(HEADER, &NO_POLICY, mode)?;
    let body = request.message.body;
    let index = index_in(body);
    if index == 0 {
        return invalid("invalid ifindex");
    }
    let Some(link) = world.link(index) else {
        return Err(Failure::said(libc::ENODEV, "unknown ifindex"));
    };
    let ethernet = u32::from(link.extra.link_type) == u32::from(libc::ARPHRD_ETHER);
    let not_ethernet = || {
        if deletes {
            invalid("FDB delete only supported for Ethernet devices")
        } else {
            invalid("FDB add only supported for Ethernet devices")
        }
    };
    let lladdr = tb.get(libc::NDA_LLADDR).filter(|a| a.value.len() == 6);
    if !bulk && lladdr.is_none() {
        return invalid("invalid address");
    }
    if !ethernet && !deletes {
        return not_ethernet();
    }
    let mut vlan = 0;
    if let Some(a) = tb.get(libc::NDA_VLAN).filter(|_| !bulk) {
        if a.value.len() != 2 {
            return invalid("invalid vlan attribute size");
        }
        vlan = a.u16().unwrap_or(0);
        if vlan == 0 || vlan >= 4095 {
            return invalid("invalid vlan id");
        }
    }
    if !ethernet {
        return not_ethernet();
    }
    if body[10] & libc::NTF_SELF == 0 || bulk {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    let permanent = state_in(body) & libc::NUD_PERMANENT != 0;
    let refused = if deletes {
        !permanent
    } else {
        state_in(body) != 0 && !permanent || tb.has(NDA_FLAGS_EXT) || vlan != 0
    };
    let zero = lladdr.is_some_and(|a| a.value == [0; 6]);
    if refused || zero {
        return Err(Failure::new(libc::EINVAL));
    }
    let address = lladdr.and_then(|a| <[u8; 6]>::try_from(a.value).ok());
    let address = address.ok_or(Failure::new(libc::EINVAL))?;
    if deletes {
        return links::remove_received(world, index, address);
    }
    let added = links::add_received(world, index, address);
    let is_known = |failure: &Failure| failure.errno.0 == libc::EEXIST;
    match added {
        // Only whoever says NLM_F_EXCL is told that it is there.
        Err(failure) if is_known(&failure) && !request.has(libc::NLM_F_EXCL) => Ok(()),
        added => added,
    }
}

/// Answers for one address of a bridge (`rtnl_fdb_get`): there is no bridge.
fn get_bridge(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < HEADER {
        return invalid("Invalid header for fdb get request");
    }
    if body[1..4] != [0; 3] || state_in(body) != 0 || body[11] != 0 {
        return invalid("Invalid values in header for fdb get request");
    }
    if body[10] & !(libc::NTF_MASTER | libc::NTF_SELF) != 0 {
        return invalid("Invalid flags in header for fdb get request");
    }
    let tb = request.parse(HEADER, &POLICY, Mode::Known)?;
    for a in tb.iter() {
        match a.kind {
            NDA_MASTER | 7 => {}
            libc::NDA_LLADDR if a.value.len() == 6 => {}
            libc::NDA_LLADDR => return invalid("Invalid address in fdb get request"),
            libc::NDA_VLAN => {
                if a.value.len() != 2 {
                    return invalid("invalid vlan attribute size");
                }
                if matches!(a.u16(), Some(0 | 4095..)) {
                    return invalid("invalid vlan id");
                }
            }
            _ => return invalid("Unsupported attribute in fdb get request"),
        }
    }
    if !tb.has(libc::NDA_LLADDR) {
        return invalid("Missing lookup address for fdb get request");
    }
    let index = index_in(body);
    if index != 0 && world.link(index).is_none() {
        return Err(Failure::said(libc::ENODEV, "Unknown device ifindex"));
    }
    let master = tb.get(NDA_MASTER).and_then(|a| a.u32()).unwrap_or(0);
    if master != 0 {
        if index != 0 {
            return invalid("Master and device are mutually exclusive");
        }
        if world.link(master).is_none() {
            return invalid("Invalid master ifindex");
        }
    } else if index == 0 {
        return Err(Failure::said(libc::ENODEV, "No device specified"));
    } else if body[10] == 0 || body[10] & libc::NTF_MASTER != 0 {
        return invalid("Device is not a bridge port");
    }
    let text = "Fdb get operation not supported by device";
    Err(Failure::said(libc::EOPNOTSUPP, text))
}

/// Answers `bridge fdb` (`rtnl_fdb_dump`).
fn dump_bridge(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let body = request.message.body;
    let (mut bridge, mut port) = (0, 0);
    if request.is_strict() {
        if body.len() < HEADER {
            return invalid("Invalid header for fdb dump request");
        }
        if body[1..4] != [0; 3] || body[8..12] != [0; 4] {
            return invalid("Invalid values in header for fdb dump request");
        }
        let tb = request.parse(HEADER, &NO_POLICY, Mode::Known)?;
        port = index_in(body);
        for a in tb.iter() {
            let (what, text) = match a.kind {
                NDA_IFINDEX => (&mut port, "Invalid IFINDEX attribute in fdb dump request"),
                NDA_MASTER => (&mut bridge, "Invalid MASTER attribute in fdb dump request"),
                _ => return invalid("Unsupported attribute in fdb dump request"),
            };
            if a.value.len() != 4 {
                return invalid(text);
            }
            *what = a.u32().unwrap_or(0);
        }
    } else if body.len() != HEADER && body.len() != HEADER + 8 {
        // Old programs send the header of links.
        let header = memtun_stack::link::HEADER;
        let tb = request.parse(header, &link_policy::LINK, Mode::Liberal);
        let tb = tb.map_err(|failure| Failure {
            errno: memtun_abi::Errno(libc::EINVAL),
            ..failure
        })?;
        bridge = tb.get(libc::IFLA_MASTER).and_then(|a| a.u32()).unwrap_or(0);
        port = index_in(body);
    }
    if bridge != 0 {
        return match world.link(bridge) {
            Some(_) => Ok(()),
            None => Err(Failure::new(libc::ENODEV)),
        };
    }
    for link in &world.links {
        let extra = &link.extra;
        let ethernet = extra.link_type == libc::ARPHRD_ETHER;
        if !ethernet || port != 0 && extra.index != port {
            continue;
        }
        let of_ip = links::groups_of_ip(world, link);
        for group in extra.unicast.iter().chain(&of_ip).chain(&extra.groups) {
            let mut own = [0; HEADER];
            own[0] = BRIDGE;
            own[4..8].copy_from_slice(&extra.index.to_ne_bytes());
            own[8..10].copy_from_slice(&libc::NUD_PERMANENT.to_ne_bytes());
            own[10] = libc::NTF_SELF;
            let head = request.head(libc::RTM_NEWNEIGH, 0);
            to.message(head.kind, head.flags, head.sequence, head.port)
                .raw(&own)
                .attribute(libc::NDA_LLADDR, group);
        }
    }
    Ok(())
}
