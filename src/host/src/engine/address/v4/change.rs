//! Adding and removing addresses of IPv4 (net/ipv4/devinet.c).
#![forbid(unsafe_code)]

use super::list::{find, is_alike, set_lifetimes, v4};
use super::routes::{add_routes, change_priority, delete_routes};
use crate::engine::address::told::tell;
use crate::engine::neighbour;
use crate::engine::place::Place;
use crate::engine::route::v4 as routes;
use crate::engine::route::Cause;
use crate::{Failure, World};
use memtun_stack::route::rtnh;
use memtun_stack::Address;

/// Flags that only IPv6 addresses have (IPV6ONLY_FLAGS).
const ONLY_V6: u32 = libc::IFA_F_NODAD
    | libc::IFA_F_OPTIMISTIC
    | libc::IFA_F_DADFAILED
    | libc::IFA_F_HOMEADDRESS
    | libc::IFA_F_TENTATIVE
    | libc::IFA_F_MANAGETEMPADDR
    | libc::IFA_F_STABLE_PRIVACY;

/// Adds an address (`__inet_insert_ifa`).
///
/// # Errors
///
/// EEXIST when the link has it, EINVAL when an address of its network has another scope.
pub fn insert(world: &mut World<'_>, mut address: Address, cause: Cause) -> Result<(), Failure> {
    address.flags &= !(libc::IFA_F_SECONDARY | ONLY_V6);
    let list = world.address_places(address.index, true);
    let (mut last_primary, all) = (0, list.len());
    for (at, place) in list.into_iter().enumerate() {
        let other = world.address(place);
        if !other.is_secondary() && address.scope <= other.scope {
            last_primary = at + 1;
        }
        if is_alike(other, &address) {
            if other.local == address.local {
                return Err(Failure::new(libc::EEXIST));
            }
            if other.scope != address.scope {
                return Err(Failure::said(libc::EINVAL, "ipv4: Invalid scope value"));
            }
            address.flags |= libc::IFA_F_SECONDARY;
        }
    }
    let before = match address.is_secondary() {
        true => all,
        false => last_primary,
    };
    world.put_address(address, before);
    tell(world, &address, libc::RTM_NEWADDR, cause);
    add_routes(world, &address);
    routes::link_is_up(world, address.index, rtnh::DEAD);
    Ok(())
}

/// Removes the address at a place, and with a primary one its secondary ones, unless one of those
/// takes its place (`__inet_del_ifa`).
pub fn remove(world: &mut World<'_>, place: Place, cause: Cause) -> Address {
    let index = world.address(place).index;
    let promotes = world.setting_of("ipv4", index, "promote_secondaries") != 0;
    let list = world.address_places(index, true);
    let own = list.iter().position(|p| *p == place).unwrap_or(0);
    let gone = *world.address(place);
    let secondaries: Vec<Address> = list[own + 1..]
        .iter()
        .map(|p| *world.address(*p))
        .filter(|a| !gone.is_secondary() && a.is_secondary() && is_alike(a, &gone))
        .collect();
    if !promotes {
        for secondary in &secondaries {
            if let Some(place) = find(world, secondary) {
                world.take_address(place);
                tell(world, secondary, libc::RTM_DELADDR, cause);
                is_gone(world, secondary, None, false);
            }
        }
    } else {
        for secondary in &secondaries {
            delete_routes(world, secondary, Some(&gone), false);
        }
    }
    if let Some(place) = find(world, &gone) {
        world.take_address(place);
    }
    tell(world, &gone, libc::RTM_DELADDR, cause);
    is_gone(world, &gone, None, false);
    if let Some((first, others)) = secondaries.split_first().filter(|_| promotes) {
        promote(world, &gone, *first, cause);
        for other in others {
            add_routes(world, other);
        }
    }
    gone
}

/// Makes the first secondary address of a network its primary one.
fn promote(world: &mut World<'_>, gone: &Address, first: Address, cause: Cause) {
    let Some(place) = find(world, &first) else {
        return;
    };
    let mut promoted = world.take_address(place);
    promoted.flags &= !libc::IFA_F_SECONDARY;
    // It comes behind the last primary address of a scope that is not wider.
    let list = world.address_places(gone.index, true);
    let last = list.iter().rposition(|place| {
        let other = world.address(*place);
        !other.is_secondary() && gone.scope <= other.scope
    });
    world.put_address(promoted, last.map_or(0, |last| last + 1));
    tell(world, &promoted, libc::RTM_NEWADDR, cause);
    add_routes(world, &promoted);
    routes::link_is_up(world, gone.index, rtnh::DEAD);
}

/// What follows from an address that is gone (`fib_inetaddr_event`).
pub(super) fn is_gone(
    world: &mut World<'_>,
    address: &Address,
    primary: Option<&Address>,
    dead: bool,
) {
    delete_routes(world, address, primary, dead);
    if world.address_places(address.index, true).is_empty() {
        routes::link_is_down(world, address.index, routes::Down::Addresses);
        neighbour::family_is_down(world, address.index, true);
    }
}

/// Adds or changes an address as RTM_NEWADDR asks (`inet_rtm_newaddr`).
///
/// # Errors
///
/// EEXIST when the link has it and `how` does not say NLM_F_REPLACE, and what [`insert`] fails
/// with.
pub fn add(
    world: &mut World<'_>,
    mut address: Address,
    (valid, preferred): (u32, u32),
    how: i32,
    cause: Cause,
) -> Result<(), Failure> {
    let now = world.now;
    let Some(place) = find(world, &address) else {
        set_lifetimes(&mut address, valid, preferred, now);
        if address.flags & libc::IFA_F_MCAUTOJOIN != 0 && !v4(address.peer).is_multicast() {
            return Err(Failure::said(
                libc::EINVAL,
                "ipv4: Multicast auto join failed",
            ));
        }
        return insert(world, address, cause);
    };
    if how & libc::NLM_F_EXCL != 0 || how & libc::NLM_F_REPLACE == 0 {
        return Err(Failure::said(
            libc::EEXIST,
            "ipv4: Address already assigned",
        ));
    }
    let existing = *world.address(place);
    if existing.priority != address.priority {
        change_priority(world, &existing, address.priority);
    }
    let place = world.change_address(place, |existing| {
        existing.priority = address.priority;
        existing.protocol = address.protocol;
        set_lifetimes(existing, valid, preferred, now);
    });
    let changed = *world.address(place);
    tell(world, &changed, libc::RTM_NEWADDR, cause);
    Ok(())
}
