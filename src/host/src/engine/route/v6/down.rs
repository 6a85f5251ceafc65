//! What becomes of routes of IPv6 when a link or an address goes or comes.
#![forbid(unsafe_code)]

use super::change::remove_hop;
use super::create::has_address;
use super::siblings::siblings;
use crate::engine::route::lookup;
use crate::engine::route::told::Cause;
use crate::World;
use memtun_stack::route::{rtf, rtnh, Nexthop};
use memtun_stack::Route;
use std::net::{IpAddr, Ipv6Addr};

/// Removes the routes over a link that has gone down or is gone (`rt6_sync_down_dev`).
pub fn link_is_down(world: &mut World<'_>, index: u32, gone: bool) {
    // Those of an object go and come with it.
    let uses = |route: &Route| {
        let mut hops = route.hops.iter();
        let at = hops.position(|hop| hop.index == index);
        at.filter(|_| route.object == 0)
    };
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
        while let Some(place) = world.place_of_route(&route) {
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
    let concerns = |route: &Route| !route.is_v4() && uses(route).is_some();
    world.change_routes(concerns, |route| {
        for hop in route.hops.iter_mut().filter(|hop| hop.index == index) {
            hop.flags |= rtnh::DEAD | rtnh::LINKDOWN;
        }
        true
    });
}

/// Marks the next hops over a link that has lost its carrier.
pub fn carrier_is_lost(world: &mut World<'_>, index: u32) {
    let concerns = |route: &Route| {
        let local = route.flags & (rtf::LOCAL | rtf::ANYCAST) != 0;
        !route.is_v4() && !local && route.hops.iter().any(|hop| hop.index == index)
    };
    world.change_routes(concerns, |route| {
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
    let sleeps = |hop: &Nexthop| hop.index == index && hop.flags & flags != 0;
    let concerns = |route: &Route| !route.is_v4() && route.hops.iter().any(sleeps);
    world.change_routes(concerns, |route| {
        for hop in route.hops.iter_mut().filter(|hop| hop.index == index) {
            hop.flags &= !flags;
        }
        true
    });
}

/// Makes routes forget a preferred source that is no address any more (`rt6_remove_prefsrc`).
pub fn address_is_gone(world: &mut World<'_>, address: Ipv6Addr) {
    let source = Some(IpAddr::V6(address));
    let usable: Vec<u32> = lookup::links(world)
        .into_iter()
        .filter(|index| has_address(world, address, *index))
        .collect();
    let concerns = |route: &Route| {
        let index = route.hops.first().map_or(0, |hop| hop.index);
        !route.is_v4() && route.source == source && !usable.contains(&index)
    };
    world.change_routes(concerns, |route| {
        route.source = None;
        true
    });
}
