//! Whether a signal handler of the program's may run in a thread that waits. A program installs one
//! by a call that this library sees, or that is none of libc's.

use crate::symbols;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8};

/// Has the program installed a handler?
static ANY: AtomicBool = AtomicBool::new(false);
/// What libc says of the process: not 0 while it has one thread. Null where libc does not say it.
static SINGLE: AtomicPtr<AtomicU8> = AtomicPtr::new(std::ptr::null_mut());

/// Called before the program installs this handler, which may be none.
pub fn note(handler: usize) {
    if ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler) && !ANY.load(Relaxed) {
        // libc is asked here, because a handler that waits may have interrupted the loader.
        SINGLE.store(symbols::next(c"__libc_single_threaded").cast(), Release);
        ANY.store(true, Release);
    }
}

/// Has the program installed a handler?
#[inline]
pub fn are_any() -> bool {
    ANY.load(Acquire)
}

/// Is the process known to have one thread, which gets each signal that comes? Where there are more
/// a signal of the process goes to another one while this one blocks it.
pub fn is_only_thread() -> bool {
    let single = SINGLE.load(Acquire);
    // SAFETY: the pointer is null, or leads to a variable of libc's of this size, which stays.
    unsafe { single.as_ref() }.is_some_and(|single| single.load(Relaxed) != 0)
}
