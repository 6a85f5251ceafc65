//! Adding and deleting routes of IPv4 (`fib_table_insert`, `fib_table_delete`).
#![forbid(unsafe_code)]

use super::config::{check_prefix, via, Config};
use super::create::create;
use crate::engine::order::order;
use crate::engine::place::Place;
use crate::engine::route::refuse;
use crate::engine::route::told::tell;
use crate::engine::route::{parts, tables};
use crate::{Failure, World};
use memtun_stack::route::{rtnh, Nexthop, RTA_VIA};
use memtun_stack::Route;
use std::net::IpAddr;

/// The flags of a next hop that do not tell two apart (RTNH_COMPARE_MASK).
const CHANGING: u32 = rtnh::DEAD | rtnh::LINKDOWN | rtnh::OFFLOAD | rtnh::TRAP;

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
        && a.object == b.object
        && a.hops.len() == b.hops.len()
        && a.hops.iter().zip(&b.hops).all(hops)
}

/// Returns the places of the routes that are equal to this one in order.
fn equals(world: &World<'_>, route: &Route) -> Vec<Place> {
    let mut places = world.routes_to(route.table, route.to, route.prefix);
    places.retain(|place| order(world.route(*place), route).is_eq());
    places
}

/// Adds a route (`fib_table_insert`).
///
/// # Errors
///
/// EEXIST when it is there, ENOENT when it is to be replaced and is not, and what its next hops
/// fail with.
pub fn add(world: &mut World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    tables::make_v4(world, c.table);
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

/// Deletes a route (`fib_table_delete`).
///
/// # Errors
///
/// ESRCH when there is none like this.
pub fn delete(world: &mut World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    check_prefix(c.to, c.prefix)?;
    let mut found = None;
    for place in world.routes_to(c.table, IpAddr::V4(c.to), c.prefix) {
        let route = world.route(place);
        if route.tos == c.tos && is_meant(route, c)? {
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
    if c.object != 0 {
        return Ok(c.object == route.object);
    }
    if route.object != 0 {
        return Ok(c.index == 0 && c.gateway.is_none() && c.multipath.is_none());
    }
    let none = Nexthop {
        index: 0,
        gateway: None,
        flags: 0,
        weight: 1,
        realm: 0,
    };
    if c.realm != 0 && route.hops.first().unwrap_or(&none).realm != c.realm {
        return Ok(false);
    }
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
        let wanted = match (given.find(libc::RTA_GATEWAY), given.find(RTA_VIA)) {
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
