//! Files of packets: pcap, pcapng and hexadecimal text.
//!
//! Read and written here rather than with a crate: captures come through pipes and from strangers, in either byte order,
//! with any time resolution, and a wrong byte must end in one sentence.
#![forbid(unsafe_code)]

mod dump;
mod hex;
mod link;
mod pcap;
mod pcapng;
pub mod write;

pub use link::{fit, other_length, Fit, LinkType};

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
            _ if compressed(magic).is_some() => {
                let tool = compressed(magic).unwrap_or_default();
                return Err(complain(format!(
                    "is compressed; unpack it first, as with {tool} -dc"
                )));
            }
            _ => match pcap::header(magic, &mut input) {
                Some(header) => Box::new(header.map_err(complain)?.over(input)),
                None if is_text(magic) => Box::new(hex::Reader::new(magic.to_vec(), input)),
                None => {
                    return Err(complain(format!(
                        "begins with {}, which is not the magic number of a format that is read here; convert it to pcap or \
                         pcapng, as with editcap",
                        hexadecimal(magic)
                    )))
                }
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

/// The tool that unpacks a file with these first bytes.
fn compressed(magic: &[u8]) -> Option<&'static str> {
    match magic {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0xfd, b'7', b'z', b'X'] => Some("xz"),
        [0x28, 0xb5, 0x2f, 0xfd] => Some("zstd"),
        [0x04, 0x22, 0x4d, 0x18] => Some("lz4"),
        b"BZh1" | b"BZh9" => Some("bzip2"),
        _ => None,
    }
}

/// Could a text begin so? Formats of captures that begin with letters are named with their letters all the same.
fn is_text(magic: &[u8]) -> bool {
    const CAPTURES: [&[u8]; 4] = [b"snoo", b"btsn", b"GMBU", b"TRSN"];
    magic
        .iter()
        .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
        && !CAPTURES.contains(&magic)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits} (\"{}\")", bytes.escape_ascii())
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

    /// Random damage to files of every format, for `MEMTUN_FUZZ_SECONDS` (default 1). A failure shows what was read.
    #[test]
    fn random_damage_is_survived() {
        use std::time::{Duration, Instant};
        let seconds = std::env::var("MEMTUN_FUZZ_SECONDS").ok();
        let seconds = seconds.and_then(|s| s.parse().ok()).unwrap_or(1);
        let mut pcapng = Vec::new();
        let mut writer = write::PcapNg::new(&mut pcapng).unwrap();
        let id = writer.interface("tun0", LinkType::RAW, None).unwrap();
        for n in 0..3 {
            let packet = write::Packet {
                interface: id,
                time_ns: n,
                data: &[0x45; 33],
                inbound: n == 1,
                comment: Some("c"),
            };
            writer.packet(&packet).unwrap();
        }
        let words = [
            0xa1b2_c3d4_u32,
            0x0004_0002,
            0,
            0,
            65535,
            101,
            1,
            2,
            4,
            4,
            0x45,
        ];
        let pcap: Vec<u8> = words.iter().flat_map(|n| n.to_le_bytes()).collect();
        let seeds: [&[u8]; 7] = [
            &pcapng,
            &pcap,
            b"# two\n45 00:001c\n\n0x60 0x00 # six\n",
            b"00000000: 4500 001c 0000 0000 4011 669d 0a09 0001  E.......@.f.....\n00000010: 0a09 0002  ....\n",
            b"00000000  45 00 00 1c 00 00 00 00  40 11 66 9d 0a 09 00 01  |E.......@.f.....|\n*\n00000040  0a\n00000041\n",
            b"0000000 45 00 00 1c 00 00 00 00 40 11 66 9d 0a 09 00 01\n0000020 0a 09\n0000022\n",
            b"12:00 IP a > b\n\t0x0000:  4500 001c\n\t0x0004:  0001\nIP\n\t0x0000:  6000\n",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below.max(1) as u64) as usize
        };
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            let mut bytes = seeds[random(seeds.len())].to_vec();
            for _ in 0..=random(8) {
                let (at, other) = (random(bytes.len()), random(bytes.len()));
                match random(5) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes[at] = b"\0\n 0f:*|x\xff"[random(10)],
                    2 => drop(bytes.remove(at)),
                    3 => bytes.insert(at, bytes[other]),
                    _ => bytes.extend_from_within(at.min(other)..at.max(other)),
                }
            }
            let shown = bytes.escape_ascii().to_string();
            let read = std::panic::catch_unwind(|| frames(&bytes));
            let read = read.unwrap_or_else(|_| panic!("{shown}"));
            let found = read.unwrap_or_default();
            let longest = found.iter().map(|f| f.data.len()).max();
            assert!(
                longest.unwrap_or(0) <= LONGEST as usize + (1 << 17),
                "{shown}"
            );
            for frame in &found {
                let _ = (
                    fit(frame.link, &frame.data, true),
                    fit(frame.link, &frame.data, false),
                );
            }
        }
    }

    #[test]
    fn an_empty_file_has_no_packets() {
        assert_eq!(frames(b"").unwrap(), []);
    }

    #[test]
    fn an_unknown_magic_number_is_named() {
        for (magic, shown) in [
            (&[0x34, 0xcd, 0xb2, 0xa1][..], "begins with 0x34cdb2a1 "),
            (&[0xa1, 0xb2, 0xcd, 0x34], "begins with 0xa1b2cd34 "),
            (&[0xff; 300], "begins with 0xffffffff "),
            (b"snoop\0\0\0", "begins with 0x736e6f6f (\"snoo\")"),
            (&[0x45, 0, 0], "begins with 0x450000 "),
        ] {
            let text = frames(magic).unwrap_err();
            assert!(text.contains(shown) && text.contains("editcap"), "{text}");
        }
    }

    #[test]
    fn compressed_files_are_named() {
        assert!(frames(&[0x1f, 0x8b, 8, 0, 0])
            .unwrap_err()
            .contains("gzip -dc"));
    }
}
