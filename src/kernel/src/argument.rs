//! The third argument of a request, as the program gives it.
#![forbid(unsafe_code)]

use crate::Errno;

/// The third argument of an ioctl: a number, or the address of memory of the program.
pub trait Argument {
    /// Returns the argument itself.
    fn value(&self) -> usize;
    /// Fills `into` with the memory at which the argument points.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not readable.
    fn fetch(&mut self, into: &mut [u8]) -> Result<(), Errno> {
        self.fetch_part(0, into)
    }
    /// Fills `into` with the memory that begins so many bytes behind the one at which the argument
    /// points.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not readable.
    fn fetch_part(&mut self, offset: usize, into: &mut [u8]) -> Result<(), Errno>;
    /// Fills `into` with the memory at another address, which stood in what the argument points at.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not readable, or when nobody can tell whose it is.
    fn fetch_at(&self, address: usize, into: &mut [u8]) -> Result<(), Errno>;
    /// Stores `from` in the memory at another address, which stood in what the argument points at.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not writable, or when nobody can tell whose it is.
    fn store_at(&mut self, address: usize, from: &[u8]) -> Result<(), Errno> {
        let _ = (address, from);
        Err(Errno(libc::EFAULT))
    }
    /// Stores `from` in the memory at which the argument points.
    ///
    /// # Errors
    ///
    /// EFAULT when that memory is not writable.
    fn store(&mut self, from: &[u8]) -> Result<(), Errno>;
}
