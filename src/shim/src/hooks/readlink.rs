//! readlink(2) shows the path of the device in place of the path of a bell.

use crate::real::{hooks, real};
use crate::table::any;
use crate::{config, errno, net, uaccess};
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
    let Some(shown) = config::get().and_then(|config| path::shown(&config.devices, found)) else {
        return host(buf, room);
    };
    let shown = &shown[..shown.len().min(room)];
    errno::give(uaccess::copy_out(buf as usize, shown).map(|()| shown.len()))
}

hooks! {
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
}
