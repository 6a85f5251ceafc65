//! Classic pcap (draft-ietf-opsawg-pcap).

pub(crate) mod read;
mod write;

pub use write::Writer;
