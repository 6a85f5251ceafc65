//! The writers' side: room in a log that is captured.
#![forbid(unsafe_code)]

use crate::net::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::lock::{holds_any, Patience};
use crate::shm::{InterfaceGuard, Mapped};
use crate::{sys, Errno};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

/// How long a packet waits for a capturer that lives.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a writer sleeps before it looks whether the capturer lives.
const SLICE: Duration = Duration::from_millis(20);

/// How often those who do not sleep look whether the capturer lives, all together.
const LOOK: Duration = Duration::from_millis(15);

/// How long somebody waits for room.
#[derive(Clone, Copy)]
pub enum Wait {
    /// Not at all, and that there is none counts for nothing: whoever asks will ask again.
    Glance,
    /// Not at all: O_NONBLOCK.
    Never,
    /// As a blocking write: for five seconds, then what the capturer has not read is overwritten.
    Usual,
    /// The same, but not beyond this moment.
    Until(Instant),
}

impl Wait {
    /// Of a descriptor with these status flags.
    pub fn of_flags(open_flags: i32) -> Wait {
        if open_flags & libc::O_NONBLOCK != 0 {
            Wait::Never
        } else {
            Wait::Usual
        }
    }

    /// Of a caller who waits until then, or for ever.
    pub fn until(end: Option<Instant>) -> Wait {
        end.map_or(Wait::Usual, Wait::Until)
    }

    /// How long the interface's lock is waited for.
    pub fn for_lock(self) -> Patience {
        match self {
            Wait::Glance => Patience::Glance,
            Wait::Never | Wait::Usual => Patience::Program,
            Wait::Until(end) => {
                Patience::Driver(Some(end.saturating_duration_since(Instant::now())))
            }
        }
    }

    /// For one nap.
    fn nap(self) -> Option<Duration> {
        // In a signal handler that came while this thread held a lock, which the capturer may want.
        if holds_any() {
            return None;
        }
        let left = match self {
            Wait::Glance | Wait::Never => return None,
            Wait::Usual => SLICE,
            Wait::Until(end) => end.saturating_duration_since(Instant::now()),
        };
        Some(left.min(SLICE)).filter(|left| !left.is_zero())
    }
}

/// Why a packet was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What the writer is told.
    pub errno: Errno,
    /// Because the capturer is behind by the whole log. It is counted, and there is no room to
    /// show it in the capture.
    pub behind: bool,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal {
            errno,
            behind: false,
        }
    }
}

impl Refusal {
    /// There is no room, of the kind that is worth waiting for elsewhere.
    pub fn is_full_queue(&self) -> bool {
        self.errno == Errno(libc::EAGAIN) && !self.behind
    }
}

impl NetDir {
    /// The interface's lock, with room in its log for a packet of `len` bytes, and whether somebody
    /// captures. Waits for the capturer as long as `wait` says; EAGAIN then. EBADFD when
    /// somebody captures and the interface is gone.
    #[inline]
    pub fn lock_log<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        len: usize,
        wait: Wait,
    ) -> Result<(InterfaceGuard<'i>, bool), Refusal> {
        let lock = self.lock_interface(interface, wait.for_lock())?;
        if let Some(upto) = lock.log_writer().wants(len) {
            self.grow_log(&lock, upto);
        }
        if self.is_captured() {
            self.make_room(interface, lock, len, wait)
        } else {
            Ok((lock, false))
        }
    }

    #[cold]
    fn make_room<'i>(
        &self,
        interface: &'i Mapped<InterfaceState>,
        mut lock: InterfaceGuard<'i>,
        len: usize,
        wait: Wait,
    ) -> Result<(InterfaceGuard<'i>, bool), Refusal> {
        let mut end = None;
        loop {
            if interface.is_going() {
                return Err(Errno(libc::EBADFD).into());
            }
            let Some(number) = lock.log_blocked(len) else {
                return Ok((lock, true));
            };
            if matches!(wait, Wait::Glance) {
                return Err(Errno(libc::EAGAIN).into());
            }
            drop(lock);
            let now = sys::now_ns(libc::CLOCK_MONOTONIC);
            let end = *end.get_or_insert(now + PATIENCE.as_nanos() as u64);
            let nap = wait.nap();
            let mut overwrite = false;
            match nap {
                None => {
                    interface.want_captured(number);
                    self.look_after_capturer(interface);
                    // It may have read meanwhile, or be no more.
                    if self.is_captured() && interface.is_capturer_behind() {
                        interface.capture_refused.fetch_add(1, Relaxed);
                        return Err(Refusal {
                            errno: Errno(libc::EAGAIN),
                            behind: true,
                        });
                    }
                }
                Some(_) if interface.capture_given_up() => overwrite = true,
                Some(_) if now >= end => {
                    interface.give_up_on_capturer();
                    overwrite = true;
                }
                Some(nap) => {
                    if !interface.wait_captured(number, nap) {
                        self.look_after_capturer(interface);
                    }
                }
            }
            lock = self.lock_interface(interface, wait.for_lock())?;
            if overwrite || !self.is_captured() {
                return Ok((lock, self.is_captured()));
            }
        }
    }

    /// Is a tunnel of this interface not writable because the capturer is behind?
    #[inline]
    pub fn is_capturer_behind(&self, interface: &InterfaceState) -> bool {
        if !self.is_captured() || !interface.is_capturer_behind() {
            return false;
        }
        self.look_after_capturer(interface);
        self.is_captured() && interface.is_capturer_behind()
    }

    /// Finds out now and then whether the capturer that somebody waits for lives. Takes no lock.
    /// Where nobody can tell, as after chroot(2), it is not waited for longer than
    /// [`PATIENCE`].
    #[cold]
    fn look_after_capturer(&self, interface: &InterfaceState) {
        let now = sys::now_ns(libc::CLOCK_MONOTONIC);
        let looked = interface.capturer_looked.load(Relaxed);
        let is_due = looked > now || now - looked >= LOOK.as_nanos() as u64;
        let mine = is_due
            && interface
                .capturer_looked
                .compare_exchange(looked, now, SeqCst, Relaxed)
                .is_ok();
        if !mine || self.strike_off_dead_capturer() {
            return;
        }
        let since = interface.capture_behind_since.load(SeqCst);
        if now.saturating_sub(since) >= PATIENCE.as_nanos() as u64 {
            // Nobody waits any more until the capturer reads again.
            interface.captured_upto(u64::MAX);
        }
    }
}
