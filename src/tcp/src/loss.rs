//! What was sent and when, and what of it is lost.
//!
//! The engine knows two signs of a loss: three equal acknowledgements, and a timer. It sends one
//! segment again for the first, and everything for the second. Linux goes by time (RFC 8985): a
//! segment is lost if one that was sent later has arrived and the round trip is over, with some
//! patience for paths that reorder. This module says so of the oldest segment, one after another.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Duration;

use crate::segment::before;

/// Linux's TCP_TIMEOUT_MIN: no probe earlier than after two ticks.
const TICK: Duration = Duration::from_millis(2);
/// The timer of Linux, which the engine's follows; a probe comes before it.
const SHORTEST_TIMER: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
struct Sent {
    start: u32,
    end: u32,
    at: Duration,
    again: bool,
    sacked: bool,
}

/// Whether the oldest segment is to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    No,
    Now,
    At(Duration),
}

/// The record of one connection.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    sent: VecDeque<Sent>,
    /// When the segment was sent that was sent last of those that have arrived.
    newest: Duration,
    smoothed: Option<Duration>,
    deviation: Duration,
    shortest: Option<Duration>,
    /// Segments beyond the oldest that have arrived.
    arrived: usize,
    /// Acknowledgements without news, for peers without SACK.
    equal: u32,
    peer_sacks: bool,
    reordered: bool,
    /// By how many quarters of the round trip the path reorders.
    patience: u32,
    /// Up to here a loss has been noticed already.
    recovery: Option<u32>,
    /// Probes for the tail that were sent since the last news.
    probes: u32,
    /// The last time that something was sent or acknowledged.
    activity: Duration,
}

impl Loss {
    /// Data, or FIN, left: `start` to `end` in the sequence.
    pub(crate) fn on_sent(&mut self, start: u32, end: u32, now: Duration) {
        self.activity = now;
        let newest = self.sent.back().map(|sent| sent.end);
        for sent in &mut self.sent {
            if before(sent.start, end) && before(start, sent.end) {
                (sent.at, sent.again) = (now, true);
            }
        }
        let start = match newest {
            Some(newest) if before(start, newest) => newest,
            _ => start,
        };
        if before(start, end) {
            self.sent.push_back(Sent {
                start,
                end,
                at: now,
                again: false,
                sacked: false,
            });
        }
    }

    /// An acknowledgement came: up to `acknowledged`, with blocks beyond. `bare`: it brought
    /// neither data nor another window.
    pub(crate) fn on_ack(
        &mut self,
        acknowledged: u32,
        bare: bool,
        blocks: impl Iterator<Item = (u32, u32)>,
        now: Duration,
    ) {
        let mut news = false;
        let mut measured = None;
        while let Some(first) = self.sent.front_mut() {
            if before(acknowledged, first.end) {
                if before(first.start, acknowledged) {
                    (first.start, news) = (acknowledged, true);
                }
                break;
            }
            news = true;
            let first = *first;
            self.sent.pop_front();
            if first.sacked {
                self.arrived = self.arrived.saturating_sub(1);
            } else {
                self.delivered(first, now, &mut measured);
            }
        }
        self.blocks(acknowledged, blocks, now, &mut measured);
        if let Some(measured) = measured {
            self.measure(measured);
        }
        if news {
            self.equal = 0;
            (self.probes, self.activity) = (0, now);
            if self
                .recovery
                .is_some_and(|until| !before(acknowledged, until))
            {
                self.recovery = None;
            }
        } else if bare && !self.sent.is_empty() {
            self.equal = self.equal.saturating_add(1);
        }
        if self.sent.is_empty() {
            (self.recovery, self.equal, self.arrived) = (None, 0, 0);
        }
    }

    /// Marks what the blocks of an acknowledgement say.
    fn blocks(
        &mut self,
        acknowledged: u32,
        blocks: impl Iterator<Item = (u32, u32)>,
        now: Duration,
        measured: &mut Option<Duration>,
    ) {
        for (index, (from, to)) in blocks.enumerate() {
            self.peer_sacks = true;
            // RFC 2883: it had that already. We were too quick to send it again.
            if index == 0 && !before(acknowledged, to) {
                self.patience = (self.patience + 1).min(16);
                continue;
            }
            for place in 0..self.sent.len() {
                let sent = self.sent[place];
                if before(sent.start, from) || before(to, sent.end) || sent.sacked {
                    continue;
                }
                self.sent[place].sacked = true;
                self.arrived += 1;
                self.delivered(sent, now, measured);
            }
        }
    }

    /// One segment has arrived.
    fn delivered(&mut self, sent: Sent, now: Duration, measured: &mut Option<Duration>) {
        if sent.again {
            // Which of the two has arrived, nobody knows: if it was too quick, the first.
            let quick = self.shortest.unwrap_or_default();
            if now.saturating_sub(sent.at) >= quick {
                self.newest = self.newest.max(sent.at);
            }
            return;
        }
        if sent.at < self.newest {
            self.reordered = true;
        }
        self.newest = self.newest.max(sent.at);
        *measured = Some(now.saturating_sub(sent.at));
    }

    fn measure(&mut self, trip: Duration) {
        self.shortest = Some(self.shortest.map_or(trip, |shortest| shortest.min(trip)));
        match &mut self.smoothed {
            None => (self.smoothed, self.deviation) = (Some(trip), trip / 2),
            Some(smoothed) => {
                let difference = smoothed.abs_diff(trip);
                self.deviation = (self.deviation * 3 + difference) / 4;
                *smoothed = (*smoothed * 7 + trip) / 8;
            }
        }
    }

    /// The round trip as far as it is known.
    pub(crate) fn trip(&self) -> Option<Duration> {
        self.smoothed
    }

    /// Whether a loss was noticed and is not yet mended.
    pub(crate) fn recovers(&self) -> bool {
        self.recovery.is_some()
    }

    /// The oldest segment is about to be sent again.
    pub(crate) fn on_again(&mut self, now: Duration) {
        if let Some(oldest) = self.sent.front_mut() {
            (oldest.at, oldest.again) = (now, true);
        }
        if let Some(newest) = self.sent.back() {
            self.recovery.get_or_insert(newest.end);
        }
    }

    /// A probe was sent.
    pub(crate) fn on_probe(&mut self) {
        self.probes += 1;
    }

    /// Whether the oldest segment is lost.
    pub(crate) fn oldest(&self, now: Duration) -> Lost {
        let Some(oldest) = self.sent.front().filter(|oldest| !oldest.sacked) else {
            return Lost::No;
        };
        if !self.peer_sacks {
            // Without SACK: three equal ones, and then each hole that the first mending shows.
            let lost = !oldest.again && (self.equal >= 3 || self.recovery.is_some());
            return if lost { Lost::Now } else { Lost::No };
        }
        if self.newest <= oldest.at {
            return Lost::No;
        }
        let deadline = oldest.at + self.smoothed.unwrap_or_default() + self.reordering();
        if now >= deadline {
            Lost::Now
        } else {
            Lost::At(deadline)
        }
    }

    /// How long a segment may be overtaken.
    fn reordering(&self) -> Duration {
        if !self.reordered && self.patience == 0 && (self.arrived >= 3 || self.recovers()) {
            return Duration::ZERO;
        }
        let quarter = self.shortest.unwrap_or_default() / 4;
        (quarter * (self.patience + 1)).min(self.smoothed.unwrap_or_default())
    }

    /// When a probe asks whether the tail of what was sent has arrived.
    pub(crate) fn probe_at(&self) -> Option<Duration> {
        let smoothed = self.smoothed?;
        // One segment alone may only have an acknowledgement that is late.
        if self.sent.is_empty() || self.sent.len() < 2 && !self.recovers() {
            return None;
        }
        let wait = (smoothed * 2 + TICK).checked_mul(1 << self.probes.min(16))?;
        (wait < SHORTEST_TIMER).then(|| self.activity + wait)
    }
}
