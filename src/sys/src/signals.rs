//! Signals that are held back for a moment.
#![forbid(unsafe_code)]

use super::quiet::{may, Extra};
use super::{change_mask, pending_signals, signal_action};
use std::marker::PhantomData;

/// The signals that an instruction of the thread's own causes. The kernel ends a process that
/// blocks them.
const CAUSED: [i32; 6] = [
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
];

/// Keeps handlers from the calling thread until it is dropped.
#[must_use]
pub struct Quiet {
    /// The signals that are blocked for this only.
    held: u64,
    /// The mask is the thread's.
    _thread: PhantomData<*const ()>,
}

/// Blocks all signals of the calling thread but those that its own instructions cause, so that no
/// handler runs while it holds a lock that others want: who knows how long a handler takes. It
/// costs two system calls, so it is for calls that make some anyway. Where a sandbox forbids it
/// nothing is blocked.
pub fn hold_signals() -> Quiet {
    let caused = CAUSED
        .iter()
        .fold(0, |bits, signal| bits | 1 << (signal - 1));
    let all = !caused;
    let held = match may(Extra::Signals) {
        true => change_mask(libc::SIG_BLOCK, all).map_or(0, |before| all & !before),
        false => 0,
    };
    Quiet {
        held,
        _thread: PhantomData,
    }
}

impl Quiet {
    /// Has a signal come meanwhile whose handler ends a call that waits? Handlers that have
    /// SA_RESTART do not end one that `restarts`.
    pub fn would_interrupt(&self, restarts: bool) -> bool {
        let ends = |signal: &i32| {
            let (handler, flags) = signal_action(*signal);
            let is_handler = ![libc::SIG_DFL, libc::SIG_IGN].contains(&handler);
            is_handler && !(restarts && flags & libc::SA_RESTART as u64 != 0)
        };
        let come = pending_signals() & self.held;
        come != 0
            && (1..=64)
                .filter(|signal| come & 1 << (signal - 1) != 0)
                .any(|signal| ends(&signal))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.held != 0 {
            let _ = change_mask(libc::SIG_UNBLOCK, self.held);
        }
    }
}
