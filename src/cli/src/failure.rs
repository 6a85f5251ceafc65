//! Errors of one line, and exit statuses.
//!
//! The status is 0 when it is done; 1 when it did not happen (time over, queue full, interface
//! gone); 2 for bad input. `run` gives the program's own status, or 126 and 127 like env(1).
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// Says why the command ends, and with which exit status.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    text: String,
}

/// The result of a verb.
pub type Outcome = Result<ExitCode, Failure>;

impl Failure {
    /// Makes a failure for something that was given and cannot be used; the text is one line with
    /// the thing and the remedy.
    pub fn bad_input(text: impl Into<String>) -> Failure {
        Failure::with_status(2, text)
    }

    /// Makes a failure for something that was asked for and did not happen.
    pub fn not_done(text: impl Into<String>) -> Failure {
        Failure::with_status(1, text)
    }

    /// Makes a failure with another exit status.
    pub fn with_status(status: u8, text: impl Into<String>) -> Failure {
        Failure {
            status,
            text: text.into(),
        }
    }

    /// Makes a failure of an operation on a file or stream. A pipe without a reader is a silent
    /// success.
    pub fn io(what: impl Display, e: &io::Error) -> Failure {
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Failure {
                status: 0,
                text: String::new(),
            };
        }
        Failure::bad_input(format!("{what}: {}", plain(e)))
    }

    /// Adds to the text which part of what was asked for it is about.
    pub fn about(self, what: impl Display) -> Failure {
        Failure {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    /// Writes the text to standard error, and returns the exit status. A reader that has had enough
    /// is no error, so nothing is written for it.
    pub fn report(self) -> ExitCode {
        if !self.text.is_empty() {
            say(&self.text);
        }
        ExitCode::from(self.status)
    }
}

impl From<memtun::Error> for Failure {
    fn from(e: memtun::Error) -> Failure {
        let happened_otherwise = [
            libc::EAGAIN,
            libc::ENODEV,
            libc::ENETDOWN,
            libc::ENOTCONN,
            libc::ENOBUFS,
        ];
        let status = if happened_otherwise.contains(&e.errno().0) {
            1
        } else {
            2
        };
        Failure::with_status(status, e.to_string())
    }
}

/// Returns an error's sentence without "(os error N)".
pub fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    match text.rsplit_once(" (os error ") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

/// Writes one line to standard error. What came from outside may hold anything, so control
/// characters are escaped before a terminal sees them.
pub fn say(text: &str) {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    let _ = io::Write::write_all(&mut io::stderr(), format!("memtun: {line}\n").as_bytes());
}
