//! What becomes of addresses of IPv6 with a link and with time.
#![forbid(unsafe_code)]

use super::detection::{begin_detection, end_detection};
use super::entry::{is_gone, remove};
use super::own::add_own_addresses;
use super::routes::{add_prefix_route, local_route};
use super::wanted::{find, is_disabled, is_ready, v6, NODAD, NOPREFIXROUTE, PERMANENT, TENTATIVE};
use crate::engine::address::told::{is_due, lifetimes, tell};
use crate::engine::route::v6::{self as routes, has_v6};
use crate::engine::route::Cause;
use crate::engine::{kind, neighbour, sysctl};
use crate::World;
use memtun_stack::route::rtnh;
use memtun_stack::Address;

/// Carries out what follows from a link that has come up (`addrconf_notify` of NETDEV_UP).
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    if is_disabled(world, index) || !has_v6(world, index) {
        return;
    }
    restore(world, index);
    if is_ready(world, index) {
        is_configured(world, index, rtnh::DEAD);
    }
}

/// Restores the routes of the permanent addresses (`addrconf_permanent_addr`).
fn restore(world: &mut World<'_>, index: u32) {
    let permanent: Vec<Address> = world
        .addresses_of(index, false)
        .filter(|address| address.flags & PERMANENT != 0)
        .copied()
        .collect();
    for address in permanent {
        if address.flags & NOPREFIXROUTE == 0 {
            let to = (v6(address.local), address.prefix);
            add_prefix_route(world, to, &address, None);
        }
        // An address that was kept while the link was down begins anew.
        let usable = address.flags & (TENTATIVE | NODAD) == NODAD;
        if usable && local_route(world, &address).is_none() {
            begin_detection(world, index, v6(address.local));
        }
    }
}

/// Gives a link that is ready the addresses that every link of its kind has, and begins what waited
/// for it.
fn is_configured(world: &mut World<'_>, index: u32, flags: u32) {
    add_own_addresses(world, index);
    let waiting: Vec<Address> = world
        .addresses_of(index, false)
        .filter(|a| a.flags & TENTATIVE != 0 && a.detection.is_none())
        .copied()
        .collect();
    for address in waiting {
        begin_detection(world, index, v6(address.local));
    }
    crate::engine::route::v6::link_is_up(world, index, flags);
}

/// Carries out what follows from a carrier that is back.
pub fn carrier_is_back(world: &mut World<'_>, index: u32) {
    if !is_disabled(world, index) && has_v6(world, index) {
        is_configured(world, index, rtnh::LINKDOWN);
    }
}

/// Carries out what follows from an mtu that is large enough for IPv6 again.
pub fn link_begins(world: &mut World<'_>, index: u32) {
    if is_ready(world, index) && !is_disabled(world, index) {
        is_configured(world, index, rtnh::DEAD);
    }
}

/// Looks for duplicates of all addresses once more (`addrconf_dad_run` with `restart`).
pub fn detect_again(world: &mut World<'_>, index: u32) {
    let all: Vec<Address> = world.addresses_of(index, false).copied().collect();
    for address in all {
        begin_detection(world, index, v6(address.local));
    }
}

/// Carries out what follows from IPv6 being switched on or off on a link (`dev_disable_change`).
pub fn is_switched(world: &mut World<'_>, index: u32) {
    if is_disabled(world, index) {
        link_is_down(world, index);
    } else if world.link(index).is_some_and(|link| link.is_up()) {
        link_is_up(world, index);
    }
}

/// Carries out what follows from a link that has gone down (`addrconf_ifdown`).
pub fn link_is_down(world: &mut World<'_>, index: u32) {
    routes::link_is_down(world, index, false);
    neighbour::family_is_down(world, index, false);
    let keeps = !is_disabled(world, index) && {
        let set = |link| world.setting(&sysctl::path("ipv6", "conf", link, "keep_addr_on_down"));
        match set(None).unwrap_or(0) {
            0 => set(Some(index)).unwrap_or(0) > 0,
            all => all > 0,
        }
    };
    let addresses: Vec<Address> = world.addresses_of(index, false).copied().collect();
    for address in addresses {
        let Some(place) = find(world, index, v6(address.local)) else {
            continue;
        };
        let own = kind::is_link_local(v6(address.local)) || v6(address.local).is_loopback();
        if keeps && address.flags & PERMANENT != 0 && !own {
            world.change_address(place, |address| {
                address.detection = None;
                if address.flags & NODAD == 0 {
                    address.flags |= TENTATIVE;
                }
            });
        } else {
            world.take_address(place);
            is_gone(world, &address);
        }
    }
}

/// Removes all of IPv6 of a link.
pub fn link_is_gone(world: &mut World<'_>, index: u32) {
    routes::link_is_down(world, index, true);
    neighbour::family_is_down(world, index, false);
    while let Some(place) = world.address_places(index, false).first().copied() {
        let gone = world.take_address(place);
        is_gone(world, &gone);
    }
    world.forget_settings(&["ipv6/conf", "ipv6/neigh"], index);
}

/// Ends detections, removes the addresses that are not valid any more, and marks those that are not
/// preferred any more (`addrconf_dad_work`, `addrconf_verify_rtnl`).
pub fn expire(world: &mut World<'_>) {
    let all: Vec<Address> = world
        .addresses()
        .filter(|address| !address.local.is_ipv4())
        .copied()
        .collect();
    for address in all {
        let [preferred, valid] = lifetimes(&address);
        let Some(place) = find(world, address.index, v6(address.local)) else {
            continue;
        };
        if is_due(world, valid) {
            remove(world, place);
            continue;
        }
        if is_due(world, address.detection) {
            end_detection(world, place);
        }
        let Some(place) = find(world, address.index, v6(address.local)) else {
            continue;
        };
        if is_due(world, preferred) {
            let place = world.change_address(place, |a| a.flags |= libc::IFA_F_DEPRECATED);
            let changed = *world.address(place);
            tell(world, &changed, libc::RTM_NEWADDR, Cause::default());
        }
    }
}
