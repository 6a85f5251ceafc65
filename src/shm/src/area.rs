//! The packet area of a file, behind its head: memory that other processes write at the same time.
//!
//! No part of it is ever lent as a slice. The words of records are atomics. Packets are copied in
//! and out by [`SharedBytes`], with a function that the compiler cannot see into: to the compiler,
//! a byte that changes meanwhile is any byte and nothing worse.

use crate::sync::AtomicU64;
use crate::Errno;
use memtun_sys::PAGE;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// The packet area of a mapped file. Nobody outside of this crate can name it.
#[derive(Clone, Copy)]
pub struct Area<'m> {
    memory: Memory<'m>,
    len: usize,
}

/// A range of bytes that other processes may write at the same time. It stays with the thread that
/// holds the lock.
#[derive(Clone, Copy)]
pub struct SharedBytes<'m> {
    memory: Memory<'m>,
    len: usize,
}

/// Something that has a packet area, and words that say what stands in it. Nobody outside of this
/// crate can name it: what it gives is for callers that hold a lock, or that expect changes by
/// those who do.
pub trait Home {
    /// Type of the words that describe the area.
    type Words;
    /// Returns the words that describe the area.
    fn words(&self) -> &Self::Words;
    /// Returns the area.
    fn area(&self) -> Area<'_>;
}

impl<'m> Area<'m> {
    /// Length of the area in bytes.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// Does the range lie within the first `kept` bytes?
    #[inline(always)]
    fn has(self, offset: usize, len: usize, kept: usize) -> bool {
        let end = offset.checked_add(len);
        end.is_some_and(|end| end <= self.len.min(kept))
    }

    /// Returns `N` words at an offset that is a multiple of 8, if they lie within the first `kept`
    /// bytes.
    #[inline(always)]
    pub(crate) fn words<const N: usize>(
        self,
        offset: usize,
        kept: usize,
    ) -> Option<&'m [AtomicU64; N]> {
        (offset.is_multiple_of(8) && self.has(offset, N * 8, kept))
            .then(|| self.memory.words(offset))
    }

    /// Returns a range, if it lies within the first `kept` bytes.
    #[inline(always)]
    pub(crate) fn bytes(self, offset: usize, len: usize, kept: usize) -> Option<SharedBytes<'m>> {
        self.has(offset, len, kept).then(|| SharedBytes {
            memory: self.memory.behind(offset),
            len,
        })
    }

    /// Returns `N` words at an offset that is a multiple of 8 and the `len` bytes behind them, if
    /// all lie within the first `kept` bytes.
    #[inline(always)]
    pub(crate) fn record<const N: usize>(
        self,
        offset: usize,
        len: usize,
        kept: usize,
    ) -> Option<(&'m [AtomicU64; N], SharedBytes<'m>)> {
        let both = len.checked_add(N * 8)?;
        (offset.is_multiple_of(8) && self.has(offset, both, kept)).then(|| {
            let memory = self.memory.behind(offset + N * 8);
            (self.memory.words(offset), SharedBytes { memory, len })
        })
    }

    /// Makes sure that there is memory behind the first `upto` bytes. `reserved` records how far
    /// that has been done, by whichever process. The steps double, so that an idle queue stays
    /// small.
    ///
    /// # Errors
    ///
    /// - ENOSPC when the file system is full.
    /// - ENOBUFS when the area is shorter than `upto` bytes.
    #[inline]
    pub fn reserve(self, reserved: &AtomicU64, upto: usize) -> Result<(), Errno> {
        if upto <= reserved.load(Relaxed) as usize {
            return Ok(());
        }
        self.grow(reserved, upto)
    }

    #[cold]
    fn grow(self, reserved: &AtomicU64, upto: usize) -> Result<(), Errno> {
        if upto > self.len {
            return Err(Errno(libc::ENOBUFS));
        }
        let least = upto.next_multiple_of(PAGE);
        self.grow_to(reserved, self.next_size(reserved, upto))
            .or_else(|_| self.grow_to(reserved, least))
    }

    /// Returns how many bytes are to be reserved next when `upto` bytes are wanted.
    pub fn next_size(self, reserved: &AtomicU64, upto: usize) -> usize {
        const SMALLEST: usize = 32 << 10;
        const LARGEST: usize = 1 << 20;
        let have = reserved.load(Relaxed) as usize;
        (have.saturating_add(have.clamp(SMALLEST, LARGEST)))
            .max(upto)
            .checked_next_multiple_of(PAGE)
            .map_or(self.len, |size| size.min(self.len))
    }

    /// Makes sure that there is memory behind a range.
    ///
    /// # Errors
    ///
    /// - ENOSPC when the file system is full.
    /// - ENOBUFS when the area has no such range.
    pub(crate) fn back(self, offset: usize, len: usize) -> Result<(), Errno> {
        if !self.has(offset, len, self.len) {
            return Err(Errno(libc::ENOBUFS));
        }
        self.memory.behind(offset).reserve(len)
    }

    /// Reserves the first `goal` bytes, or nothing.
    ///
    /// # Errors
    ///
    /// - ENOSPC when the file system is full.
    /// - ENOBUFS when the area is shorter than `goal` bytes.
    pub fn grow_to(self, reserved: &AtomicU64, goal: usize) -> Result<(), Errno> {
        let have = (reserved.load(Relaxed) as usize).min(self.len);
        let more = goal.saturating_sub(have);
        if !self.has(have, more, self.len) {
            return Err(Errno(libc::ENOBUFS));
        }
        self.memory.behind(have).reserve(more)?;
        reserved.store(goal as u64, Relaxed);
        Ok(())
    }
}

impl<'m> SharedBytes<'m> {
    /// Length of the range in bytes.
    #[inline]
    pub fn len(self) -> usize {
        self.len
    }

    /// Is the range empty?
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Returns the bytes of a range within this one, as far as there are any.
    #[inline]
    pub fn part(self, range: Range<usize>) -> SharedBytes<'m> {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        SharedBytes {
            memory: self.memory.behind(start),
            len: end - start,
        }
    }

    /// Returns the first `n` bytes, or all if there are fewer.
    #[inline]
    pub fn first(self, n: usize) -> SharedBytes<'m> {
        SharedBytes {
            memory: self.memory,
            len: n.min(self.len),
        }
    }

    /// Reads one byte as it is now; None behind the end.
    #[inline]
    pub fn get(self, at: usize) -> Option<u8> {
        (at < self.len).then(|| self.memory.byte(at))
    }

    /// Reads words of 8 bytes from an offset on, as they are now, the first byte the lowest. None
    /// where there are not as many, or memory is not divided there.
    #[inline(always)]
    pub fn words<const N: usize>(self, at: usize) -> Option<[u64; N]> {
        let end = at.checked_add(N * 8)?;
        let are_there = end <= self.len && self.memory.has_word(at);
        let word = |word: &AtomicU64| u64::from_le(word.load(Relaxed));
        are_there.then(|| self.memory.words(at).each_ref().map(word))
    }

    /// Fills the beginning of `room`, and returns how many bytes were copied.
    #[inline]
    pub fn copy_to(self, room: &mut [u8]) -> usize {
        let n = self.len.min(room.len());
        self.memory.load(&mut room[..n]);
        n
    }

    /// Appends a copy of the bytes to `buf`.
    #[inline]
    pub fn append_to(self, buf: &mut Vec<u8>) {
        self.memory.append(self.len, buf);
    }

    /// Stores the beginning of `data`, as much as there is room for.
    #[inline]
    pub fn store(self, data: &[u8]) {
        let n = self.len.min(data.len());
        self.memory.store(&data[..n]);
    }
}

#[cfg(not(loom))]
pub(crate) use real::Memory;

#[cfg(not(loom))]
mod real {
    use super::{Area, AtomicU64, Errno, Relaxed, SharedBytes};
    use memtun_sys as sys;

    use std::marker::PhantomData;
    use std::sync::atomic::AtomicU8;

    /// Mapped memory from an address on. Its length is known beside it, and checked there.
    #[derive(Clone, Copy)]
    pub(crate) struct Memory<'m> {
        at: *mut u8,
        mapping: PhantomData<&'m AtomicU64>,
    }

    impl<'m> Area<'m> {
        /// Makes the area that begins at this address and has `len` bytes.
        ///
        /// # Safety
        /// For the lifetime, `len` bytes must be mapped, shared and writable, at an address that is
        /// a multiple of 8, in a process that handles SIGBUS.
        #[inline]
        pub unsafe fn at(at: *mut u8, len: usize) -> Area<'m> {
            let mapping = PhantomData;
            Area {
                memory: Memory { at, mapping },
                len,
            }
        }
    }

    impl SharedBytes<'_> {
        /// Returns the address of the first byte, for a copy into memory that may not be there (see
        /// `memtun_sys::guard`).
        #[inline]
        pub fn address(self) -> usize {
            self.memory.at as usize
        }
    }

    impl<'m> Memory<'m> {
        #[inline]
        pub fn behind(self, offset: usize) -> Memory<'m> {
            Memory {
                at: self.at.wrapping_add(offset),
                ..self
            }
        }

        /// Does one of the words begin at this offset?
        #[inline(always)]
        pub fn has_word(self, offset: usize) -> bool {
            self.at.addr().wrapping_add(offset).is_multiple_of(8)
        }

        #[inline]
        pub fn words<const N: usize>(self, offset: usize) -> &'m [AtomicU64; N] {
            // SAFETY: the caller has checked that this many aligned words lie within what is mapped
            // for the lifetime.
            unsafe { &*self.at.add(offset).cast::<[AtomicU64; N]>() }
        }

        #[inline]
        pub fn byte(self, at: usize) -> u8 {
            // SAFETY: `SharedBytes` has checked that the byte lies within what is mapped.
            unsafe { &*self.at.add(at).cast::<AtomicU8>() }.load(Relaxed)
        }

        #[inline]
        pub fn load(self, room: &mut [u8]) {
            // SAFETY: the caller has checked that this many bytes are mapped, and `room` is
            // borrowed exclusively.
            unsafe { copy(room.as_mut_ptr(), self.at, room.len(), Shared::From) };
        }

        #[inline]
        pub fn append(self, len: usize, buf: &mut Vec<u8>) {
            buf.reserve(len);
            // SAFETY: the caller has checked that this many bytes are mapped, `reserve` made room
            // for them in the buffer, and the copy has filled what `set_len` adds.
            unsafe {
                copy(buf.as_mut_ptr().add(buf.len()), self.at, len, Shared::From);
                buf.set_len(buf.len() + len);
            }
        }

        #[inline]
        pub fn store(self, data: &[u8]) {
            // SAFETY: the caller has checked that this many bytes are mapped; every reader allows
            // for other writers.
            unsafe { copy(self.at, data.as_ptr(), data.len(), Shared::To) };
        }

        #[inline]
        pub fn reserve(self, len: usize) -> Result<(), Errno> {
            // SAFETY: `Area` has checked that the range is mapped, and its contract says that the
            // process handles SIGBUS.
            unsafe { sys::reserve(self.at, len) }
        }
    }

    /// Which side of a copy is shared memory.
    enum Shared {
        From,
        To,
    }

    /// Copies bytes from or to shared memory.
    ///
    /// This calls memcpy(3) of libc by an address that the compiler has to look up. So the compiler
    /// cannot know which function is called, and assumes nothing about what others store meanwhile.
    ///
    /// # Safety
    /// Both ranges must be valid and must not overlap, and one of them must belong to this caller
    /// alone.
    #[cfg(not(miri))]
    #[inline]
    unsafe fn copy(to: *mut u8, from: *const u8, n: usize, _: Shared) {
        use std::ffi::c_void;
        type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;
        static COPY: Copy = libc::memcpy;
        // SAFETY: the caller guarantees what memcpy(3) requires.
        unsafe { std::ptr::read_volatile(&COPY)(to.cast(), from.cast(), n) };
    }

    /// Copies in miri by whole words, because miri reports an error when memory that is accessed as
    /// a word is stored by bytes. Areas, and what stands in them, begin at whole words.
    ///
    /// # Safety
    /// The same as for the other `copy`; besides, the shared side must be valid to the end of its
    /// last word.
    #[cfg(miri)]
    unsafe fn copy(to: *mut u8, from: *const u8, n: usize, shared: Shared) {
        let word = |at: *mut u8| at.cast::<u64>();
        for i in (0..n).step_by(8) {
            let some = (n - i).min(8);
            // SAFETY: the caller guarantees that both ranges are valid: the shared side is accessed
            // by words, the other one by bytes.
            unsafe {
                let (mut bytes, from) = ([0; 8], from.add(i).cast_mut());
                match shared {
                    Shared::To => {
                        from.copy_to_nonoverlapping(bytes.as_mut_ptr(), some);
                        let value = u64::from_ne_bytes(bytes);
                        AtomicU64::from_ptr(word(to.add(i))).store(value, Relaxed);
                    }
                    Shared::From => {
                        bytes = AtomicU64::from_ptr(word(from)).load(Relaxed).to_ne_bytes();
                        to.add(i).copy_from_nonoverlapping(bytes.as_ptr(), some);
                    }
                }
            }
        }
    }
}

#[cfg(loom)]
pub(crate) use model::Memory;

#[cfg(loom)]
mod model {
    use super::{Area, AtomicU64, Errno, Relaxed};

    /// Words that `loom` watches, from a byte on.
    #[derive(Clone, Copy)]
    pub(crate) struct Memory<'m> {
        words: &'m [AtomicU64],
        from: usize,
    }

    impl<'m> Area<'m> {
        pub fn of_words(words: &'m [AtomicU64]) -> Area<'m> {
            Area {
                memory: Memory { words, from: 0 },
                len: words.len() * 8,
            }
        }
    }

    impl<'m> Memory<'m> {
        pub fn behind(self, offset: usize) -> Memory<'m> {
            Memory {
                from: self.from + offset,
                ..self
            }
        }

        pub fn has_word(self, offset: usize) -> bool {
            (self.from + offset).is_multiple_of(8)
        }

        pub fn words<const N: usize>(self, offset: usize) -> &'m [AtomicU64; N] {
            let first = (self.from + offset) / 8;
            self.words[first..first + N].try_into().expect("as many")
        }

        pub fn byte(self, at: usize) -> u8 {
            let at = self.from + at;
            self.words[at / 8].load(Relaxed).to_ne_bytes()[at % 8]
        }

        /// Packets begin at a whole word, and nobody stores part of one.
        pub fn load(self, room: &mut [u8]) {
            for (chunk, word) in room.chunks_mut(8).zip(&self.words[self.from / 8..]) {
                chunk.copy_from_slice(&word.load(Relaxed).to_ne_bytes()[..chunk.len()]);
            }
        }

        pub fn append(self, len: usize, buf: &mut Vec<u8>) {
            let kept = buf.len();
            buf.resize(kept + len, 0);
            self.load(&mut buf[kept..]);
        }

        pub fn store(self, data: &[u8]) {
            for (chunk, word) in data.chunks(8).zip(&self.words[self.from / 8..]) {
                let mut bytes = [0; 8];
                bytes[..chunk.len()].copy_from_slice(chunk);
                word.store(u64::from_ne_bytes(bytes), Relaxed);
            }
        }

        pub fn reserve(self, _len: usize) -> Result<(), Errno> {
            Ok(())
        }
    }
}
