//! Routes: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE.
#![forbid(unsafe_code)]

mod change;
mod dump;
mod get;
mod words;

pub(super) use change::check_encapsulation;

use super::row::{row, Row};

const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;
const UNSPEC: u8 = libc::AF_UNSPEC as u8;

/// RTNL_FAMILY_IPMR and RTNL_FAMILY_IP6MR: routes of multicast routing.
const MULTICAST_V4: u8 = 128;
const MULTICAST_V6: u8 = 129;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWROUTE, INET, Some(change::new_v4), None),
    row(libc::RTM_DELROUTE, INET, Some(change::delete_v4), None),
    row(
        libc::RTM_GETROUTE,
        INET,
        Some(get::get_v4),
        Some(dump::dump_v4),
    ),
    row(libc::RTM_NEWROUTE, INET6, Some(change::new_v6), None),
    row(libc::RTM_DELROUTE, INET6, Some(change::delete_v6), None),
    row(
        libc::RTM_GETROUTE,
        INET6,
        Some(get::get_v6),
        Some(dump::dump_v6),
    ),
    row(libc::RTM_GETROUTE, UNSPEC, None, Some(dump::dump_all)),
    row(
        libc::RTM_GETROUTE,
        MULTICAST_V4,
        None,
        Some(dump::dump_multicast_v4),
    )
    .joined(),
    row(
        libc::RTM_GETROUTE,
        MULTICAST_V6,
        None,
        Some(dump::dump_multicast_v6),
    )
    .joined(),
];
