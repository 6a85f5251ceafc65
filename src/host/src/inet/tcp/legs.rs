//! What waits for the legs' events and for the time: an epoll instance and a thread.
#![forbid(unsafe_code)]

use super::door::Doors;
use super::leg::{Event, Leg};
use memtun_abi::Errno;
use memtun_kernel::Cause;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{eventfd, EventfdFlags};
use rustix::io::Errno as Native;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
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
    /// How many descriptors this process may have, as was seen last.
    limit: AtomicUsize,
    /// The log has said that there are no more.
    said: AtomicBool,
    pub(super) doors: Doors,
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
        event: Event,
    },
}

fn errno(e: Native) -> Errno {
    Errno(e.raw_os_error())
}

/// How many of so many descriptors no connection takes: questions come on descriptors, too, and
/// interfaces are looked at by them.
fn kept(limit: usize) -> usize {
    const KEPT: usize = 64;
    KEPT.min(limit / 4)
}

/// Each connection needs a descriptor: as many as this process may have. Returns how many.
fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum || limit.current.is_some() && limit.maximum.is_none() {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|n| n.try_into().ok()).unwrap_or(usize::MAX)
}

impl Legs {
    /// Begins with the listener of the port `open`.
    ///
    /// # Errors
    ///
    /// EMFILE and others.
    pub fn new(open: BorrowedFd<'_>) -> Result<Legs, Errno> {
        let limit = raise_limit();
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
            limit: AtomicUsize::new(limit),
            said: AtomicBool::new(false),
            doors: Doors::default(),
        })
    }

    /// Is there a descriptor for another connection, where there are so many?
    pub(super) fn have_room(&self, connections: usize) -> bool {
        let limit = self.limit.load(Relaxed);
        // Asking the kernel costs two system calls.
        if connections < limit / 2 {
            return true;
        }
        let next = rustix::io::fcntl_dupfd_cloexec(&self.wakes, 0);
        let fits = |limit: usize| {
            let last = limit - kept(limit);
            next.as_ref()
                .is_ok_and(|next| (next.as_raw_fd() as usize) < last)
        };
        if fits(limit) {
            return true;
        }
        // Somebody may have raised it.
        let limit = raise_limit();
        self.limit.store(limit, Relaxed);
        let fits = fits(limit);
        if !self.said.swap(!fits, Relaxed) && !fits {
            log::error!(
                "the net has as many connections as its host process ({}) may have: {}",
                std::process::id(),
                Cause(Errno(libc::EMFILE))
            );
        }
        fits
    }

    /// The kernel gives the lowest number that is free: is the leg's none of the last ones? The
    /// programs that were told to come when there was room may take half of what is kept.
    fn check(&self, leg: &Leg) -> Result<(), Errno> {
        let limit = self.limit.load(Relaxed);
        match (leg.as_fd().as_raw_fd() as usize) < limit - kept(limit) / 2 {
            true => Ok(()),
            false => Err(Errno(libc::EMFILE)),
        }
    }

    /// Makes a leg with a name of its own, as [`Leg::bound`].
    pub(super) fn bound(&self, name: &SocketAddr, shared: bool) -> Result<Leg, Errno> {
        let leg = Leg::bound(name, shared)?;
        self.check(&leg)?;
        Ok(leg)
    }

    /// Waits for a leg from now on. Each event comes once.
    pub(super) fn add(&self, leg: &Leg, number: usize, serial: u32) -> Result<(), Errno> {
        self.check(leg)?;
        let data = EventData::new_u64((number as u64) << 32 | u64::from(serial));
        epoll::add(&self.epoll, leg.as_fd(), data, READS).map_err(errno)
    }

    /// Waits for programs that come to a door.
    pub(super) fn add_door(&self, door: &Leg) -> Result<(), Errno> {
        let data = EventData::new_u64(OPEN);
        epoll::add(&self.epoll, door.as_fd(), data, EventFlags::IN).map_err(errno)
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
