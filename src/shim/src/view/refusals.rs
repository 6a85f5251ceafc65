//! What cannot be done in the view: making and removing names, and extended attributes.
#![forbid(unsafe_code)]

use super::asked::lacks;
use super::paths::{find, find_any, Found};
use crate::{errno, uaccess};
use libc::{c_char, c_int, ssize_t};
use memtun_abi::Errno;
use memtun_stack::view::Node;
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

/// Makes a call that takes a name away.
pub fn removing(
    how: Removal,
    dir: c_int,
    path: *const c_char,
    host: impl FnOnce(c_int, *const c_char) -> c_int,
) -> c_int {
    let verdict = find(dir, path, false, |_, found| {
        let found = found?;
        let is_setting = found.path.bytes().starts_with(b"/proc/sys/");
        match found.node {
            Node::Machine => Ok(found.path),
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
            Err(Errno(libc::ENOENT)) => {
                let text = uaccess::c_string(path)?;
                (PathBuf::concat(&[text])?, false)
            }
            Err(e) => return Err(e),
        };
        // A name that nobody has yet is the machine's, but the directory may not be.
        let slash = above.bytes().iter().rposition(|b| *b == b'/');
        match tree.walk(&above.bytes()[..slash.unwrap_or(0)], true) {
            Ok((above, Node::Directory(_))) => Err(refusal(above.bytes())),
            _ => Ok(is_moved.then_some(above)),
        }
    });
    decide(verdict, dir, path, host)
}

/// What making something in a directory of the view fails with.
fn refusal(above: &[u8]) -> Errno {
    match above.starts_with(b"/sys/") {
        true => Errno(libc::EPERM),
        false => Errno(libc::ENOENT),
    }
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
            _ => match asked {
                Some(name) => Err(lacks(in_sys, uaccess::c_string(name)?)),
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
