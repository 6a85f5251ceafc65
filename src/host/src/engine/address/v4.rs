//! Addresses of IPv4: their order on a link, and the routes that belong to them.
#![forbid(unsafe_code)]

use super::{is_due, lifetimes, tell};
use crate::engine::place::Place;
use crate::engine::route::lookup::{self, net_of};
use crate::engine::route::v4::{self as routes, Config};
use crate::engine::route::Cause;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::address::FOREVER;
use memtun_stack::route::rtnh;
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::{IpAddr, Ipv4Addr};

/// Flags that only IPv6 addresses have (IPV6ONLY_FLAGS).
const ONLY_V6: u32 = libc::IFA_F_NODAD
    | libc::IFA_F_OPTIMISTIC
    | libc::IFA_F_DADFAILED
    | libc::IFA_F_HOMEADDRESS
    | libc::IFA_F_TENTATIVE
    | libc::IFA_F_MANAGETEMPADDR
    | libc::IFA_F_STABLE_PRIVACY;
const IFA_F_NOPREFIXROUTE: u32 = libc::IFA_F_NOPREFIXROUTE;

fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Makes an address without any attribute beyond these.
pub fn plain(index: u32, local: Ipv4Addr, prefix: u8, label: Name, now: u32) -> Address {
    let mut address = Address {
        index,
        local: local.into(),
        peer: local.into(),
        prefix,
        broadcast: None,
        label,
        scope: libc::RT_SCOPE_UNIVERSE,
        flags: 0,
        priority: 0,
        protocol: 0,
        valid: FOREVER,
        preferred: FOREVER,
        created: now,
        updated: now,
        detection: None,
    };
    set_lifetimes(&mut address, FOREVER, FOREVER, now);
    address
}

/// Sets the lifetimes of an address, in seconds (`set_ifa_lifetime`).
pub fn set_lifetimes(address: &mut Address, valid: u32, preferred: u32, now: u32) {
    address.flags &= !(libc::IFA_F_PERMANENT | libc::IFA_F_DEPRECATED);
    if valid == FOREVER {
        address.flags |= libc::IFA_F_PERMANENT;
    }
    if preferred == 0 {
        address.flags |= libc::IFA_F_DEPRECATED;
    }
    // A permanent address is told without ends, whatever they were.
    (address.valid, address.preferred) = match valid {
        FOREVER => (FOREVER, FOREVER),
        _ => (valid, preferred),
    };
    address.updated = now;
}

/// Is it an address in the same network, that has a mask of the same length?
fn is_alike(a: &Address, b: &Address) -> bool {
    a.prefix == b.prefix && net_of(a) == net_of(b)
}

/// Returns the place of an address that has this local address and network.
pub fn find(world: &World<'_>, address: &Address) -> Option<Place> {
    let mut places = world.address_places(address.index, true).into_iter();
    places.find(|place| {
        let other = world.address(*place);
        is_alike(other, address) && other.local == address.local
    })
}

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
fn is_gone(world: &mut World<'_>, address: &Address, primary: Option<&Address>, dead: bool) {
    delete_routes(world, address, primary, dead);
    if world.address_places(address.index, true).is_empty() {
        routes::link_is_down(world, address.index, routes::Down::Addresses);
    }
}

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
fn add_routes(world: &mut World<'_>, address: &Address) {
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
fn change_priority(world: &mut World<'_>, address: &Address, priority: u32) {
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
fn delete_routes(world: &mut World<'_>, gone: &Address, replaced: Option<&Address>, dead: bool) {
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

/// Carries out what follows from a link that has come up (`inetdev_event`, `fib_netdev_event`).
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index).cloned() else {
        return;
    };
    if link.extra.mtu < super::LEAST_V4 {
        return;
    }
    if link.is_loopback() {
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

/// Is this local address in the network of an address of the link (`inet_ifa_match`)?
pub fn matches(address: &Address, other: Ipv4Addr) -> bool {
    network(other.into(), address.prefix) == net_of(address)
}
