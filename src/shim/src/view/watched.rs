//! Files of the view that epoll instances wait for. The kernel lets none wait for a memory file, so
//! another file of its own stands in its place there, whose readiness is the same: a file of /sys
//! says that something has changed until it is read for the first time, and every file of /sys and
//! /proc is ready to be read and written.

use super::names::path_of;
use crate::errno::{self, fence};
use crate::process;
use crate::table::{self, mark};
use libc::c_int;
use memtun_abi::Errno;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU64};

/// A descriptor of the view, and that of the file that stands in its place.
struct Watched {
    fd: AtomicI32,
    other: AtomicI32,
    /// The inode of the other file: the program may have closed it and got its number.
    inode: AtomicU64,
}

const NONE: c_int = -1;
const CLAIMED: c_int = -2;

/// All that are waited for. Programs have few; further ones cannot be added.
static WATCHED: [Watched; 64] = [const {
    Watched {
        fd: AtomicI32::new(NONE),
        other: AtomicI32::new(NONE),
        inode: AtomicU64::new(0),
    }
}; 64];

impl Watched {
    fn of(fd: c_int) -> Option<&'static Watched> {
        WATCHED.iter().find(|one| one.fd.load(Acquire) == fd)
    }

    /// The descriptor of the file that stands in the place, if it is still that file's.
    fn other(&self) -> Option<c_int> {
        let other = self.other.load(Relaxed);
        let st = sys::fstat(other).ok()?;
        (st.st_ino == self.inode.load(Relaxed)).then_some(other)
    }

    /// Forgets it, and closes the file that stands in its place: the kernel then takes it out of
    /// every instance.
    fn forget(&self) {
        if let Some(other) = self.other() {
            // SAFETY: the descriptor is this library's own, and nobody uses it any more.
            let _ = unsafe { sys::close(other) };
        }
        self.fd.store(NONE, Release);
    }
}

/// The descriptor to be used in epoll_ctl(2) instead of one of the view. `None` says that the
/// kernel answers for the descriptor itself.
#[cold]
pub fn in_place_of(fd: c_int, operation: c_int) -> Option<Result<c_int, Errno>> {
    let marks = table::marks(fd)?;
    if marks & mark::DIRECTORY != 0 || !process::owns_memory() || !may(Extra::Files) {
        return None;
    }
    let found = errno::keep(|| {
        fence(|| {
            if sys::status_flags(fd)? & libc::O_PATH != 0 {
                return Ok(None);
            }
            let Some(path) = path_of(fd) else {
                return Ok(None);
            };
            let known = Watched::of(fd).filter(|_| marks & mark::WATCHED != 0);
            if let Some(other) = known.and_then(Watched::other) {
                return Ok(Some(other));
            }
            if operation != libc::EPOLL_CTL_ADD {
                return Err(Errno(libc::ENOENT));
            }
            let in_sys = path.bytes().starts_with(b"/sys/");
            watch(fd, in_sys, !is_unseen(fd, marks)).map(Some)
        })
    });
    found.transpose()
}

/// Lets a file of the kernel's stand in the place of one of the view.
fn watch(fd: c_int, in_sys: bool, is_seen: bool) -> Result<c_int, Errno> {
    if let Some(stale) = Watched::of(fd) {
        stale.forget();
    }
    let free = WATCHED.iter().find(|one| {
        one.fd
            .compare_exchange(NONE, CLAIMED, Acquire, Relaxed)
            .is_ok()
    });
    let slot = free.ok_or(Errno(libc::ENOMEM))?;
    let opened = open(in_sys).and_then(|other| {
        if is_seen {
            let _ = sys::pread(other.raw(), &mut [0], 0);
        }
        Ok((sys::fstat(other.raw())?.st_ino, other))
    });
    let (inode, other) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            slot.fd.store(NONE, Release);
            return Err(e);
        }
    };
    let other = other.into_raw();
    slot.other.store(other, Relaxed);
    slot.inode.store(inode, Relaxed);
    slot.fd.store(fd, Release);
    table::set(fd, mark::WATCHED);
    Ok(other)
}

/// Opens a file that every program may read and that has the readiness of those in /sys, or in
/// /proc.
fn open(in_sys: bool) -> Result<sys::Fd, Errno> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    match sys::open_internal(c"/sys/class/net/lo/mtu", flags, 0) {
        Ok(file) if in_sys => Ok(file),
        _ => sys::open_internal(c"/proc/version", flags, 0),
    }
}

/// Does a descriptor of the view say that something has changed (POLLPRI with POLLERR)? That says a
/// file of /sys until it is read for the first time.
#[cold]
pub fn has_news(fd: c_int) -> bool {
    let Some(marks) = table::marks(fd) else {
        return false;
    };
    errno::keep(|| marks & mark::DIRECTORY == 0 && is_unseen(fd, marks) && is_in_sys(fd))
}

fn is_in_sys(fd: c_int) -> bool {
    let is_open = sys::status_flags(fd).is_ok_and(|flags| flags & libc::O_PATH == 0);
    is_open && path_of(fd).is_some_and(|path| path.bytes().starts_with(b"/sys/"))
}

/// Has nobody read from the descriptor? A read past the hooks moves the offset.
fn is_unseen(fd: c_int, marks: u32) -> bool {
    marks & mark::SEEN == 0 && sys::seek(fd, 0, libc::SEEK_CUR).is_ok_and(|at| at == 0)
}

/// Called when a descriptor of the view was read: nothing has changed since then.
pub fn was_read(fd: c_int, marks: u32) {
    if marks & mark::SEEN == 0 {
        table::set(fd, mark::SEEN);
        if marks & mark::WATCHED != 0 {
            if let Some(other) = Watched::of(fd).and_then(Watched::other) {
                let _ = sys::pread(other, &mut [0], 0);
            }
        }
    }
}

/// Called before a descriptor of the view is closed or replaced.
pub fn unwatch(fd: c_int) {
    let is_watched = table::marks(fd).is_some_and(|marks| marks & mark::WATCHED != 0);
    if is_watched && process::owns_memory() {
        if let Some(watched) = Watched::of(fd) {
            watched.forget();
        }
    }
}
