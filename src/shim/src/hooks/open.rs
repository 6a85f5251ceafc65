//! The functions of libc that open a path.

use crate::errno::{self, fence};
use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::{fdinfo, foreign, ops, uaccess, view};
use libc::{c_char, c_int, c_void, mode_t};
use memtun_abi::Errno;
use memtun_calls::device::is_device;
use memtun_calls::fdinfo::may_be;
use memtun_calls::path::is_missing;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Opens a path with one of libc's functions, or as a tunnel.
#[inline]
fn opening(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let route = match route::before(dir, path) {
        Route::View => match view::open(dir, path, flags, mode) {
            Some(fd) => return fd,
            None => route::past_view(dir, path),
        },
        route => route,
    };
    match route {
        // A link of the host's is refused by the host, or opened itself, as O_PATH has it.
        Route::Device if flags & libc::O_NOFOLLOW != 0 && route::is_link(dir, path) => host(),
        Route::Host | Route::View => {
            let fd = host();
            if fd < 0 && is_missing(Errno(errno::get())) {
                return instead(dir, path, flags, mode, fd);
            }
            if let Some(st) = opened(fd) {
                if opened_device(&st) {
                    // The path was a link of another name to the host's own device.
                    return ours(flags, Some(fd));
                }
                if st.st_nlink == 0 {
                    // It may be a file of the view, by the name of a descriptor of it.
                    foreign::is_new(fd);
                    errno::keep(|| view::adopt(fd, &st));
                    return match view::refuses_again(fd, flags) {
                        Some(e) => {
                            let _ = closed(fd);
                            errno::give::<c_int>(Err(e)) as c_int
                        }
                        None => fd,
                    };
                }
                if view::may_be_reached(&st, flags) {
                    if let Some(answer) = view::reached(fd, flags, &|| closed(fd)) {
                        return answer;
                    }
                }
            }
            foreign::is_new(fd);
            if fd >= 0 {
                errno::keep(|| fdinfo::replace(fd, uaccess::c_string(path).unwrap_or_default()));
            }
            fd
        }
        Route::NotADirectory => errno::give::<c_int>(Err(Errno(libc::ENOTDIR))) as c_int,
        Route::Device => ours(flags, None),
    }
}

/// Closes a descriptor that the host has opened for this call.
pub fn closed(fd: c_int) -> Result<(), Errno> {
    // SAFETY: the descriptor was opened just now, and the program has not seen it.
    unsafe { memtun_sys::close(fd) }
}

pub fn ours(flags: c_int, host: Option<c_int>) -> c_int {
    if let Some(fd) = host {
        let _ = closed(fd);
    }
    errno::give(fence(|| ops::open(flags))) as c_int
}

#[cold]
fn instead(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t, failed: c_int) -> c_int {
    if flags & libc::O_NOFOLLOW != 0 {
        return failed;
    }
    match errno::keep(|| route::after(dir, path)) {
        Route::Host => failed,
        Route::View => {
            let missing = errno::get();
            view::open(dir, path, flags, mode).unwrap_or_else(|| {
                errno::set(missing);
                failed
            })
        }
        _ => ours(flags, None),
    }
}

/// What the host has opened, if anything. (The fstat costs a tenth of an open.)
#[inline]
fn opened(fd: c_int) -> Option<libc::stat> {
    (fd >= 0).then(|| memtun_sys::fstat(fd).ok()).flatten()
}

/// Did the host open the tun device? Then the path led to it by a link.
fn opened_device(st: &libc::stat) -> bool {
    is_device(st)
        && crate::config::get().is_some_and(|c| c.devices.iter().any(|d| d.path == b"/dev/net/tun"))
}

const HERE: c_int = libc::AT_FDCWD;

hooks! {
    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => my_open {
        opening(HERE, path, flags, mode, || real!(open(path, flags, mode)))
    }
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => my_open64 {
        opening(HERE, path, flags, mode, || real!(open64(path, flags, mode)))
    }
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int => my_openat {
        opening(dir, path, flags, mode, || real!(openat(dir, path, flags, mode)))
    }
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int => my_openat64 {
        opening(dir, path, flags, mode, || real!(openat64(dir, path, flags, mode)))
    }
    fn __open_2(path: *const c_char, flags: c_int) -> c_int => my_open_2 {
        opening(HERE, path, flags, 0, || real!(__open_2(path, flags)))
    }
    fn __open64_2(path: *const c_char, flags: c_int) -> c_int => my_open64_2 {
        opening(HERE, path, flags, 0, || real!(__open64_2(path, flags)))
    }
    fn __openat_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int => my_openat_2 {
        opening(dir, path, flags, 0, || real!(__openat_2(dir, path, flags)))
    }
    fn __openat64_2(dir: c_int, path: *const c_char, flags: c_int) -> c_int => my_openat64_2 {
        opening(dir, path, flags, 0, || real!(__openat64_2(dir, path, flags)))
    }
    fn creat(path: *const c_char, mode: mode_t) -> c_int => my_creat {
        opening(HERE, path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, mode, || real!(creat(path, mode)))
    }
    fn creat64(path: *const c_char, mode: mode_t) -> c_int => my_creat64 {
        opening(HERE, path, libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, mode, || real!(creat64(path, mode)))
    }
    fn __open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => my_open_alias {
        opening(HERE, path, flags, mode, || real!(__open(path, flags, mode)))
    }
    fn __open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => my_open64_alias {
        opening(HERE, path, flags, mode, || real!(__open64(path, flags, mode)))
    }
}

/// openat2(2), for `syscall`; `None` when the path is no special device.
pub fn openat2(dir: c_int, path: *const c_char, how: *const u64, size: usize) -> Option<c_int> {
    let route = route::before(dir, path);
    // SAFETY: struct open_how begins with its flags, a u64.
    let flags = || unsafe { crate::uaccess::read(how) };
    if route == Route::View {
        if let Some(e) = refuses(how, size) {
            return Some(errno::give::<c_int>(Err(e)) as c_int);
        }
        // SAFETY: the kernel has read the struct, which begins with its flags, mode and rules.
        let [flags, mode, resolve] =
            unsafe { crate::uaccess::read(how.cast::<[u64; 3]>()) }.ok()?;
        return view::open_within(dir, path, flags as c_int, mode as u32, resolve);
    }
    if route != Route::Device {
        return maybe_fdinfo(dir, path, how);
    }
    let flags = flags();
    Some(match flags {
        Ok(flags) => ours(flags as c_int, None),
        Err(e) => errno::give::<c_int>(Err(e)) as c_int,
    })
}

/// What the kernel says against a struct open_how, of which it takes no path.
fn refuses(how: *const u64, size: usize) -> Option<Errno> {
    let nowhere = c"";
    // SAFETY: the path is NUL-terminated and empty, and the rest is the caller's for this call.
    let answer = unsafe {
        memtun_sys::syscall(
            libc::SYS_openat2,
            [
                HERE as isize as usize,
                nowhere.as_ptr() as usize,
                how as usize,
                size,
                0,
                0,
            ],
        )
    };
    let refused = Errno(-answer as c_int);
    (refused != Errno(libc::ENOENT)).then_some(refused)
}

/// openat2(2) of a path that may be a tunnel's fdinfo; `None` when it cannot be.
fn maybe_fdinfo(dir: c_int, path: *const c_char, how: *const u64) -> Option<c_int> {
    /// Size in bytes of the first version of struct open_how; no version is shorter.
    const SIZE: usize = 24;
    let text = uaccess::c_string(path).unwrap_or_default();
    if !crate::table::any() || !may_be(text) {
        return None;
    }
    // SAFETY: these are the caller's arguments for that call.
    let fd = unsafe {
        memtun_sys::syscall(
            libc::SYS_openat2,
            [
                dir as isize as usize,
                path as usize,
                how as usize,
                SIZE,
                0,
                0,
            ],
        )
    };
    if fd < 0 {
        errno::set(-fd as c_int);
        return Some(-1);
    }
    fdinfo::replace(fd as c_int, text);
    Some(fd as c_int)
}

static NOTED: AtomicBool = AtomicBool::new(false);

/// Stands in for libc's functions of this file while [`is_in_force`] asks.
extern "C" fn note() -> c_int {
    NOTED.store(true, Relaxed);
    errno::set(libc::ENOENT);
    -1
}

/// Does a call of open(2) in this program come here? Another library that was preloaded in front of
/// this one may define that function; some pass calls on to the next definition, others to libc.
/// This is asked in the constructor, before there are threads.
pub fn is_in_force() -> bool {
    // SAFETY: the name is NUL-terminated, and it is looked up as the program's own calls are.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"open".as_ptr()) };
    if found.is_null() {
        return true;
    }
    // SAFETY: whatever is called open has open's type.
    let open_in_force: unsafe extern "C" fn(*const c_char, c_int, mode_t) -> c_int =
        unsafe { std::mem::transmute(found) };
    let slots = [
        open::slot(),
        open64::slot(),
        openat::slot(),
        openat64::slot(),
    ];
    let real = slots.map(|slot| slot.swap(note as *mut c_void, Relaxed));
    // SAFETY: this is open(2) with a NUL-terminated path.
    let fd = unsafe { open_in_force(c"/dev/null".as_ptr(), libc::O_CLOEXEC, 0) };
    for (slot, real) in slots.iter().zip(real) {
        slot.store(real, Relaxed);
    }
    if fd >= 0 {
        // SAFETY: the descriptor was opened here just now.
        let _ = unsafe { memtun_sys::close(fd) };
    }
    NOTED.load(Relaxed)
}
