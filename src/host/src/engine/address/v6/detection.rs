//! The detection of duplicates, and what follows when an address is usable.
#![forbid(unsafe_code)]

use super::routes::{add_local_route, add_prefix_route};
use super::wanted::{find, is_ready, v6, NODAD, OPTIMISTIC, TENTATIVE};
use crate::engine::address::told::tell;
use crate::engine::place::Place;
use crate::engine::route::Cause;
use crate::engine::sysctl;
use crate::World;
use memtun_stack::Address;
use std::net::Ipv6Addr;

/// How long the detection of a duplicate takes, in hundredths of a second: one question that nobody
/// answers for a second, behind a delay of up to a second.
const DETECTION: u32 = 120;

/// Tells of an address that is usable, and adds its routes (`ipv6_ifa_notify` of RTM_NEWADDR).
fn is_usable(world: &mut World<'_>, address: &Address) {
    tell(world, address, libc::RTM_NEWADDR, Cause::default());
    add_local_route(world, address);
    if address.peer != address.local {
        add_prefix_route(world, (v6(address.peer), 128), address, None);
    }
}

/// Begins the detection of a duplicate, or ends it at once where there is nobody to ask
/// (`addrconf_dad_begin`).
pub(super) fn begin_detection(world: &mut World<'_>, index: u32, local: Ipv6Addr) {
    world.postpone(|world| detect(world, index, local));
}

/// `addrconf_dad_work`.
fn detect(world: &mut World<'_>, index: u32, local: Ipv6Addr) {
    let Some(place) = find(world, index, local) else {
        return;
    };
    let silent = (libc::IFF_NOARP | libc::IFF_LOOPBACK) as u32;
    let link = world.link(index);
    let asks = link.is_some_and(|link| link.extra.flags & silent == 0);
    let wanted = asks_for_duplicates(world, index);
    let flags = world.address(place).flags;
    if !asks || !wanted || flags & TENTATIVE == 0 || flags & NODAD != 0 {
        end_detection(world, place);
    } else if is_ready(world, index) {
        let end = world.now.wrapping_add(DETECTION);
        world.change_address(place, |address| address.detection = Some(end));
    }
}

/// Is the detection of duplicates switched on (`accept_dad`, `dad_transmits`)?
fn asks_for_duplicates(world: &World<'_>, index: u32) -> bool {
    let set = |link, name| world.setting(&sysctl::path("ipv6", "conf", link, name));
    let accepts = set(Some(index), "accept_dad").unwrap_or(1) >= 1
        || set(None, "accept_dad").unwrap_or(0) >= 1;
    accepts && set(Some(index), "dad_transmits").unwrap_or(1) > 0
}

/// Ends the detection of a duplicate: the address is usable (`addrconf_dad_completed`).
pub(super) fn end_detection(world: &mut World<'_>, place: Place) {
    let place = world.change_address(place, |address| {
        address.flags &= !(TENTATIVE | OPTIMISTIC | libc::IFA_F_DADFAILED);
        address.detection = None;
    });
    let address = *world.address(place);
    is_usable(world, &address);
}
