//! What follows for addresses and routes from what happens to a link.
#![forbid(unsafe_code)]

use super::told::{LEAST_V4, LEAST_V6};
use super::{v4, v6};
use crate::engine::{link, neighbour, route};
use crate::message::conf;
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

/// Carries out what follows from ARP being switched off or on (`addrconf_dad_run`): the addresses
/// of IPv6 are looked for once more, and told of again.
pub fn arp_is_switched(world: &mut World<'_>, index: u32) {
    if world.link(index).is_some_and(|link| link.extra.ready) {
        v6::detect_again(world, index);
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
    // Only the loopback may have so small a one.
    match (before >= LEAST_V4, mtu >= LEAST_V4) {
        (true, false) => {
            v4::addresses_are_gone(world, index);
            link::inet4_is_switched(world, index, false);
            world.forget_settings(&["ipv4/conf", "ipv4/neigh"], index);
            link::tell_conf4(world, index, conf::DELNETCONF);
            neighbour::family_is_down(world, index, true);
        }
        (false, true) => {
            link::inet4_is_switched(world, index, true);
            link::tell_conf4(world, index, conf::NEWNETCONF);
        }
        _ => {}
    }
    match (before >= LEAST_V6, mtu >= LEAST_V6) {
        (true, false) if loopback => v6::link_is_down(world, index),
        (true, false) => v6::link_is_gone(world, index),
        // It gets its address again when it comes up the next time.
        (false, true) if loopback => {}
        (false, true) => v6::link_begins(world, index),
        _ => {}
    }
}

/// Carries out what follows from another name of a link: the labels of its addresses.
pub fn name_has_changed(world: &mut World<'_>, index: u32, before: &[u8]) {
    let _ = before;
    v4::name_has_changed(world, index);
}
