//! Adding and deleting routes of IPv6 (`fib6_add`, `fib6_del`).
#![forbid(unsafe_code)]

use super::config::{table_of, validate, Config};
use super::create::create;
use super::siblings::{is_fork, may_have_siblings, node, siblings, whole};
use crate::engine::place::Place;
use crate::engine::route::lookup;
use crate::engine::route::parts;
use crate::engine::route::tables;
use crate::engine::route::told::{tell, Cause};
use crate::{Failure, World};
use memtun_stack::route::{rtf, rtnh, Nexthop};
use memtun_stack::wire::network;
use memtun_stack::Route;
use std::net::{IpAddr, Ipv6Addr};

/// Puts a route into its table (`fib6_add`, `fib6_add_rt2node`). Tells of it unless `quiet`.
pub(super) fn insert(
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
            let duplicate = match (route.object, other.object) {
                (0, 0) => other.hops.iter().any(same),
                (own, other) => own == other,
            };
            if duplicate {
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
            if let Some(place) = world.place_of_route(&other) {
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
    tables::make_v6(world, table_of(c));
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
    if !tables::has_v6(world, table) {
        return Err(Failure::said(libc::ESRCH, "FIB table does not exist"));
    }
    let missing = || Failure::new(libc::ESRCH);
    if c.prefix > 128 || c.from.1 > 128 {
        return Err(missing());
    }
    if c.flags & rtf::CACHE != 0 {
        // The kernel looks for a learned route below the longest prefix that fits, of which there
        // is always one, and is content when it finds none (`ip6_del_cached_rt`).
        return Ok(());
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
    for place in world.routes_to(table, to, c.prefix) {
        let route = world.route(place);
        if route.from != (from, c.from.1)
            || c.priority != 0 && c.priority != route.priority
            || c.protocol != 0 && c.protocol != route.protocol
        {
            continue;
        }
        if route.object != 0 {
            if c.object.is_none_or(|id| id == 0 || id == route.object) {
                remove_hop(world, place, 0, true, c.cause);
                return Ok(());
            }
            continue;
        }
        if c.object.is_some_and(|id| id != 0) {
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
pub(super) fn remove_hop(world: &mut World<'_>, place: Place, at: usize, all: bool, cause: Cause) {
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
            if let Some(place) = world.place_of_route(other) {
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

/// Removes a route with all of its next hops, and tells of it.
pub fn remove_whole(world: &mut World<'_>, place: Place) {
    remove_hop(world, place, 0, true, Cause::default());
}

/// Returns the place of the route to the network of an address (`addrconf_get_prefix_route`).
pub fn of_prefix(world: &World<'_>, to: Ipv6Addr, prefix: u8, index: u32) -> Option<Place> {
    let to = network(to.into(), prefix);
    let places = world.routes_to(libc::RT_TABLE_MAIN.into(), to, prefix);
    places.into_iter().find(|place| {
        let route = world.route(*place);
        route.from.1 == 0
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
    let mut machine = world.machine.routes.iter();
    if !world.state.routes.is_any_ending() && !machine.any(|own| ended(&own.item)) {
        return;
    }
    loop {
        let mut places = world.route_places(false).into_iter();
        let Some(place) = places.find(|place| ended(world.route(*place))) else {
            return;
        };
        remove(world, place);
    }
}
