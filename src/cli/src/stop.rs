//! A command that goes on until it is told to end, and then ends in order.

use crate::failure::{plain, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

/// Set once it is time to end. Clones are the same.
#[derive(Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ends with SIGINT, SIGTERM or SIGHUP; a second one ends the command at once.
    pub fn on_signals() -> Result<Stop, Failure> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let caught = signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                stop.0.clone(),
            )
            .and_then(|_| signal_hook::flag::register(signal, stop.0.clone()));
            caught
                .map_err(|e| Failure::not_done(format!("cannot catch signals: {}", plain(&e))))?;
        }
        Ok(stop)
    }

    /// It is time.
    pub fn now(&self) {
        self.0.store(true, SeqCst);
    }

    /// Is it time?
    pub fn is_due(&self) -> bool {
        self.0.load(SeqCst)
    }
}
