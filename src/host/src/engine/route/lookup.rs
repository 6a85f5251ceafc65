//! How packets find their route: rules, tables, the longest prefix, and the source address.
#![forbid(unsafe_code)]

use super::v4::properties;
use crate::World;
use memtun_stack::route::{rtf, rtnh, Nexthop};
use memtun_stack::rule;
use memtun_stack::wire::{network, u16_at, u32_at};
use memtun_stack::{Address, Route, Rule};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Index of the loopback interface.
pub const LOOPBACK: u32 = 1;

/// What is sent, and to whom (`struct flowi4`, `struct flowi6`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The destination.
    pub to: IpAddr,
    /// The source, unspecified for none yet.
    pub from: IpAddr,
    /// The interface that it must leave by, 0 for any.
    pub oif: u32,
    /// The interface that it came by; that of the loopback for what this host sends.
    pub iif: u32,
    /// Type of service.
    pub tos: u8,
    /// The widest scope of a route that is wanted.
    pub scope: u8,
    /// Mark of the packet.
    pub mark: u32,
    /// User who sends; None for a packet that came in.
    pub uid: Option<u32>,
    /// IPPROTO_*, and the ports of source and destination; 0 for none.
    pub protocol: u8,
    /// The ports.
    pub ports: (u16, u16),
    /// Are links without a carrier as good as others?
    pub ignore_linkstate: bool,
}

impl Flow {
    /// A flow of this host to a destination.
    pub fn to(to: IpAddr) -> Flow {
        Flow {
            to,
            from: match to {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            },
            oif: 0,
            iif: LOOPBACK,
            tos: 0,
            scope: 0,
            mark: 0,
            uid: Some(0),
            protocol: 0,
            ports: (0, 0),
            ignore_linkstate: false,
        }
    }
}

/// The route that was found (`struct fib_result`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The route.
    pub route: Route,
    /// Which of its next hops.
    pub at: usize,
}

impl Hit {
    /// Returns the next hop; None for a route that has none.
    pub fn hop(&self) -> Option<&Nexthop> {
        self.route.hops.get(self.at)
    }
}

/// Returns the routes of a family in these tables that lead to an address, the longest prefix
/// first, and of equal prefixes those of the later table.
fn candidates<'w>(world: &'w World<'_>, flow: &Flow, tables: &[u32]) -> Vec<&'w Route> {
    let v4 = flow.to.is_ipv4();
    let places = world.route_places(v4).into_iter();
    let mut found: Vec<_> = places
        .map(|place| world.route(place))
        .filter(|route| tables.contains(&route.table))
        .filter(|route| network(flow.to, route.prefix) == route.to)
        .filter(|route| {
            let (from, length) = route.from;
            length == 0 || network(flow.from, length) == from
        })
        .collect();
    let rank = |route: &Route| tables.iter().position(|table| *table == route.table);
    found.sort_by_key(|route| {
        let longest = |length: u8| std::cmp::Reverse(length);
        (longest(route.prefix), longest(route.from.1), rank(route))
    });
    found
}

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
    let table = |table: u32, rule: &Rule| match in_table(world, flow, &[table]) {
        Ok(hit) if is_suppressed(rule, &hit.route) => Err(libc::EAGAIN),
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

/// The tables that the kernel's own rules search, in this order.
pub const TABLES: [u32; 3] = [
    libc::RT_TABLE_LOCAL as u32,
    libc::RT_TABLE_MAIN as u32,
    libc::RT_TABLE_DEFAULT as u32,
];

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

/// Returns the rules of a family by ascending priority, the machine's first among equals.
fn rules<'w>(world: &'w World<'_>, v4: bool) -> Vec<&'w Rule> {
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let machine = world.machine.rules.iter().map(|own| &own.item);
    let all = machine.chain(&world.state.rules);
    let mut rules: Vec<_> = all.filter(|rule| rule.family == family).collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// Are there other rules than the kernel's own? Where no rules are known at all, those are meant.
fn has_rules(world: &World<'_>, v4: bool) -> bool {
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

const SELECTORS: &[u16] = &[
    FRA_IIFNAME,
    FRA_OIFNAME,
    FRA_FWMARK,
    FRA_UID_RANGE,
    FRA_IP_PROTO,
    FRA_SPORT_RANGE,
    FRA_DPORT_RANGE,
];

fn table_of(rule: &Rule) -> u32 {
    let table = rule.attributes().get(FRA_TABLE).and_then(|a| a.u32());
    table.unwrap_or_else(|| rule.body[4].into())
}

/// Does the rule not want this route, because its prefix is too short?
fn is_suppressed(rule: &Rule, route: &Route) -> bool {
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
fn walk<T>(
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
    if !super::v4::has_table(world, table) {
        return libc::RTN_BROADCAST;
    }
    let tables = tree_of(world, table);
    match in_table(world, &Flow::to(address.into()), &tables) {
        Ok(hit) => hit.route.kind,
        Err(_) => libc::RTN_UNICAST,
    }
}

fn v4_of(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Chooses a source address for a destination on a link (`inet_select_addr`). 0.0.0.0 is none.
pub fn select_v4(world: &World<'_>, index: u32, to: Ipv4Addr, scope: u8) -> Ipv4Addr {
    let localnet = match world.setting_of("ipv4", index, "route_localnet") {
        0 => libc::RT_SCOPE_HOST,
        _ => libc::RT_SCOPE_LINK,
    };
    let mut chosen = None;
    for address in world.addresses_of(index, true) {
        if address.is_secondary() || address.scope.min(localnet) > scope {
            continue;
        }
        if to.is_unspecified() || network(to.into(), address.prefix) == net_of(address) {
            return v4_of(address.local);
        }
        chosen = chosen.or(Some(v4_of(address.local)));
    }
    if let Some(chosen) = chosen {
        return chosen;
    }
    for link in links(world) {
        for address in world.addresses_of(link, true) {
            let usable = address.scope != libc::RT_SCOPE_LINK && address.scope <= scope;
            if !address.is_secondary() && usable {
                return v4_of(address.local);
            }
        }
    }
    Ipv4Addr::UNSPECIFIED
}

/// Returns the network of an address: that of the other end.
pub fn net_of(address: &Address) -> IpAddr {
    network(address.peer, address.prefix)
}

/// Returns the indexes of all links, ascending.
pub fn links(world: &World<'_>) -> Vec<u32> {
    let machine = world.machine.links.iter().map(|own| &own.item);
    let mut links: Vec<_> = machine
        .chain(&world.links)
        .map(|link| link.extra.index)
        .collect();
    links.sort_unstable();
    links
}

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

const RTCF_LOCAL: u32 = 0x8000_0000;
const RTCF_BROADCAST: u32 = 0x1000_0000;
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
            Ok(found) => {
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
    let gateway = hit.as_ref().and_then(|hit| hit.hop()?.gateway);
    // A gateway that is an address of this host is none.
    let gateway = gateway.filter(|_| !loopback);
    let gateway = gateway.filter(|gateway| match gateway {
        IpAddr::V4(gateway) => type_of(world, *gateway, TABLES[0]) != libc::RTN_LOCAL,
        IpAddr::V6(_) => true,
    });
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
fn best(routes: &[&&Route], flow: &Flow, strict: Strict) -> Option<Hit> {
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
        walk(world, flow, |id, rule| {
            table(id).and_then(|hit| match is_suppressed(rule, &hit.route) {
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
    let hit = by_rules_v6(world, flow, strict)?;
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
        _ => crate::engine::address::select::v6(world, index, to),
    }
}

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
            check_sender(world, flow)?;
        }
        return Ok(found(None, libc::RTN_BROADCAST, LOOPBACK, None, broadcast));
    }
    let hit = by_rules(world, &in_flow).map_err(refused)?;
    let local = matches!(hit.route.kind, libc::RTN_BROADCAST | libc::RTN_LOCAL);
    if !local && !forwards {
        return Err(libc::EHOSTUNREACH);
    }
    check_sender(world, flow)?;
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

/// Refuses a packet whose sender is an address that no other host has (`fib_validate_source`).
fn check_sender(world: &World<'_>, flow: &Flow) -> Result<(), i32> {
    let back = Flow {
        iif: LOOPBACK,
        ..Flow::to(flow.from)
    };
    let Ok(sender) = by_rules(world, &back) else {
        return Ok(());
    };
    let accepted = world.setting_of("ipv4", flow.iif, "accept_local") != 0;
    match sender.route.kind {
        libc::RTN_UNICAST => Ok(()),
        libc::RTN_LOCAL if accepted => Ok(()),
        _ => Err(libc::EINVAL),
    }
}
