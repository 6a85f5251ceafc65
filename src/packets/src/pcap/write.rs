//! Writing pcap, in little-endian byte order, with nanoseconds.
#![forbid(unsafe_code)]

use crate::frame::LONGEST;
use crate::link::LinkType;
use std::io::{self, Write};

/// Writes the packets of one kind of link to `output`.
pub struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header of the file.
    ///
    /// # Errors
    ///
    /// The error of `output`.
    pub fn new(mut output: W, link: LinkType) -> io::Result<Writer<W>> {
        let words = [0xa1b2_3c4d, 0x0004_0002, 0, 0, LONGEST, link.0];
        output.write_all(&words.map(u32::to_le_bytes).concat())?;
        Ok(Writer { output })
    }

    /// Writes a packet with its time in nanoseconds since the epoch. The format keeps 32 bits of
    /// the seconds.
    ///
    /// # Errors
    ///
    /// The error of `output`.
    pub fn packet(&mut self, time_ns: u64, data: &[u8]) -> io::Result<()> {
        let seconds = (time_ns / 1_000_000_000) as u32;
        let fraction = (time_ns % 1_000_000_000) as u32;
        let length = data.len() as u32;
        let words = [seconds, fraction, length, length];
        self.output
            .write_all(&words.map(u32::to_le_bytes).concat())?;
        self.output.write_all(data)
    }
}
