//! Reading whose errors are sentences, and numbers of either byte order.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, Read};

/// Says why a file of packets cannot be read any further.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The input itself failed.
    Io(io::Error),
    /// The contents are wrong: what is wrong, and where in the file. The sentence lacks its
    /// subject, which is the file.
    Malformed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(e) => e.fmt(f),
            Error::Malformed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(e) => Some(e),
            Error::Malformed(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Error {
        Error::Io(e)
    }
}

impl From<String> for Error {
    fn from(text: String) -> Error {
        Error::Malformed(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Error {
        Error::Malformed(text.to_owned())
    }
}

/// Fills the buffer as far as the input goes, and returns how many bytes there were.
pub(crate) fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// Fills the buffer. Returns false when the input had ended before, and an error when it ends in
/// the middle of the buffer.
pub(crate) fn read_whole(
    input: &mut impl Read,
    buffer: &mut [u8],
    what: &str,
) -> Result<bool, Error> {
    match read_up_to(input, buffer)? {
        0 if !buffer.is_empty() => Ok(false),
        n if n == buffer.len() => Ok(true),
        _ => Err(format!("ends in the middle of {what}").into()),
    }
}

/// The byte order of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if self == Order::Little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    pub(crate) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self == Order::Little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    pub(crate) fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
        Some(if self == Order::Little {
            u64::from_le_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        })
    }
}
