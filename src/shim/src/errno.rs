//! errno, and a fence that keeps panics away from the program.

use memtun_abi::Errno;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Sets errno.
#[inline]
pub fn set(errno: i32) {
    // SAFETY: __errno_location returns the address of this thread's errno.
    unsafe { *libc::__errno_location() = errno };
}

/// Reads errno.
#[inline]
pub fn get() -> i32 {
    // SAFETY: __errno_location returns the address of this thread's errno.
    unsafe { *libc::__errno_location() }
}

/// A result in the form that C has: the value, or -1 with errno set.
#[inline]
pub fn give<T: TryInto<isize>>(answer: Result<T, Errno>) -> isize {
    match answer {
        Ok(value) => value.try_into().unwrap_or(isize::MAX),
        Err(e) => {
            set(e.0);
            -1
        }
    }
}

/// Runs our own code for a hook. A panic in it is a bug of ours that must not reach the program: it
/// becomes EIO and a log line.
#[inline]
pub fn fence<T>(ours: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    catch_unwind(AssertUnwindSafe(ours)).unwrap_or(Err(Errno(libc::EIO)))
}

/// Runs something without changing errno as the program sees it.
pub fn keep<T>(run: impl FnOnce() -> T) -> T {
    let before = get();
    let answer = run();
    set(before);
    answer
}
