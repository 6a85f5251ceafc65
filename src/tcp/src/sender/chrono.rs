//! How long something was so.
#![forbid(unsafe_code)]

use std::time::Duration;

/// How long something was so.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Chrono {
    since: Option<Duration>,
    sum: Duration,
}

impl Chrono {
    /// From now on it is so, or it is not.
    pub(super) fn set(&mut self, is: bool, now: Duration) {
        match (is, self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(since)) => {
                self.sum += now.saturating_sub(since);
                self.since = None;
            }
            _ => {}
        }
    }

    /// Since when it is so.
    pub(super) fn since(&self) -> Option<Duration> {
        self.since
    }

    pub(super) fn micros(&self, now: Duration) -> u64 {
        let rest = self.since.map(|since| now.saturating_sub(since));
        (self.sum + rest.unwrap_or_default()).as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_summed_up() {
        let second = Duration::from_secs(1);
        let mut chrono = Chrono::default();
        for (is, at) in [(false, 1), (true, 2), (true, 3), (false, 5), (true, 9)] {
            chrono.set(is, second * at);
        }
        assert_eq!(chrono.micros(second * 10), 4_000_000);
    }
}
