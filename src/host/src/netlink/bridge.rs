//! Groups of bridges, and numbers of virtual networks: RTM_NEWMDB, RTM_DELMDB, RTM_GETMDB,
//! RTM_GETTUNNEL (net/core/rtnetlink.c, drivers/net/vxlan).
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Policy, Table, NEST};
use super::request::{invalid, word, Request};
use super::row::{row, Row};
use crate::{Failure, World};
use memtun_stack::wire::Writer;

const BRIDGE: u8 = libc::AF_BRIDGE as u8;
/// RTM_GETTUNNEL: numbers of virtual networks, which only vxlan devices have.
const GETTUNNEL: u16 = 122;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWMDB, BRIDGE, Some(change_mdb), None),
    row(libc::RTM_DELMDB, BRIDGE, Some(change_mdb), None).bulk(),
    row(libc::RTM_GETMDB, BRIDGE, Some(change_mdb), Some(dump_mdb)),
    row(GETTUNNEL, BRIDGE, None, Some(dump_none)),
];

static MDB: Table = Table {
    max: 2,
    strict_from: 3,
    entries: &[(1, Policy::of(Kind::Binary, 28)), (2, NEST)],
};

fn change_mdb(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    /// NLM_F_BULK.
    const BULK: i32 = 0x200;
    let many = request.message.kind == libc::RTM_DELMDB && request.has(BULK);
    let mode = if many || request.message.kind == libc::RTM_GETMDB {
        Mode::Strict
    } else {
        Mode::Liberal
    };
    let tb = request.parse(8, &MDB, mode)?;
    let index = word(request.message.body, 4);
    if index == 0 {
        return invalid("Invalid ifindex");
    }
    if world.link(index).is_none() {
        return Err(Failure::said(libc::ENODEV, "Device doesn't exist"));
    }
    if !tb.has(1) {
        let text = if request.message.kind == libc::RTM_GETMDB {
            "Missing MDBA_GET_ENTRY attribute"
        } else {
            "Missing MDBA_SET_ENTRY attribute"
        };
        return Err(Failure::said(libc::EINVAL, text).misses(1));
    }
    let text = "Device does not support MDB operations";
    Err(Failure::said(libc::EOPNOTSUPP, text))
}

fn dump_mdb(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if !request.is_strict() {
        return Ok(());
    }
    if body.len() < 8 {
        return invalid("Invalid header for mdb dump request");
    }
    if word(body, 4) != 0 {
        return invalid("Filtering by device index is not supported for mdb dump request");
    }
    if body.len() > 8 {
        return invalid("Invalid data after header in mdb dump request");
    }
    Ok(())
}

/// Dumps nothing, because there is nothing of the kind.
fn dump_none(_: &mut World<'_>, _: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    Ok(())
}
