//! The pcapng format (draft-ietf-opsawg-pcapng), and the numbers of its blocks, which reader and
//! writer share.
#![forbid(unsafe_code)]

pub(crate) mod read;
mod write;

pub use write::{Packet, Writer};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
