//! Calls about the owner, the permissions, the times and the place of a tunnel or of the device's
//! path. The bell keeps its mode and its owner, on which other processes of the net depend, and the
//! machine's own device keeps everything.

use super::directory;
use crate::foreign::is_tunnel;
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::any_marked;
use crate::view::{self, Change};
use crate::{config, errno, uaccess};
use libc::{c_char, c_int, c_long, c_void, gid_t, mode_t, size_t, timespec, timeval, uid_t};
use memtun_abi::Errno;

const HERE: c_int = libc::AT_FDCWD;

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
    stored(device, room)
}

/// Stores a path where realpath(3) is to store it.
fn stored(path: &[u8], room: *mut c_char) -> *mut c_char {
    // SAFETY: `room` has PATH_MAX bytes of the caller's, in which a path fits; else the memory is
    // libc's, which the caller frees.
    unsafe {
        let place = if room.is_null() {
            libc::malloc(path.len() + 1).cast::<c_char>()
        } else {
            room
        };
        if !place.is_null() {
            std::ptr::copy_nonoverlapping(path.as_ptr(), place.cast(), path.len());
            place.add(path.len()).write(0);
        }
        place
    }
}

/// The answer of realpath(3) for what is in the view; `host` answers for everything else.
fn viewed(path: *const c_char, room: *mut c_char, host: impl Fn() -> *mut c_char) -> *mut c_char {
    if route::before(HERE, path) != Route::View {
        let found = host();
        let is_missing = found.is_null() && errno::get() == libc::ENOENT;
        if !found.is_null() {
            return if any_marked() {
                directory::shown_in_place(found)
            } else {
                found
            };
        }
        if is_missing && any_marked() {
            let mut link = [0; 1024];
            if let Some(shown) = errno::keep(|| view::behind_link(path, &mut link)) {
                return stored(shown, room);
            }
        }
        if !is_missing || errno::keep(|| route::after(HERE, path)) != Route::View {
            return found;
        }
    }
    match view::real_path(path) {
        None => host(),
        Some(Ok(found)) => stored(found.bytes(), room),
        Some(Err(e)) => {
            errno::set(e.0);
            std::ptr::null_mut()
        }
    }
}

/// The answer of a call on a path that is granted without any effect on a device and on what is in
/// the view.
fn granted(
    dir: c_int,
    path: *const c_char,
    follow: bool,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    match route::before(dir, path) {
        Route::Device => GRANTED,
        Route::View => view::granted(dir, path, follow, host),
        _ => host(dir, path),
    }
}

/// The same for a call that changes permissions or owners, which a setting under /proc/sys refuses.
fn changed(
    dir: c_int,
    path: *const c_char,
    how: Change,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    match route::before(dir, path) {
        Route::Device => GRANTED,
        Route::View => view::changed(dir, path, how, host),
        _ => host(dir, path),
    }
}

/// How chmod(2) changes a path.
fn mode_change(flags: c_int) -> Change {
    Change {
        follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0,
        changes: true,
        of_link: Some(Errno(libc::EOPNOTSUPP)),
    }
}

/// How chown(2) changes a path.
fn owner_change(owner: uid_t, group: gid_t, flags: c_int) -> Change {
    Change {
        follow: flags & libc::AT_SYMLINK_NOFOLLOW == 0,
        changes: is_change(owner, group),
        of_link: None,
    }
}

/// Do these change anything?
fn is_change(owner: uid_t, group: gid_t) -> bool {
    owner != uid_t::MAX || group != gid_t::MAX
}

/// Makes a call that changes the owner or the permissions of a descriptor.
fn changed_of(fd: c_int, changes: bool, host: impl FnOnce() -> c_int) -> c_int {
    if is_tunnel(fd) {
        return GRANTED;
    }
    match any_marked()
        .then(|| view::changes_owner(fd, changes))
        .flatten()
    {
        Some(answer) => errno::give(answer.map(|()| 0)) as c_int,
        None => host(),
    }
}

/// Makes pathconf(3): what is in the view has the limits of its file system.
fn limit(path: *const c_char, name: c_int, host: impl Fn(*const c_char) -> c_long) -> c_long {
    let found = match route::before(HERE, path) {
        Route::View => view::limits_of(path),
        _ => None,
    };
    match found {
        None => host(path),
        // Of a file it says that asynchronous input and output can be done on it.
        Some(Ok((_, false))) if name == libc::_PC_ASYNC_IO => 1,
        Some(Ok((root, _))) => host(root.as_ptr()),
        Some(Err(_)) if is_everywhere(name) => host(c"/".as_ptr()),
        Some(Err(e)) => errno::give::<isize>(Err(e)) as c_long,
    }
}

/// Is a limit the same everywhere, so that libc looks at no path for it?
fn is_everywhere(name: c_int) -> bool {
    !matches!(
        name,
        libc::_PC_NAME_MAX
            | libc::_PC_LINK_MAX
            | libc::_PC_CHOWN_RESTRICTED
            | libc::_PC_ASYNC_IO
            | libc::_PC_FILESIZEBITS
            | libc::_PC_2_SYMLINKS
            | libc::_PC_REC_INCR_XFER_SIZE
            | libc::_PC_REC_MIN_XFER_SIZE
            | libc::_PC_REC_XFER_ALIGN
            | libc::_PC_ALLOC_SIZE_MIN
    )
}

/// Makes name_to_handle_at(2): no file of /sys and /proc has a handle that could be opened.
fn handle_of(dir: c_int, path: *const c_char, flags: c_int, host: impl FnOnce() -> c_int) -> c_int {
    let answer = host();
    let failed = errno::get();
    if answer < 0 && matches!(failed, libc::EFAULT | libc::EINVAL) {
        return answer;
    }
    let itself =
        flags & libc::AT_EMPTY_PATH != 0 && uaccess::c_string(path).is_ok_and(<[u8]>::is_empty);
    let refused = match itself {
        true if any_marked() && crate::table::marks(dir).is_some() => Some(Errno(libc::EOPNOTSUPP)),
        true => None,
        false if route::afterwards(dir, path) == Route::View => {
            view::no_handle(dir, path, flags & libc::AT_SYMLINK_FOLLOW != 0)
        }
        false => None,
    };
    match refused {
        Some(e) => errno::give::<c_int>(Err(e)) as c_int,
        None => {
            errno::set(failed);
            answer
        }
    }
}

/// Do these times say that nothing is to be changed? The kernel looks at no path then.
fn changes_nothing(times: *const timespec) -> bool {
    let omitted = |at: *const timespec| {
        // SAFETY: plain numbers are read, with a check before memory is touched.
        let time = unsafe { uaccess::read(at) };
        time.is_ok_and(|time| time.tv_nsec == libc::UTIME_OMIT)
    };
    !times.is_null() && omitted(times) && omitted(times.wrapping_add(1))
}

/// Makes a call of statfs(2)'s kind on a path: a device lies in the file system of devices, and
/// what is in the view in that of its root.
fn file_system(path: *const c_char, host: impl FnOnce(*const c_char) -> c_int) -> c_int {
    match route::before(HERE, path) {
        Route::Device => host(DEVICES),
        Route::View => match view::root_of(path) {
            Some(Ok(root)) => host(root.as_ptr()),
            Some(Err(e)) => errno::give::<c_int>(Err(e)) as c_int,
            None => host(path),
        },
        _ => host(path),
    }
}

/// The same on a descriptor; `at` makes the call on a path.
fn file_system_of(
    fd: c_int,
    at: impl FnOnce(*const c_char) -> c_int,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if is_tunnel(fd) {
        return at(DEVICES);
    }
    match view::root_of_descriptor(fd) {
        Some(root) => at(root.as_ptr()),
        None => host(),
    }
}

hooks! {
    fn fchmod(fd: c_int, mode: mode_t) -> c_int => my_fchmod {
        changed_of(fd, true, || real!(fchmod(fd, mode)))
    }
    fn chmod(path: *const c_char, mode: mode_t) -> c_int => my_chmod {
        changed(HERE, path, mode_change(0), |_, path| real!(chmod(path, mode)))
    }
    fn fchmodat(dir: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int => my_fchmodat {
        if names_tunnel(dir, path, flags) { GRANTED } else { changed(dir, path, mode_change(flags), |dir, path| real!(fchmodat(dir, path, mode, flags))) }
    }
    fn fchown(fd: c_int, owner: uid_t, group: gid_t) -> c_int => my_fchown {
        changed_of(fd, is_change(owner, group), || real!(fchown(fd, owner, group)))
    }
    fn chown(path: *const c_char, owner: uid_t, group: gid_t) -> c_int => my_chown {
        changed(HERE, path, owner_change(owner, group, 0), |_, path| real!(chown(path, owner, group)))
    }
    fn lchown(path: *const c_char, owner: uid_t, group: gid_t) -> c_int => my_lchown {
        changed(HERE, path, owner_change(owner, group, libc::AT_SYMLINK_NOFOLLOW), |_, path| real!(lchown(path, owner, group)))
    }
    fn fchownat(dir: c_int, path: *const c_char, owner: uid_t, group: gid_t, flags: c_int) -> c_int => my_fchownat {
        if names_tunnel(dir, path, flags) { GRANTED } else { changed(dir, path, owner_change(owner, group, flags), |dir, path| real!(fchownat(dir, path, owner, group, flags))) }
    }
    fn futimens(fd: c_int, times: *const timespec) -> c_int => my_futimens {
        if is_tunnel(fd) { GRANTED } else { real!(futimens(fd, times)) }
    }
    fn futimes(fd: c_int, times: *const timeval) -> c_int => my_futimes {
        if is_tunnel(fd) { GRANTED } else { real!(futimes(fd, times)) }
    }
    fn utimensat(dir: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int => my_utimensat {
        if names_tunnel(dir, path, flags) { return GRANTED }
        if changes_nothing(times) { return real!(utimensat(dir, path, times, flags)) }
        granted(dir, path, true, |dir, path| real!(utimensat(dir, path, times, flags)))
    }
    fn futimesat(dir: c_int, path: *const c_char, times: *const timeval) -> c_int => my_futimesat {
        let itself = path.is_null() && is_tunnel(dir);
        if itself { GRANTED } else if path.is_null() { real!(futimesat(dir, path, times)) } else { granted(dir, path, true, |dir, path| real!(futimesat(dir, path, times))) }
    }
    fn utimes(path: *const c_char, times: *const timeval) -> c_int => my_utimes {
        granted(HERE, path, true, |_, path| real!(utimes(path, times)))
    }
    fn lutimes(path: *const c_char, times: *const timeval) -> c_int => my_lutimes {
        granted(HERE, path, true, |_, path| real!(lutimes(path, times)))
    }
    fn utime(path: *const c_char, times: *const c_void) -> c_int => my_utime {
        granted(HERE, path, true, |_, path| real!(utime(path, times)))
    }
    fn fstatfs(fd: c_int, buf: *mut c_void) -> c_int => my_fstatfs {
        file_system_of(fd, |path| real!(statfs(path, buf)), || real!(fstatfs(fd, buf)))
    }
    fn fstatfs64(fd: c_int, buf: *mut c_void) -> c_int => my_fstatfs64 {
        file_system_of(fd, |path| real!(statfs64(path, buf)), || real!(fstatfs64(fd, buf)))
    }
    fn statfs(path: *const c_char, buf: *mut c_void) -> c_int => my_statfs {
        file_system(path, |path| real!(statfs(path, buf)))
    }
    fn statfs64(path: *const c_char, buf: *mut c_void) -> c_int => my_statfs64 {
        file_system(path, |path| real!(statfs64(path, buf)))
    }
    fn __statfs(path: *const c_char, buf: *mut c_void) -> c_int => my_statfs_alias {
        file_system(path, |path| real!(__statfs(path, buf)))
    }
    fn fstatvfs(fd: c_int, buf: *mut c_void) -> c_int => my_fstatvfs {
        file_system_of(fd, |path| real!(statvfs(path, buf)), || real!(fstatvfs(fd, buf)))
    }
    fn fstatvfs64(fd: c_int, buf: *mut c_void) -> c_int => my_fstatvfs64 {
        file_system_of(fd, |path| real!(statvfs64(path, buf)), || real!(fstatvfs64(fd, buf)))
    }
    fn statvfs(path: *const c_char, buf: *mut c_void) -> c_int => my_statvfs {
        file_system(path, |path| real!(statvfs(path, buf)))
    }
    fn statvfs64(path: *const c_char, buf: *mut c_void) -> c_int => my_statvfs64 {
        file_system(path, |path| real!(statvfs64(path, buf)))
    }
    fn pathconf(path: *const c_char, name: c_int) -> c_long => my_pathconf {
        limit(path, name, |path| real!(pathconf(path, name)))
    }
    fn __pathconf(path: *const c_char, name: c_int) -> c_long => my_pathconf_alias {
        limit(path, name, |path| real!(__pathconf(path, name)))
    }
    fn name_to_handle_at(dir: c_int, path: *const c_char, handle: *mut c_void, mount: *mut c_int, flags: c_int) -> c_int => my_name_to_handle_at {
        let host = || real!(name_to_handle_at(dir, path, handle, mount, flags));
        handle_of(dir, path, flags, host)
    }
    fn isfdtype(fd: c_int, kind: c_int) -> c_int => my_isfdtype {
        if is_tunnel(fd) { (kind as u32 & libc::S_IFMT == libc::S_IFCHR) as c_int } else { real!(isfdtype(fd, kind)) }
    }
    fn realpath(path: *const c_char, room: *mut c_char) -> *mut c_char => my_realpath {
        viewed(path, room, || resolved(path, room, real!(realpath(path, room))))
    }
    fn __realpath_chk(path: *const c_char, room: *mut c_char, size: size_t) -> *mut c_char => my_realpath_chk {
        viewed(path, room, || resolved(path, room, real!(__realpath_chk(path, room, size))))
    }
    fn canonicalize_file_name(path: *const c_char) -> *mut c_char => my_canonicalize_file_name {
        let room = std::ptr::null_mut();
        viewed(path, room, || resolved(path, room, real!(canonicalize_file_name(path))))
    }
}
