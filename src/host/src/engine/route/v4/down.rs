//! What becomes of routes of IPv4 when a link or an address goes or comes.
#![forbid(unsafe_code)]

use crate::engine::route::told::{tell, Cause};
use crate::World;
use memtun_stack::route::rtnh;
use memtun_stack::Route;
use std::net::{IpAddr, Ipv4Addr};

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
        if let Some(place) = world.place_of_route(&route) {
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
            && route.object == 0
            && route.hops.iter().any(|hop| hop.index == index)
            && (forced || route.scope != libc::RT_SCOPE_HOST)
    };
    if down != Down::Carrier {
        flush(world, |route| {
            (concerns(route) && all_dead(route)).then_some(false)
        });
    }
    world.change_routes(concerns, |route| {
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
    let concerns = |route: &Route| route.is_v4() && route.hops.iter().any(|hop| hop.index == index);
    world.change_routes(concerns, |route| {
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
