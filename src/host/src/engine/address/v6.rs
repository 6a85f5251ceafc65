//! Addresses of IPv6: how they begin and end, and the routes that belong to them.
#![forbid(unsafe_code)]

use super::{is_due, kind, lifetimes, tell};
use crate::engine::place::Place;
use crate::engine::route::v6::{self as routes, has_v6, Config};
use crate::engine::route::Cause;
use crate::engine::sysctl;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::address::FOREVER;
use memtun_stack::route::{rtf, rtnh};
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::{IpAddr, Ipv6Addr};

/// How long the detection of a duplicate takes, in hundredths of a second: one question that nobody
/// answers for a second, behind a delay of up to a second.
const DETECTION: u32 = 120;

// IFAPROT_* of linux/if_addr.h.
const KERNEL_LO: u8 = 1;
const KERNEL_LL: u8 = 3;

// IN6_ADDR_GEN_MODE_*.
const EUI64: i64 = 0;
const NONE: i64 = 1;
const RANDOM: i64 = 3;

const TENTATIVE: u32 = libc::IFA_F_TENTATIVE;
const NODAD: u32 = libc::IFA_F_NODAD;
const OPTIMISTIC: u32 = libc::IFA_F_OPTIMISTIC;
const PERMANENT: u32 = libc::IFA_F_PERMANENT;
const NOPREFIXROUTE: u32 = libc::IFA_F_NOPREFIXROUTE;

fn v6(address: IpAddr) -> Ipv6Addr {
    crate::engine::route::v6::expect_v6(address)
}

/// An address as it is asked for (`struct ifa6_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The address.
    pub local: Ipv6Addr,
    /// The address at the other end, if it is another.
    pub peer: Option<Ipv6Addr>,
    /// Length of the prefix in bits.
    pub prefix: u8,
    /// IFA_F_* flags.
    pub flags: u32,
    /// Seconds for which it is valid.
    pub valid: u32,
    /// Seconds for which it is preferred.
    pub preferred: u32,
    /// Priority of the route to its network, 0 for the default.
    pub priority: u32,
    /// IFAPROT_*.
    pub protocol: u8,
}

impl Wanted {
    /// Returns the address at the other end, if one is given. The unspecified one takes back what
    /// was there: it is the address itself.
    fn other_end(&self) -> Option<Ipv6Addr> {
        let peer = self.peer?;
        Some(if peer.is_unspecified() {
            self.local
        } else {
            peer
        })
    }

    /// A permanent address.
    pub fn permanent(local: Ipv6Addr, prefix: u8) -> Wanted {
        Wanted {
            local,
            peer: None,
            prefix,
            flags: PERMANENT,
            valid: FOREVER,
            preferred: FOREVER,
            priority: 0,
            protocol: 0,
        }
    }
}

/// Is a link ready to carry IPv6: up, and with a carrier (`addrconf_link_ready`)?
fn is_ready(world: &World<'_>, index: u32) -> bool {
    let link = world.link(index);
    link.is_some_and(|link| link.is_up() && link.carrier)
}

/// Is IPv6 switched off on a link?
pub fn is_disabled(world: &World<'_>, index: u32) -> bool {
    world.own_setting_of("ipv6", index, "disable_ipv6") != 0
}

/// Returns the place of an address on a link.
pub fn find(world: &World<'_>, index: u32, local: Ipv6Addr) -> Option<Place> {
    let mut places = world.address_places(index, false).into_iter();
    places.find(|place| world.address(*place).local == IpAddr::V6(local))
}

/// Adds an address to a link (`ipv6_add_addr`), and nothing else.
fn insert(world: &mut World<'_>, index: u32, wanted: &Wanted) -> Result<Address, Failure> {
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

/// Adds the route to the network of an address (`addrconf_prefix_route`).
fn add_prefix_route(
    world: &mut World<'_>,
    (to, prefix): (Ipv6Addr, u8),
    address: &Address,
    expires: Option<u32>,
) {
    let config = Config {
        to,
        prefix,
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_UNICAST,
        flags: rtf::UP | expires.map_or(0, |_| rtf::EXPIRES),
        index: address.index,
        priority: match address.priority {
            0 => routes::PRIORITY_OF_ADDRESS,
            priority => priority,
        },
        expires: expires.unwrap_or(0),
        ..Config::default()
    };
    // The kernel ignores as well what this fails with.
    let _ = routes::add(world, &config);
}

/// Adds the route to all multicast addresses of a link (`addrconf_add_mroute`).
fn add_multicast_route(world: &mut World<'_>, index: u32) {
    if world.link(index).is_none_or(|link| link.is_loopback()) {
        return;
    }
    let config = Config {
        to: Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        prefix: 8,
        table: libc::RT_TABLE_LOCAL.into(),
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_MULTICAST,
        index,
        priority: routes::PRIORITY_OF_ADDRESS,
        ..Config::default()
    };
    let _ = routes::add(world, &config);
}

/// Adds the route that makes an address one of this host.
fn add_local_route(world: &mut World<'_>, address: &Address) {
    let config = Config {
        to: v6(address.local),
        prefix: 128,
        table: libc::RT_TABLE_LOCAL.into(),
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_LOCAL,
        flags: rtf::UP | rtf::NONEXTHOP | rtf::LOCAL,
        index: address.index,
        down: true,
        ..Config::default()
    };
    let _ = routes::add(world, &config);
}

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
fn begin_detection(world: &mut World<'_>, index: u32, local: Ipv6Addr) {
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
fn end_detection(world: &mut World<'_>, place: Place) {
    let place = world.change_address(place, |address| {
        address.flags &= !(TENTATIVE | OPTIMISTIC | libc::IFA_F_DADFAILED);
        address.detection = None;
    });
    let address = *world.address(place);
    is_usable(world, &address);
}

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
    Ok(())
}

/// Returns a lifetime in hundredths of a second; None for one without an end.
fn ends(valid: u32) -> Option<u32> {
    (valid != FOREVER).then(|| valid.saturating_mul(100))
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
    Ok(())
}

/// Gives the route to the network of an address its priority and its end. Returns false where there
/// is none (`modify_prefix_route`).
fn modify_prefix_route(
    world: &mut World<'_>,
    address: &Address,
    to: Ipv6Addr,
    expires: Option<u32>,
) -> bool {
    let Some(place) = routes::of_prefix(world, to, address.prefix, address.index) else {
        return false;
    };
    let priority = match address.priority {
        0 => routes::PRIORITY_OF_ADDRESS,
        priority => priority,
    };
    let mut route = world.route(place).clone();
    if route.priority != priority {
        routes::remove(world, place);
        add_prefix_route(world, (to, address.prefix), address, expires);
        return true;
    }
    // The kernel takes the length of the lifetime for a time here, in its own unit; what is meant
    // is its end.
    route.expires = expires.map(|length| world.now.wrapping_add(length));
    route.flags &= !rtf::EXPIRES;
    if expires.is_some() {
        route.flags |= rtf::EXPIRES;
    }
    world.replace_route(place, route);
    true
}

/// What becomes of the route to the network of an address that goes (`enum cleanup_prefix_rt_t`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cleanup {
    /// It stays.
    Nothing,
    /// It goes.
    Delete,
    /// It ends with the last other address, in hundredths of a second of CLOCK_BOOTTIME.
    Expire(u32),
}

impl Cleanup {
    /// `check_cleanup_prefix_route`.
    fn of(world: &World<'_>, gone: &Address) -> Cleanup {
        let mut cleanup = Cleanup::Delete;
        let net = network(gone.local, gone.prefix);
        for other in world.addresses_of(gone.index, false) {
            if other.local == gone.local
                || other.prefix != gone.prefix
                || network(other.local, other.prefix) != net
            {
                continue;
            }
            if other.flags & (PERMANENT | NOPREFIXROUTE) != 0 {
                return Cleanup::Nothing;
            }
            let end = lifetimes(other)[1].unwrap_or(world.now);
            cleanup = match cleanup {
                Cleanup::Expire(at) if (end.wrapping_sub(at) as i32) < 0 => Cleanup::Expire(at),
                _ => Cleanup::Expire(end),
            };
        }
        cleanup
    }
}

/// `cleanup_prefix_route`.
fn clean_up(world: &mut World<'_>, address: &Address, cleanup: Cleanup) {
    let (to, prefix) = (v6(address.local), address.prefix);
    if cleanup == Cleanup::Nothing {
        return;
    }
    let Some(place) = routes::of_prefix(world, to, prefix, address.index) else {
        return;
    };
    match cleanup {
        Cleanup::Expire(at) => {
            let mut route = world.route(place).clone();
            if route.expires.is_none() {
                route.expires = Some(at);
                route.flags |= rtf::EXPIRES;
                world.replace_route(place, route);
            }
        }
        _ => routes::remove(world, place),
    }
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
            remove(world, place);
            Ok(())
        }
        None => refuse(libc::EADDRNOTAVAIL, "ipv6: address not found"),
    }
}

/// Removes the address at a place with its routes (`ipv6_del_addr`).
fn remove(world: &mut World<'_>, place: Place) {
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
fn is_gone(world: &mut World<'_>, gone: &Address) {
    tell(world, gone, libc::RTM_DELADDR, Cause::default());
    if gone.peer != gone.local {
        if let Some(place) = routes::of_prefix(world, v6(gone.peer), 128, gone.index) {
            routes::remove(world, place);
        }
    }
    if let Some(place) = local_route(world, gone) {
        routes::remove(world, place);
    }
}

fn local_route(world: &World<'_>, address: &Address) -> Option<Place> {
    let mut places = world.route_places(false).into_iter();
    places.find(|place| {
        let route = world.route(*place);
        route.table == u32::from(libc::RT_TABLE_LOCAL)
            && route.kind == libc::RTN_LOCAL
            && (route.to, route.prefix) == (address.local, 128)
            && (route.priority, route.protocol) == (0, libc::RTPROT_KERNEL)
            && (route.hops.first())
                .is_some_and(|hop| hop.index == address.index && hop.gateway.is_none())
    })
}

/// Carries out what follows from a link that has come up (`addrconf_notify` of NETDEV_UP).
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    if is_disabled(world, index) || !has_v6(world, index) {
        return;
    }
    restore(world, index);
    if is_ready(world, index) {
        is_configured(world, index, rtnh::DEAD);
    }
}

/// Restores the routes of the permanent addresses (`addrconf_permanent_addr`).
fn restore(world: &mut World<'_>, index: u32) {
    let permanent: Vec<Address> = world
        .addresses_of(index, false)
        .filter(|address| address.flags & PERMANENT != 0)
        .copied()
        .collect();
    for address in permanent {
        if address.flags & NOPREFIXROUTE == 0 {
            let to = (v6(address.local), address.prefix);
            add_prefix_route(world, to, &address, None);
        }
        // An address that was kept while the link was down begins anew.
        let usable = address.flags & (TENTATIVE | NODAD) == NODAD;
        if usable && local_route(world, &address).is_none() {
            begin_detection(world, index, v6(address.local));
        }
    }
}

/// Gives a link that is ready the addresses that every link of its kind has, and begins what waited
/// for it.
fn is_configured(world: &mut World<'_>, index: u32, flags: u32) {
    add_own_addresses(world, index);
    let waiting: Vec<Address> = world
        .addresses_of(index, false)
        .filter(|a| a.flags & TENTATIVE != 0 && a.detection.is_none())
        .copied()
        .collect();
    for address in waiting {
        begin_detection(world, index, v6(address.local));
    }
    crate::engine::route::v6::link_is_up(world, index, flags);
}

/// Carries out what follows from a carrier that is back.
pub fn carrier_is_back(world: &mut World<'_>, index: u32) {
    if !is_disabled(world, index) && has_v6(world, index) {
        is_configured(world, index, rtnh::LINKDOWN);
    }
}

/// Carries out what follows from an mtu that is large enough for IPv6 again.
pub fn link_begins(world: &mut World<'_>, index: u32) {
    if is_ready(world, index) && !is_disabled(world, index) {
        is_configured(world, index, rtnh::DEAD);
    }
}

/// Carries out what follows from IPv6 being switched on or off on a link (`dev_disable_change`).
pub fn is_switched(world: &mut World<'_>, index: u32) {
    if is_disabled(world, index) {
        link_is_down(world, index);
    } else if world.link(index).is_some_and(|link| link.is_up()) {
        link_is_up(world, index);
    }
}

/// `addrconf_init_auto_addrs`.
pub fn add_own_addresses(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index).cloned() else {
        return;
    };
    if link.is_loopback() {
        let wanted = Wanted {
            protocol: KERNEL_LO,
            ..Wanted::permanent(Ipv6Addr::LOCALHOST, 128)
        };
        if insert(world, index, &wanted).is_ok() {
            if let Some(place) = find(world, index, Ipv6Addr::LOCALHOST) {
                end_detection(world, place);
            }
        }
        return;
    }
    add_multicast_route(world, index);
    let mut mode = world.own_setting_of("ipv6", index, "addr_gen_mode");
    let is_tun = link.extra.link_type == ARPHRD_NONE;
    if !is_tun && link.extra.link_type != libc::ARPHRD_ETHER {
        return;
    }
    if is_tun && mode == EUI64 {
        // A tun has no link-layer address to make one of.
        mode = RANDOM;
        let path = sysctl::path("ipv6", "conf", Some(index), "addr_gen_mode");
        world.set(path, mode.to_string().into_bytes());
    }
    let (identifier, flags) = match (mode, link.extra.address.as_slice()) {
        (NONE, _) => return,
        (EUI64, &[a, b, c, d, e, f]) => ([a ^ 2, b, c, 0xff, 0xfe, d, e, f], 0),
        (EUI64, _) => return,
        _ => (stable(world, index), libc::IFA_F_STABLE_PRIVACY),
    };
    let local = (0xfe80_u128 << 112) | u128::from(u64::from_be_bytes(identifier));
    add_link_local(world, index, local.into(), flags);
}

/// ARPHRD_NONE of linux/if_arp.h: a tun.
const ARPHRD_NONE: u16 = 0xfffe;

/// `addrconf_add_linklocal`.
fn add_link_local(world: &mut World<'_>, index: u32, local: Ipv6Addr, flags: u32) {
    let wanted = Wanted {
        flags: PERMANENT | flags,
        protocol: KERNEL_LL,
        ..Wanted::permanent(local, 64)
    };
    if let Ok(address) = insert(world, index, &wanted) {
        add_prefix_route(world, (local, 64), &address, None);
        begin_detection(world, index, local);
    }
}

/// Returns the interface identifier that a link always gets, made of its secret, which is chosen
/// when it is wanted for the first time.
fn stable(world: &mut World<'_>, index: u32) -> [u8; 8] {
    let path = sysctl::path("ipv6", "conf", Some(index), "stable_secret");
    let set = world.state.sysctls.iter().find(|s| s.path == path);
    let text = set.and_then(|s| String::from_utf8(s.value.clone()).ok());
    let secret = match text.and_then(|text| text.trim().parse::<Ipv6Addr>().ok()) {
        Some(secret) => secret,
        None => {
            let random = || u128::from(memtun_sys::random());
            let secret = Ipv6Addr::from((random() << 64) | random());
            let groups = secret.segments().map(|group| format!("{group:04x}"));
            world.set(path, groups.join(":").into_bytes());
            secret
        }
    };
    let both = u128::from(secret);
    // Any function of the secret will do that does not show it.
    let mut mixed = (both >> 64) as u64 ^ (both as u64).rotate_left(29);
    mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).to_be_bytes()
}

/// Carries out what follows from a link that has gone down (`addrconf_ifdown`).
pub fn link_is_down(world: &mut World<'_>, index: u32) {
    routes::link_is_down(world, index, false);
    let keeps = !is_disabled(world, index) && {
        let set = |link| world.setting(&sysctl::path("ipv6", "conf", link, "keep_addr_on_down"));
        match set(None).unwrap_or(0) {
            0 => set(Some(index)).unwrap_or(0) > 0,
            all => all > 0,
        }
    };
    let addresses: Vec<Address> = world.addresses_of(index, false).copied().collect();
    for address in addresses {
        let Some(place) = find(world, index, v6(address.local)) else {
            continue;
        };
        let own = kind::is_link_local(v6(address.local)) || v6(address.local).is_loopback();
        if keeps && address.flags & PERMANENT != 0 && !own {
            world.change_address(place, |address| {
                address.detection = None;
                if address.flags & NODAD == 0 {
                    address.flags |= TENTATIVE;
                }
            });
        } else {
            world.take_address(place);
            is_gone(world, &address);
        }
    }
}

/// Removes all of IPv6 of a link.
pub fn link_is_gone(world: &mut World<'_>, index: u32) {
    routes::link_is_down(world, index, true);
    while let Some(place) = world.address_places(index, false).first().copied() {
        let gone = world.take_address(place);
        is_gone(world, &gone);
    }
    world.forget_settings(&["ipv6/conf", "ipv6/neigh"], index);
}

/// Ends detections, removes the addresses that are not valid any more, and marks those that are not
/// preferred any more (`addrconf_dad_work`, `addrconf_verify_rtnl`).
pub fn expire(world: &mut World<'_>) {
    let all: Vec<Address> = world
        .addresses()
        .filter(|address| !address.local.is_ipv4())
        .copied()
        .collect();
    for address in all {
        let [preferred, valid] = lifetimes(&address);
        let Some(place) = find(world, address.index, v6(address.local)) else {
            continue;
        };
        if is_due(world, valid) {
            remove(world, place);
            continue;
        }
        if is_due(world, address.detection) {
            end_detection(world, place);
        }
        let Some(place) = find(world, address.index, v6(address.local)) else {
            continue;
        };
        if is_due(world, preferred) {
            let place = world.change_address(place, |a| a.flags |= libc::IFA_F_DEPRECATED);
            let changed = *world.address(place);
            tell(world, &changed, libc::RTM_NEWADDR, Cause::default());
        }
    }
}
