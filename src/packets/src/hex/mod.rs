//! Packets as hexadecimal text: one packet a line, or dumps with offsets as `xxd`, `hexdump -C`,
//! `od -tx1`, `tcpdump -x` and `tshark -x` write them and `text2pcap` reads them.
//!
//! A line with one packet has its bytes with or without spaces or colons between them, and `#`
//! begins a comment. The module `dump` describes dumps.
#![forbid(unsafe_code)]

mod digits;
mod dump;
pub(crate) mod read;
mod write;

pub use write::write;
