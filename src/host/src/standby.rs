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

/// How soon one that has ended is followed by another one. One that cannot live must not keep the
/// processor busy.
const PAUSE: Duration = Duration::from_secs(1);

/// The process that stands by for a host process.
pub struct Standby<'s> {
    starter: Option<Starter<'s>>,
    /// The end of the pipe while it lives.
    life: Option<Fd>,
    started: Option<Instant>,
}

impl<'s> Standby<'s> {
    /// Nobody stands by who would not be started by `starter`; where there is a `life`, somebody
    /// does already.
    pub fn new(starter: Option<Starter<'s>>, life: Option<Fd>) -> Standby<'s> {
        Standby {
            starter,
            life,
            started: None,
        }
    }

    /// Returns the descriptor that is at its end when it has ended, or -1.
    pub(crate) fn life(&self) -> i32 {
        self.life.as_ref().map_or(-1, Fd::as_raw_fd)
    }

    /// It has ended.
    pub(crate) fn has_ended(&mut self) {
        self.life = None;
    }

    /// Starts one where there is none. Once begun it stays as long as the host process.
    pub(crate) fn follow(&mut self, net: &NetDir, epoch: u64) {
        let Some(starter) = self.starter else { return };
        let rests = self.started.is_some_and(|at| at.elapsed() < PAUSE);
        if self.life.is_some() || rests {
            return;
        }
        self.started = Some(Instant::now());
        match starter(net, epoch) {
            Ok(life) => self.life = life,
            Err(e) => log::debug!("nobody stands by for the host process: {e}"),
        }
    }
}
