//! How much history an interface keeps.
//!
//! Nobody may have asked for it yet, so it is what a file system gives when nothing else wants its
//! room: the last quarter is left alone (the last 64 MiB of a large one), for packets that wait to
//! be read, for interfaces to come and for whatever else is there. An interface that came late
//! therefore finds room for what it needs, however much the first ones wrote. Room that comes back
//! later is used again.
#![forbid(unsafe_code)]

use super::NetDir;
use crate::shm::InterfaceGuard;
use crate::sys;
use crate::sys::quiet::{may, Extra};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Of a large file system no more than this is left alone.
const LEFT_ALONE: u64 = 64 << 20;

/// How long a file system that was found full is taken to be full.
const A_WHILE: Duration = Duration::from_millis(100);

impl NetDir {
    /// Gives an interface's log memory for its first `upto` bytes and some more, if there is room
    /// for history.
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

    /// Bytes that the file system has for history.
    fn room_for_history(&self) -> u64 {
        // After chroot(2), or in a sandbox, nobody can tell how much there is.
        if !may(Extra::Files) {
            return u64::MAX;
        }
        sys::file_system_room(self.path.cstr()).map_or(u64::MAX, |(size, free)| {
            free.saturating_sub((size / 4).min(LEFT_ALONE))
        })
    }
}
