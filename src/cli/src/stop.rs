//! A command that goes on until it is told to end, and then ends in order.

use crate::event::Event;
use crate::failure::{plain, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Instant;

/// One order may come twice, from the terminal and from a timeout(1) or sudo(8) that passes it on.
/// Nobody asks for the second time as soon as that.
const ECHO_MS: u64 = 100;

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Set once it is time to end. Clones are the same.
#[derive(Clone)]
pub struct Stop(Arc<State>);

struct State {
    due: AtomicBool,
    /// When the first signal came, in milliseconds; 0 for never.
    heard: AtomicU64,
    /// The signal that came when it was time already; 0 for none.
    again: AtomicI32,
    /// For those who wait until it is time, and until it is urgent.
    events: [Event; 2],
}

impl Stop {
    /// It is not time yet.
    pub fn new() -> Result<Stop, Failure> {
        Ok(Stop(Arc::new(State {
            due: AtomicBool::new(false),
            heard: AtomicU64::new(0),
            again: AtomicI32::new(0),
            events: [Event::new()?, Event::new()?],
        })))
    }

    /// With SIGINT, SIGTERM or SIGHUP it is time.
    pub fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::new()?;
        stop.listen()?;
        Ok(stop)
    }

    /// From now on signals count as well.
    pub fn listen(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        for signal in SIGNALS {
            let stop = self.clone();
            // SAFETY: the action asks for the time, which is safe in a handler, touches atomics,
            // writes to an eventfd by a bare system call, and nothing else.
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

    /// It is time.
    pub fn now(&self) {
        self.0.due.store(true, SeqCst);
        self.0.events[0].set();
    }

    /// Is it time?
    pub fn is_due(&self) -> bool {
        self.0.due.load(SeqCst)
    }

    /// Readable once it is time.
    pub fn due(&self) -> BorrowedFd<'_> {
        self.0.events[0].as_fd()
    }

    /// The signal that came although it was time already.
    pub fn is_urgent(&self) -> Option<i32> {
        Some(self.0.again.load(SeqCst)).filter(|signal| *signal != 0)
    }

    /// Readable once it is urgent.
    pub fn urgent(&self) -> BorrowedFd<'_> {
        self.0.events[1].as_fd()
    }
}

fn cannot_catch(e: std::io::Error) -> Failure {
    Failure::not_done(format!("cannot catch signals: {}", plain(&e)))
}
