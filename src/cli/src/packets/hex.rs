//! Packets as hexadecimal text: one a line, bytes with or without spaces or colons between them, `#` for comments.

use super::{Frame, LinkType, Packets, LONGEST};
use crate::failure::plain;
use std::io::{BufRead, BufReader, Cursor, Read};

/// Reads such text.
pub struct Reader<R> {
    input: BufReader<std::io::Chain<Cursor<Vec<u8>>, R>>,
    line: usize,
}

impl<R: Read> Reader<R> {
    /// `start` has been read from the input already.
    pub fn new(start: Vec<u8>, input: R) -> Reader<R> {
        Reader {
            input: BufReader::new(Cursor::new(start).chain(input)),
            line: 0,
        }
    }
}

impl<R: Read + Send> Packets for Reader<R> {
    fn next(&mut self) -> Result<Option<Frame>, String> {
        // Four characters a byte leave room for "0x" and a space; a longer line is no packet.
        let longest = u64::from(LONGEST) * 5;
        loop {
            let mut line = Vec::new();
            self.line += 1;
            let read = self
                .input
                .by_ref()
                .take(longest)
                .read_until(b'\n', &mut line);
            match read.map_err(|e| plain(&e))? {
                0 => return Ok(None),
                n if n as u64 == longest => {
                    return Err(format!("line {}: is too long for a packet", self.line))
                }
                _ => {}
            }
            let data = bytes(&line).map_err(|what| format!("line {}: {what}", self.line))?;
            if !data.is_empty() {
                let link = LinkType::AS_IT_IS;
                let frame = Frame {
                    link,
                    time_ns: None,
                    data,
                    cut_short: false,
                    sent_by_program: false,
                    interface: None,
                };
                return Ok(Some(frame));
            }
        }
    }
}

/// The bytes of a line.
fn bytes(line: &[u8]) -> Result<Vec<u8>, String> {
    let text = line.split(|b| *b == b'#').next().unwrap_or_default();
    let mut found = Vec::new();
    for word in text
        .split(|b| b.is_ascii_whitespace() || *b == b':')
        .filter(|w| !w.is_empty())
    {
        let digits = word.strip_prefix(b"0x").unwrap_or(word);
        for pair in digits.chunks(2) {
            let value = |digit: &u8| (*digit as char).to_digit(16);
            match pair {
                [high, low] => match (value(high), value(low)) {
                    (Some(high), Some(low)) => found.push((high << 4 | low) as u8),
                    _ => return Err(not_hex(pair)),
                },
                _ => return Err("has an odd number of digits; write each byte with two".into()),
            }
        }
    }
    Ok(found)
}

fn not_hex(bytes: &[u8]) -> String {
    format!(
        "\"{}\" is not hexadecimal; give pcap, pcapng, or one packet a line in hexadecimal",
        bytes.escape_ascii()
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::frames;

    #[test]
    fn one_packet_a_line() {
        let found = frames(b"# two\n45 00:001c\n\n0x60 0x00 # six\n").unwrap();
        let data: Vec<_> = found.iter().map(|f| f.data.as_slice()).collect();
        assert_eq!(data, [&[0x45, 0, 0, 0x1c][..], &[0x60, 0]]);
    }

    #[test]
    fn garbage_is_named_with_its_line() {
        assert!(frames(b"45\nhello\n")
            .unwrap_err()
            .contains("line 2: \"he\" is not hexadecimal"));
        assert!(frames(b"450\n")
            .unwrap_err()
            .contains("line 1: has an odd number of digits"));
        assert!(frames(&[0xff; 300])
            .unwrap_err()
            .contains("not hexadecimal"));
    }
}
