//! Routes of IPv6: what may be added and what is found to be deleted, and what becomes of them when
//! a link or an address goes.
#![forbid(unsafe_code)]

use super::lookup::{self, Flow, Strict};
use super::parts::{self, Part};
use super::v4::tell;
use super::Cause;
use crate::engine::address::kind;
use crate::engine::place::Place;
use crate::{Failure, World};
use memtun_stack::route::{rtf, rtnh, Nexthop};
use memtun_stack::wire::network;
use memtun_stack::Route;
use std::net::{IpAddr, Ipv6Addr};

pub use memtun_stack::route::RTA_VIA;

/// Priority of a route that nobody gave one (IP6_RT_PRIO_USER).
pub const PRIORITY: u32 = 1024;
/// Priority of the route to the network of an address (IP6_RT_PRIO_ADDRCONF).
pub const PRIORITY_OF_ADDRESS: u32 = 256;
/// RTF_DYNAMIC.
const DYNAMIC: u32 = 0x10;

/// A route as it is asked for (`struct fib6_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config<'b> {
    /// The destination.
    pub to: Ipv6Addr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// The senders, and the length of their prefix.
    pub from: (Ipv6Addr, u8),
    /// The table, 0 for the main one.
    pub table: u32,
    /// RTPROT_*, 0 for the default.
    pub protocol: u8,
    /// RTN_*, 0 for the default.
    pub kind: u8,
    /// RTF_* flags.
    pub flags: u32,
    /// Is RTNH_F_ONLINK set?
    pub onlink: bool,
    /// Index of the interface, 0 for none.
    pub index: u32,
    /// The gateway; it counts only with RTF_GATEWAY.
    pub gateway: Ipv6Addr,
    /// Preferred source, unspecified for none.
    pub source: Ipv6Addr,
    /// Priority.
    pub priority: u32,
    /// Preference among routers (ICMPV6_ROUTER_PREF_*).
    pub preference: u8,
    /// Hundredths of a second until it ends; it counts only with RTF_EXPIRES.
    pub expires: u32,
    /// RTA_METRICS.
    pub metrics: Option<Part<'b>>,
    /// RTA_MULTIPATH.
    pub multipath: Option<Part<'b>>,
    /// May the interface be down (the route of an address of this host)?
    pub down: bool,
    /// NLM_F_* flags; None where no message asks.
    pub how: Option<i32>,
    /// Are all next hops deleted that a route has, and not just the one that is found?
    pub all_hops: bool,
    /// Who asks.
    pub cause: Cause,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Config {
            to: Ipv6Addr::UNSPECIFIED,
            prefix: 0,
            from: (Ipv6Addr::UNSPECIFIED, 0),
            table: libc::RT_TABLE_MAIN.into(),
            protocol: 0,
            kind: 0,
            flags: rtf::UP,
            onlink: false,
            index: 0,
            gateway: Ipv6Addr::UNSPECIFIED,
            source: Ipv6Addr::UNSPECIFIED,
            priority: 0,
            preference: 0,
            expires: 0,
            metrics: None,
            multipath: None,
            down: false,
            how: None,
            all_hops: false,
            cause: Cause::default(),
        }
    }
}

fn table_of(c: &Config<'_>) -> u32 {
    match c.table {
        0 => libc::RT_TABLE_MAIN.into(),
        table => table,
    }
}

fn refuse<T>(text: &'static str) -> Result<T, Failure> {
    Err(Failure::said(libc::EINVAL, text))
}

/// `fib6_config_validate`.
fn validate(c: &Config<'_>) -> Result<(), Failure> {
    if c.flags & rtf::PCPU != 0 {
        return refuse("Userspace can not set RTF_PCPU");
    }
    if c.flags & rtf::CACHE != 0 {
        return refuse("Userspace can not set RTF_CACHE");
    }
    if c.kind > super::v4::RTN_MAX {
        return refuse("Invalid route type");
    }
    if c.prefix > 128 {
        return refuse("Invalid prefix length");
    }
    if c.from.1 > 128 {
        return refuse("Invalid source address length");
    }
    Ok(())
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

/// Has a link IPv6 at all? One whose mtu is below 1280 has not (`in6_dev_get`).
pub fn has_v6(world: &World<'_>, index: u32) -> bool {
    let link = world.link(index);
    link.is_some_and(|link| link.extra.mtu >= 1280)
}

/// Makes a route out of what is asked for (`ip6_route_info_create`, `ip6_route_info_create_nh`).
fn create(world: &World<'_>, c: &Config<'_>) -> Result<Route, Failure> {
    let (metrics, congestion) = parts::metrics(c.metrics)?;
    let mut flags = c.flags & !rtf::GATEWAY;
    let hop = create_hop(world, c)?;
    let loopback = world.link(hop.index).is_some_and(|link| link.is_loopback());
    let refuses = c.flags & rtf::REJECT != 0
        || loopback && !c.to.is_loopback() && c.flags & (rtf::ANYCAST | rtf::LOCAL) == 0;
    if refuses {
        flags = rtf::REJECT | rtf::NONEXTHOP;
    }
    if !c.source.is_unspecified() && !has_address(world, c.source, hop.index) {
        return refuse("Invalid source address");
    }
    Ok(Route {
        to: network(c.to.into(), c.prefix),
        prefix: c.prefix,
        from: (network(c.from.0.into(), c.from.1), c.from.1),
        tos: 0,
        table: table_of(c),
        protocol: match c.protocol {
            libc::RTPROT_UNSPEC => libc::RTPROT_BOOT,
            protocol => protocol,
        },
        scope: 0,
        kind: match c.kind {
            0 => libc::RTN_UNICAST,
            kind => kind,
        },
        flags,
        priority: c.priority,
        source: (!c.source.is_unspecified()).then_some(c.source.into()),
        metrics,
        congestion,
        preference: if refuses { 0 } else { c.preference },
        expires: (flags & rtf::EXPIRES != 0).then_some(world.now.wrapping_add(c.expires)),
        hops: vec![hop],
    })
}

/// Finds and checks the next hop (`fib6_nh_init`).
fn create_hop(world: &World<'_>, c: &Config<'_>) -> Result<Nexthop, Failure> {
    let mut index = c.index;
    if index != 0 && !has_v6(world, index) {
        return Err(Failure::new(libc::ENODEV));
    }
    let mut hop = Nexthop {
        index,
        gateway: None,
        flags: 0,
        weight: 1,
    };
    if c.onlink {
        let Some(link) = world.link(index) else {
            let text = "Nexthop device required for onlink";
            return Err(Failure::said(libc::ENODEV, text));
        };
        if !link.is_up() {
            return Err(Failure::said(libc::ENETDOWN, "Nexthop device is not up"));
        }
        hop.flags |= rtnh::ONLINK;
    }
    if c.flags & rtf::REJECT != 0 {
        hop.index = lookup::LOOPBACK;
        return Ok(hop);
    }
    if c.flags & rtf::GATEWAY != 0 {
        index = check_gateway(world, c)?;
        hop.index = index;
        hop.gateway = Some(c.gateway.into());
    }
    let link = world.link(index).ok_or(Failure::new(libc::ENODEV))?;
    if !has_v6(world, index) || world.own_setting_of("ipv6", index, "disable_ipv6") != 0 {
        let text = "IPv6 is disabled on nexthop device";
        return Err(Failure::said(libc::EACCES, text));
    }
    if !link.is_up() && !c.down {
        return Err(Failure::said(libc::ENETDOWN, "Nexthop device is not up"));
    }
    if c.flags & (rtf::LOCAL | rtf::ANYCAST) == 0 && !link.carrier {
        hop.flags |= rtnh::LINKDOWN;
    }
    Ok(hop)
}

/// Has a link an address that is usable (`ipv6_chk_addr`)? An address that is not of a link alone
/// is good for every link.
fn has_address(world: &World<'_>, address: Ipv6Addr, index: u32) -> bool {
    world.addresses().any(|a| {
        a.local == IpAddr::V6(address)
            && a.flags & libc::IFA_F_TENTATIVE == 0
            && (a.index == index || !kind::is_of_link(address))
    })
}

/// Is the gateway an address of this host, even one that is tentative?
fn is_own(world: &World<'_>, gateway: Ipv6Addr, index: u32) -> bool {
    let link_local = kind::is_link_local(gateway);
    world.addresses().any(|a| {
        a.local == IpAddr::V6(gateway)
            && (!link_local || a.index == index || !kind::is_of_link(gateway))
    })
}

/// Checks the gateway, and returns the interface by which it is reached (`ip6_validate_gw`).
fn check_gateway(world: &World<'_>, c: &Config<'_>) -> Result<u32, Failure> {
    const OWN: &str = "Gateway can not be a local address";
    let mut index = c.index;
    if index != 0 && is_own(world, c.gateway, index) {
        return refuse(OWN);
    }
    if !kind::is_link_local(c.gateway) {
        if !kind::is_unicast(c.gateway) && c.gateway.to_ipv4_mapped().is_none() {
            return refuse("Invalid gateway address");
        }
        if c.onlink {
            check_onlink(world, c)?;
        } else {
            index = check_reached(world, c)?;
        }
    }
    let Some(link) = world.link(index) else {
        return refuse("Egress device not specified");
    };
    if link.is_loopback() {
        return refuse("Egress device can not be loopback device for this route");
    }
    if c.index == 0 && is_own(world, c.gateway, index) {
        return refuse(OWN);
    }
    Ok(index)
}

fn flow_to_gateway(c: &Config<'_>) -> Flow {
    Flow {
        oif: c.index,
        ignore_linkstate: true,
        ..Flow::to(c.gateway.into())
    }
}

/// `ip6_route_check_nh_onlink`.
fn check_onlink(world: &World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    let flow = Flow {
        from: c.source.into(),
        ..flow_to_gateway(c)
    };
    let main = u32::from(libc::RT_TABLE_MAIN);
    let Some(hit) = lookup::in_table_v6(world, &flow, main, Strict::default()) else {
        return Ok(());
    };
    let other = hit.hop().is_some_and(|hop| hop.index != c.index);
    let matters = hit.route.flags & rtf::REJECT == 0 && !hit.route.to.is_unspecified();
    if matters && (hit.route.kind != libc::RTN_UNICAST || other) {
        return refuse("Nexthop has invalid gateway or device mismatch");
    }
    Ok(())
}

/// `ip6_route_check_nh`.
fn check_reached(world: &World<'_>, c: &Config<'_>) -> Result<u32, Failure> {
    let unreachable = || Failure::new(libc::EHOSTUNREACH);
    let strict = Strict {
        interface: true,
        throws: true,
    };
    let good = |hit: &lookup::Hit| {
        hit.route.flags & rtf::REJECT == 0 && hit.hop().is_some_and(|hop| hop.gateway.is_none())
    };
    let mut found = None;
    if c.table != 0 {
        let flow = Flow {
            from: c.source.into(),
            ..flow_to_gateway(c)
        };
        found = lookup::in_table_v6(world, &flow, c.table, strict)
            .filter(good)
            .filter(|hit| c.index == 0 || hit.hop().is_some_and(|hop| hop.index == c.index));
    }
    let found = match found {
        Some(found) => found,
        None => lookup::by_rules_v6(world, &flow_to_gateway(c), strict)
            .ok()
            .filter(good)
            .ok_or_else(unreachable)?,
    };
    let index = found.hop().map_or(0, |hop| hop.index);
    if c.index != 0 && c.index != index {
        return Err(unreachable());
    }
    Ok(index)
}

/// Checks an IPv6 gateway of an IPv4 route (`fib_check_nh_v6_gw`), and notes its interface.
///
/// # Errors
///
/// What the gateway of an IPv6 route fails with.
pub fn check_gateway_of_v4(
    world: &World<'_>,
    hop: &mut Nexthop,
    gateway: Ipv6Addr,
    table: u32,
) -> Result<(), Failure> {
    let config = Config {
        table,
        flags: rtf::GATEWAY,
        onlink: hop.flags & rtnh::ONLINK != 0,
        index: hop.index,
        gateway,
        ..Config::default()
    };
    hop.index = create_hop(world, &config)?.index;
    Ok(())
}

/// Do siblings of this route make a multipath one (`rt6_qualify_for_ecmp`)?
fn may_have_siblings(route: &Route) -> bool {
    route.flags & (rtf::ADDRCONF | DYNAMIC) == 0
        && route.hops.iter().any(|hop| hop.gateway.is_some())
}

/// Returns the places of the routes that are one multipath route with this one, itself among them;
/// nothing for a route that cannot be part of one.
pub fn siblings(world: &World<'_>, route: &Route) -> Vec<Place> {
    if !may_have_siblings(route) {
        return Vec::new();
    }
    let mut places = node(world, route);
    places.retain(|place| {
        let other = world.route(*place);
        other.priority == route.priority && may_have_siblings(other)
    });
    places
}

/// Returns the route as it is told: with the next hops of its siblings behind its own, as they
/// stand in a circle.
pub fn whole(world: &World<'_>, route: &Route) -> Route {
    let mut whole = route.clone();
    let siblings = siblings(world, route);
    let siblings: Vec<&Route> = siblings.iter().map(|place| world.route(*place)).collect();
    if let Some(own) = siblings.iter().position(|other| *other == route) {
        let (before, behind) = siblings.split_at(own);
        for other in behind[1..].iter().chain(before) {
            whole.hops.extend(&other.hops);
        }
    }
    whole
}

fn place_of(world: &World<'_>, route: &Route) -> Option<Place> {
    let mut places = world.route_places(false).into_iter();
    places.find(|place| world.route(*place) == route)
}

/// Returns the places of the routes with the same table, destination and senders, in order.
fn node(world: &World<'_>, route: &Route) -> Vec<Place> {
    let mut places = world.route_places(false);
    places.retain(|place| {
        let other = world.route(*place);
        other.table == route.table
            && other.to == route.to
            && other.prefix == route.prefix
            && other.from == route.from
    });
    places
}

/// Does the tree of a table have a node for the destination though no route leads there: the root,
/// or one where longer prefixes part?
fn is_fork(world: &World<'_>, route: &Route) -> bool {
    if route.prefix == 0 {
        return true;
    }
    let mut sides = [false; 2];
    for other in world.routes() {
        let inside = !other.is_v4()
            && other.table == route.table
            && other.prefix > route.prefix
            && network(other.to, route.prefix) == route.to;
        if inside {
            let bit = u128::from(v6(other.to)) >> (127 - route.prefix) & 1;
            sides[bit as usize] = true;
        }
    }
    sides == [true; 2]
}

/// Puts a route into its table (`fib6_add`, `fib6_add_rt2node`). Tells of it unless `quiet`.
fn insert(
    world: &mut World<'_>,
    route: Route,
    how: Option<i32>,
    quiet: bool,
    cause: Cause,
) -> Result<(), Failure> {
    let has = |flag: i32| how.is_some_and(|how| how & flag != 0);
    let create = how.is_none() || has(libc::NLM_F_CREATE);
    let replace = has(libc::NLM_F_REPLACE);
    let nodes = node(world, &route);
    if nodes.is_empty() && !create && replace && !is_fork(world, &route) {
        let text = "Can not replace route - no match found";
        return Err(Failure::said(libc::ENOENT, text));
    }
    let mut told = libc::NLM_F_EXCL;
    if has(libc::NLM_F_APPEND) {
        told |= libc::NLM_F_APPEND;
    }
    let (mut found, mut fallback) = (None, None);
    for place in nodes {
        let other = world.route(place);
        if other.priority == route.priority {
            if has(libc::NLM_F_EXCL) {
                return Err(Failure::new(libc::EEXIST));
            }
            told &= !libc::NLM_F_EXCL;
            if replace {
                if may_have_siblings(&route) == may_have_siblings(other) {
                    found = Some(place);
                    break;
                }
                fallback = fallback.or(Some(place));
                continue;
            }
            let same = |hop: &Nexthop| {
                hop.index == route.hops[0].index && hop.gateway == route.hops[0].gateway
            };
            if other.hops.iter().any(same) {
                if other.expires.is_some() {
                    let mut other = other.clone();
                    other.expires = route.expires;
                    if route.expires.is_none() {
                        other.flags &= !rtf::EXPIRES;
                    }
                    world.replace_route(place, other);
                }
                return Err(Failure::new(libc::EEXIST));
            }
        }
        if other.priority > route.priority {
            break;
        }
    }
    if let Some(place) = found.or(fallback).filter(|_| replace) {
        // With one of several routes to one destination all of them are replaced.
        let mut others = siblings(world, world.route(place));
        others.retain(|other| *other != place);
        let others: Vec<Route> = others.iter().map(|p| world.route(*p).clone()).collect();
        world.replace_route(place, route.clone());
        for other in others {
            if let Some(place) = place_of(world, &other) {
                world.take_route(place);
            }
        }
        if !quiet {
            tell(
                world,
                &route,
                libc::RTM_NEWROUTE,
                libc::NLM_F_REPLACE,
                cause,
            );
        }
        return Ok(());
    }
    if replace && !create {
        return Err(Failure::new(libc::ENOENT));
    }
    told |= libc::NLM_F_CREATE;
    world.put_route(route.clone(), false);
    if !quiet {
        let shown = whole(world, &route);
        tell(world, &shown, libc::RTM_NEWROUTE, told, cause);
    }
    Ok(())
}

/// Adds a route (`ip6_route_add`, `ip6_route_multipath_add`).
///
/// # Errors
///
/// EEXIST when it is there, ENOENT when it is to be replaced and is not, and what its next hops
/// fail with.
pub fn add(world: &mut World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    validate(c)?;
    super::make_table(world, libc::AF_INET6, table_of(c));
    let Some(part) = c.multipath else {
        let route = create(world, c)?;
        insert(world, route, c.how, false, c.cause)?;
        return Ok(());
    };
    let mut routes: Vec<(Route, Config<'_>)> = Vec::new();
    for given in parts::hops(part).0 {
        let mut own = hop_config(c, &given);
        own.onlink |= u32::from(given.flags) & rtnh::ONLINK != 0;
        let mut route = create(world, &own)?;
        route.hops[0].weight = given.weight;
        let hop = route.hops[0];
        let same = |other: &Nexthop| other.index == hop.index && other.gateway == hop.gateway;
        if routes.iter().any(|(route, _)| same(&route.hops[0])) {
            return Err(Failure::new(libc::EEXIST));
        }
        routes.push((route, own));
    }
    let replace = c.how.is_some_and(|how| how & libc::NLM_F_REPLACE != 0);
    let append = c.how.is_some_and(|how| how & libc::NLM_F_APPEND != 0);
    let mut told = if replace {
        libc::NLM_F_REPLACE
    } else {
        libc::NLM_F_CREATE
    };
    if append {
        told |= libc::NLM_F_APPEND;
    }
    let mut how = c.how;
    let (mut result, mut added) = (Ok(()), Vec::new());
    for (route, own) in &routes {
        if let Err(mut failure) = insert(world, route.clone(), how, true, c.cause) {
            if replace && !added.is_empty() {
                let text =
                    "ipv6: multipath route replace failed (check consistency of installed routes)";
                failure.text = Some(text.into());
            }
            result = Err(failure);
            break;
        }
        added.push((route, own));
        how = how.map(|how| how & !(libc::NLM_F_EXCL | libc::NLM_F_REPLACE) | libc::NLM_F_CREATE);
    }
    if let (Some((first, _)), Some((last, _))) = (added.first(), added.last()) {
        let all = siblings(world, last);
        let shown = match all.first().filter(|_| append) {
            Some(place) => world.route(*place).clone(),
            None => (*first).clone(),
        };
        let shown = whole(world, &shown);
        tell(world, &shown, libc::RTM_NEWROUTE, told, c.cause);
    }
    if result.is_err() {
        for (_, own) in added {
            // What was added is there, and what is not need not be deleted.
            let _ = delete(world, own);
        }
    }
    result
}

fn hop_config<'b>(c: &Config<'b>, given: &parts::Given<'_>) -> Config<'b> {
    let mut own = Config {
        multipath: None,
        ..*c
    };
    if given.index != 0 {
        own.index = given.index;
    }
    let gateway = given.find(libc::RTA_GATEWAY).map(|a| a.value);
    if let Some(IpAddr::V6(gateway)) =
        gateway.and_then(|value| memtun_stack::wire::ip_of(value.get(..16)?))
    {
        own.gateway = gateway;
        own.flags |= rtf::GATEWAY;
    }
    own
}

/// Is there such a table? The two that every host has are always there.
pub fn has_table(world: &World<'_>, table: u32) -> bool {
    let own = [libc::RT_TABLE_MAIN, libc::RT_TABLE_LOCAL].map(u32::from);
    let made = (libc::AF_INET6 as u8, table);
    let mut routes = world.routes().filter(|route| !route.is_v4());
    own.contains(&table)
        || world.state.tables.contains(&made)
        || routes.any(|route| route.table == table)
}

/// Deletes a route, or next hops of one (`ip6_route_del`, `ip6_route_multipath_del`).
///
/// # Errors
///
/// ESRCH when there is none like this.
pub fn delete(world: &mut World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    if let Some(part) = c.multipath {
        let mut result = Ok(());
        for given in parts::hops(part).0 {
            if let Err(failure) = delete(world, &hop_config(c, &given)) {
                result = Err(failure);
            }
        }
        return result;
    }
    let table = table_of(c);
    if !has_table(world, table) {
        return Err(Failure::said(libc::ESRCH, "FIB table does not exist"));
    }
    let missing = || Failure::new(libc::ESRCH);
    if c.prefix > 128 || c.from.1 > 128 || c.flags & rtf::CACHE != 0 {
        return Err(missing());
    }
    let (to, from) = (
        network(c.to.into(), c.prefix),
        network(c.from.0.into(), c.from.1),
    );
    let by_gateway = c.flags & rtf::GATEWAY != 0;
    let at_root = |route: &Route| !route.is_v4() && route.table == table && route.prefix == 0;
    if c.prefix == 0 && c.from.1 == 0 && !world.routes().any(at_root) {
        // Each table begins with a route that nobody can delete.
        let meant = matches!(c.priority, 0 | u32::MAX)
            && matches!(c.protocol, 0 | libc::RTPROT_KERNEL)
            && matches!(c.index, 0 | lookup::LOOPBACK)
            && (!by_gateway || c.gateway.is_unspecified());
        return Err(Failure::new(if meant { libc::ENOENT } else { libc::ESRCH }));
    }
    for place in world.route_places(false) {
        let route = world.route(place);
        if route.table != table
            || (route.to, route.prefix) != (to, c.prefix)
            || route.from != (from, c.from.1)
            || c.priority != 0 && c.priority != route.priority
            || c.protocol != 0 && c.protocol != route.protocol
        {
            continue;
        }
        let wanted = IpAddr::V6(c.gateway);
        let hop = route.hops.iter().position(|hop| {
            let gateway = hop.gateway.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
            (c.index == 0 || hop.index == c.index) && (!by_gateway || gateway == wanted)
        });
        if let Some(at) = hop {
            remove_hop(world, place, at, c.all_hops && !by_gateway, c.cause);
            return Ok(());
        }
    }
    Err(missing())
}

/// Removes a route, or all of a multipath one, and tells of it. What the machine's kernel told of
/// as one route has several next hops, of which `at` is the one that is meant.
fn remove_hop(world: &mut World<'_>, place: Place, at: usize, all: bool, cause: Cause) {
    let mut route = world.route(place).clone();
    let siblings = match all {
        true => siblings(world, &route),
        false => Vec::new(),
    };
    let mut gone = whole(world, &route);
    if siblings.len() > 1 || all && route.hops.len() > 1 {
        gone.hops.rotate_left(at);
        let others: Vec<Route> = siblings.iter().map(|p| world.route(*p).clone()).collect();
        for other in others.iter().chain([&route]) {
            if let Some(place) = place_of(world, other) {
                world.take_route(place);
            }
        }
    } else {
        // A route that is gone has no end any more, when it is told of.
        gone = Route {
            expires: None,
            ..route.clone()
        };
        if route.hops.len() > 1 {
            gone.hops = vec![route.hops.remove(at)];
            world.replace_route(place, route);
        } else {
            world.take_route(place);
        }
    }
    tell(world, &gone, libc::RTM_DELROUTE, 0, cause);
}

/// Removes a route that the host itself made, and tells of it (`ip6_del_rt`).
pub fn remove(world: &mut World<'_>, place: Place) {
    remove_hop(world, place, 0, false, Cause::default());
}

/// Removes the routes over a link that has gone down or is gone (`rt6_sync_down_dev`).
pub fn link_is_down(world: &mut World<'_>, index: u32, gone: bool) {
    let uses = |route: &Route| route.hops.iter().position(|hop| hop.index == index);
    let is_dead = |route: &Route| {
        let mut hops = route.hops.iter();
        hops.all(|hop| hop.index == index || hop.flags & rtnh::DEAD != 0)
    };
    // A multipath route goes as a whole, and only when all of it is dead.
    let dead = |world: &World<'_>, route: &Route| {
        let siblings = siblings(world, route);
        is_dead(route) && siblings.iter().all(|place| is_dead(world.route(*place)))
    };
    let places = world.route_places(false).into_iter();
    let doomed: Vec<Route> = places
        .map(|place| world.route(place))
        .filter(|route| uses(route).is_some() || siblings(world, route).len() > 1)
        .filter(|route| match gone {
            true => uses(route).is_some(),
            false => {
                dead(world, route) && {
                    let all = siblings(world, route);
                    uses(route).is_some() || all.iter().any(|p| uses(world.route(*p)).is_some())
                }
            }
        })
        .cloned()
        .collect();
    for route in doomed {
        while let Some(place) = place_of(world, &route) {
            let hops = route.hops.len();
            if hops > 1 && !gone {
                remove_hop(world, place, 0, true, Cause::default());
                break;
            }
            let at = uses(&route).unwrap_or(0);
            remove_hop(world, place, at, false, Cause::default());
            if hops > 1 {
                break;
            }
        }
    }
    world.change_routes(|route| {
        if route.is_v4() || uses(route).is_none() {
            return false;
        }
        for hop in route.hops.iter_mut().filter(|hop| hop.index == index) {
            hop.flags |= rtnh::DEAD | rtnh::LINKDOWN;
        }
        true
    });
}

/// Marks the next hops over a link that has lost its carrier.
pub fn carrier_is_lost(world: &mut World<'_>, index: u32) {
    world.change_routes(|route| {
        let local = route.flags & (rtf::LOCAL | rtf::ANYCAST) != 0;
        if route.is_v4() || local || !route.hops.iter().any(|hop| hop.index == index) {
            return false;
        }
        for hop in route.hops.iter_mut().filter(|hop| hop.index == index) {
            hop.flags |= rtnh::LINKDOWN;
        }
        true
    });
}

/// Wakes up the next hops over a link that is up again (`rt6_sync_up`).
pub fn link_is_up(world: &mut World<'_>, index: u32, mut flags: u32) {
    let carrier = world.link(index).is_some_and(|link| link.carrier);
    if flags & rtnh::DEAD != 0 && carrier {
        flags |= rtnh::LINKDOWN;
    }
    world.change_routes(|route| {
        if route.is_v4() {
            return false;
        }
        let before = route.clone();
        for hop in route.hops.iter_mut().filter(|hop| hop.index == index) {
            hop.flags &= !flags;
        }
        *route != before
    });
}

/// Makes routes forget a preferred source that is no address any more (`rt6_remove_prefsrc`).
pub fn address_is_gone(world: &mut World<'_>, address: Ipv6Addr) {
    let source = Some(IpAddr::V6(address));
    let usable: Vec<u32> = lookup::links(world)
        .into_iter()
        .filter(|index| has_address(world, address, *index))
        .collect();
    world.change_routes(|route| {
        let index = route.hops.first().map_or(0, |hop| hop.index);
        let changed = !route.is_v4() && route.source == source && !usable.contains(&index);
        if changed {
            route.source = None;
        }
        changed
    });
}

/// Returns the place of the route to the network of an address (`addrconf_get_prefix_route`).
pub fn of_prefix(world: &World<'_>, to: Ipv6Addr, prefix: u8, index: u32) -> Option<Place> {
    let to = network(to.into(), prefix);
    let mut places = world.route_places(false).into_iter();
    places.find(|place| {
        let route = world.route(*place);
        route.table == u32::from(libc::RT_TABLE_MAIN)
            && (route.to, route.prefix, route.from.1) == (to, prefix, 0)
            && route.flags & rtf::DEFAULT == 0
            && route
                .hops
                .first()
                .is_some_and(|hop| hop.index == index && hop.gateway.is_none())
    })
}

/// Removes the routes that have ended (`fib6_run_gc`).
pub fn expire(world: &mut World<'_>) {
    let now = world.now;
    let ended = |route: &Route| {
        let at = route.expires.filter(|_| !route.is_v4());
        at.is_some_and(|at| (at.wrapping_sub(now) as i32) <= 0)
    };
    loop {
        let mut places = world.route_places(false).into_iter();
        let Some(place) = places.find(|place| ended(world.route(*place))) else {
            return;
        };
        remove(world, place);
    }
}

/// The v6 address of what must be one.
pub(crate) fn expect_v6(address: IpAddr) -> Ipv6Addr {
    v6(address)
}
