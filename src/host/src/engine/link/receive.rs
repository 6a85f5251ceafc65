//! Which link-layer addresses a link receives (net/core/dev_addr_lists.c).
#![forbid(unsafe_code)]

use super::known::{change, get, UP};
use crate::message::conf;
use crate::{Failure, World};
use memtun_stack::{Extra, Link};

/// Returns the groups that a link receives because of IP, in the order in which it joins them.
pub fn groups_of_ip(world: &World<'_>, link: &Link) -> Vec<[u8; 6]> {
    let mut groups = Vec::new();
    let index = link.extra.index;
    // IPv6 joins them when the link is made, and leaves them while it is down later.
    let has_inet6 = conf::has_inet6(world.state, link) && (link.is_up() || !link.extra.was_down);
    if has_inet6 {
        groups.push([0x33, 0x33, 0, 0, 0, 1]);
    }
    if link.is_up() {
        groups.push([1, 0, 0x5e, 0, 0, 1]);
    }
    if link.extra.was_down {
        groups.reverse();
    }
    if !has_inet6 {
        return groups;
    }
    // The solicited-node groups of its own addresses, of which the list has the newest first, and
    // of those that it answers for.
    let mut own: Vec<_> = world.addresses_of(index, false).map(|a| a.local).collect();
    own.reverse();
    let proxies = world.state.neighbours.iter();
    let proxies = proxies.filter(|n| n.index == index && n.is_proxy());
    for address in own.into_iter().chain(proxies.map(|n| n.address)) {
        if let std::net::IpAddr::V6(v6) = address {
            let [.., a, b, c] = v6.octets();
            let group = [0x33, 0x33, 0xff, a, b, c];
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    groups
}

/// Lets a link receive a group (`dev_mc_add_global`); what was added once is added.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn add_group(world: &mut World<'_>, index: u32, group: [u8; 6]) -> Result<(), Failure> {
    change(world, index, |extra| {
        if !extra.groups.contains(&group) {
            extra.groups.push(group);
        }
    })
}

/// Lets a link receive a group no more (`dev_mc_del_global`).
///
/// # Errors
///
/// ENOENT when nobody had added it, ENODEV when there is no such link.
pub fn remove_group(world: &mut World<'_>, index: u32, group: [u8; 6]) -> Result<(), Failure> {
    if !get(world, index)?.extra.groups.contains(&group) {
        return Err(Failure::new(libc::ENOENT));
    }
    change(world, index, |extra| {
        extra.groups.retain(|other| *other != group);
    })
}

/// Adds an address to those that a link receives (`ndo_dflt_fdb_add`).
///
/// # Errors
///
/// EEXIST when it receives it already, ENODEV when there is no such link.
pub fn add_received(world: &mut World<'_>, index: u32, address: [u8; 6]) -> Result<(), Failure> {
    let link = get(world, index)?;
    let (of_one, extra) = (is_of_one(address), &link.extra);
    let known = match of_one {
        true => extra.unicast.contains(&address),
        false => extra.groups.contains(&address) || groups_of_ip(world, link).contains(&address),
    };
    if known {
        return Err(Failure::new(libc::EEXIST));
    }
    change(world, index, |extra| match of_one {
        true => {
            extra.unicast.push(address);
            decide(extra);
        }
        false => extra.groups.push(address),
    })
}

/// A driver that cannot filter addresses receives all when it is to receive the address of another
/// card (`__dev_set_rx_mode`). That is decided while the link is up.
pub(super) fn decide(extra: &mut Extra) {
    if extra.flags & UP != 0 {
        extra.receives_all = !extra.unicast.is_empty();
    }
}

/// Takes an address away from those that a link receives (`ndo_dflt_fdb_del`).
///
/// # Errors
///
/// ENOENT when it does not receive it, ENODEV when there is no such link.
pub fn remove_received(world: &mut World<'_>, index: u32, address: [u8; 6]) -> Result<(), Failure> {
    if !is_of_one(address) {
        return remove_group(world, index, address);
    }
    if !get(world, index)?.extra.unicast.contains(&address) {
        return Err(Failure::new(libc::ENOENT));
    }
    change(world, index, |extra| {
        extra.unicast.retain(|other| *other != address);
        decide(extra);
    })
}

/// Is this the address of one card, or of a protocol that bridges do not hand on?
fn is_of_one(address: [u8; 6]) -> bool {
    let local = address[..5] == [1, 0x80, 0xc2, 0, 0] && address[5] & 0xf0 == 0;
    address[0] & 1 == 0 || local
}
