//! Calls for files on a disk: locks, allocation and lengths. Passed through, they would show what a
//! tunnel's descriptor really is.

use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::any_marked;
use crate::{errno, ops, view};
use libc::{c_char, c_int, off64_t, off_t};
use memtun_abi::Errno;
use memtun_calls::control::Misfit;

fn answer(call: Misfit) -> c_int {
    errno::give(call.answer().map(|()| 0)) as c_int
}

/// What a call on a tunnel's descriptor gets.
fn on(fd: c_int, call: Misfit) -> Result<(), Errno> {
    let open_flags = ops::open_flags(fd).ok_or(Errno(libc::EBADF))?;
    call.answer_on(open_flags)
}

fn answer_on(fd: c_int, call: Misfit) -> c_int {
    errno::give(on(fd, call).map(|()| 0)) as c_int
}

/// The error number itself, which posix_fadvise(3) and posix_fallocate(3) return.
fn number_on(fd: c_int, call: Misfit) -> c_int {
    on(fd, call).map_or_else(|e| e.0, |()| 0)
}

/// Makes fallocate(2), which no file of the view knows.
#[inline]
fn allocate(fd: c_int, host: impl FnOnce() -> c_int) -> c_int {
    if is_tunnel(fd) {
        return answer_on(fd, Misfit::Allocate);
    }
    match any_marked().then(|| view::allocates(fd, true)).flatten() {
        Some(e) => errno::give::<c_int>(Err(e)) as c_int,
        None => host(),
    }
}

/// Makes posix_fallocate(3), which writes where the file does not know that.
#[inline]
fn allocate_by_writing(fd: c_int, host: impl FnOnce() -> c_int) -> c_int {
    if is_tunnel(fd) {
        return number_on(fd, Misfit::Allocate);
    }
    let refused = any_marked().then(|| view::allocates(fd, false)).flatten();
    refused.map_or_else(host, |e| e.0)
}

/// What a call that brings a file to its disk fails with in the view. It is asked before the call,
/// which may be cancelled.
#[inline]
fn unsynced(fd: c_int) -> bool {
    let refused = any_marked().then(|| view::syncs(fd)).flatten();
    if let Some(e) = refused {
        errno::set(e.0);
    }
    refused.is_some()
}

hooks! {
    fn fsync(fd: c_int) -> c_int => my_fsync {
        if unsynced(fd) { -1 } else { real!(fsync(fd)) }
    }
    fn fdatasync(fd: c_int) -> c_int => my_fdatasync {
        if unsynced(fd) { -1 } else { real!(fdatasync(fd)) }
    }
    fn flock(fd: c_int, operation: c_int) -> c_int => my_flock {
        if is_tunnel(fd) { answer_on(fd, Misfit::Lock) } else { real!(flock(fd, operation)) }
    }
    fn fallocate(fd: c_int, mode: c_int, at: off_t, n: off_t) -> c_int => my_fallocate {
        allocate(fd, || real!(fallocate(fd, mode, at, n)))
    }
    fn fallocate64(fd: c_int, mode: c_int, at: off64_t, n: off64_t) -> c_int => my_fallocate64 {
        allocate(fd, || real!(fallocate64(fd, mode, at, n)))
    }
    fn posix_fadvise(fd: c_int, at: off_t, n: off_t, advice: c_int) -> c_int => my_posix_fadvise {
        if is_tunnel(fd) { number_on(fd, Misfit::Advise) } else { real!(posix_fadvise(fd, at, n, advice)) }
    }
    fn posix_fadvise64(fd: c_int, at: off64_t, n: off64_t, advice: c_int) -> c_int => my_posix_fadvise64 {
        if is_tunnel(fd) { number_on(fd, Misfit::Advise) } else { real!(posix_fadvise64(fd, at, n, advice)) }
    }
    fn truncate(path: *const c_char, length: off_t) -> c_int => my_truncate {
        match route::before(libc::AT_FDCWD, path) {
            Route::Device => answer(Misfit::Truncate),
            Route::View => view::cut(path, length, |path| real!(truncate(path, length))),
            _ => real!(truncate(path, length)),
        }
    }
    fn truncate64(path: *const c_char, length: off64_t) -> c_int => my_truncate64 {
        match route::before(libc::AT_FDCWD, path) {
            Route::Device => answer(Misfit::Truncate),
            Route::View => view::cut(path, length, |path| real!(truncate64(path, length))),
            _ => real!(truncate64(path, length)),
        }
    }
    fn posix_fallocate(fd: c_int, at: off_t, n: off_t) -> c_int => my_posix_fallocate {
        allocate_by_writing(fd, || real!(posix_fallocate(fd, at, n)))
    }
    fn posix_fallocate64(fd: c_int, at: off64_t, n: off64_t) -> c_int => my_posix_fallocate64 {
        allocate_by_writing(fd, || real!(posix_fallocate64(fd, at, n)))
    }
}
