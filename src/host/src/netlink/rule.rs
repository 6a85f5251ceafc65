//! Rules: RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE (net/core/fib_rules.c, net/ipv4/fib_rules.c,
//! net/ipv6/fib6_rules.c).
#![forbid(unsafe_code)]

use super::policy::{Check, Kind, Mode, Parsed, Policy, Table, U16, U32, U64, U8};
use super::request::{invalid, Request};
use super::row::{row, Row};
use crate::engine::rule::{self as engine, action, fra, Fields};
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::rule::HEADER;
use memtun_stack::wire::Writer;
use memtun_stack::Rule;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWRULE, UNSPEC, Some(new), None),
    row(libc::RTM_DELRULE, UNSPEC, Some(delete), None),
    row(libc::RTM_GETRULE, UNSPEC, None, Some(dump)).joined(),
];

/// The families that have rules, in the kernel's order: between those of IPv4 and IPv6 come those
/// of their multicast routes.
const FAMILIES: [u8; 4] = [INET, engine::MULTICAST, engine::MULTICAST6, INET6];

const NAME: Policy = Policy::of(Kind::String, 15);
const PORTS: Policy = Policy::of(Kind::Unspec, 4);
const LABEL: Policy = Policy::of(Kind::Be32, 0);

static POLICY: Table = Table {
    max: fra::MAX,
    strict_from: fra::DSCP,
    entries: &[
        (fra::IIFNAME, NAME),
        (fra::OIFNAME, NAME),
        (fra::PRIORITY, U32),
        (fra::FWMARK, U32),
        (fra::FLOW, U32),
        (fra::TUN_ID, U64),
        (fra::FWMASK, U32),
        (fra::TABLE, U32),
        (fra::SUPPRESS_PREFIXLEN, U32),
        (fra::SUPPRESS_IFGROUP, U32),
        (fra::GOTO, U32),
        (fra::L3MDEV, U8),
        (fra::UID_RANGE, Policy::of(Kind::Unspec, 8)),
        (fra::PROTOCOL, U8),
        (fra::IP_PROTO, U8),
        (fra::SPORT_RANGE, PORTS),
        (fra::DPORT_RANGE, PORTS),
        (fra::DSCP, Policy::range(Kind::U8, 0, 63)),
        (fra::FLOWLABEL, LABEL),
        (fra::FLOWLABEL_MASK, LABEL),
        (fra::SPORT_MASK, U16),
        (fra::DPORT_MASK, U16),
        (
            fra::DSCP_MASK,
            Policy {
                check: Check::Mask(63),
                ..U8
            },
        ),
    ],
};

/// Reads the message of a change (the beginning of `fib_newrule` and `fib_delrule`).
fn read<'b>(request: &Request<'b>) -> Result<(&'b [u8], Parsed<'b>), Failure> {
    let body = request.message.body;
    if body.len() < HEADER {
        return invalid("Invalid msg length");
    }
    if !matches!(body[0], INET | INET6) {
        let text = "Rule family not supported";
        return Err(Failure::said(libc::EAFNOSUPPORT, text));
    }
    let tb = request.parse(HEADER, &POLICY, Mode::Liberal);
    let tb = tb.map_err(|failure| Failure {
        text: Some("Error parsing msg".into()),
        ..failure
    })?;
    Ok((body, tb))
}

/// Reads the fields of a rule (`fib_nl2rule`). Returns whether its priority was given, too.
fn fields(world: &World<'_>, body: &[u8], tb: &Parsed<'_>) -> Result<(Fields, bool), Failure> {
    let family = body[0];
    let size = if family == INET6 { 16 } else { 4 };
    let wrong = |kind, length: u8| {
        let value = tb.get(kind).map_or(0, |a| a.value.len());
        length != 0 && (value != size || usize::from(length) > 8 * size)
    };
    if wrong(fra::SRC, body[2]) {
        return invalid("Invalid source address");
    }
    if wrong(fra::DST, body[1]) {
        return invalid("Invalid dst address");
    }
    let number = |kind| tb.get(kind).and_then(|a| a.u32());
    let byte = |kind| tb.get(kind).and_then(|a| a.u8());
    let name = |kind| {
        let text = tb.get(kind).map_or(&[][..], |a| a.string());
        Name::new(text).unwrap_or_default()
    };
    let address = |kind, length: u8| match length {
        0 => Vec::new(),
        _ => tb.get(kind).map_or(Vec::new(), |a| a.value.to_vec()),
    };
    let mark = number(fra::FWMARK).unwrap_or(0);
    let mut fields = Fields {
        family,
        to_length: body[1],
        from_length: body[2],
        to: address(fra::DST, body[1]),
        from: address(fra::SRC, body[2]),
        tos: body[3],
        dscp_mask: 0xfc,
        action: body[7],
        flags: memtun_stack::wire::u32_at(body, 8).unwrap_or(0),
        table: number(fra::TABLE).unwrap_or(body[4].into()),
        suppress_prefix: number(fra::SUPPRESS_PREFIXLEN).unwrap_or(u32::MAX) as i32,
        suppress_group: number(fra::SUPPRESS_IFGROUP).unwrap_or(u32::MAX) as i32,
        protocol: byte(fra::PROTOCOL).unwrap_or(0),
        iif: name(fra::IIFNAME),
        oif: name(fra::OIFNAME),
        mark,
        mark_mask: number(fra::FWMASK).unwrap_or(if mark != 0 { u32::MAX } else { 0 }),
        tunnel: tb
            .get(fra::TUN_ID)
            .and_then(|a| a.value.get(..8)?.try_into().ok())
            .unwrap_or_default(),
        ..Fields::default()
    };
    let names = [&fields.iif, &fields.oif];
    fields.attached = names.map(|name| engine::other_name(world, name));
    let given = number(fra::PRIORITY);
    fields.priority =
        given.unwrap_or_else(|| engine::default_priority(&engine::all(world, family)));
    if let Some(value) = byte(fra::L3MDEV) {
        if value != 1 {
            return invalid("Invalid l3mdev attribute");
        }
        fields.l3mdev = true;
    }
    match number(fra::GOTO) {
        Some(_) if fields.action != action::GOTO => return invalid("Unexpected goto"),
        Some(target) => fields.target = target,
        None if fields.action == action::GOTO => {
            return invalid("Missing goto target for action goto");
        }
        None => {}
    }
    if fields.l3mdev && fields.table != 0 {
        return invalid("l3mdev and table are mutually exclusive");
    }
    if let Some(range) = tb.get(fra::UID_RANGE) {
        let at = |at| memtun_stack::wire::u32_at(range.value, at).unwrap_or(u32::MAX);
        let users = [at(0), at(4)];
        if users.contains(&u32::MAX) || users[0] > users[1] {
            return invalid("Invalid uid range");
        }
        fields.users = Some(users);
    }
    fields.ip_protocol = byte(fra::IP_PROTO).unwrap_or(0);
    ports(tb, &mut fields)?;
    if tb.has(fra::GOTO) && fields.target <= fields.priority {
        return invalid("Backward goto not supported");
    }
    Ok((fields, given.is_some()))
}

/// Reads ranges and masks of ports.
fn ports(tb: &Parsed<'_>, fields: &mut Fields) -> Result<(), Failure> {
    let range = |kind, text| match tb.get(kind) {
        None => Ok([0, 0]),
        Some(a) => {
            let at = |at| memtun_stack::wire::u16_at(a.value, at).unwrap_or(0);
            let range = [at(0), at(2)];
            if range[0] == 0 || range[1] == 0 || range[1] == u16::MAX || range[0] > range[1] {
                return invalid(text);
            }
            Ok(range)
        }
    };
    let mask = |kind, range: [u16; 2], texts: [&'static str; 2]| {
        let Some(mask) = tb.get(kind) else {
            let one = range[0] != 0 && range[0] == range[1];
            return Ok(if one { u16::MAX } else { 0 });
        };
        let value = mask.u16().unwrap_or(0);
        if range[0] == 0 || range[0] != range[1] {
            return Err(Failure::said(libc::EINVAL, texts[0]).at(mask.at));
        }
        if range[0] & !value != 0 {
            return Err(Failure::said(libc::EINVAL, texts[1]).at(mask.at));
        }
        Ok(value)
    };
    fields.sport = range(fra::SPORT_RANGE, "Invalid sport range")?;
    let texts = ["Invalid port range for port mask", "Invalid port mask"];
    fields.sport_mask = mask(fra::SPORT_MASK, fields.sport, texts)?;
    fields.dport = range(fra::DPORT_RANGE, "Invalid dport range")?;
    fields.dport_mask = mask(fra::DPORT_MASK, fields.dport, texts)?;
    Ok(())
}

/// Completes a new rule by what its family knows (`fib4_rule_configure`, `fib6_rule_configure`).
fn configure(world: &mut World<'_>, tb: &Parsed<'_>, fields: &mut Fields) -> Result<(), Failure> {
    let label = [tb.get(fra::FLOWLABEL), tb.get(fra::FLOWLABEL_MASK)];
    if fields.family == INET && (label[0].is_some() || label[1].is_some()) {
        return invalid("Flow label cannot be specified for IPv4 FIB rules");
    }
    if fields.tos & 3 != 0 {
        return invalid("Invalid dsfield (tos): ECN bits must be 0");
    }
    if fields.family == INET && fields.tos & !0x1e != 0 {
        return invalid("Invalid tos");
    }
    if let Some(dscp) = tb.get(fra::DSCP).and_then(|a| a.u8()) {
        if fields.tos != 0 {
            return invalid("Cannot specify both TOS and DSCP");
        }
        fields.tos = dscp << 2;
        fields.dscp_full = true;
    }
    if let Some(mask) = tb.get(fra::DSCP_MASK) {
        let value = mask.u8().unwrap_or(0) << 2;
        if !fields.dscp_full {
            let text = "Cannot specify DSCP mask without DSCP value";
            return Err(Failure::said(libc::EINVAL, text).at(mask.at));
        }
        if fields.tos & !value != 0 {
            return Err(Failure::said(libc::EINVAL, "Invalid DSCP mask").at(mask.at));
        }
        fields.dscp_mask = value;
    }
    if label[0].is_some() || label[1].is_some() {
        let [Some(value), Some(mask)] = label else {
            let missing = if label[0].is_none() {
                fra::FLOWLABEL
            } else {
                fra::FLOWLABEL_MASK
            };
            return Err(Failure::new(libc::EINVAL).misses(missing));
        };
        let word = |a: memtun_stack::wire::Attribute<'_>| {
            let bytes = a.value.get(..4).and_then(|b| b.try_into().ok());
            u32::from_be_bytes(bytes.unwrap_or_default())
        };
        if word(mask) & !0xfffff != 0 {
            let text = "Invalid flow label mask";
            return Err(Failure::said(libc::EINVAL, text).at(mask.at));
        }
        if word(value) & !word(mask) != 0 {
            return invalid("Flow label and mask do not match");
        }
        fields.label = [word(value).to_be_bytes(), word(mask).to_be_bytes()];
    }
    if fields.action == action::TABLE && fields.table == 0 && !fields.l3mdev {
        if fields.family == INET6 {
            return invalid("Invalid table");
        }
        fields.table = engine::new_table(world);
    }
    if fields.action == action::TABLE && fields.family == INET6 && !fields.l3mdev {
        crate::engine::route::tables::make_v6(world, fields.table);
    }
    if fields.family == INET {
        fields.realm = tb.get(fra::FLOW).and_then(|a| a.u32()).unwrap_or(0);
    }
    Ok(())
}

fn new(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb) = read(request)?;
    let (mut fields, _) = fields(world, body, &tb)?;
    if request.has(libc::NLM_F_EXCL) {
        let rules = engine::all(world, fields.family);
        let same =
            |rule: &Rule| Fields::of(rule).is_some_and(|other| is_same(&other, &fields, body, &tb));
        if rules.iter().any(same) {
            return Err(Failure::new(libc::EEXIST));
        }
    }
    configure(world, &tb, &mut fields)?;
    engine::add(world, &fields);
    tell(world, &fields.to_rule(), libc::RTM_NEWRULE);
    Ok(())
}

/// Is this the rule that a new one would be again (`rule_exists`)?
fn is_same(other: &Fields, new: &Fields, body: &[u8], tb: &Parsed<'_>) -> bool {
    other.action == new.action
        && other.table == new.table
        && other.priority == new.priority
        && other.iif == new.iif
        && other.oif == new.oif
        && other.mark == new.mark
        && other.suppress_group == new.suppress_group
        && other.suppress_prefix == new.suppress_prefix
        && other.mark_mask == new.mark_mask
        && other.tunnel == new.tunnel
        && other.l3mdev == new.l3mdev
        && other.users == new.users
        && other.ip_protocol == new.ip_protocol
        && other.protocol == new.protocol
        && other.sport == new.sport
        && other.sport_mask == new.sport_mask
        && other.dport == new.dport
        && other.dport_mask == new.dport_mask
        && of_family(other, body, tb)
}

/// Does a rule have what the request names of its family's fields (`fib4_rule_compare`)?
fn of_family(rule: &Fields, body: &[u8], tb: &Parsed<'_>) -> bool {
    let byte = |kind| tb.get(kind).and_then(|a| a.u8());
    let value = |kind| tb.get(kind).map_or(&[][..], |a| a.value);
    let (to, from, tos) = (body[1], body[2], body[3]);
    let network = |length: u8, kind, has: u8, network: &[u8]| {
        length == 0 || has == length && network == value(kind)
    };
    let labels = [(fra::FLOWLABEL, 0), (fra::FLOWLABEL_MASK, 1)];
    let label = labels.iter().all(|(kind, at)| {
        tb.get(*kind)
            .is_none_or(|a| a.value.get(..4) == Some(&rule.label[*at][..]))
    });
    network(to, fra::DST, rule.to_length, &rule.to)
        && network(from, fra::SRC, rule.from_length, &rule.from)
        && (tos == 0 || !rule.dscp_full && rule.tos == tos)
        && byte(fra::DSCP).is_none_or(|dscp| rule.dscp_full && rule.tos == dscp << 2)
        && byte(fra::DSCP_MASK).is_none_or(|mask| rule.dscp_mask == mask << 2)
        && (rule.family == INET6 || {
            let realm = tb.get(fra::FLOW).and_then(|a| a.u32());
            realm.is_none_or(|realm| rule.realm == realm)
        })
        && (rule.family == INET || label)
}

fn delete(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb) = read(request)?;
    let (wanted, given) = fields(world, body, &tb)?;
    let rules = engine::all(world, wanted.family);
    let found = rules.iter().find(|rule| {
        Fields::of(rule).is_some_and(|rule| is_meant(&rule, &wanted, given, body, &tb))
    });
    let found = found.ok_or(Failure::new(libc::ENOENT))?;
    let before = engine::told(world, found, &rules);
    engine::remove(world, found)?;
    tell_as(world, &before, libc::RTM_DELRULE);
    Ok(())
}

/// Is this the rule that a request deletes (`rule_find`)?
fn is_meant(rule: &Fields, wanted: &Fields, given: bool, body: &[u8], tb: &Parsed<'_>) -> bool {
    let empty = |name: &Name| name.as_bytes().is_empty();
    (wanted.action == 0 || rule.action == wanted.action)
        && (wanted.table == 0 || rule.table == wanted.table)
        && (!given || rule.priority == wanted.priority)
        && (empty(&wanted.iif) || rule.iif == wanted.iif)
        && (empty(&wanted.oif) || rule.oif == wanted.oif)
        && (wanted.mark == 0 || rule.mark == wanted.mark)
        && (wanted.suppress_group == -1 || rule.suppress_group == wanted.suppress_group)
        && (wanted.suppress_prefix == -1 || rule.suppress_prefix == wanted.suppress_prefix)
        && (wanted.mark_mask == 0 || rule.mark_mask == wanted.mark_mask)
        && (wanted.tunnel == [0; 8] || rule.tunnel == wanted.tunnel)
        && (!wanted.l3mdev || rule.l3mdev)
        && (wanted.users.is_none() || rule.users == wanted.users)
        && (wanted.ip_protocol == 0 || rule.ip_protocol == wanted.ip_protocol)
        && (wanted.protocol == 0 || rule.protocol == wanted.protocol)
        && (wanted.sport[0] == 0 || rule.sport == wanted.sport)
        && (wanted.sport_mask == 0 || rule.sport_mask == wanted.sport_mask)
        && (wanted.dport[0] == 0 || rule.dport == wanted.dport)
        && (wanted.dport_mask == 0 || rule.dport_mask == wanted.dport_mask)
        && of_family(rule, body, tb)
}

fn tell(world: &mut World<'_>, rule: &Rule, kind: u16) {
    let rules = engine::all(world, rule.family);
    let told = engine::told(world, rule, &rules);
    tell_as(world, &told, kind);
}

fn tell_as(world: &mut World<'_>, told: &Rule, kind: u16) {
    let mut to = Writer::default();
    told.write(&mut to, world.caused(kind, 0));
    let group = if told.family == INET6 {
        libc::RTNLGRP_IPV6_RULE
    } else {
        libc::RTNLGRP_IPV4_RULE
    };
    world.tell(group, to.take());
}

fn dump(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if request.is_strict() {
        if body.len() < HEADER {
            return invalid("Invalid header for fib rule dump request");
        }
        if body[1..HEADER].iter().any(|byte| *byte != 0) {
            return invalid("Invalid values in header for fib rule dump request");
        }
        if body.len() > HEADER {
            return invalid("Invalid data after header in fib rule dump request");
        }
    }
    let families: &[u8] = match body[0] {
        UNSPEC => &FAMILIES,
        ref family if FAMILIES.contains(family) => std::slice::from_ref(family),
        _ => return Err(Failure::new(libc::EAFNOSUPPORT)),
    };
    for family in families {
        let rules = engine::all(world, *family);
        for rule in &rules {
            let told = engine::told(world, rule, &rules);
            told.write(to, request.head(libc::RTM_NEWRULE, 0));
        }
    }
    Ok(())
}
