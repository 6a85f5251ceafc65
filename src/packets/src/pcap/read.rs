//! Reading pcap, in either byte order, with micro- or nanoseconds.
#![forbid(unsafe_code)]

use crate::frame::{self, Frame, LONGEST};
use crate::input::{read_whole, Error, Order};
use crate::link::LinkType;
use std::io::Read;

/// What the header of the file says.
pub(crate) struct Header {
    order: Order,
    nanoseconds: bool,
    link: LinkType,
}

/// Reads the packets behind the header.
pub(crate) struct Packets<R> {
    header: Header,
    input: R,
    number: u64,
}

/// Reads the header behind its magic number. None means that the magic number is not pcap's.
pub(crate) fn header(magic: &[u8], input: &mut impl Read) -> Option<Result<Header, Error>> {
    let (order, nanoseconds) = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true),
        [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true),
        _ => return None,
    };
    Some(rest_of_header(order, nanoseconds, input))
}

fn rest_of_header(order: Order, nanoseconds: bool, input: &mut impl Read) -> Result<Header, Error> {
    let mut rest = [0; 20];
    let end = "ends in the middle of pcap's header";
    if !read_whole(input, &mut rest, "pcap's header")? {
        return Err(end.into());
    }
    let (version, network) = (
        order.u16(&rest, 0).ok_or(end)?,
        order.u32(&rest, 16).ok_or(end)?,
    );
    if version != 2 {
        let text =
            format!("is pcap of version {version}; convert it to version 2, as with editcap");
        return Err(text.into());
    }
    // The upper bits say whether frames end with a frame check sequence, which nobody keeps in a
    // file.
    Ok(Header {
        order,
        nanoseconds,
        link: LinkType(network & 0x03ff_ffff),
    })
}

impl Header {
    /// Returns the reader of the packets in `input`, which stands behind the header.
    pub(crate) fn over<R: Read>(self, input: R) -> Packets<R> {
        Packets {
            header: self,
            input,
            number: 0,
        }
    }
}

impl<R: Read + Send> frame::Packets for Packets<R> {
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        self.number += 1;
        let what = format!("packet {}", self.number);
        let mut record = [0; 16];
        if !read_whole(&mut self.input, &mut record, &what)? {
            return Ok(None);
        }
        let [seconds, fraction, kept, length] =
            [0, 4, 8, 12].map(|at| self.header.order.u32(&record, at).unwrap_or_default());
        if kept > LONGEST {
            let text = format!("{what} claims to have {kept} bytes; the file is damaged");
            return Err(text.into());
        }
        let mut data = vec![0; kept as usize];
        if !read_whole(&mut self.input, &mut data, &what)? && kept > 0 {
            return Err(format!("ends in the middle of {what}").into());
        }
        let nanoseconds = i128::from(fraction) * if self.header.nanoseconds { 1 } else { 1000 };
        Ok(Some(Frame {
            link: self.header.link,
            time_ns: Some(i128::from(seconds) * 1_000_000_000 + nanoseconds),
            data,
            cut_short: kept < length,
            sent_by_program: false,
            interface: None,
        }))
    }
}
