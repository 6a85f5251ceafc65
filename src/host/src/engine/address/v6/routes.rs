//! The routes that belong to an address of IPv6.
#![forbid(unsafe_code)]

use super::wanted::{v6, NOPREFIXROUTE, PERMANENT};
use crate::engine::address::told::lifetimes;
use crate::engine::place::Place;
use crate::engine::route::v6::{self as routes, Config};
use crate::World;
use memtun_stack::route::rtf;
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::Ipv6Addr;

/// Adds the route to the network of an address (`addrconf_prefix_route`).
pub(super) fn add_prefix_route(
    world: &mut World<'_>,
    (to, prefix): (Ipv6Addr, u8),
    address: &Address,
    expires: Option<u32>,
) {
    let config = Config {
        to,
        prefix,
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_UNICAST,
        flags: rtf::UP | expires.map_or(0, |_| rtf::EXPIRES),
        index: address.index,
        priority: match address.priority {
            0 => routes::PRIORITY_OF_ADDRESS,
            priority => priority,
        },
        expires: expires.unwrap_or(0),
        ..Config::default()
    };
    // The kernel ignores as well what this fails with.
    let _ = routes::add(world, &config);
}

/// Adds the route to all multicast addresses of a link (`addrconf_add_mroute`).
pub(super) fn add_multicast_route(world: &mut World<'_>, index: u32) {
    if world.link(index).is_none_or(|link| link.is_loopback()) {
        return;
    }
    let config = Config {
        to: Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        prefix: 8,
        table: libc::RT_TABLE_LOCAL.into(),
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_MULTICAST,
        index,
        priority: routes::PRIORITY_OF_ADDRESS,
        ..Config::default()
    };
    let _ = routes::add(world, &config);
}

/// Adds the route that makes an address one of this host.
pub(super) fn add_local_route(world: &mut World<'_>, address: &Address) {
    let config = Config {
        to: v6(address.local),
        prefix: 128,
        table: libc::RT_TABLE_LOCAL.into(),
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_LOCAL,
        flags: rtf::UP | rtf::NONEXTHOP | rtf::LOCAL,
        index: address.index,
        down: true,
        ..Config::default()
    };
    let _ = routes::add(world, &config);
}

pub(super) fn local_route(world: &World<'_>, address: &Address) -> Option<Place> {
    let places = world.routes_to(libc::RT_TABLE_LOCAL.into(), address.local, 128);
    places.into_iter().find(|place| {
        let route = world.route(*place);
        route.kind == libc::RTN_LOCAL
            && (route.priority, route.protocol) == (0, libc::RTPROT_KERNEL)
            && (route.hops.first())
                .is_some_and(|hop| hop.index == address.index && hop.gateway.is_none())
    })
}

/// Gives the route to the network of an address its priority and its end. Returns false where there
/// is none (`modify_prefix_route`).
pub(super) fn modify_prefix_route(
    world: &mut World<'_>,
    address: &Address,
    to: Ipv6Addr,
    expires: Option<u32>,
) -> bool {
    let Some(place) = routes::of_prefix(world, to, address.prefix, address.index) else {
        return false;
    };
    let priority = match address.priority {
        0 => routes::PRIORITY_OF_ADDRESS,
        priority => priority,
    };
    let mut route = world.route(place).clone();
    if route.priority != priority {
        routes::remove(world, place);
        add_prefix_route(world, (to, address.prefix), address, expires);
        return true;
    }
    // The kernel takes the length of the lifetime for a time here, in its own unit; what is meant
    // is its end.
    route.expires = expires.map(|length| world.now.wrapping_add(length));
    route.flags &= !rtf::EXPIRES;
    if expires.is_some() {
        route.flags |= rtf::EXPIRES;
    }
    world.replace_route(place, route);
    true
}

/// What becomes of the route to the network of an address that goes (`enum cleanup_prefix_rt_t`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleanup {
    /// It stays.
    Nothing,
    /// It goes.
    Delete,
    /// It ends with the last other address, in hundredths of a second of CLOCK_BOOTTIME.
    Expire(u32),
}

impl Cleanup {
    /// `check_cleanup_prefix_route`.
    pub(super) fn of(world: &World<'_>, gone: &Address) -> Cleanup {
        let mut cleanup = Cleanup::Delete;
        let net = network(gone.local, gone.prefix);
        for other in world.addresses_of(gone.index, false) {
            if other.local == gone.local
                || other.prefix != gone.prefix
                || network(other.local, other.prefix) != net
            {
                continue;
            }
            if other.flags & (PERMANENT | NOPREFIXROUTE) != 0 {
                return Cleanup::Nothing;
            }
            let end = lifetimes(other)[1].unwrap_or(world.now);
            cleanup = match cleanup {
                Cleanup::Expire(at) if (end.wrapping_sub(at) as i32) < 0 => Cleanup::Expire(at),
                _ => Cleanup::Expire(end),
            };
        }
        cleanup
    }
}

/// `cleanup_prefix_route`.
pub(super) fn clean_up(world: &mut World<'_>, address: &Address, cleanup: Cleanup) {
    let (to, prefix) = (v6(address.local), address.prefix);
    if cleanup == Cleanup::Nothing {
        return;
    }
    let Some(place) = routes::of_prefix(world, to, prefix, address.index) else {
        return;
    };
    match cleanup {
        Cleanup::Expire(at) => {
            let mut route = world.route(place).clone();
            if route.expires.is_none() {
                route.expires = Some(at);
                route.flags |= rtf::EXPIRES;
                world.replace_route(place, route);
            }
        }
        _ => routes::remove(world, place),
    }
}
