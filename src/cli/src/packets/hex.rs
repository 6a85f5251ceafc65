//! Packets as hexadecimal text: one a line, or dumps with offsets as `xxd`, `hexdump -C`, `od -tx1`, `tcpdump -x` and
//! `tshark -x` write them and `text2pcap` reads them.
//!
//! One a line: bytes with or without spaces or colons between them, `#` for comments. Dumps: see [`super::dump`].
#![forbid(unsafe_code)]

use super::dump::{is_of_words, is_otherwise, is_start, Dump};
use super::{Frame, LinkType, Packets, LONGEST};
use crate::failure::plain;
use std::io::{BufRead, BufReader, Cursor, Read};

/// Reads such text.
pub struct Reader<R> {
    input: BufReader<std::io::Chain<Cursor<Vec<u8>>, R>>,
    line: usize,
    /// A line that was read in order to know what the one before it is.
    next: Option<Vec<u8>>,
    form: Form,
}

enum Form {
    Unknown,
    Lines,
    Dump(Dump),
}

impl<R: Read> Reader<R> {
    /// `start` has been read from the input already.
    pub fn new(start: Vec<u8>, input: R) -> Reader<R> {
        Reader {
            input: BufReader::new(Cursor::new(start).chain(input)),
            line: 0,
            next: None,
            form: Form::Unknown,
        }
    }

    /// The next line, without its comment; None at the end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        self.line += 1;
        if let Some(line) = self.next.take() {
            return Ok(Some(line));
        }
        // Four characters a byte leave room for "0x" and a space; a longer line is no packet.
        let longest = u64::from(LONGEST) * 5;
        let mut line = Vec::new();
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
        Ok(Some(line))
    }

    /// What a file with this line is. tcpdump writes a line of words before each dump.
    fn form(&mut self, line: &[u8]) -> Result<Form, String> {
        if let Some(what) = is_otherwise(line.trim_ascii_end()) {
            return Err(format!("line {}: {what}", self.line));
        }
        if is_start(line) {
            return Ok(Form::Dump(Dump::default()));
        }
        let Err(what) = bytes(line) else {
            return Ok(Form::Lines);
        };
        let at = self.line;
        if is_of_words(line) {
            return Err(format!(
                "line {at}: is a dump of words, whose byte order it does not say; make it with hexdump -C or od -tx1"
            ));
        }
        let next = self.line()?;
        self.line = at;
        self.next = next;
        match &self.next {
            Some(next) if is_start(next) => Ok(Form::Dump(Dump::default())),
            _ => Err(format!("line {at}: {what}")),
        }
    }
}

impl<R: Read + Send> Packets for Reader<R> {
    fn next(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let line = self.line()?;
            if let (Form::Unknown, Some(line)) = (&self.form, &line) {
                if uncommented(line).iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                self.form = self.form(line)?;
            }
            let at = self.line;
            let complain = |what| format!("line {at}: {what}");
            let done = match (&mut self.form, &line) {
                (Form::Dump(dump), Some(line)) => dump.line(line).map_err(complain)?,
                (Form::Dump(dump), None) => dump.end(),
                (_, None) => None,
                (_, Some(line)) => Some(bytes(line).map_err(complain)?),
            };
            match done {
                Some(data) if !data.is_empty() => return Ok(Some(frame(data))),
                _ if line.is_none() => return Ok(None),
                _ => {}
            }
        }
    }
}

fn frame(data: Vec<u8>) -> Frame {
    Frame {
        link: LinkType::AS_IT_IS,
        time_ns: None,
        data,
        cut_short: false,
        sent_by_program: false,
        interface: None,
    }
}

fn uncommented(line: &[u8]) -> &[u8] {
    line.split(|b| *b == b'#').next().unwrap_or_default()
}

/// The bytes of a line.
fn bytes(line: &[u8]) -> Result<Vec<u8>, String> {
    let mut found = Vec::new();
    for word in uncommented(line)
        .split(|b| b.is_ascii_whitespace() || *b == b':')
        .filter(|w| !w.is_empty())
    {
        digits(word.strip_prefix(b"0x").unwrap_or(word), &mut found)?;
    }
    Ok(found)
}

/// Adds the bytes that a word of digits stands for.
pub(super) fn digits(word: &[u8], found: &mut Vec<u8>) -> Result<(), String> {
    for pair in word.chunks(2) {
        let value = |digit: &u8| (*digit as char).to_digit(16);
        match pair {
            [high, low] => match (value(high), value(low)) {
                (Some(high), Some(low)) => found.push((high << 4 | low) as u8),
                _ => return Err(not_hex(pair)),
            },
            _ => return Err("has an odd number of digits; write each byte with two".into()),
        }
    }
    Ok(())
}

fn not_hex(bytes: &[u8]) -> String {
    format!(
        "\"{}\" is not hexadecimal; give pcap, pcapng, one packet a line in hexadecimal, or a dump with offsets, as of xxd or \
         hexdump -C",
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
        // An Ethernet address of zeros at the beginning is no offset.
        for line in [
            "0000 5e00 0101",
            "00:00:5e:00:01:01",
            "00005e000101",
            "00 00 5e 00 01 01",
        ] {
            let found = frames(format!("{line}\n{line}").as_bytes()).unwrap();
            assert_eq!(found.len(), 2, "{line}");
            assert_eq!(found[1].data, [0, 0, 0x5e, 0, 1, 1], "{line}");
        }
    }

    #[test]
    fn garbage_is_named_with_its_line() {
        assert!(frames(b"45\nhello\n")
            .unwrap_err()
            .contains("line 2: \"he\" is not hexadecimal"));
        assert!(frames(b"450\n")
            .unwrap_err()
            .contains("line 1: has an odd number of digits"));
        assert!(frames(b"0000000 0045 1c00\n0000004\n")
            .unwrap_err()
            .contains("line 1: is a dump of words"));
        let bits =
            b"00000000: 01000101 00000000 00000000 00100001 00000000 00000001  E..!..\n00000006: 00000000 01000000  .@\n";
        assert!(frames(bits)
            .unwrap_err()
            .contains("line 1: is a dump of bits (xxd -b)"));
        let words =
            b"00000000: 21000045 00000100 c2661140 0900000a  E..!....@.f.....\n00000010: 6f  o\n";
        assert!(frames(words).unwrap_err().contains("(xxd -e)"));
        let groups =
            b"00000000: 45000021 00010000 401166c2 0a000009  E..!....@.f.....\n00000010: 6f  o\n";
        assert_eq!(frames(groups).unwrap()[0].data.len(), 17);
        assert!(frames(b"hello\nworld\n")
            .unwrap_err()
            .contains("line 1: \"he\" is not hexadecimal"));
    }
}
