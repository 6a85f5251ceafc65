//! Data center bridging: RTM_GETDCB, RTM_SETDCB (net/dcb/dcbnl.c). No device of a net has it.
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Policy, Table, NEST};
use super::request::Request;
use super::row::{row, Row};
use crate::{Failure, World};
use memtun_stack::wire::Writer;

/// RTM_GETDCB and RTM_SETDCB, which libc does not name.
const GETDCB: u16 = 78;
const SETDCB: u16 = 79;
/// Length in bytes of `struct dcbmsg`.
const HEADER: usize = 4;
/// DCB_ATTR_IFNAME.
const IFNAME: u16 = 1;
/// The highest command (DCB_CMD_MAX).
const LAST: u8 = 27;
/// The commands that set something, as bits.
const SETTING: u32 = 0x0a9a_a354;

const U8: Policy = Policy::of(Kind::U8, 0);

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(GETDCB, libc::AF_UNSPEC as u8, Some(answer), None),
    row(SETDCB, libc::AF_UNSPEC as u8, Some(answer), None),
];

static ATTRIBUTES: Table = Table {
    max: 16,
    strict_from: 0,
    entries: &[
        (IFNAME, Policy::of(Kind::NulString, 15)),
        (2, U8),
        (3, U8),
        (4, NEST),
        (6, NEST),
        (7, U8),
        (8, Policy::of(Kind::Flag, 0)),
        (9, NEST),
        (11, NEST),
        (12, NEST),
        (13, NEST),
        (14, U8),
        (15, NEST),
    ],
};

/// Refuses a request (`dcb_doit`). What sets something wants the privileges of the whole machine.
fn answer(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let fails = |errno: i32| Err(Failure::new(errno));
    if request.message.kind == SETDCB {
        return fails(libc::EPERM);
    }
    let tb = request.parse(HEADER, &ATTRIBUTES, Mode::Liberal)?;
    let command = request.message.body[1];
    match command {
        0 => return fails(libc::EOPNOTSUPP),
        1..=LAST if SETTING >> command & 1 != 0 => return fails(libc::EPERM),
        1..=LAST => {}
        _ => return fails(libc::EINVAL),
    }
    let name = tb.get(IFNAME).ok_or(Failure::new(libc::EINVAL))?;
    match world.link_named(name.string()) {
        Some(_) => fails(libc::EOPNOTSUPP),
        None => fails(libc::ENODEV),
    }
}
