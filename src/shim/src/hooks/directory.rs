//! Directories: opening, entering, searching and watching them. A special device is none, and those
//! of the view are real ones elsewhere.

use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::{self, mark};
use crate::view::{self, Redirected};
use crate::{errno, uaccess};
use libc::{c_char, c_int, c_void, size_t};
use memtun_calls::control::Misfit;

const HERE: c_int = libc::AT_FDCWD;

fn not_a_directory() -> c_int {
    errno::give(Misfit::Directory.answer().map(|()| 0)) as c_int
}

/// Makes a call on a directory to which a path leads by this route. `listed` says that the call
/// lists it.
fn directory(
    route: Route,
    dir: c_int,
    path: *const c_char,
    listed: bool,
    host: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    match route {
        Route::Device => not_a_directory(),
        Route::View => view::redirect_directory(dir, path).call(dir, path, host),
        // libc looks at the directory by itself, so that it cannot be found out afterwards.
        Route::Host if listed && view::is_filled() => {
            view::redirect_directory(dir, path).call(dir, path, host)
        }
        _ => {
            let answer = host(dir, path);
            match answer < 0 && missing(dir, path) {
                true => match view::redirect_directory(dir, path) {
                    Redirected::No => answer,
                    there => there.call(dir, path, host),
                },
                false => answer,
            }
        }
    }
}

/// Did the host not find a directory that may be in the view, behind a link of any name?
#[cold]
fn missing(dir: c_int, path: *const c_char) -> bool {
    errno::get() == libc::ENOENT && errno::keep(|| route::after(dir, path)) == Route::View
}

/// The same for a call that returns a pointer.
fn stream(path: *const c_char, host: impl Fn(*const c_char) -> *mut c_void) -> *mut c_void {
    // libc looks at the path itself before it opens it.
    let route = route::afterwards(HERE, path);
    if route == Route::Host {
        let opened = host(path);
        // SAFETY: the stream was opened just now.
        let leads_there = |opened| view::leads_there(unsafe { libc::dirfd(opened) });
        if opened.is_null() && !missing(HERE, path) {
            return opened;
        }
        if !opened.is_null() {
            if !leads_there(opened.cast()) {
                return opened;
            }
            // SAFETY: nobody else has the stream.
            errno::keep(|| unsafe { libc::closedir(opened.cast()) });
        }
    }
    match route {
        Route::Device => {
            not_a_directory();
            std::ptr::null_mut()
        }
        Route::View | Route::Host => match view::redirect_directory(HERE, path) {
            Redirected::No => host(path),
            Redirected::Fails(e) => {
                errno::set(e.0);
                std::ptr::null_mut()
            }
            Redirected::To(there) => {
                let opened = host(there.cstr().as_ptr());
                if !opened.is_null() {
                    // SAFETY: the stream was opened just now.
                    let fd = unsafe { libc::dirfd(opened.cast()) };
                    let _ = table::mark_as(fd, mark::DIRECTORY | mark::READS);
                }
                opened
            }
        },
        _ => host(path),
    }
}

/// The answer of getcwd(3) and its relatives, with the path that a directory of the net stands for.
fn here(found: *mut c_char) -> *mut c_char {
    if found.is_null() || !view::works_there() {
        return found;
    }
    shown_in_place(found)
}

/// A path that libc has stored, with what a directory of the net stands for in its place.
pub fn shown_in_place(found: *mut c_char) -> *mut c_char {
    let shown = uaccess::c_string(found).ok().and_then(view::shown);
    if let Some(shown) = shown {
        // SAFETY: the text is the caller's or libc's, NUL-terminated, and the part of it that is
        // shown is its end.
        unsafe { std::ptr::copy(shown.as_ptr(), found.cast(), shown.len() + 1) };
    }
    found
}

/// Puts the path that a directory of the net stands for in the place of that directory's own, which
/// the kernel has stored as the working directory. Returns whether it did.
pub fn shown_here(found: *mut c_char) -> bool {
    let stored = uaccess::c_string(found).ok();
    let is_moved = view::works_there() && stored.and_then(view::shown).is_some();
    if is_moved {
        here(found);
    }
    is_moved
}

/// Takes a watch back that was made just now, and the event that tells of its end, if there is no
/// other.
#[cold]
fn unwatch(watch: c_int, number: c_int) {
    const IGNORED: usize = size_of::<libc::inotify_event>();
    let mut waiting: c_int = 0;
    let mut event = [0; IGNORED];
    // SAFETY: the descriptor is the caller's, and both calls write into memory of this function.
    unsafe {
        libc::inotify_rm_watch(watch, number);
        libc::ioctl(watch, libc::FIONREAD, &raw mut waiting);
    }
    if waiting as usize == IGNORED {
        let _ = memtun_sys::read(watch, &mut event);
    }
}

type Select = Option<unsafe extern "C" fn(*const c_void) -> c_int>;
type Compare = Option<unsafe extern "C" fn(*mut *const c_void, *mut *const c_void) -> c_int>;

hooks! {
    fn opendir(path: *const c_char) -> *mut c_void => my_opendir {
        stream(path, |path| real!(opendir(path)))
    }
    fn chdir(path: *const c_char) -> c_int => my_chdir {
        let answer = directory(route::before(HERE, path), HERE, path, false, |_, path| real!(chdir(path)));
        if answer == 0 {
            view::entered();
        }
        answer
    }
    fn fchdir(fd: c_int) -> c_int => my_fchdir {
        let answer = real!(fchdir(fd));
        if answer == 0 {
            view::entered();
        }
        answer
    }
    fn getcwd(room: *mut c_char, size: size_t) -> *mut c_char => my_getcwd {
        here(real!(getcwd(room, size)))
    }
    fn __getcwd_chk(room: *mut c_char, size: size_t, whole: size_t) -> *mut c_char => my_getcwd_chk {
        here(real!(__getcwd_chk(room, size, whole)))
    }
    fn getwd(room: *mut c_char) -> *mut c_char => my_getwd {
        here(real!(getwd(room)))
    }
    fn __getwd_chk(room: *mut c_char, size: size_t) -> *mut c_char => my_getwd_chk {
        here(real!(__getwd_chk(room, size)))
    }
    fn get_current_dir_name() -> *mut c_char => my_get_current_dir_name {
        here(real!(get_current_dir_name()))
    }
    fn scandir(path: *const c_char, list: *mut *mut *mut c_void, select: Select, compare: Compare) -> c_int => my_scandir {
        // libc looks at the path itself before it opens it; the same for those that follow.
        directory(route::afterwards(HERE, path), HERE, path, true, |_, path| real!(scandir(path, list, select, compare)))
    }
    fn scandir64(path: *const c_char, list: *mut *mut *mut c_void, select: Select, compare: Compare) -> c_int => my_scandir64 {
        directory(route::afterwards(HERE, path), HERE, path, true, |_, path| real!(scandir64(path, list, select, compare)))
    }
    fn scandirat(dir: c_int, path: *const c_char, list: *mut *mut *mut c_void, select: Select, compare: Compare) -> c_int => my_scandirat {
        directory(route::afterwards(dir, path), dir, path, true, |dir, path| real!(scandirat(dir, path, list, select, compare)))
    }
    fn scandirat64(dir: c_int, path: *const c_char, list: *mut *mut *mut c_void, select: Select, compare: Compare) -> c_int => my_scandirat64 {
        directory(route::afterwards(dir, path), dir, path, true, |dir, path| real!(scandirat64(dir, path, list, select, compare)))
    }
    fn inotify_add_watch(watch: c_int, path: *const c_char, mask: u32) -> c_int => my_inotify_add_watch {
        if view::is_filled() {
            let missing = |answer| answer < 0 && missing(HERE, path);
            return match route::before(HERE, path) {
                Route::View => view::redirect_watch(path).call(HERE, path, |_, path| real!(inotify_add_watch(watch, path, mask))),
                _ => match real!(inotify_add_watch(watch, path, mask)) {
                    answer if missing(answer) => view::redirect_watch(path).call(HERE, path, |_, path| real!(inotify_add_watch(watch, path, mask))),
                    answer => answer,
                },
            };
        }
        // The kernel finds out whether the path is readable, as it does for stat(2). What it
        // watches now for a path of the view is then given up.
        let before = errno::get();
        let answer = real!(inotify_add_watch(watch, path, mask));
        let failed = errno::get();
        let was_read = answer >= 0 || failed == libc::ENOENT;
        if !was_read || route::afterwards(HERE, path) != Route::View && (answer >= 0 || !missing(HERE, path)) {
            return answer;
        }
        errno::set(before);
        let redirected = view::redirect_watch(path);
        redirected.call(HERE, path, |_, there| match std::ptr::eq(there, path) {
            true => {
                errno::set(failed);
                answer
            }
            false => {
                if answer >= 0 {
                    unwatch(watch, answer);
                }
                real!(inotify_add_watch(watch, there, mask))
            }
        })
    }
}
