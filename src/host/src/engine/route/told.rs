//! What listeners are told of routes.
#![forbid(unsafe_code)]

use crate::World;
use memtun_stack::address::Head;
use memtun_stack::route::{rtnh, Nexthop};
use memtun_stack::wire::Writer;
use memtun_stack::Route;
use std::borrow::Cow;

/// The setting by which routes over links without a carrier do not count.
const IGNORES: &str = "ignore_routes_with_linkdown";

/// Who caused a change: it stands in the events that tell of it. Port and number are 0 for the
/// kernel itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cause {
    /// Port of the asker.
    pub port: u32,
    /// Number of the asker's message.
    pub sequence: u32,
}

/// What an address or a group of messages is called for each family.
pub(crate) const fn group(v4: u32, v6: u32, is_v4: bool) -> u32 {
    if is_v4 {
        v4
    } else {
        v6
    }
}

/// Returns a route as it is told: a next hop over a link without carrier is dead where such routes
/// do not count (`fib_nexthop_info`).
pub fn shown<'r>(world: &World<'_>, route: &'r Route) -> Cow<'r, Route> {
    let ignores = |index| match route.is_v4() {
        true => world.setting_of("ipv4", index, IGNORES) != 0,
        false => world.own_setting_of("ipv6", index, IGNORES) != 0,
    };
    let dead = |hop: &Nexthop| hop.flags & rtnh::LINKDOWN != 0 && ignores(hop.index);
    if !route.hops.iter().any(dead) {
        return Cow::Borrowed(route);
    }
    let mut shown = route.clone();
    for hop in shown.hops.iter_mut().filter(|hop| dead(hop)) {
        hop.flags |= rtnh::DEAD;
    }
    Cow::Owned(shown)
}

/// Tells listeners of a route (`rtmsg_fib`).
pub fn tell(world: &mut World<'_>, route: &Route, kind: u16, flags: i32, cause: Cause) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        flags: flags as u16,
        sequence: cause.sequence,
        port: cause.port,
    };
    shown(world, route).write(&mut to, head, Some(world.now));
    let group = group(
        libc::RTNLGRP_IPV4_ROUTE,
        libc::RTNLGRP_IPV6_ROUTE,
        route.is_v4(),
    );
    world.tell(group, to.take());
}
