//! Calls that make, remove and change names. Nothing of that can be done in the view.

use crate::real::{hooks, real};
use crate::route::{self, Route};
use crate::table::any_marked;
use crate::view::{self, FileSystem, Making, Removal};
use crate::{errno, uaccess};
use libc::{c_char, c_int, c_uint, c_void, mode_t, size_t, ssize_t};
use memtun_abi::Errno;

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
    how: Removal,
    dir: c_int,
    path: *const c_char,
    host: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    changing(
        dir,
        path,
        |host| view::removing(how, dir, path, host),
        &host,
    )
}

/// Makes a call that makes something of a new name.
#[inline]
pub fn making(
    what: Making,
    dir: c_int,
    path: *const c_char,
    host: impl Fn(c_int, *const c_char) -> c_int,
) -> c_int {
    changing(dir, path, |host| view::making(what, dir, path, host), &host)
}

/// Makes a call that makes something of a name that libc chooses, and writes into its template.
fn making_of_template(what: Making, template: *mut c_char, host: impl FnOnce() -> c_int) -> c_int {
    let answer = host();
    let failed = errno::get();
    // libc refuses a template without looking anywhere.
    if answer >= 0 || matches!(failed, libc::EFAULT | libc::EINVAL) {
        return answer;
    }
    if route::afterwards(HERE, template) == Route::View {
        return view::making(what, HERE, template, |_, _| {
            errno::set(failed);
            answer
        });
    }
    answer
}

/// Makes a call that sets or removes an extended attribute of a path, which nothing in the view
/// can have.
fn changing_attribute(
    path: *const c_char,
    follow: bool,
    name: *const c_char,
    host: impl Fn(*const c_char) -> c_int,
) -> c_int {
    let answer = host(path);
    let failed = errno::get();
    if answer >= 0 || matches!(failed, libc::EFAULT | libc::ERANGE | libc::E2BIG) {
        return answer;
    }
    if route::afterwards(HERE, path) != Route::View {
        return answer;
    }
    view::changing_attribute(path, follow, name, |there| {
        match std::ptr::eq(there, path) {
            true => {
                errno::set(failed);
                answer
            }
            false => host(there),
        }
    })
}

/// Makes a call about extended attributes of a path, of which nothing in the view has any. `asked`
/// is the name of the one that is asked for, or None for a list.
#[inline]
fn attribute(
    path: *const c_char,
    follow: bool,
    asked: Option<*const c_char>,
    host: impl Fn(*const c_char) -> ssize_t,
) -> ssize_t {
    let before = errno::get();
    let answer = host(path);
    // A name that is none is refused before anything is looked for.
    let was_read = answer >= 0 || !matches!(errno::get(), libc::EFAULT | libc::ERANGE);
    if !was_read || route::afterwards(HERE, path) != Route::View {
        return answer;
    }
    let failed = errno::get();
    errno::set(before);
    view::attribute(path, follow, asked, |there| {
        match std::ptr::eq(there, path) {
            true => {
                errno::set(failed);
                answer
            }
            false => host(there),
        }
    })
}

/// Gives what a call about extended attributes of a descriptor fails with in the view.
#[inline]
fn refused(find: impl FnOnce() -> Option<Errno>) -> bool {
    let no = any_marked().then(find).flatten();
    if let Some(e) = no {
        errno::set(e.0);
    }
    no.is_some()
}

/// What reading an attribute of a descriptor fails with.
#[inline]
fn lacks(fd: c_int, name: *const c_char) -> bool {
    refused(|| view::lacks_behind(fd, uaccess::c_string(name).ok()?))
}

type Name = (c_int, *const c_char);

/// May one of two names be in the view?
fn is_one_there(names: [Name; 2]) -> bool {
    let is_there = |(dir, path)| route::afterwards(dir, path) == Route::View;
    errno::get() != libc::EFAULT && names.into_iter().any(is_there)
}

/// Gives the thing of a name another one: nothing goes from one file system to another, and nothing
/// can be made in /proc.
fn renaming(old: Name, new: Name, flags: c_uint, host: impl Fn(Name, Name) -> c_int) -> c_int {
    let answer = removing(Removal::Either, old.0, old.1, |from, path| {
        let old = (from, path);
        making(Making::Other, new.0, new.1, |to, path| {
            host(old, (to, path))
        })
    });
    if answer == 0 || !is_one_there([old, new]) {
        return answer;
    }
    match view::file_systems([old, new]) {
        Some([one, other]) if one != other => fail(libc::EXDEV),
        Some([FileSystem::Proc, _]) if errno::get() != libc::ENOTDIR => fail(libc::ENOENT),
        // Of the flags the kernel's own file system knows none (`kernfs_iop_rename`).
        Some([FileSystem::Sys, _]) if flags != 0 && errno::get() == libc::EPERM => {
            fail(libc::EINVAL)
        }
        _ => answer,
    }
}

/// Makes another name for the thing of a name, which nothing in the view can have.
fn linking(old: Name, new: Name, host: impl Fn(Name) -> c_int) -> c_int {
    let answer = making(Making::Other, new.0, new.1, |to, path| host((to, path)));
    let is_there = |(dir, path): Name| {
        let found = errno::keep(|| view::of_path(dir, path, false));
        found.is_some_and(|found| found.is_ok())
    };
    if answer == 0 || !is_one_there([old, new]) {
        return answer;
    }
    if !is_one_there([old, old]) {
        // It comes from elsewhere, and the name could be had.
        return match view::file_systems([old, new]) {
            Some([one, FileSystem::Sys])
                if one != FileSystem::Sys && errno::get() == libc::EPERM =>
            {
                fail(libc::EXDEV)
            }
            _ => answer,
        };
    }
    if !is_there(old) {
        return answer;
    }
    match view::file_systems([old, new]) {
        Some([one, other]) if one != other && errno::get() != libc::EEXIST => fail(libc::EXDEV),
        Some([FileSystem::Sys, _]) if errno::get() == libc::ENOENT => fail(libc::EPERM),
        _ => answer,
    }
}

fn fail(e: c_int) -> c_int {
    errno::set(e);
    -1
}

hooks! {
    fn link(old: *const c_char, new: *const c_char) -> c_int => my_link {
        linking((HERE, old), (HERE, new), |(_, new)| real!(link(old, new)))
    }
    fn linkat(from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_int) -> c_int => my_linkat {
        linking((from, old), (to, new), |(to, new)| real!(linkat(from, old, to, new, flags)))
    }
    fn fgetxattr(fd: c_int, name: *const c_char, value: *mut c_void, room: size_t) -> ssize_t => my_fgetxattr {
        if lacks(fd, name) { -1 } else { real!(fgetxattr(fd, name, value, room)) }
    }
    fn fsetxattr(fd: c_int, name: *const c_char, value: *const c_void, length: size_t, flags: c_int) -> c_int => my_fsetxattr {
        if refused(|| view::changes_attribute(fd, uaccess::c_string(name).ok()?)) { -1 } else { real!(fsetxattr(fd, name, value, length, flags)) }
    }
    fn fremovexattr(fd: c_int, name: *const c_char) -> c_int => my_fremovexattr {
        if refused(|| view::changes_attribute(fd, uaccess::c_string(name).ok()?)) { -1 } else { real!(fremovexattr(fd, name)) }
    }
    fn unlink(path: *const c_char) -> c_int => my_unlink {
        removing(Removal::Unlink, HERE, path, |_, path| real!(unlink(path)))
    }
    fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int => my_unlinkat {
        removing(if flags & libc::AT_REMOVEDIR == 0 { Removal::Unlink } else { Removal::Rmdir }, dir, path, |dir, path| real!(unlinkat(dir, path, flags)))
    }
    fn remove(path: *const c_char) -> c_int => my_remove {
        removing(Removal::Either, HERE, path, |_, path| real!(remove(path)))
    }
    fn rmdir(path: *const c_char) -> c_int => my_rmdir {
        removing(Removal::Rmdir, HERE, path, |_, path| real!(rmdir(path)))
    }
    fn rename(old: *const c_char, new: *const c_char) -> c_int => my_rename {
        renaming((HERE, old), (HERE, new), 0, |(_, old), (_, new)| real!(rename(old, new)))
    }
    fn renameat(from: c_int, old: *const c_char, to: c_int, new: *const c_char) -> c_int => my_renameat {
        renaming((from, old), (to, new), 0, |(from, old), (to, new)| real!(renameat(from, old, to, new)))
    }
    fn renameat2(from: c_int, old: *const c_char, to: c_int, new: *const c_char, flags: c_uint) -> c_int => my_renameat2 {
        renaming((from, old), (to, new), flags, |(from, old), (to, new)| real!(renameat2(from, old, to, new, flags)))
    }
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int => my_mkdir {
        making(Making::Other, HERE, path, |_, path| real!(mkdir(path, mode)))
    }
    fn mkdirat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int => my_mkdirat {
        making(Making::Other, dir, path, |dir, path| real!(mkdirat(dir, path, mode)))
    }
    fn symlink(target: *const c_char, path: *const c_char) -> c_int => my_symlink {
        making(Making::Other, HERE, path, |_, path| real!(symlink(target, path)))
    }
    fn symlinkat(target: *const c_char, dir: c_int, path: *const c_char) -> c_int => my_symlinkat {
        making(Making::Other, dir, path, |dir, path| real!(symlinkat(target, dir, path)))
    }
    fn mkstemp(template: *mut c_char) -> c_int => my_mkstemp {
        making_of_template(Making::File, template, || real!(mkstemp(template)))
    }
    fn mkstemp64(template: *mut c_char) -> c_int => my_mkstemp64 {
        making_of_template(Making::File, template, || real!(mkstemp64(template)))
    }
    fn mkostemp(template: *mut c_char, flags: c_int) -> c_int => my_mkostemp {
        making_of_template(Making::File, template, || real!(mkostemp(template, flags)))
    }
    fn mkostemp64(template: *mut c_char, flags: c_int) -> c_int => my_mkostemp64 {
        making_of_template(Making::File, template, || real!(mkostemp64(template, flags)))
    }
    fn mkstemps(template: *mut c_char, behind: c_int) -> c_int => my_mkstemps {
        making_of_template(Making::File, template, || real!(mkstemps(template, behind)))
    }
    fn mkstemps64(template: *mut c_char, behind: c_int) -> c_int => my_mkstemps64 {
        making_of_template(Making::File, template, || real!(mkstemps64(template, behind)))
    }
    fn mkostemps(template: *mut c_char, behind: c_int, flags: c_int) -> c_int => my_mkostemps {
        making_of_template(Making::File, template, || real!(mkostemps(template, behind, flags)))
    }
    fn mkostemps64(template: *mut c_char, behind: c_int, flags: c_int) -> c_int => my_mkostemps64 {
        making_of_template(Making::File, template, || real!(mkostemps64(template, behind, flags)))
    }
    fn mkdtemp(template: *mut c_char) -> *mut c_char => my_mkdtemp {
        let mut made = std::ptr::null_mut();
        making_of_template(Making::Other, template, || {
            made = real!(mkdtemp(template));
            if made.is_null() { -1 } else { 0 }
        });
        made
    }
    fn mkfifo(path: *const c_char, mode: mode_t) -> c_int => my_mkfifo {
        making(Making::Other, HERE, path, |_, path| real!(mkfifo(path, mode)))
    }
    fn mkfifoat(dir: c_int, path: *const c_char, mode: mode_t) -> c_int => my_mkfifoat {
        making(Making::Other, dir, path, |dir, path| real!(mkfifoat(dir, path, mode)))
    }
    fn setxattr(path: *const c_char, name: *const c_char, value: *const c_void, length: size_t, flags: c_int) -> c_int => my_setxattr {
        changing_attribute(path, true, name, |path| real!(setxattr(path, name, value, length, flags)))
    }
    fn lsetxattr(path: *const c_char, name: *const c_char, value: *const c_void, length: size_t, flags: c_int) -> c_int => my_lsetxattr {
        changing_attribute(path, false, name, |path| real!(lsetxattr(path, name, value, length, flags)))
    }
    fn removexattr(path: *const c_char, name: *const c_char) -> c_int => my_removexattr {
        changing_attribute(path, true, name, |path| real!(removexattr(path, name)))
    }
    fn lremovexattr(path: *const c_char, name: *const c_char) -> c_int => my_lremovexattr {
        changing_attribute(path, false, name, |path| real!(lremovexattr(path, name)))
    }
    fn getxattr(path: *const c_char, name: *const c_char, value: *mut c_void, room: size_t) -> ssize_t => my_getxattr {
        attribute(path, true, Some(name), |path| real!(getxattr(path, name, value, room)))
    }
    fn lgetxattr(path: *const c_char, name: *const c_char, value: *mut c_void, room: size_t) -> ssize_t => my_lgetxattr {
        attribute(path, false, Some(name), |path| real!(lgetxattr(path, name, value, room)))
    }
    fn listxattr(path: *const c_char, list: *mut c_char, room: size_t) -> ssize_t => my_listxattr {
        attribute(path, true, None, |path| real!(listxattr(path, list, room)))
    }
    fn llistxattr(path: *const c_char, list: *mut c_char, room: size_t) -> ssize_t => my_llistxattr {
        attribute(path, false, None, |path| real!(llistxattr(path, list, room)))
    }
}
