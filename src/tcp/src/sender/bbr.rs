//! BBR, as Linux's tcp_bbr.c has it: how much may be on its way follows from the rate that arrives
//! and from the shortest round trip, not from losses. Some distributions have it as the kernel's
//! usual one. Left out is what finds out policers.
#![forbid(unsafe_code)]

use std::time::Duration;

/// bbr_high_gain: 2/ln(2).
const HIGH: f64 = 2.885;
/// bbr_cwnd_gain.
const GAIN: f64 = 2.0;
/// bbr_pacing_gain.
const PACES: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// bbr_bw_rtts: so many round trips the highest rate counts.
const RATES: u32 = 10;
/// bbr_extra_acked_win_rtts.
const EXTRAS: u32 = 5;
/// bbr_min_rtt_win_sec, bbr_probe_rtt_mode_ms.
const WINDOW: Duration = Duration::from_secs(10);
const PROBE: Duration = Duration::from_millis(200);
/// bbr_cwnd_min_target.
const LEAST: u32 = 4;
/// What may leave ahead of its pace, and how much may be made up for where a timer was late: one
/// for each packet would cost more than it brings.
const AHEAD: Duration = Duration::from_millis(1);
const BEHIND: Duration = Duration::from_millis(4);
/// Beyond this rate, in bytes a second, nothing is paced: whole windows take less time there than
/// the process needs to wake.
const SWIFT: f64 = 12_500_000.0;
/// bbr_pacing_margin_percent.
const MARGIN: f64 = 0.99;

/// What one acknowledgement tells of the rate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Segments that arrived while the interval lasted, and how long that was.
    pub(crate) delivered: u64,
    pub(crate) interval: Option<Duration>,
    /// What had arrived when the newest of them was sent.
    pub(crate) prior: u64,
    /// There was nothing more to send then.
    pub(crate) idle: bool,
}

/// What BBR is told with each acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) sample: Sample,
    /// Segments that have arrived with this one, and all of them.
    pub(crate) arrived: u32,
    pub(crate) total: u64,
    /// Segments that were found lost.
    pub(crate) lost: u32,
    pub(crate) flight: u32,
    pub(crate) trip: Option<Duration>,
    pub(crate) recovers: bool,
    /// Bytes of a segment.
    pub(crate) size: u32,
    pub(crate) now: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Startup,
    Drain,
    Steady,
    Trip,
}

/// The highest of some values, each with the round trip in which it came (lib/win_minmax.c in
/// spirit: the newest of each height).
#[derive(Debug, Default)]
struct Highest {
    values: std::collections::VecDeque<(u32, f64)>,
}

impl Highest {
    fn add(&mut self, round: u32, value: f64, window: u32) {
        while self.values.back().is_some_and(|&(_, last)| last <= value) {
            self.values.pop_back();
        }
        self.values.push_back((round, value));
        while self
            .values
            .front()
            .is_some_and(|&(of, _)| round.wrapping_sub(of) > window)
        {
            self.values.pop_front();
        }
    }

    fn get(&self) -> f64 {
        self.values.front().map_or(0.0, |&(_, value)| value)
    }
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Bbr {
    mode: Mode,
    rates: Highest,
    round: u32,
    round_ends: u64,
    full: f64,
    full_count: u32,
    is_full: bool,
    shortest: Option<Duration>,
    shortest_at: Duration,
    probe_ends: Option<Duration>,
    probe_round: bool,
    cycle: usize,
    cycle_at: Duration,
    prior: u32,
    conserves: bool,
    recovered: bool,
    extras: Highest,
    epoch: Duration,
    epoch_arrived: f64,
    pace: f64,
    next: Duration,
}

impl Bbr {
    pub(crate) fn new(trip: Option<Duration>, window: u32, size: u32, now: Duration) -> Bbr {
        let trip = trip
            .filter(|trip| !trip.is_zero())
            .unwrap_or(Duration::from_millis(1));
        Bbr {
            mode: Mode::Startup,
            rates: Highest::default(),
            round: 0,
            round_ends: 0,
            full: 0.0,
            full_count: 0,
            is_full: false,
            shortest: None,
            shortest_at: now,
            probe_ends: None,
            probe_round: false,
            cycle: 0,
            cycle_at: now,
            prior: 0,
            conserves: false,
            recovered: true,
            extras: Highest::default(),
            epoch: now,
            epoch_arrived: 0.0,
            pace: HIGH * f64::from(window) * f64::from(size) / trip.as_secs_f64(),
            next: now,
        }
    }

    /// When the next segment may leave; none: now.
    pub(crate) fn waits(&self, now: Duration) -> Option<Duration> {
        let ahead = self.pace < SWIFT && self.next > now + AHEAD;
        ahead.then(|| self.next.saturating_sub(AHEAD / 2))
    }

    /// A packet of so many bytes left.
    pub(crate) fn sent(&mut self, bytes: usize, now: Duration) {
        let time = bytes as f64 / self.pace.max(1000.0);
        let from = self.next.max(now.saturating_sub(BEHIND));
        self.next = from.min(now + AHEAD) + Duration::from_secs_f64(time.min(1.0));
    }

    /// A loss is about to lower the window (bbr_save_cwnd).
    pub(crate) fn save(&mut self, window: u32) {
        self.prior = if self.recovered && self.mode != Mode::Trip {
            window
        } else {
            self.prior.max(window)
        };
    }

    /// The timer has fired (bbr_set_state).
    pub(crate) fn timed_out(&mut self) {
        self.recovered = false;
        self.full = 0.0;
        self.conserves = false;
    }

    /// The loss was none (bbr_undo_cwnd).
    pub(crate) fn undo(&mut self) {
        (self.full, self.full_count) = (0.0, 0);
    }

    /// Segments on their way at a rate, times a gain (bbr_bdp, bbr_quantization_budget).
    fn inflight(&self, rate: f64, gain: f64, size: u32) -> u32 {
        let Some(shortest) = self.shortest else {
            return 10;
        };
        let segments = (gain * rate * shortest.as_secs_f64()).ceil() as u32;
        // What leaves at once in a millisecond, thrice: the sender's, the path's, the receiver's.
        let burst = (self.pace / 1024.0 / f64::from(size.max(1))) as u32;
        let most = (65536 / size.max(1)).max(2);
        let mut segments = segments.saturating_add(3 * burst.clamp(2, most));
        segments = segments.div_ceil(2) * 2;
        segments
            + if self.mode == Mode::Steady && self.cycle == 0 {
                2
            } else {
                0
            }
    }

    /// One acknowledgement (bbr_main). Returns the window.
    pub(crate) fn on_ack(&mut self, told: &Told, window: u32) -> u32 {
        let round = self.take_rate(told);
        self.take_extra(told);
        self.next_phase(told);
        self.is_filled(told, round);
        self.take_trip(told, round, window);
        let rate = self.rates.get();
        let (pace, gain) = match self.mode {
            Mode::Startup => (HIGH, HIGH),
            Mode::Drain => (1.0 / HIGH, HIGH),
            Mode::Steady => (PACES[self.cycle], GAIN),
            Mode::Trip => (1.0, 1.0),
        };
        let pace = rate * f64::from(told.size) * pace * MARGIN;
        if pace > 0.0 && (self.is_full || pace > self.pace) {
            self.pace = pace;
        }
        self.window(told, rate, gain, window)
    }

    /// bbr_update_bw. Returns whether a round trip is over.
    fn take_rate(&mut self, told: &Told) -> bool {
        let Some(interval) = told.sample.interval.filter(|it| !it.is_zero()) else {
            return false;
        };
        let over = told.sample.prior >= self.round_ends;
        if over {
            self.round_ends = told.total;
            self.round = self.round.wrapping_add(1);
            self.conserves = false;
        }
        let rate = told.sample.delivered as f64 / interval.as_secs_f64();
        if !told.sample.idle || rate >= self.rates.get() {
            self.rates.add(self.round, rate, RATES);
        }
        over
    }

    /// bbr_update_ack_aggregation: acknowledgements come in heaps.
    fn take_extra(&mut self, told: &Told) {
        if told.arrived == 0 || told.sample.interval.is_none() {
            return;
        }
        let since = told.now.saturating_sub(self.epoch).as_secs_f64();
        let mut expected = self.rates.get() * since;
        if self.epoch_arrived <= expected {
            (self.epoch_arrived, self.epoch, expected) = (0.0, told.now, 0.0);
        }
        self.epoch_arrived += f64::from(told.arrived);
        let extra = (self.epoch_arrived - expected).max(0.0);
        self.extras.add(self.round, extra, 2 * EXTRAS);
    }

    /// bbr_update_cycle_phase.
    fn next_phase(&mut self, told: &Told) {
        if self.mode != Mode::Steady {
            return;
        }
        let long = told.now.saturating_sub(self.cycle_at) > self.shortest.unwrap_or_default();
        let rate = self.rates.get();
        let over = match PACES[self.cycle] {
            pace if pace > 1.0 => {
                let full = told.flight >= self.inflight(rate, pace, told.size);
                long && (told.lost > 0 || full)
            }
            pace if pace < 1.0 => long || told.flight <= self.inflight(rate, 1.0, told.size),
            _ => long,
        };
        if over {
            self.cycle = (self.cycle + 1) % PACES.len();
            self.cycle_at = told.now;
        }
    }

    /// bbr_check_full_bw_reached, bbr_check_drain.
    fn is_filled(&mut self, told: &Told, round: bool) {
        let rate = self.rates.get();
        if !self.is_full && round && !told.sample.idle {
            if rate >= self.full * 1.25 {
                (self.full, self.full_count) = (rate, 0);
            } else {
                self.full_count += 1;
                self.is_full = self.full_count >= 3;
            }
        }
        if self.mode == Mode::Startup && self.is_full {
            self.mode = Mode::Drain;
        }
        if self.mode == Mode::Drain && told.flight <= self.inflight(rate, 1.0, told.size) {
            self.begin_steady(told.now);
        }
    }

    fn begin_steady(&mut self, now: Duration) {
        self.mode = Mode::Steady;
        self.cycle = 2 + (self.round as usize) % 6;
        self.cycle_at = now;
    }

    /// bbr_update_min_rtt.
    fn take_trip(&mut self, told: &Told, round: bool, window: u32) {
        let expired = told.now > self.shortest_at + WINDOW;
        if let Some(trip) = told.trip {
            if expired || self.shortest.is_none_or(|shortest| trip < shortest) {
                (self.shortest, self.shortest_at) = (Some(trip), told.now);
            }
        }
        if expired && self.mode != Mode::Trip {
            self.save(window);
            self.mode = Mode::Trip;
            self.probe_ends = None;
        }
        if self.mode != Mode::Trip {
            return;
        }
        match self.probe_ends {
            None if told.flight <= LEAST => {
                self.probe_ends = Some(told.now + PROBE);
                self.probe_round = false;
                self.round_ends = told.total;
            }
            None => {}
            Some(ends) => {
                self.probe_round |= round;
                if self.probe_round && told.now > ends {
                    self.shortest_at = told.now;
                    match self.is_full {
                        true => self.begin_steady(told.now),
                        false => self.mode = Mode::Startup,
                    }
                    self.conserves = false;
                }
            }
        }
    }

    /// bbr_set_cwnd.
    fn window(&mut self, told: &Told, rate: f64, gain: f64, was: u32) -> u32 {
        let mut window = was;
        if told.arrived > 0 {
            if told.lost > 0 {
                window = window.saturating_sub(told.lost).max(1);
            }
            if told.recovers && self.recovered {
                (self.conserves, self.recovered) = (true, false);
                self.round_ends = told.total;
                window = told.flight + told.arrived;
            } else if !told.recovers && !self.recovered {
                (self.conserves, self.recovered) = (false, true);
                window = window.max(self.prior);
            }
            if self.conserves {
                window = window.max(told.flight + told.arrived);
            } else {
                let mut target = self.inflight(rate, gain, told.size);
                if self.is_full {
                    let most = (rate * 0.1) as u32;
                    target += (self.extras.get() as u32).min(most);
                    window = (window + told.arrived).min(target);
                } else if window < target || told.total < 10 {
                    window += told.arrived;
                }
                window = window.max(LEAST);
            }
        }
        if self.mode == Mode::Trip {
            window = window.min(LEAST);
        } else if was <= LEAST && !told.recovers && self.probe_ends.take().is_some() {
            // The probe for the shortest round trip is over.
            window = window.max(self.prior);
        }
        window.min(1 << 20)
    }
}
