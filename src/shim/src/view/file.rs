//! Files of the view: opening and reading them.
//!
//! What a hook calls around a call that may be cancelled is `extern "C"`: it never unwinds, so the
//! hook's frame has nothing to clean up.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::names::{self, named, path_of, NAME};
use super::{directory, paths, watched};
use crate::errno::{self, fence};
use crate::table::{self, mark};
use crate::{net, process, uaccess};
use libc::{c_char, c_int, ssize_t};
use memtun_abi::Errno;
use memtun_kernel::policy::{Permission, Policy};
use memtun_stack::view::{self, Node, Tree};
use memtun_sys::{self as sys, Fd, PathBuf};
use std::os::fd::AsFd;

/// open(2). `None` says that the machine answers, with the program's own arguments.
pub fn open(dir: c_int, path: *const c_char, flags: c_int, mode: u32) -> Option<c_int> {
    let follow = flags & libc::O_NOFOLLOW == 0;
    let makes_directory = flags & libc::O_DIRECTORY != 0 && flags & libc::O_CREAT != 0;
    let opened = paths::find(dir, path, follow, |tree, found| match found {
        // No flags ask for that (`build_open_flags`).
        _ if makes_directory && flags & libc::O_PATH == 0 => Err(Errno(libc::EINVAL)),
        Ok(found) => match found.node {
            Node::Machine => sys::open(found.path.cstr(), flags, mode).map(Fd::into_raw),
            Node::Directory(_)
                if flags & libc::O_CREAT != 0 && uaccess::c_string(path)?.last() == Some(&b'/') =>
            {
                Err(Errno(libc::EISDIR))
            }
            Node::Directory(inside) => directory::open(tree, &inside, found.path.bytes(), flags),
            Node::Link(_) if flags & libc::O_PATH != 0 => {
                directory::open_link(tree, found.path.bytes(), flags)
            }
            Node::Link(_) => Err(Errno(libc::ELOOP)),
            Node::File(file) if is_left_to_machine(tree, &file, flags) => {
                sys::open(found.path.cstr(), flags, mode).map(Fd::into_raw)
            }
            Node::File(file) => open_file(tree, &file, found.path.bytes(), flags),
        },
        Err(Errno(libc::ENOTDIR))
            if flags & libc::O_CREAT != 0 && uaccess::c_string(path)?.last() == Some(&b'/') =>
        {
            Err(Errno(libc::EISDIR))
        }
        // Nothing can be made in /sys, in a directory that is there.
        Err(Errno(libc::ENOENT)) if flags & libc::O_CREAT != 0 => {
            let (whole, _) = paths::absolute(dir, uaccess::c_string(path)?)?;
            let text = whole.bytes();
            let slash = text.iter().rposition(|b| *b == b'/').unwrap_or(0);
            let is_there = matches!(
                tree.walk(&text[..slash], true),
                Ok((above, Node::Directory(_))) if above.bytes().starts_with(b"/sys/")
            );
            Err(Errno(if is_there { libc::EACCES } else { libc::ENOENT }))
        }
        Err(e) => Err(e),
    })?;
    Some(errno::give(opened) as c_int)
}

/// Is a file opened only to be read, and just as the machine has it?
fn is_left_to_machine(tree: &Tree<'_>, file: &view::File, flags: c_int) -> bool {
    let reads = flags & libc::O_ACCMODE == libc::O_RDONLY && flags & libc::O_TRUNC == 0;
    reads && tree.is_machines(file)
}

/// May this be a file or a directory of the view that was reached by a way which its path did not
/// show? In a process that is in no net with interfaces only what may be written is looked at.
#[inline]
pub fn may_be_reached(st: &libc::stat, flags: c_int) -> bool {
    /// Bytes that are best read at once from a file of /proc, and the length of one of /sys.
    const PROC: libc::blksize_t = 1024;
    const PAGE: libc::off_t = 4096;
    let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
    let looks_so = st.st_blocks == 0
        && match st.st_mode & libc::S_IFMT {
            libc::S_IFREG => st.st_size == PAGE || st.st_size == 0 && st.st_blksize == PROC,
            libc::S_IFDIR => st.st_size == 0 && !writes,
            _ => false,
        };
    looks_so && flags & libc::O_PATH == 0 && (writes || names::is_filled())
}

/// Has the machine opened a directory that is one of the view, by a way which its path did not
/// show?
pub fn leads_there(fd: c_int) -> bool {
    errno::keep(|| {
        let is_there = || {
            let st = sys::fstat(fd).ok()?;
            if !may_be_reached(&st, libc::O_RDONLY) {
                return None;
            }
            let mut room = [0; 1024];
            let path = sys::path_of_fd(fd, &mut room).ok()?;
            let tree = names::tree()
                .filter(|_| path.starts_with(b"/sys/") || path.starts_with(b"/proc/"))?;
            matches!(tree.walk(path, true), Ok((_, Node::Directory(_)))).then_some(())
        };
        is_there().is_some()
    })
}

/// Opens a file or a directory of the view in the place of what the machine has opened, which
/// `close` closes. `None` says that it is none.
#[cold]
pub fn reached(fd: c_int, flags: c_int, close: &dyn Fn() -> Result<(), Errno>) -> Option<c_int> {
    let opened = errno::keep(|| {
        fence(|| {
            let mut room = [0; 1024];
            let path = sys::path_of_fd(fd, &mut room)?;
            let roots = [&b"/sys/"[..], b"/proc/"];
            if !roots.iter().any(|root| path.starts_with(root)) {
                return Ok(None);
            }
            let is_settings = path.starts_with(b"/proc/sys/net/");
            if !is_settings
                && !path.windows(5).any(|part| part == b"/net/")
                && path != b"/sys/class/net"
            {
                return Ok(None);
            }
            let Some(tree) = names::tree() else {
                return Ok(None);
            };
            match tree.walk(path, true) {
                Ok((_, Node::File(file))) if is_left_to_machine(&tree, &file, flags) => Ok(None),
                Ok((path, Node::File(file))) => {
                    close()?;
                    open_file(&tree, &file, path.bytes(), flags & !libc::O_CREAT).map(Some)
                }
                Ok((path, Node::Directory(inside))) => {
                    close()?;
                    directory::open(&tree, &inside, path.bytes(), flags).map(Some)
                }
                _ => Ok(None),
            }
        })
    });
    match opened {
        Ok(fd) => fd,
        Err(e) => Some(errno::give::<c_int>(Err(e)) as c_int),
    }
}

/// May the programs of the net configure it?
pub fn may_configure() -> bool {
    net::current().is_some_and(|net| net.permit_check(Permission::NetAdmin).is_ok())
}

fn open_file(
    tree: &Tree<'_>,
    file: &view::File,
    path: &[u8],
    flags: c_int,
) -> Result<c_int, Errno> {
    const HOW: c_int = libc::O_ACCMODE | libc::O_APPEND | libc::O_NONBLOCK | libc::O_CLOEXEC;
    if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
        return Err(Errno(libc::EEXIST));
    }
    if flags & libc::O_DIRECTORY != 0 {
        return Err(Errno(libc::ENOTDIR));
    }
    let way = flags & libc::O_ACCMODE;
    let reads = matches!(way, libc::O_RDONLY | libc::O_RDWR);
    let writes = matches!(way, libc::O_WRONLY | libc::O_RDWR);
    // Settings have rules of their own, which hold for the owner, too.
    let is_setting = path.starts_with(b"/proc/sys/");
    let is_odd = way == libc::O_ACCMODE;
    let lacks = |bit: u32| file.mode & bit == 0;
    // Programs of the net are as the owner of its files; the write asks for the permission.
    let refused = (reads || is_odd && is_setting) && lacks(0o400)
        || (writes || is_setting && (is_odd || flags & libc::O_TRUNC != 0)) && lacks(0o200);
    if flags & libc::O_PATH == 0 && refused {
        return Err(Errno(libc::EACCES));
    }
    if flags & libc::O_DIRECT != 0 && flags & libc::O_PATH == 0 {
        return Err(Errno(libc::EINVAL));
    }
    let index = memtun_abi::Decimal::new(file.index().into());
    let [above, below] = named_by_kernel(path);
    let mut room = [0; 32];
    // The kernel names what belongs to a process by the number of it.
    let process = match above.is_empty() {
        true => Ok(&[] as &[u8]),
        false => {
            sys::readlinkat(libc::AT_FDCWD, c"/proc/self", &mut room).map(|own| own as &[u8])
        }
    };
    let [above, process, below] = match process {
        Ok(process) => [above, process, below],
        Err(_) => [b"", b"", path],
    };
    let parts = [NAME, index.as_bytes(), b":", above, process, below];
    let name = PathBuf::concat(&parts)?;
    let memory = sys::memory_file(name.cstr(), libc::MFD_CLOEXEC)?;
    if reads && flags & libc::O_PATH == 0 {
        directory::tell_watchers(path, false);
    }
    let made = match reads {
        true => tree.read(file, &mut |part| write_all(memory.raw(), part)),
        false => Ok(()),
    };
    if way == libc::O_RDWR {
        sys::forget_write(memory.raw())?;
    }
    let made = if made.is_ok() { mark::MADE } else { 0 };
    // Opened by its name, the kernel keeps to the way in which it may be used.
    let opened = again(memory.raw(), flags & HOW | flags & libc::O_PATH);
    let fd = match opened {
        Ok(opened) => {
            drop(memory);
            sys::lowest(opened)?
        }
        Err(_) => {
            sys::rewind(memory.as_fd())?;
            memory
        }
    };
    let fd = fd.into_raw();
    if process::owns_memory() {
        crate::foreign::is_new(fd);
        let reads = if reads { mark::READS } else { 0 };
        let writes = if way != libc::O_RDONLY {
            mark::WRITES
        } else {
            0
        };
        let _ = table::mark_as(fd, reads | writes | made);
    }
    Ok(fd)
}

/// Parts of a path, between which the number of the process stands as the kernel says it; the first
/// is empty where none stands there.
fn named_by_kernel(path: &[u8]) -> [&[u8]; 2] {
    for above in [&b"/proc/"[..], b"/proc/self/"] {
        let below = path.strip_prefix(above);
        if below.is_some_and(|below| below.starts_with(b"net/")) {
            return [b"/proc/", &path[above.len() - 1..]];
        }
    }
    [b"", path]
}

/// Opens the memory file behind a descriptor once more.
fn again(fd: c_int, flags: c_int) -> Result<Fd, Errno> {
    let mut link = PathBuf::concat(&[b"/proc/self/fd/"])?;
    link.push_number(fd as u64)?;
    sys::open(link.cstr(), flags, 0)
}

/// Says how many of the bytes that a descriptor's memory file holds are the text that the file of
/// the view at `path` has now; 0 when it does not begin with it.
pub fn length_of_text(path: &PathBuf, held: &[u8]) -> usize {
    let mut length = Some(0);
    let tree = names::tree();
    let read = tree.as_ref().and_then(|tree| {
        let file = file_at(tree, path).ok()?;
        let made = tree.read(&file, &mut |part| {
            length = length
                .filter(|at| held[*at..].starts_with(part))
                .map(|at| at + part.len());
            Ok(())
        });
        made.ok()
    });
    read.and(length).unwrap_or(0)
}

/// Reads what the memory file behind a descriptor holds into `room`, as much as fits.
pub fn contents(fd: c_int, room: &mut [u8]) -> Result<&[u8], Errno> {
    let memory = again(fd, libc::O_RDONLY | libc::O_CLOEXEC)?;
    let n = sys::pread(memory.raw(), room, 0)?;
    Ok(&room[..n])
}

fn write_all(fd: c_int, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        bytes = &bytes[sys::write(fd, bytes)?..];
    }
    Ok(())
}

/// Called before a read from a descriptor that is marked, from its own offset or from `offset`. The
/// text is made anew when it is read from the beginning. `None` says that the kernel's own read
/// follows.
#[cold]
pub extern "C" fn read(fd: c_int, offset: Option<i64>) -> Option<ssize_t> {
    let marks = table::marks(fd)?;
    if marks & mark::READS == 0 || marks & mark::DIRECTORY != 0 {
        return None;
    }
    let answer = errno::keep(|| {
        fence(|| {
            let Some(path) = path_of(fd) else {
                return Ok(None);
            };
            watched::was_read(fd, marks);
            let at = match offset {
                Some(offset) => offset,
                None => sys::seek(fd, 0, libc::SEEK_CUR)? as i64,
            };
            let tree = names::tree().ok_or(Errno(libc::ENODEV))?;
            let file = file_at(&tree, &path)?;
            if at != 0 && file.is_read_at_once() {
                return Ok(Some(0));
            }
            // A read that goes on where the last one ended gives what is left of its text.
            if at != 0 && offset.is_none() && !table::clear(fd, mark::SOUGHT) {
                return Ok(None);
            }
            let memory = again(fd, libc::O_RDWR | libc::O_CLOEXEC)?;
            sys::cut(memory.raw(), 0)?;
            tree.read(&file, &mut |part| write_all(memory.raw(), part))?;
            if marks & mark::WRITES != 0 {
                sys::forget_write(memory.raw())?;
            }
            Ok(None)
        })
    });
    match answer {
        Ok(done) => done,
        Err(e) => Some(errno::give::<c_int>(Err(e))),
    }
}

/// lseek(2) of a descriptor of the view to somewhere else than a given offset: no such file has
/// holes, and its end is where stat(2) says. `None` says that the kernel's own call follows.
#[cold]
pub fn seek(fd: c_int, offset: i64, whence: c_int) -> Option<Result<i64, Errno>> {
    let marks = table::marks(fd)?;
    if whence == libc::SEEK_SET || whence == libc::SEEK_CUR && offset != 0 {
        table::set(fd, mark::SOUGHT);
    }
    if marks & mark::DIRECTORY != 0 {
        return None;
    }
    let answer = errno::keep(|| {
        fence(|| {
            let Some(path) = path_of(fd) else {
                return Ok(None);
            };
            let tree = names::tree().ok_or(Errno(libc::ENODEV))?;
            let file = file_at(&tree, &path)?;
            if matches!(whence, libc::SEEK_SET | libc::SEEK_CUR) {
                return Ok(None);
            }
            let end = file.end().ok_or(Errno(libc::EINVAL))?;
            let to = match whence {
                libc::SEEK_END => end.checked_add(offset).ok_or(Errno(libc::EOVERFLOW))?,
                // It is one piece without a hole.
                libc::SEEK_DATA | libc::SEEK_HOLE if !(0..end).contains(&offset) => {
                    return Err(Errno(libc::ENXIO))
                }
                libc::SEEK_DATA => offset,
                libc::SEEK_HOLE => end,
                _ => return Err(Errno(libc::EINVAL)),
            };
            sys::seek(fd, to, libc::SEEK_SET).map(|at| Some(at as i64))
        })
    });
    answer.transpose()
}

/// The file of the view at a path that was opened before. ENODEV says that its link is gone, and
/// ENOENT the same of a setting.
pub fn file_at(tree: &Tree<'_>, path: &PathBuf) -> Result<view::File, Errno> {
    match tree.walk(path.bytes(), true) {
        Ok((_, Node::File(file))) => Ok(file),
        _ if path.bytes().starts_with(b"/proc/") => Err(Errno(libc::ENOENT)),
        _ => Err(Errno(libc::ENODEV)),
    }
}

/// Called after `new` was made another descriptor of `old`.
#[cold]
pub fn duplicated(old: c_int, new: c_int) {
    if old == new || !process::owns_memory() {
        return;
    }
    errno::keep(|| {
        watched::unwatch(new);
        table::unmark(new);
        if let Some(marks) = table::marks(old) {
            if !table::is_tunnel(new) {
                let _ = table::mark_as(new, marks & !mark::WATCHED);
            }
        }
    });
}

/// What opening a file of the view by the name of a descriptor fails with: the memory file behind
/// it would be opened in ways in which the file cannot be. The descriptor is forgotten then.
pub fn refuses_again(fd: c_int, flags: c_int) -> Option<Errno> {
    if flags & libc::O_PATH != 0 || !table::any_marked() || table::marks(fd).is_none() {
        return None;
    }
    let mode = errno::keep(|| {
        let path = path_of(fd)?;
        let file = file_at(&names::tree()?, &path).ok()?;
        Some(file.mode)
    })?;
    let way = flags & libc::O_ACCMODE;
    let lacks = |bit: u32| mode & bit == 0;
    let refused = way != libc::O_WRONLY && lacks(0o400) || way != libc::O_RDONLY && lacks(0o200);
    if refused {
        table::unmark(fd);
    }
    refused.then_some(Errno(libc::EACCES))
}

/// Looks whether a descriptor that came from outside is one of the view, and marks it if it is.
pub fn adopt(fd: c_int, st: &libc::stat) {
    let is_memory = sys::is_kind(st, libc::S_IFREG) && st.st_nlink == 0;
    let is_directory = sys::is_kind(st, libc::S_IFDIR);
    if !is_memory && !is_directory {
        return;
    }
    let mut room = [0; 1024];
    let Ok(path) = sys::path_of_fd(fd, &mut room) else {
        return;
    };
    let marks = if is_directory {
        if net::existing().is_none() || names::stands_for(path).is_none() {
            return;
        }
        mark::DIRECTORY | mark::READS
    } else {
        if named(path).is_none() {
            return;
        }
        match sys::status_flags(fd).unwrap_or(0) & libc::O_ACCMODE {
            libc::O_RDONLY => mark::READS,
            libc::O_WRONLY => mark::WRITES,
            _ => mark::READS | mark::WRITES,
        }
    };
    let _ = table::mark_as(fd, marks);
}
