//! The tables of IPv6 (net/ipv6/ip6_fib.c, fib6_rules.c).
#![forbid(unsafe_code)]

use super::flow::{candidates, Flow, Hit, TABLES};
use super::rules::{has_rules, is_suppressed, walk};
use crate::engine::route::parts::properties;
use crate::World;
use memtun_stack::route::{rtf, rtnh};
use memtun_stack::Route;

/// How an IPv6 packet chooses among routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Strict {
    /// The interface must be that of the flow (RT6_LOOKUP_F_IFACE).
    pub interface: bool,
    /// A route of type RTN_THROW is one that refuses, and not one that sends on to the next table:
    /// so the kernel looks for gateways (`fib6_lookup`).
    pub throws: bool,
}

/// Finds the route of an IPv6 packet in a table (`fib6_table_lookup`).
pub fn in_table_v6(world: &World<'_>, flow: &Flow, table: u32, strict: Strict) -> Option<Hit> {
    let found = candidates(world, flow, &[table]);
    let mut at = 0;
    // Routes with the same destination and senders are a node.
    while let Some(first) = found.get(at) {
        let node = found[at..].iter();
        let node = node.take_while(|r| r.prefix == first.prefix && r.from == first.from);
        let node: Vec<_> = node.collect();
        at += node.len();
        // Others than those of the best priority are looked at only when none of these will do.
        let (good, others): (Vec<_>, Vec<_>) = node
            .into_iter()
            .filter(|r| {
                r.expires
                    .is_none_or(|at| (at.wrapping_sub(world.now) as i32) > 0)
            })
            .partition(|route| route.priority == first.priority);
        let hit = best(&good, flow, strict).or_else(|| best(&others, flow, strict));
        if hit.is_some() {
            return hit;
        }
    }
    None
}

/// Returns the best of some routes to one destination (`__find_rr_leaf`, `rt6_score_route`).
pub(super) fn best(routes: &[&&Route], flow: &Flow, strict: Strict) -> Option<Hit> {
    let mut best: Option<(u32, Hit)> = None;
    for route in routes {
        for (at, hop) in route.hops.iter().enumerate() {
            let fits = flow.oif == 0 || hop.index == flow.oif;
            if hop.flags & rtnh::DEAD != 0 || !fits && strict.interface {
                continue;
            }
            let score = if fits { 2 } else { 0 } + (u32::from(route.preference ^ 2) << 2);
            if best.as_ref().is_none_or(|best| score > best.0) {
                let route = (**route).clone();
                best = Some((score, Hit { route, at }));
            }
        }
    }
    best.map(|(_, hit)| hit)
}

/// Returns the error that an IPv6 route stands for, 0 for none.
pub fn error_v6(route: &Route) -> i32 {
    match (route.flags & rtf::REJECT != 0, properties(route.kind).1) {
        (false, _) => 0,
        // A route over the loopback that is turned into one that refuses.
        (true, 0) => 0,
        (true, error) => error,
    }
}

/// Finds the route of an IPv6 packet by the rules (`fib6_rule_lookup`).
///
/// # Errors
///
/// ENETUNREACH when there is none. A route that refuses is a result.
pub fn by_rules_v6(world: &World<'_>, flow: &Flow, strict: Strict) -> Result<Hit, i32> {
    let table = |table: u32| match in_table_v6(world, flow, table, strict) {
        Some(hit) if hit.route.kind == libc::RTN_THROW && !strict.throws => Err(libc::EAGAIN),
        Some(hit) => Ok(hit),
        None => Err(libc::EAGAIN),
    };
    let result = if has_rules(world, false) {
        walk(world, flow, |choice| {
            table(choice.table).and_then(|hit| match is_suppressed(world, choice, &hit.route) {
                true => Err(libc::EAGAIN),
                false => Ok(hit),
            })
        })
    } else {
        table(TABLES[0]).or_else(|_| table(TABLES[1]))
    };
    match result {
        Err(libc::EAGAIN) => Err(libc::ENETUNREACH),
        result => result,
    }
}
