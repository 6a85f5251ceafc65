//! The files of the net's host process: its socket, and the state that it publishes.
//!
//! [`NetState::host_epoch`](memtun_shm::layout::NetState::host_epoch) says whose files count. A new
//! host process makes its own ones first, and then takes the epoch.
#![forbid(unsafe_code)]

use super::{numbered, temporary_name, Directory, NetDir, HOST, STACK};
use crate::sys::{self, Fd, PathBuf};
use crate::Errno;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

impl NetDir {
    /// Opens the state that the host process of this epoch has published, for reading.
    ///
    /// # Errors
    ///
    /// ENOENT when there is none, and what opening it fails with otherwise.
    pub fn open_stack(&self, epoch: u64) -> Result<Fd, Errno> {
        let name = numbered(STACK, epoch)?;
        let (file, _) = self
            .open_dir()?
            .open(name.cstr(), libc::O_RDONLY, libc::S_IFREG)?;
        Ok(file)
    }

    /// Publishes the state of the host process of this epoch: whoever reads has the old one or the
    /// new one, whole.
    ///
    /// # Errors
    ///
    /// - ESTALE when another host process has taken over.
    /// - What writing the file fails with.
    pub fn publish_stack(&self, epoch: u64, bytes: &[u8]) -> Result<(), Errno> {
        let dir = self.open_dir()?;
        self.write_stack(&dir, epoch, bytes)?;
        if self.host_epoch.load(Acquire) != epoch {
            return Err(Errno(libc::ESTALE));
        }
        self.host_changes.fetch_add(1, Release);
        Ok(())
    }

    fn write_stack(&self, dir: &Directory, epoch: u64, bytes: &[u8]) -> Result<(), Errno> {
        let new = temporary_name()?;
        dir.create_plain(new.cstr())?;
        let (file, _) = dir.open(new.cstr(), libc::O_WRONLY, libc::S_IFREG)?;
        // The lock says that the file is being made, so that nobody clears it up.
        sys::flock(file.as_fd(), libc::LOCK_SH | libc::LOCK_NB)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match sys::write(file.raw(), rest) {
                Ok(n) => rest = &rest[n..],
                Err(Errno(libc::EINTR)) => {}
                Err(e) => {
                    let _ = dir.unlink(new.cstr());
                    return Err(e);
                }
            }
        }
        dir.rename(new.cstr(), numbered(STACK, epoch)?.cstr())
    }

    /// Makes the calling process the host process of the net after the one of epoch `before`: its
    /// state is published and its socket, which it listens on under the name `socket`, gets its
    /// final name. Returns the epoch.
    ///
    /// # Errors
    ///
    /// - EEXIST when another process was faster.
    /// - What writing the state or locking the net fails with.
    pub fn take_host_epoch(
        &self,
        before: u64,
        socket: &PathBuf,
        bytes: &[u8],
    ) -> Result<u64, Errno> {
        let dir = self.open_dir()?;
        let epoch = before + 1;
        let _lock = self.lock()?;
        if self.host_epoch.load(Relaxed) != before {
            return Err(Errno(libc::EEXIST));
        }
        self.write_stack(&dir, epoch, bytes)?;
        dir.rename(socket.cstr(), numbered(HOST, epoch)?.cstr())?;
        if self
            .host_epoch
            .compare_exchange(before, epoch, Release, Relaxed)
            .is_err()
        {
            return Err(Errno(libc::EEXIST));
        }
        self.host_changes.fetch_add(1, Release);
        for kind in [HOST, STACK] {
            let _ = dir.unlink(numbered(kind, before)?.cstr());
        }
        Ok(epoch)
    }

    /// Returns the name, in the net's directory, of the socket at which the host process of this
    /// epoch answers.
    ///
    /// # Errors
    ///
    /// None in practice: the name is short.
    pub fn host_socket(epoch: u64) -> Result<PathBuf, Errno> {
        numbered(HOST, epoch)
    }

    /// Returns a name, in the net's directory, for a socket that a host process is about to listen
    /// on.
    ///
    /// # Errors
    ///
    /// None in practice: the name is short.
    pub fn new_host_socket() -> Result<PathBuf, Errno> {
        temporary_name()
    }
}
