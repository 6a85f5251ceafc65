//! What TCP_INFO says of the sender.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::{Mode, Sender};
use crate::info::{at, Filled};

/// TCP_CA_Disorder and others.
const DISORDER: u32 = 1;
const REDUCED: u32 = 2;
const RECOVERY: u32 = 3;
const LOSS: u32 = 4;

impl Sender {
    /// Notes for how long there was something to say, and for how long the other side's window was
    /// in the way (tcp_chrono_set).
    pub(super) fn keep_time(&mut self, now: Duration) {
        let left = self.left();
        let is_busy = left > 0 || !self.board.is_empty();
        let inside = self.edge().wrapping_sub(self.next);
        let is_closed = (inside as i32) <= 0 || inside < left.min(self.segment());
        self.busy.set(is_busy, now);
        self.limited.set(left > 0 && is_closed, now);
    }

    /// Bytes that are written and have not left.
    fn left(&self) -> u32 {
        match self.fin_sent {
            true => 0,
            false => self.end().wrapping_sub(self.next),
        }
    }

    /// Since when there is something to say, or to be answered.
    pub(crate) fn busy_since(&self) -> Duration {
        self.busy.since().unwrap_or_default()
    }

    /// How many segments were sent again.
    pub(crate) fn sent_again(&self) -> u32 {
        self.board.total
    }

    /// Fills in what it knows.
    pub(crate) fn tell(&self, info: &mut Filled, now: Duration) {
        let arrived = match self.sacks {
            true => self.board.arrived(),
            false => self.equal,
        };
        info.byte(
            at::LOSS_STATE,
            match self.mode {
                Mode::Recovery => RECOVERY,
                Mode::Loss => LOSS,
                Mode::Open if self.slowed.is_some() => REDUCED,
                Mode::Open if arrived > 0 => DISORDER,
                Mode::Open => 0,
            },
        );
        info.byte(at::FIRED, self.fired);
        info.byte(at::PROBES, self.asked);
        info.byte(
            at::BACKOFF,
            self.trip.backoff().max(self.asked.saturating_sub(1)),
        );
        info.micros(at::TIMEOUT, self.trip.timeout());
        info.word(at::SEGMENT, self.size as u32);
        info.word(at::OUT, self.board.len());
        info.word(at::SACKED, arrived);
        info.word(at::LOST, self.board.lost());
        info.word(at::AGAIN, self.board.repeats());
        if let Some(sent) = self.sent_at {
            info.ago(at::SENT_AGO, sent, now);
        }
        info.micros(at::TRIP, self.trip.smoothed().unwrap_or_default());
        info.micros(at::DEVIATION, self.trip.deviation());
        info.word(at::THRESHOLD, self.window.threshold);
        info.word(at::WINDOW, self.window.size);
        info.word(at::REORDERING, self.board.reordering);
        let fin = u32::from(self.fin_acknowledged);
        let acknowledged = self.oldest.wrapping_sub(self.first).wrapping_sub(fin);
        info.long(at::ACKNOWLEDGED, acknowledged.into());
        let sent = self.next.wrapping_sub(self.first);
        let sent = sent.wrapping_sub(u32::from(self.fin_sent));
        info.long(at::BYTES_SENT, u64::from(sent) + self.board.bytes);
        info.long(at::BYTES_AGAIN, self.board.bytes);
        info.word(at::NOT_SENT, self.left());
        info.micros(at::SHORTEST_TRIP, self.trip.shortest().unwrap_or_default());
        info.long(at::BUSY, self.busy.micros(now));
        info.long(at::LIMITED, self.limited.micros(now));
        info.word(at::PEER_WINDOW, self.peer);
    }
}
