//! stat(2) and access(2) show the device as a character device that may be opened, also where it
//! does not exist.

use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::is_ours;
use crate::uaccess::OwnMemory;
use crate::view::{self, Making};
use crate::{chardev, errno, uaccess};
use libc::{c_char, c_int, c_uint, stat as stat_t, stat64 as stat64_t, statx as statx_t};
use memtun_abi::Errno;
use memtun_calls::device::{self, FileStat};
use memtun_sys as sys;

const HERE: c_int = libc::AT_FDCWD;

fn fail(e: c_int) -> c_int {
    errno::give::<c_int>(Err(Errno(e))) as c_int
}

fn done(answer: Result<(), Errno>) -> c_int {
    errno::give(answer.map(|()| 0)) as c_int
}

/// The answer for a path that may lead into the view, or where it leads otherwise. `before` is
/// errno before the program's call.
#[cold]
#[inline(never)]
fn in_view(
    before: c_int,
    dir: c_int,
    path: *const c_char,
    viewed: impl FnOnce() -> Option<c_int>,
) -> Result<c_int, Route> {
    let failed = errno::get();
    errno::set(before);
    if let Some(answer) = viewed() {
        return Ok(answer);
    }
    errno::set(failed);
    Err(errno::keep(|| route::past_view(dir, path)))
}

/// Answers a call that only looks at a path. `follow` says whether the call follows a link in the
/// last component. The host is asked first: then the kernel has read the path, and this library
/// need not try whether it is readable.
#[inline]
fn look(
    dir: c_int,
    path: *const c_char,
    follow: bool,
    host: impl FnOnce() -> c_int,
    device: impl FnOnce() -> c_int,
    viewed: impl Fn() -> Option<c_int>,
) -> c_int {
    let before = errno::get();
    let answer = host();
    if answer < 0 && errno::get() == libc::EFAULT {
        return answer;
    }
    let route = match route::afterwards(dir, path) {
        Route::View => match in_view(before, dir, path, &viewed) {
            Ok(answer) => return answer,
            Err(route) => route,
        },
        route => route,
    };
    match route {
        Route::Device if follow || !is_link(dir, path) => {
            errno::set(before);
            device()
        }
        Route::NotADirectory => fail(libc::ENOTDIR),
        _ => at_last(dir, path, follow, answer, device, viewed),
    }
}

/// Answers a call that makes something at a path.
fn make(dir: c_int, path: *const c_char, host: impl FnOnce() -> c_int) -> c_int {
    match route::before(dir, path).refuses_to_make() {
        Some(e) => fail(e.0),
        None => at_last(dir, path, true, host(), || fail(libc::EEXIST), || None),
    }
}

/// The host's answer, unless a link of another name leads to a device that the host does not have,
/// or into the view.
#[inline]
fn at_last(
    dir: c_int,
    path: *const c_char,
    follow: bool,
    answer: c_int,
    device: impl FnOnce() -> c_int,
    viewed: impl FnOnce() -> Option<c_int>,
) -> c_int {
    let failed = errno::get();
    if answer >= 0 || failed != libc::ENOENT {
        return answer;
    }
    match errno::keep(|| route::after(dir, path)) {
        Route::Device if follow => device(),
        Route::View => viewed().unwrap_or_else(|| {
            errno::set(failed);
            answer
        }),
        _ => answer,
    }
}

fn is_link(dir: c_int, path: *const c_char) -> bool {
    let Ok(path) = uaccess::c_string(path).and_then(|p| memtun_sys::PathBuf::concat(&[p])) else {
        return false;
    };
    memtun_sys::fstatat(dir, path.cstr(), libc::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFLNK)
}

#[inline]
fn by_path<T: Copy>(
    dir: c_int,
    path: *const c_char,
    buf: *mut T,
    follow: bool,
    host: impl FnOnce() -> c_int,
) -> c_int {
    // stat and stat64 are one type on 64-bit machines.
    let viewed = || view::of_path(dir, path, follow).map(|shown| store(buf, shown));
    look(dir, path, follow, host, || give(buf), viewed)
}

/// Stores what stat(2) says of a file of the view.
fn store<T: Copy>(buf: *mut T, shown: Result<FileStat, Errno>) -> c_int {
    done(shown.and_then(|shown| shown.store(&OwnMemory, buf as usize)))
}

/// fstat(2) of a descriptor that is a tunnel or one of the view.
#[cold]
fn special<T: Copy>(fd: c_int, buf: *mut T, host: impl FnOnce() -> c_int) -> c_int {
    if is_tunnel(fd) {
        return give(buf);
    }
    match view::of_descriptor(fd) {
        Some(shown) => store(buf, shown),
        None => host(),
    }
}

fn give<T: Copy>(buf: *mut T) -> c_int {
    const { assert!(size_of::<T>() == size_of::<stat_t>()) };
    done(chardev::device().store(&OwnMemory, buf as usize))
}

/// fstatat(2), which AT_EMPTY_PATH turns into fstat.
#[inline]
fn at<T: Copy>(
    dir: c_int,
    path: *const c_char,
    buf: *mut T,
    flags: c_int,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if is_ours(dir)
        && flags & libc::AT_EMPTY_PATH != 0
        && uaccess::c_string(path).is_ok_and(<[u8]>::is_empty)
    {
        return special(dir, buf, host);
    }
    by_path(dir, path, buf, flags & libc::AT_SYMLINK_NOFOLLOW == 0, host)
}

fn give_x(buf: *mut statx_t) -> c_int {
    done(chardev::device().store_x(&OwnMemory, buf as usize))
}

/// The same as [`store`] for statx(2).
fn store_x(buf: *mut statx_t, shown: Result<FileStat, Errno>) -> c_int {
    done(shown.and_then(|shown| {
        // It is in the mount of the root of its file system.
        let mounts = [c"/sys", c"/proc"].into_iter().filter_map(sys::mount_of);
        let mut mounts = mounts.filter(|(device, _)| *device == shown.device);
        let mount = mounts.next().map(|(_, mount)| mount);
        shown.store_x_in(mount, &OwnMemory, buf as usize)
    }))
}

/// The same as [`special`] for statx(2).
#[cold]
fn special_x(fd: c_int, buf: *mut statx_t, host: impl FnOnce() -> c_int) -> c_int {
    if is_tunnel(fd) {
        return give_x(buf);
    }
    match view::of_descriptor(fd) {
        Some(shown) => store_x(buf, shown),
        None => host(),
    }
}

#[inline]
fn permitted(dir: c_int, path: *const c_char, mode: c_int, host: impl FnOnce() -> c_int) -> c_int {
    let viewed = || view::access(dir, path, mode).map(done);
    look(dir, path, true, host, || done(device::access(mode)), viewed)
}

/// Answers a call that makes a thing of this kind at a path.
fn made(
    mode: libc::mode_t,
    dir: c_int,
    path: *const c_char,
    host: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    let what = match mode & libc::S_IFMT {
        0 | libc::S_IFREG => Making::File,
        _ => Making::Other,
    };
    make(dir, path, || super::naming::making(what, dir, path, host))
}

hooks! {
    fn stat(path: *const c_char, buf: *mut stat_t) -> c_int => my_stat {
        by_path(HERE, path, buf, true, || real!(stat(path, buf)))
    }
    fn stat64(path: *const c_char, buf: *mut stat64_t) -> c_int => my_stat64 {
        by_path(HERE, path, buf, true, || real!(stat64(path, buf)))
    }
    fn lstat(path: *const c_char, buf: *mut stat_t) -> c_int => my_lstat {
        by_path(HERE, path, buf, false, || real!(lstat(path, buf)))
    }
    fn lstat64(path: *const c_char, buf: *mut stat64_t) -> c_int => my_lstat64 {
        by_path(HERE, path, buf, false, || real!(lstat64(path, buf)))
    }
    fn fstat(fd: c_int, buf: *mut stat_t) -> c_int => my_fstat {
        if is_ours(fd) { special(fd, buf, || real!(fstat(fd, buf))) } else { real!(fstat(fd, buf)) }
    }
    fn fstat64(fd: c_int, buf: *mut stat64_t) -> c_int => my_fstat64 {
        if is_ours(fd) { special(fd, buf, || real!(fstat64(fd, buf))) } else { real!(fstat64(fd, buf)) }
    }
    fn fstatat(dir: c_int, path: *const c_char, buf: *mut stat_t, flags: c_int) -> c_int => my_fstatat {
        at(dir, path, buf, flags, || real!(fstatat(dir, path, buf, flags)))
    }
    fn fstatat64(dir: c_int, path: *const c_char, buf: *mut stat64_t, flags: c_int) -> c_int => my_fstatat64 {
        at(dir, path, buf, flags, || real!(fstatat64(dir, path, buf, flags)))
    }
    fn __xstat(version: c_int, path: *const c_char, buf: *mut stat_t) -> c_int => my_xstat {
        by_path(HERE, path, buf, true, || real!(__xstat(version, path, buf)))
    }
    fn __xstat64(version: c_int, path: *const c_char, buf: *mut stat64_t) -> c_int => my_xstat64 {
        by_path(HERE, path, buf, true, || real!(__xstat64(version, path, buf)))
    }
    fn __lxstat(version: c_int, path: *const c_char, buf: *mut stat_t) -> c_int => my_lxstat {
        by_path(HERE, path, buf, false, || real!(__lxstat(version, path, buf)))
    }
    fn __lxstat64(version: c_int, path: *const c_char, buf: *mut stat64_t) -> c_int => my_lxstat64 {
        by_path(HERE, path, buf, false, || real!(__lxstat64(version, path, buf)))
    }
    fn __fxstat(version: c_int, fd: c_int, buf: *mut stat_t) -> c_int => my_fxstat {
        if is_ours(fd) { special(fd, buf, || real!(__fxstat(version, fd, buf))) } else { real!(__fxstat(version, fd, buf)) }
    }
    fn __fxstat64(version: c_int, fd: c_int, buf: *mut stat64_t) -> c_int => my_fxstat64 {
        if is_ours(fd) { special(fd, buf, || real!(__fxstat64(version, fd, buf))) } else { real!(__fxstat64(version, fd, buf)) }
    }
    fn __fxstatat(version: c_int, dir: c_int, path: *const c_char, buf: *mut stat_t, flags: c_int) -> c_int => my_fxstatat {
        at(dir, path, buf, flags, || real!(__fxstatat(version, dir, path, buf, flags)))
    }
    fn __fxstatat64(version: c_int, dir: c_int, path: *const c_char, buf: *mut stat64_t, flags: c_int) -> c_int => my_fxstatat64 {
        at(dir, path, buf, flags, || real!(__fxstatat64(version, dir, path, buf, flags)))
    }
    fn statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, buf: *mut statx_t) -> c_int => my_statx {
        let host = || real!(statx(dir, path, flags, mask, buf));
        if is_ours(dir) && flags & libc::AT_EMPTY_PATH != 0 && uaccess::c_string(path).is_ok_and(<[u8]>::is_empty) {
            special_x(dir, buf, host)
        } else {
            let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
            let viewed = || view::of_path(dir, path, follow).map(|shown| store_x(buf, shown));
            look(dir, path, follow, host, || give_x(buf), viewed)
        }
    }
    fn access(path: *const c_char, mode: c_int) -> c_int => my_access {
        permitted(HERE, path, mode, || real!(access(path, mode)))
    }
    fn eaccess(path: *const c_char, mode: c_int) -> c_int => my_eaccess {
        permitted(HERE, path, mode, || real!(eaccess(path, mode)))
    }
    fn euidaccess(path: *const c_char, mode: c_int) -> c_int => my_euidaccess {
        permitted(HERE, path, mode, || real!(euidaccess(path, mode)))
    }
    fn faccessat(dir: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int => my_faccessat {
        permitted(dir, path, mode, || real!(faccessat(dir, path, mode, flags)))
    }
    fn mknod(path: *const c_char, mode: libc::mode_t, device: libc::dev_t) -> c_int => my_mknod {
        made(mode, HERE, path, |_, path| real!(mknod(path, mode, device)))
    }
    fn mknodat(dir: c_int, path: *const c_char, mode: libc::mode_t, device: libc::dev_t) -> c_int => my_mknodat {
        made(mode, dir, path, |dir, path| real!(mknodat(dir, path, mode, device)))
    }
    fn __xmknod(version: c_int, path: *const c_char, mode: libc::mode_t, device: *mut libc::dev_t) -> c_int => my_xmknod {
        made(mode, HERE, path, |_, path| real!(__xmknod(version, path, mode, device)))
    }
    fn __xmknodat(version: c_int, dir: c_int, path: *const c_char, mode: libc::mode_t, device: *mut libc::dev_t) -> c_int => my_xmknodat {
        made(mode, dir, path, |dir, path| real!(__xmknodat(version, dir, path, mode, device)))
    }
}
