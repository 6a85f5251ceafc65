//! Which rules concern a packet, as the lookup of a route asks for them.
#![forbid(unsafe_code)]

use super::flow::Flow;
use crate::engine::rule::{self, Choice};
use crate::World;
use memtun_stack::Route;

/// Are there other rules than the kernel's own?
pub(super) fn has_rules(world: &World<'_>, v4: bool) -> bool {
    rule::has_own(world, if v4 { libc::AF_INET } else { libc::AF_INET6 } as u8)
}

/// Does the rule that chose a table not want this route, because its prefix is too short, or
/// because of the group of its link?
pub(super) fn is_suppressed(world: &World<'_>, choice: Choice, route: &Route) -> bool {
    let group = |index: u32| world.link(index).map(|link| link.extra.group as i32);
    let hop = route.hops.first().and_then(|hop| group(hop.index));
    i32::from(route.prefix) <= choice.suppress_prefix
        || choice.suppress_group != -1 && hop == Some(choice.suppress_group)
}

/// Goes through the rules until one decides. EAGAIN says that none did.
pub(super) fn walk<T>(
    world: &World<'_>,
    flow: &Flow,
    table: impl FnMut(Choice) -> Result<T, i32>,
) -> Result<T, i32> {
    let flow = rule::Flow {
        source: flow.from,
        destination: flow.to,
        iif: flow.iif,
        oif: flow.oif,
        tos: flow.tos,
        mark: flow.mark,
        uid: flow.uid,
        protocol: flow.protocol,
        sport: flow.ports.0,
        dport: flow.ports.1,
    };
    rule::walk(world, &flow, table)
}
