//! Addresses of interfaces: RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR.
#![forbid(unsafe_code)]

use super::row::Row;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[];
