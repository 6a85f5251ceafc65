//! The files that a capture leaves in the net's directory; `memtun::Capture` is the capture itself.
#![forbid(unsafe_code)]

use super::{claim, number_of, numbered, Directory, Local, NetDir, CAPTURER, GONE};
use crate::shm::layout::InterfaceState;
use crate::shm::Mapped;
use crate::sys::quiet::{may, Extra};
use crate::sys::{self, Fd};
use crate::{Errno, Name};
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

impl NetDir {
    /// Is there a capturer, or was there one that died without saying that it ended?
    #[inline]
    pub fn is_captured(&self) -> bool {
        self.capturing.load(Relaxed) != 0
    }

    /// Does a capturer live? One that was killed is removed from the net's state. The caller holds
    /// the net's lock.
    pub fn capturer_lives(&self) -> bool {
        if !self.is_captured() {
            return false;
        }
        let lives = match self.open_dir() {
            Ok(dir) => is_capturer_alive(&dir),
            // After chroot(2) nobody can tell, so the capturer is taken to live.
            Err(_) => true,
        };
        if !lives {
            self.capturing.store(0, SeqCst);
        }
        lives
    }

    /// Removes a capturer that was killed from the net's state, without the net's lock, for callers
    /// that must not wait. The capturer's own lock is held meanwhile, so that nobody becomes the
    /// capturer in between. Returns false when nobody can tell whether the capturer lives.
    pub fn strike_off_dead_capturer(&self) -> bool {
        if !may(Extra::Files) {
            return false;
        }
        let opened = self
            .open_dir()
            .and_then(|dir| dir.open(CAPTURER, libc::O_RDONLY, libc::S_IFREG));
        let Ok((fd, _)) = opened else {
            return false;
        };
        if sys::flock(fd.as_fd(), libc::LOCK_EX | libc::LOCK_NB).is_ok() {
            self.capturing.store(0, SeqCst);
            // A child that is forked meanwhile shares the open description, so the lock is released
            // explicitly.
            let _ = sys::flock(fd.as_fd(), libc::LOCK_UN);
        }
        true
    }

    /// Makes the caller the capturer. The caller owns the descriptor and stays the capturer as long
    /// as it is open. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// - EBUSY when there is a capturer already.
    /// - What opening or making the capturer's file fails with.
    pub fn become_capturer(&self) -> Result<Fd, Errno> {
        let dir = self.open_dir()?;
        dir.create_plain(CAPTURER)?;
        let (fd, _) = dir.open(CAPTURER, libc::O_RDWR, libc::S_IFREG)?;
        sys::flock(fd.as_fd(), libc::LOCK_EX | libc::LOCK_NB).map_err(|e| match e.0 {
            libc::EAGAIN => Errno(libc::EBUSY),
            _ => e,
        })?;
        self.remove_gone();
        self.capturing.store(1, SeqCst);
        Ok(fd)
    }

    /// Ends what [`NetDir::become_capturer`] began. The caller holds the net's lock.
    pub fn end_capturing(&self) {
        self.capturing.store(0, SeqCst);
        self.remove_gone();
        if let Ok(dir) = self.open_dir() {
            let _ = dir.unlink(CAPTURER);
        }
    }

    /// The numbers in the names of the deleted interfaces' files that are kept for the capturer.
    pub(super) fn gone(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        if let Ok(dir) = self.open_dir() {
            let _ = dir.each_entry(|entry| {
                numbers.extend(number_of(GONE, entry));
                true
            });
        }
        numbers
    }

    /// Gives the capturer a moment, at most half a second, to read what ended just now before the
    /// net is removed.
    pub fn let_capturer_find(&self, local: &dyn Local) {
        const MOMENT: std::time::Duration = std::time::Duration::from_millis(5);
        if !self.is_captured() {
            return;
        }
        if let Ok(_lock) = self.lock() {
            let _ = self.sweep(local);
        }
        for _ in 0..100 {
            let wait = self.lock().is_ok_and(|_lock| self.capturer_lives()) && self.has_gone();
            if !wait {
                break;
            }
            std::thread::sleep(MOMENT);
        }
    }

    /// Is a deleted interface kept for the capturer?
    pub fn has_gone(&self) -> bool {
        !self.gone().is_empty()
    }

    pub(super) fn remove_gone(&self) {
        self.gone()
            .into_iter()
            .for_each(|number| self.remove_one_gone(number));
    }

    /// Removes the file of a deleted interface after the capturer has read it. The number 0 means
    /// none, and nothing happens.
    pub fn remove_one_gone(&self, number: u64) {
        if number != 0 {
            if let (Ok(dir), Ok(name)) = (self.open_dir(), numbered(GONE, number)) {
                let _ = dir.unlink(name.cstr());
            }
        }
    }

    /// Keeps the file of a deleted interface under a name of its own for the capturer. Returns
    /// whether that worked. The caller holds the net's lock.
    pub(super) fn keep_gone(
        &self,
        dir: &Directory,
        interface: &InterfaceState,
        file: &CStr,
    ) -> bool {
        // The index alone may not do: it can be used again (TUNSETIFINDEX) before the capturer has
        // read the first interface that had it.
        let numbers = [
            interface.ifindex.load(Relaxed) as u64,
            sys::now_ns(libc::CLOCK_MONOTONIC),
        ];
        numbers.into_iter().any(|number| {
            let Ok(gone) = numbered(GONE, number) else {
                return false;
            };
            interface.gone_number.store(number, Relaxed);
            let kept = dir.rename(file, gone.cstr()).is_ok();
            if !kept {
                interface.gone_number.store(0, Relaxed);
            }
            kept
        })
    }

    /// Returns the interfaces with the inodes of their files, the deleted ones that are kept for
    /// the capturer included. `wanted` selects them by inode and name; the name is None for a
    /// deleted one. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// What opening or reading the net's directory fails with.
    pub fn capturable(
        &self,
        mut wanted: impl FnMut(u64, Option<Name>) -> bool,
    ) -> Result<Vec<(u64, Mapped<InterfaceState>)>, Errno> {
        let dir = self.open_dir()?;
        let mut found = Vec::new();
        dir.each_entry(|entry| {
            let name = Name::new(entry.to_bytes()).filter(Name::is_valid);
            if name.is_none() && number_of(GONE, entry).is_none() {
                return true;
            }
            let opened = dir
                .inode(entry)
                .ok()
                .filter(|inode| wanted(*inode, name))
                .and_then(|inode| Some((inode, dir.map(entry).ok()?)));
            found.extend(opened);
            true
        })?;
        Ok(found)
    }

    /// Wakes the capturer because there is something to capture.
    #[inline]
    pub fn ring_capturer(&self) {
        if self.capture_asleep.load(SeqCst) != 0 {
            self.capture_asleep.store(0, SeqCst);
            sys::futex_wake_all(&self.capture_asleep);
        }
    }
}

/// Does somebody hold the capturer's lock, or can nobody tell?
pub(super) fn is_capturer_alive(dir: &Directory) -> bool {
    claim(dir, CAPTURER, libc::S_IFREG).is_err()
}
