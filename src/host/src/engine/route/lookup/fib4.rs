//! The tables of IPv4 (net/ipv4/fib_trie.c, fib_rules.c).
#![forbid(unsafe_code)]

use super::flow::{candidates, Flow, Hit, TABLES};
use super::rules::{has_rules, is_suppressed, walk};
use crate::engine::route::parts::properties;
use crate::engine::route::tables;
use crate::engine::rule::Choice;
use crate::World;
use memtun_stack::route::{rtnh, Nexthop};
use memtun_stack::Route;
use std::net::Ipv4Addr;

/// Finds the route of an IPv4 packet in tables that are searched as one, the first of which wins
/// among equal prefixes (`fib_table_lookup`).
///
/// # Errors
///
/// What a route of an error fails with; EAGAIN when there is none.
pub fn in_table(world: &World<'_>, flow: &Flow, tables: &[u32]) -> Result<Hit, i32> {
    for route in candidates(world, flow, tables) {
        if route.tos != 0 && route.tos != flow.tos & 0xfc || route.scope < flow.scope {
            continue;
        }
        let (_, error) = properties(route.kind);
        if error != 0 {
            return Err(error);
        }
        if route.flags & rtnh::DEAD != 0 {
            continue;
        }
        let good = |hop: &Nexthop| {
            let ignored = |index| world.setting_of("ipv4", index, "ignore_routes_with_linkdown");
            hop.flags & rtnh::DEAD == 0
                && (flow.oif == 0 || flow.oif == hop.index)
                && (hop.flags & rtnh::LINKDOWN == 0
                    || flow.ignore_linkstate
                    || ignored(hop.index) == 0)
        };
        if let Some(at) = route.hops.iter().position(good) {
            let route = route.clone();
            return Ok(Hit { route, at });
        }
    }
    Err(libc::EAGAIN)
}

/// Finds the route of an IPv4 packet by the rules (`fib_lookup`).
///
/// # Errors
///
/// ENETUNREACH when there is none, and what routes and rules fail with.
pub fn by_rules(world: &World<'_>, flow: &Flow) -> Result<Hit, i32> {
    let [local, main, default] = TABLES;
    if !has_rules(world, true) {
        // Without rules of its own, both tables are one tree.
        return match in_table(world, flow, &[local, main]) {
            Err(libc::EAGAIN) => match in_table(world, flow, &[default]) {
                Err(libc::EAGAIN) => Err(libc::ENETUNREACH),
                result => result,
            },
            result => result,
        };
    }
    let table = |choice: Choice| match in_table(world, flow, &[choice.table]) {
        Ok(hit) if is_suppressed(world, choice, &hit.route) => Err(libc::EAGAIN),
        result => result,
    };
    match walk(world, flow, table) {
        Err(libc::EAGAIN) => Err(libc::ENETUNREACH),
        result => result,
    }
}

/// Returns the table in which an IPv4 route is said to have been found: without rules of its own,
/// the table of local addresses is searched as a part of the main one.
pub fn searched(world: &World<'_>, route: &Route) -> u32 {
    match route.table == TABLES[0] && !has_rules(world, true) {
        true => TABLES[1],
        false => route.table,
    }
}

/// Returns the tables of IPv4 that lie in one tree with a table: while there are no rules but the
/// kernel's own, those of local addresses and the main one do.
pub fn tree_of(world: &World<'_>, table: u32) -> Vec<u32> {
    let both = [TABLES[0], TABLES[1]];
    match both.contains(&table) && !has_rules(world, true) {
        true => both.to_vec(),
        false => vec![table],
    }
}

/// Returns the type of an IPv4 address by a table (`inet_addr_type_table`): RTN_UNICAST for one
/// that no route leads to.
pub fn type_of(world: &World<'_>, address: Ipv4Addr, table: u32) -> u8 {
    if address.is_unspecified() || address.is_broadcast() {
        return libc::RTN_BROADCAST;
    }
    if address.is_multicast() {
        return libc::RTN_MULTICAST;
    }
    if !tables::has_v4(world, table) {
        return libc::RTN_BROADCAST;
    }
    let tables = tree_of(world, table);
    match in_table(world, &Flow::to(address.into()), &tables) {
        Ok(hit) => hit.route.kind,
        Err(_) => libc::RTN_UNICAST,
    }
}
