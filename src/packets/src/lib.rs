//! Files of packets: pcap, pcapng and hexadecimal text, read and written. Bytes go in and come out:
//! nothing here opens a file or knows of a net.
//!
//! This crate reads and writes the formats itself: captures come through pipes and from strangers,
//! in either byte order and with any time resolution, and a wrong byte must end in one sentence.
//!
//! | module | subject |
//! |---|---|
//! | `reader` | [`Reader`]: which format it is, and its packets |
//! | `frame` | [`Frame`]: a packet of a file |
//! | `link` | [`LinkType`]: what a packet's first bytes are, and what an interface takes of it |
//! | `input` | reading that ends in a sentence, numbers of either byte order |
//! | [`pcap`], [`pcapng`], [`hex`] | the formats |

#![forbid(unsafe_code)]

mod frame;
pub mod hex;
mod input;
mod link;
pub mod pcap;
pub mod pcapng;
mod reader;

pub use frame::{Frame, LONGEST};
pub use input::Error;
pub use link::{fit, other_length, Fit, LinkType, UnknownLink};
pub use reader::Reader;
