//! At which rate data arrives (tcp_rate.c).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::bbr::Sample;

/// What is remembered with each segment when it leaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    delivered: u64,
    delivered_at: Duration,
    first_at: Duration,
    idle: bool,
}

/// What has arrived so far, in segments.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    pub(crate) total: u64,
    at: Duration,
    first_at: Duration,
    /// Until so many have arrived, what was sent was all that there was.
    idle_until: u64,
    newest: Option<(Duration, u32, Mark, Duration)>,
}

impl Rate {
    /// A segment leaves. `alone`: nothing else is on its way.
    pub(crate) fn leave(&mut self, alone: bool, now: Duration) -> Mark {
        if alone {
            (self.at, self.first_at) = (now, now);
        }
        Mark {
            delivered: self.total,
            delivered_at: self.at,
            first_at: self.first_at,
            idle: self.idle_until > 0,
        }
    }

    /// A segment, which left at `sent`, has arrived.
    pub(crate) fn arrive(&mut self, mark: &Mark, sent: Duration, end: u32, now: Duration) {
        (self.total, self.at) = (self.total + 1, now);
        let later = self.newest.is_none_or(|(at, last, ..)| {
            sent > at || sent == at && crate::segment::before(last, end)
        });
        if later {
            let took = sent.saturating_sub(mark.first_at);
            self.newest = Some((sent, end, *mark, took));
            self.first_at = sent;
        }
    }

    /// Everything that there is has been sent.
    pub(crate) fn idles(&mut self, flight: u32) {
        self.idle_until = (self.total + u64::from(flight)).max(1);
    }

    /// What the last acknowledgement says of the rate.
    pub(crate) fn sample(&mut self, shortest: Option<Duration>, now: Duration) -> Sample {
        if self.idle_until > 0 && self.total > self.idle_until {
            self.idle_until = 0;
        }
        let Some((_, _, mark, took)) = self.newest.take() else {
            return Sample::default();
        };
        let interval = took.max(now.saturating_sub(mark.delivered_at));
        let valid = shortest.is_none_or(|shortest| interval >= shortest);
        Sample {
            delivered: self.total - mark.delivered,
            interval: valid.then_some(interval),
            prior: mark.delivered,
            idle: mark.idle,
        }
    }
}
