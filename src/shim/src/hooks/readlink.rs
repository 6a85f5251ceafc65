//! readlink(2) shows the path of the device in place of the path of a bell.

use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::any;
use crate::{config, errno, net, uaccess, view};
use libc::{c_char, c_int, size_t, ssize_t};
use memtun_calls::path;

/// Runs `host`, which reads the link into a buffer, and replaces the path of a bell there.
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
    let device = config::get().and_then(|config| path::shown(&config.devices, found));
    let Some(shown) = device.or_else(|| view::shown(found)) else {
        return host(buf, room);
    };
    let shown = &shown[..shown.len().min(room)];
    errno::give(uaccess::copy_out(buf as usize, shown).map(|()| shown.len()))
}

/// Reads the link at a path of the program's, which may be one of the view.
fn at_path(
    dir: c_int,
    path: *const c_char,
    buf: *mut c_char,
    room: size_t,
    host: impl Fn(*mut c_char, size_t) -> ssize_t,
) -> ssize_t {
    // The kernel finds out whether the path is readable, as it does for stat(2).
    let before = errno::get();
    let answer = link_target(buf, room, host);
    let may_be_there = answer >= 0 || errno::get() != libc::EFAULT;
    let is_missing = || {
        answer < 0
            && errno::get() == libc::ENOENT
            && errno::keep(|| route::after(dir, path)) == Route::View
    };
    if !may_be_there || route::afterwards(dir, path) != Route::View && !is_missing() {
        return answer;
    }
    let failed = errno::get();
    let target = match view::target(dir, path) {
        None => {
            errno::set(failed);
            return answer;
        }
        Some(Err(e)) => return errno::give::<isize>(Err(e)),
        Some(Ok(target)) => target,
    };
    errno::set(before);
    let (target, is_link) = target;
    let mut own = [0; 1024];
    let bytes = match is_link {
        true => Ok(target.bytes()),
        false => memtun_sys::readlinkat(libc::AT_FDCWD, target.cstr(), &mut own)
            .map(|found| found as &[u8]),
    };
    errno::give(bytes.and_then(|bytes| {
        let shown = &bytes[..bytes.len().min(room)];
        uaccess::copy_out(buf as usize, shown).map(|()| shown.len())
    }))
}

hooks! {
    fn readlink(path: *const c_char, buf: *mut c_char, n: size_t) -> ssize_t => my_readlink {
        at_path(libc::AT_FDCWD, path, buf, n, |buf, n| real!(readlink(path, buf, n)))
    }
    fn readlinkat(dir: c_int, path: *const c_char, buf: *mut c_char, n: size_t) -> ssize_t => my_readlinkat {
        at_path(dir, path, buf, n, |buf, n| real!(readlinkat(dir, path, buf, n)))
    }
    fn __readlink_chk(path: *const c_char, buf: *mut c_char, n: size_t, room: size_t) -> ssize_t => my_readlink_chk {
        if n > room { real!(__readlink_chk(path, buf, n, room)) } else { at_path(libc::AT_FDCWD, path, buf, n, |buf, n| real!(__readlink_chk(path, buf, n, n))) }
    }
    fn __readlinkat_chk(dir: c_int, path: *const c_char, buf: *mut c_char, n: size_t, room: size_t) -> ssize_t => my_readlinkat_chk {
        if n > room { real!(__readlinkat_chk(dir, path, buf, n, room)) } else { at_path(dir, path, buf, n, |buf, n| real!(__readlinkat_chk(dir, path, buf, n, n))) }
    }
}
