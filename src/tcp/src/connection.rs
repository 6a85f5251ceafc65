//! One connection: the engine and what is around it.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

use smoltcp::socket::tcp::State as Engines;

use crate::clock::Clock;
use crate::engine::{Engine, BUFFER};
use crate::loss::{Loss, Lost};
use crate::segment::{before, build, is_host, Plain, ACK, FIN, RST, SYN};
use crate::wait::Wait;
use crate::wire::Wire;
use crate::{Emit, Segment};

/// How long each try of a SYN waits for an answer: tcp_syn_linear_timeouts times a second, and
/// then tcp_syn_retries times twice as long.
const SYN_WAITS: [u64; 11] = [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64];
/// The same for a SYN and ACK: tcp_synack_retries times.
const SYN_ACK_WAITS: [u64; 6] = [1, 2, 4, 8, 16, 32];
/// How long data may stay without an answer: what tcp_retries2 of 15 comes to.
const GIVE_UP: Duration = Duration::from_millis(924_600);
/// TCP_DELACK_MIN.
const DELAY: Duration = Duration::from_millis(40);
/// TCP_MAX_QUICKACKS: so many segments are acknowledged at once at the beginning.
const QUICK: u32 = 16;
/// One challenge in this time (tcp_invalid_ratelimit).
const PATIENCE: Duration = Duration::from_millis(500);
/// Packets that one turn may send; there is another turn at once.
const TURN: usize = 256;

/// What a connection is told at its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What the path takes at most, in bytes of an IP packet.
    pub mtu: usize,
    /// The largest segment that we say we take; 0: as much as the path does.
    pub maximum: u16,
    /// Where sequence numbers come from.
    pub seed: u64,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Type of service or traffic class.
    pub service: u8,
}

/// How a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A RST answered the SYN.
    Refused,
    /// A RST came.
    Reset,
    /// Nobody answered.
    TimedOut,
    /// Both ends have said all and know it; in TIME_WAIT, too.
    Closed,
    /// This side gave it up.
    Aborted,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A SYN was sent.
    Connecting,
    /// A SYN has come and is answered.
    Accepting,
    /// Bytes go both ways, or one way, or the end is being agreed upon.
    Open,
    /// It is over. What has come before may still be read.
    Ended(End),
}

/// One connection.
pub struct Connection {
    engine: Engine,
    clock: Clock,
    wire: Wire,
    loss: Loss,
    local: SocketAddr,
    remote: SocketAddr,
    state: State,
    /// The other side's first sequence number.
    theirs: u32,
    /// Bytes that were given to the engine, and bytes that were taken from it.
    written: u32,
    read: u32,
    closing: bool,
    /// A FIN that came before what it ends.
    end_at: Option<u32>,
    tries: usize,
    tried_at: Duration,
    began: Duration,
    quick: u32,
    talks: bool,
    delays: bool,
    heard: Duration,
    heard_data: Option<Duration>,
    unacknowledged: u32,
    progress: Duration,
    challenged: Option<Duration>,
    window: u16,
    /// The largest segment that the other side takes.
    most: u16,
    keepalive: Option<Duration>,
    scratch: Vec<u8>,
    spare: Vec<u8>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("state", &self.state)
            .field("engine", &self.engine.state())
            .field("trip", &self.loss.trip())
            .finish_non_exhaustive()
    }
}

/// The length of an IP header of this family.
fn ip_header(local: SocketAddr) -> usize {
    if local.is_ipv4() {
        20
    } else {
        40
    }
}

impl Connection {
    fn new(
        (local, remote): (SocketAddr, SocketAddr),
        settings: &Settings,
        now: Duration,
        make: impl FnOnce(usize, smoltcp::time::Instant) -> Option<Engine>,
    ) -> Option<Connection> {
        let fits = local.is_ipv4() == remote.is_ipv4() && local.port() != 0 && remote.port() != 0;
        if !fits || !is_host(local.ip()) || !is_host(remote.ip()) {
            return None;
        }
        // The least that either family's links have.
        let mtu = settings
            .mtu
            .clamp(if local.is_ipv4() { 88 } else { 1280 }, 65_535);
        let most = (mtu - ip_header(local) - 20) as u16;
        let maximum = if settings.maximum == 0 {
            most
        } else {
            settings.maximum.clamp(48, most)
        };
        let clock = Clock::stopped(now);
        let engine = make(mtu, clock.engines(now))?;
        let mut wire = Wire::new(mtu, maximum, (settings.seed >> 32) as u16);
        wire.hop_limit = settings.hop_limit.max(1);
        wire.service = settings.service;
        Some(Connection {
            engine,
            clock,
            wire,
            loss: Loss::default(),
            local,
            remote,
            state: State::Connecting,
            theirs: 0,
            written: 0,
            read: 0,
            closing: false,
            end_at: None,
            tries: 0,
            tried_at: now,
            began: now,
            quick: QUICK,
            talks: false,
            delays: false,
            heard: now,
            heard_data: None,
            unacknowledged: 0,
            progress: now,
            challenged: None,
            window: 0,
            most: 536,
            keepalive: None,
            scratch: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// A connection from here to there, whose SYN leaves with the first [`poll`](Self::poll).
    /// None where an address or a port is none of one host.
    pub fn connect(
        local: SocketAddr,
        remote: SocketAddr,
        settings: &Settings,
        now: Duration,
    ) -> Option<Connection> {
        Connection::new((local, remote), settings, now, |mtu, instant| {
            Engine::connect(local, remote, mtu, settings.seed, instant)
        })
    }

    /// A connection that the SYN in `packet` asks for, whose answer leaves with the first
    /// [`poll`](Self::poll). None where it is no plain SYN.
    pub fn accept(packet: &[u8], settings: &Settings, now: Duration) -> Option<Connection> {
        let segment = Segment::read(packet)?;
        if !segment.has(SYN) || segment.flags & (ACK | RST | FIN) != 0 {
            return None;
        }
        let ends = (segment.destination, segment.source);
        let mut connection = Connection::new(ends, settings, now, |mtu, instant| {
            Engine::listen(ends.0, mtu, settings.seed, instant)
        })?;
        connection.state = State::Accepting;
        connection.theirs = segment.sequence;
        connection.window = segment.window;
        connection.learn(&segment);
        connection.give(packet, now, &mut |_| {});
        (connection.engine.state() == Engines::SynReceived).then_some(connection)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Our end and the other.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.local, self.remote)
    }

    /// The name of its state, as `ss` writes it.
    pub fn name(&self) -> &'static str {
        match self.engine.state() {
            Engines::Closed => "UNCONN",
            Engines::Listen => "LISTEN",
            Engines::SynSent => "SYN-SENT",
            Engines::SynReceived => "SYN-RECV",
            Engines::Established => "ESTAB",
            Engines::FinWait1 => "FIN-WAIT-1",
            Engines::FinWait2 => "FIN-WAIT-2",
            Engines::CloseWait => "CLOSE-WAIT",
            Engines::Closing => "CLOSING",
            Engines::LastAck => "LAST-ACK",
            Engines::TimeWait => "TIME-WAIT",
        }
    }

    /// The largest segment that is sent (TCP_MAXSEG).
    pub fn maximum(&self) -> u16 {
        let most = self.wire.mtu - ip_header(self.local) - 20;
        self.most.min(most as u16)
    }

    /// What the other side's SYN says of its largest segment.
    fn learn(&mut self, segment: &Segment<'_>) {
        const DEFAULT: u16 = 536;
        let said = segment.maximum().filter(|&said| said != 0);
        self.most = said.unwrap_or(DEFAULT).max(48);
    }

    /// When it began.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// Packets that have left.
    pub fn sent(&self) -> u64 {
        self.wire.count
    }

    /// The number of the next byte that is to come.
    fn expected(&self) -> u32 {
        let end = matches!(
            self.engine.state(),
            Engines::CloseWait | Engines::Closing | Engines::LastAck | Engines::TimeWait
        );
        let queued = self.engine.socket().recv_queue() as u32;
        self.theirs
            .wrapping_add(1)
            .wrapping_add(self.read)
            .wrapping_add(queued)
            .wrapping_add(u32::from(end))
    }

    /// The number of the oldest byte of ours that is not acknowledged.
    fn oldest(&self) -> u32 {
        let first = self.wire.first.unwrap_or_default();
        let state = self.engine.state();
        if matches!(
            state,
            Engines::SynSent | Engines::SynReceived | Engines::Listen
        ) {
            return first;
        }
        let end = matches!(state, Engines::FinWait2 | Engines::TimeWait);
        first
            .wrapping_add(1)
            .wrapping_add(self.written)
            .wrapping_sub(self.engine.socket().send_queue() as u32)
            .wrapping_add(u32::from(end))
    }

    fn end(&mut self, end: End) {
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Ended(end);
        }
    }

    /// Gives the engine a packet.
    fn give(&mut self, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        let instant = self.clock.engines(now);
        self.fenced(emit, |connection, emit| {
            let Connection {
                engine,
                wire,
                loss,
                scratch,
                ..
            } = connection;
            engine.input(packet, instant, scratch, &mut |packet| {
                wire.leave(packet, loss, now, emit);
            });
        });
    }

    /// Calls the engine. Should it panic, which a peer could then bring about, the connection is
    /// over, and nothing else.
    fn fenced(&mut self, emit: &mut Emit<'_>, call: impl FnOnce(&mut Connection, &mut Emit<'_>)) {
        if catch_unwind(AssertUnwindSafe(|| call(self, emit))).is_err() {
            self.end(End::Reset);
            let mut packet = std::mem::take(&mut self.spare);
            self.plain(RST | ACK, self.wire.next, &mut packet);
            emit(&packet);
            self.spare = packet;
        }
    }

    /// A packet of ours without data.
    fn plain(&self, flags: u8, sequence: u32, packet: &mut Vec<u8>) {
        let plain = Plain {
            source: self.local,
            destination: self.remote,
            sequence,
            acknowledgement: self.expected(),
            flags,
            window: self.wire.window,
            options: &[],
        };
        build(&plain, packet);
    }

    /// A packet of the other side's, which it has not sent, for the engine alone.
    fn theirs(&mut self, flags: u8, window: u16, now: Duration, emit: &mut Emit<'_>) {
        let mut packet = std::mem::take(&mut self.spare);
        let plain = Plain {
            source: self.remote,
            destination: self.local,
            sequence: self.expected(),
            acknowledgement: self.oldest(),
            flags,
            window,
            options: &[],
        };
        build(&plain, &mut packet);
        self.give(&packet, now, emit);
        self.spare = packet;
    }

    /// An answer that tells the other side where we are, at most two in a second.
    fn challenge(&mut self, now: Duration, emit: &mut Emit<'_>) {
        if self
            .challenged
            .is_some_and(|at| now.saturating_sub(at) < PATIENCE)
        {
            return;
        }
        self.challenged = Some(now);
        let mut packet = std::mem::take(&mut self.spare);
        self.plain(ACK, self.wire.next, &mut packet);
        self.wire.count += 1;
        emit(&packet);
        self.spare = packet;
    }

    /// A packet between the two ends came in, whose checksums somebody has looked at. What it
    /// brings about may wait for the next [`poll`](Self::poll), so that many packets have one
    /// answer.
    pub fn segment(&mut self, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        let Some(segment) = Segment::read(packet) else {
            return;
        };
        match self.engine.state() {
            Engines::SynSent => self.answer(&segment, packet, now, emit),
            Engines::SynReceived => self.completion(&segment, packet, now, emit),
            _ => self.synchronized(&segment, packet, now, emit),
        }
        self.settle(now);
    }

    /// What answers our SYN.
    fn answer(&mut self, segment: &Segment<'_>, packet: &[u8], now: Duration, emit: &mut Emit<'_>) {
        self.theirs = segment.sequence;
        self.window = segment.window;
        self.learn(segment);
        self.give(packet, now, emit);
        match self.engine.state() {
            Engines::Closed => self.end(End::Refused),
            Engines::Established => self.open(now),
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
                self.wire.count += 1;
                emit(&self.wire.syn);
            } else {
                self.challenge(now, emit);
            }
            return;
        }
        if segment.has(RST) && segment.sequence != self.expected() {
            return;
        }
        self.give(packet, now, emit);
        match self.engine.state() {
            Engines::SynReceived => {}
            Engines::Closed | Engines::Listen => self.end(End::Reset),
            _ => {
                self.window = segment.window;
                self.open(now);
            }
        }
    }

    fn open(&mut self, now: Duration) {
        // Of two tries nobody knows which one was answered.
        let answered = if self.tries <= 1 {
            now.saturating_sub(self.began)
        } else {
            Duration::ZERO
        };
        self.clock.start(now, answered);
        self.state = State::Open;
        self.heard = now;
        self.progress = now;
        self.unacknowledged = self.oldest();
        self.wire.syn = Vec::new();
    }

    /// A segment of an open connection: what tcp_validate_incoming and tcp_ack look at.
    fn synchronized(
        &mut self,
        segment: &Segment<'_>,
        packet: &[u8],
        now: Duration,
        emit: &mut Emit<'_>,
    ) {
        let expected = self.expected();
        if segment.has(RST) {
            let offset = segment.sequence.wrapping_sub(expected);
            if offset == 0 {
                self.give(packet, now, emit);
                self.end(if self.engine.state() == Engines::TimeWait {
                    End::Closed
                } else {
                    End::Reset
                });
            } else if (offset as usize) < BUFFER {
                self.challenge(now, emit);
            }
            return;
        }
        if segment.has(SYN) {
            return self.challenge(now, emit);
        }
        if !segment.has(ACK) {
            return;
        }
        if before(self.wire.next, segment.acknowledgement) {
            return self.challenge(now, emit);
        }
        self.heard = now;
        let oldest = self.oldest();
        if segment.has(FIN) {
            let end = segment.sequence.wrapping_add(segment.payload.len() as u32);
            if before(expected, end) && (end.wrapping_sub(expected) as usize) < BUFFER {
                self.end_at = Some(end);
            }
            // Whoever hears the end first is about to say something (tcp_fin enters ping-pong mode),
            // and be it an end of its own, which carries the acknowledgement.
            if segment.sequence == expected && self.engine.state() == Engines::Established {
                self.talks = true;
                self.delay();
            }
        }
        let flight = oldest != self.wire.next;
        let equal = segment.is_empty()
            && segment.acknowledgement == oldest
            && segment.window == self.window
            && segment.sequence == expected;
        if !segment.payload.is_empty() {
            self.heard_data = Some(now);
            self.quick = self.quick.saturating_sub(1);
        }
        if before(segment.acknowledgement, oldest) {
            // An old acknowledgement with data: the data is as good as any.
            if !segment.is_empty() {
                self.with_acknowledgement(packet, oldest, now, emit);
            } else if segment.sequence != expected {
                self.give(packet, now, emit);
            }
        } else if !(flight && equal && !self.loss.recovers()) {
            // What says nothing new is not for the engine, which would count it.
            self.window = segment.window;
            self.give(packet, now, emit);
        }
        self.finish(now, emit);
        let (una, next) = (self.oldest(), self.wire.next);
        let blocks = segment.sacks().filter(|&(from, to)| {
            before(from, to) && !before(next, to) && (!before(from, una) || !before(una, to))
        });
        self.loss.on_ack(una, flight && equal, blocks, now);
        if una != self.unacknowledged || una == next {
            (self.unacknowledged, self.progress) = (una, now);
        }
        self.mend(now, emit);
    }

    /// Lets the engine have data whose acknowledgement is too old for it.
    fn with_acknowledgement(
        &mut self,
        packet: &[u8],
        acknowledgement: u32,
        now: Duration,
        emit: &mut Emit<'_>,
    ) {
        let Some(at) = packet
            .len()
            .checked_sub(Segment::read(packet).map_or(0, |segment| {
                20 + segment.options.len() + segment.payload.len()
            }))
        else {
            return;
        };
        let mut copy = packet.to_vec();
        if let Some(field) = copy.get_mut(at + 8..at + 12) {
            field.copy_from_slice(&acknowledgement.to_be_bytes());
            self.give(&copy, now, emit);
        }
    }

    /// The engine forgets a FIN that comes before what it ends; we do not.
    fn finish(&mut self, now: Duration, emit: &mut Emit<'_>) {
        if self.end_at == Some(self.expected()) {
            self.end_at = None;
            let before = matches!(
                self.engine.state(),
                Engines::Established | Engines::FinWait1 | Engines::FinWait2
            );
            if before {
                self.theirs(FIN | ACK, self.window, now, emit);
            }
        }
    }

    /// Sends the oldest segment again where it is lost.
    fn mend(&mut self, now: Duration, emit: &mut Emit<'_>) {
        if self.loss.oldest(now) == Lost::Now {
            self.again(now, emit);
        } else if self.loss.probe_at().is_some_and(|at| at <= now) {
            self.loss.on_probe();
            self.again(now, emit);
        }
    }

    /// Makes the engine send its oldest segment again: it does so for three equal
    /// acknowledgements. A first one with another window begins the count.
    fn again(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let sends = matches!(
            self.engine.state(),
            Engines::Established | Engines::CloseWait | Engines::FinWait1 | Engines::Closing
        );
        self.loss.on_again(now);
        if !sends || self.engine.socket().send_queue() == 0 || self.window == 0 {
            return;
        }
        let real = self.window;
        for window in [real ^ 1, real, real, real, real] {
            self.theirs(ACK, window, now, emit);
        }
        self.output(now, emit);
    }

    /// What the engine's state means after something has happened.
    fn settle(&mut self, now: Duration) {
        if self.state != State::Open {
            return;
        }
        match self.engine.state() {
            Engines::Closed if self.closing => self.end(End::Closed),
            Engines::Closed | Engines::Listen => self.end(End::Reset),
            Engines::TimeWait => {
                self.progress = now;
                self.end(End::Closed);
            }
            _ => {}
        }
    }

    /// Lets the engine send.
    fn output(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        let instant = self.clock.engines(now);
        let mut all = true;
        let data = self.wire.data_at;
        self.fenced(emit, |connection, emit| {
            let Connection {
                engine,
                wire,
                loss,
                scratch,
                ..
            } = connection;
            all = engine.output(instant, TURN, scratch, &mut |packet| {
                wire.leave(packet, loss, now, emit);
            });
        });
        // Whoever answers soon will answer again: its answers carry the acknowledgements.
        if self.wire.data_at != data {
            self.talks |= self
                .heard_data
                .is_some_and(|at| now.saturating_sub(at) < DELAY);
        }
        all
    }

    /// Sends what is to be sent now: data, acknowledgements, what a timer brings. Returns whether
    /// all of it has left.
    pub fn poll(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        match self.state {
            State::Connecting | State::Accepting => self.handshake(now, emit),
            State::Open => {
                if self.given_up(now) {
                    self.wire.silent = true;
                    self.end(End::TimedOut);
                    return true;
                }
                self.delay();
                self.mend(now, emit);
                let all = self.output(now, emit);
                self.settle(now);
                all
            }
            // The last acknowledgement, or the RST.
            State::Ended(End::Closed | End::Aborted) => self.output(now, emit),
            State::Ended(_) => true,
        }
    }

    /// Tells the engine whether acknowledgements wait for what else is to be sent.
    fn delay(&mut self) {
        let delays = self.talks || self.quick == 0;
        if delays != self.delays {
            self.delays = delays;
            let delay = delays.then(|| Clock::stretch(DELAY));
            self.engine.socket_mut().set_ack_delay(delay);
        }
    }

    fn given_up(&self, now: Duration) -> bool {
        let since = self.progress.max(self.heard);
        self.unacknowledged != self.wire.next && now.saturating_sub(since) >= GIVE_UP
    }

    fn waits(&self) -> &'static [u64] {
        if self.state == State::Connecting {
            &SYN_WAITS
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

    fn handshake(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
        if self.engine.state() == Engines::SynReceived && self.state == State::Connecting {
            // Both ends have connected at once.
            self.output(now, emit);
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
        if self.tries == 1 {
            self.began = now;
            self.output(now, emit);
        } else {
            self.wire.count += 1;
            emit(&self.wire.syn);
        }
        true
    }

    /// When it wants to be polled; none: when something has come.
    pub fn poll_at(&mut self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Connecting | State::Accepting => Some(self.tries_at()),
            State::Open => {
                let instant = self.clock.engines(now);
                let engine = self
                    .engine
                    .poll_at(instant)
                    .and_then(|at| self.clock.ours(at));
                let lost = match self.loss.oldest(now) {
                    Lost::At(at) => Some(at),
                    Lost::Now => Some(now),
                    Lost::No => None,
                };
                let flight = self.unacknowledged != self.wire.next;
                let give_up = flight.then(|| self.progress.max(self.heard) + GIVE_UP);
                [engine, lost, self.loss.probe_at(), give_up]
                    .into_iter()
                    .flatten()
                    .min()
            }
            State::Ended(_) => None,
        }
    }

    /// How many bytes may be written now.
    pub fn room(&self) -> usize {
        let socket = self.engine.socket();
        if self.state == State::Open && socket.may_send() {
            socket.send_capacity() - socket.send_queue()
        } else {
            0
        }
    }

    /// Bytes that are written and not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.engine.socket().send_queue()
    }

    /// Writes into the buffer: `fill` gets room and says how much of it has been filled. It is
    /// called once, and not at all where there is no room.
    pub fn write_with<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        if self.room() == 0 {
            return None;
        }
        let mut count = 0;
        let result = self.engine.socket_mut().send(|buffer| {
            let (filled, result) = fill(buffer);
            count = filled.min(buffer.len());
            (count, result)
        });
        self.written = self.written.wrapping_add(count as u32);
        result.ok()
    }

    /// Writes as much of these as fits. Returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let written = self.write_with(|room| {
                let count = room.len().min(bytes.len() - done);
                room[..count].copy_from_slice(&bytes[done..done + count]);
                (count, count)
            });
            match written {
                Some(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }

    /// How many bytes have come and are not read.
    pub fn available(&self) -> usize {
        self.engine.socket().recv_queue()
    }

    /// Reads from the buffer: `take` gets what has come, as far as it lies in one piece, and says
    /// how much of it is done. It is called once, and not at all where there is nothing.
    pub fn read_with<R>(&mut self, take: impl FnOnce(&[u8]) -> (usize, R)) -> Option<R> {
        if self.available() == 0 {
            return None;
        }
        let mut count = 0;
        let result = self.engine.socket_mut().recv(|buffer| {
            let (taken, result) = take(buffer);
            count = taken.min(buffer.len());
            (count, result)
        });
        self.read = self.read.wrapping_add(count as u32);
        result.ok()
    }

    /// Reads as much as there is and fits. Returns how many.
    pub fn read(&mut self, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let read = self.read_with(|data| {
                let count = data.len().min(bytes.len() - done);
                bytes[done..done + count].copy_from_slice(&data[..count]);
                (count, count)
            });
            match read {
                Some(count) if count > 0 => done += count,
                _ => break,
            }
        }
        done
    }

    /// Whether the other side has said all, and all of it is read.
    pub fn is_read(&self) -> bool {
        let ended = matches!(
            self.engine.state(),
            Engines::CloseWait | Engines::Closing | Engines::LastAck | Engines::TimeWait
        );
        let closed = self.state == State::Ended(End::Closed);
        (ended || closed) && self.available() == 0
    }

    /// Whether the other side has acknowledged all that was written, and the end of it.
    pub fn is_finished(&self) -> bool {
        matches!(self.engine.state(), Engines::FinWait2 | Engines::TimeWait)
            || self.state == State::Ended(End::Closed)
    }

    /// This side has no more to say. What is written leaves before the FIN.
    pub fn close(&mut self) {
        if !self.closing && self.state == State::Open {
            self.closing = true;
            self.engine.socket_mut().close();
        }
    }

    /// Gives it up. A RST leaves with the next [`poll`](Self::poll), except where the other end
    /// knows of no connection.
    pub fn abort(&mut self) {
        match self.state {
            State::Ended(_) => return,
            State::Connecting => self.wire.silent = true,
            State::Accepting | State::Open => {}
        }
        self.engine.socket_mut().abort();
        self.end(End::Aborted);
    }

    /// Gives it up as [`abort`](Self::abort) does, with the RST of a host that knows of no such
    /// connection: without an acknowledgement.
    pub fn refuse(&mut self) {
        self.wire.bare_reset = Some(self.wire.next);
        self.abort();
    }

    /// The path takes no more than this (a packet too big, or one that had to be cut).
    pub fn set_mtu(&mut self, mtu: usize, now: Duration, emit: &mut Emit<'_>) {
        let least = if matches!(self.local.ip(), IpAddr::V4(_)) {
            552
        } else {
            1280
        };
        let mtu = mtu.max(least);
        if mtu < self.wire.mtu {
            self.wire.mtu = mtu;
            if self.state == State::Open {
                self.again(now, emit);
            }
        }
    }

    /// Asks an idle peer after this time whether it is still there.
    pub fn set_keepalive(&mut self, interval: Option<Duration>) {
        self.keepalive = interval;
        self.engine
            .socket_mut()
            .set_keep_alive(interval.map(Clock::stretch));
    }

    /// What remains for a minute. None where nothing has to.
    pub fn wait(&self, now: Duration) -> Option<Wait> {
        if self.engine.state() != Engines::TimeWait || self.state != State::Ended(End::Closed) {
            return None;
        }
        let ends = (self.local, self.remote);
        Some(Wait::new(
            ends,
            self.wire.next,
            self.expected(),
            self.wire.window,
            now,
        ))
    }
}
