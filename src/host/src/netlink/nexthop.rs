//! Objects of next hops: RTM_NEWNEXTHOP, RTM_GETNEXTHOPBUCKET and so on (net/ipv4/nexthop.c).
#![forbid(unsafe_code)]

use super::policy::{Check, Kind, Mode, Parsed, Policy, Table, NEST, U16, U32};
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::engine::nexthop::{change, Config, Members, Timers, Wanted};
use crate::engine::route::object::find;
use crate::{Failure, World};
use memtun_stack::nexthop::{nha, op, Body, DELNEXTHOP, HEADER, NEWNEXTHOP, NEWNEXTHOPBUCKET};
use memtun_stack::route::rtnh;
use memtun_stack::wire::{u32_at, Attribute, Writer, NESTED};
use memtun_stack::HopObject;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;
const GETNEXTHOP: u16 = 106;
const GETNEXTHOPBUCKET: u16 = 118;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(NEWNEXTHOP, UNSPEC, Some(new), None),
    row(DELNEXTHOP, UNSPEC, Some(delete), None),
    row(GETNEXTHOP, UNSPEC, Some(get), Some(dump)).joined(),
    row(
        GETNEXTHOPBUCKET,
        UNSPEC,
        Some(get_bucket),
        Some(dump_buckets),
    )
    .joined(),
];

const FLAG: Policy = Policy::of(Kind::Flag, 0);
const BINARY: Policy = Policy::of(Kind::Binary, 0);
/// What may be asked for with an answer: counters.
const COUNTERS: Policy = Policy {
    check: Check::Mask((op::STATS | op::HARDWARE_STATS) as u64),
    ..U32
};

static NEW: Table = Table {
    max: nha::HW_STATS_ENABLE,
    strict_from: 0,
    entries: &[
        (nha::ID, U32),
        (nha::GROUP, BINARY),
        (nha::GROUP_TYPE, U16),
        (nha::BLACKHOLE, FLAG),
        (nha::OIF, U32),
        (nha::GATEWAY, BINARY),
        (nha::ENCAP_TYPE, U16),
        (nha::ENCAP, NEST),
        (nha::FDB, FLAG),
        (nha::RES_GROUP, NEST),
        (nha::HW_STATS_ENABLE, Policy::range(Kind::U32, 0, 1)),
    ],
};

static DELETE: Table = Table {
    max: nha::ID,
    strict_from: 0,
    entries: &[(nha::ID, U32)],
};

static GET: Table = Table {
    max: nha::OP_FLAGS,
    strict_from: 0,
    entries: &[(nha::ID, U32), (nha::OP_FLAGS, COUNTERS)],
};

static DUMP: Table = Table {
    max: nha::OP_FLAGS,
    strict_from: 0,
    entries: &[
        (nha::OIF, U32),
        (nha::GROUPS, FLAG),
        (nha::MASTER, U32),
        (nha::FDB, FLAG),
        (nha::OP_FLAGS, COUNTERS),
    ],
};

static RESILIENT: Table = Table {
    max: 3,
    strict_from: 0,
    entries: &[(1, U16), (2, U32), (3, U32)],
};

static GET_BUCKET: Table = Table {
    max: nha::RES_BUCKET,
    strict_from: 0,
    entries: &[(nha::ID, U32), (nha::RES_BUCKET, NEST)],
};

static DUMP_BUCKETS: Table = Table {
    max: nha::RES_BUCKET,
    strict_from: 0,
    entries: &[
        (nha::ID, U32),
        (nha::OIF, U32),
        (nha::MASTER, U32),
        (nha::RES_BUCKET, NEST),
    ],
};

static BUCKET_INDEX: Table = Table {
    max: 1,
    strict_from: 0,
    entries: &[(1, U16)],
};

static BUCKET_MEMBER: Table = Table {
    max: 3,
    strict_from: 0,
    entries: &[(3, U32)],
};

fn number(tb: &Parsed<'_>, kind: u16) -> Option<u32> {
    tb.get(kind)?.u32()
}

fn byte(request: &Request<'_>, at: usize) -> u8 {
    request.message.body.get(at).copied().unwrap_or(0)
}

/// Reads the members of a group (`nh_check_attr_group`).
fn members(tb: &Parsed<'_>, group: Attribute<'_>, resilient: bool) -> Result<Members, Failure> {
    /// Length in bytes of `struct nexthop_grp`.
    const ONE: usize = 8;
    if group.value.is_empty() || !group.value.len().is_multiple_of(ONE) {
        return invalid("Invalid length for nexthop group attribute");
    }
    let mut all = Vec::new();
    for one in group.value.chunks_exact(ONE) {
        all.push((
            u32_at(one, 0).unwrap_or(0),
            u16::from_le_bytes([one[4], one[5]]).wrapping_add(1),
            u16::from_ne_bytes([one[6], one[7]]),
        ));
    }
    for (at, (id, weight, reserved)) in all.iter().enumerate() {
        if *reserved != 0 {
            return invalid("Reserved field in nexthop_grp must be 0");
        }
        if *weight == 0 {
            return invalid("Invalid value for weight");
        }
        if all[at + 1..].iter().any(|other| other.0 == *id) {
            return invalid("Nexthop id can not be used twice in a group");
        }
    }
    let others = tb.iter().filter(|a| a.kind > nha::GROUP_TYPE);
    let mut others = others.filter(|a| match a.kind {
        nha::HW_STATS_ENABLE | nha::FDB => false,
        nha::RES_GROUP => !resilient,
        _ => true,
    });
    if others.next().is_some() {
        return invalid("No other attributes can be set in nexthop groups");
    }
    Ok(Members {
        all: all.iter().map(|(id, weight, _)| (*id, *weight)).collect(),
        resilient: None,
    })
}

/// Reads what a group with buckets is to be (`rtm_to_nh_config_grp_res`).
fn timers(request: &Request<'_>, tb: &Parsed<'_>) -> Result<Timers, Failure> {
    let Some(nest) = tb.get(nha::RES_GROUP) else {
        return Ok(Timers::default());
    };
    let tb = request.parse_nested(nest, &RESILIENT, Mode::Strict)?;
    let buckets = tb.get(1).and_then(|a| a.u16());
    if buckets == Some(0) {
        return invalid("Number of buckets needs to be non-0");
    }
    Ok(Timers {
        buckets,
        idle: number(&tb, 2),
        unbalanced: number(&tb, 3),
    })
}

/// Reads what an object is to be (`rtm_to_nh_config`).
fn config(request: &Request<'_>, tb: &Parsed<'_>) -> Result<Config, Failure> {
    let (family, scope, protocol, reserved) = (
        byte(request, 0),
        byte(request, 1),
        byte(request, 2),
        byte(request, 3),
    );
    let flags = word(request.message.body, 4);
    if reserved != 0 || scope != 0 {
        return invalid("Invalid values in ancillary header");
    }
    if flags & !rtnh::ONLINK != 0 {
        return invalid("Invalid nexthop flags in ancillary header");
    }
    let group = tb.get(nha::GROUP);
    if !matches!(family, INET | INET6) && (family != UNSPEC || group.is_none()) {
        return invalid("Invalid address family");
    }
    let any = |kinds: &[u16]| kinds.iter().any(|kind| tb.has(*kind));
    let fdb = tb.has(nha::FDB);
    if fdb && any(&[nha::OIF, nha::BLACKHOLE, nha::ENCAP, nha::ENCAP_TYPE]) {
        return invalid("Fdb attribute can not be used with encap, oif or blackhole");
    }
    if fdb && flags != 0 {
        return invalid("Unsupported nexthop flags in ancillary header");
    }
    let mut config = Config {
        id: number(tb, nha::ID).unwrap_or(0),
        family,
        protocol,
        flags,
        fdb,
        wanted: Wanted::Blackhole,
        how: request.message.flags,
    };
    if let Some(group) = group {
        if family != UNSPEC {
            return invalid("Invalid family for group");
        }
        let kind = tb.get(nha::GROUP_TYPE).and_then(|a| a.u16()).unwrap_or(0);
        if kind > 1 {
            return invalid("Invalid group type");
        }
        let mut members = members(tb, group, kind == 1)?;
        if kind == 1 {
            members.resilient = Some(timers(request, tb)?);
        }
        config.wanted = Wanted::Group(members);
        return Ok(config);
    }
    if tb.has(nha::BLACKHOLE) {
        if any(&[
            nha::GATEWAY,
            nha::OIF,
            nha::ENCAP,
            nha::ENCAP_TYPE,
            nha::FDB,
        ]) {
            let text = "Blackhole attribute can not be used with gateway, oif, encap or fdb";
            return invalid(text);
        }
        return Ok(config);
    }
    if !fdb && !tb.has(nha::OIF) {
        let text = "Device attribute required for non-blackhole and non-fdb nexthops";
        return invalid(text);
    }
    let gateway = match tb.get(nha::GATEWAY) {
        Some(a) => match a.ip().filter(|ip| ip.is_ipv4() == (family == INET)) {
            Some(gateway) => Some(gateway),
            None => return invalid("Invalid gateway"),
        },
        None if flags & rtnh::ONLINK != 0 => {
            let text = "ONLINK flag can not be set for nexthop without a gateway";
            return invalid(text);
        }
        None => None,
    };
    check_encapsulation(tb)?;
    if tb.has(nha::HW_STATS_ENABLE) {
        let text = "Cannot enable nexthop hardware statistics for non-group nexthops";
        return invalid(text);
    }
    config.wanted = Wanted::One {
        index: number(tb, nha::OIF),
        gateway,
    };
    Ok(config)
}

/// Refuses what encapsulates packets: no such driver is here.
fn check_encapsulation(tb: &Parsed<'_>) -> Result<(), Failure> {
    match (tb.has(nha::ENCAP), tb.get(nha::ENCAP_TYPE)) {
        (false, None) => Ok(()),
        (false, Some(_)) => invalid("LWT encapsulation attribute is missing"),
        (true, None) => invalid("LWT encapsulation type is missing"),
        (true, Some(kind)) => super::route::check_encapsulation(Some(kind)),
    }
}

fn new(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &NEW, Mode::Strict)?;
    let config = config(request, &tb)?;
    if request.has(libc::NLM_F_REPLACE) && config.id == 0 {
        return invalid("Replace requires nexthop id");
    }
    change::add(world, &config)
}

/// Reads which object is meant (`nh_valid_get_del_req`).
fn id_of(request: &Request<'_>, tb: &Parsed<'_>) -> Result<u32, Failure> {
    if !is_plain(request) {
        return invalid("Invalid values in header");
    }
    match number(tb, nha::ID) {
        None => invalid("Nexthop id is missing"),
        Some(0) => invalid("Invalid nexthop id"),
        Some(id) => Ok(id),
    }
}

/// Says the header nothing but the family?
fn is_plain(request: &Request<'_>) -> bool {
    (1..4).all(|at| byte(request, at) == 0) && word(request.message.body, 4) == 0
}

fn delete(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &DELETE, Mode::Strict)?;
    let id = id_of(request, &tb)?;
    change::delete(world, id, request.message.flags)
}

fn get(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &GET, Mode::Strict)?;
    let id = id_of(request, &tb)?;
    let it = find(world.state, id).ok_or(Failure::new(libc::ENOENT))?;
    let wanted = number(&tb, nha::OP_FLAGS).unwrap_or(0);
    it.write(to, request.head(NEWNEXTHOP, 0), Some(wanted));
    Ok(())
}

/// Which objects are wanted (`struct nh_dump_filter`).
struct Filter {
    family: u8,
    index: u32,
    master: u32,
    groups: bool,
}

impl Filter {
    fn of(request: &Request<'_>, tb: &Parsed<'_>) -> Result<Filter, Failure> {
        let index = |kind| number(tb, kind).unwrap_or(0);
        let filter = Filter {
            family: byte(request, 0),
            index: index(nha::OIF),
            master: index(nha::MASTER),
            groups: tb.has(nha::GROUPS),
        };
        if filter.index > i32::MAX as u32 {
            return invalid("Invalid device index");
        }
        if filter.master > i32::MAX as u32 {
            return invalid("Invalid master device index");
        }
        if !is_plain(request) {
            return invalid("Invalid values in header for nexthop dump request");
        }
        Ok(filter)
    }

    fn wants(&self, it: &HopObject) -> bool {
        match &it.body {
            Body::Group { .. } => self.index == 0 && self.master == 0 && self.family == 0,
            Body::One {
                family, hop, fdb, ..
            } => {
                // No interface here has a master.
                let index = if *fdb { 0 } else { hop.index };
                !self.groups
                    && (self.family == 0 || self.family == *family)
                    && (self.index == 0 || self.index == index)
                    && self.master == 0
            }
        }
    }
}

fn dump(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &DUMP, Mode::Strict)?;
    let filter = Filter::of(request, &tb)?;
    let wanted = number(&tb, nha::OP_FLAGS).unwrap_or(0);
    for it in world.state.objects.iter().filter(|it| filter.wants(it)) {
        it.write(to, request.head(NEWNEXTHOP, 0), Some(wanted));
    }
    Ok(())
}

/// Returns the group of a number, with its buckets (`nexthop_find_group_resilient`).
fn resilient<'w>(world: &'w World<'_>, id: u32) -> Result<&'w HopObject, Failure> {
    let it = find(world.state, id).ok_or(Failure::new(libc::ENOENT))?;
    match &it.body {
        Body::One { .. } => invalid("Not a nexthop group"),
        Body::Group {
            resilient: None, ..
        } => invalid("Nexthop group not of type resilient"),
        Body::Group { .. } => Ok(it),
    }
}

/// Appends messages about the buckets of a group that are wanted.
fn write_buckets(
    world: &World<'_>,
    request: &Request<'_>,
    it: &HopObject,
    wanted: impl Fn(usize, u32) -> bool,
    to: &mut Writer,
) {
    let Body::Group {
        resilient: Some(resilient),
        ..
    } = &it.body
    else {
        return;
    };
    let idle = world.now.wrapping_sub(resilient.since);
    for (at, member) in resilient.buckets.iter().enumerate() {
        if !wanted(at, *member) {
            continue;
        }
        let head = request.head(NEWNEXTHOPBUCKET, 0);
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&[0, 0, it.protocol, 0, 0, 0, 0, 0])
            .u32(nha::ID, it.id);
        let open = to.begin(nha::RES_BUCKET | NESTED);
        to.u16(1, at as u16).u32(3, *member).u64(2, idle.into());
        to.end(open);
    }
}

fn get_bucket(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &GET_BUCKET, Mode::Strict)?;
    let id = id_of(request, &tb)?;
    let Some(nest) = tb.get(nha::RES_BUCKET) else {
        return invalid("Bucket information is missing");
    };
    let tb = request.parse_nested(nest, &BUCKET_INDEX, Mode::Strict)?;
    let Some(index) = tb.get(1).and_then(|a| a.u16()) else {
        return invalid("Bucket index is missing");
    };
    let it = resilient(world, id)?;
    let before = to.len();
    write_buckets(world, request, it, |at, _| at == usize::from(index), to);
    match to.len() > before {
        true => Ok(()),
        false => Err(Failure::said(libc::ENOENT, "Bucket index out of bounds")),
    }
}

fn dump_buckets(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let said = request.parse(HEADER, &DUMP_BUCKETS, Mode::Strict);
    // What is wrong with the attributes themselves is not said.
    let tb = said.map_err(|failure| Failure::from(failure.errno))?;
    let id = number(&tb, nha::ID);
    if id == Some(0) {
        return invalid("Invalid nexthop id");
    }
    let mut member = None;
    if let Some(nest) = tb.get(nha::RES_BUCKET) {
        let tb = request.parse_nested(nest, &BUCKET_MEMBER, Mode::Strict)?;
        member = number(&tb, 3);
        if member == Some(0) {
            return invalid("Invalid nexthop id");
        }
    }
    let filter = Filter::of(request, &tb)?;
    let world: &World<'_> = world;
    let all: Vec<&HopObject> = match id {
        Some(id) => vec![resilient(world, id)?],
        None => world.state.objects.iter().collect(),
    };
    for it in all {
        let wanted = |_: usize, id: u32| {
            let own = find(world.state, id);
            own.is_some_and(|own| filter.wants(own)) && member.is_none_or(|member| member == id)
        };
        write_buckets(world, request, it, wanted, to);
    }
    Ok(())
}
