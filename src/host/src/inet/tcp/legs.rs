//! What waits for the legs' events and for the time: an epoll instance and a thread.
#![forbid(unsafe_code)]

use super::leg::Leg;
use memtun_abi::Errno;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{eventfd, EventfdFlags};
use rustix::io::Errno as Native;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Mutex;
use std::time::Instant;

/// Numbers of what is no leg.
pub(super) const WAKE: u64 = u64::MAX;
pub(super) const OPEN: u64 = u64::MAX - 1;

/// What is waited for from the beginning.
const READS: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::PRI)
    .union(EventFlags::ET);

/// Events that are taken before others have the lock.
pub(super) const AT_ONCE: usize = 64;

/// What is waited for.
pub struct Legs {
    pub(super) epoll: OwnedFd,
    pub(super) wakes: OwnedFd,
    /// Until when the thread sleeps; None while it does not.
    sleeps: Mutex<Option<Instant>>,
    pub(super) over: AtomicBool,
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ready {
    /// Somebody has connected to the port `open`.
    Open,
    /// A leg, by number and serial.
    Leg {
        number: usize,
        serial: u32,
        readable: bool,
        writable: bool,
        failed: bool,
        urgent: bool,
    },
}

fn errno(e: Native) -> Errno {
    Errno(e.raw_os_error())
}

/// Each connection needs a descriptor: as many as this process may have.
fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.current.is_some() && limit.maximum.is_none() {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}

impl Legs {
    /// Begins with the listener of the port `open`.
    ///
    /// # Errors
    ///
    /// EMFILE and others.
    pub fn new(open: BorrowedFd<'_>) -> Result<Legs, Errno> {
        raise_limit();
        memtun_sys::give_large_memory_back();
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(errno)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let wakes = eventfd(0, flags).map_err(errno)?;
        epoll::add(&epoll, open, EventData::new_u64(OPEN), EventFlags::IN).map_err(errno)?;
        epoll::add(&epoll, &wakes, EventData::new_u64(WAKE), EventFlags::IN).map_err(errno)?;
        Ok(Legs {
            epoll,
            wakes,
            sleeps: Mutex::new(None),
            over: AtomicBool::new(false),
        })
    }

    /// Waits for a leg from now on. Each event comes once.
    pub(super) fn add(&self, leg: &Leg, number: usize, serial: u32) -> Result<(), Errno> {
        let data = EventData::new_u64((number as u64) << 32 | u64::from(serial));
        epoll::add(&self.epoll, leg.as_fd(), data, READS).map_err(errno)
    }

    /// Waits for room in a leg, too, from now on: before the first time that there is none nobody
    /// has to be woken for it.
    pub(super) fn add_room(&self, leg: &mut Leg, number: usize, serial: u32) {
        if !std::mem::replace(&mut leg.room_is_waited_for, true) {
            let data = EventData::new_u64((number as u64) << 32 | u64::from(serial));
            let _ = epoll::modify(&self.epoll, leg.as_fd(), data, READS | EventFlags::OUT);
        }
    }

    /// Wakes the thread if it sleeps longer than until then.
    pub(super) fn wake_before(&self, time: Instant) {
        let sleeps = self.sleeps.lock();
        let mut sleeps = sleeps.unwrap_or_else(std::sync::PoisonError::into_inner);
        if sleeps.is_some_and(|until| until > time) {
            *sleeps = None;
            self.wake();
        }
    }

    fn wake(&self) {
        let _ = rustix::io::write(&self.wakes, &1_u64.to_ne_bytes());
    }

    /// Ends the thread.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
        self.wake();
    }

    pub(super) fn sleep_until(&self, time: Option<Instant>) {
        let sleeps = self.sleeps.lock();
        *sleeps.unwrap_or_else(std::sync::PoisonError::into_inner) = time;
    }
}
