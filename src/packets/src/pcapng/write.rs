//! Writing pcapng: one section, a block for each interface, nanoseconds, directions, comments and
//! statistics.
#![forbid(unsafe_code)]

use super::{ENHANCED_PACKET, INTERFACE, INTERFACE_STATISTICS, SECTION};
use crate::frame::LONGEST;
use crate::link::LinkType;
use std::io::{self, Write};

/// Writes one section to `output`.
pub struct Writer<W> {
    output: W,
    interfaces: u32,
    /// The body of the packet that is being written; it is kept so that its memory is used again.
    body: Vec<u8>,
}

/// A packet to be written.
pub struct Packet<'a> {
    /// Number that [`Writer::interface`] returned.
    pub interface: u32,
    /// Time of the packet in nanoseconds since the epoch.
    pub time_ns: u64,
    /// Did the packet go toward the program (inbound), or did it come from there?
    pub inbound: bool,
    /// A comment for people, in one line.
    pub comment: Option<&'a str>,
    /// The bytes of the packet.
    pub data: &'a [u8],
}

/// Length of the longest packet in bytes, which is more than any interface carries. Not every
/// reader of pipes understands 0 for "no limit".
const SNAPLEN: u32 = LONGEST;

impl<W: Write> Writer<W> {
    /// Begins the section, and flushes it, so that the reader has it when this returns.
    ///
    /// # Errors
    ///
    /// The error of `output`.
    pub fn new(output: W) -> io::Result<Writer<W>> {
        let mut file = Writer {
            output,
            interfaces: 0,
            body: Vec::new(),
        };
        let mut body = Vec::new();
        body.extend(0x1a2b_3c4d_u32.to_le_bytes());
        body.extend([1, 0, 0, 0]);
        body.extend(u64::MAX.to_le_bytes());
        option(&mut body, 3, std::env::consts::OS.as_bytes());
        option(
            &mut body,
            4,
            concat!("memtun ", env!("CARGO_PKG_VERSION")).as_bytes(),
        );
        end_of_options(&mut body);
        file.block(SECTION, &body)?;
        file.flush()?;
        Ok(file)
    }

    /// Describes an interface, and returns the number by which packets refer to it.
    ///
    /// # Errors
    ///
    /// The error of the output.
    pub fn interface(
        &mut self,
        name: &str,
        link: LinkType,
        mac: Option<[u8; 6]>,
    ) -> io::Result<u32> {
        let mut body = Vec::new();
        body.extend((link.0 as u16).to_le_bytes());
        body.extend([0, 0]);
        body.extend(SNAPLEN.to_le_bytes());
        option(&mut body, 2, name.as_bytes());
        if let Some(mac) = mac {
            option(&mut body, 6, &mac);
        }
        option(&mut body, 9, &[9]);
        end_of_options(&mut body);
        self.block(INTERFACE, &body)?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes a packet.
    ///
    /// # Errors
    ///
    /// The error of the output.
    pub fn packet(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        let length = packet.data.len() as u32;
        let time = [(packet.time_ns >> 32) as u32, packet.time_ns as u32];
        for word in [packet.interface, time[0], time[1], length, length] {
            body.extend(word.to_le_bytes());
        }
        body.extend(packet.data);
        pad(&mut body);
        if let Some(comment) = packet.comment {
            option(&mut body, 1, comment.as_bytes());
        }
        let direction: u32 = if packet.inbound { 1 } else { 2 };
        option(&mut body, 2, &direction.to_le_bytes());
        end_of_options(&mut body);
        let written = self.block(ENHANCED_PACKET, &body);
        self.body = body;
        written
    }

    /// Writes how many packets of an interface are in the file, and how many are missing, if that
    /// is known. `time_ns` is the time of the count in nanoseconds since the epoch.
    ///
    /// # Errors
    ///
    /// The error of the output.
    pub fn statistics(
        &mut self,
        interface: u32,
        time_ns: u64,
        packets: u64,
        lost: Option<u64>,
    ) -> io::Result<()> {
        let mut body = Vec::new();
        for word in [interface, (time_ns >> 32) as u32, time_ns as u32] {
            body.extend(word.to_le_bytes());
        }
        option(&mut body, 4, &(packets + lost.unwrap_or(0)).to_le_bytes());
        if let Some(lost) = lost {
            option(&mut body, 5, &lost.to_le_bytes());
        }
        end_of_options(&mut body);
        self.block(INTERFACE_STATISTICS, &body)
    }

    /// Returns the output to which the section is written.
    pub fn output(&mut self) -> &mut W {
        &mut self.output
    }

    /// Flushes the output.
    ///
    /// # Errors
    ///
    /// The error of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = (12 + body.len() as u32).to_le_bytes();
        self.output.write_all(&kind.to_le_bytes())?;
        self.output.write_all(&length)?;
        self.output.write_all(body)?;
        self.output.write_all(&length)
    }
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().div_ceil(4) * 4, 0);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let length = value.len().min(u16::MAX as usize);
    body.extend(code.to_le_bytes());
    body.extend((length as u16).to_le_bytes());
    body.extend(&value[..length]);
    pad(body);
}

fn end_of_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}
