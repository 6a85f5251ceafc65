//! One address of IPv6 in the list of its link (`ipv6_add_addr`, `ipv6_del_addr`).
#![forbid(unsafe_code)]

use super::anycast::{forwards, leave};
use super::routes::{clean_up, local_route, Cleanup};
use super::wanted::{find, is_disabled, v6, Wanted, NODAD, NOPREFIXROUTE, PERMANENT, TENTATIVE};
use crate::engine::address::told::tell;
use crate::engine::kind;
use crate::engine::place::Place;
use crate::engine::route::v6 as routes;
use crate::engine::route::Cause;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::Address;

/// Adds an address to a link (`ipv6_add_addr`), and nothing else.
pub(super) fn insert(
    world: &mut World<'_>,
    index: u32,
    wanted: &Wanted,
) -> Result<Address, Failure> {
    let refuse = |errno, text: &'static str| Err(Failure::said(errno, text));
    let loopback = world.link(index).is_some_and(|link| link.is_loopback());
    if wanted.local.is_unspecified() {
        return refuse(libc::EADDRNOTAVAIL, "ipv6: Invalid address");
    }
    if wanted.local.is_multicast() && wanted.flags & libc::IFA_F_MCAUTOJOIN == 0 {
        return refuse(
            libc::EADDRNOTAVAIL,
            "ipv6: Cannot assign multicast address without \"IFA_F_MCAUTOJOIN\" flag",
        );
    }
    if wanted.local.is_loopback() && !loopback {
        let text = "ipv6: Cannot assign loopback address on this device";
        return refuse(libc::EADDRNOTAVAIL, text);
    }
    if is_disabled(world, index) {
        return refuse(libc::EACCES, "ipv6: IPv6 is disabled on this device");
    }
    if find(world, index, wanted.local).is_some() {
        return Err(Failure::new(libc::EEXIST));
    }
    let tentative = match wanted.flags & NODAD {
        0 => TENTATIVE,
        _ => 0,
    };
    let address = Address {
        index,
        local: wanted.local.into(),
        peer: wanted.other_end().unwrap_or(wanted.local).into(),
        prefix: wanted.prefix,
        broadcast: None,
        label: Name::default(),
        scope: kind::scope(wanted.local),
        flags: wanted.flags | tentative,
        priority: wanted.priority,
        protocol: wanted.protocol,
        valid: wanted.valid,
        preferred: wanted.preferred,
        created: world.now,
        updated: world.now,
        detection: None,
    };
    // The wider scope comes first, and the newest of one scope.
    let width = kind::width(wanted.local);
    let before = world
        .addresses_of(index, false)
        .position(|other| width >= kind::width(v6(other.local)));
    world.put_address(address, before.unwrap_or(usize::MAX));
    Ok(address)
}

/// Removes the address at a place with its routes (`ipv6_del_addr`).
pub(super) fn remove(world: &mut World<'_>, place: Place) {
    let gone = *world.address(place);
    // The route of an address that is not permanent ends by itself.
    let cleanup = match gone.flags & (NOPREFIXROUTE | PERMANENT) {
        PERMANENT => Cleanup::of(world, &gone),
        _ => Cleanup::Nothing,
    };
    world.take_address(place);
    is_gone(world, &gone);
    clean_up(world, &gone, cleanup);
    routes::address_is_gone(world, v6(gone.local));
}

/// Tells of an address that is gone, and removes the routes that are its alone (`ipv6_ifa_notify`
/// of RTM_DELADDR).
pub(super) fn is_gone(world: &mut World<'_>, gone: &Address) {
    tell(world, gone, libc::RTM_DELADDR, Cause::default());
    if forwards(world, gone.index) {
        leave(world, gone);
    }
    if gone.peer != gone.local {
        if let Some(place) = routes::of_prefix(world, v6(gone.peer), 128, gone.index) {
            routes::remove(world, place);
        }
    }
    if let Some(place) = local_route(world, gone) {
        routes::remove(world, place);
    }
}
