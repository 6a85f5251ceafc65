//! The buffers of read(2), write(2) and their relatives.
#![forbid(unsafe_code)]

use crate::memory::{in_user_space, Memory, USER_SPACE};
use memtun_abi::Errno;
use memtun_kernel::tun::{Sink, Source};
use memtun_shm::SharedBytes;
use std::ops::Range;

const EFAULT: Errno = Errno(libc::EFAULT);
const EINVAL: Errno = Errno(libc::EINVAL);

/// Number of bytes that one call transfers at most (MAX_RW_COUNT of the kernel).
const MAX_RW_COUNT: usize = 0x7fff_f000;

/// A buffer of read(2) or write(2) in the program's memory.
pub struct Buffer<M: Memory> {
    memory: M,
    at: usize,
    len: usize,
}

impl<M: Memory> Buffer<M> {
    /// Makes a buffer of `len` bytes from the program's address `at` on; a longer one is cut to
    /// what one call transfers.
    ///
    /// # Errors
    ///
    /// EFAULT for a range outside user space.
    #[inline]
    pub fn new(memory: M, at: usize, len: usize) -> Result<Buffer<M>, Errno> {
        if !in_user_space(at, len) {
            return Err(EFAULT);
        }
        let len = len.min(MAX_RW_COUNT);
        Ok(Buffer { memory, at, len })
    }
}

impl<M: Memory> Buffer<M> {
    /// Makes a buffer as [`Buffer::new`] does, where that is told by few instructions. None says
    /// nothing but that [`Buffer::new`] is to be asked.
    #[inline(always)]
    pub fn at_once(memory: M, at: usize, len: usize) -> Option<Buffer<M>> {
        // All addresses below the end of user space have 47 bits.
        let end = at
            .wrapping_add(len)
            .wrapping_add(1 << 47)
            .wrapping_sub(USER_SPACE);
        let is_plain = len <= MAX_RW_COUNT && (at | end) >> 47 == 0;
        is_plain.then_some(Buffer { memory, at, len })
    }
}

impl<M: Memory> Sink for Buffer<M> {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }
    #[inline]
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno> {
        self.memory.write(self.at + offset, data)
    }
    #[inline]
    fn put_shared(&mut self, offset: usize, data: SharedBytes<'_>) -> Result<(), Errno> {
        self.memory.write_shared(self.at + offset, data)
    }
}

impl<M: Memory> Source for Buffer<M> {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }
    #[inline]
    fn copy(&self, offset: usize, room: &mut [u8]) -> Result<(), Errno> {
        self.memory.read(self.at + offset, room)
    }
    #[inline]
    fn copy_shared(&self, offset: usize, room: SharedBytes<'_>) -> Result<(), Errno> {
        self.memory.read_shared(self.at + offset, room)
    }
}

/// The buffers of readv(2) or writev(2), in the order of their array.
pub struct Vector<M: Memory> {
    memory: M,
    array: usize,
    count: usize,
    len: usize,
}

impl<M: Memory> Vector<M> {
    /// Makes the buffers from the array of `count` elements of `struct iovec` at the program's
    /// address `array`.
    ///
    /// # Errors
    ///
    /// - EINVAL for a bad count or a bad total length.
    /// - EFAULT for an array that is not readable, or for an element outside user space.
    pub fn new(memory: M, array: usize, count: i32) -> Result<Vector<M>, Errno> {
        /// UIO_MAXIOV of the kernel.
        const MOST: usize = 1024;
        let count = usize::try_from(count).ok().filter(|n| *n <= MOST);
        let mut vector = Vector {
            memory,
            array,
            count: count.ok_or(EINVAL)?,
            len: 0,
        };
        for i in 0..vector.count {
            let (at, len) = vector.element(i)?;
            if len > isize::MAX as usize {
                return Err(EINVAL);
            }
            if !in_user_space(at, len) {
                return Err(EFAULT);
            }
            vector.len = (vector.len + len).min(MAX_RW_COUNT);
        }
        Ok(vector)
    }

    /// Reads one element of the array, which is a pointer and a size_t.
    fn element(&self, i: usize) -> Result<(usize, usize), Errno> {
        const WORD: usize = size_of::<usize>();
        let mut words = [[0u8; WORD]; 2];
        self.memory
            .read(self.array + i * 2 * WORD, words.as_flattened_mut())?;
        let [at, len] = words.map(usize::from_ne_bytes);
        Ok((at, len))
    }

    /// Calls `each` with every piece of the `len` bytes from `offset` on: with its address, and
    /// with the part of the range that it is.
    fn pieces(
        &self,
        offset: usize,
        len: usize,
        mut each: impl FnMut(usize, Range<usize>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (mut skip, mut done) = (offset, 0);
        for i in 0..self.count {
            if done == len {
                break;
            }
            let (at, size) = self.element(i)?;
            if skip >= size {
                skip -= size;
                continue;
            }
            let n = (size - skip).min(len - done);
            each(at + skip, done..done + n)?;
            done += n;
            skip = 0;
        }
        Ok(())
    }
}

impl<M: Memory> Sink for Vector<M> {
    fn len(&self) -> usize {
        self.len
    }
    fn put(&mut self, offset: usize, data: &[u8]) -> Result<(), Errno> {
        self.pieces(offset, data.len(), |at, part| {
            self.memory.write(at, &data[part])
        })
    }
    fn put_shared(&mut self, offset: usize, data: SharedBytes<'_>) -> Result<(), Errno> {
        self.pieces(offset, data.len(), |at, part| {
            self.memory.write_shared(at, data.part(part))
        })
    }
}

impl<M: Memory> Source for Vector<M> {
    fn len(&self) -> usize {
        self.len
    }
    fn copy(&self, offset: usize, room: &mut [u8]) -> Result<(), Errno> {
        self.pieces(offset, room.len(), |at, part| {
            self.memory.read(at, &mut room[part])
        })
    }
    fn copy_shared(&self, offset: usize, room: SharedBytes<'_>) -> Result<(), Errno> {
        self.pieces(offset, room.len(), |at, part| {
            self.memory.read_shared(at, room.part(part))
        })
    }
}
