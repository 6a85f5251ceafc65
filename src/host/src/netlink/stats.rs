//! Counters: RTM_GETSTATS, RTM_SETSTATS (net/core/rtnetlink.c).
#![forbid(unsafe_code)]

use super::link::indexes;
use super::link_policy as policy;
use super::policy::Mode;
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::message::link::stats64;
use crate::{Failure, World};
use memtun_stack::wire::{Writer, NESTED};

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const NEWSTATS: u16 = 92;
const GETSTATS: u16 = 94;
const SETSTATS: u16 = 95;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(GETSTATS, UNSPEC, Some(get_stats), Some(dump_stats)).joined(),
    row(SETSTATS, UNSPEC, Some(set_stats), None),
];

/// Length in bytes of `struct if_stats_msg`.
const STATS: usize = 12;
const LINK_64: u32 = 1;
const OFFLOAD: u32 = 1 << 3;
const AF_SPEC: u32 = 1 << 4;

/// Checks the header (`rtnl_valid_stats_req`).
fn check_stats(request: &Request<'_>, dump: bool) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < STATS {
        return invalid("Invalid header for stats dump");
    }
    if !request.is_strict() {
        return Ok(());
    }
    if body[1..4] != [0; 3] || dump && word(body, 4) != 0 {
        return invalid("Invalid values in header for stats dump request");
    }
    if word(body, 8) >= 1 << 5 {
        return invalid("Invalid stats requested through filter mask");
    }
    Ok(())
}

/// Reads which counters of offloaded packets are wanted (`rtnl_stats_get_parse`).
fn stats_filter(request: &Request<'_>, mask: u32) -> Result<u32, Failure> {
    let tb = request.parse(STATS, &policy::STATS, Mode::Strict)?;
    let Some(filters) = tb.get(1) else {
        return Ok(u32::MAX);
    };
    let filters = request.parse_nested(filters, &policy::STATS_FILTERS, Mode::Strict)?;
    let mut offload = u32::MAX;
    for filter in filters.iter() {
        if mask & 1 << (filter.kind - 1) == 0 {
            return invalid("Filtered attribute not enabled in filter_mask");
        }
        offload = filter.u32().unwrap_or(0);
    }
    Ok(offload)
}

fn write_stats(
    world: &World<'_>,
    request: &Request<'_>,
    index: u32,
    (mask, offload): (u32, u32),
    to: &mut Writer,
) {
    let Some(link) = world.link(index) else {
        return;
    };
    let mut own = [0; STATS];
    own[4..8].copy_from_slice(&index.to_ne_bytes());
    own[8..12].copy_from_slice(&mask.to_ne_bytes());
    let head = request.head(NEWSTATS, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own);
    if mask & LINK_64 != 0 {
        to.attribute(1, &stats64(link));
    }
    // IFLA_OFFLOAD_XSTATS_HW_S_INFO: nothing is counted in hardware.
    if mask & OFFLOAD != 0 && offload & 1 << 1 != 0 {
        let all = to.begin(4);
        let info = to.begin(2 | NESTED);
        let one = to.begin(3 | NESTED);
        to.u8(1, 0).u8(2, 0).end(one);
        to.end(info);
        to.end(all);
    }
    if mask & AF_SPEC != 0 {
        to.attribute(5, &[]);
    }
}

fn get_stats(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    check_stats(request, false)?;
    let body = request.message.body;
    let index = word(body, 4);
    if index == 0 {
        return Err(Failure::new(libc::EINVAL));
    }
    if world.link(index).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    let mask = word(body, 8);
    if mask == 0 {
        return invalid("Filter mask must be set for stats get");
    }
    let offload = stats_filter(request, mask)?;
    write_stats(world, request, index, (mask, offload), to);
    Ok(())
}

fn dump_stats(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    check_stats(request, true)?;
    let mask = word(request.message.body, 8);
    if mask == 0 {
        return invalid("Filter mask must be set for stats dump");
    }
    let offload = stats_filter(request, mask)?;
    for index in indexes(world) {
        write_stats(world, request, index, (mask, offload), to);
    }
    Ok(())
}

fn set_stats(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    check_stats(request, false)?;
    let body = request.message.body;
    if body[0] != UNSPEC {
        return invalid("Address family should be AF_UNSPEC");
    }
    let index = word(body, 4);
    if index == 0 {
        return Err(Failure::new(libc::EINVAL));
    }
    if world.link(index).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    if word(body, 8) != 0 {
        return invalid("Filter mask must be 0 for stats set");
    }
    let tb = request.parse(STATS, &policy::STATS_SET, Mode::Strict)?;
    match tb.get(2).and_then(|a| a.u8()) {
        Some(0) | None => Ok(()),
        Some(_) => Err(Failure::new(libc::EOPNOTSUPP)),
    }
}
