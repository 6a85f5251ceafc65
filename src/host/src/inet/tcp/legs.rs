//! What waits for the legs' events and for the time: an epoll instance and a thread.
#![forbid(unsafe_code)]

use super::super::Shared;
use super::leg::Leg;
use memtun_abi::Errno;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{eventfd, EventfdFlags, Timespec};
use rustix::io::Errno as Native;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Numbers of what is no leg.
const WAKE: u64 = u64::MAX;
const OPEN: u64 = u64::MAX - 1;

/// What is waited for from the beginning.
const READS: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// Events that are taken before others have the lock.
const AT_ONCE: usize = 64;

/// What is waited for.
pub struct Legs {
    epoll: OwnedFd,
    wakes: OwnedFd,
    /// Until when the thread sleeps; None while it does not.
    sleeps: Mutex<Option<Instant>>,
    over: AtomicBool,
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

    fn sleep_until(&self, time: Option<Instant>) {
        let sleeps = self.sleeps.lock();
        *sleeps.unwrap_or_else(std::sync::PoisonError::into_inner) = time;
    }

    /// Serves legs and timers until [`Legs::end`].
    pub fn run(&self, shared: &Shared<'_>) {
        const LONG: Duration = Duration::from_secs(3600);
        let mut events: Vec<Event> = Vec::with_capacity(AT_ONCE);
        let mut ready = Vec::new();
        while !self.over.load(SeqCst) {
            let wait = self.step(shared, &ready).unwrap_or(LONG).min(LONG);
            ready.clear();
            events.clear();
            let time = Timespec {
                tv_sec: wait.as_secs() as i64,
                tv_nsec: i64::from(wait.subsec_nanos()),
            };
            let waited = epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&time),
            );
            self.sleep_until(None);
            if let Err(e) = waited {
                if e != Native::INTR {
                    log::error!("the host process cannot wait for its connections: {e}");
                    memtun_sys::nap(Duration::from_millis(100));
                }
                continue;
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => {
                        let _ = rustix::io::read(&self.wakes, &mut [0; 8]);
                    }
                    OPEN => ready.push(Ready::Open),
                    data => {
                        let flags = event.flags;
                        let gone = EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP;
                        ready.push(Ready::Leg {
                            number: (data >> 32) as usize,
                            serial: data as u32,
                            readable: flags.intersects(EventFlags::IN | gone),
                            failed: flags.contains(EventFlags::ERR),
                            writable: flags.intersects(EventFlags::OUT | gone),
                        });
                    }
                }
            }
        }
    }

    /// Takes events and does what is due. Returns how long there is nothing to do. A mistake here
    /// costs the connections that it concerns, and no others.
    fn step(&self, shared: &Shared<'_>, ready: &[Ready]) -> Option<Duration> {
        let mut all = shared.lock();
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            let (mut out, ends) = all.parts();
            ends.tcp.ready(&mut ends.sockets, &mut out, ready);
            ends.tcp.flush(&mut ends.sockets, &mut out);
            ends.tcp.run_timers(&mut ends.sockets, &mut out)
        }));
        let wait = match stepped {
            Ok(wait) => wait,
            Err(_) => {
                log::error!("a connection found a mistake in memtun");
                Some(Duration::from_millis(10))
            }
        };
        all.settle();
        let far = wait.unwrap_or(Duration::from_secs(3600));
        // Said under the lock: whoever takes it next knows until when this thread sleeps.
        self.sleep_until(Some(Instant::now() + far));
        wait
    }
}
