//! Directories of the view: real ones in the net that have the same entries.
#![forbid(unsafe_code)]

use crate::table::{self, mark};
use crate::{net, process};
use libc::c_int;
use memtun_abi::Errno;
use memtun_stack::view::{Directory, Node, Sort, Tree};
use memtun_sys::{self as sys, PathBuf};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// Is the working directory in /sys, in /proc, or one that stands for such a one? Nobody has looked
/// while this is [`UNKNOWN`]: a program that gives no relative path is spared the look.
static WORKS_THERE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const ELSEWHERE: u8 = 1;
const THERE: u8 = 2;

/// May a relative path lead into the view? The first call looks where the working directory is.
#[inline]
pub fn works_there() -> bool {
    match WORKS_THERE.load(Relaxed) {
        UNKNOWN => working_directory(),
        known => known == THERE,
    }
}

/// Looks whether the working directory is there, which is called when it may have come there or
/// left.
#[cold]
fn working_directory() -> bool {
    let mut room = [0; 1024];
    let there = sys::readlinkat(libc::AT_FDCWD, c"/proc/self/cwd", &mut room)
        .is_ok_and(|path| is_there(path) || is_stand_in(path));
    let found = if there { THERE } else { ELSEWHERE };
    if WORKS_THERE.load(Relaxed) != found && process::owns_memory() {
        WORKS_THERE.store(found, Relaxed);
    }
    there
}

fn is_there(path: &[u8]) -> bool {
    [&b"/sys"[..], b"/proc"].iter().any(|root| {
        path.strip_prefix(*root)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    })
}

/// Is this path in a directory of some net's view? The net may not have been joined yet.
fn is_stand_in(path: &[u8]) -> bool {
    path.windows(14).any(|w| w == b"/.memtun-view/")
}

/// Called after the working directory was changed to this path, which the program gave.
pub fn moved(path: &[u8]) {
    if WORKS_THERE.load(Relaxed) == UNKNOWN {
        return;
    }
    let may_be = is_there(path)
        || works_there()
        || path.windows(2).any(|w| w == b"..")
        || matches!(path, [b'/', b'/' | b'.', ..]);
    if may_be {
        working_directory();
    }
}

/// Called after the working directory was changed to this descriptor's.
pub fn entered(fd: c_int) {
    if WORKS_THERE.load(Relaxed) == UNKNOWN {
        return;
    }
    if works_there() || table::any_marked() && table::marks(fd).is_some() {
        working_directory();
    }
}

/// Makes the directory in the net that stands for one of the view, with the entries that it has
/// now. Returns its path.
pub fn make(tree: &Tree<'_>, directory: &Directory, path: &[u8]) -> Result<PathBuf, Errno> {
    let net = net::existing().ok_or(Errno(libc::ENOENT))?;
    let mut here = net.view_path()?;
    make_one(&here)?;
    for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
        here.push(b"/")?;
        here.push(name)?;
        make_one(&here)?;
    }
    remove_others(tree, &here, path)?;
    tree.list(directory, &mut |name, sort| {
        let _ = make_entry(&here, name, sort);
    });
    Ok(here)
}

/// Makes one directory; something else at its place is removed.
fn make_one(path: &PathBuf) -> Result<(), Errno> {
    match sys::mkdir(path.cstr(), 0o755) {
        Err(Errno(libc::EEXIST)) => {
            let st = sys::fstatat(libc::AT_FDCWD, path.cstr(), libc::AT_SYMLINK_NOFOLLOW)?;
            if sys::is_kind(&st, libc::S_IFDIR) {
                return Ok(());
            }
            sys::unlinkat(libc::AT_FDCWD, path.cstr(), 0)?;
            sys::mkdir(path.cstr(), 0o755)
        }
        made => made,
    }
}

/// Makes one entry, unless it is there.
fn make_entry(here: &PathBuf, name: &[u8], sort: Sort<'_>) -> Result<(), Errno> {
    let path = PathBuf::concat(&[here.bytes(), b"/", name])?;
    let remove = || match sys::unlinkat(libc::AT_FDCWD, path.cstr(), 0) {
        Err(Errno(libc::EISDIR | libc::EPERM)) => remove_tree(&path),
        removed => removed,
    };
    match sort {
        Sort::Directory(_) => make_one(&path),
        Sort::Link(target) => {
            let mut room = [0; 512];
            if sys::readlinkat(libc::AT_FDCWD, path.cstr(), &mut room) == Ok(target) {
                return Ok(());
            }
            let _ = remove();
            sys::symlink(PathBuf::concat(&[target])?.cstr(), path.cstr())
        }
        Sort::File(_) => {
            // A file that is there stays as it is, because somebody may watch it.
            let there = sys::fstatat(libc::AT_FDCWD, path.cstr(), libc::AT_SYMLINK_NOFOLLOW);
            if there.is_ok_and(|st| sys::is_kind(&st, libc::S_IFREG)) {
                return Ok(());
            }
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_CLOEXEC;
            match sys::open(path.cstr(), flags, 0o600) {
                Err(Errno(libc::EISDIR | libc::ELOOP)) => {
                    remove()?;
                    sys::open(path.cstr(), flags, 0o600).map(drop)
                }
                made => made.map(drop),
            }
        }
    }
}

/// Removes the entries that the directory of the view has no more.
fn remove_others(tree: &Tree<'_>, here: &PathBuf, path: &[u8]) -> Result<(), Errno> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let dir = sys::open(here.cstr(), flags, 0)?;
    sys::each_entry(dir.as_fd(), |entry| {
        let name = entry.to_bytes();
        let is_left = PathBuf::concat(&[path, b"/", name]).is_ok_and(|whole| {
            match tree.walk(whole.bytes(), false) {
                Ok((_, Node::Machine)) => {
                    let flags = libc::AT_SYMLINK_NOFOLLOW;
                    sys::fstatat(libc::AT_FDCWD, whole.cstr(), flags).is_ok()
                }
                found => found.is_ok(),
            }
        });
        if !is_left {
            if let Ok(whole) = PathBuf::concat(&[here.bytes(), b"/", name]) {
                let _ = remove_tree(&whole);
            }
        }
        true
    })
}

/// Removes a file, or a directory with all that is in it.
fn remove_tree(path: &PathBuf) -> Result<(), Errno> {
    match sys::unlinkat(libc::AT_FDCWD, path.cstr(), 0) {
        Err(Errno(libc::EISDIR | libc::EPERM)) => {}
        removed => return removed,
    }
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let dir = sys::open(path.cstr(), flags, 0)?;
    sys::each_entry(dir.as_fd(), |entry| {
        if let Ok(inner) = PathBuf::concat(&[path.bytes(), b"/", entry.to_bytes()]) {
            let _ = remove_tree(&inner);
        }
        true
    })?;
    sys::unlinkat(libc::AT_FDCWD, path.cstr(), libc::AT_REMOVEDIR)
}

/// Opens a directory of the view.
pub fn open(
    tree: &Tree<'_>,
    directory: &Directory,
    path: &[u8],
    flags: c_int,
) -> Result<c_int, Errno> {
    if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
        return Err(Errno(libc::EEXIST));
    }
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_CREAT != 0;
    if flags & libc::O_PATH == 0 && writes {
        return Err(Errno(libc::EISDIR));
    }
    let here = make(tree, directory, path)?;
    let fd = sys::open(here.cstr(), flags & !libc::O_TRUNC, 0)?.into_raw();
    if process::owns_memory() {
        crate::foreign::is_new(fd);
        let _ = table::mark_as(fd, mark::DIRECTORY | mark::READS);
    }
    Ok(fd)
}
