//! What an acknowledgement changes (tcp_ack, tcp_fastretrans_alert).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::bbr::Told;
use super::board::News;
use super::window::Round;
use super::{Mode, Sender};
use crate::segment::before;

/// What a segment says of what this side has sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ack<'a> {
    pub(crate) number: u32,
    /// Of bytes, scaled.
    pub(crate) window: u32,
    /// The segment's own number.
    pub(crate) sequence: u32,
    /// It has neither data nor a flag of its own.
    pub(crate) bare: bool,
    /// It tells of congestion.
    pub(crate) congested: bool,
    /// Blocks that have arrived, as they stand there.
    pub(crate) blocks: &'a [(u32, u32)],
}

/// More are not in an option.
const BLOCKS: usize = 4;

impl Sender {
    /// An acknowledgement of what was sent came. Those of what was not are none of ours.
    pub(crate) fn on_ack(&mut self, ack: &Ack<'_>, now: Duration) {
        let was = self.oldest;
        if before(self.next, ack.number) {
            return;
        }
        let number = if before(ack.number, was) {
            was
        } else {
            ack.number
        };
        let (mut blocks, mut count) = ([(0, 0); BLOCKS], 0);
        let mut duplicates = 0;
        for (index, &(from, to)) in ack.blocks.iter().take(BLOCKS).enumerate() {
            if !before(from, to) || before(self.next, to) {
                continue;
            }
            let inside = ack
                .blocks
                .get(1)
                .is_some_and(|&(other, end)| !before(from, other) && !before(end, to));
            if index == 0 && (before(from, ack.number) || inside) {
                duplicates = to.wrapping_sub(from).div_ceil(self.segment()).max(1);
                if self.undo.is_some_and(|undo| before(undo, to)) {
                    self.needless = self.needless.map(|left| left.saturating_sub(duplicates));
                }
                continue;
            }
            if before(number, to) {
                (blocks[count], count) = ((from, to), count + 1);
            }
        }
        let blocks = &mut blocks[..count];
        blocks.sort_unstable_by_key(|block| block.0.wrapping_sub(was));
        if !self.sacks && !blocks.is_empty() {
            return self.windows(ack, was);
        }
        let equal = !self.sacks
            && ack.bare
            && number == was
            && ack.number == was
            && ack.window == self.peer
            && !self.board.is_empty();
        let waited = !self.board.is_empty();
        let shortest = self.trip.shortest();
        let mut news = self.board.on_ack(number, blocks, self.high, shortest, now);
        news.duplicates = duplicates;
        self.take(number);
        self.windows(ack, was);
        self.measure(&news, now);
        if duplicates > 0 {
            let trip = self.trip.smoothed().unwrap_or_default();
            self.board.was_hasty(trip, now);
        }
        if news.advanced {
            self.rescued = false;
            self.fired = 0;
        }
        self.probe_answered(ack, &news, now);
        let lost = self.alert(&news, equal, was, now);
        self.slow_down(ack.congested && waited, &news);
        let sample = self.board.rate.sample(self.trip.shortest(), now);
        if self.window.is_bbr() {
            let told = Told {
                sample,
                arrived: news.delivered,
                total: self.board.rate.total,
                lost,
                flight: self.flight(),
                trip: news.trip.or(news.beyond),
                recovers: self.mode != Mode::Open,
                size: self.segment(),
                now,
            };
            self.window.told(&told);
        }
        if news.advanced || news.sacked {
            self.govern(&news, now);
        }
        if news.advanced {
            self.again_timer(now);
        }
        if news.advanced || news.sacked || duplicates > 0 {
            self.plan_probe(now);
        }
    }

    /// What is acknowledged is forgotten.
    fn take(&mut self, number: u32) {
        let mut count = number.wrapping_sub(self.oldest);
        if count == 0 {
            return;
        }
        if self.fin_sent && number == self.next && !self.fin_acknowledged {
            self.fin_acknowledged = true;
            count -= 1;
        }
        self.buffer.drop_front(count as usize);
        self.oldest = number;
        while self.records.front().is_some_and(|at| !before(number, *at)) {
            self.records.pop_front();
        }
        self.asked = 0;
        if self.undo.is_some_and(|undo| before(undo, number)) && self.mode == Mode::Open {
            self.undo = None;
        }
    }

    /// tcp_ack_update_window.
    fn windows(&mut self, ack: &Ack<'_>, was: u32) {
        let newer = before(was, ack.number)
            || before(self.peer_at, ack.sequence)
            || self.peer_at == ack.sequence && (ack.window > self.peer || ack.window == 0);
        if before(ack.number, was) || !newer {
            return;
        }
        self.peer_at = ack.sequence;
        self.peer = ack.window;
        self.peer_most = self.peer_most.max(ack.window);
        if self.peer > 0 && !before(self.edge(), self.next.wrapping_add(1)) {
            (self.asks, self.asked) = (None, 0);
        }
    }

    fn measure(&mut self, news: &News, now: Duration) {
        let Some(trip) = news.trip.or(news.beyond.filter(|_| !news.repeated)) else {
            return;
        };
        self.trip.measure(trip, now);
        let shortest = self.trip.shortest().unwrap_or(trip);
        let round = Round {
            acknowledged: self.oldest,
            next: self.next,
        };
        self.window.measured(trip, shortest, round);
    }

    /// tcp_process_tlp_ack.
    fn probe_answered(&mut self, ack: &Ack<'_>, news: &News, _now: Duration) {
        let Some((until, again)) = self.probed else {
            return;
        };
        if before(ack.number, until) {
            return;
        }
        if !again || news.duplicates > 0 {
            self.probed = None;
        } else if before(until, ack.number) {
            // The probe has mended a loss that nobody has seen: the window goes down for it.
            self.probed = None;
            if !self.reduces() && self.mode == Mode::Open {
                self.window.begin_reduction(true);
                self.window.end_reduction();
            }
        } else if !news.advanced && !news.sacked {
            self.probed = None;
        }
    }

    /// What is lost, and what that means (tcp_fastretrans_alert).
    fn alert(&mut self, news: &News, equal: bool, was: u32, now: Duration) -> u32 {
        if !self.sacks {
            self.count_equal(equal, news);
        }
        let over = !before(self.oldest, self.high);
        if self.mode == Mode::Recovery && over {
            self.equal = 0;
            // Without SACK the last of them may be a late answer to what was sent before.
            if !self.try_undo() {
                self.board.recovered();
                self.window.end_reduction();
            }
            self.mode = Mode::Open;
            self.undo = None;
        }
        if self.mode == Mode::Recovery {
            self.try_undo_hasty();
        }
        if self.mode == Mode::Loss {
            self.in_loss(news, over);
        }
        let lost = self.find_lost(news, was, now);
        if self.mode == Mode::Loss {
            return lost;
        }
        if self.mode == Mode::Open {
            self.try_undo_hasty();
        }
        if self.mode != Mode::Recovery && self.board.has_lost() {
            self.enter();
        } else if self.mode == Mode::Recovery && (news.advanced || news.sacked || equal) {
            let delivered = news.delivered.max(u32::from(equal));
            let flight = self.flight();
            self.window.reduce(delivered, lost, news.advanced, flight);
            if !self.sacks && lost > 0 {
                // RFC 6582: the next hole is filled at once, whatever the window says.
                self.window.size = self.window.size.max(flight + 1);
            }
            return lost;
        } else {
            return lost;
        }
        let delivered = news.delivered.max(1);
        let flight = self.flight();
        self.window.reduce(delivered, lost, news.advanced, flight);
        lost
    }

    /// Marks tell of congestion: the window goes down once in a round trip (tcp_enter_cwr).
    fn slow_down(&mut self, congested: bool, news: &News) {
        if self.slowed.is_some_and(|high| before(high, self.oldest)) {
            self.window.end_reduction();
            self.slowed = None;
        }
        if self.mode != Mode::Open {
            self.slowed = None;
            return;
        }
        if congested && self.slowed.is_none() {
            self.undo = None;
            self.window.begin_reduction(false);
            (self.slowed, self.reduced) = (Some(self.next), true);
        }
        if self.slowed.is_some() && (news.advanced || news.sacked) {
            let flight = self.flight();
            self.window.reduce(news.delivered, 0, news.advanced, flight);
        }
    }

    /// Peers without SACK: each acknowledgement without news stands for a segment that has come.
    fn count_equal(&mut self, equal: bool, news: &News) {
        if news.advanced {
            self.equal = self
                .equal
                .saturating_sub(news.acknowledged.saturating_sub(1));
            if self.mode == Mode::Open {
                self.equal = 0;
            }
        } else if equal {
            let most = self.board.len().saturating_sub(1);
            self.equal = (self.equal + 1).min(most);
        }
    }

    fn find_lost(&mut self, news: &News, was: u32, now: Duration) -> u32 {
        if self.sacks {
            let recovers = matches!(self.mode, Mode::Recovery | Mode::Loss);
            let trips = (self.trip.shortest(), self.trip.smoothed());
            return self.board.detect(recovers, trips, now);
        }
        let advanced = before(was, self.oldest);
        let first = match self.mode {
            Mode::Recovery => advanced && news.advanced,
            Mode::Loss => false,
            _ => self.equal >= self.board.reordering,
        };
        match first {
            true => self.board.lose_first(),
            false => 0,
        }
    }

    /// tcp_enter_recovery.
    pub(super) fn enter(&mut self) {
        self.begin_undo();
        if !self.reduces() {
            self.window.begin_reduction(true);
            self.reduced = true;
        }
        self.slowed = None;
        self.high = self.next;
        self.probed = None;
        self.mode = Mode::Recovery;
    }

    pub(super) fn begin_undo(&mut self) {
        self.undo = Some(self.oldest);
        let repeats = self.board.repeats();
        self.needless = (repeats > 0).then_some(repeats);
    }

    /// Whether each second transmission was needless, so that nothing was lost at all.
    fn try_undo(&mut self) -> bool {
        let undo = self.undo.is_some() && self.needless == Some(0);
        if undo {
            self.window.undo();
            (self.undo, self.needless) = (None, None);
        }
        undo
    }

    /// tcp_try_undo_dsack.
    fn try_undo_hasty(&mut self) {
        if self.try_undo() && self.mode == Mode::Recovery {
            self.mode = Mode::Open;
        }
    }

    /// tcp_process_loss.
    fn in_loss(&mut self, news: &News, over: bool) {
        if self.spurious && news.original {
            // What was sent once has arrived: the timer was wrong (RFC 5682).
            self.window.undo();
            self.board.restore();
            (self.undo, self.needless, self.spurious) = (None, None, false);
            self.mode = Mode::Open;
            return;
        }
        if self.spurious {
            if before(self.high, self.next) {
                if news.sacked || news.duplicates > 0 {
                    self.spurious = false;
                }
            } else if news.advanced && !over {
                self.high = self.next;
                self.fresh_first = before(self.next, self.end()) && before(self.next, self.edge());
                self.spurious = self.fresh_first;
            }
        }
        if over {
            self.try_undo();
            self.board.recovered();
            self.mode = Mode::Open;
            (self.undo, self.spurious, self.fresh_first) = (None, false, false);
            self.equal = 0;
        }
    }

    /// The window grows, where nothing is lost (tcp_cong_control).
    fn govern(&mut self, news: &News, now: Duration) {
        if self.reduces() {
            return;
        }
        let shortest = self.trip.shortest().unwrap_or_default();
        if news.advanced || self.board.reordered {
            self.window.grow(news.delivered, shortest, now);
        }
    }
}
