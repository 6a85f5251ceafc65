//! A packet of a file, and what gives them one after the other.
#![forbid(unsafe_code)]

use crate::input::Error;
use crate::link::LinkType;
use std::sync::Arc;

/// Longest packet that is believed, in bytes; as in Wireshark.
pub const LONGEST: u32 = 262_144;

/// A packet of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What its first bytes are.
    pub link: LinkType,
    /// Nanoseconds since the epoch; None where the file has no times.
    pub time_ns: Option<i128>,
    /// The bytes that were kept of it.
    pub data: Vec<u8>,
    /// Some of it was not kept.
    pub cut_short: bool,
    /// The program had sent it, says memtun itself, which captured it.
    pub sent_by_program: bool,
    /// Interface that it was captured on, if memtun captured it.
    pub interface: Option<Arc<str>>,
}

/// A format's reader.
pub(crate) trait Packets: Send {
    /// The next packet; None at the end.
    fn next(&mut self) -> Result<Option<Frame>, Error>;
}
