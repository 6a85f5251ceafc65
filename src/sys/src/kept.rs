//! A descriptor that is kept where the program may close it.

use super::{close, fstat, is_fifo, is_kind, Fd};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU64};

/// A descriptor of a FIFO in a process whose program may close any number, and open something else
/// under it. It is checked before each use, and closed with the value if it is still the same FIFO.
#[derive(Debug)]
pub struct KeptFifo {
    /// Number of the descriptor, -1 for none.
    fd: AtomicI32,
    inode: u64,
}

impl KeptFifo {
    /// Makes a value that has no descriptor yet of the FIFO with this inode.
    pub fn none_yet(inode: u64) -> KeptFifo {
        KeptFifo {
            fd: AtomicI32::new(-1),
            inode,
        }
    }

    /// Returns the FIFO's inode.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Returns the descriptor's number, if it is still the FIFO.
    pub fn number(&self) -> Option<RawFd> {
        let fd = self.fd.load(Relaxed);
        (fd >= 0 && is_fifo(fd, self.inode)).then_some(fd)
    }

    /// Keeps this descriptor from now on in place of the previous one, and returns its number.
    pub fn keep(&self, fd: Fd) -> RawFd {
        let fd = fd.into_raw();
        self.end(self.fd.swap(fd, Relaxed));
        fd
    }

    fn end(&self, fd: RawFd) {
        if fd >= 0 && is_fifo(fd, self.inode) {
            // SAFETY: the descriptor was given to this value, and `is_fifo` has seen that the
            // program has put nothing else there.
            let _ = unsafe { close(fd) };
        }
    }
}

impl Drop for KeptFifo {
    fn drop(&mut self) {
        self.end(self.fd.load(Relaxed));
    }
}

/// The same for a socket, which another one may follow. One thread at a time uses it.
#[derive(Debug)]
pub struct KeptSocket {
    /// Number of the descriptor, -1 for none.
    fd: AtomicI32,
    inode: AtomicU64,
}

impl KeptSocket {
    /// Makes a value that has no descriptor yet.
    pub const fn none_yet() -> KeptSocket {
        KeptSocket {
            fd: AtomicI32::new(-1),
            inode: AtomicU64::new(0),
        }
    }

    /// Returns the descriptor, if it is still the socket.
    pub fn get(&self) -> Option<BorrowedFd<'_>> {
        let fd = self.fd.load(Relaxed);
        let is_it =
            |st: libc::stat| st.st_ino == self.inode.load(Relaxed) && is_kind(&st, libc::S_IFSOCK);
        if fd < 0 || !fstat(fd).is_ok_and(is_it) {
            return None;
        }
        // SAFETY: the descriptor was given to this value, which was seen to have it still; whoever
        // closes a number that he does not know does so at any time, as with any descriptor.
        Some(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Keeps this descriptor from now on in place of the previous one. Returns whether it can.
    pub fn keep(&self, socket: Fd) -> bool {
        self.end();
        let Ok(st) = fstat(socket.raw()) else {
            return false;
        };
        self.inode.store(st.st_ino, Relaxed);
        self.fd.store(socket.into_raw(), Relaxed);
        true
    }

    /// Closes it, if it is still the socket.
    pub fn end(&self) {
        if let Some(fd) = self.get() {
            // SAFETY: the descriptor was given to this value, and `get` has seen that the program
            // has put nothing else there.
            let _ = unsafe { close(fd.as_raw_fd()) };
        }
        self.fd.store(-1, Relaxed);
    }
}
