//! What has changed on the links since the host looked last, and what follows from it.
#![forbid(unsafe_code)]

use super::known::{arrange, change, get, known, newest, note};
use super::known::{RUNNING, SETTABLE, UP};
use super::receive;
use super::tell::{tell, tell_conf, tell_conf6, tell_conf_of, tell_features, tell_inet6, tell_of};
use crate::engine::address;
use crate::engine::{neighbour, nexthop, route, rule, traffic};
use crate::message::{conf, link as message};
use crate::{Failure, World};
use memtun_abi::Errno;
use memtun_stack::link::{oper, Notified};
use memtun_stack::route::rtnh;
use memtun_stack::{Extra, Link};

const PROMISCUOUS: u32 = libc::IFF_PROMISC as u32;

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
    link.extra.ip_since = [newest(world, 0), newest(world, 1)];
    if let Some(own) = world.links.iter_mut().find(|l| l.extra.index == index) {
        own.extra.operstate = link.extra.operstate;
        own.extra.ip_since = link.extra.ip_since;
    }
    link.extra.flags &= !(UP | RUNNING);
    note(world, link.extra.clone());
    copy_defaults(world, index);
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
pub(super) fn is_gone(world: &mut World<'_>, mut link: Link) {
    let index = link.extra.index;
    let up = link.is_up();
    if up {
        link.extra.flags &= !(UP | RUNNING);
        tell_of(world, &link, libc::RTM_NEWLINK, UP | RUNNING);
    }
    world.state.links.retain(|extra| extra.index != index);
    rule::link_is_named(world, index);
    nexthop::change::link_is_down(world, index, true);
    if up {
        address::link_is_down(world, index);
    }
    address::v4::link_is_gone(world, index);
    tell_conf_of(
        world,
        &link,
        libc::AF_INET,
        conf::V4_GROUP,
        conf::DELNETCONF,
    );
    let had_inet6 = conf::has_inet6(world.state, &link);
    address::v6::link_is_gone(world, index);
    if had_inet6 {
        tell_conf6(world, &link, conf::DELNETCONF);
    }
    world.forget_settings(&["ipv4/conf", "ipv4/neigh"], index);
    traffic::link_is_gone(world, index);
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
    receive::decide(&mut link.extra);
    let now = link.extra.clone();
    note(world, now.clone());
    if let Some(own) = world.links.iter_mut().find(|l| l.extra.index == index) {
        own.extra = now.clone();
    }
    if link.is_up() {
        traffic::link_is_up(world, index);
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
            let detects = match noarp {
                true => -1,
                false => conf::v6(world.state, conf::Of::Default, "accept_dad"),
            };
            conf::set_v6(world.state, index, "accept_dad", detects);
            let place = newest(world, 1);
            let _ = change(world, index, |extra| extra.ip_since[1] = place);
            tell_conf6(world, &link, conf::NEWNETCONF);
        }
        address::mtu_has_changed(world, index, before.mtu);
        if link.is_loopback() && now.mtu < conf::IPV6_MIN_MTU {
            let _ = change(world, index, |extra| {
                (extra.ready, extra.asked) = (false, false)
            });
        }
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
    let mut changed = (now.flags ^ before.flags) & SETTABLE;
    // What the driver receives is another thing than what somebody has set.
    let receives_all = |extra: &Extra| extra.flags & PROMISCUOUS != 0 || extra.receives_all;
    if changed != 0 && receives_all(&now) != receives_all(before) {
        changed |= PROMISCUOUS;
    }
    if changed != 0 {
        tell(world, index, changed);
    }
    if changed & UP != 0 {
        if now.flags & UP != 0 {
            address::link_is_up(world, index);
            start_inet6(world, index, false);
        } else {
            let _ = change(world, index, |extra| {
                (extra.ready, extra.asked) = (false, false);
                extra.was_down = true;
            });
            nexthop::change::link_is_down(world, index, false);
            address::link_is_down(world, index);
        }
    } else if carrier && now.flags & UP != 0 {
        if !link.carrier {
            nexthop::change::link_is_down(world, index, false);
        }
        neighbour::carrier_has_changed(world, index, link.carrier);
        address::carrier_has_changed(world, index);
        start_inet6(world, index, false);
        tell(world, index, 0);
    }
    if changed & libc::IFF_NOARP as u32 != 0 && link.is_up() {
        neighbour::address_has_changed(world, index);
        address::arp_is_switched(world, index);
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
    if address::v6::is_disabled(world, index) {
        return;
    }
    let _ = change(world, index, |extra| extra.ready = true);
    if begins {
        address::inet6_is_ready(world, index);
    }
    tell_inet6(world, index);
}

/// Gives a new link the settings of IPv4 that were made for new ones: from now on they are its own
/// (`inetdev_init`).
fn copy_defaults(world: &mut World<'_>, index: u32) {
    const DEFAULT: &[u8] = b"ipv4/conf/default/";
    let common = world.state.sysctls.iter();
    let common = common.filter_map(|set| Some((set.path.strip_prefix(DEFAULT)?, &set.value)));
    let own = |name: &[u8]| [format!("ipv4/conf/#{index}/").as_bytes(), name].concat();
    let copies: Vec<_> = common
        .map(|(name, value)| (own(name), value.clone()))
        .collect();
    for (path, value) in copies {
        world.set(path, value);
    }
}

/// IPv6 looks whether a link whose state has changed can be used (`addrconf_notify` of
/// NETDEV_CHANGE).
fn inet6_hears(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index) else {
        return;
    };
    if address::v6::is_disabled(world, index) || !conf::has_inet6(world.state, link) {
        return;
    }
    if message::flags(link) & RUNNING == 0 {
        route::v6::carrier_is_lost(world, index);
    } else {
        route::v6::link_is_up(world, index, rtnh::LINKDOWN);
    }
}

/// IPv6 has ended on a link, or begins there again, because somebody has switched it off or on.
pub fn inet6_is_switched(world: &mut World<'_>, index: u32, on: bool) {
    if world.is_of_machine(index) {
        return;
    }
    if on {
        start_inet6(world, index, false);
    } else {
        let _ = change(world, index, |extra| {
            (extra.ready, extra.asked) = (false, false)
        });
    }
}

/// IPv6 and its settings are gone from a link whose mtu is too small.
fn forget_inet6(world: &mut World<'_>, index: u32) {
    for family in ["ipv6/conf", "ipv6/neigh"] {
        let prefix = format!("{family}/#{index}/").into_bytes();
        let sysctls = &mut world.state.sysctls;
        sysctls.retain(|sysctl| !sysctl.path.starts_with(&prefix));
    }
    let _ = change(world, index, |extra| {
        (extra.ready, extra.asked) = (false, false);
        extra.token = [0; 16];
    });
    if let Some(link) = world.link(index).cloned() {
        tell_conf6(world, &link, conf::DELNETCONF);
    }
}

fn renamed(world: &mut World<'_>, link: &Link, before: &Extra) {
    rule::link_is_named(world, link.extra.index);
    address::name_has_changed(world, link.extra.index, before.name.as_bytes());
    tell_conf(world, link, &[conf::DELNETCONF, conf::NEWNETCONF]);
}

/// Carries out what follows from an address that was set, also to what it was (NETDEV_CHANGEADDR).
pub(super) fn address_is_set(world: &mut World<'_>, index: u32) {
    tell(world, index, 0);
    neighbour::address_has_changed(world, index);
}

/// Carries out a change of what only the host knows, or of a link that is not the tun driver's.
pub(super) fn change_and_tell(
    world: &mut World<'_>,
    index: u32,
    run: impl FnOnce(&mut Extra),
) -> Result<(), Failure> {
    let before = get(world, index)?.extra.clone();
    change(world, index, run)?;
    has_changed(world, index, &before);
    Ok(())
}

/// Tells the listeners about a change that has no event of its own, if the link is up
/// (`netif_state_change`).
pub fn state_has_changed(world: &mut World<'_>, index: u32) {
    if world.link(index).is_some_and(Link::is_up) {
        world.with_work_queue(|world| {
            start_inet6(world, index, true);
            inet6_hears(world, index);
            tell(world, index, 0);
        });
    }
}
