//! Which format a file has, and reading its packets.
#![forbid(unsafe_code)]

use crate::frame::{Frame, Packets};
use crate::input::{read_up_to, Error};
use crate::{hex, pcap, pcapng};
use std::io::{BufReader, Read};

/// Yields the packets of a file in any format, in the order of the file. It ends after an error.
pub struct Reader(Option<Box<dyn Packets>>);

impl Reader {
    /// Finds the format from the first bytes of the input.
    ///
    /// # Errors
    ///
    /// - [`Error::Io`] when the input fails.
    /// - [`Error::Malformed`] when the input has none of the formats, or its header makes no sense.
    pub fn new(input: impl Read + Send + 'static) -> Result<Reader, Error> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        let mut magic = [0; 4];
        let length = read_up_to(&mut input, &mut magic)?;
        let magic = &magic[..length];
        let packets: Box<dyn Packets> = match magic {
            [0x0a, 0x0d, 0x0d, 0x0a] => Box::new(pcapng::read::Packets::new(input)),
            _ => match (compressed(magic), pcap::read::header(magic, &mut input)) {
                (Some(tool), _) => {
                    let text = format!("is compressed; unpack it first, as with {tool} -dc");
                    return Err(text.into());
                }
                (None, Some(header)) => Box::new(header?.over(input)),
                (None, None) if is_text(magic) => {
                    Box::new(hex::read::Packets::new(magic.to_vec(), input))
                }
                (None, None) => {
                    let text = format!(
                        "begins with {}, which is not the magic number of a format that is read here; convert it to pcap or \
                         pcapng, as with editcap",
                        hexadecimal(magic)
                    );
                    return Err(text.into());
                }
            },
        };
        Ok(Reader(Some(packets)))
    }
}

impl Iterator for Reader {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.0.as_mut()?.next().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.0 = None;
        }
        next
    }
}

/// Returns the tool that unpacks a file with these first bytes, if they are those of a compressed
/// file.
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

/// Could a text begin with these bytes? Formats of captures that begin with letters are not taken
/// for text, so that the message names their letters.
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
