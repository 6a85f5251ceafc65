//! Memory that is mapped when it is first needed and then stays, because a process without it
//! should have none: that counts where memory is locked.

use crate::cells::Cells;
use memtun_sys as sys;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// A type of which zeroes are a value.
///
/// # Safety
/// They must be, and threads may share it.
pub unsafe trait Zeroes: 'static {}

// SAFETY: they are atomic numbers.
unsafe impl Zeroes for Cells {}

/// A value of zeroes that is not there before it is needed.
pub struct Zeroed<T: Zeroes>(AtomicPtr<T>);

impl<T: Zeroes> Zeroed<T> {
    pub const fn new() -> Zeroed<T> {
        Zeroed(AtomicPtr::new(null_mut()))
    }

    /// Returns the value if it was needed before.
    #[inline(always)]
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: the pointer is null, or leads to a mapping of zeroes, which are a value, that is
        // never unmapped.
        unsafe { self.0.load(Acquire).as_ref() }
    }

    /// Returns the value; `None` where it cannot be mapped. Of threads that come here at once, one
    /// makes it.
    pub fn make(&self) -> Option<&'static T> {
        if self.get().is_none() {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let fresh = sys::map_private(size_of::<T>(), protection).ok()?.cast();
            if self
                .0
                .compare_exchange(null_mut(), fresh, AcqRel, Relaxed)
                .is_err()
            {
                // SAFETY: the mapping is our own, and nobody has seen it.
                unsafe { sys::unmap(fresh.cast(), size_of::<T>()) };
            }
        }
        self.get()
    }
}
