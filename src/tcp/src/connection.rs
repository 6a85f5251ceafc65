//! One connection: the engine and what is around it.
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

use smoltcp::socket::tcp::State as Engines;

use crate::answers::Answers;
use crate::cookies;
use crate::ecn::mark;
use crate::engine::Engine;
use crate::fastopen::{FastOpen, Place, Verdict};
use crate::keepalive::{Keepalive, Turn};
use crate::offer::Offer;
use crate::segment::{build, is_host, Plain, ACK, FIN, RST, SYN};
use crate::sender::{Piece, Sender};
use crate::stamps::Stamps;
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
/// Packets that one turn may send; there is another turn at once.
const TURN: usize = 256;
/// What an option of blocks has place for.
const BLOCKS: usize = 4;

/// What a connection is told at its beginning.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What the path takes at most, in bytes of an IP packet.
    pub mtu: usize,
    /// The largest segment that we say we take; 0: as much as the path does.
    pub maximum: u16,
    /// Where sequence numbers come from.
    pub seed: u64,
    /// What the clock of timestamps shows at the beginning of all times: the same for all
    /// connections between two hosts, so that a new one is known as newer than one that was.
    pub clock: u32,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Type of service or traffic class.
    pub service: u8,
    /// What its SYN says beside the largest segment.
    pub offer: Offer,
    /// One challenge in this time (net.ipv4.tcp_invalid_ratelimit).
    pub patience: Duration,
    /// Whether data in a SYN is taken, of a connection that comes.
    pub fast_open: Option<FastOpen>,
    /// Whether nothing is kept of a SYN but what a cookie says.
    pub cookies: bool,
    /// Whether a window stays what it was while nothing is sent (tcp_slow_start_after_idle of 0).
    pub rests: bool,
    /// Whether its SYN asks for a cookie, of one that connects.
    pub asks_cookie: bool,
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
    pub(super) engine: Engine,
    pub(super) wire: Wire,
    pub(super) sender: Sender,
    pub(super) answers: Answers,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: State,
    /// The other side's first sequence number.
    pub(super) theirs: u32,
    /// Bytes that were taken from the engine.
    read: u32,
    closing: bool,
    /// It is open because of data in the SYN, whose answer is not answered yet.
    pub(super) unproven: bool,
    /// Its SYN is answered by a cookie.
    cookies: bool,
    /// Data in the SYN was taken.
    pub(super) early: bool,
    /// A FIN that came before what it ends.
    pub(super) end_at: Option<u32>,
    /// The engine knows that our FIN is acknowledged.
    pub(super) finished: bool,
    tries: usize,
    tried_at: Duration,
    began: Duration,
    /// Packets that have come.
    pub(super) came: u32,
    pub(super) heard: Duration,
    /// When it was open.
    pub(super) opened: Duration,
    was_open: bool,
    /// The number of the last urgent byte that was told of.
    pub(super) urgent: Option<u32>,
    pub(super) unacknowledged: u32,
    pub(super) progress: Duration,
    challenged: Option<Duration>,
    /// One challenge in this time.
    challenges: Duration,
    /// By how much the other side's windows are scaled, and whether it understands blocks.
    pub(super) scale: u8,
    pub(super) sacks: bool,
    /// The largest segment that the other side takes, and that the program wants (TCP_MAXSEG).
    pub(super) most: u16,
    clamp: u16,
    pub(super) keepalive: Option<Keepalive>,
    patience: Option<Duration>,
    pub(super) scratch: Vec<u8>,
    pub(super) spare: Vec<u8>,
    options: Vec<u8>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .field("state", &self.state)
            .field("engine", &self.engine.state())
            .field("trip", &self.sender.trip())
            .finish_non_exhaustive()
    }
}

/// The length of an IP header of this family.
pub(crate) fn ip_header(local: SocketAddr) -> usize {
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
        make: impl FnOnce(usize) -> Option<Engine>,
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
        let engine = make(mtu)?;
        let mut wire = Wire::new(mtu, maximum, settings.offer, settings.seed);
        wire.stamps = Stamps::new(settings.clock);
        wire.hop_limit = settings.hop_limit.max(1);
        wire.service = settings.service;
        let mut sender = Sender::default();
        sender.set_rests(settings.rests);
        Some(Connection {
            engine,
            wire,
            sender,
            answers: Answers::default(),
            local,
            remote,
            state: State::Connecting,
            theirs: 0,
            read: 0,
            closing: false,
            unproven: false,
            cookies: false,
            early: false,
            end_at: None,
            finished: false,
            tries: 0,
            tried_at: now,
            began: now,
            came: 0,
            heard: now,
            opened: now,
            was_open: false,
            urgent: None,
            unacknowledged: 0,
            progress: now,
            challenged: None,
            challenges: settings.patience,
            scale: 0,
            sacks: false,
            most: 536,
            clamp: maximum,
            keepalive: None,
            patience: None,
            scratch: Vec::new(),
            spare: Vec::new(),
            options: Vec::new(),
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
        let mut connection = Connection::new((local, remote), settings, now, |mtu| {
            Engine::connect(local, remote, mtu, settings.seed)
        })?;
        connection.wire.cookie = settings.asks_cookie.then_some(Place::Empty);
        Some(connection)
    }

    /// A connection that the SYN in `packet` asks for, whose answer leaves with the first
    /// [`poll`](Self::poll). None where it is no plain SYN.
    pub fn accept(packet: &[u8], settings: &Settings, now: Duration) -> Option<Connection> {
        let segment = Segment::read(packet)?;
        if !segment.has(SYN) || segment.flags & (ACK | RST | FIN) != 0 {
            return None;
        }
        let ends = (segment.destination, segment.source);
        let mut connection = Connection::new(ends, settings, now, |mtu| {
            Engine::listen(ends.0, mtu, settings.seed)
        })?;
        connection.state = State::Accepting;
        if settings.cookies {
            connection.wire.says = cookies::offer(settings.offer, &segment);
        }
        connection.learn(&segment, now);
        if settings.cookies {
            connection.most = cookies::maximum(connection.most, ends.0.ip());
            connection.cookies = true;
            let size = connection.maximum();
            connection.sender.set_size(size.into());
        }
        // A cookie has it in the timestamp, too.
        let kept = !settings.cookies || connection.wire.says.timestamps;
        let takes = settings.offer.takes_ecn && kept;
        connection.wire.ecn.was_asked(&segment, mark(packet), takes);
        connection.give(packet, now, &mut |_| {});
        if connection.engine.state() != Engines::SynReceived {
            return None;
        }
        let verdict = settings.fast_open.map(|fast| fast.judge(&segment));
        match verdict.unwrap_or(Verdict::Plain) {
            Verdict::Plain => {}
            Verdict::Told(cookie) => connection.wire.cookie = Some(Place::Told(cookie)),
            Verdict::Taken => connection.open_early(segment.payload, now),
        }
        Some(connection)
    }

    /// How much may be on its way, BBR says, not CUBIC: for one that is not open yet.
    pub fn use_bbr(&mut self) {
        self.sender.use_bbr();
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
        let most = (self.wire.mtu - ip_header(self.local) - 20) as u16;
        let whole = self.most.min(most).min(self.clamp);
        whole - (self.wire.stamps.length() as u16).min(whole - 8)
    }

    /// When it began.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// When it was open.
    pub fn opened(&self) -> Duration {
        self.opened
    }

    /// Whether it was ever open.
    pub fn was_open(&self) -> bool {
        self.was_open
    }

    /// Packets that have left.
    pub fn sent(&self) -> u64 {
        self.wire.count
    }

    /// The number of the next byte that is to come.
    pub(super) fn expected(&self) -> u32 {
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

    pub(super) fn end(&mut self, end: End) {
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Ended(end);
        }
    }

    /// Calls what a peer's packets reach. Should it panic, the connection is over, and nothing
    /// else.
    pub(super) fn fenced<R: Default>(
        &mut self,
        emit: &mut Emit<'_>,
        call: impl FnOnce(&mut Connection, &mut Emit<'_>) -> R,
    ) -> R {
        match catch_unwind(AssertUnwindSafe(|| call(self, emit))) {
            Ok(result) => result,
            Err(_) => {
                self.end(End::Reset);
                let mut packet = std::mem::take(&mut self.spare);
                let plain = Plain {
                    source: self.local,
                    destination: self.remote,
                    sequence: self.wire.next,
                    acknowledgement: 0,
                    flags: RST,
                    window: 0,
                    options: &[],
                };
                build(&plain, &mut packet);
                emit(&packet);
                R::default()
            }
        }
    }

    /// Lets the engine say what it has to.
    pub(super) fn engines_turn(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let Connection {
            engine,
            wire,
            scratch,
            ..
        } = self;
        engine.output(scratch, &mut |packet| wire.leave(packet, now, emit));
    }

    /// The options of a segment that leaves now. They are put back afterwards.
    fn options_of_segment(&mut self, now: Duration) -> Vec<u8> {
        let mut options = std::mem::take(&mut self.options);
        options.clear();
        self.wire.stamps.option(now, &mut options);
        if self.sacks {
            let most = match options.is_empty() {
                true => BLOCKS,
                false => BLOCKS - 1,
            };
            self.answers.option(most, &mut options);
        }
        options
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

    pub(super) fn open(&mut self, now: Duration) {
        // Of two tries nobody knows which one was answered.
        let trip = (self.tries <= 1).then(|| now.saturating_sub(self.began));
        let first = self.wire.first.unwrap_or_default().wrapping_add(1);
        self.sender.begin(first, trip, self.tries, now);
        let expected = self.expected();
        self.answers.begin(expected);
        self.wire.open(expected);
        (self.state, self.was_open) = (State::Open, true);
        (self.heard, self.opened) = (now, now);
        self.progress = now;
        self.unacknowledged = first;
        self.wire.syn = Vec::new();
    }

    /// Open with what has come in the SYN (tcp_fastopen_create_child).
    fn open_early(&mut self, data: &[u8], now: Duration) {
        self.wire.taken = data.len() as u32;
        self.engines_turn(now, &mut |_| {});
        let syn = std::mem::take(&mut self.wire.syn);
        self.wire.count = 0;
        self.tell(0, (self.expected(), &[]), now, &mut |_| {});
        self.wire.begin(self.expected());
        if !data.is_empty() {
            self.tell(0, (self.expected(), data), now, &mut |_| {});
        }
        // The time of the round trip is not known yet.
        self.tries = 2;
        self.open(now);
        (self.tries, self.tried_at, self.began) = (0, now, now);
        self.wire.syn = syn;
        (self.unproven, self.early) = (true, !data.is_empty());
    }

    /// The answer to such a SYN is answered.
    pub(super) fn prove(&mut self, now: Duration) {
        self.unproven = false;
        self.wire.syn = Vec::new();
        if self.tries <= 1 {
            self.sender.met(now.saturating_sub(self.began), now);
        }
    }

    /// What the engine's state means after something has happened.
    pub(super) fn settle(&mut self, now: Duration) {
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

    /// Sends data that may leave, and an answer that is due. Returns whether that was all.
    fn output(&mut self, now: Duration, emit: &mut Emit<'_>) -> bool {
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

    fn given_up(&self, now: Duration) -> bool {
        let patience = self.patience.unwrap_or(GIVE_UP);
        self.sender.waits() && now.saturating_sub(self.silent_since()) >= patience
    }

    /// Since when the other side owes an answer.
    fn silent_since(&self) -> Duration {
        let heard = self.progress.max(self.heard);
        heard.max(self.sender.busy_since())
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
            self.wire.again(now, emit);
        }
        true
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

    /// How many bytes may be written now.
    pub fn room(&self) -> usize {
        match self.state {
            State::Open => self.sender.room(),
            _ => 0,
        }
    }

    /// Bytes that are written and not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.sender.pending()
    }

    /// Writes into the buffer: `fill` gets room and says how much of it has been filled. It is
    /// called once, and not at all where there is no room.
    pub fn write_with<R>(&mut self, fill: impl FnOnce(&mut [u8]) -> (usize, R)) -> Option<R> {
        if self.room() == 0 {
            return None;
        }
        Some(self.sender.write_with(fill))
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
        let read = self.theirs.wrapping_add(1).wrapping_add(self.read);
        self.wire.read(read);
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
        self.sender.is_finished() || self.state == State::Ended(End::Closed)
    }

    /// This side has no more to say. What is written leaves before the FIN.
    pub fn close(&mut self) {
        if !self.closing && self.state == State::Open {
            self.closing = true;
            self.sender.close();
            self.engine.socket_mut().close();
        }
    }

    /// The last byte that was written is urgent (MSG_OOB).
    pub fn press(&mut self) {
        self.sender.press();
    }

    /// How many bytes that are to be read come before an urgent one, if there is one.
    pub fn urgent(&self) -> Option<usize> {
        let read = self.theirs.wrapping_add(1).wrapping_add(self.read);
        let ahead = self.urgent?.wrapping_sub(read) as usize;
        (ahead < self.available()).then_some(ahead)
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
        self.wire.bare_reset = Some(self.sender.oldest());
        self.abort();
    }

    /// The path takes no more than this (a packet too big, or one that had to be cut). What was
    /// sent in longer packets is sent again with the next [`poll`](Self::poll).
    pub fn set_mtu(&mut self, mtu: usize) {
        let least = if matches!(self.local.ip(), IpAddr::V4(_)) {
            552
        } else {
            1280
        };
        let mtu = mtu.max(least);
        if mtu < self.wire.mtu {
            self.wire.mtu = mtu;
            self.sender.set_size(self.maximum().into());
        }
    }

    /// Asks a silent peer whether it is still there: after so long, with so much time between two
    /// probes, and so often.
    pub fn set_keepalive(&mut self, times: Option<(Duration, Duration, u32)>) {
        self.keepalive = times.map(Keepalive::new);
    }

    /// Gives up data that stays without an answer for so long (TCP_USER_TIMEOUT).
    pub fn set_patience(&mut self, patience: Option<Duration>) {
        self.patience = patience;
    }

    /// Sends what is shorter than a segment although something is on its way (TCP_NODELAY).
    pub fn set_no_delay(&mut self, no_delay: bool) {
        self.sender.set_no_delay(no_delay);
    }

    /// Hop limit, and type of service or traffic class, of what is sent from now on.
    pub fn set_header(&mut self, hop_limit: u8, service: u8) {
        (self.wire.hop_limit, self.wire.service) = (hop_limit.max(1), service);
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

    /// A packet without data leaves.
    fn say(&mut self, flags: u8, sequence: u32, now: Duration, emit: &mut Emit<'_>) {
        self.engines_turn(now, emit);
        let expected = self.expected();
        let options = self.options_of_segment(now);
        let plain = Plain {
            source: self.local,
            destination: self.remote,
            sequence,
            acknowledgement: expected,
            flags,
            window: self.wire.window_at(expected),
            options: &options,
        };
        let nothing = Piece {
            sequence,
            flags,
            urgent: 0,
            data: (&[], &[]),
        };
        self.wire.send(&plain, &nothing, emit);
        self.answers.said(expected);
        self.options = options;
    }

    /// What remains for a minute. None where nothing has to.
    pub fn wait(&self, now: Duration) -> Option<Wait> {
        if self.engine.state() != Engines::TimeWait || self.state != State::Ended(End::Closed) {
            return None;
        }
        let ends = (self.local, self.remote);
        Some(Wait::new(
            ends,
            (self.wire.next, self.expected()),
            self.wire.window,
            self.wire.stamps,
            now,
        ))
    }
}
