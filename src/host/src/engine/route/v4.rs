//! Routes of IPv4: what may be added and what is found to be deleted, and what becomes of them when
//! a link or an address goes.
#![forbid(unsafe_code)]

use super::lookup::{self, Flow};
use super::parts::{self, Part};
use super::Cause;
use crate::engine::place::Place;
use crate::{Failure, World};
use memtun_stack::address::Head;
use memtun_stack::route::{rtnh, Nexthop};
use memtun_stack::wire::{u16_at, Writer};
use memtun_stack::Route;
use std::net::{IpAddr, Ipv4Addr};

/// The highest type of a route (RTN_MAX).
pub const RTN_MAX: u8 = 11;
/// RTNH_F_PERVASIVE.
const PERVASIVE: u32 = 2;
/// The flags of a next hop that do not tell two apart (RTNH_COMPARE_MASK).
const CHANGING: u32 = rtnh::DEAD | rtnh::LINKDOWN | rtnh::OFFLOAD | rtnh::TRAP;

/// A route as it is asked for (`struct fib_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config<'b> {
    /// The destination.
    pub to: Ipv4Addr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Type of service.
    pub tos: u8,
    /// The table.
    pub table: u32,
    /// RTPROT_*.
    pub protocol: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTN_*.
    pub kind: u8,
    /// RTNH_F_* and RTM_F_* flags.
    pub flags: u32,
    /// Index of the interface, 0 for none.
    pub index: u32,
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// Priority.
    pub priority: u32,
    /// Preferred source, 0.0.0.0 for none.
    pub source: Ipv4Addr,
    /// RTA_METRICS.
    pub metrics: Option<Part<'b>>,
    /// RTA_MULTIPATH.
    pub multipath: Option<Part<'b>>,
    /// NLM_F_* flags.
    pub how: i32,
    /// Who asks.
    pub cause: Cause,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Config {
            to: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
            tos: 0,
            table: libc::RT_TABLE_MAIN.into(),
            protocol: 0,
            scope: 0,
            kind: 0,
            flags: 0,
            index: 0,
            gateway: None,
            priority: 0,
            source: Ipv4Addr::UNSPECIFIED,
            metrics: None,
            multipath: None,
            how: 0,
            cause: Cause::default(),
        }
    }
}

/// Returns the narrowest scope that a type of route may have, and the error that it stands for
/// (`fib_props`).
pub fn properties(kind: u8) -> (u8, i32) {
    match kind {
        libc::RTN_UNICAST | libc::RTN_MULTICAST => (libc::RT_SCOPE_UNIVERSE, 0),
        libc::RTN_LOCAL => (libc::RT_SCOPE_HOST, 0),
        libc::RTN_BROADCAST | libc::RTN_ANYCAST => (libc::RT_SCOPE_LINK, 0),
        libc::RTN_BLACKHOLE => (libc::RT_SCOPE_UNIVERSE, libc::EINVAL),
        libc::RTN_UNREACHABLE => (libc::RT_SCOPE_UNIVERSE, libc::EHOSTUNREACH),
        libc::RTN_PROHIBIT => (libc::RT_SCOPE_UNIVERSE, libc::EACCES),
        libc::RTN_THROW => (libc::RT_SCOPE_UNIVERSE, libc::EAGAIN),
        libc::RTN_NAT | libc::RTN_XRESOLVE => (libc::RT_SCOPE_NOWHERE, libc::EINVAL),
        _ => (libc::RT_SCOPE_NOWHERE, 0),
    }
}

fn refuse<T>(text: &'static str) -> Result<T, Failure> {
    Err(Failure::said(libc::EINVAL, text))
}

/// Checks that a destination fits its prefix (`fib_valid_key_len`).
///
/// # Errors
///
/// EINVAL when it does not.
pub fn check_prefix(to: Ipv4Addr, prefix: u8) -> Result<(), Failure> {
    if prefix > 32 {
        return refuse("Invalid prefix length");
    }
    if prefix < 32 && u32::from(to) << prefix != 0 {
        return refuse("Invalid prefix for given prefix length");
    }
    Ok(())
}

/// Reads RTA_VIA (`fib_gw_from_via`).
///
/// # Errors
///
/// EINVAL for what is no address.
pub fn via(value: &[u8]) -> Result<IpAddr, Failure> {
    let Some(family) = u16_at(value, 0) else {
        return refuse("Invalid attribute length for RTA_VIA");
    };
    let address = memtun_stack::wire::ip_of(&value[2..]);
    match (i32::from(family), address) {
        (libc::AF_INET, Some(IpAddr::V4(_))) | (libc::AF_INET6, Some(IpAddr::V6(_))) => {
            Ok(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
        }
        (libc::AF_INET, _) => refuse("Invalid IPv4 address in RTA_VIA"),
        (libc::AF_INET6, _) => refuse("Invalid IPv6 address in RTA_VIA"),
        _ => refuse("Unsupported address family in RTA_VIA"),
    }
}

/// Returns the gateway of RTA_GATEWAY; 0.0.0.0 is none.
fn gateway(value: &[u8]) -> Result<Option<IpAddr>, Failure> {
    match value.get(..4).and_then(memtun_stack::wire::ip_of) {
        None => refuse("Invalid IPv4 address in RTA_GATEWAY"),
        Some(gateway) => Ok((!gateway.is_unspecified()).then_some(gateway)),
    }
}

/// Makes a route out of what is asked for (`fib_create_info`).
fn create(world: &World<'_>, c: &Config<'_>) -> Result<Route, Failure> {
    if c.kind > RTN_MAX {
        return Err(Failure::new(libc::EINVAL));
    }
    let (scope, error) = properties(c.kind);
    if scope > c.scope {
        return refuse("Invalid scope");
    }
    if c.flags & (rtnh::DEAD | rtnh::LINKDOWN) != 0 {
        return refuse("Invalid rtm_flags - can not contain DEAD or LINKDOWN");
    }
    let mut given = Vec::new();
    if let Some(part) = c.multipath {
        let left;
        (given, left) = parts::hops(part);
        if left {
            return refuse("Invalid nexthop configuration - extra data after nexthops");
        }
        if given.is_empty() {
            return Err(Failure::new(libc::EINVAL));
        }
    }
    let (metrics, congestion) = parts::metrics(c.metrics)?;
    let mut hops = Vec::new();
    for hop in &given {
        if u32::from(hop.flags) & (rtnh::DEAD | rtnh::LINKDOWN) != 0 {
            return refuse("Invalid flags for nexthop - can not contain DEAD or LINKDOWN");
        }
        let gateway = match (hop.find(libc::RTA_GATEWAY), hop.find(super::v6::RTA_VIA)) {
            (Some(_), Some(_)) => {
                return refuse("Nexthop configuration can not contain both GATEWAY and VIA");
            }
            (Some(a), None) => gateway(a.value)?,
            (None, Some(a)) => Some(via(a.value)?),
            (None, None) => None,
        };
        hops.push(Nexthop {
            index: hop.index,
            gateway,
            flags: (c.flags & !0xff) | u32::from(hop.flags),
            weight: hop.weight,
        });
    }
    match hops.first() {
        None => hops.push(Nexthop {
            index: c.index,
            gateway: c.gateway,
            flags: c.flags,
            weight: 1,
        }),
        Some(first) if c.index != 0 && first.index != c.index => {
            return refuse("Nexthop device index does not match RTA_OIF");
        }
        Some(first) if c.gateway.is_some() && first.gateway != c.gateway => {
            return refuse("Nexthop gateway does not match RTA_GATEWAY or RTA_VIA");
        }
        Some(_) => {}
    }
    let mut route = Route {
        to: c.to.into(),
        prefix: c.prefix,
        from: (Ipv4Addr::UNSPECIFIED.into(), 0),
        tos: c.tos,
        table: c.table,
        protocol: c.protocol,
        scope: c.scope,
        kind: c.kind,
        flags: c.flags,
        priority: c.priority,
        source: (!c.source.is_unspecified()).then_some(c.source.into()),
        metrics,
        congestion,
        preference: 0,
        expires: None,
        hops,
    };
    if error != 0 {
        if c.gateway.is_some() || c.index != 0 || c.multipath.is_some() {
            return refuse(
                "Gateway, device and multipath can not be specified for this route type",
            );
        }
        route.hops.clear();
        return Ok(route);
    }
    if !(libc::RTN_UNICAST..=libc::RTN_MULTICAST).contains(&c.kind) {
        return refuse("Invalid route type");
    }
    if c.scope > libc::RT_SCOPE_HOST {
        return refuse("Invalid scope");
    }
    if c.scope == libc::RT_SCOPE_HOST {
        if route.hops.len() != 1 {
            return refuse("Route with host scope can not have multiple nexthops");
        }
        if route.hops[0].gateway.is_some() {
            return refuse("Route with host scope can not have a gateway");
        }
        world
            .link(route.hops[0].index)
            .ok_or(Failure::new(libc::ENODEV))?;
    } else {
        for hop in &mut route.hops {
            check_hop(world, hop, c)?;
        }
        if route.hops.iter().all(|hop| hop.flags & rtnh::LINKDOWN != 0) {
            route.flags |= rtnh::LINKDOWN;
        }
    }
    if !c.source.is_unspecified() && !is_source(world, c) {
        return refuse("Invalid prefsrc address");
    }
    Ok(route)
}

/// Is the preferred source an address of this host (`fib_valid_prefsrc`)?
fn is_source(world: &World<'_>, c: &Config<'_>) -> bool {
    let local = u32::from(libc::RT_TABLE_LOCAL);
    if c.kind == libc::RTN_LOCAL && !c.to.is_unspecified() && c.source == c.to {
        return true;
    }
    let of = |table| lookup::type_of(world, c.source, table) == libc::RTN_LOCAL;
    (c.table != u32::from(libc::RT_TABLE_MAIN) && of(c.table)) || of(local)
}

/// Checks a next hop, and finds its interface (`fib_check_nh`).
fn check_hop(world: &World<'_>, hop: &mut Nexthop, c: &Config<'_>) -> Result<(), Failure> {
    match hop.gateway {
        None => check_link(world, hop),
        Some(IpAddr::V4(gateway)) => check_gateway(world, hop, gateway, c),
        Some(IpAddr::V6(gateway)) => {
            super::v6::check_gateway_of_v4(world, hop, gateway, c.table)?;
            Ok(())
        }
    }
}

fn note_carrier(world: &World<'_>, hop: &mut Nexthop) {
    if world.link(hop.index).is_some_and(|link| !link.carrier) {
        hop.flags |= rtnh::LINKDOWN;
    }
}

fn check_link(world: &World<'_>, hop: &mut Nexthop) -> Result<(), Failure> {
    if hop.flags & (PERVASIVE | rtnh::ONLINK) != 0 {
        return refuse("Invalid flags for nexthop - PERVASIVE and ONLINK can not be set");
    }
    let link = world.link(hop.index).ok_or(Failure::new(libc::ENODEV))?;
    if !link.is_up() {
        return Err(Failure::said(
            libc::ENETDOWN,
            "Device for nexthop is not up",
        ));
    }
    note_carrier(world, hop);
    Ok(())
}

fn check_gateway(
    world: &World<'_>,
    hop: &mut Nexthop,
    gateway: Ipv4Addr,
    c: &Config<'_>,
) -> Result<(), Failure> {
    const INVALID: &str = "Nexthop has invalid gateway";
    if hop.flags & rtnh::ONLINK != 0 {
        if c.scope >= libc::RT_SCOPE_LINK {
            return refuse("Nexthop has invalid scope");
        }
        let Some(link) = world.link(hop.index) else {
            let text = "Nexthop device required for onlink";
            return Err(Failure::said(libc::ENODEV, text));
        };
        if !link.is_up() {
            return Err(Failure::said(libc::ENETDOWN, "Nexthop device is not up"));
        }
        let local = u32::from(libc::RT_TABLE_LOCAL);
        if lookup::type_of(world, gateway, local) != libc::RTN_UNICAST {
            return refuse(INVALID);
        }
        note_carrier(world, hop);
        return Ok(());
    }
    let flow = Flow {
        scope: c.scope.saturating_add(1).max(libc::RT_SCOPE_LINK),
        oif: hop.index,
        iif: lookup::LOOPBACK,
        ignore_linkstate: true,
        ..Flow::to(gateway.into())
    };
    let mut found = None;
    if c.table != 0 && c.table != u32::from(libc::RT_TABLE_MAIN) {
        found = lookup::in_table(world, &flow, &lookup::tree_of(world, c.table)).ok();
    }
    let found = match found {
        Some(found) => found,
        None => lookup::by_rules(world, &flow).map_err(|errno| Failure::said(errno, INVALID))?,
    };
    if found.route.kind != libc::RTN_UNICAST && found.route.kind != libc::RTN_LOCAL {
        return refuse(INVALID);
    }
    let index = found.hop().map_or(0, |hop| hop.index);
    let Some(link) = world.link(index) else {
        return refuse("No egress device for nexthop gateway");
    };
    hop.index = index;
    if !link.is_up() {
        return Err(Failure::new(libc::ENETDOWN));
    }
    note_carrier(world, hop);
    Ok(())
}

/// Are these the same but for what changes by itself and for their places in the tables (`struct
/// fib_info` is shared by such routes)?
fn is_same(a: &Route, b: &Route) -> bool {
    let hops = |(x, y): (&Nexthop, &Nexthop)| {
        x.index == y.index
            && x.gateway == y.gateway
            && x.weight == y.weight
            && (x.flags ^ y.flags) & !CHANGING == 0
    };
    a.protocol == b.protocol
        && a.scope == b.scope
        && a.source == b.source
        && a.priority == b.priority
        && a.kind == b.kind
        && a.table == b.table
        && a.metrics == b.metrics
        && a.congestion == b.congestion
        && (a.flags ^ b.flags) & !CHANGING == 0
        && a.hops.len() == b.hops.len()
        && a.hops.iter().zip(&b.hops).all(hops)
}

/// Returns the places of the routes that are equal to this one in order.
fn equals(world: &World<'_>, route: &Route) -> Vec<Place> {
    let mut places = world.route_places(route.is_v4());
    places.retain(|place| super::order(world.route(*place), route).is_eq());
    places
}

/// Adds a route (`fib_table_insert`).
///
/// # Errors
///
/// EEXIST when it is there, ENOENT when it is to be replaced and is not, and what its next hops
/// fail with.
pub fn add(world: &mut World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    make_table(world, c.table);
    check_prefix(c.to, c.prefix)?;
    let route = create(world, c)?;
    let group = equals(world, &route);
    let mut told = libc::NLM_F_EXCL;
    let mut first = true;
    if !group.is_empty() {
        if c.how & libc::NLM_F_EXCL != 0 {
            return Err(Failure::new(libc::EEXIST));
        }
        told = 0;
        let same = group.iter().position(|p| is_same(world.route(*p), &route));
        if c.how & libc::NLM_F_REPLACE != 0 {
            return match same {
                Some(0) => Ok(()),
                Some(_) => Err(Failure::new(libc::EEXIST)),
                None => {
                    world.replace_route(group[0], route.clone());
                    tell(
                        world,
                        &route,
                        libc::RTM_NEWROUTE,
                        libc::NLM_F_REPLACE,
                        c.cause,
                    );
                    Ok(())
                }
            };
        }
        if same.is_some() {
            return Err(Failure::new(libc::EEXIST));
        }
        if c.how & libc::NLM_F_APPEND != 0 {
            told |= libc::NLM_F_APPEND;
            first = false;
        }
    }
    if c.how & libc::NLM_F_CREATE == 0 {
        return Err(Failure::new(libc::ENOENT));
    }
    told |= libc::NLM_F_CREATE;
    world.put_route(route.clone(), first);
    tell(world, &route, libc::RTM_NEWROUTE, told, c.cause);
    Ok(())
}

/// Is there such a table (`fib_get_table`)?
pub fn has_table(world: &World<'_>, table: u32) -> bool {
    let made = (libc::AF_INET as u8, table);
    let mut routes = world.routes();
    world.state.tables.contains(&made) || routes.any(|route| route.is_v4() && route.table == table)
}

/// Makes a table if there is none (`fib_new_table`).
fn make_table(world: &mut World<'_>, table: u32) {
    super::make_table(world, libc::AF_INET, table);
    if table == u32::from(libc::RT_TABLE_LOCAL) {
        // The table of local addresses begins as a part of the main one.
        super::make_table(world, libc::AF_INET, libc::RT_TABLE_MAIN.into());
    }
}

/// Deletes a route (`fib_table_delete`).
///
/// # Errors
///
/// ESRCH when there is none like this.
pub fn delete(world: &mut World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    check_prefix(c.to, c.prefix)?;
    let mut found = None;
    for place in world.route_places(true) {
        let route = world.route(place);
        if route.table == c.table
            && route.to == IpAddr::V4(c.to)
            && route.prefix == c.prefix
            && route.tos == c.tos
            && is_meant(route, c)?
        {
            found = Some(place);
            break;
        }
    }
    let place = found.ok_or(Failure::new(libc::ESRCH))?;
    let route = world.take_route(place);
    tell(world, &route, libc::RTM_DELROUTE, 0, c.cause);
    Ok(())
}

/// Is this the route that is to be deleted?
fn is_meant(route: &Route, c: &Config<'_>) -> Result<bool, Failure> {
    let source = (!c.source.is_unspecified()).then_some(IpAddr::V4(c.source));
    Ok((c.kind == 0 || route.kind == c.kind)
        && (c.scope == libc::RT_SCOPE_NOWHERE || route.scope == c.scope)
        && (source.is_none() || route.source == source)
        && (c.protocol == 0 || route.protocol == c.protocol)
        && hops_match(route, c)?
        && parts::metrics_match(c.metrics, (&route.metrics, &route.congestion)))
}

/// Has the route these next hops (`fib_nh_match`)?
fn hops_match(route: &Route, c: &Config<'_>) -> Result<bool, Failure> {
    if c.priority != 0 && c.priority != route.priority {
        return Ok(false);
    }
    let none = Nexthop {
        index: 0,
        gateway: None,
        flags: 0,
        weight: 1,
    };
    if c.index != 0 || c.gateway.is_some() {
        let hop = route.hops.first().unwrap_or(&none);
        return Ok((c.index == 0 || c.index == hop.index)
            && (c.gateway.is_none() || c.gateway == hop.gateway));
    }
    let Some(part) = c.multipath else {
        return Ok(true);
    };
    let (given, _) = parts::hops(part);
    let hops = if route.hops.is_empty() {
        std::slice::from_ref(&none)
    } else {
        &route.hops
    };
    for (at, hop) in hops.iter().enumerate() {
        let Some(given) = given.get(at) else {
            // An impossible next hop is not one that matches.
            return Ok(false);
        };
        if given.index != 0 && given.index != hop.index {
            return Ok(false);
        }
        let wanted = match (
            given.find(libc::RTA_GATEWAY),
            given.find(super::v6::RTA_VIA),
        ) {
            (Some(_), Some(_)) => {
                return refuse("Nexthop configuration can not contain both GATEWAY and VIA");
            }
            (Some(a), None) => match a.value.get(..4).and_then(memtun_stack::wire::ip_of) {
                None => return refuse("Invalid IPv4 address in RTA_GATEWAY"),
                wanted => wanted,
            },
            (None, Some(a)) => Some(via(a.value)?),
            (None, None) => None,
        };
        if wanted.is_some() && wanted != hop.gateway {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells listeners of a route (`rtmsg_fib`).
pub fn tell(world: &mut World<'_>, route: &Route, kind: u16, flags: i32, cause: Cause) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        flags: flags as u16,
        sequence: cause.sequence,
        port: cause.port,
    };
    route.write(&mut to, head, Some(world.now));
    let group = super::group(
        libc::RTNLGRP_IPV4_ROUTE,
        libc::RTNLGRP_IPV6_ROUTE,
        route.is_v4(),
    );
    world.tell(group, to.take());
}

/// Removes the routes that are dead (`fib_flush`). Those whose preferred source is gone are told.
fn flush(world: &mut World<'_>, mut is_dead: impl FnMut(&Route) -> Option<bool>) {
    let places = world.route_places(true);
    let dead = places.into_iter().filter_map(|place| {
        let told = is_dead(world.route(place))?;
        Some((world.route(place).clone(), told))
    });
    for (route, told) in dead.collect::<Vec<_>>() {
        if told {
            tell(world, &route, libc::RTM_DELROUTE, 0, Cause::default());
        }
        let mut places = world.route_places(true).into_iter();
        if let Some(place) = places.find(|place| *world.route(*place) == route) {
            world.take_route(place);
        }
    }
}

/// Removes the routes that prefer an address that is no address of this host any more
/// (`fib_sync_down_addr`).
pub fn address_is_gone(world: &mut World<'_>, address: Ipv4Addr) {
    let source = Some(IpAddr::V4(address));
    let main = u32::from(libc::RT_TABLE_MAIN);
    flush(world, |route| {
        let dead = route.source == source && route.table == main;
        dead.then_some(true)
    });
}

/// What has happened to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Down {
    /// It has gone down. Routes of scope host stay.
    Link,
    /// Its last address is gone.
    Addresses,
    /// It is gone.
    Gone,
    /// It has lost its carrier.
    Carrier,
}

/// Marks the next hops that lead over a link as dead, and removes the routes that have no other
/// (`fib_sync_down_dev`, `fib_disable_ip`).
pub fn link_is_down(world: &mut World<'_>, index: u32, down: Down) {
    let mark = match down {
        Down::Carrier => rtnh::LINKDOWN,
        _ => rtnh::DEAD | rtnh::LINKDOWN,
    };
    let forced = matches!(down, Down::Addresses | Down::Gone);
    let all_dead = |route: &Route| {
        let mut dead = 0;
        for hop in &route.hops {
            if hop.flags & rtnh::DEAD != 0
                || (hop.index == index && (forced || route.scope != libc::RT_SCOPE_HOST))
            {
                dead += 1;
            }
            if down == Down::Gone && hop.index == index {
                return true;
            }
        }
        dead == route.hops.len()
    };
    let concerns = |route: &Route| {
        route.is_v4()
            && route.hops.iter().any(|hop| hop.index == index)
            && (forced || route.scope != libc::RT_SCOPE_HOST)
    };
    if down != Down::Carrier {
        flush(world, |route| {
            (concerns(route) && all_dead(route)).then_some(false)
        });
    }
    world.change_routes(|route| {
        if !concerns(route) {
            return false;
        }
        if all_dead(route) {
            route.flags |= mark;
        }
        for hop in &mut route.hops {
            if hop.index == index && hop.flags & rtnh::DEAD == 0 {
                hop.flags |= mark;
            }
        }
        true
    });
}

/// Wakes up the next hops that lead over a link that is up again (`fib_sync_up`). `flags` are those
/// that end.
pub fn link_is_up(world: &mut World<'_>, index: u32, mut flags: u32) {
    let Some(link) = world.link(index).filter(|link| link.is_up()) else {
        return;
    };
    if flags & rtnh::DEAD != 0 && link.carrier {
        flags |= rtnh::LINKDOWN;
    }
    let up: Vec<u32> = world
        .links
        .iter()
        .chain(world.machine.links.iter().map(|own| &own.item))
        .filter(|link| link.is_up())
        .map(|link| link.extra.index)
        .collect();
    world.change_routes(|route| {
        if !route.is_v4() || !route.hops.iter().any(|hop| hop.index == index) {
            return false;
        }
        let before = route.clone();
        let mut alive = 0;
        for hop in &mut route.hops {
            if hop.flags & flags == 0 {
                alive += 1;
            } else if hop.index == index && up.contains(&hop.index) {
                alive += 1;
                hop.flags &= !flags;
            }
        }
        if alive > 0 {
            route.flags &= !flags;
        }
        *route != before
    });
}
