//! One-line errors and exit statuses.
//!
//! 0 done; 1 it did not happen (time over, queue full, interface gone); 2 bad input. `run` gives
//! the program's own status, or 126 and 127 as env(1).
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

/// Why the command ends, and how.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    text: String,
}

/// What a verb comes to.
pub type Outcome = Result<ExitCode, Failure>;

impl Failure {
    /// What was given cannot be used: the thing and the remedy, one line.
    pub fn bad_input(text: impl Into<String>) -> Failure {
        Failure::with_status(2, text)
    }

    /// What was asked for did not happen.
    pub fn not_done(text: impl Into<String>) -> Failure {
        Failure::with_status(1, text)
    }

    /// Another exit status.
    pub fn with_status(status: u8, text: impl Into<String>) -> Failure {
        Failure {
            status,
            text: text.into(),
        }
    }

    /// An operation on a file or stream.
    pub fn io(what: impl Display, e: &io::Error) -> Failure {
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Failure {
                status: 0,
                text: String::new(),
            };
        }
        Failure::bad_input(format!("{what}: {}", plain(e)))
    }

    /// The same about a part of what was asked for.
    pub fn about(self, what: impl Display) -> Failure {
        Failure {
            text: format!("{what}: {}", self.text),
            ..self
        }
    }

    /// Says it on standard error. A reader that has had enough is no error.
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

/// An error's sentence without "(os error N)".
pub fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    match text.rsplit_once(" (os error ") {
        Some((sentence, _)) => sentence.to_owned(),
        None => text,
    }
}

/// One line to standard error. What came from outside may hold anything; a terminal sees no control
/// bytes.
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
