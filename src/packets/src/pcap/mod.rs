//! The classic pcap format (draft-ietf-opsawg-pcap).
#![forbid(unsafe_code)]

pub(crate) mod read;
mod write;

pub use write::Writer;
