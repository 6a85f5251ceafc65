//! Paths that need no allocation.
#![forbid(unsafe_code)]

use memtun_abi::{Decimal, Errno};
use std::ffi::CStr;

/// A path with its terminating NUL in a fixed buffer, because nothing may allocate below a hook.
#[derive(Clone)]
pub struct PathBuf {
    bytes: [u8; PathBuf::CAPACITY],
    len: usize,
}

impl PathBuf {
    const CAPACITY: usize = 1024;

    /// Joins `parts` without a separator.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG when they do not fit.
    pub fn concat(parts: &[&[u8]]) -> Result<PathBuf, Errno> {
        let mut path = PathBuf {
            bytes: [0; PathBuf::CAPACITY],
            len: 0,
        };
        for part in parts {
            path.push(part)?;
        }
        Ok(path)
    }
    /// Appends bytes as they are.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG when they do not fit.
    pub fn push(&mut self, part: &[u8]) -> Result<(), Errno> {
        let end = self.len + part.len();
        if end >= PathBuf::CAPACITY {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        self.bytes[self.len..end].copy_from_slice(part);
        self.bytes[end] = 0;
        self.len = end;
        Ok(())
    }
    /// Appends a number in decimal digits.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG when they do not fit.
    pub fn push_number(&mut self, number: u64) -> Result<(), Errno> {
        self.push(Decimal::new(number).as_bytes())
    }
    /// Cuts the path to `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.len = len.min(self.len);
        self.bytes[self.len] = 0;
    }
    /// Returns the bytes without the terminating NUL.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
    /// Returns the path as a C string, which ends at an inner NUL if there is one.
    pub fn cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}
