//! Objects of next hops, of which there are none (net/ipv4/nexthop.c).
#![forbid(unsafe_code)]

use super::policy::{Mode, Table, U32};
use super::request::{invalid, Request};
use super::row::{row, Row};
use crate::{Failure, World};
use memtun_stack::wire::Writer;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const DELNEXTHOP: u16 = 105;
const GETNEXTHOP: u16 = 106;
const GETNEXTHOPBUCKET: u16 = 118;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(DELNEXTHOP, UNSPEC, Some(one_hop), None),
    row(GETNEXTHOP, UNSPEC, Some(one_hop), Some(dump_none)).joined(),
    row(GETNEXTHOPBUCKET, UNSPEC, None, Some(dump_none)).joined(),
];

static NEXTHOP: Table = Table {
    max: 16,
    strict_from: 0,
    entries: &[(1, U32)],
};

/// Answers for one object of a next hop, or deletes it.
fn one_hop(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    /// Length in bytes of `struct nhmsg`.
    const HEADER: usize = 8;
    let tb = request.parse(HEADER, &NEXTHOP, Mode::Strict)?;
    match tb.get(1).and_then(|a| a.u32()) {
        None => invalid("Nexthop id is missing"),
        Some(0) => invalid("Invalid nexthop id"),
        Some(_) => Err(Failure::new(libc::ENOENT)),
    }
}

/// Dumps nothing, because there is nothing of the kind.
fn dump_none(_: &mut World<'_>, _: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    Ok(())
}
