//! Calls for files on a disk: locks, room and lengths. They would show what a tunnel's descriptor really is.

use crate::errno;
use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use libc::{c_char, c_int, off64_t, off_t};
use memtun_abi::Errno;

fn fail(e: c_int) -> c_int {
    errno::give::<c_int>(Err(Errno(e))) as c_int
}

hooks! {
    fn flock(fd: c_int, operation: c_int) -> c_int => my_flock {
        // The lock of the bell is the tunnel's life; the driver's own file may be locked by anybody.
        if is_tunnel(fd) { 0 } else { real!(flock(fd, operation)) }
    }
    fn fallocate(fd: c_int, mode: c_int, at: off_t, n: off_t) -> c_int => my_fallocate {
        if is_tunnel(fd) { fail(libc::ENODEV) } else { real!(fallocate(fd, mode, at, n)) }
    }
    fn fallocate64(fd: c_int, mode: c_int, at: off64_t, n: off64_t) -> c_int => my_fallocate64 {
        if is_tunnel(fd) { fail(libc::ENODEV) } else { real!(fallocate64(fd, mode, at, n)) }
    }
    fn posix_fadvise(fd: c_int, at: off_t, n: off_t, advice: c_int) -> c_int => my_posix_fadvise {
        if is_tunnel(fd) { 0 } else { real!(posix_fadvise(fd, at, n, advice)) }
    }
    fn posix_fadvise64(fd: c_int, at: off64_t, n: off64_t, advice: c_int) -> c_int => my_posix_fadvise64 {
        if is_tunnel(fd) { 0 } else { real!(posix_fadvise64(fd, at, n, advice)) }
    }
    fn truncate(path: *const c_char, length: off_t) -> c_int => my_truncate {
        if route::before(libc::AT_FDCWD, path) == Route::Device { fail(libc::EINVAL) } else { real!(truncate(path, length)) }
    }
    fn truncate64(path: *const c_char, length: off64_t) -> c_int => my_truncate64 {
        if route::before(libc::AT_FDCWD, path) == Route::Device { fail(libc::EINVAL) } else { real!(truncate64(path, length)) }
    }
    fn posix_fallocate(fd: c_int, at: off_t, n: off_t) -> c_int => my_posix_fallocate {
        if is_tunnel(fd) { libc::ENODEV } else { real!(posix_fallocate(fd, at, n)) }
    }
    fn posix_fallocate64(fd: c_int, at: off64_t, n: off64_t) -> c_int => my_posix_fallocate64 {
        if is_tunnel(fd) { libc::ENODEV } else { real!(posix_fallocate64(fd, at, n)) }
    }
}
