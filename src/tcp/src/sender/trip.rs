//! How long a round trip takes, and after how long something is sent again (RFC 6298, in Linux's
//! way: tcp_rtt_estimator and tcp_set_rto).
#![forbid(unsafe_code)]

use std::time::Duration;

/// TCP_RTO_MIN.
pub(crate) const SHORTEST: Duration = Duration::from_millis(200);
/// TCP_RTO_MAX.
const LONGEST: Duration = Duration::from_secs(120);
/// TCP_TIMEOUT_INIT.
const FIRST: Duration = Duration::from_secs(1);
/// TCP_TIMEOUT_FALLBACK.
const FALLBACK: Duration = Duration::from_secs(3);
/// tcp_min_rtt_wlen: so long the shortest one counts.
const WINDOW: Duration = Duration::from_secs(300);

/// What is known of the round trip.
#[derive(Debug, Default, Clone)]
pub(crate) struct Trip {
    smoothed: Option<Duration>,
    deviation: Duration,
    shortest: Option<(Duration, Duration)>,
    /// How often the timer has fired since the last measurement.
    backoff: u32,
    /// The SYN and its answer have measured nothing.
    unsure: bool,
}

impl Trip {
    /// One measurement.
    pub(crate) fn measure(&mut self, trip: Duration, now: Duration) {
        self.backoff = 0;
        if self
            .shortest
            .is_none_or(|(shortest, at)| trip <= shortest || now.saturating_sub(at) > WINDOW)
        {
            self.shortest = Some((trip, now));
        }
        match &mut self.smoothed {
            None => (self.smoothed, self.deviation) = (Some(trip), trip / 2),
            Some(smoothed) => {
                let difference = smoothed.abs_diff(trip);
                self.deviation = (self.deviation * 3 + difference) / 4;
                *smoothed = (*smoothed * 7 + trip) / 8;
            }
        }
    }

    /// The connection is open without a measurement (tcp_init_metrics).
    pub(crate) fn is_unsure(&mut self) {
        self.unsure = true;
    }

    pub(crate) fn deviation(&self) -> Duration {
        self.deviation
    }

    pub(crate) fn backoff(&self) -> u32 {
        self.backoff
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.shortest.map(|(trip, _)| trip)
    }

    /// After how long something is sent again, without what earlier tries add.
    pub(crate) fn plain(&self) -> Duration {
        match self.smoothed {
            None if self.unsure => FALLBACK,
            None => FIRST,
            // Linux keeps the deviation's part from falling below its least.
            Some(smoothed) => (smoothed + (self.deviation * 4).max(SHORTEST)).min(LONGEST),
        }
    }

    /// After how long something is sent again.
    pub(crate) fn timeout(&self) -> Duration {
        self.plain()
            .saturating_mul(1 << self.backoff.min(20))
            .min(LONGEST)
    }

    /// The same for a try that is counted elsewhere.
    pub(crate) fn after(&self, tries: u32) -> Duration {
        self.plain().saturating_mul(1 << tries.min(20)).min(LONGEST)
    }

    /// The timer has fired.
    pub(crate) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(20);
    }
}
