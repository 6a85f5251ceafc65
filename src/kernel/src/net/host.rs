//! The files of the net's host process: its socket, and the state that it publishes.
//!
//! [`NetState::host_epoch`] says whose files count: each host process has a number, which stands in
//! the names of its files. A new one draws its number first ([`NetState::host_turn`]), which ends
//! the time of the one before: that one answers nobody any more, because it looks at the turn
//! between publishing a change and answering. Only then the new one reads the state, so it has
//! every change that was answered.
//!
//! [`NetState::host_epoch`]: memtun_shm::layout::NetState::host_epoch
//! [`NetState::host_turn`]: memtun_shm::layout::NetState::host_turn
#![forbid(unsafe_code)]

use super::{
    number_of, numbered, temporary_name, Directory, NetDir, ERRORS, GROUPS, HOST, PACKET, PACKETS,
    STACK, STATE,
};
use crate::sys::{self, Fd, PathBuf};
use crate::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

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
    /// new one, whole. After that, and only after success, the host process may answer. Returns the
    /// file, for [`NetDir::append_stack`].
    ///
    /// # Errors
    ///
    /// - ESTALE when another host process has taken over. What was published may or may not be in
    ///   the state that it goes on with.
    /// - What writing the file fails with, for example ENOSPC: the old state stays.
    pub fn publish_stack(&self, epoch: u64, bytes: &[u8]) -> Result<Fd, Errno> {
        let dir = self.open_dir()?;
        let file = write_stack(&dir, epoch, bytes)?;
        self.has_published(epoch).map(|()| file)
    }

    /// Appends bytes to the file that [`NetDir::publish_stack`] has returned, whose end is at `at`.
    /// Nothing holds a reader back, who may see any part of them.
    ///
    /// # Errors
    ///
    /// The same as for [`NetDir::publish_stack`], and ENOENT when the file was removed. What was
    /// written is cut off, or is followed by what is written next.
    pub fn append_stack(&self, epoch: u64, file: &Fd, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        // The net may have been removed, or be somebody else's now.
        self.open_dir()?;
        if sys::fstat(file.raw())?.st_nlink == 0 {
            return Err(Errno(libc::ENOENT));
        }
        let mut done = 0;
        while done < bytes.len() {
            match sys::pwrite(file.raw(), &bytes[done..], at + done as u64) {
                Ok(0) | Err(Errno(libc::EINTR)) => {}
                Ok(n) => done += n,
                Err(e) => {
                    let _ = sys::cut(file.raw(), at);
                    return Err(e);
                }
            }
        }
        self.has_published(epoch)
    }

    fn has_published(&self, epoch: u64) -> Result<(), Errno> {
        if !self.is_hosts_turn(epoch) {
            return Err(Errno(libc::ESTALE));
        }
        self.host_changes.fetch_add(1, Release);
        Ok(())
    }

    /// Is the host process of this epoch still the one that may answer?
    pub fn is_hosts_turn(&self, epoch: u64) -> bool {
        self.host_turn.load(SeqCst) == epoch
    }

    /// Makes the calling process the host process of the net after the one of epoch `before`, and
    /// returns its epoch and its file, for [`NetDir::append_stack`]. When the one before answers
    /// nobody any more, `begin` is given the directory and the new epoch; it listens on the socket
    /// of that epoch, and returns the state that is published.
    ///
    /// # Errors
    ///
    /// - EEXIST when another process was faster.
    /// - What `begin`, writing the state or locking the net fails with.
    pub fn take_host_epoch(
        &self,
        before: u64,
        begin: impl FnOnce(&Directory, u64) -> Result<Vec<u8>, Errno>,
    ) -> Result<(u64, Fd), Errno> {
        let taken = self.take(before, begin);
        self.host_errno.store(
            match taken {
                Err(Errno(e)) if e != libc::EEXIST => e,
                _ => 0,
            },
            SeqCst,
        );
        if !matches!(taken, Err(Errno(libc::EEXIST))) {
            self.host_ready.fetch_add(1, SeqCst);
            sys::futex_wake_all(&self.host_ready);
        }
        taken
    }

    fn take(
        &self,
        before: u64,
        begin: impl FnOnce(&Directory, u64) -> Result<Vec<u8>, Errno>,
    ) -> Result<(u64, Fd), Errno> {
        let dir = self.open_dir()?;
        let _lock = self.lock()?;
        if self.host_epoch.load(Acquire) != before {
            return Err(Errno(libc::EEXIST));
        }
        // 0 says that there has been none; it comes only where somebody has written rubbish.
        let draw = || self.host_turn.fetch_add(1, SeqCst).wrapping_add(1);
        let epoch = match draw() {
            0 => draw(),
            epoch => epoch,
        };
        let begun = begin(&dir, epoch).and_then(|bytes| write_stack(&dir, epoch, &bytes));
        // Somebody may have taken the lock away meanwhile: then either he is the last in turn, and
        // this process will not answer, or he was faster.
        let taken = begun.and_then(|file| {
            self.host_epoch
                .compare_exchange(before, epoch, SeqCst, Relaxed)
                .map_err(|_| Errno(libc::EEXIST))?;
            Ok(file)
        });
        let file = match taken {
            Ok(file) => file,
            Err(e) => {
                for kind in [HOST, STACK] {
                    let _ = dir.unlink(numbered(kind, epoch)?.cstr());
                }
                return Err(e);
            }
        };
        if self.is_gone() {
            // Somebody removed the net meanwhile, and may not have seen the new files.
            self.clear_after_host(epoch);
            return Err(Errno(libc::ENOENT));
        }
        self.host_changes.fetch_add(1, Release);
        remove_older(&dir, epoch);
        Ok((epoch, file))
    }

    /// Ends the time of the host process of this epoch, which is the caller and ends because nobody
    /// needs it, so that whoever stands by for it does not take it for killed.
    pub fn resign_host(&self, epoch: u64) {
        let next = epoch.wrapping_add(1);
        let _ = self
            .host_turn
            .compare_exchange(epoch, next, SeqCst, Relaxed);
    }

    /// Ends the time of the host process and wakes it, for whoever has removed the net. It would
    /// find out by itself after a while.
    pub(super) fn dismiss_host(&self) {
        self.host_turn.fetch_add(1, SeqCst);
        self.announce();
    }

    /// Removes what the host process of this epoch, which is the caller, may have made in a net
    /// while somebody removed it, and then the directory, if nothing else is in it. A net that is
    /// there is left as it is.
    pub fn clear_after_host(&self, epoch: u64) {
        let Ok(dir) = self.open_dir() else { return };
        if !matches!(dir.inode(STATE), Err(Errno(libc::ENOENT))) {
            return;
        }
        for kind in [HOST, STACK] {
            if let Ok(name) = numbered(kind, epoch) {
                let _ = dir.unlink(name.cstr());
            }
        }
        let _ = dir.remove(self.path());
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

    /// Returns the name of the socket of AF_UNIX with this inode, which is a packet socket or a raw
    /// one for its program.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG, which no number leads to.
    pub fn packet_socket(inode: u64) -> Result<PathBuf, Errno> {
        numbered(PACKET, inode)
    }

    /// Returns the name of the socket by which the host process tells the one with this inode of
    /// errors, until the program has connected with it.
    ///
    /// # Errors
    ///
    /// ENAMETOOLONG, which no number leads to.
    pub fn errors_socket(inode: u64) -> Result<PathBuf, Errno> {
        numbered(ERRORS, inode)
    }

    /// Keeps what the host process knows of packet sockets and raw ones for the next one.
    ///
    /// # Errors
    ///
    /// What making and writing the file fails with.
    pub fn keep_packets(&self, bytes: &[u8]) -> Result<(), Errno> {
        self.keep_file(PACKETS, bytes)
    }

    /// Keeps the multicast groups that programs' sockets have joined for the next host process.
    ///
    /// # Errors
    ///
    /// What making and writing the file fails with.
    pub fn keep_groups(&self, bytes: &[u8]) -> Result<(), Errno> {
        self.keep_file(GROUPS, bytes)
    }

    /// Reads what [`NetDir::keep_groups`] has kept.
    ///
    /// # Errors
    ///
    /// ENOENT when there is nothing, and what opening and reading the file fails with.
    pub fn kept_groups(&self) -> Result<Vec<u8>, Errno> {
        kept(self.kept_file(GROUPS)?)
    }

    fn keep_file(&self, name: &CStr, bytes: &[u8]) -> Result<(), Errno> {
        let dir = self.open_dir()?;
        let new = temporary_name()?;
        dir.create_plain(new.cstr())?;
        let written = fill(&dir, &new, bytes).and_then(|_| dir.replace(new.cstr(), name));
        if written.is_err() {
            let _ = dir.unlink(new.cstr());
        }
        written
    }

    fn kept_file(&self, name: &CStr) -> Result<(Fd, usize), Errno> {
        let dir = self.open_dir()?;
        let (file, st) = dir.open(name, libc::O_RDONLY, libc::S_IFREG)?;
        Ok((file, usize::try_from(st.st_size).unwrap_or(0)))
    }

    /// Opens the file in which the host process keeps what it knows of packet sockets and raw ones.
    /// Returns its length in bytes, too.
    ///
    /// # Errors
    ///
    /// ENOENT when there is none, and what opening it fails with.
    pub fn packets_file(&self) -> Result<(Fd, usize), Errno> {
        self.kept_file(PACKETS)
    }

    /// Returns what the last host process has kept of packet sockets and raw ones.
    ///
    /// # Errors
    ///
    /// ENOENT when there is nothing, and what opening or reading the file fails with.
    pub fn kept_packets(&self) -> Result<Vec<u8>, Errno> {
        kept(self.packets_file()?)
    }
}

/// Reads a file whole.
fn kept((file, length): (Fd, usize)) -> Result<Vec<u8>, Errno> {
    /// More than all sockets of a net need.
    const MOST: usize = 64 << 20;
    let mut bytes = vec![0; length.min(MOST)];
    let n = sys::pread(file.raw(), &mut bytes, 0)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Writes the state of an epoch under its name, whole.
fn write_stack(dir: &Directory, epoch: u64, bytes: &[u8]) -> Result<Fd, Errno> {
    let new = temporary_name()?;
    dir.create_plain(new.cstr())?;
    let written = fill(dir, &new, bytes).and_then(|file| {
        dir.replace(new.cstr(), numbered(STACK, epoch)?.cstr())?;
        sys::flock(file.as_fd(), libc::LOCK_UN)?;
        Ok(file)
    });
    if written.is_err() {
        let _ = dir.unlink(new.cstr());
    }
    written
}

fn fill(dir: &Directory, name: &PathBuf, bytes: &[u8]) -> Result<Fd, Errno> {
    let (file, _) = dir.open(name.cstr(), libc::O_WRONLY, libc::S_IFREG)?;
    // The lock says that the file is being made, so that nobody clears it up.
    sys::flock(file.as_fd(), libc::LOCK_SH | libc::LOCK_NB)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match sys::write(file.raw(), rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno(libc::EINTR)) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(file)
}

/// Removes the files of the host processes before this epoch, and of those that died or were
/// stopped before they had taken theirs.
fn remove_older(dir: &Directory, epoch: u64) {
    let mut old: Vec<CString> = Vec::new();
    let _ = dir.each_entry(|entry| {
        let number = number_of(HOST, entry).or_else(|| number_of(STACK, entry));
        if number.is_some_and(|number| number < epoch) {
            old.push(entry.to_owned());
        }
        true
    });
    for entry in old {
        let _ = dir.unlink(&entry);
    }
}
