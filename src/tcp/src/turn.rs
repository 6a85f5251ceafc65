//! What a connection sends, and when: its tries at a handshake, data and acknowledgements that are
//! due, probes of a peer that is silent, and giving up.
#![forbid(unsafe_code)]

use std::time::Duration;

use smoltcp::socket::tcp::State as Engines;

use crate::connection::{Connection, End, State};
use crate::keepalive::Turn;
use crate::segment::{Plain, ACK, RST};
use crate::sender::Piece;
use crate::{buffers, cookies, Emit};

/// How long each try of a SYN waits for an answer: tcp_syn_linear_timeouts times a second, and
/// then tcp_syn_retries times twice as long.
const SYN_WAITS: [u64; 11] = [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64];
/// The same for a SYN and ACK: tcp_synack_retries times.
const SYN_ACK_WAITS: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// How long data may stay without an answer: what tcp_retries2 of 15 comes to.
const GIVE_UP: Duration = Duration::from_millis(924_600);
/// Packets that one turn may send; there is another turn at once.
const TURN: usize = 256;
/// What an option of blocks has place for.
const BLOCKS: usize = 4;

impl Connection {
    /// Sends what is to be sent now: data, acknowledgements, what a timer brings. Returns whether
    /// all of it has left.
    pub fn poll(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        self.fenced(emit, |connection, emit| Some(connection.turn(now, emit)))
            .unwrap_or(true)
    }

    fn turn(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        match self.state {
            State::Connecting | State::Accepting => self.handshake(now, emit),
            State::Open => {
                if self.unproven {
                    self.handshake(now, emit);
                }
                if matches!(self.state, State::Ended(_)) {
                    return true;
                }
                if self.given_up(now) {
                    self.wire.silent = true;
                    self.end(End::TimedOut);
                    return true;
                }
                let all = self.output(now, emit);
                self.keep_alive(now, emit);
                all
            }
            // The RST, or the last acknowledgement.
            State::Ended(End::Closed | End::Aborted) => {
                self.engines_turn(now, emit);
                if self.answers.is_due(now) && self.state == State::Ended(End::Closed) {
                    self.acknowledge(now, emit);
                }
                true
            }
            State::Ended(_) => true,
        }
    }

    /// When it wants to be polled; none: when something has come, or was written or read.
    pub fn poll_at(&self, _now: Duration) -> Option<Duration> {
        match self.state {
            State::Connecting | State::Accepting => Some(self.tries_at()),
            State::Open => {
                let waits = self.sender.waits();
                let patience = self.patience.unwrap_or(GIVE_UP);
                let give_up = waits.then(|| self.silent_since() + patience);
                let keepalive = self.keepalive.filter(|_| self.may_ask());
                let keepalive = keepalive.map(|keepalive| keepalive.at(self.heard));
                let timer = match self.unproven {
                    true => Some(self.tries_at()),
                    false => self.sender.timer_at(),
                };
                [timer, self.answers.due(), give_up, keepalive]
                    .into_iter()
                    .flatten()
                    .min()
            }
            State::Ended(_) => None,
        }
    }

    /// Sends data that may leave, and an answer that is due. Returns whether that was all.
    pub(super) fn output(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        self.engines_turn(now, emit);
        let expected = self.expected();
        if self.wire.has_opened(expected) {
            self.answers.owe(now);
        }
        if self.sender.has_reduced() {
            self.wire.ecn.reduce();
        }
        let options = self.options_of_segment(now);
        let Connection {
            sender,
            wire,
            answers,
            ..
        } = self;
        sender.set_options(options.len() - wire.stamps.length());
        let mut plain = Plain {
            source: self.local,
            destination: self.remote,
            sequence: 0,
            acknowledgement: expected,
            flags: ACK,
            window: wire.window_at(expected),
            options: &options,
        };
        let mut send = |piece: Piece<'_>| {
            (plain.sequence, plain.flags) = (piece.sequence, piece.flags | ACK);
            wire.send(&plain, &piece, emit);
            answers.said(expected);
            if piece.len() > 0 {
                answers.talked(now);
            }
        };
        if !self.unproven {
            sender.on_time(now, &mut send);
        }
        let all = sender.leave(TURN, now, &mut send);
        self.wire.next = self.sender.next();
        self.options = options;
        if self.answers.is_due(now) {
            self.acknowledge(now, emit);
        }
        all
    }

    fn handshake(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        if self.engine.state() == Engines::SynReceived && self.state == State::Connecting {
            // Both ends have connected at once.
            self.engines_turn(now, emit);
        }
        if now < self.tries_at() {
            return true;
        }
        if self.tries == self.waits().len() {
            self.wire.silent = true;
            self.end(End::TimedOut);
            return true;
        }
        self.tries += 1;
        self.tried_at = now;
        if self.tries == 1 && !self.unproven {
            self.began = now;
            self.engines_turn(now, emit);
        } else {
            self.again += 1;
            self.wire.again(now, emit);
        }
        true
    }

    fn waits(&self) -> &'static [u64] {
        if self.state == State::Connecting {
            &SYN_WAITS
        } else if self.cookies {
            &cookies::WAITS
        } else {
            &SYN_ACK_WAITS
        }
    }

    /// When the SYN is sent again, or given up.
    fn tries_at(&self) -> Duration {
        match self.tries {
            0 => self.tried_at,
            tries => self.tried_at + Duration::from_secs(self.waits()[tries - 1]),
        }
    }

    fn given_up(&self, now: Duration) -> bool {
        let patience = self.patience.unwrap_or(GIVE_UP);
        self.sender.waits() && now.saturating_sub(self.silent_since()) >= patience
    }

    /// Since when the other side owes an answer.
    fn silent_since(&self) -> Duration {
        let heard = self.progress.max(self.heard);
        heard.max(self.sender.busy_since())
    }

    /// Asks the peer whether it is still there, or gives it up.
    fn keep_alive(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let asks = self.may_ask();
        let (heard, patience) = (self.heard, self.patience);
        let Some(keepalive) = self.keepalive.as_mut().filter(|_| asks) else {
            return;
        };
        match keepalive.turn(heard, patience, now) {
            Turn::Nothing => {}
            Turn::Probe => {
                let before = self.wire.next.wrapping_sub(1);
                self.say(ACK, before, now, emit);
            }
            Turn::Over => {
                self.say(RST | ACK, self.wire.next, now, emit);
                self.wire.silent = true;
                self.end(End::TimedOut);
            }
        }
    }

    /// Whether nothing is on its way that has to be answered anyhow.
    fn may_ask(&self) -> bool {
        self.state == State::Open && self.pending() == 0 && !self.sender.waits()
    }

    /// Lets the engine say what it has to.
    pub(super) fn engines_turn(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let Connection { engine, wire, .. } = self;
        let mut scratch = buffers::take();
        engine.output(&mut scratch, &mut |packet| wire.leave(packet, now, emit));
        buffers::put(scratch);
    }

    /// The options of a segment that leaves now. They are put back afterwards.
    fn options_of_segment(&mut self, now: Duration) -> Vec<u8> {
        let mut options = std::mem::take(&mut self.options);
        options.clear();
        self.wire.stamps.option(now, &mut options);
        if self.sacks {
            self.answers.option(self.most_blocks(), &mut options);
        }
        options
    }

    /// How many blocks beyond a gap a segment has room for.
    pub(super) fn most_blocks(&self) -> usize {
        match self.wire.stamps.agreed {
            true => BLOCKS - 1,
            false => BLOCKS,
        }
    }

    /// An acknowledgement leaves.
    pub(super) fn acknowledge(&mut self, now: Duration, emit: &mut Emit<'_>) {
        self.say(ACK, self.wire.next, now, emit);
    }

    /// An answer that tells the other side where we are, at most two in a second.
    pub(super) fn challenge(&mut self, now: Duration, emit: &mut Emit<'_>) {
        if self
            .challenged
            .is_some_and(|at| now.saturating_sub(at) < self.challenges)
        {
            return;
        }
        self.challenged = Some(now);
        self.acknowledge(now, emit);
    }

    /// A packet without data leaves.
    fn say(&mut self, flags: u8, sequence: u32, now: Duration, emit: &mut Emit<'_>) {
        self.engines_turn(now, emit);
        let expected = self.expected();
        let options = self.options_of_segment(now);
        let (is_open, first) = (self.state != State::Accepting, self.wire.window);
        let plain = Plain {
            source: self.local,
            destination: self.remote,
            sequence,
            acknowledgement: expected,
            flags,
            window: match is_open {
                true => self.wire.window_at(expected),
                false => self.wire.window_of_syn(),
            },
            options: &options,
        };
        let nothing = Piece {
            sequence,
            flags,
            urgent: 0,
            data: (&[], &[]),
        };
        self.wire.send(&plain, &nothing, emit);
        if !is_open {
            self.wire.window = first;
        }
        self.answers.said(expected);
        self.options = options;
    }
}
