//! Files of packets: pcap, pcapng and hexadecimal text.
//!
//! Read and written here rather than with a crate: captures come through pipes and from strangers, in either byte order,
//! with any time resolution, and a wrong byte must end in one sentence.

mod hex;
mod link;
mod pcap;
mod pcapng;
pub mod write;

pub use link::{fit, Fit, LinkType};

use crate::failure::{plain, Failure};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// Longest packet that is believed; as in Wireshark.
const LONGEST: u32 = 262_144;

/// A packet of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// What its first bytes are.
    pub link: LinkType,
    /// Nanoseconds since the epoch; None where the file has no times.
    pub time_ns: Option<i128>,
    /// The bytes that were kept of it.
    pub data: Vec<u8>,
    /// Some of it was not kept.
    pub cut_short: bool,
    /// The program had sent it, says memtun itself, which captured it.
    pub sent_by_program: bool,
    /// Interface that it was captured on, if memtun captured it.
    pub interface: Option<Arc<str>>,
}

/// A source of packets. Errors say what is wrong, and where in the file.
trait Packets: Send {
    /// The next packet; None at the end.
    fn next(&mut self) -> Result<Option<Frame>, String>;
}

/// A file of packets in any format.
pub struct PacketFile {
    shown: String,
    packets: Box<dyn Packets>,
    /// Bytes of the file; None for a pipe.
    pub size: Option<u64>,
}

impl PacketFile {
    /// Opens a file, or standard input for "-".
    pub fn open(path: &Path) -> Result<PacketFile, Failure> {
        if path.as_os_str() == "-" {
            return PacketFile::read("standard input", Box::new(io::stdin()), None);
        }
        let shown = path.display().to_string();
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (meta, file) = opened.map_err(|e| Failure::io(format!("{shown}: cannot read"), &e))?;
        PacketFile::read(&shown, Box::new(file), meta.is_file().then_some(meta.len()))
    }

    fn read(
        shown: &str,
        input: Box<dyn Read + Send>,
        size: Option<u64>,
    ) -> Result<PacketFile, Failure> {
        let complain = |text: String| Failure::bad_input(format!("{shown}: {text}"));
        let mut input = BufReader::with_capacity(1 << 16, input);
        let mut magic = [0; 4];
        let length = read_up_to(&mut input, &mut magic).map_err(complain)?;
        let magic = &magic[..length];
        let packets: Box<dyn Packets> = match magic {
            [0x0a, 0x0d, 0x0d, 0x0a] => Box::new(pcapng::Reader::new(input)),
            [0x1f, 0x8b, ..] => {
                return Err(complain(
                    "is compressed; unpack it first, as with gzip -dc".into(),
                ))
            }
            _ => match pcap::header(magic, &mut input) {
                Some(header) => Box::new(header.map_err(complain)?.over(input)),
                None => Box::new(hex::Reader::new(magic.to_vec(), input)),
            },
        };
        Ok(PacketFile {
            shown: shown.into(),
            packets,
            size,
        })
    }

    /// The next packet; None at the end.
    pub fn next(&mut self) -> Result<Option<Frame>, Failure> {
        self.packets
            .next()
            .map_err(|text| Failure::bad_input(format!("{}: {text}", self.shown)))
    }
}

/// Fills the buffer as far as the input goes.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize, String> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(plain(&e)),
        }
    }
    Ok(filled)
}

/// Fills the buffer; false when the input had ended, an error when it ends in the middle.
fn read_whole(input: &mut impl Read, buffer: &mut [u8], what: &str) -> Result<bool, String> {
    match read_up_to(input, buffer)? {
        0 if !buffer.is_empty() => Ok(false),
        n if n == buffer.len() => Ok(true),
        _ => Err(format!("ends in the middle of {what}")),
    }
}

/// Byte order of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if self == Order::Little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self == Order::Little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
        Some(if self == Order::Little {
            u64::from_le_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn frames(bytes: &[u8]) -> Result<Vec<Frame>, String> {
        let text = |f: Failure| f.text().to_owned();
        let mut file =
            PacketFile::read("x", Box::new(io::Cursor::new(bytes.to_vec())), None).map_err(text)?;
        let mut frames = Vec::new();
        while let Some(frame) = file.next().map_err(text)? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Whatever a file holds, reading it ends, and in a sentence if not well.
    #[test]
    fn damage_anywhere_is_survived() {
        let mut good = Vec::new();
        let mut writer = write::PcapNg::new(&mut good).unwrap();
        let id = writer.interface("tun0", LinkType::RAW, None).unwrap();
        for n in 0..3 {
            let packet = write::Packet {
                interface: id,
                time_ns: n,
                data: &[0x45; 33],
                inbound: true,
                comment: Some("c"),
            };
            writer.packet(&packet).unwrap();
        }
        assert_eq!(frames(&good).unwrap().len(), 3);
        for at in 0..good.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = frames(&bad);
            }
            let _ = frames(&good[..at]);
        }
    }

    #[test]
    fn an_empty_file_has_no_packets() {
        assert_eq!(frames(b"").unwrap(), []);
    }

    #[test]
    fn compressed_files_are_named() {
        assert!(frames(&[0x1f, 0x8b, 8, 0, 0])
            .unwrap_err()
            .contains("gzip -dc"));
    }
}
