//! The memory of the program that makes the call.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::Argument;
use memtun_shm::SharedBytes;

/// Number of bytes that are copied through a buffer at once.
const STEP: usize = 2048;

/// The memory of a program. Addresses are the program's own.
pub trait Memory {
    /// Fills `into` from an address.
    ///
    /// # Errors
    ///
    /// EFAULT when any of that memory is not readable.
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno>;
    /// Stores `from` at an address.
    ///
    /// # Errors
    ///
    /// EFAULT when any of that memory is not writable.
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno>;
    /// Does the same as [`Memory::read`], into shared memory. Nothing can borrow that, so the bytes
    /// go through a buffer unless the implementation has a better way.
    ///
    /// # Errors
    ///
    /// EFAULT when any of the program's memory is not readable.
    fn read_shared(&self, at: usize, into: SharedBytes<'_>) -> Result<(), Errno> {
        let mut buffer = [0; STEP];
        for begin in (0..into.len()).step_by(STEP) {
            let piece = into.part(begin..begin + STEP);
            let some = &mut buffer[..piece.len()];
            self.read(at + begin, some)?;
            piece.store(some);
        }
        Ok(())
    }
    /// Does the same as [`Memory::write`], from shared memory.
    ///
    /// # Errors
    ///
    /// EFAULT when any of the program's memory is not writable.
    fn write_shared(&self, at: usize, from: SharedBytes<'_>) -> Result<(), Errno> {
        let mut buffer = [0; STEP];
        for begin in (0..from.len()).step_by(STEP) {
            let n = from.part(begin..begin + STEP).copy_to(&mut buffer);
            self.write(at + begin, &buffer[..n])?;
        }
        Ok(())
    }
    /// Reads the NUL-terminated string at an address into `room`, and returns it without its NUL.
    ///
    /// # Errors
    ///
    /// - EFAULT when it is not readable.
    /// - ENAMETOOLONG when it is longer than `room`.
    fn string<'r>(&self, at: usize, room: &'r mut [u8]) -> Result<&'r [u8], Errno>;
}

impl<M: Memory> Memory for &M {
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno> {
        (**self).read(at, into)
    }
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno> {
        (**self).write(at, from)
    }
    fn read_shared(&self, at: usize, into: SharedBytes<'_>) -> Result<(), Errno> {
        (**self).read_shared(at, into)
    }
    fn write_shared(&self, at: usize, from: SharedBytes<'_>) -> Result<(), Errno> {
        (**self).write_shared(at, from)
    }
    fn string<'r>(&self, at: usize, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
        (**self).string(at, room)
    }
}

/// End of user space: TASK_SIZE_MAX with 47 bits, whose last page is never mapped. Larger address
/// spaces are opt-in.
pub const USER_SPACE: usize = (1 << 47) - 4096;

/// Does the range lie in user space, as `access_ok` of the kernel checks?
#[inline]
pub fn in_user_space(start: usize, len: usize) -> bool {
    start.checked_add(len).is_some_and(|end| end <= USER_SPACE)
}

/// An address in a program's memory, as the argument of a request.
pub struct Place<'m, M: Memory> {
    /// Memory of the program.
    pub memory: &'m M,
    /// Address in that memory, or the argument itself where it is a number.
    pub at: usize,
}

impl<M: Memory> Argument for Place<'_, M> {
    fn value(&self) -> usize {
        self.at
    }
    fn fetch_part(&mut self, offset: usize, into: &mut [u8]) -> Result<(), Errno> {
        self.fetch_at(self.at.wrapping_add(offset), into)
    }
    fn fetch_at(&self, address: usize, into: &mut [u8]) -> Result<(), Errno> {
        self.memory.read(address, into)
    }
    fn store_at(&mut self, address: usize, from: &[u8]) -> Result<(), Errno> {
        self.memory.write(address, from)
    }
    fn store(&mut self, from: &[u8]) -> Result<(), Errno> {
        self.memory.write(self.at, from)
    }
}
