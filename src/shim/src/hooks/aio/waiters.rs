//! The threads that wait in aio_suspend(3).
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding: a thread may be cancelled in these waits; no C code calls them"
)]

use libc::sem_t;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A place for a thread that waits in aio_suspend.
pub struct Waiter {
    /// One of FREE, TAKEN and WAITS.
    pub state: AtomicU32,
    /// Posted when a request is done.
    pub semaphore: UnsafeCell<MaybeUninit<sem_t>>,
}

// SAFETY: a semaphore is made for many threads, and whoever took the free place initialised it.
unsafe impl Sync for Waiter {}

pub const FREE: u32 = 0;
const TAKEN: u32 = 1;
const WAITS: u32 = 2;

static WAITERS: [Waiter; 64] = [const {
    Waiter {
        state: AtomicU32::new(FREE),
        semaphore: UnsafeCell::new(MaybeUninit::uninit()),
    }
}; 64];

/// Frees all places in a child of fork(2), which has none of its parent's threads.
pub fn forget_waiters() {
    for waiter in &WAITERS {
        waiter.state.store(FREE, Relaxed);
    }
}

/// Wakes all waiters, because a request is done.
pub fn wake_waiters() {
    for waiter in WAITERS.iter().filter(|w| w.state.load(Acquire) == WAITS) {
        // SAFETY: the semaphore is initialised before its waiter waits; a post too many wakes the
        // next user of the place once for nothing.
        unsafe { libc::sem_post(waiter.semaphore.get().cast()) };
    }
}

/// Takes a place to wait in; `None` when there are too many waiters.
#[inline(never)]
pub extern "C" fn begin_wait() -> Option<&'static Waiter> {
    let free = |w: &&Waiter| {
        w.state
            .compare_exchange(FREE, TAKEN, AcqRel, Relaxed)
            .is_ok()
    };
    let waiter = WAITERS.iter().find(free)?;
    // SAFETY: this call has taken the place, so nobody waits on its semaphore.
    unsafe { libc::sem_init(waiter.semaphore.get().cast(), 0, 0) };
    waiter.state.store(WAITS, Release);
    Some(waiter)
}
