//! The writers' side: room in a log that is captured.

use crate::netdir::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::lock::{holds_any, Guard, Level};
use crate::shm::Mapped;
use crate::{sys, Errno};
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

/// How long a packet waits for a capturer that lives.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a writer sleeps before it looks whether the capturer lives.
const SLICE: Duration = Duration::from_millis(20);

impl NetDir {
    /// The interface's lock, with room in its log for a packet of `len` bytes, and whether somebody captures. May wait for
    /// the capturer. EBADFD when somebody captures and the interface is gone.
    #[inline]
    pub(crate) fn lock_log<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        len: usize,
    ) -> std::result::Result<(Guard<'i>, bool), Errno> {
        let lock = interface.lock.lock(Level::Interface, || {})?;
        if self.is_captured() {
            self.make_room(interface, lock, len)
        } else {
            Ok((lock, false))
        }
    }

    #[cold]
    fn make_room<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        mut lock: Guard<'i>,
        len: usize,
    ) -> std::result::Result<(Guard<'i>, bool), Errno> {
        let end = sys::now_ns(libc::CLOCK_MONOTONIC) + PATIENCE.as_nanos() as u64;
        loop {
            if interface.deleted.load(Acquire) != 0 {
                return Err(Errno(libc::EBADFD));
            }
            let Some(number) = interface.log_blocked(len) else {
                return Ok((lock, true));
            };
            drop(lock);
            if !self.wait_for_capturer(interface, number, end) {
                // Nobody waits any more until the capturer reads again.
                interface.captured_upto(u64::MAX);
            }
            lock = interface.lock.lock(Level::Interface, || {})?;
            if !self.is_captured() {
                return Ok((lock, false));
            }
        }
    }

    /// True when it is worth another look, false when the capturer has been waited for long enough.
    fn wait_for_capturer(&self, interface: &Mapped<InterfaceState>, number: u64, end: u64) -> bool {
        // In a signal handler that came while this thread held a lock, which the capturer may want.
        if holds_any() || sys::now_ns(libc::CLOCK_MONOTONIC) >= end {
            return false;
        }
        if !interface.wait_captured(number, SLICE) {
            if let Ok(_lock) = self.lock() {
                self.capturer_lives();
            }
        }
        true
    }
}
