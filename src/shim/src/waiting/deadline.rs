//! Deadlines of waits, and the host's wait until one.
#![forbid(unsafe_code)]

use crate::host;
use libc::{c_int, nfds_t, pollfd, sigset_t, timespec};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// The end of a wait.
#[derive(Clone, Copy)]
pub struct Deadline(Option<u64>);

impl Deadline {
    /// The deadline after a relative time; with `None` the wait lasts for ever.
    pub fn after(time: Option<timespec>) -> Deadline {
        Deadline(time.map(|t| {
            if t.tv_sec == 0 && t.tv_nsec == 0 {
                return 0;
            }
            let ns = (t.tv_sec.max(0) as u64)
                .saturating_mul(1_000_000_000)
                .saturating_add(t.tv_nsec.max(0) as u64);
            sys::now_ns(libc::CLOCK_MONOTONIC).saturating_add(ns)
        }))
    }
    /// The deadline after a time in milliseconds, as poll(2) and epoll_wait(2) take it.
    pub fn after_ms(timeout: c_int) -> Deadline {
        Deadline::after((timeout >= 0).then(|| timespec {
            tv_sec: (timeout / 1000) as libc::time_t,
            tv_nsec: (timeout % 1000) as libc::c_long * 1_000_000,
        }))
    }
    /// The time that is left; `None` for ever.
    pub fn left(&self) -> Option<timespec> {
        self.0.map(|end| {
            let ns = end.saturating_sub(sys::now_ns(libc::CLOCK_MONOTONIC));
            timespec {
                tv_sec: (ns / 1_000_000_000) as libc::time_t,
                tv_nsec: (ns % 1_000_000_000) as libc::c_long,
            }
        })
    }
    /// The time that is left, but at most `moment`: for a waiter that has to look by itself.
    pub fn nap(&self, moment: timespec) -> timespec {
        self.left()
            .filter(|t| t.tv_sec == 0 && t.tv_nsec < moment.tv_nsec)
            .unwrap_or(moment)
    }
    /// Does the wait return at once?
    pub fn is_now(&self) -> bool {
        self.0 == Some(0)
    }
    /// Has the deadline passed?
    pub fn over(&self) -> bool {
        self.left().is_some_and(|t| t.tv_sec == 0 && t.tv_nsec == 0)
    }
}

/// The time of a wait that returns at once.
pub const NOW: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// A time in whole milliseconds, rounded up, because a wait must not end before its time.
pub fn milliseconds(time: Option<timespec>) -> c_int {
    time.map_or(-1, |t| {
        (t.tv_sec * 1000 + (t.tv_nsec + 999_999) / 1_000_000).min(c_int::MAX as i64) as c_int
    })
}

/// A call of ppoll(2) that is ready to be made, with the array in a bed. Making it computes nothing
/// that could fail: it is done in frames that must have nothing to clean up.
#[derive(Clone, Copy)]
pub struct Question {
    fds: *mut pollfd,
    n: nfds_t,
    time: Option<timespec>,
    /// The time for poll(2), where ppoll(2) may not be called.
    plain: Option<c_int>,
}

impl Question {
    /// A question about these descriptors, which lasts as long as they stay where they are.
    pub fn new(fds: &mut [pollfd], time: Option<timespec>, mask: *const sigset_t) -> Question {
        let is_plain = mask.is_null() && !may(Extra::Poll);
        Question {
            fds: fds.as_mut_ptr(),
            n: fds.len() as nfds_t,
            time,
            plain: is_plain.then(|| milliseconds(time)),
        }
    }

    /// Asks. libc makes the call, so that it stays a cancellation point.
    #[inline(always)]
    pub fn ask(&self, mask: *const sigset_t) -> c_int {
        if let Some(timeout) = self.plain {
            return host::poll(self.fds, self.n, timeout);
        }
        let time = match &self.time {
            Some(time) => time as *const timespec,
            None => std::ptr::null(),
        };
        host::ppoll(self.fds, self.n, time, mask)
    }
}

/// Does the kernel report one of these events of a descriptor now? This is no cancellation point.
pub fn has_now(fd: c_int, events: i16) -> bool {
    let mut asked = [pollfd {
        fd,
        events,
        revents: 0,
    }];
    let question = Question::new(&mut asked, Some(NOW), std::ptr::null());
    host::uncancelled(|| question.ask(std::ptr::null())) > 0
}
