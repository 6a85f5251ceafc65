//! Classic pcap: either byte order, micro- and nanoseconds (draft-ietf-opsawg-pcap).
#![forbid(unsafe_code)]

use super::{read_whole, Frame, LinkType, Order, Packets, LONGEST};
use std::io::Read;

/// What the file's header says.
pub struct Header {
    order: Order,
    nanoseconds: bool,
    link: LinkType,
}

/// Reads the packets behind the header.
pub struct Reader<R> {
    header: Header,
    input: R,
    number: u64,
}

/// Reads the header behind its magic number; None when that is not pcap's.
pub fn header(magic: &[u8], input: &mut impl Read) -> Option<Result<Header, String>> {
    let (order, nanoseconds) = match magic {
        [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true),
        [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true),
        _ => return None,
    };
    Some(rest_of_header(order, nanoseconds, input))
}

fn rest_of_header(
    order: Order,
    nanoseconds: bool,
    input: &mut impl Read,
) -> Result<Header, String> {
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
        return Err(format!(
            "is pcap of version {version}; convert it to version 2, as with editcap"
        ));
    }
    // The upper bits say whether frames end with a check sequence, which nobody keeps.
    Ok(Header {
        order,
        nanoseconds,
        link: LinkType(network & 0x03ff_ffff),
    })
}

impl Header {
    /// The packets of the input, which stands behind the header.
    pub fn over<R: Read>(self, input: R) -> Reader<R> {
        Reader {
            header: self,
            input,
            number: 0,
        }
    }
}

impl<R: Read + Send> Packets for Reader<R> {
    fn next(&mut self) -> Result<Option<Frame>, String> {
        self.number += 1;
        let what = format!("packet {}", self.number);
        let mut record = [0; 16];
        if !read_whole(&mut self.input, &mut record, &what)? {
            return Ok(None);
        }
        let [seconds, fraction, kept, length] =
            [0, 4, 8, 12].map(|at| self.header.order.u32(&record, at).unwrap_or_default());
        if kept > LONGEST {
            return Err(format!(
                "{what} claims to have {kept} bytes; the file is damaged"
            ));
        }
        let mut data = vec![0; kept as usize];
        if !read_whole(&mut self.input, &mut data, &what)? && kept > 0 {
            return Err(format!("ends in the middle of {what}"));
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

#[cfg(test)]
mod tests {
    use super::super::tests::frames;
    use super::*;

    fn file(magic: u32, big: bool) -> Vec<u8> {
        let u32 = |n: u32| {
            if big {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        let u16 = |n: u16| {
            if big {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        let mut bytes = u32(magic).to_vec();
        bytes.extend([u16(2), u16(4)].concat());
        bytes.extend([0, 0, 65535, 101].map(u32).concat());
        bytes.extend([1, 2, 3, 4].map(u32).concat());
        bytes.extend([0x45, 1, 2]);
        bytes
    }

    #[test]
    fn both_byte_orders_and_resolutions() {
        for (magic, time) in [(0xa1b2_c3d4, 1_000_002_000), (0xa1b2_3c4d, 1_000_000_002)] {
            for big in [false, true] {
                let found = frames(&file(magic, big)).unwrap();
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].time_ns, Some(time));
                assert_eq!((found[0].link, found[0].cut_short), (LinkType::RAW, true));
                assert_eq!(found[0].data, [0x45, 1, 2]);
            }
        }
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let whole = file(0xa1b2_c3d4, false);
        for (length, what) in [
            (30, "packet 1"),
            (whole.len() - 1, "packet 1"),
            (10, "pcap's header"),
            (4, "pcap's header"),
        ] {
            let text = frames(&whole[..length]).unwrap_err();
            assert!(text.contains(what), "{length}: {text}");
        }
    }

    #[test]
    fn absurd_lengths_are_not_believed() {
        let mut bytes = file(0xa1b2_c3d4, false);
        bytes[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(frames(&bytes).unwrap_err().contains("4294967295 bytes"));
    }
}
