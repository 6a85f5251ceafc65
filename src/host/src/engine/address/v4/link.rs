//! What becomes of addresses of IPv4 with a link and with time.
#![forbid(unsafe_code)]

use super::change::{insert, is_gone, remove};
use super::list::{find, plain};
use super::routes::add_routes;
use crate::engine::address::told::{is_due, lifetimes, tell, LEAST_V4};
use crate::engine::neighbour;
use crate::engine::route::v4 as routes;
use crate::engine::route::Cause;
use crate::World;
use memtun_abi::Name;
use memtun_stack::route::rtnh;
use memtun_stack::Address;
use std::net::Ipv4Addr;

/// Carries out what follows from a link that has come up (`inetdev_event`, `fib_netdev_event`).
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index).cloned() else {
        return;
    };
    if link.extra.mtu < LEAST_V4 {
        return;
    }
    if link.is_loopback() {
        crate::engine::link::is_settled(world, index);
        let mut own = plain(index, Ipv4Addr::LOCALHOST, 8, link.extra.name, world.now);
        own.scope = libc::RT_SCOPE_HOST;
        // It may have the address already.
        let _ = insert(world, own, Cause::default());
    }
    let addresses: Vec<_> = world.addresses_of(index, true).copied().collect();
    for address in addresses {
        add_routes(world, &address);
    }
    routes::link_is_up(world, index, rtnh::DEAD);
}

/// Removes all of IPv4 of a link (`inetdev_destroy`).
pub fn link_is_gone(world: &mut World<'_>, index: u32) {
    addresses_are_gone(world, index);
    neighbour::family_is_down(world, index, true);
}

/// Removes the addresses of a link, and its routes.
pub fn addresses_are_gone(world: &mut World<'_>, index: u32) {
    while let Some(place) = world.address_places(index, true).first().copied() {
        let gone = world.take_address(place);
        tell(world, &gone, libc::RTM_DELADDR, Cause::default());
        is_gone(world, &gone, None, true);
    }
    routes::link_is_down(world, index, routes::Down::Gone);
}

/// Renames the labels of the addresses of a link that has another name (`inetdev_changename`).
pub fn name_has_changed(world: &mut World<'_>, index: u32) {
    let Some(name) = world.link(index).map(|link| link.extra.name) else {
        return;
    };
    let mut number = 0;
    while let Some(place) = world.address_places(index, true).get(number).copied() {
        number += 1;
        let old = world.address(place).label;
        let mut label = name.as_bytes().to_vec();
        if number > 1 {
            let colon = old.as_bytes().iter().position(|b| *b == b':');
            let tail = match colon {
                Some(colon) => old.as_bytes()[colon..].to_vec(),
                None => format!(":{number}").into_bytes(),
            };
            label.truncate(15_usize.saturating_sub(tail.len()));
            label.extend(tail);
            label.truncate(15);
        }
        let label = Name::new(&label).unwrap_or(name);
        let place = world.change_address(place, |address| address.label = label);
        let changed = *world.address(place);
        tell(world, &changed, libc::RTM_NEWADDR, Cause::default());
    }
}

/// Removes the addresses that are not valid any more, and marks those that are not preferred any
/// more (`check_lifetime`).
pub fn expire(world: &mut World<'_>) {
    let due: Vec<Address> = world
        .addresses()
        .filter(|a| a.local.is_ipv4() && a.flags & libc::IFA_F_PERMANENT == 0)
        .copied()
        .collect();
    for address in due {
        let [preferred, valid] = lifetimes(&address);
        let Some(place) = find(world, &address) else {
            continue;
        };
        if is_due(world, valid) {
            remove(world, place, Cause::default());
        } else if is_due(world, preferred) {
            let place = world.change_address(place, |a| a.flags |= libc::IFA_F_DEPRECATED);
            let changed = *world.address(place);
            tell(world, &changed, libc::RTM_NEWADDR, Cause::default());
        }
    }
}
