//! What a path of the program's names.
#![forbid(unsafe_code)]

use super::directory;
use super::names::{self, stands_for};
use crate::errno::{self, fence};
use crate::table::{self, mark};
use crate::uaccess;
use libc::{c_char, c_int};
use memtun_abi::Errno;
use memtun_stack::view::{Node, Tree};
use memtun_sys::{self as sys, PathBuf};
use std::ffi::CStr;

/// May a relative path that begins at this descriptor, or in the working directory, lead to a file
/// of the view? This makes no system call.
#[inline]
pub fn may_begin_in(dir: c_int) -> bool {
    if dir == libc::AT_FDCWD {
        return directory::works_there();
    }
    table::any_marked() && table::marks(dir).is_some_and(|marks| marks & mark::DIRECTORY != 0)
}

/// What a path names.
pub struct Found {
    /// The path without links, `.` and `..`.
    pub path: PathBuf,
    /// What is there.
    pub node: Node,
    /// Does the program's own path lead elsewhere, so that the machine has to be asked for `path`?
    pub is_moved: bool,
}

/// Follows a path of the program's. `None` says that nothing but the machine can answer, and that
/// it can be asked with the program's own arguments.
pub fn find<T>(
    dir: c_int,
    path: *const c_char,
    follow: bool,
    run: impl FnOnce(&Tree<'static>, Result<Found, Errno>) -> Result<T, Errno>,
) -> Option<Result<T, Errno>> {
    find_any(dir, path, follow, |tree, found| match found {
        Ok(Found {
            node: Node::Machine,
            is_moved: false,
            ..
        }) => Ok(None),
        found => run(tree, found).map(Some),
    })
}

/// The same as [`find`], but what only the machine can answer comes to `run`, too, which then says
/// None where the machine is to be asked with the program's own arguments.
pub fn find_any<T>(
    dir: c_int,
    path: *const c_char,
    follow: bool,
    run: impl FnOnce(&Tree<'static>, Result<Found, Errno>) -> Result<Option<T>, Errno>,
) -> Option<Result<T, Errno>> {
    let found = errno::keep(|| {
        fence(|| {
            let text = uaccess::c_string(path)?;
            let (whole, is_moved) = absolute(dir, text)?;
            let Some(tree) = names::tree() else {
                return Ok(None);
            };
            let found = tree.walk(whole.bytes(), follow);
            let found = found.map(|(path, node)| Found {
                path,
                node,
                is_moved,
            });
            run(&tree, found)
        })
    });
    found.transpose()
}

/// The absolute path of one that the program gave, and whether it begins in a directory that stands
/// for one of the view.
pub fn absolute(dir: c_int, path: &[u8]) -> Result<(PathBuf, bool), Errno> {
    if path.first() == Some(&b'/') {
        // This is the root itself, whatever it is.
        let root = [&b"/proc/self/root/"[..], b"/proc/thread-self/root/"];
        let below = root.iter().find_map(|root| path.strip_prefix(*root));
        return Ok((PathBuf::concat(&[b"/", below.unwrap_or(path)])?, false));
    }
    let mut room = [0; 1024];
    let start = match dir {
        libc::AT_FDCWD => sys::readlinkat(libc::AT_FDCWD, c"/proc/self/cwd", &mut room)?,
        dir => sys::path_of_fd(dir, &mut room)?,
    };
    let stands_for = stands_for(start);
    let begin = stands_for.unwrap_or(start);
    Ok((PathBuf::concat(&[begin, b"/", path])?, stands_for.is_some()))
}

/// Where a call is to be made instead of where the program said.
#[allow(clippy::large_enum_variant, reason = "nothing may be allocated here")]
pub enum Redirected {
    /// Where the program said.
    No,
    /// At this path.
    To(PathBuf),
    /// Nowhere: it fails.
    Fails(Errno),
}

impl Redirected {
    /// Makes the call of `host` at the path that is meant.
    pub fn call(
        &self,
        dir: c_int,
        path: *const c_char,
        host: impl FnOnce(c_int, *const c_char) -> c_int,
    ) -> c_int {
        match self {
            Redirected::No => host(dir, path),
            Redirected::To(path) => host(libc::AT_FDCWD, path.cstr().as_ptr()),
            Redirected::Fails(e) => errno::give::<c_int>(Err(*e)) as c_int,
        }
    }
}

/// Makes a call that is granted without any effect on what is in the view.
pub fn granted(
    dir: c_int,
    path: *const c_char,
    follow: bool,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let found = find(dir, path, follow, |_, found| {
        let found = found?;
        Ok(matches!(found.node, Node::Machine).then_some(found.path))
    });
    match found {
        None => host(dir, path),
        Some(Ok(Some(path))) => host(libc::AT_FDCWD, path.cstr().as_ptr()),
        Some(Ok(None)) => 0,
        Some(Err(e)) => errno::give::<c_int>(Err(e)) as c_int,
    }
}

/// Makes a call that changes the owner or the permissions of a path. It is granted without any
/// effect in /sys, and refused under /proc/sys where it `changes` anything. A link has no
/// permissions that can be changed, which `of_link` says.
pub fn changed(
    dir: c_int,
    path: *const c_char,
    how: Change,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let refused = find(dir, path, how.follow, |_, found| {
        let found = found?;
        let is_setting = found.path.bytes().starts_with(b"/proc/sys/");
        Ok(match found.node {
            Node::Machine => None,
            Node::Link(_) => how.of_link,
            _ => (is_setting && how.changes).then_some(Errno(libc::EPERM)),
        })
    });
    match refused {
        Some(Ok(Some(e))) => errno::give::<c_int>(Err(e)) as c_int,
        _ => granted(dir, path, how.follow, host),
    }
}

/// How the owner or the permissions of a path are changed.
#[derive(Clone, Copy)]
pub struct Change {
    /// Is a link in the last component followed?
    pub follow: bool,
    /// Does the call really ask for something?
    pub changes: bool,
    /// What it fails with for a link.
    pub of_link: Option<Errno>,
}

/// Makes truncate(2), which cuts nothing in the view.
pub fn cut(path: *const c_char, length: i64, host: impl FnOnce(*const c_char) -> c_int) -> c_int {
    let found = find(libc::AT_FDCWD, path, true, |_, found| {
        let found = found?;
        let is_setting = found.path.bytes().starts_with(b"/proc/sys/");
        match found.node {
            Node::Machine => Ok(Some(found.path)),
            _ if length < 0 => Err(Errno(libc::EINVAL)),
            Node::Directory(_) => Err(Errno(libc::EISDIR)),
            Node::File(file) if is_setting && file.mode & 0o200 == 0 => Err(Errno(libc::EACCES)),
            _ => Ok(None),
        }
    });
    match found {
        None => host(path),
        Some(Ok(Some(path))) => host(path.cstr().as_ptr()),
        Some(Ok(None)) => 0,
        // The kernel looks at the length first.
        Some(Err(_)) if length < 0 => errno::give::<c_int>(Err(Errno(libc::EINVAL))) as c_int,
        Some(Err(e)) => errno::give::<c_int>(Err(e)) as c_int,
    }
}

/// What pathconf(3) is to be asked of instead of a path of the view, and whether that path is a
/// directory's. `None` says that the machine answers.
pub fn limits_of(path: *const c_char) -> Option<Result<(&'static CStr, bool), Errno>> {
    find(libc::AT_FDCWD, path, true, |_, found| {
        let found = found?;
        let is_directory = match found.node {
            Node::Machine => sys::fstatat(libc::AT_FDCWD, found.path.cstr(), 0)
                .is_ok_and(|st| sys::is_kind(&st, libc::S_IFDIR)),
            node => matches!(node, Node::Directory(_)),
        };
        Ok((root(found.path.bytes()), is_directory))
    })
}

/// What name_to_handle_at(2) fails with for a path of the view, which has no handle; `None` where
/// the machine answers.
pub fn no_handle(dir: c_int, path: *const c_char, follow: bool) -> Option<Errno> {
    let found = find(dir, path, follow, |_, found| {
        Ok(match found?.node {
            Node::Machine => None,
            _ => Some(Errno(libc::EOPNOTSUPP)),
        })
    });
    found?.unwrap_or_else(Some)
}

/// The root of the file system of what is in the view at a path. `None` says that the machine
/// answers.
pub fn root_of(path: *const c_char) -> Option<Result<&'static CStr, Errno>> {
    find(libc::AT_FDCWD, path, true, |_, found| {
        Ok(root(found?.path.bytes()))
    })
}

/// The root of the file system in which a path lies.
pub fn root(path: &[u8]) -> &'static CStr {
    match path.starts_with(b"/sys") {
        true => c"/sys",
        false => c"/proc",
    }
}

/// A file system, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileSystem {
    Sys,
    Proc,
    Other,
}

/// The file systems that two names are in; None where that is not known.
pub fn file_systems(names: [(c_int, *const c_char); 2]) -> Option<[FileSystem; 2]> {
    let of = |(dir, path): (c_int, *const c_char)| {
        let (whole, _) = absolute(dir, uaccess::c_string(path).ok()?).ok()?;
        let last = whole.bytes().iter().rposition(|b| *b != b'/')?;
        let slash = whole.bytes()[..last].iter().rposition(|b| *b == b'/')?;
        let (above, node) = names::tree()?.walk(&whole.bytes()[..slash], true).ok()?;
        if let Node::File(_) = node {
            return None;
        }
        let is_in = |root: &[u8]| {
            let below = above.bytes().strip_prefix(root);
            below.is_some_and(|below| below.is_empty() || below[0] == b'/')
        };
        Some(match () {
            () if is_in(b"/sys") => FileSystem::Sys,
            () if is_in(b"/proc") => FileSystem::Proc,
            () => FileSystem::Other,
        })
    };
    errno::keep(|| Some([of(names[0])?, of(names[1])?]))
}

/// Says what is to be watched for a path: for something in the view, what stands for it in the
/// net.
pub fn redirect_watch(path: *const c_char) -> Redirected {
    let found = find(libc::AT_FDCWD, path, true, |tree, found| {
        let found = found?;
        let path = found.path.bytes();
        match found.node {
            Node::Machine => Ok(found.path),
            Node::Directory(inside) => directory::make(tree, &inside, path),
            Node::File(_) | Node::Link(_) => {
                let slash = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
                match tree.walk(&path[..slash], true)? {
                    (above, Node::Directory(inside)) => {
                        let mut there = directory::make(tree, &inside, above.bytes())?;
                        there.push(&path[slash..])?;
                        Ok(there)
                    }
                    _ => Ok(found.path),
                }
            }
        }
    });
    match found {
        None => Redirected::No,
        Some(Ok(path)) => Redirected::To(path),
        Some(Err(e)) => Redirected::Fails(e),
    }
}

/// Says which directory is to be opened for a path: for one of the view, the one in the net.
pub fn redirect_directory(dir: c_int, path: *const c_char) -> Redirected {
    let found = find(dir, path, true, |tree, found| {
        let found = found?;
        match found.node {
            Node::Machine => Ok(found.path),
            Node::Directory(inside) => directory::make(tree, &inside, found.path.bytes()),
            _ => Err(Errno(libc::ENOTDIR)),
        }
    });
    match found {
        None => Redirected::No,
        Some(Ok(path)) => Redirected::To(path),
        Some(Err(e)) => Redirected::Fails(e),
    }
}

/// The target of a link of the view. `None` says that the machine answers; then with the path, if
/// that is another one than the program's.
pub fn target(dir: c_int, path: *const c_char) -> Option<Result<(PathBuf, bool), Errno>> {
    find(dir, path, false, |_, found| {
        let found = found?;
        match found.node {
            Node::Machine => Ok((found.path, false)),
            Node::Link(target) => Ok((target, true)),
            _ => Err(Errno(libc::EINVAL)),
        }
    })
}

/// realpath(3) of a path of the view; `None` where the machine answers.
pub fn real_path(path: *const c_char) -> Option<Result<PathBuf, Errno>> {
    find(libc::AT_FDCWD, path, true, |_, found| {
        let found = found?;
        // The machine's own answer for /proc names the process.
        let is_machines = !found.is_moved && found.path.bytes().starts_with(b"/proc/");
        match found.node {
            Node::Machine if found.is_moved => Ok(Some(found.path)),
            _ if is_machines && sys::access(found.path.cstr(), libc::F_OK).is_ok() => Ok(None),
            _ => Ok(Some(found.path)),
        }
    })
    .and_then(Result::transpose)
}
