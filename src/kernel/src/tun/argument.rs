//! The third argument of a request, as the program gives it.
#![forbid(unsafe_code)]

use crate::Errno;

/// The third argument of an ioctl: a number, or memory of the program.
pub trait Argument {
    /// The argument itself.
    fn value(&self) -> usize;
    /// Fills `into` from where the argument points. EFAULT when that is not readable.
    fn fetch(&mut self, into: &mut [u8]) -> Result<(), Errno>;
    /// Stores `from` where the argument points. EFAULT when that is not writable.
    fn store(&mut self, from: &[u8]) -> Result<(), Errno>;
}
