//! Calls that a memory file carries out, and a file of the view refuses; and openat2(2), whose
//! rules of resolution are the caller's.
#![forbid(unsafe_code)]

use super::file;
use super::names;
use super::names::path_of;
use crate::errno;
use crate::table::{self, mark};
use crate::uaccess;
use libc::{c_char, c_int};
use memtun_abi::Errno;
use memtun_stack::view::Node;
use memtun_sys::{self as sys, PathBuf};

/// Is this path one of a file of /proc/net?
fn is_table(path: &[u8]) -> bool {
    path.starts_with(b"/proc/") && !path.starts_with(b"/proc/sys/")
}

/// What mapping a descriptor fails with, which the kernel has granted for the memory file behind
/// it; `None` for any other descriptor. No such file can be executed.
#[cold]
pub fn maps(fd: c_int, protection: c_int) -> Option<Errno> {
    let marks = table::marks(fd)?;
    let executes = protection & libc::PROT_EXEC != 0;
    if marks & mark::DIRECTORY != 0 {
        return None;
    }
    errno::keep(|| {
        let path = path_of(fd)?;
        let no = if executes {
            libc::EPERM
        } else if is_table(path.bytes()) {
            libc::EIO
        } else {
            libc::ENODEV
        };
        Some(Errno(no))
    })
}

/// What moving data out of a descriptor within the kernel fails with; `None` where that is done.
#[cold]
pub fn moves(from: c_int) -> Option<Errno> {
    table::marks(from)?;
    errno::keep(|| is_table(path_of(from)?.bytes()).then_some(Errno(libc::EINVAL)))
}

// Bits of struct open_how's `resolve` (linux/openat2.h).
const NO_SYMLINKS: u64 = 4;
const BENEATH: u64 = 8;
const IN_ROOT: u64 = 16;

/// openat2(2) of a path of the view. `None` says that the machine answers.
pub fn open_within(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: u32,
    resolve: u64,
) -> Option<c_int> {
    if resolve & (NO_SYMLINKS | BENEATH | IN_ROOT) == 0 {
        return file::open(dir, path, flags, mode);
    }
    let refused = errno::keep(|| errno::fence(|| resolved(dir, path, resolve)));
    match refused {
        Ok(None) => None,
        Ok(Some(there)) => file::open(libc::AT_FDCWD, there.cstr().as_ptr(), flags, mode),
        Err(e) => Some(errno::give::<c_int>(Err(e)) as c_int),
    }
}

/// The path that is to be opened under these rules.
fn resolved(dir: c_int, path: *const c_char, resolve: u64) -> Result<Option<PathBuf>, Errno> {
    let text = uaccess::c_string(path)?;
    let is_absolute = text.first() == Some(&b'/');
    if is_absolute && resolve & BENEATH != 0 {
        return Err(Errno(libc::EXDEV));
    }
    let mut room = [0; 1024];
    let begin: &[u8] = match dir {
        _ if is_absolute && resolve & IN_ROOT == 0 => b"",
        libc::AT_FDCWD => sys::readlinkat(libc::AT_FDCWD, c"/proc/self/cwd", &mut room)?,
        dir => sys::path_of_fd(dir, &mut room)?,
    };
    let begin = names::stands_for(begin).unwrap_or(begin);
    let begin = if begin == b"/" { b"" } else { begin };
    let is_bound = resolve & (BENEATH | IN_ROOT) != 0;
    // What the path would name if nothing on it were a link.
    let mut plain = PathBuf::concat(&[begin])?;
    for part in text.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if is_bound && plain.bytes().len() <= begin.len() => {
                if resolve & BENEATH != 0 {
                    return Err(Errno(libc::EXDEV));
                }
            }
            b".." => {
                let up = plain.bytes().iter().rposition(|b| *b == b'/');
                plain.truncate(up.unwrap_or(0));
            }
            part => {
                plain.push(b"/")?;
                plain.push(part)?;
            }
        }
    }
    let Some(tree) = names::tree() else {
        return Ok(None);
    };
    let (found, node) = tree.walk(plain.bytes(), true)?;
    let has_links = found.bytes() != plain.bytes();
    match node {
        _ if has_links && resolve & NO_SYMLINKS != 0 => Err(Errno(libc::ELOOP)),
        // No link leads out of the root.
        _ if begin.is_empty() => Ok((!matches!(node, Node::Machine)).then_some(plain)),
        _ if has_links && resolve & BENEATH != 0 => Err(Errno(libc::EXDEV)),
        // A link leads to a place below the directory, where nothing is.
        _ if has_links && resolve & IN_ROOT != 0 => Err(Errno(libc::ENOENT)),
        Node::Machine => Ok(None),
        _ => Ok(Some(plain)),
    }
}
