//! A command that goes on until it is told to end, and then ends in order.

use crate::event::Event;
use crate::failure::{plain, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64};
use std::sync::Arc;
use std::time::Instant;

/// Milliseconds within which a second signal counts as the same order. An order may come twice,
/// from the terminal and from a timeout(1) or sudo(8) that passes it on; nobody asks a second time
/// as soon as that.
const ECHO_MS: u64 = 100;

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Says whether it is time to end. All clones share one state.
#[derive(Clone)]
pub struct Stop(Arc<State>);

struct State {
    due: AtomicBool,
    /// When the first signal came, in milliseconds since `listen`; 0 for never.
    heard: AtomicU64,
    /// The signal that came when it was time already; 0 for none.
    again: AtomicI32,
    /// The events for those who wait until it is time, and until it is urgent.
    events: [Event; 2],
}

impl Stop {
    /// Makes a value that says that it is not time yet.
    pub fn new() -> Result<Stop, Failure> {
        Ok(Stop(Arc::new(State {
            due: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            again: AtomicI32::new(0),
            events: [Event::new()?, Event::new()?],
        })))
    }

    /// Makes a value that says that it is time once SIGINT, SIGTERM or SIGHUP comes.
    pub fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::new()?;
        stop.listen()?;
        Ok(stop)
    }

    /// Makes SIGINT, SIGTERM and SIGHUP count from now on.
    pub fn listen(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        for signal in SIGNALS {
            let stop = self.clone();
            // SAFETY: the action reads the clock, which is safe in a handler, touches atomics, and
            // writes to an eventfd by a bare system call; it does nothing else.
            let caught = unsafe {
                signal_hook::low_level::register(signal, move || {
                    let Stop(state) = &stop;
                    let now = begun.elapsed().as_millis() as u64 + 1;
                    let first = state.heard.compare_exchange(0, now, SeqCst, SeqCst);
                    let was_due = state.due.swap(true, SeqCst);
                    let urgent = match first {
                        Ok(_) => was_due,
                        Err(first) => now >= first + ECHO_MS,
                    };
                    state.events[0].set();
                    if urgent {
                        state.again.store(signal, SeqCst);
                        state.events[1].set();
                    }
                })
            };
            caught.map_err(cannot_catch)?;
        }
        Ok(())
    }

    /// Says that it is time now.
    pub fn now(&self) {
        self.0.due.store(true, SeqCst);
        self.0.events[0].set();
    }

    /// Is it time to end?
    pub fn is_due(&self) -> bool {
        self.0.due.load(SeqCst)
    }

    /// Returns a descriptor that is readable once it is time.
    pub fn due(&self) -> BorrowedFd<'_> {
        self.0.events[0].as_fd()
    }

    /// Returns the signal that came although it was time already, if one did.
    pub fn is_urgent(&self) -> Option<i32> {
        Some(self.0.again.load(SeqCst)).filter(|signal| *signal != 0)
    }

    /// Returns a descriptor that is readable once it is urgent.
    pub fn urgent(&self) -> BorrowedFd<'_> {
        self.0.events[1].as_fd()
    }
}

fn cannot_catch(e: std::io::Error) -> Failure {
    Failure::not_done(format!("cannot catch signals: {}", plain(&e)))
}
