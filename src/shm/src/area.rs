//! The packet area of a file, behind its head: memory that other processes write at the same time.
//!
//! Nothing of it is ever lent as a slice. Words of records are atomics; packets are copied in and out by [`SharedBytes`], by a
//! function that the compiler cannot see into, so that to it a byte that changes meanwhile is any byte and nothing worse.

use crate::sync::AtomicU64;
use crate::Errno;
use memtun_sys::PAGE;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// The area. Nobody outside of this crate can name it.
#[derive(Clone, Copy)]
pub struct Area<'m> {
    memory: Memory<'m>,
    len: usize,
}

/// Bytes that other processes may write at the same time. They stay with the thread that holds the lock.
#[derive(Clone, Copy)]
pub struct SharedBytes<'m> {
    memory: Memory<'m>,
    len: usize,
}

/// What has an area, and words that say what stands in it. Nobody outside of this crate can name it: what it gives is for who
/// holds a lock, or reckons with those who do.
pub trait Home {
    /// The words.
    type Words;
    /// The words.
    fn words(&self) -> &Self::Words;
    /// The area.
    fn area(&self) -> Area<'_>;
}

impl<'m> Area<'m> {
    /// Bytes of it.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// Does the range lie within the first `kept` bytes?
    #[inline]
    fn has(self, offset: usize, len: usize, kept: usize) -> bool {
        let end = offset.checked_add(len);
        end.is_some_and(|end| end <= self.len.min(kept))
    }

    /// So many words at an offset that is a multiple of 8, if they lie within the first `kept` bytes.
    #[inline]
    pub(crate) fn words<const N: usize>(
        self,
        offset: usize,
        kept: usize,
    ) -> Option<&'m [AtomicU64; N]> {
        (offset % 8 == 0 && self.has(offset, N * 8, kept)).then(|| self.memory.words(offset))
    }

    /// A range, if it lies within the first `kept` bytes.
    #[inline]
    pub(crate) fn bytes(self, offset: usize, len: usize, kept: usize) -> Option<SharedBytes<'m>> {
        self.has(offset, len, kept).then(|| SharedBytes {
            memory: self.memory.behind(offset),
            len,
        })
    }

    /// So many words, and so many bytes behind them.
    #[inline]
    pub(crate) fn record<const N: usize>(
        self,
        offset: usize,
        len: usize,
        kept: usize,
    ) -> Option<(&'m [AtomicU64; N], SharedBytes<'m>)> {
        let both = len.checked_add(N * 8)?;
        (offset % 8 == 0 && self.has(offset, both, kept)).then(|| {
            let memory = self.memory.behind(offset + N * 8);
            (self.memory.words(offset), SharedBytes { memory, len })
        })
    }

    /// Makes sure that there is memory behind the first `upto` bytes; `reserved` remembers how far that has been done by
    /// whichever process. In steps that double, so that an idle queue stays small. ENOSPC when the file system is full.
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

    /// How much is reserved next when `upto` bytes are wanted.
    pub fn next_size(self, reserved: &AtomicU64, upto: usize) -> usize {
        const SMALLEST: usize = 32 << 10;
        const LARGEST: usize = 1 << 20;
        let have = reserved.load(Relaxed) as usize;
        (have.saturating_add(have.clamp(SMALLEST, LARGEST)))
            .max(upto)
            .checked_next_multiple_of(PAGE)
            .map_or(self.len, |size| size.min(self.len))
    }

    /// Reserves the first `goal` bytes, or nothing. ENOSPC when the file system is full.
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
    /// How many.
    #[inline]
    pub fn len(self) -> usize {
        self.len
    }

    /// None at all?
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Those of a range, as far as there are any.
    #[inline]
    pub fn part(self, range: Range<usize>) -> SharedBytes<'m> {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        SharedBytes {
            memory: self.memory.behind(start),
            len: end - start,
        }
    }

    /// The first `n` of them, or all that there are.
    #[inline]
    pub fn first(self, n: usize) -> SharedBytes<'m> {
        SharedBytes {
            memory: self.memory,
            len: n.min(self.len),
        }
    }

    /// One byte as it is now, if there are so many.
    #[inline]
    pub fn get(self, at: usize) -> Option<u8> {
        (at < self.len).then(|| self.memory.byte(at))
    }

    /// Fills the beginning of `room`; how many bytes were copied.
    #[inline]
    pub fn copy_to(self, room: &mut [u8]) -> usize {
        let n = self.len.min(room.len());
        self.memory.load(&mut room[..n]);
        n
    }

    /// The bytes, copied behind those that are in `buf`.
    #[inline]
    pub fn append_to(self, buf: &mut Vec<u8>) {
        self.memory.append(self.len, buf);
    }

    /// Stores the beginning of `data`, as far as there is room.
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

    /// Mapped memory from an address on; how much of it there is, is known beside it and checked there.
    #[derive(Clone, Copy)]
    pub(crate) struct Memory<'m> {
        at: *mut u8,
        mapping: PhantomData<&'m AtomicU64>,
    }

    impl<'m> Area<'m> {
        /// The area that begins here.
        ///
        /// # Safety
        /// So many bytes must be mapped, shared and writable, for the lifetime, at an address that is a multiple of 8, in a
        /// process that handles SIGBUS.
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
        /// Where they begin, for a copy into memory that may not be there (see `memtun_sys::guard`).
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

        #[inline]
        pub fn words<const N: usize>(self, offset: usize) -> &'m [AtomicU64; N] {
            // SAFETY: `Area` has checked that as many aligned words lie within what is mapped for the lifetime.
            unsafe { &*self.at.add(offset).cast::<[AtomicU64; N]>() }
        }

        #[inline]
        pub fn byte(self, at: usize) -> u8 {
            // SAFETY: `SharedBytes` has checked that the byte lies within what is mapped.
            unsafe { &*self.at.add(at).cast::<AtomicU8>() }.load(Relaxed)
        }

        #[inline]
        pub fn load(self, room: &mut [u8]) {
            // SAFETY: as many bytes are mapped, and the room is borrowed.
            unsafe { copy(room.as_mut_ptr(), self.at, room.len(), Shared::From) };
        }

        #[inline]
        pub fn append(self, len: usize, buf: &mut Vec<u8>) {
            buf.reserve(len);
            // SAFETY: as many bytes are mapped, there is room for them in the buffer, and what was copied is filled.
            unsafe {
                copy(buf.as_mut_ptr().add(buf.len()), self.at, len, Shared::From);
                buf.set_len(buf.len() + len);
            }
        }

        #[inline]
        pub fn store(self, data: &[u8]) {
            // SAFETY: as many bytes are mapped; who else writes them is borne by all who read.
            unsafe { copy(self.at, data.as_ptr(), data.len(), Shared::To) };
        }

        #[inline]
        pub fn reserve(self, len: usize) -> Result<(), Errno> {
            // SAFETY: `Area` has checked that the range is mapped; the process handles SIGBUS.
            unsafe { sys::reserve(self.at, len) }
        }
    }

    /// The side of a copy that is shared.
    enum Shared {
        From,
        To,
    }

    /// Copies bytes one of whose sides is shared.
    ///
    /// libc's memcpy(3), but by an address that the compiler has to look up: it cannot know what is called, and so assumes
    /// nothing of what others store meanwhile.
    ///
    /// # Safety
    /// Both ranges must be valid and apart from each other, one of them for this caller alone.
    #[cfg(not(miri))]
    #[inline]
    unsafe fn copy(to: *mut u8, from: *const u8, n: usize, _: Shared) {
        use std::ffi::c_void;
        type Copy = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> *mut c_void;
        static COPY: Copy = libc::memcpy;
        // SAFETY: the function's contract is the caller's.
        unsafe { std::ptr::read_volatile(&COPY)(to.cast(), from.cast(), n) };
    }

    /// The same in miri, by whole words: to it a word that is read as such and stored by bytes is an error. Areas and what
    /// stands in them begin at whole words.
    ///
    /// # Safety
    /// As above; the one that is shared is valid to the end of its last word.
    #[cfg(miri)]
    unsafe fn copy(to: *mut u8, from: *const u8, n: usize, shared: Shared) {
        let word = |at: *mut u8| at.cast::<u64>();
        for i in (0..n).step_by(8) {
            let some = (n - i).min(8);
            // SAFETY: the caller's contract: a word is read or stored where it is shared, bytes where it is not.
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

        pub fn words<const N: usize>(self, offset: usize) -> &'m [AtomicU64; N] {
            let first = (self.from + offset) / 8;
            self.words[first..first + N].try_into().expect("as many")
        }

        pub fn byte(self, at: usize) -> u8 {
            let at = self.from + at;
            self.words[at / 8].load(Relaxed).to_ne_bytes()[at % 8]
        }

        /// Packets begin at a whole word, and nobody tears one.
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
