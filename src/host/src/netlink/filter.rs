//! Filters and chains of traffic control, of which there are none: no kind of filter is here
//! (net/sched/cls_api.c).
#![forbid(unsafe_code)]

use super::link_policy as policy;
use super::policy::{Mode, Parsed};
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::engine::traffic::kinds::{self, Classes};
use crate::engine::traffic::{tree, MAJOR, MINOR};
use crate::{Failure, World};
use memtun_stack::traffic::{HEADER, TCA_KIND};
use memtun_stack::wire::Writer;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const NEWCHAIN: u16 = 100;
const DELCHAIN: u16 = 101;
const GETCHAIN: u16 = 102;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWTFILTER, UNSPEC, Some(new), None),
    row(libc::RTM_DELTFILTER, UNSPEC, Some(delete), None),
    row(libc::RTM_GETTFILTER, UNSPEC, Some(get), Some(dump_none)),
    row(NEWCHAIN, UNSPEC, Some(one_chain), None),
    row(DELCHAIN, UNSPEC, Some(one_chain), None),
    row(GETCHAIN, UNSPEC, Some(one_chain), Some(dump_none)),
];

const NO_CHAIN: &str = "Cannot find specified filter chain";

fn dump_none(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if request.is_strict() && request.message.body.len() >= HEADER {
        request.parse(HEADER, &policy::TRAFFIC, Mode::Known)?;
    }
    Ok(())
}

/// Priority and protocol of a filter (`tcm_info`).
fn priority(body: &[u8]) -> (u32, u32) {
    let info = word(body, 16);
    (info >> 16, info & 0xffff)
}

/// Finds the discipline and the class at which a filter is to be (`__tcf_qdisc_find`,
/// `__tcf_qdisc_cl_find`).
fn find(world: &World<'_>, body: &[u8]) -> Result<(), Failure> {
    let (index, parent) = (word(body, 4), word(body, 12));
    let Some(link) = world.link(index) else {
        return Err(Failure::new(libc::ENODEV));
    };
    let of = match parent {
        0 => tree::root(world.state, index),
        parent => tree::find(world.state, index, parent & MAJOR),
    };
    let Some(of) = of else {
        // What every link has before it first comes up is no discipline that is found by a number.
        return invalid(match parent {
            0 => "Qdisc not classful",
            _ => "Parent Qdisc doesn't exists",
        });
    };
    let Some(leaf) = tree::leaf(world.state, link, of, parent) else {
        return invalid("Qdisc not classful");
    };
    let classes = kinds::find(&of.kind).map_or(Classes::None, |kind| kind.classes);
    if classes == Classes::Queues || of.kind == b"tbf" || of.kind == b"netem" {
        let text = "Class doesn't support blocks";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    if parent & MINOR != 0 && matches!(leaf, tree::Leaf::NoClass) {
        return Err(Failure::said(libc::ENOENT, "Specified class doesn't exist"));
    }
    Ok(())
}

/// Says in the log what is asked for and not here.
fn note(what: &str, tb: &Parsed<'_>) {
    let kind = tb.get(TCA_KIND).map_or(&b""[..], |a| a.string());
    log::warn!(
        "{what} {} of traffic control is not here: it is refused as where the kernel lacks it",
        String::from_utf8_lossy(kind)
    );
}

fn new(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    let (priority, protocol) = priority(body);
    if priority == 0 && !request.has(libc::NLM_F_CREATE) {
        let text = "Invalid filter command with priority of zero";
        return Err(Failure::said(libc::ENOENT, text));
    }
    find(world, body)?;
    if !tb.has(TCA_KIND) || protocol == 0 {
        return invalid("Filter kind and protocol must be specified");
    }
    if !request.has(libc::NLM_F_CREATE) {
        let text = "Need both RTM_NEWTFILTER and NLM_F_CREATE to create a new filter";
        return Err(Failure::said(libc::ENOENT, text));
    }
    note("a filter of the kind", &tb);
    Err(Failure::said(libc::ENOENT, "TC classifier not found"))
}

fn delete(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    let (priority, protocol) = priority(body);
    if priority == 0 && (protocol != 0 || word(body, 8) != 0 || tb.has(TCA_KIND)) {
        let text = "Cannot flush filters with protocol, handle or kind set";
        return Err(Failure::said(libc::ENOENT, text));
    }
    find(world, body)?;
    match priority {
        0 => Ok(()),
        _ => Err(Failure::said(libc::ENOENT, NO_CHAIN)),
    }
}

fn get(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    request.parse(HEADER, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    if priority(body).0 == 0 {
        let text = "Invalid filter command with priority of zero";
        return Err(Failure::said(libc::ENOENT, text));
    }
    find(world, body)?;
    invalid(NO_CHAIN)
}

fn one_chain(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::TRAFFIC, Mode::Liberal)?;
    find(world, request.message.body)?;
    if request.message.kind == NEWCHAIN {
        note("a chain of filters", &tb);
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    invalid(NO_CHAIN)
}
