//! Descriptors that stopped being tunnels without a hook seeing it.
//!
//! Hooks maintain the table, and not every close or dup2 passes one: libc has calls of its own, and
//! a program may make a system call by hand. So the descriptor itself is looked at where that costs
//! nothing: after a call that failed, after a bell that rang for nothing, in a rare call, and in
//! every so many reads and writes. A descriptor that is no bell any more is forgotten, and the call
//! is made again on what the descriptor is now.
#![forbid(unsafe_code)]

use crate::real::Failure;
use crate::table::{self, Held};
use crate::{closing, errno, process};
use memtun_abi::Errno;
use memtun_sys::quiet::{may, Extra};

/// The answer of a call whose descriptor is no tunnel: the caller then makes the call on what the
/// descriptor is. No error of the kernel's has this number (MAX_ERRNO).
pub const FOREIGN: Errno = Errno(4095);

/// Fails with [`FOREIGN`] when the descriptor is not this tunnel's any more; it is forgotten then.
#[cold]
pub fn check(fd: i32, tunnel: &Held) -> Result<(), Errno> {
    // Where a filter of the program's own forbids the look, the descriptor is not looked at.
    if !may(Extra::Files) || tunnel.is_behind(fd) {
        return Ok(());
    }
    // In a vfork child the table is its parent's, and the parent's descriptor may still be the
    // tunnel.
    if process::owns_memory() && table::unbind_from(fd, tunnel) {
        closing::lost(fd, tunnel);
    }
    Err(FOREIGN)
}

/// Is the descriptor a tunnel in the table, and is it still one for the kernel? This is for calls
/// that are rare enough to look each time.
#[inline]
pub fn is_tunnel(fd: i32) -> bool {
    table::is_tunnel(fd) && is_still_tunnel(fd)
}

#[cold]
fn is_still_tunnel(fd: i32) -> bool {
    errno::keep(|| {
        let look = || table::hold(fd).map_or(Err(FOREIGN), |tunnel| check(fd, &tunnel));
        errno::fence(look).is_ok()
    })
}

#[cold]
fn is_still_special(fd: i32) {
    if table::is_tunnel(fd) {
        is_still_tunnel(fd);
    } else if process::owns_memory() {
        table::unmark(fd);
    }
}

/// Looks at each of the tunnels in this range of descriptors, because something may have closed or
/// replaced them.
pub fn look_at(first: i32, last: i32) {
    if table::any() {
        for fd in table::bound_in(first.max(0) as u32, last.max(0) as u32) {
            is_still_tunnel(fd);
        }
    }
}

/// Called with a descriptor that the kernel has just given out: what the table knows of it is out
/// of date.
#[inline]
pub fn is_new(fd: i32) {
    if fd >= 0 && table::is_ours(fd) {
        is_still_special(fd);
    }
}

/// Called when a call has failed in a process that ends, because its tunnel has gone already.
/// (`extern "C"` never unwinds: the frames between the program and a wait have nothing to clean up
/// when the thread is cancelled there.)
#[cold]
extern "C" fn stay() {
    errno::keep(process::left);
}

/// The answer of a call on a tunnel, or that of `host` where the descriptor turned out to be none.
#[inline(always)]
pub fn or_host<T: Failure + PartialEq>(answer: T, host: impl FnOnce() -> T) -> T {
    if answer == T::FAILED {
        if process::is_leaving() {
            stay();
        }
        if errno::get() == FOREIGN.0 {
            return host();
        }
    }
    answer
}
