//! How much history an interface keeps.
//!
//! Nobody may have asked for history yet, so it gets only the room in the file system that nothing
//! else wants. The last quarter is left alone (the last 64 MiB of a large file system), for packets
//! that wait to be read, for interfaces to come and for whatever else is there. An interface that
//! is made late therefore finds the room that it needs, however much the earlier ones wrote. Room
//! that becomes free later is used again.
#![forbid(unsafe_code)]

use super::NetDir;
use crate::shm::InterfaceGuard;
use crate::sys;
use crate::sys::quiet::{may, Extra};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Bytes of a large file system that are left alone at most.
const LEFT_ALONE: u64 = 64 << 20;

/// How long a file system that was found full is assumed to stay full.
const A_WHILE: Duration = Duration::from_millis(100);

impl NetDir {
    /// Gives an interface's log memory for its first `upto` bytes, and for some more if there is
    /// room for history. The caller holds the interface's lock.
    #[cold]
    pub fn grow_log(&self, interface: &InterfaceGuard<'_>, upto: usize) {
        let now = sys::now_ns(libc::CLOCK_MONOTONIC);
        let found_full = interface.log_found_full.load(Relaxed);
        if found_full != 0 && now.saturating_sub(found_full) < A_WHILE.as_nanos() as u64 {
            return;
        }
        let grown = interface
            .log_writer()
            .grow(upto, |more| more <= self.room_for_history());
        let found = if grown { 0 } else { now.max(1) };
        interface.log_found_full.store(found, Relaxed);
    }

    /// Returns how many bytes of the file system history may use.
    fn room_for_history(&self) -> u64 {
        // After chroot(2) or in a sandbox nobody can tell, and the log may grow.
        if !may(Extra::Files) {
            return u64::MAX;
        }
        sys::file_system_room(self.path.cstr()).map_or(u64::MAX, |(size, free)| {
            free.saturating_sub((size / 4).min(LEFT_ALONE))
        })
    }
}
