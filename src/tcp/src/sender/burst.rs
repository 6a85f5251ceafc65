//! Which segments leave as one piece that a device cuts: the last of them says PSH, as
//! tcp_transmit_skb has it.
#![forbid(unsafe_code)]

use std::time::Duration;

/// What a device cuts at most (GSO_MAX_SIZE).
const MOST: u64 = 65_536;
/// tcp_min_tso_segs.
const LEAST: u32 = 2;

/// The piece that is leaving. Its last segment is kept until it is known to be the last.
#[derive(Debug, Default)]
pub(super) struct Burst {
    last: Option<New>,
    /// Its segments, and how many it may have.
    count: u32,
    most: u32,
}

/// A segment of new data.
#[derive(Debug, Clone, Copy)]
pub(super) struct New {
    pub(super) sequence: u32,
    pub(super) count: u32,
    pub(super) fin: bool,
}

impl Burst {
    /// Whether one more segment is of this piece, where so many bytes are a whole one.
    pub(super) fn goes_on(&self, size: u32) -> bool {
        self.count < self.most && self.last.is_some_and(|last| last.count >= size)
    }

    /// Another piece begins.
    pub(super) fn begin(&mut self, most: u32) {
        self.most = most;
    }

    /// Keeps this segment, and returns the one that was kept.
    pub(super) fn keep(&mut self, new: New) -> Option<New> {
        self.count += 1;
        self.last.replace(new)
    }

    /// Returns the last segment, and whether the piece has others.
    pub(super) fn end(&mut self) -> Option<(New, bool)> {
        let several = std::mem::take(&mut self.count) > 1;
        self.last.take().map(|last| (last, several))
    }
}

/// How many segments of this size a piece may have, where so many bytes are sent in a round trip:
/// what is sent in a millisecond, and more to those who are near (tcp_tso_autosize).
pub(super) fn largest(
    bytes: u64,
    size: u32,
    smoothed: Option<Duration>,
    shortest: Option<Duration>,
) -> u32 {
    let smoothed = smoothed.map_or(0, |trip| trip.as_micros() as u64);
    if smoothed == 0 {
        return (MOST / u64::from(size)) as u32;
    }
    let rate = bytes.saturating_mul(1_000_000) / smoothed;
    let trip = shortest.map_or(0, |trip| trip.as_micros() as u64) >> 9;
    let near = if trip < 32 { MOST >> trip } else { 0 };
    let most = (rate >> 10).saturating_add(near).min(MOST);
    ((most / u64::from(size)) as u32).max(LEAST)
}
