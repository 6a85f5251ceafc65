//! The argument of SIOCETHTOOL: a command, which stands in front of what it reads and of where it
//! writes.
#![forbid(unsafe_code)]

use crate::uapi::IfReq;
use crate::{Argument, Errno};

pub(super) const UNSUPPORTED: Errno = Errno(libc::EOPNOTSUPP);
pub(super) const INVALID: Errno = Errno(libc::EINVAL);

/// Commands that everybody may give; others want the permission to configure.
pub(super) const ASKING: &[u32] = &[
    0x01, 0x03, 0x07, 0x0a, 0x0e, 0x10, 0x12, 0x14, 0x16, 0x18, 0x1b, 0x1d, 0x1e, 0x20, 0x21, 0x23,
    0x25, 0x27, 0x29, 0x2b, 0x2d, 0x2e, 0x2f, 0x30, 0x37, 0x38, 0x3a, 0x3c, 0x41, 0x44, 0x46, 0x48,
    0x4a, 0x4c, 0x4e, 0x50,
];

/// The memory at which a request's pointer leads.
pub(super) struct Data<'a, A> {
    argument: &'a mut A,
    at: usize,
}

impl<'a, A: Argument> Data<'a, A> {
    pub(super) fn of(ifreq: &IfReq, argument: &'a mut A) -> Data<'a, A> {
        let at = ifreq.0[16..24].try_into().map(usize::from_ne_bytes);
        Data {
            argument,
            at: at.unwrap_or(0),
        }
    }
    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Errno> {
        self.argument.fetch_at(self.at.wrapping_add(offset), into)
    }
    pub(super) fn write(&mut self, offset: usize, from: &[u8]) -> Result<(), Errno> {
        self.argument.store_at(self.at.wrapping_add(offset), from)
    }
    pub(super) fn word(&self, offset: usize) -> Result<u32, Errno> {
        let mut word = [0; 4];
        self.read(offset, &mut word)?;
        Ok(u32::from_ne_bytes(word))
    }
    pub(super) fn put(&mut self, offset: usize, word: u32) -> Result<(), Errno> {
        self.write(offset, &word.to_ne_bytes())
    }
}
