//! Addresses of interfaces (net/ipv4/devinet.c, net/ipv6/addrconf.c), and what follows for
//! addresses and routes from what happens to a link.
#![forbid(unsafe_code)]

pub mod kind;
pub mod select;
pub mod v4;
pub mod v6;

use crate::engine::route;
use crate::World;
use memtun_stack::address::{Head, FOREVER};
use memtun_stack::route::rtnh;
use memtun_stack::wire::Writer;
use memtun_stack::{Address, Link};

/// Least mtu with which a link has IPv4 (IPV4_MIN_MTU).
const LEAST_V4: u32 = 68;
/// Least mtu with which a link has IPv6 (IPV6_MIN_MTU).
const LEAST_V6: u32 = 1280;

/// Tells listeners of an address.
fn tell(world: &mut World<'_>, address: &Address, kind: u16, cause: route::Cause) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        flags: 0,
        sequence: cause.sequence,
        port: cause.port,
    };
    address.write(&mut to, head, Some(world.now));
    let group = route::group(
        libc::RTNLGRP_IPV4_IFADDR,
        libc::RTNLGRP_IPV6_IFADDR,
        address.local.is_ipv4(),
    );
    world.tell(group, to.take());
}

/// Carries out what follows from a link that has come up: the addresses that every link of its kind
/// has, and the routes to the networks of its addresses.
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    v4::link_is_up(world, index);
    v6::link_is_up(world, index);
}

/// Carries out what follows from a link that has gone down.
pub fn link_is_down(world: &mut World<'_>, index: u32) {
    route::v4::link_is_down(world, index, route::v4::Down::Link);
    v6::link_is_down(world, index);
}

/// Carries out what follows from a link that is gone; `link` is what it was.
pub fn link_is_gone(world: &mut World<'_>, link: &Link) {
    let index = link.extra.index;
    if link.is_up() {
        link_is_down(world, index);
    }
    v4::link_is_gone(world, index);
    v6::link_is_gone(world, index);
    world.forget_settings(&["ipv4/conf", "ipv4/neigh"], index);
}

/// Carries out what follows from a carrier of a link that has come or gone while it is up.
pub fn carrier_has_changed(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index).filter(|link| link.is_up()) else {
        return;
    };
    if link.carrier {
        route::v4::link_is_up(world, index, rtnh::LINKDOWN);
        v6::carrier_is_back(world, index);
    } else {
        route::v4::link_is_down(world, index, route::v4::Down::Carrier);
        route::v6::carrier_is_lost(world, index);
    }
}

/// Carries out what follows from another mtu of a link, which was `before`.
pub fn mtu_has_changed(world: &mut World<'_>, index: u32, before: u32) {
    let Some(link) = world.link(index) else {
        return;
    };
    let mtu = link.extra.mtu;
    world.forget_mtu(index);
    if mtu < LEAST_V4 && before >= LEAST_V4 {
        v4::link_is_gone(world, index);
    }
    match (before >= LEAST_V6, mtu >= LEAST_V6) {
        (true, false) => v6::link_is_gone(world, index),
        (false, true) => v6::link_begins(world, index),
        _ => {}
    }
}

/// Carries out what follows from another name of a link: the labels of its addresses.
pub fn name_has_changed(world: &mut World<'_>, index: u32, before: &[u8]) {
    let _ = before;
    v4::name_has_changed(world, index);
}

/// Carries out what has become due: lifetimes of addresses and routes, and the detection of
/// duplicates.
pub fn expire(world: &mut World<'_>) {
    v4::expire(world);
    v6::expire(world);
    route::v6::expire(world);
}

/// Returns when [`expire`] has something to do next, in hundredths of a second of CLOCK_BOOTTIME.
pub fn next_expiry(world: &World<'_>) -> Option<u32> {
    let addresses = world.state.addresses.iter().filter_map(|address| {
        let lives = lifetimes(address).into_iter().flatten();
        lives
            .chain(address.detection)
            .min_by_key(|at| at.wrapping_sub(world.now) as i32)
    });
    let routes = world.state.routes.iter().filter_map(|route| route.expires);
    addresses
        .chain(routes)
        .min_by_key(|at| at.wrapping_sub(world.now) as i32)
}

/// Returns when an address is not preferred any more, if it still is, and when it is not valid any
/// more.
fn lifetimes(address: &Address) -> [Option<u32>; 2] {
    let end = |seconds: u32| {
        let hundredths = seconds.saturating_mul(100).min(i32::MAX as u32);
        (seconds != FOREVER).then(|| address.updated.wrapping_add(hundredths))
    };
    let deprecated = address.flags & libc::IFA_F_DEPRECATED != 0;
    [
        end(address.preferred).filter(|_| !deprecated),
        end(address.valid),
    ]
}

/// Has a time come?
fn is_due(world: &World<'_>, at: Option<u32>) -> bool {
    at.is_some_and(|at| (at.wrapping_sub(world.now) as i32) <= 0)
}
