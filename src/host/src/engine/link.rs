//! Links (net/core/dev.c, net/core/rtnetlink.c).
//!
//! A link is the tun driver's, or it is declared ([`Extra::declared`]), or it is the machine's.
//! What is changed on one that is not the tun driver's stays in the state, where the machine's
//! have an [`Extra`] as soon as something is changed on them.
#![forbid(unsafe_code)]

use super::{address, neighbour};
use crate::message::{conf, link as message};
use crate::{Failure, World};
use memtun_abi::{Errno, Name};
use memtun_stack::address::Head;
use memtun_stack::link::{oper, Notified};
use memtun_stack::wire::{Messages, Writer, NESTED};
use memtun_stack::{Extra, Link};

const UP: u32 = libc::IFF_UP as u32;
const RUNNING: u32 = libc::IFF_RUNNING as u32;
/// The flags that can be changed on every link (`__dev_change_flags`).
const SETTABLE: u32 = (libc::IFF_UP
    | libc::IFF_DEBUG
    | libc::IFF_NOTRAILERS
    | libc::IFF_NOARP
    | libc::IFF_DYNAMIC
    | libc::IFF_MULTICAST
    | libc::IFF_PORTSEL
    | libc::IFF_AUTOMEDIA
    | libc::IFF_PROMISC
    | libc::IFF_ALLMULTI) as u32;

/// Compares the links with what the host knew of them, tells listeners what has changed, and
/// carries out what follows for addresses, routes and neighbours. Every question begins with this,
/// because anybody may change an interface in shared memory.
///
/// # Errors
///
/// What reading the net fails with.
pub fn look(world: &mut World<'_>) -> Result<(), Errno> {
    arrange(world)?;
    let gone: Vec<Extra> = {
        let is_here = |extra: &&Extra| {
            extra.declared || {
                let mut all = world.links.iter();
                all.any(|link| link.extra.index == extra.index) || world.is_of_machine(extra.index)
            }
        };
        let state = world.state.links.iter();
        state.filter(|extra| !is_here(extra)).cloned().collect()
    };
    for extra in gone {
        has_gone(world, extra);
    }
    let indexes: Vec<u32> = {
        let own = world.links.iter().filter(|link| link.driver.is_some());
        own.map(|link| link.extra.index).collect()
    };
    for index in indexes {
        match known(world, index) {
            Some(before) => has_changed(world, index, &before),
            None => is_new(world, index),
        }
    }
    Ok(())
}

/// Takes the links as they are now, with what the host knows of each.
fn arrange(world: &mut World<'_>) -> Result<(), Errno> {
    let mut links = world.devices.links()?;
    for link in &mut links {
        if let Some(known) = known(world, link.extra.index) {
            let now = std::mem::take(&mut link.extra);
            link.extra = Extra {
                name: now.name,
                flags: now.flags,
                mtu: now.mtu,
                txqueuelen: now.txqueuelen,
                link_type: now.link_type,
                broadcast: if known.broadcast.len() == now.address.len() {
                    known.broadcast.clone()
                } else {
                    now.broadcast
                },
                address: now.address,
                carrier_ups: now.carrier_ups,
                carrier_downs: now.carrier_downs,
                notified: now.notified,
                ..known
            };
        }
    }
    for extra in world.state.links.iter().filter(|extra| extra.declared) {
        let mut extra = extra.clone();
        extra.flags &= !RUNNING;
        if extra.flags & UP != 0 {
            extra.flags |= RUNNING;
        }
        links.push(Link {
            extra,
            carrier: true,
            counters: Default::default(),
            driver: None,
        });
    }
    links.sort_by_key(|link| link.extra.index);
    world.links = links;
    let state = &world.state.links;
    for own in &mut world.machine.links {
        let index = own.item.extra.index;
        if let Some(extra) = state.iter().find(|e| e.index == index && !e.declared) {
            own.item.extra = extra.clone();
            if let Some(message) = overlaid(&own.message, &own.item) {
                own.message = message;
            }
        }
    }
    Ok(())
}

/// Returns the message of the machine's kernel with what was changed in the net.
fn overlaid(message: &[u8], link: &Link) -> Option<Vec<u8>> {
    use memtun_stack::wire::Attributes;
    let whole = Messages(message).next()?;
    let extra = &link.extra;
    let header = memtun_stack::link::HEADER;
    let mut own = whole.body.get(..header)?.to_vec();
    let kept = u32::from_ne_bytes(own[8..12].try_into().ok()?);
    let shown = extra.flags & 0xffff | kept & !0xffff;
    own[8..12].copy_from_slice(&shown.to_ne_bytes());
    let mut to = Writer::default();
    to.message(whole.kind, whole.flags, whole.sequence, whole.port)
        .raw(&own);
    let mut names = !extra.other_names.is_empty();
    let list = |to: &mut Writer| {
        let open = to.begin(message::ifla::PROP_LIST | NESTED);
        for name in &extra.other_names {
            to.string(message::ifla::ALT_IFNAME, name);
        }
        to.end(open);
    };
    for a in Attributes::behind(whole.body, header) {
        let kind = a.kind | if a.nested { NESTED } else { 0 };
        match a.kind {
            libc::IFLA_IFNAME => to.string(kind, extra.name.as_bytes()),
            libc::IFLA_MTU => to.u32(kind, extra.mtu),
            libc::IFLA_TXQLEN => to.u32(kind, extra.txqueuelen),
            libc::IFLA_GROUP => to.u32(kind, extra.group),
            libc::IFLA_LINKMODE => to.u8(kind, extra.link_mode),
            libc::IFLA_ADDRESS => to.attribute(kind, &extra.address),
            libc::IFLA_BROADCAST => to.attribute(kind, &extra.broadcast),
            // What the machine's driver said holds as long as nobody has set the link up or down.
            libc::IFLA_OPERSTATE if (kept ^ shown) & libc::IFF_UP as u32 != 0 => {
                to.u8(kind, message::operstate(link))
            }
            libc::IFLA_CARRIER => {
                to.attribute(kind, a.value);
                if !extra.alias.is_empty() {
                    to.string(libc::IFLA_IFALIAS, &extra.alias);
                }
                &mut to
            }
            libc::IFLA_IFALIAS => &mut to,
            message::ifla::PROP_LIST => {
                if names {
                    list(&mut to);
                }
                names = false;
                &mut to
            }
            _ => to.attribute(kind, a.value),
        };
    }
    if names {
        list(&mut to);
    }
    Some(to.take())
}

/// Returns what the host knew of a link when it last looked. Of the machine's links it knows
/// those on which something was changed.
fn known(world: &World<'_>, index: u32) -> Option<Extra> {
    let mut known = world.state.links.iter();
    known.find(|extra| extra.index == index).cloned()
}

/// Notes what is known of a link.
fn note(world: &mut World<'_>, extra: Extra) {
    if world.state.links.contains(&extra) {
        return;
    }
    let mut known = world.state.links.iter_mut();
    match known.find(|known| known.index == extra.index) {
        Some(known) => *known = extra,
        None => world.state.links.push(extra),
    }
}

/// Changes what is known of a link, and takes the links anew.
fn change(world: &mut World<'_>, index: u32, run: impl FnOnce(&mut Extra)) -> Result<(), Failure> {
    let Some(link) = world.link(index) else {
        return Err(Failure::new(libc::ENODEV));
    };
    let mut extra = link.extra.clone();
    run(&mut extra);
    note(world, extra);
    Ok(arrange(world)?)
}

/// Tells the listeners about a link as it is now. `changed` are the flags that have changed.
fn tell(world: &mut World<'_>, index: u32, changed: u32) {
    if let Some(link) = world.link(index).cloned() {
        tell_of(world, &link, libc::RTM_NEWLINK, changed);
    }
}

fn tell_of(world: &mut World<'_>, link: &Link, kind: u16, changed: u32) {
    let head = Head {
        kind,
        ..Head::default()
    };
    let machine = world.machine.links.iter();
    let mut own = machine.filter(|own| own.item.extra.index == link.extra.index);
    let message = match own.next().and_then(|own| Messages(&own.message).next()) {
        // What the machine's kernel said of it, as an event.
        Some(whole) => {
            let mut body = whole.body.to_vec();
            if let Some(change) = body.get_mut(12..16) {
                change.copy_from_slice(&changed.to_ne_bytes());
            }
            let mut to = Writer::default();
            to.message(kind, 0, 0, 0).raw(&body);
            to.take()
        }
        None => {
            let mut to = Writer::default();
            let why = message::Why {
                changed,
                ..message::Why::default()
            };
            message::write(world.state, link, &mut to, head, why);
            to.take()
        }
    };
    world.tell(libc::RTNLGRP_LINK, message);
}

/// Tells the listeners that other work is left to the program behind a link
/// (`netdev_features_change`).
fn tell_features(world: &mut World<'_>, link: &Link) {
    let mut to = Writer::default();
    let head = Head {
        kind: libc::RTM_NEWLINK,
        ..Head::default()
    };
    let why = message::Why {
        event: message::Why::FEATURES,
        ..message::Why::default()
    };
    message::write(world.state, link, &mut to, head, why);
    world.tell(libc::RTNLGRP_LINK, to.take());
}

/// Tells the listeners about the settings of a link (`inet_netconf_notify_devconf`): messages of
/// these types for IPv4, and then for IPv6.
fn tell_conf(world: &mut World<'_>, link: &Link, kinds: &[u16]) {
    let families = [
        (libc::AF_INET, conf::V4_GROUP),
        (libc::AF_INET6, conf::V6_GROUP),
    ];
    for (family, group) in families {
        if family == libc::AF_INET6 && !conf::has_inet6(world.state, link) {
            continue;
        }
        for kind in kinds {
            tell_conf_of(world, link, family, group, *kind);
        }
    }
}

fn tell_conf6(world: &mut World<'_>, link: &Link, kind: u16) {
    tell_conf_of(world, link, libc::AF_INET6, conf::V6_GROUP, kind);
}

fn tell_conf_of(world: &mut World<'_>, link: &Link, family: i32, group: u32, kind: u16) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        ..Head::default()
    };
    let of = conf::Of::Link(link);
    conf::write_netconf(world.state, family as u8, of, &mut to, head);
    world.tell(group, to.take());
}

/// Tells the listeners what IPv6 says of a link (`inet6_ifinfo_notify`).
fn tell_inet6(world: &mut World<'_>, index: u32) {
    let link = world.link(index).cloned();
    if let Some(link) = link.filter(|link| conf::has_inet6(world.state, link)) {
        let mut to = Writer::default();
        let head = Head {
            kind: libc::RTM_NEWLINK,
            ..Head::default()
        };
        message::write_inet6(world.state, &link, &mut to, head);
        world.tell(libc::RTNLGRP_IPV6_IFINFO, to.take());
    }
}

/// Returns the state of operation that follows from the carrier (`rfc2863_policy`).
fn policy(link: &Link) -> u8 {
    /// IF_LINK_MODE_DORMANT, IF_LINK_MODE_TESTING.
    const MODES: [(u8, u8); 2] = [(1, oper::DORMANT), (2, oper::TESTING)];
    if !link.carrier {
        return oper::DOWN;
    }
    let mode = MODES.iter().find(|mode| mode.0 == link.extra.link_mode);
    mode.map_or(oper::UP, |mode| mode.1)
}

fn is_new(world: &mut World<'_>, index: u32) {
    let Some(mut link) = world.link(index).cloned() else {
        return;
    };
    if link.extra.carrier_ups + link.extra.carrier_downs > 0 {
        link.extra.operstate = policy(&link);
    }
    // It is made and then comes up, as listeners of the kernel hear.
    let up = link.is_up();
    link.extra.flags &= !(UP | RUNNING);
    note(world, link.extra.clone());
    tell_conf(world, &link, &[conf::NEWNETCONF]);
    tell_of(world, &link, libc::RTM_NEWLINK, u32::MAX);
    if up {
        let before = link.extra.clone();
        has_changed(world, index, &before);
    }
}

fn has_gone(world: &mut World<'_>, extra: Extra) {
    let mut extra = extra;
    // The driver has switched off the carrier when the last queue was closed.
    extra.carrier_downs = extra.carrier_ups + 1;
    let mut link = Link {
        carrier: false,
        extra,
        counters: Default::default(),
        // What the driver said is gone with it; what is told last says what every tun starts with.
        driver: None,
    };
    if link.extra.link_type == memtun_abi::uapi::ARPHRD_NONE || !link.extra.address.is_empty() {
        link.driver = Some(memtun_stack::link::Driver {
            flags: if link.extra.address.is_empty() {
                memtun_abi::uapi::IFF_TUN | memtun_abi::uapi::IFF_NO_PI
            } else {
                memtun_abi::uapi::IFF_TAP | memtun_abi::uapi::IFF_NO_PI
            },
            owner: -1,
            group: -1,
            queues: 0,
            detached: 0,
        });
    }
    is_gone(world, link);
}

/// Carries out what follows from the end of a link, which is still as it was.
fn is_gone(world: &mut World<'_>, mut link: Link) {
    let index = link.extra.index;
    let up = link.is_up();
    if up {
        let changed = UP | link.extra.flags & RUNNING;
        link.extra.flags &= !(UP | RUNNING);
        tell_of(world, &link, libc::RTM_NEWLINK, changed);
    }
    world.state.links.retain(|extra| extra.index != index);
    if up {
        address::link_is_down(world, index);
    }
    address::link_is_gone(world, index);
    tell_conf(world, &link, &[conf::DELNETCONF]);
    link.extra.was_up = false;
    tell_of(world, &link, libc::RTM_DELLINK, u32::MAX);
    let prefix = format!("/conf/#{index}/");
    let near = format!("/neigh/#{index}/");
    world.state.sysctls.retain(|sysctl| {
        let path = String::from_utf8_lossy(&sysctl.path);
        !path.contains(&prefix) && !path.contains(&near)
    });
    world.links.retain(|link| link.extra.index != index);
}

/// Carries out what follows from the difference between a link as it was and as it is now.
fn has_changed(world: &mut World<'_>, index: u32, before: &Extra) {
    world.with_work_queue(|world| compare(world, index, before));
}

fn compare(world: &mut World<'_>, index: u32, before: &Extra) {
    let Some(mut link) = world.link(index).cloned() else {
        return;
    };
    let counts = |extra: &Extra| (extra.carrier_ups, extra.carrier_downs);
    let carrier = counts(&link.extra) != counts(before);
    if carrier {
        link.extra.operstate = policy(&link);
    }
    if link.is_up() && !link.extra.was_up {
        link.extra.was_up = true;
        link.extra.no_queue = link.extra.txqueuelen == 0;
    }
    let now = link.extra.clone();
    note(world, now.clone());
    if let Some(own) = world.links.iter_mut().find(|l| l.extra.index == index) {
        own.extra = now.clone();
    }
    if now.name != before.name {
        tell(world, index, 0);
        renamed(world, &link, before);
    }
    if now.address != before.address {
        address_is_set(world, index);
    }
    if now.mtu != before.mtu {
        // The event comes before IPv6 has heard of it.
        let mtu6 = {
            let link = Link {
                extra: before.clone(),
                ..link.clone()
            };
            conf::v6(world.state, conf::Of::Link(&link), "mtu")
        };
        conf::set_v6(world.state, index, "mtu", mtu6);
        tell(world, index, 0);
        // The loopback keeps IPv6, and what IPv6 knew.
        if !link.is_loopback() || now.mtu >= conf::IPV6_MIN_MTU {
            conf::unset_v6(world.state, index, "mtu");
        }
        let had = mtu6 >= conf::IPV6_MIN_MTU as i32 || link.is_loopback();
        let has = now.mtu >= conf::IPV6_MIN_MTU || link.is_loopback();
        if has && !had {
            let noarp = now.flags & libc::IFF_NOARP as u32 != 0;
            conf::set_v6(world.state, index, "accept_dad", if noarp { -1 } else { 1 });
            tell_conf6(world, &link, conf::NEWNETCONF);
        }
        address::mtu_has_changed(world, index, before.mtu);
        if had && !has {
            forget_inet6(world, index);
        } else if has && !had && link.is_up() {
            start_inet6(world, index, false);
        }
    }
    if let (Some(driver), Some(before)) = (now.notified, before.notified) {
        if driver.features != before.features {
            tell_features(world, &link);
        }
        let others = |driver: Notified| Notified {
            features: 0,
            ..driver
        };
        if others(driver) != others(before) {
            state_has_changed(world, index);
        }
    }
    if now.txqueuelen != before.txqueuelen {
        tell(world, index, 0);
    }
    let changed = (now.flags ^ before.flags) & SETTABLE;
    if changed != 0 {
        tell(world, index, changed);
    }
    if changed & UP != 0 {
        if now.flags & UP != 0 {
            address::link_is_up(world, index);
            start_inet6(world, index, false);
        } else {
            let _ = change(world, index, |extra| {
                extra.ready = false;
                extra.was_down = true;
            });
            address::link_is_down(world, index);
        }
    } else if carrier && now.flags & UP != 0 {
        neighbour::carrier_has_changed(world, index, link.carrier);
        address::carrier_has_changed(world, index);
        start_inet6(world, index, false);
        tell(world, index, 0);
    }
    if changed & libc::IFF_NOARP as u32 != 0 && link.is_up() {
        neighbour::address_has_changed(world, index);
    }
}

/// Notes that IPv6 starts on a link that is up and ready for it, once (`addrconf_notify`), and
/// tells listeners. `begins` says that the addresses that every link of its kind has are still to
/// be made.
fn start_inet6(world: &mut World<'_>, index: u32, begins: bool) {
    let Some(link) = world.link(index).cloned() else {
        return;
    };
    let is_ready = message::flags(&link) & RUNNING != 0;
    if !is_ready || link.extra.ready || !conf::has_inet6(world.state, &link) {
        return;
    }
    let _ = change(world, index, |extra| extra.ready = true);
    if begins {
        address::inet6_is_ready(world, index);
    }
    tell_inet6(world, index);
}

/// IPv6 and its settings are gone from a link whose mtu is too small.
fn forget_inet6(world: &mut World<'_>, index: u32) {
    for family in ["ipv6/conf", "ipv6/neigh"] {
        let prefix = format!("{family}/#{index}/").into_bytes();
        let sysctls = &mut world.state.sysctls;
        sysctls.retain(|sysctl| !sysctl.path.starts_with(&prefix));
    }
    let _ = change(world, index, |extra| {
        extra.ready = false;
        extra.token = [0; 16];
    });
    if let Some(link) = world.link(index).cloned() {
        tell_conf6(world, &link, conf::DELNETCONF);
    }
}

fn renamed(world: &mut World<'_>, link: &Link, before: &Extra) {
    address::name_has_changed(world, link.extra.index, before.name.as_bytes());
    tell_conf(world, link, &[conf::DELNETCONF, conf::NEWNETCONF]);
}

/// Carries out a change of what only the host knows, or of a link that is not the tun driver's.
fn change_and_tell(
    world: &mut World<'_>,
    index: u32,
    run: impl FnOnce(&mut Extra),
) -> Result<(), Failure> {
    let before = get(world, index)?.extra.clone();
    change(world, index, run)?;
    has_changed(world, index, &before);
    Ok(())
}

/// Returns a link.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn get<'w>(world: &'w World<'_>, index: u32) -> Result<&'w Link, Failure> {
    world.link(index).ok_or(Failure::new(libc::ENODEV))
}

/// Sets the mtu, in bytes (`netif_set_mtu_ext`).
///
/// # Errors
///
/// EINVAL when it is out of range, with a sentence.
pub fn set_mtu(world: &mut World<'_>, index: u32, mtu: u32) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.extra.mtu == mtu {
        return Ok(());
    }
    let (least, most) = message::mtu_range(link);
    if (mtu as i32) < 0 || mtu < least {
        let text = "mtu less than device minimum";
        return Err(Failure::said(libc::EINVAL, text));
    }
    if most > 0 && mtu > most {
        let text = "mtu greater than device maximum";
        return Err(Failure::said(libc::EINVAL, text));
    }
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| extra.mtu = mtu);
    }
    world.devices.set_mtu(index, mtu)?;
    Ok(look(world)?)
}

/// Number of packets for which the driver finds no room any more, less one (KMALLOC_MAX_SIZE).
const LONGEST_QUEUE: u32 = 1 << 19;

/// Sets how many packets the queue holds (`netif_change_tx_queue_len`).
///
/// # Errors
///
/// EPERM when the driver has no room for so many.
pub fn set_txqueuelen(world: &mut World<'_>, index: u32, packets: u32) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.extra.txqueuelen == packets {
        return Ok(());
    }
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| extra.txqueuelen = packets);
    }
    if packets > LONGEST_QUEUE {
        // Listeners hear of the new length before the driver refuses it.
        let mut refused = link.clone();
        refused.extra.txqueuelen = packets;
        tell_of(world, &refused, libc::RTM_NEWLINK, 0);
        return Err(Failure::new(libc::EPERM));
    }
    world.devices.set_txqueuelen(index, packets)?;
    Ok(look(world)?)
}

/// Sets the flags that can be set (`netif_change_flags`).
///
/// # Errors
///
/// What the driver fails with.
pub fn set_flags(world: &mut World<'_>, index: u32, flags: u32) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| {
            extra.flags = flags & SETTABLE | extra.flags & !SETTABLE & !RUNNING;
            if extra.flags & UP != 0 {
                extra.flags |= RUNNING;
            }
        });
    }
    world.devices.set_flags(index, flags)?;
    Ok(look(world)?)
}

/// Sets the link-layer address (`netif_set_mac_address`). `address` has at least the length of
/// the link's.
///
/// # Errors
///
/// EOPNOTSUPP where there is none, EADDRNOTAVAIL for an address that no card has.
pub fn set_address(world: &mut World<'_>, index: u32, address: &[u8]) -> Result<(), Failure> {
    let link = get(world, index)?;
    let Some(Ok(mac)) = address.get(..6).map(<[u8; 6]>::try_from) else {
        return Err(Failure::new(libc::EOPNOTSUPP));
    };
    if link.is_tun() || link.extra.address.len() != 6 {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    if link.extra.address == mac {
        address_is_set(world, index);
        return Ok(());
    }
    if link.driver.is_none() {
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(Failure::new(libc::EADDRNOTAVAIL));
        }
        return change_and_tell(world, index, |extra| extra.address = mac.to_vec());
    }
    world.devices.set_address(index, mac)?;
    Ok(look(world)?)
}

/// Carries out what follows from an address that was set, also to what it was (NETDEV_CHANGEADDR).
fn address_is_set(world: &mut World<'_>, index: u32) {
    tell(world, index, 0);
    neighbour::address_has_changed(world, index);
}

/// Sets the broadcast address; only as many bytes count as the link's addresses have.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_broadcast(world: &mut World<'_>, index: u32, address: &[u8]) -> Result<(), Failure> {
    let length = get(world, index)?.extra.address.len();
    let address = address.get(..length).unwrap_or_default().to_vec();
    change(world, index, |extra| extra.broadcast = address)?;
    address_is_set(world, index);
    Ok(())
}

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
        true => extra.unicast.push(address),
        false => extra.groups.push(address),
    })
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
    })
}

/// Is this the address of one card, or of a protocol that bridges do not hand on?
fn is_of_one(address: [u8; 6]) -> bool {
    let local = address[..5] == [1, 0x80, 0xc2, 0, 0] && address[5] & 0xf0 == 0;
    address[0] & 1 == 0 || local
}

/// Sets the name, or that for which a pattern stands (`netif_change_name`).
///
/// # Errors
///
/// EINVAL for a bad name, EEXIST for one that is taken, ENFILE when each number of a pattern is.
pub fn rename(world: &mut World<'_>, index: u32, wanted: &[u8]) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.extra.name.as_bytes() == wanted {
        return Ok(());
    }
    let invalid = || Failure::new(libc::EINVAL);
    let name = Name::new(wanted)
        .filter(Name::is_valid)
        .ok_or_else(invalid)?;
    let name = match name.pattern()? {
        None if world.link_named(name.as_bytes()).is_some() => {
            return Err(Failure::new(libc::EEXIST));
        }
        None => name,
        Some((prefix, suffix)) => {
            let numbered = |number| Name::numbered(prefix, number, suffix);
            let free = |name: &Name| world.link_named(name.as_bytes()).is_none();
            let mut names = (0..u32::from(u16::MAX)).map_while(numbered);
            let found = names.find(free).filter(Name::is_valid);
            found.ok_or(Failure::new(libc::ENFILE))?
        }
    };
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| extra.name = name);
    }
    world.devices.rename(index, &name)?;
    Ok(look(world)?)
}

/// Sets the group of links.
///
/// # Errors
///
/// ENODEV when there is no such link; the same for the functions that follow.
pub fn set_group(world: &mut World<'_>, index: u32, group: u32) -> Result<(), Failure> {
    change(world, index, |extra| extra.group = group)
}

/// Sets the description, up to its first NUL.
///
/// # Errors
///
/// EINVAL when it is longer than 255 bytes.
pub fn set_alias(world: &mut World<'_>, index: u32, alias: &[u8]) -> Result<(), Failure> {
    if alias.len() > 255 {
        return Err(Failure::new(libc::EINVAL));
    }
    let end = alias.iter().position(|b| *b == 0).unwrap_or(alias.len());
    change(world, index, |extra| extra.alias = alias[..end].to_vec())
}

/// Sets the mode of the link (IF_LINK_MODE_*). Returns whether it has changed.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_link_mode(world: &mut World<'_>, index: u32, mode: u8) -> Result<bool, Failure> {
    let differs = get(world, index)?.extra.link_mode != mode;
    change(world, index, |extra| extra.link_mode = mode)?;
    Ok(differs)
}

/// Sets whether there is a carrier (`netif_change_carrier`).
///
/// # Errors
///
/// EOPNOTSUPP for a link that cannot.
pub fn set_carrier(world: &mut World<'_>, index: u32, carrier: bool) -> Result<(), Failure> {
    if get(world, index)?.driver.is_none() {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    world.devices.set_carrier(index, carrier)?;
    Ok(look(world)?)
}

/// Sets the state of operation as far as that may be (`set_operstate`).
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_operstate(world: &mut World<'_>, index: u32, wanted: u8) -> Result<(), Failure> {
    use oper::*;
    let before = get(world, index)?.extra.operstate;
    let after = match (wanted, before) {
        (UP, DORMANT | TESTING | UNKNOWN) => UP,
        (TESTING, UP | UNKNOWN) => TESTING,
        (DORMANT, UP | UNKNOWN) => DORMANT,
        _ => return Ok(()),
    };
    change(world, index, |extra| extra.operstate = after)?;
    state_has_changed(world, index);
    Ok(())
}

/// Sets a limit of segmentation, of whichever attribute `kind` is.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_limit(world: &mut World<'_>, index: u32, kind: u16, to: u32) -> Result<(), Failure> {
    use message::ifla::*;
    // The limit for IPv4 follows the other one unless it is larger than that of old protocols.
    const LEGACY: u32 = 65536;
    let extra = &get(world, index)?.extra;
    let now = match kind {
        GSO_MAX_SIZE => extra.gso_max_size,
        GRO_MAX_SIZE => extra.gro_max_size,
        _ => None,
    };
    if now.unwrap_or(LEGACY) == to && matches!(kind, GSO_MAX_SIZE | GRO_MAX_SIZE) {
        return Ok(());
    }
    change(world, index, |extra| match kind {
        GSO_MAX_SEGS => extra.gso_max_segs = Some(to),
        GSO_MAX_SIZE => {
            extra.gso_max_size = Some(to);
            if to <= LEGACY {
                extra.gso_ipv4_max_size = Some(to);
            }
        }
        GRO_MAX_SIZE => {
            extra.gro_max_size = Some(to);
            if to <= LEGACY {
                extra.gro_ipv4_max_size = Some(to);
            }
        }
        GSO_IPV4_MAX_SIZE => extra.gso_ipv4_max_size = Some(to),
        GRO_IPV4_MAX_SIZE => extra.gro_ipv4_max_size = Some(to),
        _ => {}
    })
}

/// Sets the host's part of IPv6 addresses that routers advertise.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_token(world: &mut World<'_>, index: u32, token: [u8; 16]) -> Result<(), Failure> {
    change(world, index, |extra| extra.token = token)?;
    tell_inet6(world, index);
    Ok(())
}

/// Tells the listeners about a change that has no event of its own, if the link is up
/// (`netif_state_change`).
pub fn state_has_changed(world: &mut World<'_>, index: u32) {
    if world.link(index).is_some_and(Link::is_up) {
        world.with_work_queue(|world| {
            start_inet6(world, index, true);
            tell(world, index, 0);
        });
    }
}

/// Gives the link another name beside its own (`netdev_name_node_alt_create`).
///
/// # Errors
///
/// EEXIST when the name is taken.
pub fn add_name(world: &mut World<'_>, index: u32, name: &[u8]) -> Result<(), Failure> {
    if world.link_named(name).is_some() {
        return Err(Failure::new(libc::EEXIST));
    }
    change(world, index, |extra| extra.other_names.push(name.to_vec()))
}

/// Takes another name away (`netdev_name_node_alt_destroy`).
///
/// # Errors
///
/// ENOENT when there is no such name, EINVAL when it is a link's own or another link's.
pub fn remove_name(world: &mut World<'_>, index: u32, name: &[u8]) -> Result<(), Failure> {
    let link = get(world, index)?;
    if !link.extra.other_names.iter().any(|other| other == name) {
        let taken = world.link_named(name).is_some();
        let errno = if taken { libc::EINVAL } else { libc::ENOENT };
        return Err(Failure::new(errno));
    }
    change(world, index, |extra| {
        extra.other_names.retain(|other| other != name);
    })
}

/// Can the link be deleted (`rtnl_link_ops.dellink`)? The tun driver's can; of the machine's those
/// can that somebody made.
pub fn is_deletable(world: &World<'_>, index: u32) -> bool {
    if world.link(index).is_some_and(|link| link.driver.is_some()) {
        return true;
    }
    let mut machine = world.machine.links.iter();
    machine.any(|own| {
        let info = |whole: memtun_stack::wire::Message<'_>| {
            let header = memtun_stack::link::HEADER;
            let all = memtun_stack::wire::Attributes::behind(whole.body, header);
            all.get(libc::IFLA_LINKINFO)
                .is_some_and(|info| info.attributes().get(libc::IFLA_INFO_KIND).is_some())
        };
        own.item.extra.index == index && Messages(&own.message).next().is_some_and(info)
    })
}

/// Deletes a link. A link of the machine's is hidden.
///
/// # Errors
///
/// EOPNOTSUPP where it cannot be deleted, see [`is_deletable`].
pub fn delete(world: &mut World<'_>, index: u32) -> Result<(), Failure> {
    let link = get(world, index)?.clone();
    if !is_deletable(world, index) {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    if link.driver.is_some() {
        world.devices.delete(index)?;
        // What it was at the last moment is what is told of its end.
        is_gone(world, link);
        return Ok(look(world)?);
    }
    let own = |own: &&crate::world::Own<Link>| own.item.extra.index == index;
    if let Some(own) = world.machine.links.iter().find(own) {
        let hidden = own.message.clone();
        world.state.hidden.push(hidden);
    }
    is_gone(world, link);
    let machine = &mut world.machine.links;
    machine.retain(|own| own.item.extra.index != index);
    Ok(())
}
