//! How often a reader of an interface is woken while a stream of packets comes.
//!
//! The kernel lets who is woken go before who has woken it. With few processors, all that a stream
//! goes through would take turns for each single packet, and that lasts: nobody ever finds two of
//! them. So a reader that has taken much lately does not wait to be woken by the next packet, but
//! rests for a moment and takes what has come by then, as a driver of a fast card does. What is
//! slow, or one question after another, is never so much.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// How long it rests; the kernel makes about twice as much of it.
pub(super) const REST: Duration = Duration::from_micros(50);
/// What comes in such a time is counted together.
const SPAN: Duration = Duration::from_millis(1);
/// So many bytes in a span are much. Whoever waits for answers, and is slower than this because of
/// the rests, is rested for no longer.
const MUCH: usize = 64 * 1024;

/// What a reader has taken lately.
#[derive(Default)]
pub(super) struct Pace {
    /// When the span began.
    since: Option<Instant>,
    /// Bytes in it.
    bytes: usize,
    /// Bytes in the one before.
    before: usize,
    /// It has rested since it took something.
    rested: bool,
}

impl Pace {
    /// So many bytes were taken.
    pub fn took(&mut self, bytes: usize, now: Instant) {
        self.follow(now);
        self.since.get_or_insert(now);
        self.bytes += bytes;
        self.rested = false;
    }

    /// There is nothing more: should it rest before it waits to be woken? Only once: if nothing has
    /// come by then, the stream is over.
    pub fn rests(&mut self, now: Instant) -> bool {
        self.follow(now);
        self.before.max(self.bytes) >= MUCH && !std::mem::replace(&mut self.rested, true)
    }

    /// Begins another span when one is over.
    fn follow(&mut self, now: Instant) {
        let Some(since) = self.since else { return };
        let passed = now.saturating_duration_since(since);
        if passed < SPAN {
            return;
        }
        self.before = if passed < 2 * SPAN { self.bytes } else { 0 };
        (self.since, self.bytes) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: usize = 1500;

    /// Takes so many segments, each so long after the one before. Returns how often it rested.
    fn rests(pace: &mut Pace, from: Instant, count: u32, apart: Duration) -> usize {
        let each = (0..count).map(|at| from + at * apart);
        let rested = each.filter(|at| {
            pace.took(SEGMENT, *at);
            pace.rests(*at)
        });
        rested.count()
    }

    #[test]
    fn a_stream_is_taken_with_rests_and_nothing_that_is_slower() {
        let (fast, slow) = (Duration::from_micros(5), Duration::from_micros(50));
        let now = Instant::now();
        assert!(rests(&mut Pace::default(), now, 1000, fast) > 900);
        assert_eq!(rests(&mut Pace::default(), now, 1000, slow), 0);
        // One message is no stream.
        assert_eq!(rests(&mut Pace::default(), now, 40, fast), 0);
    }

    #[test]
    fn when_a_stream_is_over_it_waits_to_be_woken() {
        let mut pace = Pace::default();
        let now = Instant::now();
        let fast = Duration::from_micros(5);
        rests(&mut pace, now, 1000, fast);
        let end = now + 1000 * fast;
        pace.took(SEGMENT, end);
        assert!(pace.rests(end));
        assert!(!pace.rests(end), "nothing came while it rested");
        let later = end + 3 * SPAN;
        pace.took(SEGMENT, later);
        assert!(!pace.rests(later));
    }
}
