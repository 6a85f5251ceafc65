//! The driver's errors: an errno for programs, a sentence for people.
#![forbid(unsafe_code)]

use crate::Errno;
use std::fmt;

/// What went wrong, to which thing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    errno: Errno,
    text: String,
    lost: u64,
}

/// The driver's results.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with its sentence.
    pub fn new(errno: i32, text: impl Into<String>) -> Error {
        Error {
            errno: Errno(errno),
            text: text.into(),
            lost: 0,
        }
    }

    /// The same, about so many lost packets.
    pub fn of_lost(self, lost: u64) -> Error {
        Error { lost, ..self }
    }

    /// How many packets a subscriber has lost that was overtaken (ENOBUFS); 0 in other errors.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The error number.
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

/// Adds the thing that an errno is about.
pub trait Context<T> {
    /// Turns an errno into an [`Error`] with the sentence that `text` makes.
    fn context(self, text: impl FnOnce(Errno) -> String) -> Result<T>;
}

impl<T> Context<T> for std::result::Result<T, Errno> {
    fn context(self, text: impl FnOnce(Errno) -> String) -> Result<T> {
        self.map_err(|e| Error {
            errno: e,
            text: text(e),
            lost: 0,
        })
    }
}
