//! What this side says: the bytes that are written, when they leave, and when they leave again.
//!
//! | module | what it is |
//! |---|---|
//! | `buffer` | the bytes |
//! | `board` | what was sent and when, what has arrived, what is lost |
//! | `window` | how much may be on its way: CUBIC |
//! | `bbr` | the same, where the machine's kernel is set to BBR; `rate` what that is told |
//! | `trip` | how long a round trip takes |
//! | `news` | what an acknowledgement changes |
//! | `burst` | which segments leave as one piece |
//! | `held` | what the program holds back |
//! | `leaving` | what leaves now, and what a timer brings |
//! | `chrono` | how long something was so |
//! | `told` | what TCP_INFO says |
//!
//! Names of the kernel's stand where its way was followed (tcp_input.c, tcp_output.c,
//! tcp_recovery.c, tcp_cubic.c).
#![forbid(unsafe_code)]

mod bbr;
mod board;
mod buffer;
mod burst;
mod chrono;
mod held;
mod leaving;
mod news;
mod rate;
mod told;
mod trip;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

pub use held::Hold;
pub(crate) use leaving::Piece;
pub(crate) use news::Ack;

use crate::segment::before;
use board::Board;
use buffer::Buffer;
use burst::Burst;
use chrono::Chrono;
use held::Held;
use trip::Trip;
use window::Window;

/// Where the connection stands with its losses (tcp_ca_state).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    #[default]
    Open,
    /// A loss was noticed and is being mended.
    Recovery,
    /// The timer has fired.
    Loss,
}

/// The half of a connection that says something.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    buffer: Buffer,
    board: Board,
    window: Window,
    trip: Trip,
    mode: Mode,
    /// The number of the oldest byte that is not acknowledged, and of the next to be sent.
    oldest: u32,
    next: u32,
    /// What the other side takes, from `oldest` on, and the segment that said so.
    peer: u32,
    peer_most: u32,
    peer_at: u32,
    /// The largest segment that it takes, and that the path does, with options.
    size: usize,
    /// Bytes of options in each segment.
    options: usize,
    sacks: bool,
    closing: bool,
    fin_sent: bool,
    fin_acknowledged: bool,
    /// Acknowledgements without news, for peers without SACK: so many segments have arrived.
    equal: u32,
    /// The last number when the loss was noticed.
    high: u32,
    /// Where an undo begins, and how many second transmissions nobody has called needless.
    undo: Option<u32>,
    needless: Option<u32>,
    /// The next thing after the timer is new data, to see whether the loss was one (RFC 5682).
    spurious: bool,
    fresh_first: bool,
    /// The last number when a probe was sent for the tail, and whether it was a second sending.
    probed: Option<(u32, bool)>,
    /// The window goes down because of marks, until something beyond this is acknowledged.
    slowed: Option<u32>,
    /// It has begun to go down, whatever for.
    reduced: bool,
    /// The first one was sent again in a recovery in which nothing else could be.
    rescued: bool,
    timer: Option<Duration>,
    probe: Option<Duration>,
    /// A closed window is asked again then; and how often it was.
    asks: Option<Duration>,
    asked: u32,
    /// How often the timer has fired without any news.
    fired: u32,
    sent_at: Option<Duration>,
    used_until: u32,
    bbr: bool,
    /// More leaves then; none: it is not the pace that keeps it.
    pace: Option<Duration>,
    burst: Burst,
    held: Held,
    /// The numbers after records, which no segment goes beyond (MSG_EOR).
    records: VecDeque<u32>,
    /// The number after the last segment that was shorter than it could be.
    short_end: u32,
    /// A window stays what it was while nothing is sent.
    rests: bool,
    /// Short segments do not wait (TCP_NODELAY).
    no_delay: bool,
    /// The number after the last urgent byte.
    urgent: Option<u32>,
    /// The first number after the SYN.
    first: u32,
    /// For how long there was something to say, and for how long no window for it.
    busy: Chrono,
    limited: Chrono,
}

impl Sender {
    /// Begins with the first number after the SYN. `trip` is how long its answer took.
    /// `tries` is how often the SYN has left.
    pub(crate) fn begin(
        &mut self,
        first: u32,
        trip: Option<Duration>,
        tries: usize,
        now: Duration,
    ) {
        // RFC 5681, as Linux softens it: one loss of a SYN is forgiven.
        if tries > 2 {
            self.window.size = 1;
        }
        (self.oldest, self.next, self.high) = (first, first, first);
        (self.used_until, self.short_end, self.first) = (first, first, first);
        match trip {
            Some(trip) => self.trip.measure(trip, now),
            None => self.trip.is_unsure(),
        }
        if self.bbr {
            let size = self.segment();
            self.window.use_bbr(trip, size, now);
        }
    }

    /// The first round trip of one that had data in its SYN.
    pub(crate) fn met(&mut self, trip: Duration, now: Duration) {
        self.trip.measure(trip, now);
        self.again_timer(now);
        if self.bbr {
            let size = self.segment();
            self.window.use_bbr(Some(trip), size, now);
        }
    }

    /// BBR says how much may be on its way, not CUBIC.
    pub(crate) fn use_bbr(&mut self) {
        self.bbr = true;
    }

    /// What the other side's SYN has said.
    pub(crate) fn learn(&mut self, size: usize, sacks: bool, window: u32, sequence: u32) {
        (self.size, self.sacks) = (size, sacks);
        (self.peer, self.peer_most, self.peer_at) = (window, window, sequence);
    }

    /// So many bytes of options stand in each segment.
    pub(crate) fn set_options(&mut self, bytes: usize) {
        self.options = bytes;
    }

    /// Whether an acknowledgement is older than the other side's largest window (RFC 5961).
    pub(crate) fn is_ancient(&self, acknowledgement: u32) -> bool {
        let acknowledged = self.oldest.wrapping_sub(self.first);
        let window = self.peer_most.min(acknowledged);
        before(acknowledgement, self.oldest.wrapping_sub(window))
    }

    /// Whether this is the window that the other side has said last.
    pub(crate) fn has_said(&self, window: u32) -> bool {
        self.peer == window
    }

    /// After how long something is sent again.
    pub(crate) fn timeout(&self) -> Duration {
        self.trip.timeout()
    }

    /// What was written last is urgent.
    pub(crate) fn press(&mut self) {
        self.urgent = Some(self.end());
    }

    /// The program holds back what it has written last, or nothing.
    pub(crate) fn hold(&mut self, hold: Option<Hold>) {
        self.held.set(hold, self.end());
    }

    /// What is written leaves, whatever holds it back.
    pub(crate) fn push(&mut self) {
        self.held.let_go(self.end());
    }

    /// A record ends so many bytes before the last that was written.
    pub(crate) fn end_record(&mut self, behind: u32) {
        /// So many are kept; others are no more than bytes.
        const MOST: usize = 1024;
        let at = self.end().wrapping_sub(behind);
        let is_new = self.records.back().is_none_or(|last| before(*last, at));
        if is_new && before(self.next, at) && self.records.len() < MOST {
            self.records.push_back(at);
        }
    }

    /// A segment has come.
    pub(crate) fn heard(&mut self) {
        self.held.heard(self.end());
    }

    pub(crate) fn set_rests(&mut self, rests: bool) {
        self.rests = rests;
    }

    pub(crate) fn set_no_delay(&mut self, no_delay: bool) {
        self.no_delay = no_delay;
    }

    pub(crate) fn oldest(&self) -> u32 {
        self.oldest
    }

    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    pub(crate) fn trip(&self) -> Option<Duration> {
        self.trip.smoothed()
    }

    /// Whether the other side has acknowledged the FIN.
    pub(crate) fn is_finished(&self) -> bool {
        self.fin_acknowledged
    }

    /// Bytes that are written and not acknowledged.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn room(&self) -> usize {
        match self.closing {
            true => 0,
            false => {
                let arrived = self.board.arrived() as usize * self.segment() as usize;
                self.buffer.room(arrived)
            }
        }
    }

    pub(crate) fn write_with<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
        let most = self.room();
        self.buffer.write_with(most, fill)
    }

    /// No more bytes come; a FIN follows them.
    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether something waits for an answer: data, or a window.
    pub(crate) fn waits(&self) -> bool {
        !self.board.is_empty() || self.asks.is_some()
    }

    /// The number after the last byte that is written.
    fn end(&self) -> u32 {
        let acknowledged = u32::from(self.fin_acknowledged);
        self.oldest
            .wrapping_sub(acknowledged)
            .wrapping_add(self.buffer.len() as u32)
    }

    /// The largest segment that is sent now (tcp_current_mss, tcp_bound_to_half_wnd).
    fn segment(&self) -> u32 {
        let bound = match self.peer_most {
            0 => u32::MAX,
            most if most > 536 => most / 2,
            most => most,
        };
        let least = 68 - 20;
        (self.size.saturating_sub(self.options) as u32)
            .min(bound.max(least))
            .max(8)
    }

    /// The number that the other side does not take any more.
    fn edge(&self) -> u32 {
        self.oldest.wrapping_add(self.peer)
    }

    /// What is on its way.
    fn flight(&self) -> u32 {
        self.board.flight().saturating_sub(self.equal)
    }

    fn reduces(&self) -> bool {
        self.mode == Mode::Recovery || self.slowed.is_some()
    }

    /// Whether the window has begun to go down since somebody has asked.
    pub(crate) fn has_reduced(&mut self) -> bool {
        std::mem::take(&mut self.reduced)
    }

    fn again_timer(&mut self, now: Duration) {
        self.timer = (!self.board.is_empty()).then(|| now + self.trip.timeout());
    }

    /// The path takes less than it did.
    pub(crate) fn set_size(&mut self, size: usize) {
        self.size = size;
        if self.board.cut(self.segment()) && self.mode != Mode::Loss {
            self.high = self.next;
            (self.undo, self.needless) = (None, None);
            (self.mode, self.probe) = (Mode::Loss, None);
        }
    }
}
