//! A file of a net in memory.

use super::layout::State;
use super::truncated;
use crate::sys::{self, Fd};
use crate::Errno;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A mapped file that begins with a `S`; unmapped with the value.
pub struct Mapped<S: State> {
    base: *mut u8,
    state: PhantomData<S>,
}

// SAFETY: the mapping is shared memory; every field behind it is atomic or guarded by a process-shared lock.
unsafe impl<S: State> Send for Mapped<S> {}
// SAFETY: as above.
unsafe impl<S: State> Sync for Mapped<S> {}

impl<S: State> Mapped<S> {
    /// Bytes of the file.
    pub const LENGTH: usize = S::HEAD + S::AREA;

    /// Maps a new, empty file, which gets its length and its header; the head's memory is reserved.
    pub fn create(fd: &Fd) -> Result<Mapped<S>, Errno> {
        sys::set_length(fd.raw(), Self::LENGTH as u64, S::HEAD as u64)?;
        let mapped = Self::at(sys::map_shared(fd.raw(), Self::LENGTH)?);
        // SAFETY: the head lies in the new mapping.
        unsafe { sys::reserve(mapped.base, S::HEAD)? };
        mapped.header().init(S::KIND, Self::LENGTH as u64);
        Ok(mapped)
    }

    /// Maps an existing regular file of `size` bytes. EUCLEAN with the reason when it is not what it should be.
    pub fn map(fd: &Fd, size: u64) -> Result<Mapped<S>, (Errno, &'static str)> {
        let damaged = |why| (Errno(libc::EUCLEAN), why);
        if size != Self::LENGTH as u64 {
            return Err(damaged(if size < 32 {
                "is not a file of memtun's"
            } else {
                "was truncated, or belongs to another version of memtun"
            }));
        }
        let base = sys::map_shared(fd.raw(), Self::LENGTH).map_err(|e| (e, ""))?;
        let mapped = Self::at(base);
        match mapped.header().complaint(S::KIND, Self::LENGTH as u64) {
            None => Ok(mapped),
            Some(why) => Err(damaged(why)),
        }
    }

    /// A new mapping.
    fn at(base: *mut u8) -> Mapped<S> {
        truncated::watch::<S>(base as usize);
        Mapped {
            base,
            state: PhantomData,
        }
    }

    /// Has somebody cut the file, or overwritten its header, since it was mapped?
    pub fn is_damaged(&self) -> bool {
        self.header()
            .complaint(S::KIND, Self::LENGTH as u64)
            .is_some()
    }

    /// Gives up the value but keeps the mapping: for owners that store the address in an atomic.
    pub fn into_base(self) -> *mut u8 {
        let base = self.base;
        std::mem::forget(self);
        base
    }

    /// The counterpart of [`Mapped::into_base`].
    ///
    /// # Safety
    /// `base` must come from `into_base` of the same type, and be dropped only once, when nobody uses it any more.
    pub unsafe fn from_base(base: *mut u8) -> Mapped<S> {
        Mapped {
            base,
            state: PhantomData,
        }
    }

    /// A range of the packet area as raw memory, if it lies within.
    #[inline]
    pub fn area(&self, offset: usize, len: usize) -> Option<*mut u8> {
        if offset.checked_add(len)? > S::AREA {
            return None;
        }
        // SAFETY: HEAD + AREA bytes are mapped from `base` on.
        Some(unsafe { self.base.add(S::HEAD + offset) })
    }

    /// Makes sure that the packet area has memory behind its first `upto` bytes; `reserved` remembers how far that has
    /// been done by whichever process. In steps that double, so that an idle queue stays small. ENOSPC when the file
    /// system is full.
    #[inline]
    pub fn reserve(&self, reserved: &AtomicU64, upto: usize) -> Result<(), Errno> {
        let have = reserved.load(Relaxed) as usize;
        if upto <= have {
            return Ok(());
        }
        self.grow(reserved, have.min(S::AREA), upto)
    }

    #[cold]
    fn grow(&self, reserved: &AtomicU64, have: usize, upto: usize) -> Result<(), Errno> {
        const SMALLEST: usize = 32 << 10;
        const LARGEST: usize = 1 << 20;
        let generous = (have + have.clamp(SMALLEST, LARGEST))
            .max(upto)
            .next_multiple_of(4096)
            .min(S::AREA);
        for goal in [generous, upto.next_multiple_of(4096)] {
            let at = self
                .area(have, goal.saturating_sub(have))
                .ok_or(Errno(libc::ENOBUFS))?;
            // SAFETY: the range lies in this mapping, as `area` has checked.
            if unsafe { sys::reserve(at, goal - have) }.is_ok() {
                reserved.store(goal as u64, Relaxed);
                return Ok(());
            }
        }
        Err(Errno(libc::ENOSPC))
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
        unsafe { sys::unmap(self.base, Self::LENGTH) };
    }
}
