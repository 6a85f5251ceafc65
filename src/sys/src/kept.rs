//! A descriptor that is kept where the program may close it.

use super::{close, is_fifo, Fd};
use std::os::fd::RawFd;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::Relaxed;

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
