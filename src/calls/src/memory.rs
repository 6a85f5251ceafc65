//! The memory of the program that makes the call.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::tun::Argument;
use memtun_shm::SharedBytes;

/// Bytes that go by way of a buffer at once.
const STEP: usize = 2048;

/// Memory of a program. Addresses are the program's own.
pub trait Memory {
    /// Fills `into` from an address. EFAULT when that is not readable, all of it.
    fn read(&self, at: usize, into: &mut [u8]) -> Result<(), Errno>;
    /// Stores `from` at an address. EFAULT when that is not writable, all of it.
    fn write(&self, at: usize, from: &[u8]) -> Result<(), Errno>;
    /// [`Memory::read`] into shared memory, which nothing can borrow: by way of a buffer, unless
    /// there is a better one.
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
    /// [`Memory::write`] from shared memory, likewise.
    fn write_shared(&self, at: usize, from: SharedBytes<'_>) -> Result<(), Errno> {
        let mut buffer = [0; STEP];
        for begin in (0..from.len()).step_by(STEP) {
            let n = from.part(begin..begin + STEP).copy_to(&mut buffer);
            self.write(at + begin, &buffer[..n])?;
        }
        Ok(())
    }
    /// The NUL-terminated string at an address, without its NUL, in `room`. EFAULT when it is not
    /// readable; ENAMETOOLONG when it is longer than `room`.
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

/// End of user space (TASK_SIZE_MAX of 47 bits, whose last page is nobody's; larger address spaces
/// are opt-in).
pub const USER_SPACE: usize = (1 << 47) - 4096;

/// Does the range lie in user space, as `access_ok` of the kernel asks?
#[inline]
pub fn in_user_space(start: usize, len: usize) -> bool {
    start.checked_add(len).is_some_and(|end| end <= USER_SPACE)
}

/// An address in a program's memory, as the argument of a request.
pub struct Place<'m, M: Memory> {
    /// Whose memory.
    pub memory: &'m M,
    /// Where, or the argument itself.
    pub at: usize,
}

impl<M: Memory> Argument for Place<'_, M> {
    fn value(&self) -> usize {
        self.at
    }
    fn fetch(&mut self, into: &mut [u8]) -> Result<(), Errno> {
        self.memory.read(self.at, into)
    }
    fn store(&mut self, from: &[u8]) -> Result<(), Errno> {
        self.memory.write(self.at, from)
    }
}
