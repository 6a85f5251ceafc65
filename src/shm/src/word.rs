//! The word of a lock: who holds it, and the kernel's part in that.

use crate::below;
#[cfg(not(loom))]
use crate::sync::AtomicU32;
use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

#[cfg(not(target_endian = "little"))]
compile_error!("the futex is the first half of a lock's word");

/// FUTEX_WAITERS: somebody sleeps.
pub const WAITERS: u32 = 0x8000_0000;
/// FUTEX_OWNER_DIED: the kernel saw the holder die.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// FUTEX_TID_MASK: the holder's thread id.
pub const TID: u32 = 0x3fff_ffff;
/// The word but for the waiters: who holds it.
pub const HOLDER: u64 = !(WAITERS as u64);

/// 0, or the holder's thread id with the kernel's bits beside it below, and above it the token of
/// its process.
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
    /// The lower half of the word, for the kernel.
    #[cfg(not(loom))]
    fn futex(&self) -> &AtomicU32 {
        // SAFETY: the first four of these eight bytes, aligned. Only the kernel accesses them as
        // half a word.
        unsafe { &*self.0.as_ptr().cast::<AtomicU32>() }
    }

    /// Where the kernel finds it.
    #[cfg(not(loom))]
    pub fn announced(&self) -> *const u32 {
        self.futex().as_ptr()
    }

    /// The same for a model.
    #[cfg(loom)]
    pub fn announced(&self) -> *const u32 {
        std::ptr::null()
    }

    /// Sleeps while this stands in the lower half.
    #[cfg(not(loom))]
    pub fn sleep(&self, expected: u32, time: Duration) {
        let _ = below::futex_wait(self.futex(), expected, Some(time));
    }

    /// The same for a model.
    #[cfg(loom)]
    pub fn sleep(&self, expected: u32, _: Duration) {
        let _ = below::half_wait(&self.0, expected);
    }

    /// Wakes one that sleeps.
    #[cfg(not(loom))]
    pub fn wake_one(&self) {
        below::futex_wake(self.futex(), 1);
    }

    /// The same for a model.
    #[cfg(loom)]
    pub fn wake_one(&self) {
        below::half_wake();
    }

    /// Does this stand in its word?
    pub fn is_held_by(&self, mine: u64) -> bool {
        self.0.load(Relaxed) & HOLDER == mine
    }

    /// As the kernel does for a dead holder: the thread will not come back to what it did under the
    /// lock.
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
