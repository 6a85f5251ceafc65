//! What follows for addresses and routes from what happens to a link.
#![forbid(unsafe_code)]

use super::told::{LEAST_V4, LEAST_V6};
use super::{v4, v6};
use crate::engine::{neighbour, route};
use crate::World;
use memtun_stack::route::rtnh;

/// Carries out what follows from a link that has come up: the addresses that every link of its kind
/// has, and the routes to the networks of its addresses.
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    v4::link_is_up(world, index);
    v6::link_is_up(world, index);
}

/// Carries out what follows from a link that was up and has become ready for IPv6.
pub fn inet6_is_ready(world: &mut World<'_>, index: u32) {
    v6::carrier_is_back(world, index);
}

/// Carries out what follows from a link that has gone down.
pub fn link_is_down(world: &mut World<'_>, index: u32) {
    route::v4::link_is_down(world, index, route::v4::Down::Link);
    neighbour::family_is_down(world, index, true);
    v6::link_is_down(world, index);
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
    let (mtu, loopback) = (link.extra.mtu, link.is_loopback());
    // The loopback never loses its IPv6, which does not hear of an mtu that is too small.
    if !loopback || mtu >= LEAST_V6 {
        world.forget_mtu(index);
    }
    if mtu < LEAST_V4 && before >= LEAST_V4 {
        v4::link_is_gone(world, index);
    }
    match (before >= LEAST_V6, mtu >= LEAST_V6) {
        (true, false) if loopback => v6::link_is_down(world, index),
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
