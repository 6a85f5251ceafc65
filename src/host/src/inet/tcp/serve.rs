//! The thread that waits for legs and for the time.
#![forbid(unsafe_code)]

use super::leg::Event;
use super::legs::{Legs, Ready, AT_ONCE, OPEN, WAKE};
use crate::inet::Shared;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::Timespec;
use rustix::io::Errno as Native;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How long this thread sleeps at most after it was woken for a time: less than the timers of TCP,
/// so that the next of them does not wake it again.
const NAP: Duration = Duration::from_millis(30);
/// How long it sleeps at most.
const LONG: Duration = Duration::from_secs(3600);

/// Serves legs and timers until [`Legs::end`].
pub fn run(legs: &Legs, shared: &Shared<'_>) {
    let mut events: Vec<epoll::Event> = Vec::with_capacity(AT_ONCE);
    let mut ready = Vec::new();
    let mut most = LONG;
    while !legs.over.load(SeqCst) {
        let wait = step(legs, shared, &ready, most);
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
        if events.is_empty() {
            // Nobody needs it so early any more.
            most = (most * 2).min(LONG);
        }
        for event in &events {
            match event.data.u64() {
                WAKE => {
                    most = NAP;
                    let _ = rustix::io::read(&legs.wakes, &mut [0; 8]);
                }
                OPEN => ready.push(Ready::Open),
                data => {
                    let flags = event.flags;
                    let gone = EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP;
                    ready.push(Ready::Leg {
                        number: (data >> 32) as usize,
                        serial: data as u32,
                        event: Event {
                            readable: flags.intersects(EventFlags::IN | gone),
                            writable: flags.intersects(EventFlags::OUT | gone),
                            failed: flags.contains(EventFlags::ERR),
                            ends: flags.intersects(gone),
                            urgent: flags.contains(EventFlags::PRI),
                        },
                    });
                }
            }
        }
    }
}

/// Takes events and does what is due. Returns how long there is nothing to do, at most `most`. A
/// mistake here costs the connections that it concerns, and no others.
fn step(legs: &Legs, shared: &Shared<'_>, ready: &[Ready], most: Duration) -> Duration {
    let mut all = shared.lock();
    // What was written before a program shut its socket has come before that.
    if !ready.is_empty() {
        all.catch_up();
    }
    let stepped = catch_unwind(AssertUnwindSafe(|| {
        let (mut out, ends) = all.parts();
        ends.tcp.ready(&mut ends.sockets, &mut out, ready);
        ends.tcp.flush(&mut ends.sockets, &mut out);
        ends.tcp.look_ahead(&mut ends.sockets, &out);
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
    let wait = wait.unwrap_or(LONG).min(most);
    // Said under the lock: whoever takes it next knows until when this thread sleeps.
    legs.sleep_until(Some(Instant::now() + wait));
    let gone = all.inet.ends.tcp.take_gone();
    drop(all);
    drop(gone);
    wait
}
