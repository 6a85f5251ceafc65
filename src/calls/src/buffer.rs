//! The buffers of read(2), write(2) and their relatives.
#![forbid(unsafe_code)]

use crate::memory::{in_user_space, Memory};
use memtun_abi::Errno;
use memtun_kernel::tun::{Sink, Source};
use memtun_shm::SharedBytes;
use std::ops::Range;

const EFAULT: Errno = Errno(libc::EFAULT);
const EINVAL: Errno = Errno(libc::EINVAL);

/// Most bytes of one call (MAX_RW_COUNT of the kernel).
const MAX_RW_COUNT: usize = 0x7fff_f000;

/// A buffer of read(2) or write(2).
pub struct Buffer<M: Memory> {
    memory: M,
    at: usize,
    len: usize,
}

impl<M: Memory> Buffer<M> {
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

/// The elements of readv(2) or writev(2).
pub struct Vector<M: Memory> {
    memory: M,
    array: usize,
    count: usize,
    len: usize,
}

impl<M: Memory> Vector<M> {
    /// `array` is where `count` elements of `struct iovec` lie. EINVAL for a bad count or total,
    /// EFAULT for an array that is not readable or an element outside user space.
    pub fn new(memory: M, array: usize, count: i32) -> Result<Vector<M>, Errno> {
        /// UIO_MAXIOV.
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

    /// An iovec is a pointer and a size_t.
    fn element(&self, i: usize) -> Result<(usize, usize), Errno> {
        const WORD: usize = size_of::<usize>();
        let mut words = [[0u8; WORD]; 2];
        self.memory
            .read(self.array + i * 2 * WORD, words.as_flattened_mut())?;
        let [at, len] = words.map(usize::from_ne_bytes);
        Ok((at, len))
    }

    /// Calls `each` with every piece of `len` bytes from `offset` on: its address, and which part
    /// of the range it is.
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
