//! The routes that belong to an address of IPv4 (net/ipv4/fib_frontend.c).
#![forbid(unsafe_code)]

use super::list::{is_alike, v4};
use crate::engine::route::lookup::{self, net_of};
use crate::engine::route::v4::{self as routes, Config};
use crate::World;
use memtun_stack::Address;
use std::net::Ipv4Addr;

const IFA_F_NOPREFIXROUTE: u32 = libc::IFA_F_NOPREFIXROUTE;

/// A route that belongs to an address (`fib_magic`).
fn own_route(
    world: &mut World<'_>,
    add: bool,
    kind: u8,
    (to, prefix): (Ipv4Addr, u8),
    of: &Address,
    priority: u32,
) {
    let config = Config {
        to,
        prefix,
        table: u32::from(match kind {
            libc::RTN_UNICAST => libc::RT_TABLE_MAIN,
            _ => libc::RT_TABLE_LOCAL,
        }),
        protocol: libc::RTPROT_KERNEL,
        scope: match kind {
            libc::RTN_LOCAL => libc::RT_SCOPE_HOST,
            _ => libc::RT_SCOPE_LINK,
        },
        kind,
        index: of.index,
        priority,
        source: v4(of.local),
        how: libc::NLM_F_CREATE | libc::NLM_F_APPEND,
        ..Config::default()
    };
    // The kernel ignores as well what this fails with: the route may be there, or gone, already.
    let _ = match add {
        true => routes::add(world, &config),
        false => routes::delete(world, &config),
    };
}

/// The primary address of a network (`inet_ifa_byprefix`).
fn primary_of(world: &World<'_>, address: &Address) -> Option<Address> {
    let mut all = world.addresses_of(address.index, true);
    all.find(|other| other.prefix == address.prefix && net_of(other) == net_of(address))
        .copied()
}

/// The address of all hosts of a network.
fn broadcast_of(address: &Address) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(address.prefix.into()).unwrap_or(0);
    (u32::from(v4(address.peer)) | hosts).into()
}

/// Has an address a network beside itself, to which a route leads?
fn has_network(address: &Address) -> bool {
    let net = net_of(address);
    !net.is_unspecified() && (net != address.local || address.prefix < 32)
}

fn network_kind(world: &World<'_>, index: u32) -> u8 {
    let link = world.link(index);
    match link.is_some_and(|link| link.is_loopback()) {
        true => libc::RTN_LOCAL,
        false => libc::RTN_UNICAST,
    }
}

/// Adds the routes that belong to an address (`fib_add_ifaddr`).
pub(super) fn add_routes(world: &mut World<'_>, address: &Address) {
    let primary = match address.is_secondary() {
        false => *address,
        true => match primary_of(world, address) {
            Some(primary) => primary,
            None => return,
        },
    };
    let add = |world: &mut World<'_>, kind, to, priority| {
        own_route(world, true, kind, to, &primary, priority);
    };
    add(world, libc::RTN_LOCAL, (v4(address.local), 32), 0);
    if !world.link(address.index).is_some_and(|link| link.is_up()) {
        return;
    }
    if let Some(broadcast) = address.broadcast.filter(|b| !b.is_broadcast()) {
        add(world, libc::RTN_BROADCAST, (broadcast, 32), 0);
    }
    if has_network(address) && !address.is_secondary() {
        if address.flags & IFA_F_NOPREFIXROUTE == 0 {
            let kind = network_kind(world, address.index);
            let to = (v4(net_of(address)), address.prefix);
            add(world, kind, to, address.priority);
        }
        if address.prefix < 31 {
            add(world, libc::RTN_BROADCAST, (broadcast_of(address), 32), 0);
        }
    }
}

/// Gives the route to the network of an address another priority (`fib_modify_prefix_metric`).
pub(super) fn change_priority(world: &mut World<'_>, address: &Address, priority: u32) {
    let up = world.link(address.index).is_some_and(|link| link.is_up());
    let own = libc::IFA_F_SECONDARY | IFA_F_NOPREFIXROUTE;
    if !up || address.flags & own != 0 || !has_network(address) {
        return;
    }
    let kind = network_kind(world, address.index);
    let to = (v4(net_of(address)), address.prefix);
    own_route(world, true, kind, to, address, priority);
    own_route(world, false, kind, to, address, address.priority);
}

/// Deletes the routes that belong to an address and to no other one (`fib_del_ifaddr`). `replaced`
/// is the primary address that goes, when this one takes its place. `dead` says that the link has
/// no addresses any more.
pub(super) fn delete_routes(
    world: &mut World<'_>,
    gone: &Address,
    replaced: Option<&Address>,
    dead: bool,
) {
    let (broadcast, net) = (broadcast_of(gone), v4(net_of(gone)));
    let mut primary = *gone;
    let mut has_subnet = false;
    if gone.is_secondary() {
        let Some(found) = primary_of(world, gone) else {
            return;
        };
        if replaced.is_some_and(|replaced| *replaced != found) {
            return;
        }
        primary = found;
    } else if has_network(gone) {
        if gone.flags & IFA_F_NOPREFIXROUTE == 0 {
            let kind = network_kind(world, gone.index);
            own_route(world, false, kind, (net, gone.prefix), &primary, 0);
        }
        has_subnet = true;
    }
    let mut kept = Kept::default();
    if !dead {
        kept = Kept::by_others(world, gone, replaced, &primary, broadcast, net);
    }
    let delete = |world: &mut World<'_>, kind, to| {
        own_route(world, false, kind, (to, 32), &primary, 0);
    };
    if !kept.own_broadcast {
        let own = gone.broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED);
        delete(world, libc::RTN_BROADCAST, own);
    }
    if has_subnet && gone.prefix < 31 {
        if !kept.broadcast {
            delete(world, libc::RTN_BROADCAST, broadcast);
        }
        if !kept.network {
            delete(world, libc::RTN_BROADCAST, net);
        }
    }
    if !kept.local {
        delete(world, libc::RTN_LOCAL, v4(gone.local));
        let local = u32::from(libc::RT_TABLE_LOCAL);
        if !kept.itself && lookup::type_of(world, v4(gone.local), local) != libc::RTN_LOCAL {
            routes::address_is_gone(world, v4(gone.local));
        }
    }
}

/// Which routes of an address that goes are those of others as well.
#[derive(Default)]
struct Kept {
    local: bool,
    own_broadcast: bool,
    broadcast: bool,
    network: bool,
    /// The address itself stays, with another primary one.
    itself: bool,
}

impl Kept {
    fn by_others(
        world: &World<'_>,
        gone: &Address,
        replaced: Option<&Address>,
        primary: &Address,
        broadcast: Ipv4Addr,
        net: Ipv4Addr,
    ) -> Kept {
        let mut kept = Kept::default();
        let mut same_source = false;
        let mut of: Option<Address> = None;
        for other in world.addresses_of(gone.index, true) {
            if is_alike(other, gone) && other.local == gone.local {
                kept.itself = true;
                continue;
            }
            if replaced.is_some_and(|replaced| is_alike(other, replaced)) {
                continue;
            }
            if other.is_secondary() {
                if is_alike(other, primary) {
                    of = Some(*primary);
                } else {
                    if !same_source {
                        continue;
                    }
                    if !of.is_some_and(|of| is_alike(other, &of)) {
                        of = primary_of(world, other);
                    }
                    if of.is_none_or(|of| of.local != primary.local) {
                        continue;
                    }
                }
            } else {
                if primary.local != other.local {
                    continue;
                }
                of = Some(*other);
                same_source |= primary != other;
            }
            kept.local |= gone.local == other.local;
            kept.own_broadcast |= gone.broadcast == other.broadcast;
            kept.broadcast |= other.broadcast == Some(broadcast);
            kept.network |= other.broadcast == Some(net);
            let theirs = v4(net_of(other));
            if of == Some(*other) && other.prefix < 31 && !theirs.is_unspecified() {
                let one = |a: Ipv4Addr| a == broadcast_of(other) || a == theirs;
                kept.own_broadcast |= gone.broadcast.is_some_and(one);
                kept.broadcast |= one(broadcast);
                kept.network |= one(net);
            }
        }
        kept
    }
}
