//! Adding, changing and deleting addresses of IPv6 (net/ipv6/addrconf.c).
#![forbid(unsafe_code)]

use super::detection::begin_detection;
use super::entry::{insert, remove};
use super::routes::{
    add_multicast_route, add_prefix_route, clean_up, modify_prefix_route, Cleanup,
};
use super::temporary;
use super::wanted::{
    ends, find, is_disabled, v6, Wanted, NODAD, NOPREFIXROUTE, OPTIMISTIC, PERMANENT, TENTATIVE,
};
use crate::engine::address::told::tell;
use crate::engine::place::Place;
use crate::engine::route::v6::{self as routes, has_v6};
use crate::engine::route::Cause;
use crate::{Failure, World};
use std::net::{IpAddr, Ipv6Addr};

/// Adds an address as RTM_NEWADDR and SIOCSIFADDR do (`inet6_addr_add`).
///
/// # Errors
///
/// EINVAL for an impossible prefix, EACCES where IPv6 is switched off, EADDRNOTAVAIL for an address
/// that no link has, EEXIST for one that this link has.
pub fn add(world: &mut World<'_>, index: u32, wanted: &Wanted) -> Result<(), Failure> {
    if wanted.prefix > 128 {
        return Err(Failure::said(libc::EINVAL, "ipv6: Invalid prefix length"));
    }
    if wanted.flags & libc::IFA_F_MANAGETEMPADDR != 0 && wanted.prefix != 64 {
        let text = "ipv6: address with \"mngtmpaddr\" flag must have a prefix length of 64";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let disabled = "ipv6: IPv6 is disabled on this device";
    if !has_v6(world, index) {
        return Err(Failure::said(libc::EINVAL, disabled));
    }
    if is_disabled(world, index) {
        return Err(Failure::said(libc::EACCES, disabled));
    }
    add_multicast_route(world, index);
    if wanted.flags & libc::IFA_F_MCAUTOJOIN != 0 && !wanted.local.is_multicast() {
        let text = "ipv6: Multicast auto join failed";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let address = insert(world, index, wanted)?;
    if wanted.flags & NOPREFIXROUTE == 0 {
        let to = (wanted.local, wanted.prefix);
        add_prefix_route(world, to, &address, ends(wanted.valid));
    }
    if address.flags & (OPTIMISTIC | NODAD) == 0 {
        tell(world, &address, libc::RTM_NEWADDR, Cause::default());
    }
    begin_detection(world, index, wanted.local);
    if temporary::is_origin(address.flags) {
        temporary::create(world, &address);
    }
    Ok(())
}

/// Changes an address as RTM_NEWADDR with NLM_F_REPLACE does (`inet6_addr_modify`).
///
/// # Errors
///
/// EINVAL when it cannot be the origin of temporary addresses.
pub fn modify(world: &mut World<'_>, place: Place, wanted: &Wanted) -> Result<(), Failure> {
    let before = *world.address(place);
    let manages = wanted.flags & libc::IFA_F_MANAGETEMPADDR != 0;
    let temporary = before.flags & libc::IFA_F_TEMPORARY != 0;
    if manages && (temporary || before.prefix != 64) {
        return Err(Failure::new(libc::EINVAL));
    }
    let mut flags = wanted.flags;
    if before.flags & TENTATIVE == 0 || before.flags & libc::IFA_F_DADFAILED != 0 {
        flags &= !OPTIMISTIC;
    }
    let (index, prefix, local) = (before.index, before.prefix, v6(before.local));
    let peer = wanted.other_end();
    let peer = peer.filter(|peer| IpAddr::V6(*peer) != before.peer);
    if peer.is_some() && before.peer != before.local {
        if let Some(route) = routes::of_prefix(world, v6(before.peer), prefix, index) {
            routes::remove(world, route);
        }
    }
    let had_route = before.flags & PERMANENT != 0 && before.flags & NOPREFIXROUTE == 0;
    let now = world.now;
    let place = world.change_address(place, |a| {
        a.flags &= !(libc::IFA_F_DEPRECATED
            | PERMANENT
            | NODAD
            | libc::IFA_F_HOMEADDRESS
            | libc::IFA_F_MANAGETEMPADDR
            | NOPREFIXROUTE);
        a.flags |= flags;
        a.updated = now;
        a.valid = wanted.valid;
        a.preferred = wanted.preferred;
        a.protocol = wanted.protocol;
        if wanted.priority != 0 {
            a.priority = wanted.priority;
        }
        if let Some(peer) = peer {
            a.peer = peer.into();
        }
    });
    let address = *world.address(place);
    if address.flags & TENTATIVE == 0 {
        tell(world, &address, libc::RTM_NEWADDR, Cause::default());
    }
    let expires = ends(wanted.valid);
    if wanted.flags & NOPREFIXROUTE == 0 {
        let mut done = had_route && modify_prefix_route(world, &address, local, expires);
        if !done {
            add_prefix_route(world, (local, prefix), &address, expires);
        }
        if address.peer != address.local {
            let peer = v6(address.peer);
            if had_route {
                done = modify_prefix_route(world, &address, peer, expires);
            }
            if !done {
                add_prefix_route(world, (peer, prefix), &address, expires);
            }
        }
    } else if had_route {
        let cleanup = Cleanup::of(world, &address);
        clean_up(world, &address, cleanup);
    }
    if let Some(place) = find(world, index, local) {
        temporary::has_changed(world, place, &before);
    }
    Ok(())
}

/// Deletes an address as RTM_DELADDR and SIOCDIFADDR do (`inet6_addr_del`).
///
/// # Errors
///
/// ENODEV when there is no such link, ENXIO when it has no IPv6, EADDRNOTAVAIL when it has not this
/// address with this prefix.
pub fn delete(
    world: &mut World<'_>,
    index: u32,
    local: Ipv6Addr,
    prefix: u32,
) -> Result<(), Failure> {
    let refuse = |errno, text: &'static str| Err(Failure::said(errno, text));
    if prefix > 128 {
        return refuse(libc::EINVAL, "ipv6: Invalid prefix length");
    }
    if world.link(index).is_none() {
        return refuse(libc::ENODEV, "ipv6: Unable to find the interface");
    }
    if !has_v6(world, index) {
        return refuse(libc::ENXIO, "ipv6: IPv6 is disabled on this device");
    }
    let found = find(world, index, local);
    match found.filter(|place| u32::from(world.address(*place).prefix) == prefix) {
        Some(place) => {
            let origin = *world.address(place);
            if temporary::is_origin(origin.flags) {
                temporary::delete(world, &origin);
            }
            if let Some(place) = find(world, index, local) {
                remove(world, place);
            }
            Ok(())
        }
        None => refuse(libc::EADDRNOTAVAIL, "ipv6: address not found"),
    }
}
