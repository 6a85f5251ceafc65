//! What locks and logs ask of the kernel.
//!
//! `loom` runs them without a kernel: on threads that it starts, with a futex that is modelled
//! here, and with a clock that stands still.
#![forbid(unsafe_code)]

#[cfg(not(loom))]
pub use memtun_sys::{futex_wait, futex_wake, futex_wake_all, gettid, now_ns, yield_now};

#[cfg(loom)]
pub use model::*;

#[cfg(loom)]
mod model {
    use crate::Errno;
    use loom::sync::atomic::Ordering::SeqCst;
    use loom::sync::atomic::{AtomicU32, AtomicU64};
    use loom::sync::{Condvar, Mutex};
    use std::time::Duration;

    loom::lazy_static! {
        /// The sleepers of every futex, in one queue.
        static ref SLEEPERS: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
    }

    loom::thread_local! {
        static ID: u32 = number();
    }

    fn number() -> u32 {
        loom::lazy_static! {
            static ref LAST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        }
        LAST.fetch_add(1, SeqCst) + 1
    }

    /// Returns a number that identifies the calling thread.
    pub fn gettid() -> i32 {
        ID.with(|id| *id as i32)
    }

    /// Returns always the same time, so that nobody's patience ends and nobody is found dead.
    pub fn now_ns(_clock: libc::clockid_t) -> u64 {
        1
    }

    pub fn yield_now() {
        loom::thread::yield_now();
    }

    fn wait(is_expected: impl FnOnce() -> bool) -> Result<(), Errno> {
        let (lock, sleepers) = &*SLEEPERS;
        let guard = lock.lock().unwrap();
        if !is_expected() {
            return Err(Errno(libc::EAGAIN));
        }
        // There is no time limit, so that a lost wake-up is a deadlock, which loom finds.
        drop(sleepers.wait(guard).unwrap());
        Ok(())
    }

    pub fn futex_wait(word: &AtomicU32, expected: u32, _: Option<Duration>) -> Result<(), Errno> {
        wait(|| word.load(SeqCst) == expected)
    }

    /// Sleeps on the futex that is the lower half of a word.
    pub fn half_wait(word: &AtomicU64, expected: u32) -> Result<(), Errno> {
        wait(|| word.load(SeqCst) as u32 == expected)
    }

    pub fn futex_wake_all(_word: &AtomicU32) {
        let (lock, sleepers) = &*SLEEPERS;
        let _guard = lock.lock().unwrap();
        sleepers.notify_all();
    }

    /// Wakes one thread that sleeps on half a word. A test has one such word, so it need not be
    /// named.
    pub fn half_wake() {
        let (lock, sleepers) = &*SLEEPERS;
        let _guard = lock.lock().unwrap();
        sleepers.notify_one();
    }
}
