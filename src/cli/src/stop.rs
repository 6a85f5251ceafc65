//! A command that goes on until it is told to end, and then ends in order.

use crate::failure::{plain, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Instant;

/// One order may come twice, from the terminal and from a timeout(1) or sudo(8) that passes it on. Nobody asks for the second
/// time as soon as that.
const ECHO_MS: u64 = 100;

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Set once it is time to end. Clones are the same.
#[derive(Clone, Default)]
pub struct Stop {
    due: Arc<AtomicBool>,
    /// When the first signal came, in milliseconds; 0 for never.
    heard: Arc<AtomicU64>,
    /// The signal that came when it was time already; 0 for none.
    again: Arc<AtomicI32>,
}

impl Stop {
    /// With SIGINT, SIGTERM or SIGHUP it is time.
    pub fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::default();
        stop.listen()?;
        Ok(stop)
    }

    /// From now on signals count as well.
    pub fn listen(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        for signal in SIGNALS {
            let stop = self.clone();
            // SAFETY: the action asks for the time, which is safe in a handler, touches atomics, and nothing else.
            let caught = unsafe {
                signal_hook::low_level::register(signal, move || {
                    let now = begun.elapsed().as_millis() as u64 + 1;
                    let first = stop.heard.compare_exchange(0, now, SeqCst, SeqCst);
                    let was_due = stop.due.swap(true, SeqCst);
                    let urgent = match first {
                        Ok(_) => was_due,
                        Err(first) => now >= first + ECHO_MS,
                    };
                    if urgent {
                        stop.again.store(signal, SeqCst);
                    }
                })
            };
            caught.map_err(cannot_catch)?;
        }
        Ok(())
    }

    /// It is time.
    pub fn now(&self) {
        self.due.store(true, SeqCst);
    }

    /// Is it time?
    pub fn is_due(&self) -> bool {
        self.due.load(SeqCst)
    }

    /// The signal that came although it was time already.
    pub fn is_urgent(&self) -> Option<i32> {
        Some(self.again.load(SeqCst)).filter(|signal| *signal != 0)
    }
}

fn cannot_catch(e: std::io::Error) -> Failure {
    Failure::not_done(format!("cannot catch signals: {}", plain(&e)))
}
