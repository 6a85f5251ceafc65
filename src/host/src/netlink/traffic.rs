//! Queueing disciplines, classes, filters and chains: there is what the kernel attaches by itself
//! (net/sched/sch_api.c, net/sched/cls_api.c).
#![forbid(unsafe_code)]

use super::link_policy as policy;
use super::policy::Mode;
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::message::link::qdisc;
use crate::{Failure, World};
use memtun_stack::wire::Writer;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const NEWCHAIN: u16 = 100;
const DELCHAIN: u16 = 101;
const GETCHAIN: u16 = 102;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWQDISC, UNSPEC, Some(change_qdisc), None),
    row(libc::RTM_DELQDISC, UNSPEC, Some(change_qdisc), None),
    row(
        libc::RTM_GETQDISC,
        UNSPEC,
        Some(get_qdisc),
        Some(dump_qdisc),
    ),
    row(libc::RTM_NEWTCLASS, UNSPEC, Some(one_class), None),
    row(libc::RTM_DELTCLASS, UNSPEC, Some(one_class), None),
    row(
        libc::RTM_GETTCLASS,
        UNSPEC,
        Some(one_class),
        Some(dump_none),
    ),
    row(libc::RTM_NEWTFILTER, UNSPEC, Some(new_filter), None),
    row(libc::RTM_DELTFILTER, UNSPEC, Some(delete_filter), None),
    row(
        libc::RTM_GETTFILTER,
        UNSPEC,
        Some(get_filter),
        Some(dump_none),
    ),
    row(NEWCHAIN, UNSPEC, Some(one_chain), None),
    row(DELCHAIN, UNSPEC, Some(one_chain), None),
    row(GETCHAIN, UNSPEC, Some(one_chain), Some(dump_none)),
];

/// Length in bytes of `struct tcmsg`.
const TC: usize = 20;
/// TC_H_ROOT.
const ROOT: u32 = u32::MAX;

/// Parses a request and finds its link.
fn traffic<'b>(
    world: &World<'_>,
    request: &Request<'b>,
) -> Result<(&'b [u8], super::policy::Parsed<'b>), Failure> {
    let tb = request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    if world.link(word(body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    Ok((body, tb))
}

fn write_qdisc(
    request: &Request<'_>,
    link: &memtun_stack::Link,
    (kind, handle, parent): (&[u8], u32, u32),
    references: u32,
    to: &mut Writer,
) {
    let mut own = [0; TC];
    own[4..8].copy_from_slice(&link.extra.index.to_ne_bytes());
    own[8..12].copy_from_slice(&handle.to_ne_bytes());
    own[12..16].copy_from_slice(&parent.to_ne_bytes());
    own[16..20].copy_from_slice(&references.to_ne_bytes());
    let head = request.head(libc::RTM_NEWQDISC, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own)
        .string(1, kind);
    if kind == b"pfifo_fast" {
        // struct tc_prio_qopt: three bands, and which priority goes into which.
        let mut bands = 3u32.to_ne_bytes().to_vec();
        bands.extend([1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        to.attribute(2, &bands);
    }
    // TCA_HW_OFFLOAD, and counters of nothing: TCA_STATS2 with what is sent and what waits, and
    // TCA_STATS.
    to.u8(12, 0);
    let stats = to.begin(7);
    to.attribute(1, &[0; 16]).attribute(3, &[0; 20]);
    to.end(stats);
    to.attribute(3, &[0; 40]);
}

fn dump_qdisc(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let mode = if request.is_strict() {
        Mode::Known
    } else {
        Mode::Liberal
    };
    request.parse(TC, &policy::TRAFFIC, mode)?;
    for link in &world.links {
        let kind = qdisc(link);
        match kind {
            b"noop" => {}
            b"mq" => {
                write_qdisc(request, link, (kind, 0, ROOT), 1, to);
                let queues = link.driver.map_or(0, |driver| driver.queues);
                for queue in (1..=queues).rev() {
                    let one: (&[u8], u32, u32) = (b"pfifo_fast", 0, queue);
                    write_qdisc(request, link, one, 1, to);
                }
            }
            _ => write_qdisc(request, link, (kind, 0, ROOT), 2, to),
        }
    }
    Ok(())
}

/// The kernel's own disciplines are not told one by one.
fn get_qdisc(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb) = traffic(world, request)?;
    let (handle, parent) = (word(body, 8), word(body, 12));
    let link = world.link(word(body, 4));
    let is_there = link.is_some_and(|link| qdisc(link) != b"noop");
    if parent != 0 {
        if parent != ROOT {
            let text = "Failed to find qdisc with specified classid";
            return Err(Failure::said(libc::ENOENT, text));
        }
        if !is_there {
            let text = "Cannot find specified qdisc on specified device";
            return Err(Failure::said(libc::ENOENT, text));
        }
        if handle != 0 {
            return invalid("Invalid handle");
        }
    } else {
        let text = "Failed to find qdisc with specified handle";
        return Err(Failure::said(libc::ENOENT, text));
    }
    let _ = tb;
    Ok(())
}

/// Disciplines are not changed: what is asked for succeeds where the kernel would take it, and
/// nothing follows.
fn change_qdisc(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    traffic(world, request)?;
    let text = "Specified qdisc kind is unknown";
    Err(Failure::said(libc::ENOENT, text))
}

fn one_class(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    traffic(world, request)?;
    Err(Failure::new(libc::ENOENT))
}

fn dump_none(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if request.is_strict() && request.message.body.len() >= TC {
        request.parse(TC, &policy::TRAFFIC, Mode::Known)?;
    }
    Ok(())
}

fn new_filter(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    if world.link(word(request.message.body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    invalid("Parent Qdisc doesn't exists")
}

fn delete_filter(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    let tb = request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    let (handle, info) = (word(body, 8), word(body, 16));
    if info >> 16 == 0 && (info & 0xffff != 0 || handle != 0 || tb.has(1)) {
        let text = "Cannot flush filters with protocol, handle or kind set";
        return Err(Failure::said(libc::ENOENT, text));
    }
    if world.link(word(body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    invalid("Parent Qdisc doesn't exists")
}

fn get_filter(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    if word(body, 16) >> 16 == 0 {
        let text = "Invalid filter command with priority of zero";
        return Err(Failure::said(libc::ENOENT, text));
    }
    if world.link(word(body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    invalid("Parent Qdisc doesn't exists")
}

fn one_chain(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, _) = traffic(world, request)?;
    match word(body, 12) {
        0 => invalid("Qdisc not classful"),
        _ => invalid("Parent Qdisc doesn't exists"),
    }
}
