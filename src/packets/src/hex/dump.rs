//! Dumps with offsets. A line has an offset, bytes, and perhaps the same bytes as text; offset 0
//! begins a packet.
//!
//! Each tool has its own columns for the bytes and for the text beside them. The next line's offset
//! says how many bytes a line has. Where that is not known, on the last line, groups of a similar
//! width that are one space apart are bytes.
#![forbid(unsafe_code)]

use super::digits::digits;
use crate::frame::LONGEST;

/// The parts of a line.
struct Line<'a> {
    /// Digits of the offset, as they were written.
    offset: &'a [u8],
    /// Bases in which the digits may be meant: od writes seven digits, which are octal unless told
    /// otherwise, and `xxd -d` writes decimal ones.
    radixes: &'static [u32],
    /// Is there a colon behind the offset, which shows that it is one?
    colon: bool,
    rest: &'a [u8],
}

fn is_hex(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_hexdigit)
}

/// Splits a line into its parts. None means that the line does not begin with an offset of three
/// digits or more; text2pcap does not accept a shorter one either.
fn apart(line: &[u8]) -> Option<Line<'_>> {
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let (word, rest) = line.split_at(end.unwrap_or(line.len()));
    let (word, colon) = match word.strip_suffix(b":") {
        Some(word) => (word, true),
        None => (word, false),
    };
    let (offset, radixes): (_, &[u32]) = match word.strip_prefix(b"0x") {
        Some(offset) => (offset, &[16]),
        None if colon => (word, &[16, 10]),
        None if word.len() == 7 => (word, &[16, 8, 10]),
        None => (word, &[16]),
    };
    ((3..=16).contains(&offset.len()) && is_hex(offset)).then_some(Line {
        offset,
        radixes,
        colon,
        rest,
    })
}

/// Does a dump begin with this line? Without a colon it does only where single bytes follow the
/// offset, because a packet may begin with zeros, too.
pub fn is_start(line: &[u8]) -> bool {
    let Some(line) = apart(line) else {
        return false;
    };
    let first = line
        .rest
        .trim_ascii_start()
        .split(u8::is_ascii_whitespace)
        .next()
        .unwrap_or_default();
    line.offset.iter().all(|digit| *digit == b'0')
        && is_hex(first)
        && (line.colon || first.len() == 2)
}

/// Is this the first line of a dump of words, as hexdump and od write them unless told otherwise?
pub fn is_of_words(line: &[u8]) -> bool {
    apart(line).is_some_and(|line| !line.colon && line.offset == b"0000000") && !is_start(line)
}

/// Returns why the first line of a dump cannot be read as bytes in their order: `xxd -b` and `xxd
/// -e` look like other dumps.
pub fn is_otherwise(line: &[u8]) -> Option<&'static str> {
    let line = apart(line).filter(|line| line.colon)?;
    let rest = line.rest.trim_ascii_start();
    let end = rest.windows(2).position(|two| two == b"  ")?;
    let (groups, text) = (&rest[..end], &rest[end + 2..]);
    let groups: Vec<_> = groups.split(|b| *b == b' ').collect();
    let is_bits = |group: &&[u8]| group.len() == 8 && group.iter().all(|b| b"01".contains(b));
    // A line of groups of four bytes has at most four groups, so more groups of eight digits are
    // bits.
    if groups.len() > 4 && groups.iter().all(is_bits) {
        return Some("is a dump of bits (xxd -b); make it with xxd or hexdump -C");
    }
    let (mut plain, mut turned) = (Vec::new(), Vec::new());
    for group in groups {
        let mut bytes = Vec::new();
        digits(group, &mut bytes).ok()?;
        plain.extend(&bytes);
        turned.extend(bytes.iter().rev());
    }
    // The text has the order of the bytes in both kinds of dump.
    let is_of = |bytes: &[u8]| {
        let shown = |b: &u8| if (0x20..0x7f).contains(b) { *b } else { b'.' };
        bytes.iter().map(shown).eq(text.iter().copied())
    };
    (is_of(&turned) && !is_of(&plain))
        .then_some("is a dump of words in little endian (xxd -e); make it with xxd or hexdump -C")
}

/// Returns the bytes of the groups that a line has behind its offset.
fn bytes(rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut found = Vec::new();
    let mut width = 0;
    let mut at = 0;
    while at < rest.len() {
        let gap = rest[at..]
            .iter()
            .take_while(|b| b.is_ascii_whitespace())
            .count();
        at += gap;
        let length = rest[at..]
            .iter()
            .take_while(|b| !b.is_ascii_whitespace())
            .count();
        let word = &rest[at..at + length];
        at += length;
        let in_the_middle = width == 2 && found.len() == 8 && gap == 2;
        let beside = width != 0 && gap != 1 && !in_the_middle;
        if beside
            || !is_hex(word)
            || width != 0 && (word.len() > width || !word.len().is_multiple_of(2))
        {
            break;
        }
        width = word.len();
        digits(word, &mut found)?;
    }
    Ok(found)
}

/// Reads dumps line by line.
#[derive(Default)]
pub struct Dump {
    packet: Vec<u8>,
    /// Offset in the packet at which the last line with bytes began.
    last: usize,
    /// Number of bytes in every line but the last, once that is known.
    width: Option<usize>,
    /// Base of the offsets, once that is known.
    radix: Option<u32>,
    /// Was the last line a `*`? It repeats the line before it as often as the next offset says.
    repeated: bool,
}

impl Dump {
    /// Takes a line, and returns the previous packet when this line begins the next one. Lines
    /// without an offset are skipped, because they are text of the tool.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Vec<u8>>, String> {
        if line.trim_ascii() == b"*" && !self.packet.is_empty() {
            self.repeated = true;
            return Ok(None);
        }
        let Some(line) = apart(line) else {
            return Ok(None);
        };
        let mut done = None;
        if line.offset.iter().all(|digit| *digit == b'0') {
            done = self.end();
        } else {
            self.reach(line.offset, line.radixes)?;
        }
        let mut found = bytes(line.rest)?;
        if found.is_empty() {
            return Ok(done);
        }
        // The text of a short line may look like bytes, too.
        found.truncate(self.width.unwrap_or(usize::MAX));
        self.last = self.packet.len();
        self.packet.extend(found);
        if self.packet.len() > LONGEST as usize {
            return Err(format!("no packet has more than {LONGEST} bytes"));
        }
        Ok(done)
    }

    /// Ends the dump, and returns its last packet.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        let packet = std::mem::take(self).packet;
        (!packet.is_empty()).then_some(packet)
    }

    /// Compares what there is with the offset with which the next line begins, and makes them
    /// agree.
    fn reach(&mut self, digits: &[u8], radixes: &[u32]) -> Result<(), String> {
        let text = String::from_utf8_lossy(digits);
        let have = self.packet.len();
        let value = |radix| {
            let value = usize::from_str_radix(&text, radix).ok();
            let value = value.filter(|value| *value <= LONGEST as usize);
            // The offset may be lower than the number of bytes found: the text beside the last
            // line's bytes looked like bytes, too.
            value.filter(|value| {
                *value == have || *value > self.last && (*value < have || self.repeated)
            })
        };
        let known = self.radix.as_slice();
        let radixes = if known.is_empty() { radixes } else { known };
        let exact = radixes.iter().find(|radix| value(**radix) == Some(have));
        let found = exact.or(radixes.iter().find(|radix| value(**radix).is_some()));
        let Some((radix, offset)) = found.and_then(|radix| Some((*radix, value(*radix)?))) else {
            return Err(format!(
                "has the offset {text}, and {have} ({have:#x}) bytes of the packet stand before it; lines are missing, or \
                 in another order"
            ));
        };
        self.radix = Some(radix);
        while self.packet.len() < offset {
            // The repeated bytes become a line of their own, so that each repetition has the same
            // bytes.
            let again = self.packet[self.last..].to_vec();
            let room = offset - self.packet.len();
            self.packet.extend(again.iter().take(room));
            self.last = self.packet.len() - again.len().min(room);
        }
        self.packet.truncate(offset);
        self.repeated = false;
        self.width.get_or_insert(offset - self.last);
        Ok(())
    }
}
