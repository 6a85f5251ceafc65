//! What capturing leaves in the directory; see [`crate::Capture`].

use super::{give_to, Local, NetDir, CAPTURER, GONE, STATE};
use crate::shm::layout::InterfaceState;
use crate::shm::Mapped;
use crate::sys::{self, Fd, PathBuf};
use crate::{Errno, Name};
use std::ffi::CStr;
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
        let lives = PathBuf::concat(&[self.dir.bytes(), CAPTURER]).map(|path| {
            match sys::open_internal(path.cstr(), libc::O_RDONLY | libc::O_NONBLOCK, 0) {
                Ok(fd) => sys::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB).is_err(),
                // After chroot(2) nobody can tell.
                Err(e) => e.0 != libc::ENOENT || !self.is_in_sight(),
            }
        });
        let lives = lives.unwrap_or(true);
        if !lives {
            self.capturing.store(0, SeqCst);
        }
        lives
    }

    /// Strikes off a capturer that was killed, without the net's lock: for who must not wait. The capturer's own lock is
    /// held meanwhile, so that nobody becomes the capturer in between. False when nobody can tell whether it lives.
    pub(crate) fn strike_off_dead_capturer(&self) -> bool {
        let opened = PathBuf::concat(&[self.dir.bytes(), CAPTURER])
            .and_then(|path| sys::open_internal(path.cstr(), libc::O_RDONLY | libc::O_NONBLOCK, 0));
        let Ok(fd) = opened else {
            return false;
        };
        if sys::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB).is_ok() {
            self.capturing.store(0, SeqCst);
            // A child that was forked meanwhile must not keep it.
            let _ = sys::flock(fd.raw(), libc::LOCK_UN);
        }
        true
    }

    fn is_in_sight(&self) -> bool {
        PathBuf::concat(&[self.dir.bytes(), STATE])
            .is_ok_and(|path| sys::access(path.cstr(), libc::R_OK).is_ok())
    }

    /// Makes the caller the capturer, as long as the descriptor is open. EBUSY when there is one. Wants the net's lock.
    pub(crate) fn become_capturer(&self) -> Result<Fd, Errno> {
        let path = PathBuf::concat(&[self.dir.bytes(), CAPTURER])?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let fd = sys::open_internal(path.cstr(), flags, 0o600)?;
        give_to(self.owner, &path);
        sys::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB).map_err(|e| match e.0 {
            libc::EAGAIN => Errno(libc::EBUSY),
            _ => e,
        })?;
        self.remove_gone();
        self.capturing.store(1, SeqCst);
        Ok(fd)
    }

    /// The counterpart. Wants the net's lock.
    pub(crate) fn end_capturing(&self) {
        self.capturing.store(0, SeqCst);
        self.remove_gone();
        if let Ok(path) = PathBuf::concat(&[self.dir.bytes(), CAPTURER]) {
            let _ = sys::unlink(path.cstr(), 0);
        }
    }

    /// The numbers of the interfaces that are kept for the capturer.
    pub(super) fn gone(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        if let Ok(dir) = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)
        {
            let _ = sys::each_entry(dir.raw(), |entry| {
                numbers.extend(gone_number(entry));
                true
            });
        }
        numbers
    }

    /// Gives the capturer a moment to find what ended just now, before the net is removed.
    pub(crate) fn let_capturer_find(&self, local: &dyn Local) {
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
    pub(crate) fn has_gone(&self) -> bool {
        !self.gone().is_empty()
    }

    pub(super) fn remove_gone(&self) {
        self.gone()
            .into_iter()
            .for_each(|number| self.remove_one_gone(number));
    }

    /// The capturer has read it. Nothing happens for 0, which is none.
    pub(crate) fn remove_one_gone(&self, number: u64) {
        if number != 0 {
            if let Ok(path) = self.file(GONE, number) {
                let _ = sys::unlink(path.cstr(), 0);
            }
        }
    }

    /// Keeps the file of an interface that is deleted. Wants the net's lock.
    pub(super) fn keep_gone(&self, interface: &InterfaceState, path: &PathBuf) -> bool {
        // An index can be used again (TUNSETIFINDEX) before the first one has been read.
        let numbers = [
            interface.ifindex.load(Relaxed) as u64,
            sys::now_ns(libc::CLOCK_MONOTONIC),
        ];
        numbers.into_iter().any(|number| {
            let Ok(gone) = self.file(GONE, number) else {
                return false;
            };
            let free = sys::fstatat(libc::AT_FDCWD, gone.cstr(), libc::AT_SYMLINK_NOFOLLOW)
                .is_err_and(|e| e.0 == libc::ENOENT);
            if free {
                interface.gone_number.store(number, Relaxed);
            }
            free && sys::rename(path.cstr(), gone.cstr()).is_ok()
        })
    }

    /// The interfaces with their inodes, those that are kept for the capturer included, as far as `wanted` says so of an
    /// inode and a name (None for one that is kept). Wants the net's lock.
    pub(crate) fn capturable(
        &self,
        mut wanted: impl FnMut(u64, Option<Name>) -> bool,
    ) -> Result<Vec<(u64, Mapped<InterfaceState>)>, Errno> {
        let dir = sys::open_internal(self.dir.cstr(), libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
        let mut found = Vec::new();
        sys::each_entry(dir.raw(), |entry| {
            let name = Name::new(entry.to_bytes()).filter(Name::is_valid);
            if name.is_none() && gone_number(entry).is_none() {
                return true;
            }
            let opened = sys::fstatat(dir.raw(), entry, libc::AT_SYMLINK_NOFOLLOW)
                .ok()
                .filter(|st| wanted(st.st_ino, name))
                .and_then(|st| {
                    let path = PathBuf::concat(&[self.dir.bytes(), b"/", entry.to_bytes()]).ok()?;
                    Some((st.st_ino, Mapped::open(path.cstr()).ok()?))
                });
            found.extend(opened);
            true
        })?;
        Ok(found)
    }

    /// There is something to capture.
    #[inline]
    pub(crate) fn ring_capturer(&self) {
        if self.capture_asleep.load(SeqCst) != 0 {
            self.capture_asleep.store(0, SeqCst);
            sys::futex_wake_all(&self.capture_asleep);
        }
    }
}

fn gone_number(entry: &CStr) -> Option<u64> {
    let digits = entry.to_bytes().strip_prefix(&GONE[1..])?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
