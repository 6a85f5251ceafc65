//! Routes: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE.
#![forbid(unsafe_code)]

use super::row::Row;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[];
