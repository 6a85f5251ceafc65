//! Calls that make no sense on a tunnel, or that would show what its descriptor really is. The rest (every socket call,
//! lseek, mmap, fsync, ftruncate ...) already gets the driver's errors from the kernel, because a FIFO refuses it alike.

use crate::config;
use crate::errno;
use crate::foreign::is_tunnel;
use crate::net;
use crate::ops;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::any;
use crate::user;
use libc::{c_char, c_int, c_uint, iovec, off64_t, off_t, size_t, ssize_t};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;

fn fail(e: c_int) -> isize {
    errno::give::<isize>(Err(Errno(e)))
}

/// A terminal's request on a tunnel: the driver does not know it.
pub fn no_terminal(fd: c_int) -> c_int {
    ops::ioctl(fd, libc::TCGETS, std::ptr::null_mut(), || 0)
}

/// readlink(2): a bell's path does not show, the device's does. `host` reads the link into a buffer.
fn link_target(
    buf: *mut c_char,
    room: size_t,
    host: impl Fn(*mut c_char, size_t) -> ssize_t,
) -> ssize_t {
    if !any() && net::current().is_none() {
        return host(buf, room);
    }
    let mut target = [0u8; 1024];
    let n = host(target.as_mut_ptr().cast(), target.len());
    let Some(found) = usize::try_from(n).ok().and_then(|n| target.get(..n)) else {
        return n;
    };
    let device = config::get()
        .and_then(|c| c.devices.first())
        .map(|d| d.path.as_slice());
    let shown = match (NetDir::inode_of_bell_path(found), device) {
        (Some(_), Some(device)) => &device[..device.len().min(room)],
        _ => return host(buf, room),
    };
    errno::give(user::copy_out(buf as usize, shown).map(|()| shown.len()))
}

#[inline]
fn either(one: c_int, other: c_int) -> bool {
    any() && (is_tunnel(one) || is_tunnel(other))
}

hooks! {
    fn flock(fd: c_int, operation: c_int) -> c_int => my_flock {
        // The lock of the bell is the tunnel's life; the driver's own file may be locked by anybody.
        if is_tunnel(fd) { 0 } else { real!(flock(fd, operation)) }
    }
    fn splice(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: c_uint) -> ssize_t => my_splice {
        if either(from, to) { fail(libc::EINVAL) } else { real!(splice(from, from_at, to, to_at, n, flags)) }
    }
    fn tee(from: c_int, to: c_int, n: size_t, flags: c_uint) -> ssize_t => my_tee {
        if either(from, to) { fail(libc::EINVAL) } else { real!(tee(from, to, n, flags)) }
    }
    fn vmsplice(fd: c_int, array: *const iovec, n: size_t, flags: c_uint) -> ssize_t => my_vmsplice {
        if is_tunnel(fd) { fail(libc::EBADF) } else { real!(vmsplice(fd, array, n, flags)) }
    }
    fn sendfile(to: c_int, from: c_int, at: *mut off_t, n: size_t) -> ssize_t => my_sendfile {
        if either(from, to) { fail(libc::EINVAL) } else { real!(sendfile(to, from, at, n)) }
    }
    fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, n: size_t) -> ssize_t => my_sendfile64 {
        if either(from, to) { fail(libc::EINVAL) } else { real!(sendfile64(to, from, at, n)) }
    }
    fn copy_file_range(from: c_int, from_at: *mut off64_t, to: c_int, to_at: *mut off64_t, n: size_t, flags: c_uint) -> ssize_t => my_copy_file_range {
        if either(from, to) { fail(libc::EINVAL) } else { real!(copy_file_range(from, from_at, to, to_at, n, flags)) }
    }
    fn fallocate(fd: c_int, mode: c_int, at: off_t, n: off_t) -> c_int => my_fallocate {
        if is_tunnel(fd) { fail(libc::ENODEV) as c_int } else { real!(fallocate(fd, mode, at, n)) }
    }
    fn fallocate64(fd: c_int, mode: c_int, at: off64_t, n: off64_t) -> c_int => my_fallocate64 {
        if is_tunnel(fd) { fail(libc::ENODEV) as c_int } else { real!(fallocate64(fd, mode, at, n)) }
    }
    fn posix_fadvise(fd: c_int, at: off_t, n: off_t, advice: c_int) -> c_int => my_posix_fadvise {
        if is_tunnel(fd) { 0 } else { real!(posix_fadvise(fd, at, n, advice)) }
    }
    fn posix_fadvise64(fd: c_int, at: off64_t, n: off64_t, advice: c_int) -> c_int => my_posix_fadvise64 {
        if is_tunnel(fd) { 0 } else { real!(posix_fadvise64(fd, at, n, advice)) }
    }
    fn truncate(path: *const c_char, length: off_t) -> c_int => my_truncate {
        if route::before(libc::AT_FDCWD, path) == Route::Device { fail(libc::EINVAL) as c_int } else { real!(truncate(path, length)) }
    }
    fn truncate64(path: *const c_char, length: off64_t) -> c_int => my_truncate64 {
        if route::before(libc::AT_FDCWD, path) == Route::Device { fail(libc::EINVAL) as c_int } else { real!(truncate64(path, length)) }
    }
    fn readlink(path: *const c_char, buf: *mut c_char, n: size_t) -> ssize_t => my_readlink {
        link_target(buf, n, |buf, n| real!(readlink(path, buf, n)))
    }
    fn readlinkat(dir: c_int, path: *const c_char, buf: *mut c_char, n: size_t) -> ssize_t => my_readlinkat {
        link_target(buf, n, |buf, n| real!(readlinkat(dir, path, buf, n)))
    }
    fn __readlink_chk(path: *const c_char, buf: *mut c_char, n: size_t, room: size_t) -> ssize_t => my_readlink_chk {
        if n > room { real!(__readlink_chk(path, buf, n, room)) } else { link_target(buf, n, |buf, n| real!(__readlink_chk(path, buf, n, n))) }
    }
    fn __readlinkat_chk(dir: c_int, path: *const c_char, buf: *mut c_char, n: size_t, room: size_t) -> ssize_t => my_readlinkat_chk {
        if n > room { real!(__readlinkat_chk(dir, path, buf, n, room)) } else { link_target(buf, n, |buf, n| real!(__readlinkat_chk(dir, path, buf, n, n))) }
    }
    fn posix_fallocate(fd: c_int, at: off_t, n: off_t) -> c_int => my_posix_fallocate {
        if is_tunnel(fd) { libc::ENODEV } else { real!(posix_fallocate(fd, at, n)) }
    }
    fn posix_fallocate64(fd: c_int, at: off64_t, n: off64_t) -> c_int => my_posix_fallocate64 {
        if is_tunnel(fd) { libc::ENODEV } else { real!(posix_fallocate64(fd, at, n)) }
    }
}
