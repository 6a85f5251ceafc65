//! Reading hexadecimal text.
#![forbid(unsafe_code)]

use super::digits::digits;
use super::dump::{is_of_words, is_otherwise, is_start, Dump};
use crate::frame::{self, Frame, LONGEST};
use crate::input::Error;
use crate::link::LinkType;
use std::io::{BufRead, BufReader, Cursor, Read};

/// Reads packets from hexadecimal text.
pub(crate) struct Packets<R> {
    input: BufReader<std::io::Chain<Cursor<Vec<u8>>, R>>,
    line: usize,
    /// A line that was read already in order to know what the line before it is.
    next: Option<Vec<u8>>,
    form: Form,
}

enum Form {
    Unknown,
    Lines,
    Dump(Dump),
}

impl<R: Read> Packets<R> {
    /// Makes a reader. `start` has been read from the input already.
    pub(crate) fn new(start: Vec<u8>, input: R) -> Packets<R> {
        Packets {
            input: BufReader::new(Cursor::new(start).chain(input)),
            line: 0,
            next: None,
            form: Form::Unknown,
        }
    }

    /// Returns the next line, or None at the end.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Error> {
        self.line += 1;
        if let Some(line) = self.next.take() {
            return Ok(Some(line));
        }
        // A byte takes at most four characters with "0x", and a space. A line that is longer than
        // that is no packet.
        let longest = u64::from(LONGEST) * 5;
        let mut line = Vec::new();
        let read = self
            .input
            .by_ref()
            .take(longest)
            .read_until(b'\n', &mut line);
        match read? {
            0 => return Ok(None),
            n if n as u64 == longest => {
                return Err(format!("line {}: is too long for a packet", self.line).into())
            }
            _ => {}
        }
        Ok(Some(line))
    }

    /// Returns the form of a file that begins with this line. tcpdump writes a line of words before
    /// each dump.
    fn form(&mut self, line: &[u8]) -> Result<Form, Error> {
        if let Some(what) = is_otherwise(line.trim_ascii_end()) {
            return Err(format!("line {}: {what}", self.line).into());
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
            )
            .into());
        }
        let next = self.line()?;
        self.line = at;
        self.next = next;
        match &self.next {
            Some(next) if is_start(next) => Ok(Form::Dump(Dump::default())),
            _ => Err(format!("line {at}: {what}").into()),
        }
    }
}

impl<R: Read + Send> frame::Packets for Packets<R> {
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let line = self.line()?;
            if let (Form::Unknown, Some(line)) = (&self.form, &line) {
                if uncommented(line).iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                self.form = self.form(line)?;
            }
            let at = self.line;
            let complain = |what: String| Error::from(format!("line {at}: {what}"));
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

/// Returns the bytes of a line with one packet.
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
