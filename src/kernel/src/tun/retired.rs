//! Mappings of interfaces that a tunnel was attached to before.
//!
//! A call takes the tunnel's mapping without counting that, because counting would cost as much as
//! the rest of the call. So a mapping that was replaced is unmapped when it is known that no call
//! is under way that began before: when the thread that asks is alone, while calls that begin are
//! made to wait.

use crate::shm::layout::InterfaceState;
use crate::shm::Mapped;
use crate::sys;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::time::Duration;

/// Number of mappings that are kept. More accumulate only while a call does not come to its end.
const PLACES: usize = 8;

/// How often a thread lets others go on, and for how long each time. Calls are short, but the
/// thread that makes one may have lost the processor in the middle of it.
const TRIES: usize = 50;
const NAP: Duration = Duration::from_micros(200);

/// The mappings of a tunnel that were current before and may still be in use.
#[derive(Default)]
pub(super) struct Retired {
    words: [AtomicPtr<u8>; PLACES],
    /// Number of threads that change the tunnel's interface now.
    changing: AtomicU32,
    /// Number of calls that wait for those threads.
    waiting: AtomicU32,
    /// Number of calls that have waited and gone on.
    gone_on: AtomicU32,
}

impl Retired {
    /// Runs a change of the interface while calls that begin are made to wait.
    pub fn change(&self, change: impl FnOnce()) {
        self.changing.fetch_add(1, SeqCst);
        change();
        self.changing.fetch_sub(1, SeqCst);
    }

    /// Waits for a change by another thread to end. It does not wait for ever, because a signal
    /// handler may have interrupted that thread.
    pub fn wait_for_change(&self) {
        if self.changing.load(SeqCst) == 0 {
            return;
        }
        self.waiting.fetch_add(1, SeqCst);
        for _ in 0..2 * TRIES {
            if self.changing.load(SeqCst) == 0 {
                break;
            }
            sys::nap(NAP);
        }
        self.waiting.fetch_sub(1, SeqCst);
        self.gone_on.fetch_add(1, SeqCst);
    }

    /// Returns what [`super::Tunnel::held_up`] says.
    pub fn waiting(&self) -> (u32, u32) {
        let gone_on = self.gone_on.load(SeqCst);
        (self.waiting.load(SeqCst), gone_on)
    }

    /// Keeps a word of [`Mapped::into_word`] that nobody finds any more; null is ignored.
    pub fn push(&self, word: *mut u8) {
        if word.is_null() {
            return;
        }
        let is_free = |place: &&AtomicPtr<u8>| {
            place
                .compare_exchange(std::ptr::null_mut(), word, SeqCst, SeqCst)
                .is_ok()
        };
        // Without a free place the mapping stays for ever, because somebody may be using it.
        let _ = self.words.iter().find(is_free);
    }

    /// Unmaps what was kept if no call can be using it. `alone` says whether all other calls began
    /// later or wait.
    pub fn free(&self, alone: impl Fn() -> bool) {
        let words = self
            .words
            .each_ref()
            .map(|place| place.swap(std::ptr::null_mut(), SeqCst));
        if words.iter().all(|word| word.is_null()) {
            return;
        }
        let is_safe = (0..TRIES).any(|n| {
            if n > 0 {
                sys::nap(NAP);
            }
            alone()
        });
        for word in words {
            if !is_safe {
                self.push(word);
            } else if !word.is_null() {
                // SAFETY: the word came from `into_word`, this thread alone took it out of its
                // place, and `alone` said that no call has it.
                drop(unsafe { Mapped::<InterfaceState>::from_word(word) });
            }
        }
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        // The tunnel is being dropped, so no call is under way.
        self.free(|| true);
    }
}
