//! Room for a writer's packet in a log that somebody captures.
#![forbid(unsafe_code)]

use crate::net::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::lock::{holds_any, Patience};
use crate::shm::{InterfaceGuard, Mapped};
use crate::{sys, Errno};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

/// How long a packet waits for a capturer that lives and does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a writer sleeps before it checks whether the capturer lives.
const SLICE: Duration = Duration::from_millis(20);

/// How often those who do not sleep check whether the capturer lives, all of them together.
const LOOK: Duration = Duration::from_millis(15);

/// How long a writer waits for room.
#[derive(Clone, Copy)]
pub enum Wait {
    /// Does not wait, and a full log is not counted as a refusal, because the caller will ask
    /// again.
    Glance,
    /// Does not wait: the descriptor has O_NONBLOCK.
    Never,
    /// Waits as a blocking write does: for five seconds, and then overwrites what the capturer has
    /// not read.
    Usual,
    /// Waits as [`Wait::Usual`] does, but not beyond this moment.
    Until(Instant),
}

impl Wait {
    /// Returns how a descriptor with these status flags waits.
    pub fn of_flags(open_flags: i32) -> Wait {
        if open_flags & libc::O_NONBLOCK != 0 {
            Wait::Never
        } else {
            Wait::Usual
        }
    }

    /// Returns how a caller waits who gives up at `end`, or never.
    pub fn until(end: Option<Instant>) -> Wait {
        end.map_or(Wait::Usual, Wait::Until)
    }

    /// Returns how long the interface's lock is waited for.
    pub fn for_lock(self) -> Patience {
        match self {
            Wait::Glance => Patience::Glance,
            Wait::Never | Wait::Usual => Patience::Program,
            Wait::Until(end) => {
                Patience::Driver(Some(end.saturating_duration_since(Instant::now())))
            }
        }
    }

    /// Returns how long the next nap is, or None when the caller does not wait.
    fn nap(self) -> Option<Duration> {
        // This is a signal handler that came while its thread held a lock, and the capturer may
        // want that lock.
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
    /// The errno that the writer gets.
    pub errno: Errno,
    /// Is the reason that the capturer is behind by the whole log? Such a packet is counted, but
    /// there is no room to show it in the capture.
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
    /// Is there merely no room, so that it makes sense to wait for some?
    pub fn is_full_queue(&self) -> bool {
        self.errno == Errno(libc::EAGAIN) && !self.behind
    }
}

impl NetDir {
    /// Takes the interface's lock, with room in its log for a packet of `len` bytes. Returns the
    /// guard, and whether somebody captures. Waits for the capturer as long as `wait` says.
    ///
    /// # Errors
    ///
    /// - EAGAIN when there is no room or the lock is not released in time.
    /// - EBADFD when somebody captures and the interface is gone.
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
                    // The capturer may have read meanwhile, or be gone.
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

    /// Are the tunnels of this interface not writable because the capturer is behind?
    #[inline]
    pub fn is_capturer_behind(&self, interface: &InterfaceState) -> bool {
        if !self.is_captured() || !interface.is_capturer_behind() {
            return false;
        }
        self.look_after_capturer(interface);
        self.is_captured() && interface.is_capturer_behind()
    }

    /// Finds out now and then whether the capturer that somebody waits for lives. Takes no lock.
    /// Where nobody can tell, as after chroot(2), the capturer is not waited for longer than
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
            // From now on nobody waits until the capturer reads again.
            interface.captured_upto(u64::MAX);
        }
    }
}
