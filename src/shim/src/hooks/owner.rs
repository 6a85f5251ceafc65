//! Calls about the owner, the permissions, the times and the place of a tunnel or of the device's
//! path. The bell keeps its mode and its owner, on which other processes of the net depend, and the
//! machine's own device keeps everything.

use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::{config, errno, uaccess};
use libc::{c_char, c_int, c_void, gid_t, mode_t, size_t, timespec, timeval, uid_t};
use memtun_calls::control::Misfit;

const HERE: c_int = libc::AT_FDCWD;

fn not_a_directory() -> c_int {
    errno::give(Misfit::Directory.answer().map(|()| 0)) as c_int
}

/// Answer of a call that is granted without any effect, because a program is the administrator of
/// its tunnels.
const GRANTED: c_int = 0;

#[inline]
fn is_device(dir: c_int, path: *const c_char) -> bool {
    route::before(dir, path) == Route::Device
}

/// Is the path empty in a call that takes this for the descriptor itself?
fn names_tunnel(dir: c_int, path: *const c_char, flags: c_int) -> bool {
    flags & libc::AT_EMPTY_PATH != 0
        && is_tunnel(dir)
        && uaccess::c_string(path).is_ok_and(<[u8]>::is_empty)
}

/// Path in the file system of devices, where statfs(2) looks for it.
const DEVICES: *const c_char = c"/dev".as_ptr();

/// The path of the special device that a path leads to.
fn canonical(path: *const c_char) -> Option<&'static [u8]> {
    if !is_device(HERE, path) {
        return None;
    }
    let given = uaccess::c_string(path).ok()?;
    memtun_calls::path::canonical(&config::get()?.devices, given)
}

/// The answer of realpath(3) for a device that the machine does not have.
fn resolved(path: *const c_char, room: *mut c_char, found: *mut c_char) -> *mut c_char {
    if !found.is_null() || errno::get() != libc::ENOENT {
        return found;
    }
    let Some(device) = errno::keep(|| canonical(path)) else {
        return found;
    };
    // SAFETY: `room` has PATH_MAX bytes of the caller's, in which a device's path fits; else the
    // memory is libc's, which the caller frees.
    unsafe {
        let place = if room.is_null() {
            libc::malloc(device.len() + 1).cast::<c_char>()
        } else {
            room
        };
        if !place.is_null() {
            std::ptr::copy_nonoverlapping(device.as_ptr(), place.cast(), device.len());
            place.add(device.len()).write(0);
        }
        place
    }
}

hooks! {
    fn fchmod(fd: c_int, mode: mode_t) -> c_int => my_fchmod {
        if is_tunnel(fd) { GRANTED } else { real!(fchmod(fd, mode)) }
    }
    fn chmod(path: *const c_char, mode: mode_t) -> c_int => my_chmod {
        if is_device(HERE, path) { GRANTED } else { real!(chmod(path, mode)) }
    }
    fn fchmodat(dir: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int => my_fchmodat {
        if is_device(dir, path) || names_tunnel(dir, path, flags) { GRANTED } else { real!(fchmodat(dir, path, mode, flags)) }
    }
    fn fchown(fd: c_int, owner: uid_t, group: gid_t) -> c_int => my_fchown {
        if is_tunnel(fd) { GRANTED } else { real!(fchown(fd, owner, group)) }
    }
    fn chown(path: *const c_char, owner: uid_t, group: gid_t) -> c_int => my_chown {
        if is_device(HERE, path) { GRANTED } else { real!(chown(path, owner, group)) }
    }
    fn lchown(path: *const c_char, owner: uid_t, group: gid_t) -> c_int => my_lchown {
        if is_device(HERE, path) { GRANTED } else { real!(lchown(path, owner, group)) }
    }
    fn fchownat(dir: c_int, path: *const c_char, owner: uid_t, group: gid_t, flags: c_int) -> c_int => my_fchownat {
        if is_device(dir, path) || names_tunnel(dir, path, flags) { GRANTED } else { real!(fchownat(dir, path, owner, group, flags)) }
    }
    fn futimens(fd: c_int, times: *const timespec) -> c_int => my_futimens {
        if is_tunnel(fd) { GRANTED } else { real!(futimens(fd, times)) }
    }
    fn futimes(fd: c_int, times: *const timeval) -> c_int => my_futimes {
        if is_tunnel(fd) { GRANTED } else { real!(futimes(fd, times)) }
    }
    fn utimensat(dir: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int => my_utimensat {
        if is_device(dir, path) || names_tunnel(dir, path, flags) { GRANTED } else { real!(utimensat(dir, path, times, flags)) }
    }
    fn futimesat(dir: c_int, path: *const c_char, times: *const timeval) -> c_int => my_futimesat {
        let itself = path.is_null() && is_tunnel(dir);
        if itself || is_device(dir, path) { GRANTED } else { real!(futimesat(dir, path, times)) }
    }
    fn utimes(path: *const c_char, times: *const timeval) -> c_int => my_utimes {
        if is_device(HERE, path) { GRANTED } else { real!(utimes(path, times)) }
    }
    fn lutimes(path: *const c_char, times: *const timeval) -> c_int => my_lutimes {
        if is_device(HERE, path) { GRANTED } else { real!(lutimes(path, times)) }
    }
    fn utime(path: *const c_char, times: *const c_void) -> c_int => my_utime {
        if is_device(HERE, path) { GRANTED } else { real!(utime(path, times)) }
    }
    fn fstatfs(fd: c_int, buf: *mut c_void) -> c_int => my_fstatfs {
        if is_tunnel(fd) { real!(statfs(DEVICES, buf)) } else { real!(fstatfs(fd, buf)) }
    }
    fn fstatfs64(fd: c_int, buf: *mut c_void) -> c_int => my_fstatfs64 {
        if is_tunnel(fd) { real!(statfs64(DEVICES, buf)) } else { real!(fstatfs64(fd, buf)) }
    }
    fn statfs(path: *const c_char, buf: *mut c_void) -> c_int => my_statfs {
        if is_device(HERE, path) { real!(statfs(DEVICES, buf)) } else { real!(statfs(path, buf)) }
    }
    fn statfs64(path: *const c_char, buf: *mut c_void) -> c_int => my_statfs64 {
        if is_device(HERE, path) { real!(statfs64(DEVICES, buf)) } else { real!(statfs64(path, buf)) }
    }
    fn __statfs(path: *const c_char, buf: *mut c_void) -> c_int => my_statfs_alias {
        if is_device(HERE, path) { real!(__statfs(DEVICES, buf)) } else { real!(__statfs(path, buf)) }
    }
    fn fstatvfs(fd: c_int, buf: *mut c_void) -> c_int => my_fstatvfs {
        if is_tunnel(fd) { real!(statvfs(DEVICES, buf)) } else { real!(fstatvfs(fd, buf)) }
    }
    fn fstatvfs64(fd: c_int, buf: *mut c_void) -> c_int => my_fstatvfs64 {
        if is_tunnel(fd) { real!(statvfs64(DEVICES, buf)) } else { real!(fstatvfs64(fd, buf)) }
    }
    fn statvfs(path: *const c_char, buf: *mut c_void) -> c_int => my_statvfs {
        if is_device(HERE, path) { real!(statvfs(DEVICES, buf)) } else { real!(statvfs(path, buf)) }
    }
    fn statvfs64(path: *const c_char, buf: *mut c_void) -> c_int => my_statvfs64 {
        if is_device(HERE, path) { real!(statvfs64(DEVICES, buf)) } else { real!(statvfs64(path, buf)) }
    }
    fn isfdtype(fd: c_int, kind: c_int) -> c_int => my_isfdtype {
        if is_tunnel(fd) { (kind as u32 & libc::S_IFMT == libc::S_IFCHR) as c_int } else { real!(isfdtype(fd, kind)) }
    }
    fn realpath(path: *const c_char, room: *mut c_char) -> *mut c_char => my_realpath {
        resolved(path, room, real!(realpath(path, room)))
    }
    fn __realpath_chk(path: *const c_char, room: *mut c_char, size: size_t) -> *mut c_char => my_realpath_chk {
        resolved(path, room, real!(__realpath_chk(path, room, size)))
    }
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char => my_canonicalize_file_name {
        resolved(path, std::ptr::null_mut(), real!(canonicalize_file_name(path)))
    }
    fn opendir(path: *const c_char) -> *mut c_void => my_opendir {
        if is_device(HERE, path) {
            not_a_directory();
            std::ptr::null_mut()
        } else {
            real!(opendir(path))
        }
    }
    fn chdir(path: *const c_char) -> c_int => my_chdir {
        if is_device(HERE, path) { not_a_directory() } else { real!(chdir(path)) }
    }
}
