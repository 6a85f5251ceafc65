//! Rules of policy routing (net/core/fib_rules.c).
#![forbid(unsafe_code)]

use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::rule::HEADER;
use memtun_stack::wire::Writer;
use memtun_stack::Rule;
use std::net::IpAddr;

/// Attributes of rules (FRA_*).
pub mod fra {
    #![allow(missing_docs)]
    pub const DST: u16 = 1;
    pub const SRC: u16 = 2;
    pub const IIFNAME: u16 = 3;
    pub const GOTO: u16 = 4;
    pub const PRIORITY: u16 = 6;
    pub const FWMARK: u16 = 10;
    pub const FLOW: u16 = 11;
    pub const TUN_ID: u16 = 12;
    pub const SUPPRESS_IFGROUP: u16 = 13;
    pub const SUPPRESS_PREFIXLEN: u16 = 14;
    pub const TABLE: u16 = 15;
    pub const FWMASK: u16 = 16;
    pub const OIFNAME: u16 = 17;
    pub const L3MDEV: u16 = 19;
    pub const UID_RANGE: u16 = 20;
    pub const PROTOCOL: u16 = 21;
    pub const IP_PROTO: u16 = 22;
    pub const SPORT_RANGE: u16 = 23;
    pub const DPORT_RANGE: u16 = 24;
    pub const DSCP: u16 = 25;
    pub const FLOWLABEL: u16 = 26;
    pub const FLOWLABEL_MASK: u16 = 27;
    pub const SPORT_MASK: u16 = 28;
    pub const DPORT_MASK: u16 = 29;
    pub const DSCP_MASK: u16 = 30;
    pub const MAX: u16 = 30;
}

/// What a rule does (FR_ACT_*).
pub mod action {
    /// Looks into a table.
    pub const TABLE: u8 = 1;
    /// Goes on with another rule.
    pub const GOTO: u8 = 2;
    /// Does nothing.
    pub const NOP: u8 = 3;
    /// Nothing is sent, and nobody is told.
    pub const BLACKHOLE: u8 = 6;
    /// The destination is unreachable.
    pub const UNREACHABLE: u8 = 7;
    /// Sending is forbidden.
    pub const PROHIBIT: u8 = 8;
}

const PERMANENT: u32 = 1;
const INVERT: u32 = 2;
const UNRESOLVED: u32 = 4;
const IIF_DETACHED: u32 = 8;
const OIF_DETACHED: u32 = 16;

/// The fields of a rule (`struct fib_rule` and what IPv4 and IPv6 add).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// AF_INET or AF_INET6.
    pub family: u8,
    /// Place among the rules.
    pub priority: u32,
    /// What it does, see [`action`].
    pub action: u8,
    /// FIB_RULE_* flags as they were given.
    pub flags: u32,
    /// The table that is looked into.
    pub table: u32,
    /// Routes with a shorter or equal prefix do not count; -1 for none.
    pub suppress_prefix: i32,
    /// Routes over links of this group do not count; -1 for none.
    pub suppress_group: i32,
    /// RTPROT_*: who made it.
    pub protocol: u8,
    /// Is the table that of the packet's layer 3 domain?
    pub l3mdev: bool,
    /// Name of the link by which a packet comes in, empty for any.
    pub iif: Name,
    /// Name of the link to which a socket is bound, empty for any.
    pub oif: Name,
    /// The links that both names mean as other names of theirs, see [`Rule::attached`].
    pub attached: [u32; 2],
    /// Mark of the packet.
    pub mark: u32,
    /// Bits of the mark that count.
    pub mark_mask: u32,
    /// Priority of the rule to go on with.
    pub target: u32,
    /// Number of a tunnel, in network order.
    pub tunnel: [u8; 8],
    /// First and last user.
    pub users: Option<[u32; 2]>,
    /// First and last source port, 0 for any.
    pub sport: [u16; 2],
    /// First and last destination port, 0 for any.
    pub dport: [u16; 2],
    /// Bits of the source port that count, where one was given.
    pub sport_mask: u16,
    /// Bits of the destination port that count, where one was given.
    pub dport_mask: u16,
    /// IPPROTO_*, 0 for any.
    pub ip_protocol: u8,
    /// Type of service without the two low bits, 0 for any unless `dscp_full`.
    pub tos: u8,
    /// Was it given as DSCP, all of whose bits count?
    pub dscp_full: bool,
    /// Bits of DSCP that count, shifted as in the type of service.
    pub dscp_mask: u8,
    /// The network of the destination, and its length.
    pub to: Vec<u8>,
    /// The length of the network of the destination in bits.
    pub to_length: u8,
    /// The network of the source.
    pub from: Vec<u8>,
    /// The length of the network of the source in bits.
    pub from_length: u8,
    /// Realm, which is only kept.
    pub realm: u32,
    /// Label of an IPv6 flow, and its mask, in network order.
    pub label: [[u8; 4]; 2],
}

impl Fields {
    /// Reads a rule's message.
    pub fn of(rule: &Rule) -> Option<Fields> {
        let body = &rule.body;
        let all = rule.attributes();
        let u32_of = |kind| all.get(kind).and_then(|a| a.u32());
        let u16_of = |kind| all.get(kind).and_then(|a| a.u16()).unwrap_or(0);
        let u8_of = |kind| all.get(kind).and_then(|a| a.u8());
        let bytes = |kind| all.get(kind).map_or(&[][..], |a| a.value);
        let name = |kind| {
            all.get(kind)
                .map_or(Some(Name::default()), |a| Name::new(a.string()))
        };
        let pair = |kind| {
            let value = bytes(kind);
            let at = |at| memtun_stack::wire::u16_at(value, at).unwrap_or(0);
            [at(0), at(2)]
        };
        let word = |value: &[u8]| value.get(..4).and_then(|w| w.try_into().ok());
        let dscp = u8_of(fra::DSCP);
        Some(Fields {
            family: *body.first()?,
            to_length: *body.get(1)?,
            from_length: *body.get(2)?,
            tos: dscp.map_or(body[3], |dscp| dscp << 2),
            dscp_full: dscp.is_some(),
            dscp_mask: u8_of(fra::DSCP_MASK).map_or(0xfc, |mask| mask << 2),
            action: *body.get(7)?,
            flags: memtun_stack::wire::u32_at(body, 8)?,
            table: u32_of(fra::TABLE).unwrap_or(body[4].into()),
            priority: u32_of(fra::PRIORITY).unwrap_or(0),
            suppress_prefix: u32_of(fra::SUPPRESS_PREFIXLEN).unwrap_or(u32::MAX) as i32,
            suppress_group: u32_of(fra::SUPPRESS_IFGROUP).unwrap_or(u32::MAX) as i32,
            protocol: u8_of(fra::PROTOCOL).unwrap_or(0),
            l3mdev: u8_of(fra::L3MDEV).unwrap_or(0) != 0,
            iif: name(fra::IIFNAME)?,
            oif: name(fra::OIFNAME)?,
            attached: rule.attached,
            mark: u32_of(fra::FWMARK).unwrap_or(0),
            mark_mask: u32_of(fra::FWMASK).unwrap_or(0),
            target: u32_of(fra::GOTO).unwrap_or(0),
            tunnel: bytes(fra::TUN_ID)
                .get(..8)
                .and_then(|b| b.try_into().ok())
                .unwrap_or_default(),
            users: all.get(fra::UID_RANGE).and_then(|a| {
                let at = |at| memtun_stack::wire::u32_at(a.value, at);
                Some([at(0)?, at(4)?])
            }),
            sport: pair(fra::SPORT_RANGE),
            dport: pair(fra::DPORT_RANGE),
            sport_mask: u16_of(fra::SPORT_MASK),
            dport_mask: u16_of(fra::DPORT_MASK),
            ip_protocol: u8_of(fra::IP_PROTO).unwrap_or(0),
            to: bytes(fra::DST).to_vec(),
            from: bytes(fra::SRC).to_vec(),
            realm: u32_of(fra::FLOW).unwrap_or(0),
            label: [
                word(bytes(fra::FLOWLABEL)).unwrap_or_default(),
                word(bytes(fra::FLOWLABEL_MASK)).unwrap_or_default(),
            ],
        })
    }

    /// Returns the links that are meant: that by which a packet comes in, and that to which a
    /// socket is bound.
    fn links(&self, world: &World<'_>) -> [Option<u32>; 2] {
        let link = |name: &Name, attached| {
            if attached != 0 {
                return Some(attached);
            }
            let link = world.link_named(name.as_bytes())?;
            (link.extra.name == *name).then_some(link.extra.index)
        };
        let [iif, oif] = self.attached;
        [link(&self.iif, iif), link(&self.oif, oif)]
    }

    /// Makes the rule's message in the kernel's order (`fib_nl_fill_rule`).
    pub fn to_rule(&self) -> Rule {
        let mut own = [0; HEADER];
        own[0] = self.family;
        own[1] = self.to_length;
        own[2] = self.from_length;
        own[3] = if self.dscp_full { 0 } else { self.tos };
        // RT_TABLE_COMPAT stands for a number that has no room here.
        own[4] = u8::try_from(self.table).unwrap_or(252);
        own[7] = self.action;
        own[8..12].copy_from_slice(&self.flags.to_ne_bytes());
        let mut to = Writer::default();
        to.message(0, 0, 0, 0)
            .raw(&own)
            .u32(fra::TABLE, self.table)
            .u32(fra::SUPPRESS_PREFIXLEN, self.suppress_prefix as u32)
            .u8(fra::PROTOCOL, self.protocol);
        for (kind, name) in [(fra::IIFNAME, &self.iif), (fra::OIFNAME, &self.oif)] {
            if !name.as_bytes().is_empty() {
                to.string(kind, name.as_bytes());
            }
        }
        if self.priority != 0 {
            to.u32(fra::PRIORITY, self.priority);
        }
        if self.mark != 0 {
            to.u32(fra::FWMARK, self.mark);
        }
        if self.mark != 0 || self.mark_mask != 0 {
            to.u32(fra::FWMASK, self.mark_mask);
        }
        if self.target != 0 {
            to.u32(fra::GOTO, self.target);
        }
        if self.tunnel != [0; 8] {
            to.attribute(fra::TUN_ID, &self.tunnel);
        }
        if self.l3mdev {
            to.u8(fra::L3MDEV, 1);
        }
        if let Some(users) = self.users {
            to.attribute(fra::UID_RANGE, &users.map(u32::to_ne_bytes).concat());
        }
        let ports = [
            (
                fra::SPORT_RANGE,
                self.sport,
                fra::SPORT_MASK,
                self.sport_mask,
            ),
            (
                fra::DPORT_RANGE,
                self.dport,
                fra::DPORT_MASK,
                self.dport_mask,
            ),
        ];
        for (kind, range, mask_kind, mask) in ports {
            if range[0] != 0 {
                to.attribute(kind, &range.map(u16::to_ne_bytes).concat());
            }
            if mask != 0 {
                to.u16(mask_kind, mask);
            }
        }
        if self.ip_protocol != 0 {
            to.u8(fra::IP_PROTO, self.ip_protocol);
        }
        if self.suppress_group != -1 {
            to.u32(fra::SUPPRESS_IFGROUP, self.suppress_group as u32);
        }
        if self.dscp_full {
            to.u8(fra::DSCP, self.tos >> 2)
                .u8(fra::DSCP_MASK, self.dscp_mask >> 2);
        }
        if self.to_length != 0 {
            to.attribute(fra::DST, &self.to);
        }
        if self.from_length != 0 {
            to.attribute(fra::SRC, &self.from);
        }
        if self.realm != 0 {
            to.u32(fra::FLOW, self.realm);
        }
        if self.label[1] != [0; 4] {
            to.attribute(fra::FLOWLABEL, &self.label[0])
                .attribute(fra::FLOWLABEL_MASK, &self.label[1]);
        }
        Rule {
            family: self.family,
            priority: self.priority,
            body: to.bytes()[memtun_stack::wire::HEADER..].to_vec(),
            attached: self.attached,
        }
    }
}

fn place(family: u8) -> usize {
    usize::from(i32::from(family) == libc::AF_INET6)
}

/// Makes one of the rules of a new network namespace.
fn first(family: u8, priority: u32, table: u32) -> Fields {
    Fields {
        family,
        priority,
        table,
        action: action::TABLE,
        protocol: libc::RTPROT_KERNEL,
        suppress_prefix: -1,
        suppress_group: -1,
        dscp_mask: 0xfc,
        ..Fields::default()
    }
}

/// RTNL_FAMILY_IPMR: rules of multicast routes of IPv4.
pub const MULTICAST: u8 = 128;
/// RTNL_FAMILY_IP6MR: rules of multicast routes of IPv6.
pub const MULTICAST6: u8 = 129;

/// Returns the rules of a family, in their order. Those of multicast routes never change.
pub fn all(world: &World<'_>, family: u8) -> Vec<Rule> {
    match family {
        MULTICAST => return vec![first(family, 32767, libc::RT_TABLE_DEFAULT.into()).to_rule()],
        MULTICAST6 => return vec![first(family, 32767, libc::RT_TABLE_MAIN.into()).to_rule()],
        _ => {}
    }
    let of_family = |rule: &&Rule| rule.family == family;
    if world.state.ruled[place(family)] {
        return world
            .state
            .rules
            .iter()
            .filter(of_family)
            .cloned()
            .collect();
    }
    let machine = world.machine.rules.iter().map(|own| &own.item);
    let machine: Vec<Rule> = machine.filter(of_family).cloned().collect();
    if !machine.is_empty() {
        return machine;
    }
    own(family)
}

/// Returns the rules of a new network namespace.
fn own(family: u8) -> Vec<Rule> {
    let mut rules = vec![
        first(family, 0, libc::RT_TABLE_LOCAL.into()).to_rule(),
        first(family, 32766, libc::RT_TABLE_MAIN.into()).to_rule(),
    ];
    if i32::from(family) == libc::AF_INET {
        rules.push(first(family, 32767, libc::RT_TABLE_DEFAULT.into()).to_rule());
    }
    rules
}

/// Returns a rule as it is told: with the flags that follow from what there is now.
pub fn told(world: &World<'_>, rule: &Rule, rules: &[Rule]) -> Rule {
    let mut rule = rule.clone();
    let Some(fields) = Fields::of(&rule) else {
        return rule;
    };
    let mut flags = fields.flags;
    let target = |other: &Rule| other.priority == fields.target;
    if fields.action == action::GOTO && !rules.iter().any(target) {
        flags |= UNRESOLVED;
    }
    let links = fields.links(world);
    let detached = |name: &Name, link: Option<u32>| !name.as_bytes().is_empty() && link.is_none();
    if detached(&fields.iif, links[0]) {
        flags |= IIF_DETACHED;
    }
    if detached(&fields.oif, links[1]) {
        flags |= OIF_DETACHED;
    }
    rule.body[8..12].copy_from_slice(&flags.to_ne_bytes());
    rule
}

/// Returns the link of whose other names this is one, 0 for none. Who makes a rule may mean a link
/// by such a name.
pub fn other_name(world: &World<'_>, name: &Name) -> u32 {
    let link = world.link_named(name.as_bytes());
    let link = link.filter(|link| link.extra.name != *name);
    link.map_or(0, |link| link.extra.index)
}

/// A link has got a new name of its own, or is gone: rules that meant it by another of its names
/// mean it no more (`detach_rules`). Those with its own name find the link that has it.
pub fn link_is_named(world: &mut World<'_>, index: u32) {
    let means = |rule: &Rule| rule.attached.contains(&index);
    if !world.state.rules.iter().any(means) {
        return;
    }
    for rule in &mut world.state.rules {
        for attached in rule.attached.iter_mut().filter(|at| **at == index) {
            *attached = 0;
        }
    }
}

/// Returns the priority of a rule for which none was given (`fib_default_rule_pref`): in front of
/// the second one.
pub fn default_priority(rules: &[Rule]) -> u32 {
    let second = rules.get(1).map_or(0, |rule| rule.priority);
    second.saturating_sub(1)
}

/// Returns a number that no table of IPv4 has (`fib_empty_table`), and keeps it.
pub fn new_table(world: &mut World<'_>) -> u32 {
    let own = [libc::RT_TABLE_LOCAL.into(), libc::RT_TABLE_MAIN.into()];
    let taken = |id: &u32| {
        let of_route = |route: &memtun_stack::Route| route.table == *id && route.is_v4();
        own.contains(id)
            || world.state.tables.contains(&(libc::AF_INET as u8, *id))
            || world.routes().any(of_route)
    };
    let id = (1..=u32::MAX).find(|id| !taken(id)).unwrap_or(1);
    world.state.tables.push((libc::AF_INET as u8, id));
    id
}

/// Puts a rule behind all others of its priority and lower ones.
pub fn add(world: &mut World<'_>, fields: &Fields) {
    let mut rules = all(world, fields.family);
    let place = rules.partition_point(|rule| rule.priority <= fields.priority);
    rules.insert(place, fields.to_rule());
    replace(world, fields.family, rules);
}

/// Takes a rule away.
///
/// # Errors
///
/// EPERM when it is permanent.
pub fn remove(world: &mut World<'_>, rule: &Rule) -> Result<(), Failure> {
    if Fields::of(rule).is_some_and(|fields| fields.flags & PERMANENT != 0) {
        return Err(Failure::new(libc::EPERM));
    }
    let mut rules = all(world, rule.family);
    if let Some(place) = rules.iter().position(|other| other == rule) {
        rules.remove(place);
    }
    replace(world, rule.family, rules);
    Ok(())
}

/// From now on, these are all rules of a family.
fn replace(world: &mut World<'_>, family: u8, rules: Vec<Rule>) {
    world.state.rules.retain(|rule| rule.family != family);
    world.state.rules.extend(rules);
    world.state.ruled[place(family)] = true;
}

/// Whose route is looked for (`struct flowi`).
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The source, unspecified where it is not chosen yet.
    pub source: IpAddr,
    /// The destination.
    pub destination: IpAddr,
    /// Index of the link by which it comes in; that of the loopback for what is sent here.
    pub iif: u32,
    /// Index of the link to which its socket is bound, 0 for none.
    pub oif: u32,
    /// Type of service.
    pub tos: u8,
    /// Its mark.
    pub mark: u32,
    /// Its user; None for a packet that came in.
    pub uid: Option<u32>,
    /// IPPROTO_*, 0 when it is not known.
    pub protocol: u8,
    /// Source port, 0 when it is not known.
    pub sport: u16,
    /// Destination port, 0 when it is not known.
    pub dport: u16,
}

/// A table that a rule chooses for a flow, and which of its routes do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Number of the table.
    pub table: u32,
    /// Routes whose prefix is at most this long do not count; -1 for none.
    pub suppress_prefix: i32,
    /// Routes over links of this group do not count; -1 for none.
    pub suppress_group: i32,
}

/// Are there other rules than those of a new network namespace, or have they been changed?
pub fn has_own(world: &World<'_>, family: u8) -> bool {
    all(world, family) != own(family)
}

/// Asks `look` for a route in each table that the rules choose for a flow, until it finds one
/// (`fib_rules_lookup`). EAGAIN says that a table has none.
///
/// # Errors
///
/// EAGAIN when no table has a route; ENETUNREACH, EINVAL and EACCES when a rule says that the
/// destination is unreachable, throws the flow away or forbids it; and what `look` fails with.
pub fn walk<T>(
    world: &World<'_>,
    flow: &Flow,
    mut look: impl FnMut(Choice) -> Result<T, i32>,
) -> Result<T, i32> {
    let family = memtun_stack::wire::family_of(flow.destination);
    let rules: Vec<Fields> = all(world, family).iter().filter_map(Fields::of).collect();
    let mut at = 0;
    while let Some(rule) = rules.get(at) {
        at += 1;
        if !matches(world, rule, flow) {
            continue;
        }
        match rule.action {
            action::TABLE => {
                let choice = Choice {
                    table: rule.table,
                    suppress_prefix: rule.suppress_prefix,
                    suppress_group: rule.suppress_group,
                };
                match look(choice) {
                    Err(libc::EAGAIN) => {}
                    result => return result,
                }
            }
            action::GOTO => {
                let target = |other: &Fields| other.priority == rule.target;
                if let Some(target) = rules.iter().position(target) {
                    at = target.max(at);
                }
            }
            action::NOP => {}
            action::UNREACHABLE => return Err(libc::ENETUNREACH),
            action::PROHIBIT => return Err(libc::EACCES),
            _ => return Err(libc::EINVAL),
        }
    }
    Err(libc::EAGAIN)
}

fn matches(world: &World<'_>, rule: &Fields, flow: &Flow) -> bool {
    let links = rule.links(world);
    let over = |name: &Name, link, index| name.as_bytes().is_empty() || link == Some(index);
    let within = |network: &[u8], length: u8, address: IpAddr| {
        let Some(network) = memtun_stack::wire::ip_of(network) else {
            return length == 0;
        };
        let cut = |address| memtun_stack::wire::network(address, length);
        length == 0 || cut(network) == cut(address)
    };
    let port = |range: [u16; 2], mask: u16, port: u16| match mask {
        0 => range[0] == 0 || (range[0]..=range[1]).contains(&port),
        mask => (range[0] ^ port) & mask == 0,
    };
    let tos = if rule.dscp_full {
        (rule.tos ^ flow.tos) & rule.dscp_mask == 0
    } else {
        rule.tos == 0 || rule.tos == flow.tos & 0x1c
    };
    let found = over(&rule.iif, links[0], flow.iif)
        && over(&rule.oif, links[1], flow.oif)
        && (rule.mark ^ flow.mark) & rule.mark_mask == 0
        && rule.tunnel == [0; 8]
        // No link of the net is in such a domain.
        && !rule.l3mdev
        && rule.users.is_none_or(|users| {
            let uid = flow.uid;
            uid.is_some_and(|uid| (users[0]..=users[1]).contains(&uid))
        })
        && within(&rule.to, rule.to_length, flow.destination)
        && within(&rule.from, rule.from_length, flow.source)
        && tos
        && (rule.ip_protocol == 0 || rule.ip_protocol == flow.protocol)
        && port(rule.sport, rule.sport_mask, flow.sport)
        && port(rule.dport, rule.dport_mask, flow.dport)
        && rule.label[1] == [0; 4];
    found != (rule.flags & INVERT != 0)
}
