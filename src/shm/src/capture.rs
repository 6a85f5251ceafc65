//! The words of an interface by which its writers and the capturer wait for each other. None of
//! these functions takes a lock.
#![forbid(unsafe_code)]

use crate::layout::InterfaceState;
use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::time::Duration;

impl InterfaceState {
    /// Has somebody waited for the capturer in vain, so that nobody waits for it until it reads
    /// again?
    pub fn capture_given_up(&self) -> bool {
        let cursor = self.capture_cursor.load(Acquire);
        cursor != u64::MAX && self.capture_given_up.load(Acquire) == cursor + 1
    }

    /// Records that somebody has waited for the capturer in vain.
    pub fn give_up_on_capturer(&self) {
        let cursor = self.capture_cursor.load(Acquire);
        self.capture_given_up.store(cursor.wrapping_add(1), SeqCst);
    }

    /// Has the capturer still to read records before this number?
    pub(crate) fn is_unread_before(&self, number: u64) -> bool {
        number > self.capture_cursor.load(Acquire)
    }

    /// Was a writer refused, or does one wait, because the capturer has not read enough?
    #[inline]
    pub fn is_capturer_behind(&self) -> bool {
        let wanted = self.capture_wanted.load(SeqCst);
        wanted != u64::MAX && self.capture_cursor.load(SeqCst) <= wanted
    }

    /// Begins a capture that wants every record from this number on. What writers waited for in an
    /// earlier capture is forgotten.
    pub fn capture_from(&self, number: u64) {
        self.capture_cursor.store(number, SeqCst);
        self.capture_given_up.store(0, SeqCst);
        self.wake_writers();
    }

    /// Records that the capturer has read everything before this number, and wakes the writers that
    /// wait for that.
    pub fn captured_upto(&self, number: u64) {
        self.capture_cursor.store(number, SeqCst);
        if number > self.capture_wanted.load(SeqCst) {
            self.wake_writers();
        }
    }

    #[cold]
    fn wake_writers(&self) {
        self.capture_wanted.store(u64::MAX, SeqCst);
        self.capture_event.fetch_add(1, SeqCst);
        memtun_sys::futex_wake_all(&self.capture_event);
    }

    /// Asks the capturer to read the records before `number`, and some more: writers are woken once
    /// for a quarter of the log, and not for each packet that it reads. Returns the number that the
    /// capturer has to reach.
    pub fn want_captured(&self, number: u64) -> u64 {
        let kept = self.log.next().number().saturating_sub(number);
        let comfortable = number + kept / 4;
        let wanted = comfortable.saturating_sub(1);
        if self.capture_wanted.fetch_min(wanted, SeqCst) == u64::MAX {
            let now = memtun_sys::now_ns(libc::CLOCK_MONOTONIC);
            self.capture_behind_since.store(now, SeqCst);
        }
        comfortable
    }

    /// Sleeps for at most `time` until the capturer has read enough for many more packets. Returns
    /// true when it has read the records before `number`, which is what the caller needs.
    pub fn wait_captured(&self, number: u64, time: Duration) -> bool {
        let seen = self.capture_event.load(SeqCst);
        let comfortable = self.want_captured(number);
        if self.capture_cursor.load(SeqCst) < comfortable {
            let _ = memtun_sys::futex_wait(&self.capture_event, seen, Some(time));
        }
        self.capture_cursor.load(SeqCst) >= number
    }
}
