//! The driver's errors: an errno for programs, and a sentence for people.
#![forbid(unsafe_code)]

use crate::{Errno, ErrorKind};
use std::fmt;

/// Says what went wrong, with which thing, and what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    errno: Errno,
    text: String,
    kind: ErrorKind,
    done: usize,
}

/// The result of a function of the driver.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error with its sentence. The kind is the one of most errors with this number.
    pub fn new(errno: i32, text: impl Into<String>) -> Error {
        Error {
            errno: Errno(errno),
            text: text.into(),
            kind: ErrorKind::of(Errno(errno)),
            done: 0,
        }
    }

    /// Returns the same error with another kind than most errors with its number have.
    pub fn of_kind(self, kind: ErrorKind) -> Error {
        Error { kind, ..self }
    }

    /// Returns the kind of the error, for programs that decide by it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns how many packets a subscriber has lost that was overtaken (ENOBUFS); 0 for other
    /// errors.
    pub fn lost(&self) -> u64 {
        match self.kind {
            ErrorKind::Lost { count } => count,
            _ => 0,
        }
    }

    /// Returns the same error about a packet of several, before which so many were done.
    pub fn after(self, done: usize) -> Error {
        Error { done, ..self }
    }

    /// Returns how many packets of several were done before the one that the error is about; 0 for
    /// calls that take one.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Returns the error number.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(e: Error) -> std::io::Error {
        let kind = std::io::Error::from_raw_os_error(e.errno.0).kind();
        std::io::Error::new(kind, e)
    }
}

/// Adds to an errno what it is about.
pub trait Context<T> {
    /// Turns an errno into an [`Error`] with the sentence that `text` makes.
    ///
    /// # Errors
    ///
    /// The error with the same number, when `self` is one.
    fn context(self, text: impl FnOnce(Errno) -> String) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn context(self, text: impl FnOnce(Errno) -> String) -> Result<T> {
        self.map_err(|e| Error::new(e.0, text(e)))
    }
}
