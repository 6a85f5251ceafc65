//! What this side says of what has come: when it answers, and which blocks it has beyond a gap
//! (RFC 2018, RFC 2883).
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::info::{at, Filled};
use crate::segment::before;

/// TCP_DELACK_MIN.
pub(crate) const DELAY: Duration = Duration::from_millis(40);
/// TCP_MAX_QUICKACKS: so many segments are acknowledged at once at the beginning.
const QUICK: u32 = 16;
/// After a gap, or after data that came twice, so many segments are acknowledged one by one or in
/// pairs, as Linux does with all: many answers make up for one that is lost. Where nothing is lost
/// the segments of one turn have one answer, as if they had come in one piece.
const WARY: u32 = 2000;
/// So many blocks beyond a gap are kept: the engine has one place more.
const BLOCKS: usize = 31;

/// The answers of one connection.
#[derive(Debug)]
pub(crate) struct Answers {
    /// Blocks beyond the first gap, those that grew last first.
    ahead: Vec<(u32, u32)>,
    /// What came that was here already, until it has been said.
    duplicate: Option<(u32, u32)>,
    /// The last acknowledgement that has left.
    told: u32,
    due: Option<Duration>,
    quick: u32,
    /// The largest segment that has come.
    largest: u32,
    /// This side answers with data, soon.
    talks: bool,
    heard: Option<Duration>,
    /// So many segments still have their answers at once.
    wary: u32,
    /// The answer that is due should not wait for the end of the turn.
    urgent: bool,
    /// Answers to what came beyond the first gap since this was the next number: the first three
    /// leave at once, the others with the turn (tcp_comp_sack).
    gap_at: u32,
    gaps: u32,
}

impl Default for Answers {
    fn default() -> Answers {
        Answers {
            ahead: Vec::new(),
            duplicate: None,
            told: 0,
            due: None,
            quick: QUICK,
            largest: 536,
            talks: false,
            heard: None,
            wary: 0,
            urgent: false,
            gap_at: 0,
            gaps: 0,
        }
    }
}

impl Answers {
    /// The other side's next number is this.
    pub(crate) fn begin(&mut self, expected: u32) {
        self.told = expected;
    }

    /// Fills in what TCP_INFO says of what came.
    pub(crate) fn tell(&self, info: &mut Filled, now: Duration) {
        info.word(at::THEIR_SEGMENT, self.largest);
        if let Some(heard) = self.heard {
            info.ago(at::HEARD_DATA_AGO, heard, now);
        }
    }

    /// An answer has to leave with the next turn.
    pub(crate) fn owe(&mut self, now: Duration) {
        self.due = Some(now);
    }

    /// The next answers do not wait (tcp_enter_quickack_mode).
    pub(crate) fn hurry(&mut self) {
        (self.quick, self.talks) = (self.quick.max(2), false);
    }

    /// Up to where was acknowledged.
    pub(crate) fn told(&self) -> u32 {
        self.told
    }

    pub(crate) fn due(&self) -> Option<Duration> {
        self.due
    }

    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Whether a block beyond the gap can be kept.
    pub(crate) fn admits(&self, from: u32, to: u32) -> bool {
        self.ahead.len() < BLOCKS
            || self
                .ahead
                .iter()
                .any(|&(start, end)| !before(to, start) && !before(end, from))
    }

    /// Data came that was here already.
    pub(crate) fn came_again(&mut self, from: u32, to: u32, now: Duration) {
        self.duplicate = Some((from, to));
        (self.wary, self.urgent) = (WARY, true);
        // Our answers may be what is lost, or late (tcp_enter_quickack_mode).
        (self.quick, self.talks) = (QUICK, false);
        self.owe(now);
    }

    /// Data comes of which parts may be here already, beyond a gap: the first part is said, and
    /// what touches it (tcp_dsack_extend).
    pub(crate) fn overlap(&mut self, from: u32, to: u32) {
        let parts = self.ahead.iter().map(|&(start, end)| {
            let start = if before(start, from) { from } else { start };
            let end = if before(to, end) { to } else { end };
            (start, end)
        });
        let known = parts.filter(|&(start, end)| before(start, end));
        let first = known.reduce(|a, b| if before(b.0, a.0) { b } else { a });
        if let Some((start, end)) = first {
            self.duplicate = Some(match self.duplicate {
                Some(said) if said.1 == start => (said.0, end),
                Some(said) => said,
                None => (start, end),
            });
        }
    }

    /// Data came beyond a gap, and is kept.
    pub(crate) fn came_ahead(&mut self, from: u32, to: u32, now: Duration) {
        let within = |&(start, end): &(u32, u32)| !before(from, start) && !before(end, to);
        if self.ahead.iter().any(within) {
            self.came_again(from, to, now);
        } else {
            self.overlap(from, to);
        }
        let mut whole = (from, to);
        self.ahead.retain(|&(start, end)| {
            let apart = before(whole.1, start) || before(end, whole.0);
            if !apart {
                whole.0 = if before(start, whole.0) {
                    start
                } else {
                    whole.0
                };
                whole.1 = if before(whole.1, end) { end } else { whole.1 };
            }
            apart
        });
        self.ahead.insert(0, whole);
        self.wary = WARY;
        self.urgent |= self.is_among_first(self.told);
        self.owe(now);
    }

    /// Data came in order: now `expected` is the next number. `size` is what came.
    pub(crate) fn came(&mut self, expected: u32, size: u32, now: Duration) {
        self.heard = Some(now);
        self.largest = self.largest.max(size);
        self.quick = self.quick.saturating_sub(1);
        self.wary = self.wary.saturating_sub(1);
        let gap = !self.ahead.is_empty();
        self.ahead.retain(|&(_, end)| before(expected, end));
        let much = expected.wrapping_sub(self.told) > self.largest;
        let delays = self.talks || self.quick == 0;
        if gap || much || !delays {
            self.urgent |= match gap && !much {
                true => self.is_among_first(expected),
                false => self.wary > 0,
            };
            self.owe(now);
        } else {
            self.due.get_or_insert(now + DELAY);
        }
    }

    /// The other side has said all. Whoever hears that `first` is about to say something, and be it
    /// an end of its own, which carries the answer (tcp_fin enters ping-pong mode).
    pub(crate) fn ended(&mut self, first: bool, now: Duration) {
        self.talks |= first;
        // Blocks are forgotten with the end (tcp_fin resets what is said by SACK).
        self.duplicate = None;
        self.ahead.clear();
        // Without data before there is nothing to learn the delay from (tcp_send_delayed_ack).
        match first && self.heard.is_some() {
            true => drop(self.due.get_or_insert(now + DELAY)),
            false => self.owe(now),
        }
    }

    /// Whether data has come, and nothing beyond a gap.
    pub(crate) fn has_no_gap(&self) -> bool {
        self.heard.is_some() && self.ahead.is_empty()
    }

    /// Bytes that came beyond a gap.
    pub(crate) fn ahead(&self) -> u32 {
        let sizes = self.ahead.iter().map(|&(from, to)| to.wrapping_sub(from));
        sizes.fold(0, u32::wrapping_add)
    }

    /// Whether the answer to a segment around a gap is one of the first.
    fn is_among_first(&mut self, expected: u32) -> bool {
        const FIRST: u32 = 3;
        if self.gap_at != expected {
            (self.gap_at, self.gaps) = (expected, 0);
        }
        self.gaps += 1;
        self.gaps <= FIRST
    }

    /// Whether the answer should leave before the next segment is looked at.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// A packet with this acknowledgement has left.
    pub(crate) fn said(&mut self, expected: u32) {
        self.urgent = false;
        (self.told, self.due, self.duplicate) = (expected, None, None);
    }

    /// Data has left: whoever answers soon will answer again, and its data carries the answers.
    pub(crate) fn talked(&mut self, now: Duration) {
        self.talks |= self.heard.is_some_and(|at| now.saturating_sub(at) < DELAY);
    }

    /// The option that says which blocks are here, at most so many of them.
    pub(crate) fn option(&self, most: usize, out: &mut Vec<u8>) {
        let blocks = self.duplicate.iter().chain(&self.ahead).take(most);
        let count = blocks.clone().count();
        if count == 0 {
            return;
        }
        out.extend([1, 1, 5, 2 + 8 * count as u8]);
        for &(from, to) in blocks {
            out.extend(from.to_be_bytes());
            out.extend(to.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(answers: &Answers) -> Vec<(u32, u32)> {
        let mut option = Vec::new();
        answers.option(4, &mut option);
        let word = |at: usize| u32::from_be_bytes(option[at..at + 4].try_into().expect("four"));
        (4..option.len())
            .step_by(8)
            .map(|at| (word(at), word(at + 4)))
            .collect()
    }

    #[test]
    fn the_block_that_grew_last_is_first_and_four_are_said() {
        let now = Duration::ZERO;
        let mut answers = Answers::default();
        answers.begin(u32::MAX - 99);
        for start in [0, 20, 40, 60, 80_u32] {
            answers.came_ahead(start, start + 10, now);
        }
        assert_eq!(said(&answers), [(80, 90), (60, 70), (40, 50), (20, 30)]);
        answers.came_ahead(10, 20, now);
        assert_eq!(said(&answers), [(0, 30), (80, 90), (60, 70), (40, 50)]);
        answers.came_ahead(62, 65, now);
        assert_eq!(said(&answers)[0], (62, 65), "it was here already");
        answers.said(u32::MAX - 99);
        answers.came(50, 10, now);
        assert_eq!(said(&answers), [(60, 70), (80, 90)]);
        assert!(answers.is_due(now));
    }

    #[test]
    fn what_a_segment_brings_again_is_said() {
        let mut answers = Answers::default();
        answers.begin(0);
        for start in [70, 10, 40_u32] {
            answers.came_ahead(start, start + 20, Duration::ZERO);
        }
        answers.overlap(0, 60);
        answers.came(60, 60, Duration::ZERO);
        assert_eq!(said(&answers), [(10, 30), (70, 90)]);
        answers.said(60);
        answers.overlap(60, 80);
        answers.came(90, 20, Duration::ZERO);
        assert_eq!(said(&answers), [(70, 80)]);
    }

    #[test]
    fn no_more_blocks_are_kept_than_there_is_room_for() {
        let mut answers = Answers::default();
        for start in (0..1000).step_by(20) {
            if answers.admits(start, start + 10) {
                answers.came_ahead(start, start + 10, Duration::ZERO);
            }
        }
        assert_eq!(answers.ahead.len(), BLOCKS);
        assert!(answers.admits(10, 15) && !answers.admits(2000, 2010));
    }
}
