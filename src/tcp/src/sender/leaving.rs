//! What leaves now, and what a timer brings (tcp_write_xmit, tcp_xmit_retransmit_queue,
//! tcp_retransmit_timer, tcp_send_loss_probe, tcp_send_probe0).
#![forbid(unsafe_code)]

use std::time::Duration;

use super::board::Sent;
use super::burst::{largest, New};
use super::trip::SHORTEST;
use super::{Mode, Sender};
use crate::segment::{before, FIN, PSH};

/// Linux's TCP_TIMEOUT_MIN: no probe earlier than after two ticks.
const TICK: Duration = Duration::from_millis(2);

/// What the headers of a packet come to, for the pace.
const HEAD: usize = 52;

/// One segment to be sent; the acknowledgement and the window are the connection's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) sequence: u32,
    /// PSH and FIN.
    pub(crate) flags: u8,
    /// Where urgent data ends, counted from the first byte; 0 for none.
    pub(crate) urgent: u16,
    /// The bytes, in two pieces.
    pub(crate) data: (&'a [u8], &'a [u8]),
}

impl Piece<'_> {
    pub(crate) fn len(&self) -> usize {
        self.data.0.len() + self.data.1.len()
    }
}

impl Sender {
    /// Sends at most `most` segments. Returns whether there are no more.
    pub(crate) fn leave(
        &mut self,
        most: usize,
        now: Duration,
        emit: &mut dyn FnMut(Piece<'_>),
    ) -> bool {
        self.after_idle(now);
        self.pace = None;
        let mut limited = false;
        for _ in 0..most {
            if self.flight() >= self.window.size {
                limited = true;
                if !self.only_fin() {
                    break;
                }
            }
            self.pace = self.window.paced(now);
            if self.pace.is_some() {
                break;
            }
            let repeat = if self.fresh_first {
                None
            } else {
                self.board.next_lost()
            };
            let left = match repeat {
                Some((place, sent)) => {
                    self.part(emit);
                    self.leave_again(place, sent, now, emit)
                }
                None => self.leave_new(now, emit),
            };
            if !left {
                self.part(emit);
                if self.next == self.end() && !limited && !self.board.has_lost() {
                    let flight = self.flight();
                    self.board.rate.idles(flight);
                }
                self.used(limited);
                self.watch(now);
                return true;
            }
        }
        self.part(emit);
        self.fresh_first = false;
        self.used(limited);
        self.watch(now);
        if !self.has_more() {
            self.pace = None;
        }
        limited || self.pace.is_some() || !self.has_more()
    }

    /// Whether only the FIN is left: the window is not strict with it.
    fn only_fin(&self) -> bool {
        self.closing && !self.fin_sent && self.next == self.end() && !self.board.has_lost()
    }

    fn has_more(&mut self) -> bool {
        self.board.next_lost().is_some() || self.fits().is_some()
    }

    fn used(&mut self, limited: bool) {
        let out = self.board.len();
        let over = !before(self.oldest, self.used_until);
        self.window.used(out, limited, over);
        if over || limited {
            self.used_until = self.next;
        }
    }

    /// A connection that was silent for long does not send a whole window at once.
    fn after_idle(&mut self, now: Duration) {
        // What no window lets out does not count as sent (tcp_slow_start_after_idle_check).
        if self.rests || !self.board.is_empty() || self.fits().is_none() {
            return;
        }
        if let Some(at) = self.sent_at {
            let (idle, timeout) = (now.saturating_sub(at), self.trip.plain());
            if idle > timeout {
                self.window.restart(idle, timeout);
                self.sent_at = None;
            }
        }
    }

    /// How much new data may leave now as a segment: its bytes, and whether the FIN goes along.
    fn fits(&self) -> Option<(u32, bool)> {
        let left = self.end().wrapping_sub(self.next);
        if self.fin_sent || (left as i32) < 0 {
            return None;
        }
        let mut count = left.min(self.segment());
        let fin = self.closing && count == left;
        // RFC 896, as Minshall changes it: one short segment may be on its way (tcp_nagle_test).
        let presses = self.no_delay || self.urgent_from(self.next) > 0;
        let waits = before(self.oldest, self.short_end) && !presses;
        let free = self.held.free(self.next);
        if free < count && !fin && (count < self.segment() || free > 0 && !waits) {
            count = free;
        }
        // Only the last piece waits for more (tcp_write_xmit).
        let ends = self.records.iter().find(|at| before(self.next, **at));
        let ends = ends.map(|at| at.wrapping_sub(self.next));
        let record = ends.filter(|ends| *ends <= count && *ends < left);
        count = record.unwrap_or(count);
        let fin = fin && record.is_none();
        let taken = count + u32::from(fin);
        let inside = self.edge().wrapping_sub(self.next);
        let holds = count < self.segment() && !fin && waits && record.is_none();
        let fits = taken > 0 && (inside as i32) > 0 && taken <= inside && !holds;
        fits.then_some((count, fin))
    }

    fn leave_new(&mut self, now: Duration, emit: &mut dyn FnMut(Piece<'_>)) -> bool {
        let Some((count, fin)) = self.fits() else {
            self.fresh_first = false;
            return false;
        };
        let sequence = self.next;
        self.join(
            New {
                sequence,
                count,
                fin,
            },
            emit,
        );
        self.window.left(count as usize + HEAD, now);
        let end = self.next.wrapping_add(count + u32::from(fin));
        if self.board.is_empty() {
            self.timer = Some(now + self.trip.timeout());
        }
        self.board.push(self.next, end, now);
        if count < self.segment() {
            self.short_end = end;
        }
        self.next = end;
        self.fin_sent |= fin;
        self.sent_at = Some(now);
        if self.reduces() {
            self.window.sent += 1;
        }
        self.plan_probe(now);
        true
    }

    /// A segment of new data leaves, or waits for the next one.
    fn join(&mut self, new: New, emit: &mut dyn FnMut(Piece<'_>)) {
        if !self.burst.goes_on(self.segment()) {
            self.part(emit);
            // tcp_update_pacing_rate, and tcp_cwnd_test.
            let window = self.window.size;
            let slow = window < self.window.threshold / 2;
            let share = if slow { 200 } else { 120 };
            let out = u64::from(window.max(self.board.len())) * u64::from(self.segment());
            let trips = (self.trip.smoothed(), self.trip.shortest());
            let most = largest(out * share / 100, self.segment(), trips.0, trips.1);
            let quota = (window / 2).min(window.saturating_sub(self.flight()));
            self.burst.begin(most.min(quota.max(1)));
        }
        if let Some(last) = self.burst.keep(new) {
            self.put((last.sequence, last.count), last.fin, false, emit);
        }
    }

    /// Nothing more follows in this piece.
    fn part(&mut self, emit: &mut dyn FnMut(Piece<'_>)) {
        if let Some((last, several)) = self.burst.end() {
            self.put((last.sequence, last.count), last.fin, several, emit);
        }
    }

    fn leave_again(
        &mut self,
        place: usize,
        sent: Sent,
        now: Duration,
        emit: &mut dyn FnMut(Piece<'_>),
    ) -> bool {
        // Beyond a window that has shrunk only the oldest is sent.
        if !before(sent.start, self.edge()) && sent.start != self.oldest {
            return false;
        }
        self.repeat(place, sent, now, emit);
        if self.reduces() {
            self.window.sent += 1;
        }
        if place == 0 {
            self.timer = Some(now + self.trip.timeout());
        }
        true
    }

    fn repeat(&mut self, place: usize, sent: Sent, now: Duration, emit: &mut dyn FnMut(Piece<'_>)) {
        let fin = before(self.end(), sent.end);
        let count = sent.end.wrapping_sub(sent.start) - u32::from(fin);
        self.put((sent.start, count), fin, false, emit);
        self.window.left(count as usize + HEAD, now);
        self.board.repeat(place, now);
        self.sent_at = Some(now);
        if self.undo.is_some() {
            *self.needless.get_or_insert(0) += 1;
        }
    }

    /// Hands one segment on.
    fn put(
        &self,
        (sequence, count): (u32, u32),
        fin: bool,
        pushes: bool,
        emit: &mut dyn FnMut(Piece<'_>),
    ) {
        let offset = sequence.wrapping_sub(self.oldest) as usize;
        let data = self.buffer.slices(offset, count as usize);
        let end = sequence.wrapping_add(count);
        let last = end == self.end();
        let pushes = pushes || self.records.contains(&end);
        let mut flags = 0;
        if (last && self.held.ends_pushed() || pushes) && count > 0 {
            flags |= PSH;
        }
        if fin {
            flags |= FIN;
        }
        emit(Piece {
            sequence,
            flags,
            urgent: self.urgent_from(sequence),
            data,
        });
    }

    /// Where urgent data ends, counted from here (tcp_transmit_skb).
    fn urgent_from(&self, sequence: u32) -> u16 {
        let end = self.urgent.filter(|end| before(self.oldest, *end));
        let ahead = end.filter(|end| before(sequence, *end));
        ahead.map_or(0, |end| {
            u16::try_from(end.wrapping_sub(sequence)).unwrap_or(u16::MAX)
        })
    }

    /// Whether a closed window has to be asked (tcp_check_probe_timer).
    fn watch(&mut self, now: Duration) {
        self.keep_time(now);
        // Behind a FIN there is nothing.
        let waits = !self.fin_sent && (self.next != self.end() || self.closing);
        if !self.board.is_empty() || !waits {
            (self.asks, self.asked) = (None, 0);
        } else if self.asks.is_none() && self.fits().is_none() {
            self.asks = Some(now + self.trip.after(self.asked).max(SHORTEST));
        }
    }

    /// When a probe asks whether the tail has arrived (tcp_schedule_loss_probe).
    pub(super) fn plan_probe(&mut self, now: Duration) {
        self.probe = None;
        let Some(smoothed) = self.trip.smoothed() else {
            return;
        };
        if !self.sacks || self.board.is_empty() {
            return;
        }
        if self.mode == Mode::Recovery {
            // Where nothing more can be sent, nobody would notice that what was sent again is lost
            // once more (RFC 6675 has a rescue for this, too; Linux waits for its timer).
            if !self.rescued && self.fits().is_none() {
                self.probe = Some(now + smoothed * 2 + TICK);
            }
            return;
        }
        if self.mode == Mode::Loss || self.board.arrived() > 0 {
            return;
        }
        // One segment alone may only have an acknowledgement that is late.
        let patience = if self.board.len() == 1 {
            SHORTEST
        } else {
            TICK
        };
        let at = now + smoothed * 2 + patience;
        self.probe = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }

    /// When something is to be done; none: when something comes.
    pub(crate) fn timer_at(&self) -> Option<Duration> {
        [
            self.timer,
            self.probe,
            self.board.patience,
            self.asks,
            self.pace,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
    pub(crate) fn on_time(&mut self, now: Duration, emit: &mut dyn FnMut(Piece<'_>)) {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if due(self.board.patience) {
            let recovers = matches!(self.mode, Mode::Recovery | Mode::Loss);
            let trips = (self.trip.shortest(), self.trip.smoothed());
            let before = self.flight();
            let lost = self.board.detect(recovers, trips, now);
            if lost > 0 && self.mode == Mode::Open {
                self.enter();
            }
            if lost > 0 && self.mode == Mode::Recovery {
                let gone = before.saturating_sub(self.flight()).max(1);
                let flight = self.flight();
                self.window.reduce(gone, lost, false, flight);
            }
        }
        if due(self.probe) {
            self.on_probe(now, emit);
        }
        if due(self.timer) {
            self.on_timeout(now);
        }
        if due(self.asks) {
            self.on_ask(now, emit);
        }
    }

    /// Asks for the tail: by new data where there is some, else by the last segment.
    fn on_probe(&mut self, now: Duration, emit: &mut dyn FnMut(Piece<'_>)) {
        self.probe = None;
        if self.mode == Mode::Recovery {
            self.rescued = true;
            if let Some(&first) = self.board.first() {
                self.repeat(0, first, now, emit);
            }
        } else if self.probed.is_none() && !self.board.is_empty() {
            let again = self.fits().is_none();
            if again {
                if let Some((place, sent)) = self.board.tail() {
                    self.repeat(place, sent, now, emit);
                }
            } else {
                self.leave_new(now, emit);
                self.part(emit);
            }
            self.probed = Some((self.next, again));
            self.probe = None;
        }
        self.again_timer(now);
    }

    /// Nobody has answered for long (tcp_enter_loss).
    fn on_timeout(&mut self, now: Duration) {
        self.timer = None;
        self.probe = None;
        if self.board.is_empty() {
            return;
        }
        let anew = self.mode != Mode::Recovery && self.mode != Mode::Loss;
        let first = self.fired == 0;
        let fresh = self.mode == Mode::Open
            || !before(self.oldest, self.high)
            || self.mode == Mode::Loss && first;
        // RFC 2018: who has said to have something may have thrown it away.
        let doubt = self.board.first().is_some_and(|first| first.sacked);
        self.board.lose_all(doubt, now);
        self.equal = 0;
        let flight = self.board.flight();
        self.window.collapse(flight, fresh);
        (self.slowed, self.reduced) = (None, true);
        if fresh {
            self.begin_undo();
        }
        self.spurious = anew || !first;
        self.fresh_first = false;
        self.fired += 1;
        self.high = self.next;
        self.probed = None;
        self.mode = Mode::Loss;
        self.trip.back_off();
        self.again_timer(now);
    }

    /// Asks a window that is closed, or too small (tcp_write_wakeup).
    fn on_ask(&mut self, now: Duration, emit: &mut dyn FnMut(Piece<'_>)) {
        let inside = self.edge().wrapping_sub(self.next);
        let left = self.end().wrapping_sub(self.next);
        if (inside as i32) > 0 && left > 0 {
            let count = inside.min(left).min(self.segment());
            self.put((self.next, count), false, true, emit);
            let end = self.next.wrapping_add(count);
            self.board.push(self.next, end, now);
            self.next = end;
            self.sent_at = Some(now);
            self.asks = None;
            self.again_timer(now);
            return;
        }
        emit(Piece {
            sequence: self.oldest.wrapping_sub(1),
            flags: 0,
            urgent: 0,
            data: (&[], &[]),
        });
        self.asked = (self.asked + 1).min(20);
        self.asks = Some(now + self.trip.after(self.asked));
    }
}
