//! The engine's time.
//!
//! smoltcp never waits less than a second before it sends again, Linux 200 ms, and smoltcp begins
//! with its timer during the handshake, where Linux has a schedule of its own. So the engine's
//! clock stands still until the connection is open, and then runs five times as fast as ours.
#![forbid(unsafe_code)]

use std::time::Duration;

use smoltcp::time::Instant;

/// How many of the engine's seconds pass in one of ours: smoltcp's second is Linux's 200 ms.
const RATE: u32 = 5;

/// Our time and the engine's, at the moment when the rate last changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    ours: Duration,
    engines: Duration,
    rate: u32,
}

impl Clock {
    /// A clock that stands still.
    pub(crate) fn stopped(now: Duration) -> Clock {
        // Nothing of the engine's may be "before all time" by an off-by-one.
        Clock {
            ours: now,
            engines: Duration::from_secs(10),
            rate: 0,
        }
    }

    /// Lets it run from now on. `answered` is how long the handshake took, so that the engine's
    /// first measurement of the round trip is the true one.
    pub(crate) fn start(&mut self, now: Duration, answered: Duration) {
        self.engines += answered * RATE;
        self.ours = now;
        self.rate = RATE;
    }

    /// What the engine's clock shows.
    pub(crate) fn engines(&self, now: Duration) -> Instant {
        let passed = now.saturating_sub(self.ours) * self.rate;
        let micros = (self.engines + passed).as_micros();
        Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// When the engine's clock will show `instant`; none while it stands still.
    pub(crate) fn ours(&self, instant: Instant) -> Option<Duration> {
        let then = Duration::from_micros(u64::try_from(instant.total_micros()).unwrap_or(0));
        match self.rate {
            0 => None,
            // Rounded up, so that the engine's time has come when ours has.
            rate => {
                let rest = then.saturating_sub(self.engines).as_nanos();
                let rest = u64::try_from(rest.div_ceil(u128::from(rate))).ok()?;
                self.ours.checked_add(Duration::from_nanos(rest))
            }
        }
    }

    /// An interval of ours in the engine's.
    pub(crate) fn stretch(interval: Duration) -> smoltcp::time::Duration {
        let micros = (interval * RATE).as_micros();
        smoltcp::time::Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}
