//! A file of a net in memory.

use super::layout::State;
use crate::{sys, Errno};
use std::ffi::CStr;
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
    const LENGTH: usize = S::HEAD + S::AREA;

    /// Makes a new file under a name that must not exist yet, with the head's memory reserved.
    pub fn create(path: &CStr) -> Result<Mapped<S>, Errno> {
        let fd = sys::open_internal(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600)?;
        // Whatever the umask is, the next process must be able to open it.
        let made = sys::chmod(path, 0o600)
            .and_then(|()| sys::set_length(fd.raw(), Self::LENGTH as u64, S::HEAD as u64))
            .and_then(|()| sys::map_shared(fd.raw(), Self::LENGTH))
            .and_then(|base| {
                let mapped: Mapped<S> = Mapped {
                    base,
                    state: PhantomData,
                };
                // SAFETY: the head lies in the new mapping.
                unsafe { sys::reserve(base, S::HEAD)? };
                mapped.header().init(S::KIND, Self::LENGTH as u64);
                Ok(mapped)
            });
        if made.is_err() {
            let _ = sys::unlink(path, 0);
        }
        made
    }

    /// Maps an existing file. EUCLEAN with the reason when it is not what it should be.
    pub fn open(path: &CStr) -> Result<Mapped<S>, (Errno, &'static str)> {
        let plain = |e: Errno| (e, "");
        let flags = libc::O_RDWR | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let fd = sys::open_internal(path, flags, 0).map_err(plain)?;
        let st = sys::fstat(fd.raw()).map_err(plain)?;
        let damaged = |why| (Errno(libc::EUCLEAN), why);
        if st.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(damaged("is not a regular file"));
        }
        if st.st_size as usize != Self::LENGTH {
            return Err(damaged(if (st.st_size as usize) < 32 {
                "is not a file of memtun's"
            } else {
                "was truncated, or belongs to another version of memtun"
            }));
        }
        let base = sys::map_shared(fd.raw(), Self::LENGTH).map_err(plain)?;
        let mapped: Mapped<S> = Mapped {
            base,
            state: PhantomData,
        };
        match mapped.header().complaint(S::KIND, Self::LENGTH as u64) {
            None => Ok(mapped),
            Some(why) => Err(damaged(why)),
        }
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
        // SAFETY: nobody borrows from this value any more.
        unsafe { sys::unmap(self.base, Self::LENGTH) };
    }
}
