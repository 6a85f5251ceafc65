//! What capturing leaves in the directory; see [`crate::Capture`].
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
    /// Is there a capturer, or was there one that did not say that it ended?
    #[inline]
    pub fn is_captured(&self) -> bool {
        self.capturing.load(Relaxed) != 0
    }

    /// Is there a capturer? One that was killed is struck off. Wants the net's lock.
    pub fn capturer_lives(&self) -> bool {
        if !self.is_captured() {
            return false;
        }
        let lives = match self.open_dir() {
            Ok(dir) => is_capturer_alive(&dir),
            // After chroot(2) nobody can tell.
            Err(_) => true,
        };
        if !lives {
            self.capturing.store(0, SeqCst);
        }
        lives
    }

    /// Strikes off a capturer that was killed, without the net's lock: for who must not wait. The
    /// capturer's own lock is held meanwhile, so that nobody becomes the capturer in between.
    /// False when nobody can tell whether it lives.
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
            // A child that was forked meanwhile must not keep it.
            let _ = sys::flock(fd.as_fd(), libc::LOCK_UN);
        }
        true
    }

    /// Makes the caller the capturer, as long as the descriptor is open. EBUSY when there is one.
    /// Wants the net's lock.
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

    /// The counterpart. Wants the net's lock.
    pub fn end_capturing(&self) {
        self.capturing.store(0, SeqCst);
        self.remove_gone();
        if let Ok(dir) = self.open_dir() {
            let _ = dir.unlink(CAPTURER);
        }
    }

    /// The numbers of the interfaces that are kept for the capturer.
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

    /// Gives the capturer a moment to find what ended just now, before the net is removed.
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

    /// Is an interface kept for the capturer?
    pub fn has_gone(&self) -> bool {
        !self.gone().is_empty()
    }

    pub(super) fn remove_gone(&self) {
        self.gone()
            .into_iter()
            .for_each(|number| self.remove_one_gone(number));
    }

    /// The capturer has read it. Nothing happens for 0, which is none.
    pub fn remove_one_gone(&self, number: u64) {
        if number != 0 {
            if let (Ok(dir), Ok(name)) = (self.open_dir(), numbered(GONE, number)) {
                let _ = dir.unlink(name.cstr());
            }
        }
    }

    /// Keeps the file of an interface that is deleted. Wants the net's lock.
    pub(super) fn keep_gone(
        &self,
        dir: &Directory,
        interface: &InterfaceState,
        file: &CStr,
    ) -> bool {
        // An index can be used again (TUNSETIFINDEX) before the first one has been read.
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

    /// The interfaces with their inodes, those that are kept for the capturer included, as far as
    /// `wanted` says so of an inode and a name (None for one that is kept). Wants the net's
    /// lock.
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

    /// There is something to capture.
    #[inline]
    pub fn ring_capturer(&self) {
        if self.capture_asleep.load(SeqCst) != 0 {
            self.capture_asleep.store(0, SeqCst);
            sys::futex_wake_all(&self.capture_asleep);
        }
    }
}

/// Does somebody hold the capturer's lock?
pub(super) fn is_capturer_alive(dir: &Directory) -> bool {
    claim(dir, CAPTURER, libc::S_IFREG).is_err()
}
