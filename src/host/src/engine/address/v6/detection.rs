//! The detection of duplicates, and what follows when an address is usable.
#![forbid(unsafe_code)]

use super::anycast::{forwards, join};
use super::routes::{add_local_route, add_prefix_route};
use super::wanted::{find, is_ready, v6, NODAD, OPTIMISTIC, TENTATIVE};
use crate::engine::address::told::tell;
use crate::engine::place::Place;
use crate::engine::route::Cause;
use crate::engine::{kind, sysctl};
use crate::message::conf;
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
    join(world, address);
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
    let own = |name| {
        let link = world.link(index);
        link.map_or(0, |link| conf::v6(world.state, conf::Of::Link(link), name))
    };
    let all = world.setting(&sysctl::path("ipv6", "conf", None, "accept_dad"));
    (own("accept_dad") >= 1 || all.unwrap_or(0) >= 1) && own("dad_transmits") > 0
}

/// Ends the detection of a duplicate: the address is usable (`addrconf_dad_completed`).
pub(super) fn end_detection(world: &mut World<'_>, place: Place) {
    let place = world.change_address(place, |address| {
        address.flags &= !(TENTATIVE | OPTIMISTIC | libc::IFA_F_DADFAILED);
        address.detection = None;
    });
    let address = *world.address(place);
    is_usable(world, &address);
    ask_for_routers(world, &address);
}

/// Notes that routers are asked for when a link has its first address of its own, unless it is a
/// router itself (the end of `addrconf_dad_completed`).
fn ask_for_routers(world: &mut World<'_>, address: &Address) {
    let index = address.index;
    let link_local = |address: &Address| kind::is_link_local(v6(address.local));
    let usable = world.addresses_of(index, false);
    let usable = usable.filter(|address| link_local(address) && address.flags & TENTATIVE == 0);
    let Some(link) = world.link(index) else {
        return;
    };
    if link.is_loopback() || !link_local(address) || usable.count() != 1 {
        return;
    }
    let own = |name| conf::v6(world.state, conf::Of::Link(link), name);
    let accepts = match own("accept_ra") {
        2 => true,
        accepts => accepts != 0 && !forwards(world, index),
    };
    if accepts && own("router_solicitations") != 0 {
        crate::engine::link::routers_are_asked(world, index);
    }
}
