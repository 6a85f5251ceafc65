//! Which rules concern a packet (net/core/fib_rules.c).
#![forbid(unsafe_code)]

use super::flow::{Flow, TABLES};
use crate::World;
use memtun_stack::rule;
use memtun_stack::wire::{network, u16_at, u32_at};
use memtun_stack::{Route, Rule};
use std::net::IpAddr;

// Attributes of struct fib_rule_hdr and its actions (linux/fib_rules.h).
const FRA_DST: u16 = 1;

const FRA_SRC: u16 = 2;

const FRA_IIFNAME: u16 = 3;

const FRA_GOTO: u16 = 4;

const FRA_FWMARK: u16 = 10;

const FRA_SUPPRESS_PREFIXLEN: u16 = 14;

const FRA_TABLE: u16 = 15;

const FRA_FWMASK: u16 = 16;

const FRA_OIFNAME: u16 = 17;

const FRA_UID_RANGE: u16 = 20;

const FRA_IP_PROTO: u16 = 22;

const FRA_SPORT_RANGE: u16 = 23;

const FRA_DPORT_RANGE: u16 = 24;

const FR_ACT_TO_TBL: u8 = 1;

const FR_ACT_GOTO: u8 = 2;

const FR_ACT_NOP: u8 = 3;

const FR_ACT_UNREACHABLE: u8 = 7;

const FR_ACT_PROHIBIT: u8 = 8;

const FIB_RULE_INVERT: u32 = 2;

const SELECTORS: &[u16] = &[
    FRA_IIFNAME,
    FRA_OIFNAME,
    FRA_FWMARK,
    FRA_UID_RANGE,
    FRA_IP_PROTO,
    FRA_SPORT_RANGE,
    FRA_DPORT_RANGE,
];

/// Returns the rules of a family by ascending priority, the machine's first among equals.
pub(super) fn rules<'w>(world: &'w World<'_>, v4: bool) -> Vec<&'w Rule> {
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let machine = world.machine.rules.iter().map(|own| &own.item);
    let all = machine.chain(&world.state.rules);
    let mut rules: Vec<_> = all.filter(|rule| rule.family == family).collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// Are there other rules than the kernel's own? Where no rules are known at all, those are meant.
pub(super) fn has_rules(world: &World<'_>, v4: bool) -> bool {
    let rules = rules(world, v4);
    let own: &[(u32, u32)] = match v4 {
        true => &[(0, TABLES[0]), (32766, TABLES[1]), (32767, TABLES[2])],
        false => &[(0, TABLES[0]), (32766, TABLES[1])],
    };
    let is_own = |(rule, (priority, table)): (&&Rule, &(u32, u32))| {
        let body = &rule.body;
        rule.priority == *priority
            && table_of(rule) == *table
            && body[1..4] == [0, 0, 0]
            && body[7] == FR_ACT_TO_TBL
            && u32_at(body, 8).is_some_and(|flags| flags & FIB_RULE_INVERT == 0)
            && rule.attributes().all(|a| !SELECTORS.contains(&a.kind))
    };
    !rules.is_empty() && (rules.len() != own.len() || !rules.iter().zip(own).all(is_own))
}

pub(super) fn table_of(rule: &Rule) -> u32 {
    let table = rule.attributes().get(FRA_TABLE).and_then(|a| a.u32());
    table.unwrap_or_else(|| rule.body[4].into())
}

/// Does the rule not want this route, because its prefix is too short?
pub(super) fn is_suppressed(rule: &Rule, route: &Route) -> bool {
    let length = rule.attributes().get(FRA_SUPPRESS_PREFIXLEN);
    let length = length
        .and_then(|a| a.u32())
        .map_or(-1, |length| length as i32);
    i32::from(route.prefix) <= length
}

/// Does a rule concern a flow (`fib_rule_match`)?
fn concerns(world: &World<'_>, rule: &Rule, flow: &Flow) -> bool {
    let attributes = rule.attributes();
    let word = |kind| attributes.get(kind).and_then(|a| a.u32());
    let named = |kind, index: u32| match attributes.get(kind) {
        None => true,
        Some(name) => {
            let link = world.link(index);
            link.is_some_and(|link| link.extra.name.as_bytes() == name.string())
        }
    };
    let within = |kind, address: IpAddr, length: u8| {
        let wanted = attributes.get(kind).and_then(|a| a.ip());
        length == 0 || wanted.is_some_and(|wanted| network(address, length) == wanted)
    };
    let port = |kind, port: u16| match attributes.get(kind) {
        None => true,
        Some(range) => {
            let at = |at| u16_at(range.value, at).unwrap_or(0);
            (at(0)..=at(2)).contains(&port)
        }
    };
    let mark = word(FRA_FWMARK).unwrap_or(0);
    let mask = match (word(FRA_FWMASK), word(FRA_FWMARK)) {
        (Some(mask), _) => mask,
        (None, Some(_)) => u32::MAX,
        (None, None) => 0,
    };
    let uid = match (attributes.get(FRA_UID_RANGE), flow.uid) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(range), Some(uid)) => {
            let at = |at| u32_at(range.value, at).unwrap_or(0);
            (at(0)..=at(4)).contains(&uid)
        }
    };
    let protocol = attributes.get(FRA_IP_PROTO).and_then(|a| a.u8());
    let matches = named(FRA_IIFNAME, flow.iif)
        && named(FRA_OIFNAME, flow.oif)
        && within(FRA_DST, flow.to, rule.body[1])
        && within(FRA_SRC, flow.from, rule.body[2])
        && (rule.body[3] == 0 || rule.body[3] == flow.tos & 0xfc)
        && (flow.mark ^ mark) & mask == 0
        && uid
        && protocol.is_none_or(|protocol| protocol == 0 || protocol == flow.protocol)
        && port(FRA_SPORT_RANGE, flow.ports.0)
        && port(FRA_DPORT_RANGE, flow.ports.1);
    let inverted = u32_at(&rule.body, 8).is_some_and(|flags| flags & FIB_RULE_INVERT != 0);
    matches != inverted
}

/// Goes through the rules until one decides (`fib_rules_lookup`). EAGAIN says that none did.
pub(super) fn walk<T>(
    world: &World<'_>,
    flow: &Flow,
    mut table: impl FnMut(u32, &Rule) -> Result<T, i32>,
) -> Result<T, i32> {
    let mut jump = 0;
    for rule in rules(world, flow.to.is_ipv4()) {
        if rule.body.len() < rule::HEADER || rule.priority < jump || !concerns(world, rule, flow) {
            continue;
        }
        let result = match rule.body[7] {
            FR_ACT_TO_TBL => table(table_of(rule), rule),
            FR_ACT_GOTO => {
                let target = rule.attributes().get(FRA_GOTO).and_then(|a| a.u32());
                jump = target.unwrap_or(0);
                continue;
            }
            FR_ACT_NOP => continue,
            FR_ACT_UNREACHABLE => Err(libc::ENETUNREACH),
            FR_ACT_PROHIBIT => Err(libc::EACCES),
            _ => Err(libc::EINVAL),
        };
        match result {
            Err(libc::EAGAIN) => {}
            result => return result,
        }
    }
    Err(libc::EAGAIN)
}
