//! The thread that waits for legs and for the time.
#![forbid(unsafe_code)]

use super::legs::{Legs, Ready, AT_ONCE, OPEN, WAKE};
use crate::inet::Shared;
use rustix::event::epoll::{self, Event, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno as Native;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Serves legs and timers until [`Legs::end`].
pub fn run(legs: &Legs, shared: &Shared<'_>) {
    const LONG: Duration = Duration::from_secs(3600);
    let mut events: Vec<Event> = Vec::with_capacity(AT_ONCE);
    let mut ready = Vec::new();
    while !legs.over.load(SeqCst) {
        let wait = step(legs, shared, &ready).unwrap_or(LONG).min(LONG);
        ready.clear();
        events.clear();
        let time = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let waited = epoll::wait(
            &legs.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&time),
        );
        legs.sleep_until(None);
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
                    let _ = rustix::io::read(&legs.wakes, &mut [0; 8]);
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
fn step(legs: &Legs, shared: &Shared<'_>, ready: &[Ready]) -> Option<Duration> {
    let mut all = shared.lock();
    // What was written before a program shut its socket has come before that.
    if !ready.is_empty() {
        all.catch_up();
    }
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
    legs.sleep_until(Some(Instant::now() + far));
    wait
}
