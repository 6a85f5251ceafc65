//! The word of a lock: who holds it, and how the kernel takes part in that.

use crate::below;
#[cfg(not(loom))]
use crate::sync::AtomicU32;
use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

#[cfg(not(target_endian = "little"))]
compile_error!("the futex is the first half of a lock's word");

/// FUTEX_WAITERS: somebody sleeps until the lock is released.
pub const WAITERS: u32 = 0x8000_0000;
/// FUTEX_OWNER_DIED: the kernel saw the holder die.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// FUTEX_TID_MASK: the holder's thread id.
pub const TID: u32 = 0x3fff_ffff;
/// All bits of the word except the one for waiters: they say who holds the lock.
pub const HOLDER: u64 = !(WAITERS as u64);

/// 0, or the holder's thread id with the kernel's bits in the lower half and the token of its
/// process in the upper half.
#[repr(transparent)]
#[cfg_attr(loom, derive(Default))]
pub struct Word(AtomicU64);

impl std::ops::Deref for Word {
    type Target = AtomicU64;
    #[inline(always)]
    fn deref(&self) -> &AtomicU64 {
        &self.0
    }
}

impl Word {
    /// Returns the lower half of the word, which the kernel uses as a futex.
    #[cfg(not(loom))]
    fn futex(&self) -> &AtomicU32 {
        // SAFETY: these are the first four of the word's eight bytes, and aligned. Only the kernel
        // accesses them as half a word.
        unsafe { &*self.0.as_ptr().cast::<AtomicU32>() }
    }

    /// Returns the address at which the kernel finds the futex.
    #[cfg(not(loom))]
    pub fn announced(&self) -> *const u32 {
        self.futex().as_ptr()
    }

    /// Returns null in a model, which has no kernel.
    #[cfg(loom)]
    pub fn announced(&self) -> *const u32 {
        std::ptr::null()
    }

    /// Sleeps while `expected` stands in the lower half, for at most `time`.
    #[cfg(not(loom))]
    pub fn sleep(&self, expected: u32, time: Duration) {
        let _ = below::futex_wait(self.futex(), expected, Some(time));
    }

    /// Sleeps in a model, where time stands still.
    #[cfg(loom)]
    pub fn sleep(&self, expected: u32, _: Duration) {
        let _ = below::half_wait(&self.0, expected);
    }

    /// Wakes one thread that sleeps on the lock.
    #[cfg(not(loom))]
    pub fn wake_one(&self) {
        below::futex_wake(self.futex(), 1);
    }

    /// Wakes one thread in a model.
    #[cfg(loom)]
    pub fn wake_one(&self) {
        below::half_wake();
    }

    /// Does the word say that this holder has the lock?
    pub fn is_held_by(&self, mine: u64) -> bool {
        self.0.load(Relaxed) & HOLDER == mine
    }

    /// Marks the lock as the kernel does for a dead holder, because the thread will not come back
    /// to what it did under the lock.
    pub fn give_up(&self, mine: u64) {
        let (waiters, died) = (WAITERS as u64, OWNER_DIED as u64);
        let given = |word| (word & HOLDER == mine).then_some(word & waiters | died);
        if let Ok(before) = self.0.fetch_update(SeqCst, Relaxed, given) {
            if before & waiters != 0 {
                self.wake_one();
            }
        }
    }
}
