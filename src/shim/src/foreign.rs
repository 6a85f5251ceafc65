//! Descriptors that stopped being tunnels unseen.
//!
//! The table is kept by hooks, and not every close or dup2 meets one: libc has calls of its own,
//! and a program may make a system call by hand. So where it costs nothing (a call that fails, a
//! bell that rang for nothing, a rare call, and every so many reads and writes) the descriptor
//! itself is looked at. One that is no bell any more is forgotten, and the call is made anew on
//! what the descriptor is now.
#![forbid(unsafe_code)]

use crate::closing;
use crate::errno;
use crate::process;
use crate::real::Failure;
use crate::table::{self, Held};
use memtun_abi::Errno;
use memtun_sys::quiet::{may, Extra};

/// The descriptor is no tunnel: make the call on what it is. No error of the kernel's has this
/// number (MAX_ERRNO).
pub const FOREIGN: Errno = Errno(4095);

/// [`FOREIGN`] when the descriptor is not this tunnel's any more, which is forgotten then.
#[cold]
pub fn check(fd: i32, tunnel: &Held) -> Result<(), Errno> {
    // Where a filter of the program's own forbids it, no descriptor is looked at unasked.
    if !may(Extra::Files) || tunnel.is_behind(fd) {
        return Ok(());
    }
    // In a vfork child the table is its parent's, whose descriptor is another.
    if process::owns_memory() && table::unbind_from(fd, tunnel) {
        closing::lost(fd, tunnel);
    }
    Err(FOREIGN)
}

/// Is the descriptor a tunnel, and truly so? For calls that are rare enough to look at it each
/// time.
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

/// Looks at each of these descriptors: something may have closed or replaced them.
pub fn look_at(first: i32, last: i32) {
    if table::any() {
        for fd in table::bound_in(first.max(0) as u32, last.max(0) as u32) {
            is_still_tunnel(fd);
        }
    }
}

/// A number that the kernel has just given out: what the table knows of it is from before.
#[inline]
pub fn is_new(fd: i32) {
    if fd >= 0 && table::is_tunnel(fd) {
        is_still_tunnel(fd);
    }
}

/// A call has failed in a process that ends, because its tunnel has gone already. (`extern "C"`
/// never unwinds: the frames between the program and a wait have nothing to clean up when the
/// thread is cancelled there.)
#[cold]
extern "C" fn stay() {
    errno::keep(process::left);
}

/// A call on a tunnel, or what `host` answers where the descriptor turned out to be none.
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
