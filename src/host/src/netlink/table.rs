//! Who handles which type of message for which family (`rtnl_register`).
#![forbid(unsafe_code)]

use super::row::Row;
use super::{address, bridge, dcb, filter, group, label, link, neighbour, neighbour_table};
use super::{netconf, nexthop, nsid, route, rule, stats, traffic};

const UNSPEC: u8 = libc::AF_UNSPEC as u8;

/// The rows of each module.
static ROWS: &[&[Row]] = &[
    link::ROWS,
    address::ROWS,
    route::ROWS,
    rule::ROWS,
    neighbour::ROWS,
    neighbour_table::ROWS,
    label::ROWS,
    stats::ROWS,
    netconf::ROWS,
    nsid::ROWS,
    traffic::ROWS,
    filter::ROWS,
    group::ROWS,
    bridge::ROWS,
    dcb::ROWS,
    nexthop::ROWS,
];

/// Finds the row of a type: that of the family if it has the handler that is wanted, or else that
/// of AF_UNSPEC.
pub fn find(kind: u16, family: u8, dump: bool) -> Option<&'static Row> {
    let of = |family: u8| {
        ROWS.iter().copied().flatten().find(|row| {
            let handler = if dump { row.dump } else { row.change };
            row.kind == kind && row.family == family && handler.is_some()
        })
    };
    of(family).or_else(|| of(UNSPEC))
}
