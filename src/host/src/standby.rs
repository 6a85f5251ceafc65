//! Who sees to it that there is another host process when this one is killed.
//!
//! Programs that wait to be spoken to ask nobody, so nobody would start one for them. A process
//! stands by as soon as packets are read for an interface. The two hear of each other's end by a
//! pipe: the host process has its reading end and starts another that stands by; that one has its
//! writing end and starts another host process, unless this one has resigned
//! ([`NetDir::resign_host`]) or the net is gone. It stays and stands by for that one.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_sys::Fd;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How a process that stands by is started for the host process of an epoch. It returns the reading
/// end of the pipe.
pub type Starter<'s> = &'s dyn Fn(&NetDir, u64) -> Result<Option<Fd>, Errno>;

/// How long one has to live to be followed by another one at once.
const LIVES: Duration = Duration::from_secs(1);

/// How soon one that has not lived so long is followed by another one: at first, and at most. The
/// time doubles with each, because one that cannot live must not keep the processor busy. It is
/// short, because a host process that is killed meanwhile has no successor.
pub const FOLLOWED: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];

/// The process that stands by for a host process.
pub struct Standby<'s> {
    starter: Option<Starter<'s>>,
    /// The end of the pipe while it lives.
    life: Option<Fd>,
    started: Option<Instant>,
    /// How soon after one that does not live the next is started.
    pause: Duration,
    /// When the next may be started, where that is not at once.
    due: Option<Instant>,
}

impl<'s> Standby<'s> {
    /// Nobody stands by who would not be started by `starter`; where there is a `life`, somebody
    /// does already.
    pub fn new(starter: Option<Starter<'s>>, life: Option<Fd>) -> Standby<'s> {
        Standby {
            starter,
            life,
            started: None,
            pause: FOLLOWED[0],
            due: None,
        }
    }

    /// Returns the descriptor that is at its end when it has ended, or -1.
    pub(crate) fn life(&self) -> i32 {
        self.life.as_ref().map_or(-1, Fd::as_raw_fd)
    }

    /// It has ended.
    pub(crate) fn has_ended(&mut self) {
        self.life = None;
        self.rest();
    }

    /// Says when the next may be started.
    fn rest(&mut self) {
        let lived = self.started.is_none_or(|at| at.elapsed() >= LIVES);
        if lived {
            self.pause = FOLLOWED[0];
            return;
        }
        self.due = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(FOLLOWED[1]);
    }

    /// Returns how soon there is something to do, or None: not by itself.
    pub(crate) fn timer(&self) -> Option<Duration> {
        let due = self.due.filter(|_| self.life.is_none())?;
        // A millisecond is the least that poll(2) waits.
        let left = due.saturating_duration_since(Instant::now());
        Some(left.max(Duration::from_millis(1)))
    }

    /// Starts one where there is none. Once begun it stays as long as the host process.
    pub(crate) fn follow(&mut self, net: &NetDir, epoch: u64) {
        let Some(starter) = self.starter else { return };
        if self.life.is_some() || self.due.is_some_and(|due| Instant::now() < due) {
            return;
        }
        self.due = None;
        self.started = Some(Instant::now());
        match starter(net, epoch) {
            Ok(Some(life)) => self.life = Some(life),
            // Without a pipe nobody hears of anybody's end; one without descriptors tries again.
            Ok(None) => self.due = Some(Instant::now() + LIVES),
            Err(e) => {
                self.due = Some(Instant::now() + LIVES);
                log::debug!("nobody stands by for the host process: {e}");
            }
        }
    }
}
