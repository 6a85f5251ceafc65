//! How much may be on its way: CUBIC (RFC 9438), proportional rate reduction (RFC 6937), as Linux
//! has them. All is counted in segments.
#![forbid(unsafe_code)]

use std::time::Duration;

use super::bbr::{Bbr, Told};

/// TCP_INIT_CWND.
const FIRST: u32 = 10;
/// "No threshold yet".
pub(crate) const INFINITE: u32 = 0x7fff_ffff;
/// What remains of a window after a loss, of 1024 (Linux's beta).
const BETA: u64 = 717;
/// From here on, slow start looks at the delay (hystart_low_window).
const CAREFUL: u32 = 16;

/// The congestion window.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) size: u32,
    pub(crate) threshold: u32,
    count: u32,
    /// What it was before the last reduction, and the threshold.
    prior: u32,
    prior_threshold: u32,
    /// RFC 6937: delivered and sent since the reduction began.
    delivered: u32,
    pub(crate) sent: u32,
    /// Whether the window was what kept more from being sent, and what was on its way then.
    limited: bool,
    most_out: u32,
    cubic: Cubic,
    start: Start,
    bbr: Option<Box<Bbr>>,
}

#[derive(Debug, Default)]
struct Cubic {
    last_most: u32,
    epoch: Option<Duration>,
    origin: u32,
    /// Seconds until the window is what it was.
    k: f64,
    acknowledged: u32,
    /// What Reno would have.
    reno: u32,
}

/// Slow start ends when the delay grows (hystart_update).
#[derive(Debug, Default)]
struct Start {
    end: u32,
    current: Option<Duration>,
    samples: u32,
}

impl Default for Window {
    fn default() -> Window {
        Window {
            size: FIRST,
            threshold: INFINITE,
            count: 0,
            prior: 0,
            prior_threshold: 0,
            delivered: 0,
            sent: 0,
            limited: false,
            most_out: 0,
            cubic: Cubic::default(),
            start: Start::default(),
            bbr: None,
        }
    }
}

impl Window {
    pub(crate) fn use_bbr(&mut self, trip: Option<Duration>, size: u32, now: Duration) {
        self.bbr = Some(Box::new(Bbr::new(trip, self.size, size, now)));
    }

    pub(crate) fn is_bbr(&self) -> bool {
        self.bbr.is_some()
    }

    /// What BBR makes of an acknowledgement.
    pub(crate) fn told(&mut self, told: &Told) {
        if let Some(bbr) = &mut self.bbr {
            self.size = bbr.on_ack(told, self.size);
        }
    }

    /// When more may leave; none: now.
    pub(crate) fn paced(&self, now: Duration) -> Option<Duration> {
        self.bbr.as_ref()?.waits(now)
    }

    /// A packet of so many bytes left.
    pub(crate) fn left(&mut self, bytes: usize, now: Duration) {
        if let Some(bbr) = &mut self.bbr {
            bbr.sent(bytes, now);
        }
    }

    fn slow(&self) -> bool {
        self.size < self.threshold
    }

    /// What the threshold becomes with a loss (cubictcp_recalc_ssthresh).
    fn lower(&mut self) -> u32 {
        self.cubic.epoch = None;
        let size = u64::from(self.size);
        self.cubic.last_most = if self.size < self.cubic.last_most {
            (size * (1024 + BETA) / 2048) as u32
        } else {
            self.size
        };
        ((size * BETA / 1024) as u32).max(2)
    }

    /// A loss was noticed: the window goes down in the course of one round trip.
    pub(crate) fn begin_reduction(&mut self, remember: bool) {
        if let Some(bbr) = &mut self.bbr {
            return bbr.save(self.size);
        }
        if remember {
            self.prior_threshold = self.current_threshold();
        }
        self.count = 0;
        self.prior = self.size;
        (self.delivered, self.sent) = (0, 0);
        self.threshold = self.lower();
    }

    /// tcp_current_ssthresh, outside of a reduction.
    fn current_threshold(&self) -> u32 {
        self.threshold.max((self.size >> 1) + (self.size >> 2))
    }

    /// One step of a reduction (tcp_cwnd_reduction): `delivered` segments arrived, `flight` are
    /// on their way.
    pub(crate) fn reduce(&mut self, delivered: u32, lost: u32, advanced: bool, flight: u32) {
        if delivered == 0 || self.prior == 0 || self.is_bbr() {
            return;
        }
        self.delivered = self.delivered.saturating_add(delivered);
        let mut send = if flight > self.threshold {
            let share = (u64::from(self.threshold) * u64::from(self.delivered))
                .div_ceil(u64::from(self.prior));
            (share as i64 - i64::from(self.sent)).max(0) as u32
        } else {
            let mut send = self.delivered.saturating_sub(self.sent).max(delivered);
            if advanced && lost == 0 {
                send += 1;
            }
            send.min(self.threshold - flight)
        };
        if self.sent == 0 {
            send = send.max(1);
        }
        self.size = (flight + send).max(1);
    }

    /// The reduction is over.
    pub(crate) fn end_reduction(&mut self) {
        if self.is_bbr() {
            return;
        }
        if self.threshold < INFINITE {
            self.size = self.threshold.max(1);
        }
        self.count = 0;
    }

    /// The timer has fired: `flight` segments are left on their way.
    pub(crate) fn collapse(&mut self, flight: u32, anew: bool) {
        if let Some(bbr) = &mut self.bbr {
            if anew {
                bbr.save(self.size);
            }
            bbr.timed_out();
            self.size = flight + 1;
            return;
        }
        if anew {
            self.prior_threshold = self.current_threshold();
            self.prior = self.size;
            self.threshold = self.lower();
        }
        self.size = flight + 1;
        self.count = 0;
    }

    /// It was no loss (tcp_undo_cwnd_reduction).
    pub(crate) fn undo(&mut self) {
        if let Some(bbr) = &mut self.bbr {
            return bbr.undo();
        }
        self.size = self.size.max(self.prior);
        self.threshold = self.threshold.max(self.prior_threshold);
    }

    /// What was sent, and whether more would have been (tcp_cwnd_validate).
    pub(crate) fn used(&mut self, out: u32, limited: bool, round_over: bool) {
        if round_over || limited || !self.limited && out > self.most_out {
            (self.limited, self.most_out) = (limited, out);
        }
    }

    fn is_limited(&self) -> bool {
        if self.slow() {
            self.size < self.most_out.saturating_mul(2)
        } else {
            self.limited
        }
    }

    /// Nothing was sent for a while (tcp_cwnd_restart): the window halves with each `timeout`.
    pub(crate) fn restart(&mut self, idle: Duration, timeout: Duration) {
        if self.is_bbr() {
            return;
        }
        self.threshold = self.current_threshold();
        let least = FIRST.min(self.size);
        let mut left = idle;
        while left > timeout && self.size > least {
            left -= timeout;
            self.size >>= 1;
        }
        self.size = self.size.max(least);
        self.cubic.epoch = None;
        self.limited = false;
    }

    /// So many segments were acknowledged while nothing is lost.
    pub(crate) fn grow(&mut self, mut acknowledged: u32, shortest: Duration, now: Duration) {
        if self.is_bbr() || !self.is_limited() {
            return;
        }
        if self.slow() {
            let size = (self.size + acknowledged).min(self.threshold);
            acknowledged -= size - self.size;
            self.size = size;
            if acknowledged == 0 {
                return;
            }
        }
        let every = self.cubic.every(self.size, acknowledged, shortest, now);
        self.count += acknowledged;
        if self.count >= every {
            self.size += self.count / every;
            self.count %= every;
        }
    }

    /// A measurement in slow start. `acknowledged` and `next` are numbers in the sequence.
    pub(crate) fn measured(&mut self, trip: Duration, shortest: Duration, round: Round) {
        if self.is_bbr() || !self.slow() {
            return;
        }
        if (self.start.end.wrapping_sub(round.acknowledged) as i32) < 0 {
            self.start = Start {
                end: round.next,
                ..Start::default()
            };
        }
        let current = self.start.current.map_or(trip, |least| least.min(trip));
        self.start.current = Some(current);
        if self.start.samples < 8 {
            self.start.samples += 1;
            return;
        }
        let patience = (shortest / 8).clamp(Duration::from_millis(4), Duration::from_millis(16));
        if self.size >= CAREFUL && current > shortest + patience {
            self.threshold = self.size;
        }
    }
}

/// Where a round trip stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) acknowledged: u32,
    pub(crate) next: u32,
}

impl Cubic {
    /// After how many acknowledged segments the window grows by one (bictcp_update).
    fn every(&mut self, size: u32, acknowledged: u32, shortest: Duration, now: Duration) -> u32 {
        const C: f64 = 0.4;
        self.acknowledged += acknowledged;
        let epoch = *self.epoch.get_or_insert_with(|| {
            self.acknowledged = acknowledged;
            self.reno = size;
            (self.k, self.origin) = if self.last_most <= size {
                (0.0, size)
            } else {
                let gap = f64::from(self.last_most - size);
                ((gap / C).cbrt(), self.last_most)
            };
            now
        });
        let time = (now.saturating_sub(epoch) + shortest).as_secs_f64() - self.k;
        let target = f64::from(self.origin) + C * time.powi(3);
        let gap = target - f64::from(size);
        let mut every = if gap > 0.0 {
            (f64::from(size) / gap) as u32
        } else {
            size.saturating_mul(100)
        };
        if self.last_most == 0 {
            every = every.min(20);
        }
        // As fast as Reno at least: one for each 1.875 windows.
        let delta = (u64::from(size) * 15 / 8).max(1) as u32;
        self.reno += self.acknowledged / delta;
        self.acknowledged %= delta;
        if self.reno > size {
            every = every.min(size / (self.reno - size));
        }
        every.max(2)
    }
}
