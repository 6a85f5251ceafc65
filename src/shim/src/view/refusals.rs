//! What cannot be done in the view: making and removing names, and extended attributes.
#![forbid(unsafe_code)]

use super::asked::{changing, lacks};
use super::paths::{self, find, find_any, Found};
use crate::{errno, uaccess};
use libc::{c_char, c_int, ssize_t};
use memtun_abi::Errno;
use memtun_stack::view::{Node, Tree};
use memtun_sys::PathBuf;

/// What follows for a call: the program's own arguments, another path of the machine's, or an
/// error.
type Verdict = Option<Result<PathBuf, Errno>>;

fn decide(
    verdict: Verdict,
    dir: c_int,
    path: *const c_char,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    match verdict {
        None => host(dir, path),
        Some(Ok(there)) => host(libc::AT_FDCWD, there.cstr().as_ptr()),
        Some(Err(e)) => errno::give::<c_int>(Err(e)) as c_int,
    }
}

/// What takes a name away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// unlink(2), which wants no directory.
    Unlink,
    /// rmdir(2), which wants one.
    Rmdir,
    /// remove(3) and rename(2), which take either.
    Either,
}

/// What makes a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// A file, as open(2) makes it.
    File,
    /// Anything else.
    Other,
}

/// Makes a call that takes a name away.
pub fn removing(
    how: Removal,
    dir: c_int,
    path: *const c_char,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let verdict = find(dir, path, false, |tree, found| {
        let found = found?;
        let is_setting = found.path.bytes().starts_with(b"/proc/sys/");
        // The call does not follow a link, whatever stands behind its name.
        let is_link = without_slash(uaccess::c_string(path)?)
            .is_some_and(|path| matches!(tree.walk(path, false), Ok((_, Node::Link(_)))));
        match found.node {
            Node::Machine => Ok(found.path),
            _ if is_link => Err(Errno(libc::ENOTDIR)),
            _ if is_setting => Err(Errno(libc::EACCES)),
            Node::Directory(_) if how == Removal::Unlink => Err(Errno(libc::EISDIR)),
            Node::File(_) | Node::Link(_) if how == Removal::Rmdir => Err(Errno(libc::ENOTDIR)),
            _ => Err(Errno(libc::EPERM)),
        }
    });
    decide(verdict, dir, path, host)
}

/// Makes a call that makes something of a new name.
pub fn making(
    what: Making,
    dir: c_int,
    path: *const c_char,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let verdict = find_any(dir, path, false, |tree, found| {
        let (above, is_moved) = match found {
            Ok(Found {
                path,
                node: Node::Machine,
                is_moved,
            }) => (path, is_moved),
            Ok(_) => return Err(Errno(libc::EEXIST)),
            Err(Errno(libc::ENOENT)) => (paths::absolute(dir, uaccess::c_string(path)?)?.0, false),
            Err(Errno(libc::ENOTDIR)) if is_there(tree, uaccess::c_string(path)?) => {
                return Err(Errno(libc::EEXIST))
            }
            Err(e) => return Err(e),
        };
        // A name that nobody has yet is the machine's, but the directory may not be.
        let slash = above.bytes().iter().rposition(|b| *b == b'/');
        match tree.walk(&above.bytes()[..slash.unwrap_or(0)], true) {
            Ok((above, Node::Directory(_))) => Err(refusal(what, above.bytes())),
            _ => Ok(is_moved.then_some(above)),
        }
    });
    decide(verdict, dir, path, host)
}

/// Is there a file at a path, but for the slash at its end?
fn is_there(tree: &Tree<'_>, path: &[u8]) -> bool {
    without_slash(path).is_some_and(|path| tree.walk(path, false).is_ok())
}

/// A path without the slash at its end; None where there is none.
fn without_slash(path: &[u8]) -> Option<&[u8]> {
    let last = path.iter().rposition(|b| *b != b'/')?;
    (last + 1 < path.len()).then_some(&path[..=last])
}

/// What making something in a directory of the view fails with.
fn refusal(what: Making, above: &[u8]) -> Errno {
    Errno(match (above.starts_with(b"/sys/"), what) {
        (true, Making::File) => libc::EACCES,
        (true, Making::Other) => libc::EPERM,
        (false, _) => libc::ENOENT,
    })
}

/// Makes a call that sets or removes an extended attribute of a path.
pub fn changing_attribute(
    path: *const c_char,
    follow: bool,
    name: *const c_char,
    host: impl FnOnce(*const c_char) -> c_int,
) -> c_int {
    let verdict = find(libc::AT_FDCWD, path, follow, |_, found| {
        let found = found?;
        let is_setting = found.path.bytes().starts_with(b"/proc/sys/");
        let name = uaccess::c_string(name)?;
        Err(match &found.node {
            Node::Machine => return Ok(found.path),
            Node::Link(_) if name.starts_with(b"user.") => Errno(libc::EPERM),
            Node::Link(_) => changing(false, name),
            Node::Directory(_) => changing(is_setting, name),
            Node::File(file) => changing(is_setting && file.mode & 0o200 == 0, name),
        })
    });
    decide(verdict, libc::AT_FDCWD, path, |_, path| host(path))
}

/// Makes a call about extended attributes of a path. `asked` is the name of the one that is asked
/// for; None asks for all names.
pub fn attribute(
    path: *const c_char,
    follow: bool,
    asked: Option<*const c_char>,
    host: impl FnOnce(*const c_char) -> ssize_t,
) -> ssize_t {
    let verdict = find(libc::AT_FDCWD, path, follow, |_, found| {
        let found = found?;
        let in_sys = found.path.bytes().starts_with(b"/sys/");
        match found.node {
            Node::Machine => Ok(Some(found.path)),
            node => match asked {
                Some(name) => {
                    let is_hidden = matches!(node, Node::File(file) if file.mode & 0o400 == 0);
                    Err(lacks(in_sys, is_hidden, uaccess::c_string(name)?))
                }
                None => Ok(None),
            },
        }
    });
    match verdict {
        None => host(path),
        Some(Ok(Some(there))) => host(there.cstr().as_ptr()),
        Some(Ok(None)) => 0,
        Some(Err(e)) => errno::give::<isize>(Err(e)),
    }
}
