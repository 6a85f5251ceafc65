//! What a packet brings to a connection: what tcp_rcv_state_process, tcp_validate_incoming and
//! tcp_data_queue look at.
#![forbid(unsafe_code)]

use std::time::Duration;

use smoltcp::socket::tcp::State as Engines;

use crate::buffers;
use crate::connection::{Connection, End, State};
use crate::ecn::{mark, Haste};
use crate::segment::{before, head, without_odd_options, Plain};
use crate::segment::{ACK, FIN, PSH, RST, SYN, URG};
use crate::sender::Ack;
use crate::{Emit, Segment};

impl Connection {
    /// A packet between the two ends came in, whose checksums somebody has looked at. What it
    /// brings about may wait for the next [`poll`](Self::poll), so that many packets have one
    /// answer.
    pub fn segment(&mut self, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        self.fenced(emit, |connection, emit| {
            connection.take(packet, now, emit);
        });
    }

    fn take(&mut self, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        let Some(segment) = Segment::read(packet) else {
            return;
        };
        self.came = self.came.wrapping_add(1);
        match self.engine.state() {
            Engines::SynSent => self.answer(&segment, packet, now, emit),
            Engines::SynReceived => self.completion(&segment, packet, now, emit),
            _ => self.synchronized(&segment, packet, now, emit),
        }
        self.settle(now);
    }

    /// What the other side's SYN says.
    pub(crate) fn learn(&mut self, segment: &Segment<'_>, now: Duration) {
        const DEFAULT: u16 = 536;
        const LEAST: u16 = 48;
        let agreed = self.wire.says.answering(segment);
        if agreed.timestamps {
            self.wire.stamps.begin(segment, now);
        }
        if !segment.has(ACK) {
            // What answers it says no more than both ends understand.
            self.wire.says = agreed;
        }
        let said = segment.maximum().filter(|&said| said != 0);
        self.most = said.unwrap_or(DEFAULT).max(LEAST);
        self.theirs = segment.sequence;
        self.sacks = agreed.selective;
        match segment.scale().filter(|_| agreed.scale.is_some()) {
            Some(scale) => self.scale = scale,
            None => {
                self.scale = 0;
                self.wire.unscaled();
            }
        }
        let window = u32::from(segment.window);
        let size = self.maximum().into();
        self.sender
            .learn(size, self.sacks, window, segment.sequence);
    }

    /// Gives the engine a packet, but for options that it does not need: one that is malformed ends
    /// the list for a kernel, and the whole segment for the engine.
    pub(crate) fn give(&mut self, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        let packet = &*without_odd_options(packet);
        let Connection { engine, wire, .. } = self;
        let mut scratch = buffers::take();
        engine.input(packet, &mut scratch, &mut |packet| {
            wire.leave(packet, now, emit);
        });
        buffers::put(scratch);
    }

    /// Tells the engine that data, or a flag, came in that place: in a packet as short as can be,
    /// which acknowledges what the engine has sent, the SYN and perhaps the FIN.
    pub(crate) fn tell(
        &mut self,
        flags: u8,
        (sequence, data): (u32, &[u8]),
        now: Duration,
        emit: &mut Emit<'_>,
    ) {
        let first = self.wire.first.unwrap_or_default();
        let mut packet = buffers::take();
        let plain = Plain {
            source: self.remote,
            destination: self.local,
            sequence,
            acknowledgement: first.wrapping_add(1 + u32::from(self.finished)),
            flags: flags | ACK,
            window: 1000,
            options: &[],
        };
        head(&plain, data.len(), &mut packet);
        packet.extend_from_slice(data);
        self.give(&packet, now, emit);
        buffers::put(packet);
    }

    /// What answers our SYN.
    fn answer(&mut self, segment: &Segment<'_>, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        if segment.has(SYN) {
            self.learn(segment, now);
            self.wire.ecn.was_answered(segment);
        }
        let answers = segment.has(SYN | ACK) && !segment.has(RST);
        match answers && segment.len() > 1 {
            true => {
                // What comes with it is not heard (tcp_rcv_synsent_state_process).
                let mut alone = buffers::take();
                let plain = Plain {
                    source: self.remote,
                    destination: self.local,
                    sequence: segment.sequence,
                    acknowledgement: segment.acknowledgement,
                    flags: SYN | ACK,
                    window: segment.window,
                    options: segment.options,
                };
                head(&plain, 0, &mut alone);
                self.give(&alone, now, emit);
                buffers::put(alone);
            }
            false => self.give(packet, now, emit),
        }
        match self.engine.state() {
            Engines::Closed => self.end(End::Refused),
            Engines::Established => {
                self.engines_turn(now, emit);
                self.open(now);
                self.answers.owe(now);
            }
            _ => {}
        }
    }

    /// What answers our SYN and ACK.
    fn completion(
        &mut self,
        segment: &Segment<'_>,
        packet: &[u8],
        now: Duration,
        emit: &mut Emit<'_>,
    ) {
        if segment.has(SYN) && !segment.has(ACK) {
            if segment.sequence == self.theirs {
                self.wire.again(now, emit);
            } else {
                self.challenge(now, emit);
            }
            return;
        }
        let expected = self.expected();
        if segment.has(RST) {
            if segment.sequence == expected {
                self.give(packet, now, emit);
                self.end(End::Reset);
            } else if self.is_inside(segment.sequence) {
                self.challenge(now, emit);
            }
            return;
        }
        if segment.acknowledgement != self.wire.next || !segment.has(ACK) {
            // Answered with a RST, if that.
            return self.give(packet, now, emit);
        }
        self.tell(0, (expected, &[]), now, emit);
        match self.engine.state() {
            Engines::SynReceived => {}
            Engines::Closed | Engines::Listen => self.end(End::Reset),
            _ => {
                self.wire.begin(expected);
                self.open(now);
                if segment.has(SYN) {
                    // The answer to a SYN that has crossed ours.
                    self.answers.owe(now);
                } else {
                    self.synchronized(segment, packet, now, emit);
                }
            }
        }
    }

    /// A segment of an open connection.
    fn synchronized(
        &mut self,
        segment: &Segment<'_>,
        packet: &[u8],
        now: Duration,
        emit: &mut Emit<'_>,
    ) {
        let expected = self.expected();
        let beyond = before(self.wire.told, segment.sequence);
        if segment.has(RST) {
            let before_end = self.end_is_last() && segment.sequence == expected.wrapping_sub(1);
            if segment.sequence == expected || before_end {
                self.give(packet, now, emit);
                self.end(if self.engine.state() == Engines::TimeWait {
                    End::Closed
                } else {
                    End::Reset
                });
            } else if !before(segment.sequence, expected) && !beyond {
                self.challenge(now, emit);
            }
            return;
        }
        // An acknowledgement that was overtaken says nothing wrong (tcp_disordered_ack).
        let harmless = segment.is_empty()
            && segment.sequence == expected
            && segment.acknowledgement == self.sender.oldest()
            && self.wire.stamps.is_late(segment, self.sender.timeout());
        if self.wire.stamps.is_old(segment, now) && !harmless {
            return self.dismiss(segment, now, emit);
        }
        if segment.has(SYN) {
            if self.unproven && !segment.has(ACK) && segment.sequence == self.theirs {
                return self.wire.again(now, emit);
            }
            return self.challenge(now, emit);
        }
        // What lies outside the window says nothing (tcp_sequence): somebody asks whether we are
        // still here, or is mistaken.
        let told = self.answers.told();
        let end = segment.sequence.wrapping_add(segment.len());
        if before(end, told) || beyond && segment.sequence != expected {
            return self.dismiss(segment, now, emit);
        }
        if !segment.has(ACK) {
            return;
        }
        let ancient = self.sender.is_ancient(segment.acknowledgement);
        let predicted = self.is_predicted(segment);
        let heard = predicted && !segment.is_empty();
        let unsent = before(self.wire.next, segment.acknowledgement);
        let late = before(segment.acknowledgement, self.sender.oldest());
        if !unsent && (predicted || !late) {
            self.wire.stamps.hear(segment, told, now);
        }
        if unsent || ancient && !heard {
            return self.challenge(now, emit);
        }
        if self.unproven {
            self.prove(now);
        }
        self.heard = now;
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.hear();
        }
        if !ancient {
            self.acknowledged(segment, now, emit);
        }
        if !segment.is_empty() {
            if !segment.payload.is_empty() {
                match self.wire.ecn.hear(segment, mark(packet)) {
                    Haste::Nothing => {}
                    Haste::Quick => self.answers.hurry(),
                    Haste::Now => self.answers.owe(now),
                }
            }
            self.hear_urgent(segment);
            self.wire.came(segment.payload.len());
            self.data(segment, now, emit);
            self.wire.ahead = self.answers.ahead();
            // Who has closed its end may have nobody for it, and says that.
            if self.answers.is_urgent() && !self.closing && self.state == State::Open {
                // What may leave now carries the answer.
                self.output(now, emit);
            }
        }
    }

    /// Whether a segment is what was to be expected, so that a kernel looks at little of it
    /// (tcp_rcv_established, its fast path): it takes data whatever that acknowledges.
    fn is_predicted(&self, segment: &Segment<'_>) -> bool {
        segment.flags & !PSH == ACK
            && segment.sequence == self.expected()
            && self.answers.has_no_gap()
            && self
                .sender
                .has_said(u32::from(segment.window) << self.scale)
            && segment.sacks().next().is_none()
            && self.engine.state() == Engines::Established
    }

    /// An answer to a segment that is not heard (tcp_send_dupack).
    fn dismiss(&mut self, segment: &Segment<'_>, now: Duration, emit: &mut Emit<'_>) {
        if segment.is_empty() {
            return self.challenge(now, emit);
        }
        let (from, expected) = (segment.sequence, self.expected());
        if before(from, expected) {
            let end = from.wrapping_add(segment.len());
            let end = if before(expected, end) { expected } else { end };
            self.answers.came_again(from, end, now);
        }
        self.acknowledge(now, emit);
    }

    /// What it says of what we have sent.
    fn acknowledged(&mut self, segment: &Segment<'_>, now: Duration, emit: &mut Emit<'_>) {
        let (mut blocks, mut count) = ([(0, 0); 4], 0);
        for block in segment.sacks().take(blocks.len()) {
            (blocks[count], count) = (block, count + 1);
        }
        let ack = Ack {
            number: segment.acknowledgement,
            window: u32::from(segment.window) << self.scale,
            sequence: segment.sequence,
            bare: segment.is_empty(),
            congested: self.wire.ecn.tells(segment),
            blocks: &blocks[..count],
        };
        self.sender.on_ack(&ack, now);
        self.sender.heard();
        let oldest = self.sender.oldest();
        if oldest != self.unacknowledged || !self.sender.waits() {
            (self.unacknowledged, self.progress) = (oldest, now);
        }
        if self.sender.is_finished() && !self.finished {
            self.engines_turn(now, emit);
            self.finished = true;
            self.tell(0, (self.expected(), &[]), now, emit);
        }
    }

    /// What it brings.
    fn data(&mut self, segment: &Segment<'_>, now: Duration, emit: &mut Emit<'_>) {
        let (from, size) = (segment.sequence, segment.payload.len() as u32);
        let to = from.wrapping_add(size);
        let (expected, edge) = (self.expected(), self.wire.told);
        // With the end, if that is known.
        let mut end = to;
        if self.has_heard_all() {
            return self.after_the_end(segment, now, emit);
        }
        if segment.has(FIN) {
            let fits = !before(edge, to) || self.takes_beyond(to);
            if !before(to, expected) && fits {
                self.end_at = Some(to);
                end = to.wrapping_add(1);
            }
            if self.end_at != Some(expected) {
                self.answers.owe(now);
            }
        }
        if size == 0 {
            if end != to && before(expected, from) {
                self.answers.came_ahead(from, end, now);
            }
            return self.finish(now, emit);
        }
        if !before(expected, to) {
            self.answers.came_again(from, to, now);
        } else if before(edge, to) && !self.takes_beyond(to) {
            self.answers.owe(now);
        } else if before(expected, from) {
            if self.answers.admits(from, to) {
                self.tell(0, (from, segment.payload), now, emit);
                self.answers.came_ahead(from, end, now);
            } else {
                self.answers.owe(now);
            }
        } else {
            if before(from, expected) {
                self.answers.came_again(from, expected, now);
            }
            self.answers.overlap(from, to);
            self.tell(0, (from, segment.payload), now, emit);
            self.answers.came(self.expected(), size, now);
        }
        self.finish(now, emit);
    }

    /// What comes when the other side has said all: what it has said already is acknowledged again,
    /// what lies beyond is not heard, and what is both is no end of this connection
    /// (tcp_rcv_state_process).
    fn after_the_end(&mut self, segment: &Segment<'_>, now: Duration, emit: &mut Emit<'_>) {
        let (from, expected) = (segment.sequence, self.expected());
        if !before(from, expected) {
            return;
        }
        let to = from.wrapping_add(segment.payload.len() as u32);
        if before(expected, to) {
            self.wire.bare_reset = Some(segment.acknowledgement);
            self.engine.socket_mut().abort();
            self.engines_turn(now, emit);
            return self.end(End::Reset);
        }
        self.answers
            .came_again(from, from.wrapping_add(segment.len()), now);
    }

    /// Whether a reset may have the number of the end that was the last to come.
    fn end_is_last(&self) -> bool {
        self.has_heard_all() && self.engine.state() != Engines::TimeWait
    }

    /// Whether what goes beyond the window is taken nevertheless: when nothing else waits to be
    /// read (tcp_sequence).
    fn takes_beyond(&self, to: u32) -> bool {
        let expected = self.expected();
        let room = self.engine.socket().recv_capacity() as u32;
        to.wrapping_sub(expected) <= room && self.available() == 0
    }

    /// Urgent data is told of (tcp_check_urg).
    fn hear_urgent(&mut self, segment: &Segment<'_>) {
        if !segment.has(URG) || segment.urgent == 0 {
            return;
        }
        let byte = segment.sequence.wrapping_add(u32::from(segment.urgent) - 1);
        let is_new = self.urgent.is_none_or(|old| before(old, byte));
        if is_new && !before(byte, self.expected()) {
            self.urgent = Some(byte);
        }
    }

    /// Whether a number lies in the window that was said.
    fn is_inside(&self, sequence: u32) -> bool {
        let window = self.wire.window.into();
        sequence.wrapping_sub(self.expected()) < window
    }

    fn has_heard_all(&self) -> bool {
        matches!(
            self.engine.state(),
            Engines::CloseWait | Engines::Closing | Engines::LastAck | Engines::TimeWait
        )
    }

    /// The engine forgets a FIN that comes before what it ends; we do not.
    fn finish(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let expected = self.expected();
        if self.end_at == Some(expected) && !self.has_heard_all() {
            self.end_at = None;
            let first = self.engine.state() == Engines::Established;
            self.tell(FIN, (expected, &[]), now, emit);
            self.answers.ended(first, now);
        }
    }
}
