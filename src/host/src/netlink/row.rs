//! One type of message for one family, and who handles it.
#![forbid(unsafe_code)]

use super::request::Request;
use crate::{Failure, World};
use memtun_stack::wire::Writer;

/// Carries out a request of one type, or appends its answers. In a dump all answers go into the
/// writer, one message after another.
pub type Handler = fn(&mut World<'_>, &Request<'_>, &mut Writer) -> Result<(), Failure>;

/// One type of message for one family.
pub struct Row {
    /// The type (RTM_*).
    pub kind: u16,
    /// The family (AF_*); AF_UNSPEC also stands for every family that has no row of its own.
    pub family: u8,
    /// Who answers or carries out one request (`doit`).
    pub change: Option<Handler>,
    /// Who answers a dump (`dumpit`).
    pub dump: Option<Handler>,
    /// May many be deleted at once (RTNL_FLAG_BULK_DEL_SUPPORTED)?
    pub bulk: bool,
    /// Does the end of a dump stand in the same datagram as the last of its messages? It does where
    /// the kernel's function says that it is through; others are asked once more
    /// (RTNL_FLAG_DUMP_SPLIT_NLM_DONE).
    pub joined: bool,
}

impl Row {
    /// The same row, with the end of the dump in the last datagram.
    pub const fn joined(self) -> Row {
        Row {
            joined: true,
            ..self
        }
    }

    /// The same row, of which many may be deleted at once.
    pub const fn bulk(self) -> Row {
        Row { bulk: true, ..self }
    }
}

/// Makes a row.
pub const fn row(kind: u16, family: u8, change: Option<Handler>, dump: Option<Handler>) -> Row {
    Row {
        kind,
        family,
        change,
        dump,
        bulk: false,
        joined: false,
    }
}
