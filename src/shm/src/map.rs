//! A file of a net in memory.

use super::layout::State;
use super::truncated;
use crate::sys::{self, Fd};
use crate::Errno;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The part of the address space that is left which one area may take, where that is limited; there are two for each
/// tunnel. Those of many tunnels take a quarter of the limit together, and the program has the rest: from then on areas are
/// as small as they can be.
const SHARE: usize = 32;

/// A mapped file that begins with a `S`; unmapped with the value.
///
/// Its packet area is as large as its maker could afford: [`State::AREA`], or that halved a few times where the process that
/// made it may have only so much address space (RLIMIT_AS) or only such short files (RLIMIT_FSIZE). The length of the file
/// says which, so that all who map it agree, and it never changes: no call on a tunnel has to map anything.
pub struct Mapped<S: State> {
    base: *mut u8,
    /// How often the area was halved.
    halved: u32,
    state: PhantomData<S>,
}

// SAFETY: the mapping is shared memory; every field behind it is atomic or guarded by a process-shared lock.
unsafe impl<S: State> Send for Mapped<S> {}
// SAFETY: as above.
unsafe impl<S: State> Sync for Mapped<S> {}

impl<S: State> Mapped<S> {
    /// How often an area may be halved.
    const MOST_HALVED: u32 = if S::AREA == 0 {
        0
    } else {
        (S::AREA / S::SMALLEST_AREA).ilog2()
    };

    const fn length(halved: u32) -> usize {
        S::HEAD + (S::AREA >> halved)
    }

    /// How often the area of a file of this length was halved, if a file may be so long.
    fn halved(length: u64) -> Option<u32> {
        (0..=Self::MOST_HALVED).find(|halved| Self::length(*halved) as u64 == length)
    }

    /// Can a file of this length be one of memtun's?
    pub fn is_length(length: u64) -> bool {
        Self::halved(length).is_some()
    }

    /// Maps a new, empty file, which gets its length and its header; the memory of the head and of the first part of the
    /// area is reserved.
    pub fn create(fd: &Fd) -> Result<Mapped<S>, Errno> {
        let mapped = Self::map_what_is_allowed(fd)?;
        let length = Self::length(mapped.halved) as u64;
        let first = S::HEAD + S::FIRST;
        sys::set_length(fd.raw(), length, first as u64)?;
        // SAFETY: this lies in the new mapping.
        unsafe { sys::reserve(mapped.base, first)? };
        mapped.header().init(S::KIND, length);
        if let Some(reserved) = mapped.reserved() {
            reserved.store(S::FIRST as u64, Relaxed);
        }
        Ok(mapped)
    }

    /// Maps the file, which has no length yet, with as large an area as the limits of the process allow.
    fn map_what_is_allowed(fd: &Fd) -> Result<Mapped<S>, Errno> {
        let area = |halved| S::AREA >> halved;
        let addresses = sys::address_space_left();
        let longest = sys::longest_file();
        let fits = |halved: &u32| {
            addresses
                .is_none_or(|(limit, left)| area(*halved) <= left / SHARE && left > limit / 4 * 3)
                && Self::length(*halved) as u64 <= longest
        };
        let halved = (0..Self::MOST_HALVED)
            .find(fits)
            .unwrap_or(Self::MOST_HALVED);
        let map = |halved| {
            let base = sys::map_shared(fd.raw(), Self::length(halved))?;
            Ok(Self::at(base, halved))
        };
        map(halved).or_else(|_| map(Self::MOST_HALVED))
    }

    /// Maps an existing regular file of `size` bytes. EUCLEAN with the reason when it is not what it should be.
    pub fn map(fd: &Fd, size: u64) -> Result<Mapped<S>, (Errno, &'static str)> {
        let damaged = |why| (Errno(libc::EUCLEAN), why);
        let Some(halved) = Self::halved(size) else {
            return Err(damaged(if size < 32 {
                "is not a file of memtun's"
            } else {
                "was truncated, or belongs to another version of memtun"
            }));
        };
        let base = sys::map_shared(fd.raw(), Self::length(halved)).map_err(|e| (e, ""))?;
        let mapped = Self::at(base, halved);
        match mapped.header().complaint(S::KIND, size) {
            None => Ok(mapped),
            Some(why) => Err(damaged(why)),
        }
    }

    /// A new mapping.
    fn at(base: *mut u8, halved: u32) -> Mapped<S> {
        truncated::watch(base as usize, Self::length(halved));
        Mapped {
            base,
            halved,
            state: PhantomData,
        }
    }

    /// Has somebody cut the file, or overwritten its header, since it was mapped?
    pub fn is_damaged(&self) -> bool {
        let length = Self::length(self.halved) as u64;
        self.header().complaint(S::KIND, length).is_some()
    }

    /// Gives up the value but keeps the mapping: for owners that store one word in an atomic.
    pub fn into_word(self) -> *mut u8 {
        // A mapping begins at a page: what the number leaves free tells how long it is.
        let word = self.base.wrapping_add(self.halved as usize);
        std::mem::forget(self);
        word
    }

    /// The counterpart of [`Mapped::into_word`].
    ///
    /// # Safety
    /// `word` must come from `into_word` of the same type, and be dropped only once, when nobody uses it any more.
    #[inline]
    pub unsafe fn from_word(word: *mut u8) -> Mapped<S> {
        let halved = word as usize & (sys::PAGE - 1);
        Mapped {
            base: word.wrapping_sub(halved),
            halved: halved as u32,
            state: PhantomData,
        }
    }

    /// Bytes of the packet area.
    #[inline]
    pub fn area_size(&self) -> usize {
        S::AREA >> self.halved
    }

    /// A range of the packet area as raw memory, if it lies within.
    #[inline]
    pub fn area(&self, offset: usize, len: usize) -> Option<*mut u8> {
        if offset.checked_add(len)? > self.area_size() {
            return None;
        }
        // SAFETY: so many bytes are mapped behind the head.
        Some(unsafe { self.base.add(S::HEAD + offset) })
    }

    /// Makes sure that the packet area has memory behind its first `upto` bytes; `reserved` remembers how far that has
    /// been done by whichever process. In steps that double, so that an idle queue stays small. ENOSPC when the file
    /// system is full.
    #[inline]
    pub fn reserve(&self, reserved: &AtomicU64, upto: usize) -> Result<(), Errno> {
        if upto <= reserved.load(Relaxed) as usize {
            return Ok(());
        }
        self.grow(reserved, upto)
    }

    #[cold]
    fn grow(&self, reserved: &AtomicU64, upto: usize) -> Result<(), Errno> {
        if upto > self.area_size() {
            return Err(Errno(libc::ENOBUFS));
        }
        let least = upto.next_multiple_of(sys::PAGE);
        self.grow_to(reserved, self.next_size(reserved, upto))
            .or_else(|_| self.grow_to(reserved, least))
    }

    /// How much is reserved next when `upto` bytes are wanted.
    pub fn next_size(&self, reserved: &AtomicU64, upto: usize) -> usize {
        const SMALLEST: usize = 32 << 10;
        const LARGEST: usize = 1 << 20;
        let have = reserved.load(Relaxed) as usize;
        (have + have.clamp(SMALLEST, LARGEST))
            .max(upto)
            .next_multiple_of(sys::PAGE)
            .min(self.area_size())
    }

    /// Reserves the first `goal` bytes, or nothing. ENOSPC when the file system is full.
    pub fn grow_to(&self, reserved: &AtomicU64, goal: usize) -> Result<(), Errno> {
        let have = (reserved.load(Relaxed) as usize).min(self.area_size());
        let at = self
            .area(have, goal.saturating_sub(have))
            .ok_or(Errno(libc::ENOBUFS))?;
        // SAFETY: the range lies in this mapping, as `area` has checked.
        unsafe { sys::reserve(at, goal - have)? };
        reserved.store(goal as u64, Relaxed);
        Ok(())
    }
}

impl<S: State> Deref for Mapped<S> {
    type Target = S;
    fn deref(&self) -> &S {
        // SAFETY: `base` is a mapping of at least HEAD bytes, page-aligned, that holds a valid S (zeroed or initialised).
        unsafe { &*(self.base as *const S) }
    }
}

impl<S: State> Drop for Mapped<S> {
    fn drop(&mut self) {
        truncated::forget(self.base as usize);
        // SAFETY: nobody borrows from this value any more.
        unsafe { sys::unmap(self.base, Self::length(self.halved)) };
    }
}
