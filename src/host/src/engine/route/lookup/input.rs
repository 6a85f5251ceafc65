//! The way of what comes in (`ip_route_input`).
#![forbid(unsafe_code)]

use super::fib4::by_rules;
use super::flow::{v4_of, Flow, Hit, LOOPBACK};
use super::multipath::choose_v4;
use super::output::{Found, RTCF_BROADCAST, RTCF_LOCAL};
use crate::message::conf;
use crate::World;

/// Finds the way of an IPv4 packet that comes in by `flow.iif` (`ip_route_input_slow`).
///
/// # Errors
///
/// EINVAL for addresses that no packet has, EHOSTUNREACH where this host does not forward.
pub fn input_v4(world: &World<'_>, flow: &Flow) -> Result<Found, i32> {
    let (to, from) = (v4_of(flow.to), v4_of(flow.from));
    let in_flow = Flow { oif: 0, ..*flow };
    let localnet = world.setting_of("ipv4", flow.iif, "route_localnet") != 0;
    if from.is_multicast()
        || from.is_broadcast()
        || from.is_unspecified() && !to.is_broadcast() && !to.is_unspecified()
        || to.is_unspecified() && !from.is_unspecified()
        || to.is_multicast()
        || !localnet && (to.is_loopback() || from.is_loopback())
    {
        return Err(libc::EINVAL);
    }
    let forwards = world.setting_of("ipv4", flow.iif, "forwarding") != 0
        || world
            .setting(b"ipv4/ip_forward")
            .is_some_and(|set| set != 0);
    let refused = |errno| if forwards { errno } else { libc::EHOSTUNREACH };
    let found = |hit: Option<Hit>, kind, index, gateway, flags| Found {
        hit,
        kind,
        index,
        gateway,
        to: flow.to,
        source: flow.from,
        flags,
    };
    let broadcast = RTCF_BROADCAST | RTCF_LOCAL;
    if to.is_broadcast() || to.is_unspecified() {
        if !from.is_unspecified() {
            check_sender(world, flow, 0)?;
        }
        return Ok(found(None, libc::RTN_BROADCAST, LOOPBACK, None, broadcast));
    }
    let mut hit = by_rules(world, &in_flow).map_err(refused)?;
    let local = matches!(hit.route.kind, libc::RTN_BROADCAST | libc::RTN_LOCAL);
    if !local && !forwards {
        return Err(libc::EHOSTUNREACH);
    }
    let out = match local {
        true => 0,
        false => hit.hop().map_or(0, |hop| hop.index),
    };
    check_sender(world, flow, out)?;
    choose_v4(world, &in_flow, &mut hit);
    let hop = hit.hop().copied();
    let index = hop.map_or(0, |hop| hop.index);
    match hit.route.kind {
        libc::RTN_BROADCAST => Ok(found(
            Some(hit),
            libc::RTN_BROADCAST,
            LOOPBACK,
            None,
            broadcast,
        )),
        libc::RTN_LOCAL => Ok(found(
            Some(hit),
            libc::RTN_LOCAL,
            LOOPBACK,
            None,
            RTCF_LOCAL,
        )),
        libc::RTN_UNICAST => {
            let gateway = hop.and_then(|hop| hop.gateway);
            Ok(found(Some(hit), libc::RTN_UNICAST, index, gateway, 0))
        }
        _ => Err(libc::EINVAL),
    }
}

/// Refuses a packet whose sender is an address that no other host has, or one that answers would
/// not reach by the interface where that is asked for (`fib_validate_source`). `out` is the
/// interface by which the packet leaves, 0 for one that is for this host.
fn check_sender(world: &World<'_>, flow: &Flow, out: u32) -> Result<(), i32> {
    let accepted = world.setting_of("ipv4", flow.iif, "accept_local") != 0;
    let filter = world.setting_of("ipv4", flow.iif, "rp_filter");
    let redirects = || {
        let link = world.link(flow.iif);
        link.is_some_and(|link| conf::v4(world.state, conf::Of::Link(link), "send_redirects") != 0)
    };
    if filter == 0 && !has_own_rules(world) && (out != flow.iif || !redirects()) {
        let mut own = world.addresses();
        return match !accepted && own.any(|own| own.local == flow.from) {
            true => Err(libc::EINVAL),
            false => Ok(()),
        };
    }
    let back = Flow {
        iif: LOOPBACK,
        ..Flow::to(flow.from)
    };
    let refused = Err(libc::EXDEV);
    let Ok(sender) = by_rules(world, &back) else {
        return if filter == 0 { Ok(()) } else { refused };
    };
    match sender.route.kind {
        libc::RTN_UNICAST => {}
        libc::RTN_LOCAL if accepted => {}
        _ => return Err(libc::EINVAL),
    }
    let here = sender.route.hops.iter().any(|hop| hop.index == flow.iif);
    if filter == 1 && !here {
        return refused;
    }
    Ok(())
}

/// Are there rules, or routes to this host, that are not the kernel's own?
fn has_own_rules(world: &World<'_>) -> bool {
    let local = libc::RT_TABLE_LOCAL.into();
    world.state.ruled[0]
        || world.routes().any(|route| {
            route.is_v4() && route.table == local && route.protocol != libc::RTPROT_KERNEL
        })
}
