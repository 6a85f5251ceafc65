//! What a route of IPv6 may be (`ip6_route_info_create`, `fib6_nh_init`).
#![forbid(unsafe_code)]

use super::config::{has_v6, table_of, Config};
use crate::engine::kind;
use crate::engine::route::lookup::{self, Flow, Strict};
use crate::engine::route::object as objects;
use crate::engine::route::parts;
use crate::engine::route::refuse;
use crate::{Failure, World};
use memtun_stack::route::{rtf, rtnh, Nexthop};
use memtun_stack::wire::network;
use memtun_stack::Route;
use std::net::{IpAddr, Ipv6Addr};

/// Makes a route out of what is asked for (`ip6_route_info_create`, `ip6_route_info_create_nh`).
pub(super) fn create(world: &World<'_>, c: &Config<'_>) -> Result<Route, Failure> {
    let (metrics, congestion) = parts::metrics(c.metrics)?;
    let mut flags = c.flags & !rtf::GATEWAY;
    let mut kind = match c.kind {
        0 => libc::RTN_UNICAST,
        kind => kind,
    };
    let mut grouped = false;
    let hops = match c.object {
        None => vec![create_hop(world, c)?],
        Some(id) => {
            let Some(object) = objects::find(world.state, id) else {
                return refuse(objects::NOTHING);
            };
            objects::check_v6(world.state, object, c.from.0.is_unspecified())?;
            if c.from.1 != 0 {
                return refuse("Nexthops can not be used with source routing");
            }
            grouped = objects::is_group(object);
            let refuses = objects::is_blackhole(world.state, object);
            kind = objects::kind(kind, refuses);
            objects::hops(world.state, object)
        }
    };
    let Some(hop) = hops.first().copied() else {
        return refuse(objects::NOTHING);
    };
    let loopback = world.link(hop.index).is_some_and(|link| link.is_loopback());
    let refuses = c.flags & rtf::REJECT != 0
        || loopback && !c.to.is_loopback() && c.flags & (rtf::ANYCAST | rtf::LOCAL) == 0;
    if refuses {
        flags = rtf::REJECT | rtf::NONEXTHOP;
    }
    if !c.source.is_unspecified() && !has_address(world, c.source, hop.index) {
        return refuse("Invalid source address");
    }
    Ok(Route {
        to: network(c.to.into(), c.prefix),
        prefix: c.prefix,
        from: (network(c.from.0.into(), c.from.1), c.from.1),
        tos: 0,
        table: table_of(c),
        protocol: match c.protocol {
            libc::RTPROT_UNSPEC => libc::RTPROT_BOOT,
            protocol => protocol,
        },
        scope: 0,
        kind,
        flags,
        priority: c.priority,
        source: (!c.source.is_unspecified()).then_some(c.source.into()),
        metrics,
        congestion,
        preference: if refuses { 0 } else { c.preference },
        expires: (flags & rtf::EXPIRES != 0).then_some(world.now.wrapping_add(c.expires)),
        object: c.object.unwrap_or(0),
        grouped,
        hops,
    })
}

/// Finds and checks the next hop (`fib6_nh_init`).
///
/// # Errors
///
/// What the kernel says of an interface that is not there or down, and of a bad gateway.
pub fn create_hop(world: &World<'_>, c: &Config<'_>) -> Result<Nexthop, Failure> {
    let mut index = c.index;
    if index != 0 && !has_v6(world, index) {
        return Err(Failure::new(libc::ENODEV));
    }
    let mut hop = Nexthop {
        index,
        gateway: None,
        flags: 0,
        weight: 1,
        realm: 0,
    };
    if c.onlink {
        let Some(link) = world.link(index) else {
            let text = "Nexthop device required for onlink";
            return Err(Failure::said(libc::ENODEV, text));
        };
        if !link.is_up() {
            return Err(Failure::said(libc::ENETDOWN, "Nexthop device is not up"));
        }
        hop.flags |= rtnh::ONLINK;
    }
    if c.flags & rtf::REJECT != 0 {
        hop.index = lookup::LOOPBACK;
        return Ok(hop);
    }
    if c.flags & rtf::GATEWAY != 0 {
        index = check_gateway(world, c)?;
        hop.index = index;
        hop.gateway = Some(c.gateway.into());
    }
    let link = world.link(index).ok_or(Failure::new(libc::ENODEV))?;
    if !has_v6(world, index) || world.own_setting_of("ipv6", index, "disable_ipv6") != 0 {
        let text = "IPv6 is disabled on nexthop device";
        return Err(Failure::said(libc::EACCES, text));
    }
    if !link.is_up() && !c.down {
        return Err(Failure::said(libc::ENETDOWN, "Nexthop device is not up"));
    }
    if c.flags & (rtf::LOCAL | rtf::ANYCAST) == 0 && !link.carrier {
        hop.flags |= rtnh::LINKDOWN;
    }
    Ok(hop)
}

/// Has a link an address that is usable (`ipv6_chk_addr`)? An address that is not of a link alone
/// is good for every link.
pub(super) fn has_address(world: &World<'_>, address: Ipv6Addr, index: u32) -> bool {
    world.addresses().any(|a| {
        a.local == IpAddr::V6(address)
            && a.flags & libc::IFA_F_TENTATIVE == 0
            && (a.index == index || !kind::is_of_link(address))
    })
}

/// Is the gateway an address of this host, even one that is tentative?
fn is_own(world: &World<'_>, gateway: Ipv6Addr, index: u32) -> bool {
    let link_local = kind::is_link_local(gateway);
    world.addresses().any(|a| {
        a.local == IpAddr::V6(gateway)
            && (!link_local || a.index == index || !kind::is_of_link(gateway))
    })
}

/// Checks the gateway, and returns the interface by which it is reached (`ip6_validate_gw`).
fn check_gateway(world: &World<'_>, c: &Config<'_>) -> Result<u32, Failure> {
    const OWN: &str = "Gateway can not be a local address";
    let mut index = c.index;
    if index != 0 && is_own(world, c.gateway, index) {
        return refuse(OWN);
    }
    if !kind::is_link_local(c.gateway) {
        if !kind::is_unicast(c.gateway) && c.gateway.to_ipv4_mapped().is_none() {
            return refuse("Invalid gateway address");
        }
        if c.onlink {
            check_onlink(world, c)?;
        } else {
            index = check_reached(world, c)?;
        }
    }
    let Some(link) = world.link(index) else {
        return refuse("Egress device not specified");
    };
    if link.is_loopback() {
        return refuse("Egress device can not be loopback device for this route");
    }
    if c.index == 0 && is_own(world, c.gateway, index) {
        return refuse(OWN);
    }
    Ok(index)
}

fn flow_to_gateway(c: &Config<'_>) -> Flow {
    Flow {
        oif: c.index,
        ignore_linkstate: true,
        ..Flow::to(c.gateway.into())
    }
}

/// `ip6_route_check_nh_onlink`.
fn check_onlink(world: &World<'_>, c: &Config<'_>) -> Result<(), Failure> {
    let flow = Flow {
        from: c.source.into(),
        ..flow_to_gateway(c)
    };
    let main = u32::from(libc::RT_TABLE_MAIN);
    let Some(hit) = lookup::in_table_v6(world, &flow, main, Strict::default()) else {
        return Ok(());
    };
    let other = hit.hop().is_some_and(|hop| hop.index != c.index);
    let matters = hit.route.flags & rtf::REJECT == 0 && !hit.route.to.is_unspecified();
    if matters && (hit.route.kind != libc::RTN_UNICAST || other) {
        return refuse("Nexthop has invalid gateway or device mismatch");
    }
    Ok(())
}

/// `ip6_route_check_nh`.
fn check_reached(world: &World<'_>, c: &Config<'_>) -> Result<u32, Failure> {
    let unreachable = || Failure::new(libc::EHOSTUNREACH);
    let strict = Strict {
        interface: true,
        throws: true,
    };
    let good = |hit: &lookup::Hit| {
        hit.route.flags & rtf::REJECT == 0 && hit.hop().is_some_and(|hop| hop.gateway.is_none())
    };
    let mut found = None;
    if c.table != 0 {
        let flow = Flow {
            from: c.source.into(),
            ..flow_to_gateway(c)
        };
        found = lookup::in_table_v6(world, &flow, c.table, strict)
            .filter(good)
            .filter(|hit| c.index == 0 || hit.hop().is_some_and(|hop| hop.index == c.index));
    }
    let found = match found {
        Some(found) => found,
        None => lookup::by_rules_v6(world, &flow_to_gateway(c), strict)
            .ok()
            .filter(good)
            .ok_or_else(unreachable)?,
    };
    let index = found.hop().map_or(0, |hop| hop.index);
    if c.index != 0 && c.index != index {
        return Err(unreachable());
    }
    Ok(index)
}

/// Checks an IPv6 gateway of an IPv4 route (`fib_check_nh_v6_gw`), and notes its interface.
///
/// # Errors
///
/// What the gateway of an IPv6 route fails with.
pub fn check_gateway_of_v4(
    world: &World<'_>,
    hop: &mut Nexthop,
    gateway: Ipv6Addr,
    table: u32,
) -> Result<(), Failure> {
    let config = Config {
        table,
        flags: rtf::GATEWAY,
        onlink: hop.flags & rtnh::ONLINK != 0,
        index: hop.index,
        gateway,
        ..Config::default()
    };
    hop.index = create_hop(world, &config)?.index;
    Ok(())
}
