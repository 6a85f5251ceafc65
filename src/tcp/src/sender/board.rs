//! What was sent and when, what of it has arrived, and what is lost (RFC 6675, RFC 8985).
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::time::Duration;

use super::rate::{Mark, Rate};
use crate::segment::before;

/// One segment that was sent and is not acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// When it was last sent.
    pub(crate) at: Duration,
    /// It was sent more than once.
    pub(crate) repeated: bool,
    /// It has arrived, the other side says.
    pub(crate) sacked: bool,
    pub(crate) lost: bool,
    /// It is lost and was sent again since.
    pub(crate) again: bool,
    mark: Mark,
}

/// What an acknowledgement has said.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Segments that have arrived.
    pub(crate) delivered: u32,
    /// Segments that are acknowledged, in order.
    pub(crate) acknowledged: u32,
    pub(crate) advanced: bool,
    pub(crate) sacked: bool,
    /// Data that was sent once, before the timer fired, has arrived.
    pub(crate) original: bool,
    /// The other side had that already: how many segments.
    pub(crate) duplicates: u32,
    /// A segment that was sent twice is acknowledged.
    pub(crate) repeated: bool,
    /// A round trip, measured by what is acknowledged, and by what has arrived beyond.
    pub(crate) trip: Option<Duration>,
    pub(crate) beyond: Option<Duration>,
}

/// The newest transmission that has arrived.
#[derive(Debug, Clone, Copy)]
struct Newest {
    at: Duration,
    end: u32,
    trip: Duration,
}

/// The record of one connection.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) rate: Rate,
    sent: VecDeque<Sent>,
    sacked: usize,
    lost: usize,
    again: usize,
    /// The highest number that was sacked.
    highest: Option<u32>,
    newest: Option<Newest>,
    /// By how many segments the path reorders.
    pub(crate) reordering: u32,
    pub(crate) reordered: bool,
    /// By how many quarters of the round trip.
    steps: u32,
    stepped: Duration,
    persists: u32,
    /// Segments that were sent again, and their bytes.
    pub(crate) total: u32,
    pub(crate) bytes: u64,
    /// When the youngest that may still only be late is lost.
    pub(crate) patience: Option<Duration>,
    /// Everything before here is acknowledged, arrived, or lost and sent again.
    cursor: usize,
}

/// tcp_reordering and tcp_max_reordering.
const REORDERING: u32 = 3;
const MOST_REORDERING: u32 = 300;
/// TCP_RACK_RECOVERY_THRESH.
const PERSISTS: u32 = 16;

impl Default for Board {
    fn default() -> Board {
        Board {
            rate: Rate::default(),
            sent: VecDeque::new(),
            sacked: 0,
            lost: 0,
            again: 0,
            highest: None,
            newest: None,
            reordering: REORDERING,
            reordered: false,
            steps: 1,
            stepped: Duration::ZERO,
            persists: 0,
            total: 0,
            bytes: 0,
            patience: None,
            cursor: 0,
        }
    }
}

impl Board {
    pub(crate) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(crate) fn len(&self) -> u32 {
        self.sent.len() as u32
    }

    pub(crate) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    pub(crate) fn lost(&self) -> u32 {
        self.lost as u32
    }

    pub(crate) fn repeats(&self) -> u32 {
        self.again as u32
    }

    pub(crate) fn arrived(&self) -> u32 {
        self.sacked as u32
    }

    /// What is on its way (RFC 6675's pipe).
    pub(crate) fn flight(&self) -> u32 {
        (self.sent.len() + self.again).saturating_sub(self.sacked + self.lost) as u32
    }

    pub(crate) fn first(&self) -> Option<&Sent> {
        self.sent.front()
    }

    /// New data, or FIN, left.
    pub(crate) fn push(&mut self, start: u32, end: u32, now: Duration) {
        let mark = self.rate.leave(self.sent.is_empty(), now);
        self.sent.push_back(Sent {
            start,
            end,
            at: now,
            repeated: false,
            sacked: false,
            lost: false,
            again: false,
            mark,
        });
    }

    /// A lost segment that was not sent again; the first one.
    pub(crate) fn next_lost(&mut self) -> Option<(usize, Sent)> {
        if self.lost == self.again {
            return None;
        }
        while let Some(sent) = self.sent.get(self.cursor) {
            if sent.lost && !sent.again {
                return Some((self.cursor, *sent));
            }
            self.cursor += 1;
        }
        None
    }

    /// The last one, to be sent again as a probe.
    pub(crate) fn tail(&self) -> Option<(usize, Sent)> {
        let place = self.sent.len().checked_sub(1)?;
        Some((place, self.sent[place]))
    }

    /// A segment was sent again.
    pub(crate) fn repeat(&mut self, place: usize, now: Duration) {
        if let Some(sent) = self.sent.get_mut(place) {
            (sent.at, sent.repeated) = (now, true);
            self.total = self.total.wrapping_add(1);
            self.bytes += u64::from(sent.end.wrapping_sub(sent.start));
            sent.mark = self.rate.leave(false, now);
            if !sent.again && !sent.sacked {
                if !sent.lost {
                    // A probe: it is on its way twice.
                    return;
                }
                sent.again = true;
                self.again += 1;
            }
        }
    }

    /// Cuts segments that are longer than `size` and counts those as lost (tcp_simple_retransmit).
    /// What follows one of them is cut with it, as from the one piece that they were.
    pub(crate) fn cut(&mut self, size: u32) -> bool {
        let length = |sent: &Sent| sent.end.wrapping_sub(sent.start);
        if !self.sent.iter().any(|sent| length(sent) > size) {
            return false;
        }
        let old = std::mem::take(&mut self.sent);
        let (mut any, mut goes_on) = (false, false);
        for sent in old {
            let long = length(&sent) > size && !sent.sacked;
            any |= long;
            let mut start = sent.start;
            if goes_on && !sent.sacked {
                if let Some(last) = self.sent.back_mut() {
                    let room = size - length(last);
                    start = start.wrapping_add(room.min(length(&sent)));
                    last.end = start;
                }
            }
            while start != sent.end {
                let left = sent.end.wrapping_sub(start);
                let end = start.wrapping_add(left.min(size.max(1)));
                let mut part = Sent { start, end, ..sent };
                if long || goes_on {
                    (part.lost, part.again) = (!sent.sacked, false);
                }
                self.sent.push_back(part);
                start = end;
            }
            goes_on = long;
        }
        self.recount();
        any
    }

    fn recount(&mut self) {
        self.sacked = self.sent.iter().filter(|sent| sent.sacked).count();
        self.lost = self.sent.iter().filter(|sent| sent.lost).count();
        self.again = self.sent.iter().filter(|sent| sent.again).count();
        self.cursor = 0;
    }

    /// Takes what is acknowledged, and marks what has arrived beyond.
    pub(crate) fn on_ack(
        &mut self,
        acknowledged: u32,
        blocks: &[(u32, u32)],
        timer_until: u32,
        shortest: Option<Duration>,
        now: Duration,
    ) -> News {
        let mut news = News::default();
        let mut overtaken: Option<u32> = None;
        let fack = self.highest;
        for &(from, to) in blocks {
            self.mark(
                (from, to),
                timer_until,
                shortest,
                now,
                &mut news,
                &mut overtaken,
            );
        }
        while let Some(first) = self.sent.front_mut() {
            if before(acknowledged, first.end) {
                if before(first.start, acknowledged) {
                    (first.start, news.advanced) = (acknowledged, true);
                }
                break;
            }
            let first = *first;
            self.sent.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
            news.advanced = true;
            news.acknowledged += 1;
            self.lost -= usize::from(first.lost);
            self.again -= usize::from(first.again);
            if first.sacked {
                self.sacked -= 1;
                continue;
            }
            news.delivered += 1;
            self.rate.arrive(&first.mark, first.at, first.end, now);
            if first.repeated {
                news.repeated = true;
            } else {
                news.trip.get_or_insert(now.saturating_sub(first.at));
                if !before(timer_until, first.end) {
                    news.original = true;
                }
                if fack.is_some_and(|fack| before(first.start, fack)) {
                    overtaken.get_or_insert(first.start);
                }
            }
            self.advance(&first, shortest, now);
        }
        if news.repeated {
            // Which of the two was answered, nobody knows.
            news.trip = None;
        }
        if self.sent.is_empty() || self.highest.is_some_and(|high| !before(acknowledged, high)) {
            self.highest = None;
        }
        if let (Some(start), Some(fack)) = (overtaken, fack.or(self.highest)) {
            self.saw_reordering(start, fack);
        }
        news
    }

    fn saw_reordering(&mut self, start: u32, fack: u32) {
        if !before(start, fack) {
            return;
        }
        let size = self
            .sent
            .front()
            .map_or(1460, |sent| sent.end.wrapping_sub(sent.start))
            .max(1);
        let segments = fack.wrapping_sub(start).div_ceil(size);
        self.reordering = self.reordering.max(segments.min(MOST_REORDERING));
        self.reordered = true;
    }

    /// One block has arrived.
    fn mark(
        &mut self,
        (from, to): (u32, u32),
        timer_until: u32,
        shortest: Option<Duration>,
        now: Duration,
        news: &mut News,
        overtaken: &mut Option<u32>,
    ) {
        let begin = self.sent.partition_point(|sent| before(sent.start, from));
        for place in begin..self.sent.len() {
            let sent = self.sent[place];
            if before(to, sent.end) {
                break;
            }
            if sent.sacked {
                continue;
            }
            if sent.lost {
                self.lost -= 1;
                self.again -= usize::from(sent.again);
            }
            if !sent.repeated {
                let high = self.highest.is_some_and(|high| before(sent.start, high));
                if high && overtaken.is_none_or(|other| before(sent.start, other)) {
                    *overtaken = Some(sent.start);
                }
                news.original |= !before(timer_until, sent.end);
                news.beyond = Some(now.saturating_sub(sent.at));
            }
            let marked = &mut self.sent[place];
            (marked.sacked, marked.lost, marked.again) = (true, false, false);
            self.sacked += 1;
            news.sacked = true;
            news.delivered += 1;
            self.rate.arrive(&sent.mark, sent.at, sent.end, now);
            if self.highest.is_none_or(|high| before(high, sent.end)) {
                self.highest = Some(sent.end);
            }
            self.advance(&sent, shortest, now);
        }
    }

    /// tcp_rack_advance.
    fn advance(&mut self, sent: &Sent, shortest: Option<Duration>, now: Duration) {
        let trip = now.saturating_sub(sent.at);
        // Too quick an answer to what was sent twice: it answers the first.
        if sent.repeated && shortest.is_some_and(|shortest| trip < shortest) {
            return;
        }
        let later = self
            .newest
            .is_none_or(|newest| after((sent.at, sent.end), (newest.at, newest.end)));
        if later {
            self.newest = Some(Newest {
                at: sent.at,
                end: sent.end,
                trip,
            });
        }
    }

    /// The other side had it already: patience grows, at most once in a round trip.
    pub(crate) fn was_hasty(&mut self, trip: Duration, now: Duration) {
        if now.saturating_sub(self.stepped) >= trip {
            self.steps = (self.steps + 1).min(255);
            self.stepped = now;
            self.persists = PERSISTS;
        }
    }

    /// A recovery is over: patience is not for ever.
    pub(crate) fn recovered(&mut self) {
        self.persists = self.persists.saturating_sub(1);
        if self.persists == 0 {
            self.steps = 1;
        }
    }

    /// tcp_rack_detect_loss: marks what was sent so long before the newest that has arrived that
    /// it is lost. Says how many, and remembers when to look again.
    pub(crate) fn detect(
        &mut self,
        recovers: bool,
        trips: (Option<Duration>, Option<Duration>),
        now: Duration,
    ) -> u32 {
        self.patience = None;
        let Some(newest) = self.newest else {
            return 0;
        };
        let (shortest, smoothed) = (trips.0.unwrap_or_default(), trips.1.unwrap_or_default());
        let eager = !self.reordered && (recovers || self.sacked >= self.reordering as usize);
        let wait = match eager {
            true => Duration::ZERO,
            false => (shortest / 4 * self.steps).min(smoothed),
        };
        let mut count = 0;
        for place in 0..self.sent.len() {
            let sent = self.sent[place];
            if sent.sacked || sent.lost && !sent.again {
                continue;
            }
            if !after((newest.at, newest.end), (sent.at, sent.end)) {
                // In the order of the sequence those behind may have been sent earlier.
                if sent.at > newest.at && !sent.repeated {
                    break;
                }
                continue;
            }
            let deadline = sent.at + newest.trip + wait;
            if deadline <= now {
                count += u32::from(self.lose(place));
            } else {
                self.patience = Some(self.patience.map_or(deadline, |at| at.max(deadline)));
            }
        }
        count
    }

    /// tcp_mark_skb_lost. Says whether that is news.
    fn lose(&mut self, place: usize) -> bool {
        let sent = &mut self.sent[place];
        if sent.sacked {
            return false;
        }
        if sent.lost {
            if !sent.again {
                return false;
            }
            sent.again = false;
            self.again -= 1;
        } else {
            sent.lost = true;
            self.lost += 1;
        }
        self.cursor = self.cursor.min(place);
        true
    }

    /// The first one is lost, where there is no more to know (a peer without SACK).
    pub(crate) fn lose_first(&mut self) -> u32 {
        match self.sent.front() {
            Some(first) if !first.lost => u32::from(self.lose(0)),
            _ => 0,
        }
    }

    /// The timer has fired: what has not arrived is lost, but for what is too young to be
    /// (tcp_timeout_mark_lost). `forget`: what was said to have arrived is forgotten, too.
    pub(crate) fn lose_all(&mut self, forget: bool, now: Duration) {
        if forget {
            for sent in &mut self.sent {
                sent.sacked = false;
            }
            self.sacked = 0;
            self.highest = None;
        }
        for place in 0..self.sent.len() {
            let young = self
                .newest
                .is_some_and(|newest| self.sent[place].at + newest.trip > now);
            if place == 0 || !young {
                self.lose(place);
            }
        }
    }

    /// What was counted as lost on the timer's word is not (tcp_undo_cwnd_reduction).
    pub(crate) fn restore(&mut self) {
        for sent in &mut self.sent {
            sent.lost = false;
            sent.again = false;
        }
        self.recount();
    }
}

/// tcp_skb_sent_after: of two that were sent at the same time, the one with the higher number is
/// later.
fn after(a: (Duration, u32), b: (Duration, u32)) -> bool {
    a.0 > b.0 || a.0 == b.0 && before(b.1, a.1)
}
