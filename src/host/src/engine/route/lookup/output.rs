//! The way of what this host sends (`ip_route_output_key`, `ip6_route_output`).
#![forbid(unsafe_code)]

use super::fib4::{by_rules, in_table, tree_of};
use super::fib6::{by_rules_v6, error_v6, Strict};
use super::flow::{v4_of, Flow, Hit, LOOPBACK, TABLES};
use super::multipath::{choose_v4, choose_v6};
use super::source::{select_v4, select_v6};
use crate::World;
use memtun_stack::route::{rtf, rtnh};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a lookup finds (`struct rtable`, `struct rt6_info`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The route; None where the destination is taken to be on the link.
    pub hit: Option<Hit>,
    /// RTN_* of what becomes of the packet.
    pub kind: u8,
    /// The interface by which it leaves: the loopback for an address of this host.
    pub index: u32,
    /// The gateway that it is given to.
    pub gateway: Option<IpAddr>,
    /// The destination, which replaces an unspecified one.
    pub to: IpAddr,
    /// The source address, unspecified for none.
    pub source: IpAddr,
    /// RTCF_* flags.
    pub flags: u32,
}

pub(super) const RTCF_LOCAL: u32 = 0x8000_0000;

pub(super) const RTCF_BROADCAST: u32 = 0x1000_0000;

const RTCF_MULTICAST: u32 = 0x2000_0000;

/// Finds the way of what this host sends.
///
/// # Errors
///
/// ENETUNREACH where no route leads there, EHOSTUNREACH, EACCES or EINVAL where one says so, and
/// what is wrong with the flow.
pub fn lookup(world: &World<'_>, flow: &Flow) -> Result<Found, i32> {
    match flow.to {
        IpAddr::V4(_) => lookup_v4(world, flow),
        IpAddr::V6(_) => lookup_v6(world, flow),
    }
}

/// Has this host the IPv4 address (`ip_dev_find`)? Returns the link.
pub fn link_of(world: &World<'_>, address: Ipv4Addr) -> Option<u32> {
    // Of several the newest is found.
    let own = world.addresses().filter(|a| a.local == IpAddr::V4(address));
    if let Some(found) = own.max_by_key(|a| (a.created.wrapping_sub(world.now)) as i32) {
        return Some(found.index);
    }
    // A whole network may be local.
    let tables = tree_of(world, TABLES[0]);
    let hit = in_table(world, &Flow::to(address.into()), &tables).ok()?;
    (hit.route.kind == libc::RTN_LOCAL).then(|| hit.hop().map_or(0, |hop| hop.index))
}

/// `ip_route_output_key_hash_rcu`, `__mkroute_output`.
fn lookup_v4(world: &World<'_>, flow: &Flow) -> Result<Found, i32> {
    let (mut to, mut from) = (v4_of(flow.to), v4_of(flow.from));
    let mut flow = *flow;
    let mut hit = None;
    let mut kind = libc::RTN_UNICAST;
    let mut out = 0;
    if !from.is_unspecified() {
        if from.is_multicast() || from.is_broadcast() {
            return Err(libc::EINVAL);
        }
        let link = link_of(world, from).ok_or(libc::ENETUNREACH)?;
        if flow.oif == 0 && (to.is_multicast() || to.is_broadcast()) {
            flow.oif = link;
            out = link;
        }
    }
    let mut done = out != 0;
    if !done && flow.oif != 0 {
        let link = world.link(flow.oif).ok_or(libc::ENODEV)?;
        if !link.is_up() {
            return Err(libc::ENETUNREACH);
        }
        out = flow.oif;
        let local_multicast = to.octets()[..3] == [224, 0, 0];
        let scope = if local_multicast || to.is_broadcast() {
            done = true;
            Some(libc::RT_SCOPE_LINK)
        } else if to.is_multicast() {
            Some(flow.scope)
        } else if to.is_unspecified() {
            Some(libc::RT_SCOPE_HOST)
        } else {
            None
        };
        if let (true, Some(scope)) = (from.is_unspecified(), scope) {
            from = select_v4(world, out, Ipv4Addr::UNSPECIFIED, scope);
        }
    }
    if !done && to.is_unspecified() {
        to = from;
        if to.is_unspecified() {
            (to, from) = (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST);
        }
        (out, kind, done) = (LOOPBACK, libc::RTN_LOCAL, true);
    }
    if !done {
        (flow.to, flow.from) = (to.into(), from.into());
        match by_rules(world, &flow) {
            Err(_) if flow.oif != 0 => {
                if from.is_unspecified() {
                    from = select_v4(world, out, Ipv4Addr::UNSPECIFIED, libc::RT_SCOPE_LINK);
                }
            }
            Err(errno) => return Err(errno),
            Ok(mut found) => {
                choose_v4(world, &flow, &mut found);
                kind = found.route.kind;
                out = found.hop().map_or(0, |hop| hop.index);
                if from.is_unspecified() {
                    from = match (found.route.source, kind) {
                        (Some(source), _) => v4_of(source),
                        (None, libc::RTN_LOCAL) => to,
                        (None, _) => source_of(world, &found),
                    };
                }
                if kind == libc::RTN_LOCAL {
                    out = LOOPBACK;
                }
                hit = Some(found);
            }
        }
    }
    let loopback = world.link(out).is_some_and(|link| link.is_loopback());
    if from.is_loopback() && !loopback && world.setting_of("ipv4", out, "route_localnet") == 0 {
        return Err(libc::EINVAL);
    }
    if to.is_broadcast() {
        kind = libc::RTN_BROADCAST;
    } else if to.is_multicast() {
        kind = libc::RTN_MULTICAST;
    }
    let mut flags = if loopback { RTCF_LOCAL } else { 0 };
    match kind {
        libc::RTN_BROADCAST => flags |= RTCF_BROADCAST | RTCF_LOCAL,
        // Every link is a member of the group of all hosts only.
        libc::RTN_MULTICAST if to.octets() == [224, 0, 0, 1] => {
            flags |= RTCF_MULTICAST | RTCF_LOCAL;
        }
        libc::RTN_MULTICAST => flags = RTCF_MULTICAST,
        libc::RTN_LOCAL => flags |= RTCF_LOCAL,
        _ => {}
    }
    let hop = hit.as_ref().and_then(|hit| hit.hop());
    // A gateway that is an address of this host is none.
    let hop = hop.filter(|hop| hop.flags & rtnh::OWN == 0);
    let gateway = hop.and_then(|hop| hop.gateway);
    Ok(Found {
        hit,
        kind,
        index: out,
        gateway: gateway.filter(|_| kind == libc::RTN_UNICAST),
        to: to.into(),
        source: from.into(),
        flags,
    })
}

/// Returns the source address that a route has (`fib_result_prefsrc`).
fn source_of(world: &World<'_>, hit: &Hit) -> Ipv4Addr {
    let Some(hop) = hit.hop() else {
        return Ipv4Addr::UNSPECIFIED;
    };
    let gateway = hop.gateway.map_or(Ipv4Addr::UNSPECIFIED, v4_of);
    select_v4(world, hop.index, gateway, hit.route.scope)
}

/// Must an IPv6 destination be sought on the very interface (`rt6_need_strict`)?
pub fn needs_interface(to: Ipv6Addr) -> bool {
    to.is_multicast() || to.is_loopback() || to.segments()[0] & 0xffc0 == 0xfe80
}

/// `ip6_route_output_flags`.
fn lookup_v6(world: &World<'_>, flow: &Flow) -> Result<Found, i32> {
    let (IpAddr::V6(to), IpAddr::V6(from)) = (flow.to, flow.from) else {
        return Err(libc::EINVAL);
    };
    let comes_in = flow.iif != LOOPBACK;
    let strict = Strict {
        interface: needs_interface(to) || (!comes_in && flow.oif != 0 && from.is_unspecified()),
        throws: false,
    };
    // What comes in is sought first on the interface by which it came.
    let flow = &Flow {
        oif: if comes_in { flow.iif } else { flow.oif },
        ..*flow
    };
    let mut hit = by_rules_v6(world, flow, strict)?;
    choose_v6(world, flow, &mut hit);
    let error = error_v6(&hit.route);
    if error != 0 {
        return Err(error);
    }
    let hop = hit.hop().copied();
    let index = hop.map_or(0, |hop| hop.index);
    let local = hit.route.flags & (rtf::LOCAL | rtf::ANYCAST) != 0;
    let source = match from.is_unspecified() {
        true => source_v6(world, &hit, to).into(),
        false => flow.from,
    };
    Ok(Found {
        kind: hit.route.kind,
        index: if local { LOOPBACK } else { index },
        gateway: hop.and_then(|hop| hop.gateway),
        to: flow.to,
        source,
        flags: 0,
        hit: Some(hit),
    })
}

/// Returns the source address that an IPv6 route has for a destination (`ip6_route_get_saddr`).
pub fn source_v6(world: &World<'_>, hit: &Hit, to: Ipv6Addr) -> Ipv6Addr {
    let index = hit.hop().map_or(0, |hop| hop.index);
    match hit.route.source {
        Some(IpAddr::V6(source)) => source,
        _ => select_v6(world, index, to),
    }
}
