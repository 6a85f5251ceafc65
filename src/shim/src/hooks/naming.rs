//! Calls that make, remove and change names. Nothing of that can be done in the view.

use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::{errno, view};
use libc::{c_char, c_int, c_uint, c_void, mode_t, size_t, ssize_t};

const HERE: c_int = libc::AT_FDCWD;

/// Makes a call that changes names. The kernel refuses by itself what is under /sys and /proc, and
/// by then it has read the path; the view only says what it would have refused it with. A path that
/// begins in a directory of the view is looked at before.
#[inline]
fn changing(
    dir: c_int,
    path: *const c_char,
    viewed: impl FnOnce(&dyn Fn(c_int, *const c_char) -> c_int) -> c_int,
    host: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    if view::may_begin_in(dir) && route::before(dir, path) == Route::View {
        return viewed(&host);
    }
    let answer = host(dir, path);
    if answer < 0 && errno::get() != libc::EFAULT && route::afterwards(dir, path) == Route::View {
        let failed = errno::get();
        return viewed(&|_, _| {
            errno::set(failed);
            answer
        });
    }
    answer
}

/// Makes a call that takes a name away, or gives the thing another one.
#[inline]
fn removing(
    dir: c_int,
    path: *const c_char,
    host: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    changing(dir, path, |host| view::removing(dir, path, host), &host)
}

/// Makes a call that makes something of a new name.
#[inline]
fn making(dir: c_int, path: *const c_char, host: impl Fn(c_int, *const c_char) -> c_int) -> c_int {
    changing(dir, path, |host| view::making(dir, path, host), &host)
}

/// Makes a call about extended attributes of a path, of which nothing in the view has any.
#[inline]
fn attribute(
    path: *const c_char,
    follow: bool,
    lists: bool,
    host: impl Fn(*const c_char) -> ssize_t,
) -> ssize_t {
    let before = errno::get();
    let answer = host(path);
    let was_read = answer >= 0 || errno::get() != libc::EFAULT;
    if !was_read || route::afterwards(HERE, path) != Route::View {
        return answer;
    }
    let failed = errno::get();
    errno::set(before);
    view::attribute(path, follow, lists, |there| {
        match std::ptr::eq(there, path) {
            true => {
                errno::set(failed);
                answer
            }
            false => host(there),
        }
    })
}

hooks! {
    fn unlink(path: *const c_char) -> c_int => my_unlink {
        removing(HERE, path, |_, path| real!(unlink(path)))
    }
    fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int => my_unlinkat {
        removing(dir, path, |dir, path| real!(unlinkat(dir, path, flags)))
    }
    fn remove(path: *const c_char) -> c_int => my_remove {
        removing(HERE, path, |_, path| real!(remove(path)))
    }
    fn rmdir(path: *const c_char) -> c_int => my_rmdir {
        removing(HERE, path, |_, path| real!(rmdir(path)))
    }
    fn rename(old: *const c_char, new: *const c_char) -> c_int => my_rename {
        removing(HERE, old, |_, old| making(HERE, new, |_, new| real!(rename(old, new))))
    }
    fn renameat(from: c_int, old: *const c_char, to: c_int, new: *const c_char) -> c_int => my_renameat {
        removing(from, old, |from, old| making(to, new, |to, new| real!(renameat(from, old, to, new))))
    }
    fn renameat2(from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_uint) -> c_int => my_renameat2 {
        removing(from, old, |from, old| making(to, new, |to, new| real!(renameat2(from, old, to, new, flags))))
    }
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int => my_mkdir {
        making(HERE, path, |_, path| real!(mkdir(path, mode)))
    }
    fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int => my_mkdirat {
        making(dir, path, |dir, path| real!(mkdirat(dir, path, mode)))
    }
    fn symlink(target: *const c_char, path: *const c_char) -> c_int => my_symlink {
        making(HERE, path, |_, path| real!(symlink(target, path)))
    }
    fn symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int => my_symlinkat {
        making(dir, path, |dir, path| real!(symlinkat(target, dir, path)))
    }
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, room: size_t) -> ssize_t => my_getxattr {
        attribute(path, true, false, |path| real!(getxattr(path, name, value, room)))
    }
    fn lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, room: size_t) -> ssize_t => my_lgetxattr {
        attribute(path, false, false, |path| real!(lgetxattr(path, name, value, room)))
    }
    fn listxattr(path: *const c_char, list: *mut c_char, room: size_t) -> ssize_t => my_listxattr {
        attribute(path, true, true, |path| real!(listxattr(path, list, room)))
    }
    fn llistxattr(path: *const c_char, list: *mut c_char, room: size_t) -> ssize_t => my_llistxattr {
        attribute(path, false, true, |path| real!(llistxattr(path, list, room)))
    }
}
