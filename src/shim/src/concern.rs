//! One word that says whether a wait may be anybody's but the machine's. It is looked at in every
//! poll(2), select(2) and epoll_wait(2) of every program.
//!
//! A bit is set before the first of what it stands for is there, and stays. A thread that sleeps
//! already when it is set waits for descriptors that were there before, so it is not concerned.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// There has been an epoll instance, in which tunnels may be registered.
pub const EPOLL: u32 = 1;
/// There has been a tunnel, or one that is registered only.
pub const TUNNEL: u32 = 2;
/// There has been a file of the view, a socket that this library answers, or an address of the
/// net's.
pub const OTHER: u32 = 4;

static WORD: AtomicU32 = AtomicU32::new(0);

/// Notes that there is such a thing.
#[inline]
pub fn note(bit: u32) {
    if WORD.load(Relaxed) & bit == 0 {
        WORD.fetch_or(bit, Relaxed);
    }
}

/// Has there been nothing of all that? Then the kernel's answer to any wait is right.
#[inline(always)]
pub fn is_none() -> bool {
    WORD.load(Relaxed) == 0
}

/// Has there been nothing but what these bits stand for?
#[inline(always)]
pub fn is_only(bits: u32) -> bool {
    WORD.load(Relaxed) & !bits == 0
}
