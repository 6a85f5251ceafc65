//! Something that happens once, and waiting for what happens first.
#![forbid(unsafe_code)]

use crate::failure::{plain, Failure};
use memtun::{Deadline, Timeout};
use rustix::event::{eventfd, poll, EventfdFlags, PollFd, PollFlags, Timespec};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Something that has happened or will happen, for whoever waits with [`wait`].
pub struct Event(OwnedFd);

impl Event {
    /// Makes an event that has not happened.
    pub fn new() -> Result<Event, Failure> {
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let failure =
            |e: rustix::io::Errno| Failure::not_done(format!("eventfd: {}", plain(&e.into())));
        made.map(Event).map_err(failure)
    }

    /// Makes the event happen. A signal handler may call this: it makes one system call, which does
    /// not touch errno.
    pub fn set(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Has the event happened?
    pub fn is_set(&self) -> bool {
        wait([self.as_fd()], Deadline::after(Timeout::NOW))
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until there is something to read from one of the descriptors. Returns false when the time
/// was over before.
pub fn wait<'a>(fds: impl IntoIterator<Item = BorrowedFd<'a>>, until: Deadline) -> bool {
    let entries = fds
        .into_iter()
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    poll_until(&mut entries.collect::<Vec<_>>(), until)
}

/// Waits until the descriptor can be written to, or never will be.
pub fn wait_writable(fd: BorrowedFd<'_>) {
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll_until(&mut entry, Deadline::NEVER);
}

fn poll_until(entries: &mut [PollFd<'_>], until: Deadline) -> bool {
    loop {
        let left = until.left().and_then(|left| Timespec::try_from(left).ok());
        match poll(entries, left.as_ref()) {
            Ok(0) if until.is_over() => return false,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            _ => return true,
        }
    }
}
