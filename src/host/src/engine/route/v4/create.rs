//! What a route of IPv4 may be (`fib_create_info`).
#![forbid(unsafe_code)]

use super::config::{gateway, via, Config};
use crate::engine::route::lookup::{self, Flow};
use crate::engine::route::object as objects;
use crate::engine::route::parts::{self, properties, RTN_MAX};
use crate::engine::route::refuse;
use crate::engine::route::v6;
use crate::{Failure, World};
use memtun_stack::route::{rtnh, Nexthop, HOP_FLAGS, RTA_VIA};
use memtun_stack::Route;
use std::net::{IpAddr, Ipv4Addr};

/// RTNH_F_PERVASIVE.
const PERVASIVE: u32 = 2;

/// Makes a route out of what is asked for (`fib_create_info`).
pub(super) fn create(world: &World<'_>, c: &Config<'_>) -> Result<Route, Failure> {
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
    let object = match c.object {
        0 => None,
        id => match objects::find(world.state, id) {
            None => return refuse(objects::NOTHING),
            object => object,
        },
    };
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
        let gateway = match (hop.find(libc::RTA_GATEWAY), hop.find(RTA_VIA)) {
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
            flags: u32::from(hop.flags) & !rtnh::OWN,
            weight: hop.weight,
            realm: hop.find(libc::RTA_FLOW).and_then(|a| a.u32()).unwrap_or(0),
        });
    }
    match hops.first() {
        None => hops.push(Nexthop {
            index: c.index,
            gateway: c.gateway,
            flags: c.flags & HOP_FLAGS & !rtnh::OWN,
            weight: 1,
            realm: c.realm,
        }),
        Some(first) if c.index != 0 && first.index != c.index => {
            return refuse("Nexthop device index does not match RTA_OIF");
        }
        Some(first) if c.gateway.is_some() && first.gateway != c.gateway => {
            return refuse("Nexthop gateway does not match RTA_GATEWAY or RTA_VIA");
        }
        Some(first) if c.realm != 0 && first.realm != c.realm => {
            return refuse("Nexthop class id does not match RTA_FLOW");
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
        object: c.object,
        grouped: object.is_some_and(objects::is_group),
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
    if let Some(object) = object {
        objects::check_v4(world.state, object, c.scope)?;
        route.hops = objects::hops(world.state, object);
        let refuses = objects::is_blackhole(world.state, object);
        route.kind = objects::kind(route.kind, refuses);
    } else if c.scope == libc::RT_SCOPE_HOST {
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
///
/// # Errors
///
/// What the kernel says of an interface that is not there or down, and of a bad gateway.
pub fn check_hop(world: &World<'_>, hop: &mut Nexthop, c: &Config<'_>) -> Result<(), Failure> {
    match hop.gateway {
        None => check_link(world, hop),
        Some(IpAddr::V4(gateway)) => check_gateway(world, hop, gateway, c),
        Some(IpAddr::V6(gateway)) => {
            v6::check_gateway_of_v4(world, hop, gateway, c.table)?;
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
    if found.route.scope != libc::RT_SCOPE_LINK {
        hop.flags |= rtnh::OWN;
    }
    if !link.is_up() {
        return Err(Failure::new(libc::ENETDOWN));
    }
    note_carrier(world, hop);
    Ok(())
}
