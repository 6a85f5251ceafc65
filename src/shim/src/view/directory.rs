//! Directories of the view: real ones in the net that have the same entries.
#![forbid(unsafe_code)]

use crate::asking;
use crate::table::{self, mark};
use crate::{net, process};
use libc::c_int;
use memtun_abi::Errno;
use memtun_kernel::net::Inner;
use memtun_stack::view::{Directory, Node, Sort, Tree};
use memtun_sys::{self as sys, PathBuf};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// Is the working directory in /sys, in /proc, or one that stands for such a one? Nobody has looked
/// where it is before it matters.
static WORKS_THERE: AtomicU8 = AtomicU8::new(FIRST);
/// It is the one that the program began in, and nobody has looked yet.
const FIRST: u8 = 0;
/// It was changed since somebody looked.
const CHANGED: u8 = 1;
const ELSEWHERE: u8 = 2;
const THERE: u8 = 3;

/// May a relative path lead into the view?
#[inline]
pub fn works_there() -> bool {
    match WORKS_THERE.load(Relaxed) {
        FIRST | CHANGED => working_directory(),
        known => known == THERE,
    }
}

/// Looks where the working directory is.
#[cold]
fn working_directory() -> bool {
    // Before the library has read its settings nothing is kept of what is seen.
    if !asking::is_there() {
        return false;
    }
    let mut room = [0; 1024];
    let there = sys::readlinkat(libc::AT_FDCWD, c"/proc/self/cwd", &mut room)
        .is_ok_and(|path| is_there(path) || is_stand_in(path));
    let known = if there { THERE } else { ELSEWHERE };
    // A child that shares its parent's memory may be in another directory, but not in the first.
    let first = WORKS_THERE.compare_exchange(FIRST, known, Relaxed, Relaxed);
    if first.is_err() && process::owns_memory() {
        WORKS_THERE.store(known, Relaxed);
    }
    there
}

/// Is this path one in /sys or /proc?
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

/// Called after the working directory was changed, by this process or by a child that shares its
/// memory.
pub fn entered() {
    WORKS_THERE.store(CHANGED, Relaxed);
}

/// Makes the directory in the net that stands for one of the view, with the entries that it has
/// now. Returns its path.
pub fn make(tree: &Tree<'_>, directory: &Directory, path: &[u8]) -> Result<PathBuf, Errno> {
    let net = net::existing().ok_or(Errno(libc::ENOENT))?;
    let here = net.view_path()?;
    make_open(tree, directory, path)?;
    PathBuf::concat(&[here.bytes(), path])
}

/// Does the same as [`make`], and returns it open.
fn make_open(tree: &Tree<'_>, directory: &Directory, path: &[u8]) -> Result<Inner, Errno> {
    let net = net::existing().ok_or(Errno(libc::ENOENT))?;
    let mut here = net.open_view()?;
    for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
        here = here.enter(PathBuf::concat(&[name])?.cstr())?;
    }
    remove_others(tree, &here, path)?;
    tree.list(directory, &mut |name, sort| {
        let _ = make_entry(&here, name, sort);
    });
    Ok(here)
}

/// Makes one entry, unless it is there.
fn make_entry(here: &Inner, name: &[u8], sort: Sort<'_>) -> Result<(), Errno> {
    let name = PathBuf::concat(&[name])?;
    let name = name.cstr();
    match sort {
        Sort::Directory(_) => here.enter(name).map(drop),
        Sort::Link(target) => {
            let mut room = [0; 512];
            if sys::readlinkat(here.raw(), name, &mut room) == Ok(target) {
                return Ok(());
            }
            let _ = here.remove(name);
            here.make_link(name, PathBuf::concat(&[target])?.cstr())
        }
        Sort::File(_) => {
            // A file that is there stays as it is, because somebody may watch it.
            let there = sys::fstatat(here.raw(), name, libc::AT_SYMLINK_NOFOLLOW);
            if there.is_ok_and(|st| sys::is_kind(&st, libc::S_IFREG)) {
                return Ok(());
            }
            let _ = here.remove(name);
            here.make_file(name)
        }
    }
}

/// Removes the entries that the directory of the view has no more.
fn remove_others(tree: &Tree<'_>, here: &Inner, path: &[u8]) -> Result<(), Errno> {
    // The descriptor keeps its own place in the directory, which has been read before.
    let list = sys::openat_internal(here.raw(), c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    sys::each_entry(list.as_fd(), |entry| {
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
            let _ = here.remove(entry);
        }
        true
    })
}

/// Does to the file in the net that stands for one of the view what is done to that one, for those
/// who watch it: it is opened, read or written, and closed.
pub fn tell_watchers(path: &[u8], writes: bool) {
    let stands_for_it = || {
        let net = net::existing()?;
        PathBuf::concat(&[net.view_path().ok()?.bytes(), path]).ok()
    };
    let Some(there) = stands_for_it() else { return };
    let how = if writes {
        libc::O_WRONLY
    } else {
        libc::O_RDONLY
    };
    let flags = how | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let Ok(file) = sys::open(there.cstr(), flags, 0) else {
        return;
    };
    let _ = match writes {
        true => sys::write(file.raw(), b"\n"),
        false => sys::read(file.raw(), &mut [0]),
    };
}

/// Opens a link of the view itself (O_PATH with O_NOFOLLOW).
pub fn open_link(tree: &Tree<'_>, path: &[u8], flags: c_int) -> Result<c_int, Errno> {
    let slash = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    let Ok((above, Node::Directory(inside))) = tree.walk(&path[..slash], true) else {
        return Err(Errno(libc::ELOOP));
    };
    let here = make_open(tree, &inside, above.bytes())?;
    let name = PathBuf::concat(&[&path[slash + 1..]])?;
    let fd = sys::openat_internal(here.raw(), name.cstr(), flags & !libc::O_CREAT, 0)?;
    drop(here);
    let fd = sys::lowest(fd)?.into_raw();
    if process::owns_memory() {
        crate::foreign::is_new(fd);
    }
    Ok(fd)
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
    if flags & libc::O_TMPFILE == libc::O_TMPFILE {
        let in_sys = path.starts_with(b"/sys/");
        return Err(Errno(if in_sys {
            libc::EOPNOTSUPP
        } else {
            libc::EACCES
        }));
    }
    let writes =
        flags & libc::O_ACCMODE != libc::O_RDONLY || flags & (libc::O_CREAT | libc::O_TRUNC) != 0;
    if flags & libc::O_PATH == 0 && writes {
        return Err(Errno(libc::EISDIR));
    }
    let here = make_open(tree, directory, path)?;
    let fd = sys::openat(here.raw(), c".", flags & !libc::O_TRUNC, 0)?;
    drop(here);
    let fd = sys::lowest(fd)?.into_raw();
    if process::owns_memory() {
        crate::foreign::is_new(fd);
        let _ = table::mark_as(fd, mark::DIRECTORY | mark::READS);
    }
    Ok(fd)
}
