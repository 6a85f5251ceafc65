//! Reading pcapng (draft-ietf-opsawg-pcapng): sections of either byte order, any time resolution,
//! and packets in all three kinds of blocks. Other blocks are skipped.
#![forbid(unsafe_code)]

use super::{ENHANCED_PACKET, INTERFACE, OBSOLETE_PACKET, SECTION, SIMPLE_PACKET};
use crate::frame::{self, Frame, LONGEST};
use crate::input::{read_up_to, read_whole, Error, Order};
use crate::link::LinkType;
use std::io::Read;
use std::sync::Arc;

/// Length in bytes of the longest block that is held in memory: a packet with generous options.
const LONGEST_BLOCK: u32 = LONGEST + (1 << 17);

/// Reads the packets of a file whose first four bytes have been read.
pub(crate) struct Packets<R> {
    input: R,
    order: Order,
    interfaces: Vec<Interface>,
    /// Was the section written by memtun? Only then its direction flags and names mean something
    /// here.
    ours: bool,
    begun: bool,
    block: u64,
}

struct Interface {
    link: LinkType,
    name: Option<Arc<str>>,
    snaplen: u32,
    /// Ticks of its time stamps in a second.
    ticks: u128,
    /// Seconds that are added to its time stamps.
    offset: i64,
}

impl<R: Read> Packets<R> {
    /// Makes a reader. The block type of the first section has been read already.
    pub(crate) fn new(input: R) -> Packets<R> {
        Packets {
            input,
            order: Order::Little,
            interfaces: Vec::new(),
            ours: false,
            begun: false,
            block: 0,
        }
    }

    /// Reads one block, and returns its type and its body. None means the end of the file. The body
    /// is empty for a block that is not needed.
    fn block(&mut self) -> Result<Option<(u32, Vec<u8>)>, Error> {
        self.block += 1;
        let what = format!("block {}", self.block);
        let short = || Error::from(format!("ends in the middle of {what}"));
        let mut number = [0; 4];
        let mut kind = SECTION;
        if self.begun {
            if !read_whole(&mut self.input, &mut number, &what)? {
                return Ok(None);
            }
            kind = self.order.u32(&number, 0).ok_or_else(short)?;
        }
        self.begun = true;
        let mut length = [0; 4];
        if !read_whole(&mut self.input, &mut length, &what)? {
            return Err(short());
        }
        let mut body = Vec::new();
        if kind == SECTION {
            // The byte order stands behind the length, whose order it gives.
            body = vec![0; 4];
            if !read_whole(&mut self.input, &mut body, &what)? {
                return Err(short());
            }
            self.order = match body[..] {
                [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                _ => return Err(format!("{what} has no byte order; the file is damaged").into()),
            };
        }
        let length = self.order.u32(&length, 0).ok_or_else(short)?;
        let read = body.len() as u32;
        let Some(rest) = length.checked_sub(12 + read).filter(|_| length % 4 == 0) else {
            return Err(
                format!("{what} claims to have {length} bytes; the file is damaged").into(),
            );
        };
        if [
            SECTION,
            INTERFACE,
            OBSOLETE_PACKET,
            SIMPLE_PACKET,
            ENHANCED_PACKET,
        ]
        .contains(&kind)
        {
            if length > LONGEST_BLOCK {
                return Err(
                    format!("{what} claims to have {length} bytes; the file is damaged").into(),
                );
            }
            body.resize((read + rest) as usize, 0);
            if read_up_to(&mut self.input, &mut body[read as usize..])? < rest as usize {
                return Err(short());
            }
        } else {
            let skipped = std::io::copy(
                &mut (&mut self.input).take(u64::from(rest)),
                &mut std::io::sink(),
            );
            if skipped? < u64::from(rest) {
                return Err(short());
            }
        }
        if !read_whole(&mut self.input, &mut number, &what)? {
            return Err(short());
        }
        if self.order.u32(&number, 0) != Some(length) {
            return Err(format!("{what} has two different lengths; the file is damaged").into());
        }
        Ok(Some((kind, body)))
    }

    fn section(&mut self, body: &[u8]) -> Result<(), Error> {
        if self.order.u16(body, 4).is_none_or(|major| major != 1) {
            return Err(format!(
                "block {} is a section of an unknown version of pcapng",
                self.block
            )
            .into());
        }
        self.interfaces.clear();
        let application =
            options(self.order, body.get(16..).unwrap_or_default()).find(|(code, _)| *code == 4);
        self.ours = application.is_some_and(|(_, name)| name.starts_with(b"memtun "));
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Option<Interface> {
        let mut interface = Interface {
            link: LinkType(u32::from(self.order.u16(body, 0)?)),
            name: None,
            snaplen: self.order.u32(body, 4)?,
            ticks: 1_000_000,
            offset: 0,
        };
        for (code, value) in options(self.order, body.get(8..)?) {
            match (code, value) {
                (2, name) => interface.name = std::str::from_utf8(name).ok().map(Arc::from),
                (9, [resolution, ..]) => {
                    let exponent = u32::from(resolution & 0x7f);
                    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
                    // A resolution that 128 bits cannot say is finer than what 64 bits of ticks can
                    // reach: all time stamps lie within the first nanosecond.
                    interface.ticks = base.saturating_pow(exponent);
                }
                (14, value) => {
                    interface.offset = self.order.u64(value, 0).unwrap_or_default() as i64
                }
                _ => {}
            }
        }
        Some(interface)
    }

    fn enhanced(&self, body: &[u8]) -> Option<Frame> {
        let field = |at| self.order.u32(body, at);
        let mut frame = self.timed(
            field(0)?,
            field(4)?,
            field(8)?,
            field(12)?,
            field(16)?,
            body,
            20,
        )?;
        let behind = 20 + frame.data.len().div_ceil(4) * 4;
        let mut options = options(self.order, body.get(behind..).unwrap_or_default());
        let flags = options
            .find(|(code, _)| *code == 2)
            .and_then(|(_, value)| self.order.u32(value, 0));
        frame.sent_by_program = self.ours && flags.is_some_and(|f| f & 3 == 2);
        Some(frame)
    }

    fn obsolete(&self, body: &[u8]) -> Option<Frame> {
        let field = |at| self.order.u32(body, at);
        let interface = u32::from(self.order.u16(body, 0)?);
        self.timed(
            interface,
            field(4)?,
            field(8)?,
            field(12)?,
            field(16)?,
            body,
            20,
        )
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of a block, in their order"
    )]
    fn timed(
        &self,
        id: u32,
        high: u32,
        low: u32,
        kept: u32,
        length: u32,
        body: &[u8],
        at: usize,
    ) -> Option<Frame> {
        let interface = self.interfaces.get(id as usize)?;
        let ticks = u128::from(high) << 32 | u128::from(low);
        // Ticks are below 2^64, so ticks times 10^9 fit into 128 bits.
        let nanoseconds = ticks * 1_000_000_000 / interface.ticks;
        Some(Frame {
            link: interface.link,
            time_ns: Some(nanoseconds as i128 + i128::from(interface.offset) * 1_000_000_000),
            data: body.get(at..at.checked_add(kept as usize)?)?.to_vec(),
            cut_short: kept < length,
            sent_by_program: false,
            interface: interface.name.clone().filter(|_| self.ours),
        })
    }

    fn simple(&self, body: &[u8]) -> Option<Frame> {
        let interface = self.interfaces.first()?;
        let length = self.order.u32(body, 0)?;
        let limit = if interface.snaplen == 0 {
            u32::MAX
        } else {
            interface.snaplen
        };
        let kept = length.min(limit);
        Some(Frame {
            link: interface.link,
            time_ns: None,
            data: body.get(4..4usize.checked_add(kept as usize)?)?.to_vec(),
            cut_short: kept < length,
            sent_by_program: false,
            interface: None,
        })
    }
}

impl<R: Read + Send> frame::Packets for Packets<R> {
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        while let Some((kind, body)) = self.block()? {
            let number = self.block;
            let damaged = || {
                let text =
                    format!("block {number} does not hold what it should; the file is damaged");
                Error::from(text)
            };
            match kind {
                SECTION => self.section(&body)?,
                INTERFACE => {
                    let interface = self.interface(&body);
                    self.interfaces.push(interface.ok_or_else(|| {
                        format!("block {} describes an interface that makes no sense; the file is damaged", self.block)
                    })?);
                }
                ENHANCED_PACKET => return self.enhanced(&body).ok_or_else(damaged).map(Some),
                OBSOLETE_PACKET => return self.obsolete(&body).ok_or_else(damaged).map(Some),
                SIMPLE_PACKET => return self.simple(&body).ok_or_else(damaged).map(Some),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// Yields the codes and values of the options in `bytes`, and ends where they stop making sense.
fn options(order: Order, mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (code, length) = (order.u16(bytes, 0)?, order.u16(bytes, 2)? as usize);
        let value = bytes.get(4..4 + length).filter(|_| code != 0)?;
        bytes = bytes.get(4 + length.div_ceil(4) * 4..).unwrap_or_default();
        Some((code, value))
    })
}
