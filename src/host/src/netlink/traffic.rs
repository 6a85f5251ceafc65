//! Queueing disciplines and classes: RTM_NEWQDISC, RTM_NEWTCLASS and so on (net/sched/sch_api.c).
#![forbid(unsafe_code)]

use super::link_policy as policy;
use super::policy::{Mode, Parsed};
use super::request::{word, Request};
use super::row::{row, Row};
use crate::engine::traffic::class::{self, What};
use crate::engine::traffic::options::Given;
use crate::engine::traffic::{change, told, tree, MAJOR};
use crate::message::traffic::{self as message, Told};
use crate::{Failure, World};
use memtun_stack::traffic::{HEADER, INGRESS, TCA_KIND, TCA_OPTIONS};
use memtun_stack::wire::Writer;
use memtun_stack::Link;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const TCA_RATE: u16 = 5;
const TCA_STAB: u16 = 8;
const TCA_DUMP_INVISIBLE: u16 = 10;
const TCA_BLOCKS: [u16; 2] = [13, 14];

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWQDISC, UNSPEC, Some(new_qdisc), None),
    row(libc::RTM_DELQDISC, UNSPEC, Some(get_qdisc), None),
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
        Some(dump_class),
    ),
];

/// Parses a request and finds its link.
fn traffic<'b>(
    world: &World<'_>,
    request: &Request<'b>,
) -> Result<(&'b [u8], Parsed<'b>, Link), Failure> {
    let tb = request.parse(HEADER, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    match world.link(word(body, 4)) {
        Some(link) => Ok((body, tb, link.clone())),
        None => Err(Failure::new(libc::ENODEV)),
    }
}

fn given<'r, 'b>(request: &'r Request<'b>, tb: &Parsed<'b>) -> Option<Given<'r, 'b>> {
    let attribute = tb.get(TCA_OPTIONS)?;
    Some(Given { request, attribute })
}

fn has_block(tb: &Parsed<'_>) -> bool {
    TCA_BLOCKS.iter().any(|block| tb.has(*block))
}

fn wanted<'r, 'b>(
    request: &'r Request<'b>,
    body: &[u8],
    tb: &Parsed<'b>,
) -> change::Wanted<'r, 'b> {
    change::Wanted {
        handle: word(body, 8),
        parent: word(body, 12),
        kind: tb.get(TCA_KIND).map(|a| a.string()),
        given: given(request, tb),
        wants_more: tb.has(TCA_RATE) || tb.has(TCA_STAB) || has_block(tb),
        creates: request.has(libc::NLM_F_CREATE),
        is_exclusive: request.has(libc::NLM_F_EXCL),
        replaces: request.has(libc::NLM_F_REPLACE),
    }
}

fn new_qdisc(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb, link) = traffic(world, request)?;
    change::modify(world, &link, &wanted(request, body, &tb))
}

fn get_qdisc(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb, link) = traffic(world, request)?;
    let wanted = wanted(request, body, &tb);
    match request.message.kind {
        libc::RTM_DELQDISC => change::delete(world, &link, &wanted),
        _ => change::get(world, &link, &wanted),
    }
}

fn write(request: &Request<'_>, kind: u16, all: &[Told], to: &mut Writer) {
    for told in all {
        message::write(to, request.head(kind, 0), told);
    }
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
    let tb = request.parse(HEADER, &policy::TRAFFIC, mode)?;
    let machine = world.machine.links.iter().map(|own| &own.item);
    for link in machine.chain(&world.links) {
        let mut all = told::disciplines(world, link);
        if all.is_empty() {
            // A link of the machine's on which the net has set none has those of the machine.
            let own = world.machine.disciplines.iter();
            for own in own.filter(|own| own.item == link.extra.index) {
                request.repeat(to, &own.message, 0);
            }
        }
        all.retain(|told| !told.is_hidden || tb.has(TCA_DUMP_INVISIBLE));
        write(request, libc::RTM_NEWQDISC, &all, to);
    }
    Ok(())
}

fn one_class(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb, link) = traffic(world, request)?;
    let wanted = class::Wanted {
        what: match request.message.kind {
            libc::RTM_NEWTCLASS => What::New,
            libc::RTM_DELTCLASS => What::Delete,
            _ => What::Get,
        },
        handle: word(body, 8),
        parent: word(body, 12),
        given: given(request, &tb),
        has_block: has_block(&tb),
        has_rate: tb.has(TCA_RATE),
        creates: request.has(libc::NLM_F_CREATE),
        is_exclusive: request.has(libc::NLM_F_EXCL),
    };
    class::carry_out(world, &link, &wanted)
}

fn dump_class(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < HEADER {
        return Ok(());
    }
    if request.is_strict() {
        request.parse(HEADER, &policy::TRAFFIC, Mode::Known)?;
    }
    let (index, parent) = (word(body, 4), word(body, 12));
    let Some(link) = world.link(index).cloned() else {
        return Ok(());
    };
    let state = &**world.state;
    let own = tree::root(state, index).into_iter();
    let below = tree::listed(state, index);
    let receives = tree::at(state, index, INGRESS);
    let all = own.chain(below).chain(receives);
    let all = all.filter(|of| !of.is_hidden && (parent == 0 || parent & MAJOR == of.handle));
    for of in all {
        let classes = told::classes(state, &link, of);
        write(request, libc::RTM_NEWTCLASS, &classes, to);
    }
    Ok(())
}
