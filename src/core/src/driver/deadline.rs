//! Until when a driver waits, and how long it sleeps at once.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How long a sleeper goes without looking whether the program is still alive: a killed program cannot wake anybody.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// The moment that lies so far ahead; None for ever.
pub(crate) fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|t| Instant::now().checked_add(t))
}

/// Time for the next nap; None when the deadline has passed.
pub(crate) fn nap(deadline: Option<Instant>) -> Option<Duration> {
    match deadline {
        None => Some(LOOK_AROUND),
        Some(end) => end
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
            .map(|d| d.min(LOOK_AROUND)),
    }
}
