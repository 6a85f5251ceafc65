//! A packet of a file, and the trait of what yields packets one after the other.
#![forbid(unsafe_code)]

use crate::input::Error;
use crate::link::LinkType;
use std::sync::Arc;

/// Length in bytes of the longest packet that is accepted, as in Wireshark.
pub const LONGEST: u32 = 262_144;

/// A packet that was read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the first bytes of the packet are.
    pub link: LinkType,
    /// Time of the packet in nanoseconds since the epoch; None where the file has no times.
    pub time_ns: Option<i128>,
    /// The bytes of the packet that the file has kept.
    pub data: Vec<u8>,
    /// Is a part of the packet missing in the file?
    pub cut_short: bool,
    /// Did the program send it (outbound)? Only memtun itself, as the maker of the file, can say
    /// so.
    pub sent_by_program: bool,
    /// Interface on which it was captured, if memtun captured it.
    pub interface: Option<Arc<str>>,
}

/// The reader of one format.
pub(crate) trait Packets: Send {
    /// Returns the next packet, or None at the end.
    fn next(&mut self) -> Result<Option<Frame>, Error>;
}
