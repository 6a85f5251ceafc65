//! Packets as hexadecimal text: one a line, or dumps with offsets as `xxd`, `hexdump -C`, `od
//! -tx1`, `tcpdump -x` and `tshark -x` write them and `text2pcap` reads them.
//!
//! One a line: bytes with or without spaces or colons between them, `#` for comments. Dumps: see
//! `dump`.
#![forbid(unsafe_code)]

mod digits;
mod dump;
pub(crate) mod read;
mod write;

pub use write::write;
