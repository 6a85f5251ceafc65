//! One connection: how it begins and ends, and what is told to it.
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
use crate::keepalive::Keepalive;
use crate::offer::Offer;
use crate::segment::{build, is_host, Plain, ACK, FIN, RST, SYN};
use crate::sender::{Hold, Sender};
use crate::stamps::Stamps;
use crate::wait::Wait;
use crate::wire::Wire;
use crate::{Emit, Segment};

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
    pub(super) read: u32,
    pub(super) closing: bool,
    /// It is open because of data in the SYN, whose answer is not answered yet.
    pub(super) unproven: bool,
    /// Its SYN is answered by a cookie.
    pub(super) cookies: bool,
    /// Data in the SYN was taken.
    pub(super) early: bool,
    /// A FIN that came before what it ends.
    pub(super) end_at: Option<u32>,
    /// The engine knows that our FIN is acknowledged.
    pub(super) finished: bool,
    pub(super) tries: usize,
    /// How often its SYN, or the answer to one, was sent again.
    pub(super) again: u32,
    pub(super) tried_at: Duration,
    pub(super) began: Duration,
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
    pub(super) challenged: Option<Duration>,
    /// One challenge in this time.
    pub(super) challenges: Duration,
    /// By how much the other side's windows are scaled, and whether it understands blocks.
    pub(super) scale: u8,
    pub(super) sacks: bool,
    /// The largest segment that the other side takes, and that the program wants (TCP_MAXSEG).
    pub(super) most: u16,
    clamp: u16,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) patience: Option<Duration>,
    pub(super) options: Vec<u8>,
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
        let fits = local.is_ipv4() == remote.is_ipv4() && local.port() != 0;
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
            again: 0,
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
            options: Vec::new(),
        })
    }

    /// A connection from here to there, whose SYN leaves with the first [`poll`](Self::poll).
    /// None where an address is none of one host, or the own port is 0.
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
            Engine::listen(ends, mtu, settings.seed)
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

    /// Whether both ends know of it and the program's has not ended (CurrEstab of RFC 4022).
    pub fn is_established(&self) -> bool {
        let engine = self.engine.state();
        self.state == State::Open && matches!(engine, Engines::Established | Engines::CloseWait)
    }

    /// How many segments were sent again (tcpi_total_retrans).
    pub fn sent_again(&self) -> u32 {
        self.again.wrapping_add(self.sender.sent_again())
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
                let mut packet = Vec::new();
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
        // Challenges of the handshake are counted by themselves.
        self.challenged = None;
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

    /// This side has no more to say. What is written leaves before the FIN.
    pub fn close(&mut self) {
        if !self.closing && self.state == State::Open {
            self.closing = true;
            self.sender.close();
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
        if self.sacks {
            let most = self.most_blocks();
            self.answers.option(most, &mut self.wire.blocks);
        }
        self.engine.socket_mut().abort();
        self.end(End::Aborted);
    }

    /// Gives it up as [`abort`](Self::abort) does, with the RST of a host that knows of no such
    /// connection: without an acknowledgement.
    pub fn refuse(&mut self) {
        self.wire.bare_reset = Some(self.sender.oldest());
        if self.state == State::Ended(End::Closed) {
            // The end came with data that nobody takes.
            self.state = State::Open;
        }
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

    /// The program holds back what it has written last (TCP_CORK, MSG_MORE), or nothing.
    pub fn hold(&mut self, hold: Option<Hold>) {
        self.sender.hold(hold);
    }

    /// A record ends so many bytes before the last that was written (MSG_EOR).
    pub fn end_record(&mut self, behind: u32) {
        self.sender.end_record(behind);
    }

    /// What is written leaves although the program holds it back.
    pub fn push(&mut self) {
        self.sender.push();
    }

    /// Hop limit, and type of service or traffic class, of what is sent from now on.
    pub fn set_header(&mut self, hop_limit: u8, service: u8) {
        (self.wire.hop_limit, self.wire.service) = (hop_limit.max(1), service);
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
