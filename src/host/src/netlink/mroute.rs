//! Routes of IPv4 for multicast (net/ipv4/ipmr.c): a net has the table that every namespace has,
//! with no interface and no route in it, and nobody who hands packets on.
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Policy, Table};
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::{Failure, World};
use memtun_stack::wire::{Writer, NESTED};

/// RTNL_FAMILY_IPMR.
const FAMILY: u8 = 128;
/// RT_TABLE_DEFAULT, the number of the table.
const TABLE: u32 = 253;
/// Length in bytes of `struct rtmsg` and of `struct ifinfomsg`.
const ROUTE: usize = 12;
const LINK: usize = 16;
/// RTPROT_MROUTED.
const MROUTED: u8 = 17;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_GETLINK, FAMILY, None, Some(dump_table)),
    row(libc::RTM_GETROUTE, FAMILY, Some(get), None),
    row(libc::RTM_NEWROUTE, FAMILY, Some(change), None),
    row(libc::RTM_DELROUTE, FAMILY, Some(change), None),
];

const U32: Policy = Policy::of(Kind::U32, 0);

static ATTRIBUTES: Table = Table {
    max: 30,
    strict_from: 0,
    entries: &[
        (libc::RTA_DST, U32),
        (libc::RTA_SRC, U32),
        (libc::RTA_IIF, U32),
        (libc::RTA_TABLE, U32),
    ],
};

/// Tells of the table (`ipmr_rtm_dumplink`).
fn dump_table(_: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if request.is_strict() {
        if body.len() < LINK {
            return invalid("ipv4: Invalid header for ipmr link dump");
        }
        if body.len() > LINK {
            return invalid("Invalid data after header in ipmr link dump");
        }
        if body[1..LINK].iter().any(|byte| *byte != 0) {
            return invalid("Invalid values in header for ipmr link dump request");
        }
    }
    let mut own = [0; LINK];
    own[0] = FAMILY;
    let head = request.head(libc::RTM_NEWLINK, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own);
    // IPMRA_TABLE_*: its number, what the cache holds, who is told of packets, what is asked of it.
    let open = to.begin(libc::IFLA_AF_SPEC & !NESTED);
    to.u32(1, TABLE).u32(2, 0).u32(3, u32::MAX);
    to.u8(4, 0).u8(5, 0).u8(7, 0);
    let interfaces = to.begin(6);
    to.end(interfaces);
    to.end(open);
    Ok(())
}

/// Looks for a route, of which there is none (`ipmr_rtm_getroute`).
fn get(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < ROUTE {
        return invalid("ipv4: Invalid header for multicast route get request");
    }
    if !request.is_strict() {
        request.parse(ROUTE, &ATTRIBUTES, Mode::Liberal)?;
        return Err(Failure::new(libc::ENOENT));
    }
    let [_, to, from, tos, table, protocol, scope, kind] = body[..8] else {
        return Err(Failure::new(libc::EINVAL));
    };
    let odd = |length: u8| length != 0 && length != 32;
    let others = [tos, table, protocol, scope, kind];
    if odd(to) || odd(from) || others != [0; 5] || word(body, 8) != 0 {
        return invalid("ipv4: Invalid values in header for multicast route get request");
    }
    let tb = request.parse(ROUTE, &ATTRIBUTES, Mode::Known)?;
    if tb.has(libc::RTA_SRC) && from == 0 || tb.has(libc::RTA_DST) && to == 0 {
        return invalid("ipv4: rtm_src_len and rtm_dst_len must be 32 for IPv4");
    }
    let known = [libc::RTA_SRC, libc::RTA_DST, libc::RTA_TABLE];
    if tb.iter().any(|attribute| !known.contains(&attribute.kind)) {
        return invalid("ipv4: Unsupported attribute in multicast route get request");
    }
    Err(Failure::new(libc::ENOENT))
}

/// Refuses to add or to delete a route (`ipmr_rtm_route`).
fn change(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let fails = |errno: i32| Err(Failure::new(errno));
    let tb = request.parse(ROUTE, &ATTRIBUTES, Mode::Liberal)?;
    let [_, to, from, _, _, protocol, scope, kind] = request.message.body[..8] else {
        return fails(libc::EINVAL);
    };
    let is_route = (to, from, scope, kind) == (32, 32, 0, libc::RTN_MULTICAST)
        && matches!(protocol, libc::RTPROT_STATIC | MROUTED);
    if !is_route {
        return fails(libc::EINVAL);
    }
    let number = |kind: u16| tb.get(kind).and_then(|a| a.u32());
    if number(libc::RTA_IIF).is_some_and(|index| world.link(index).is_none()) {
        return fails(libc::ENODEV);
    }
    let is_there = number(libc::RTA_TABLE).is_none_or(|table| table == TABLE);
    // No link is one of those between which packets are handed on.
    match is_there && request.message.kind == libc::RTM_NEWROUTE {
        true => fails(libc::ENFILE),
        false => fails(libc::ENOENT),
    }
}
