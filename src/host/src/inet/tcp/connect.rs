//! A program connects.
//!
//! The SYN leaves first. What answers it within two milliseconds decides where the program's native
//! socket connects to: the port `open`, which accepts it; the port `shut`, which refuses it; or,
//! where nothing has come, the plug, at which it hangs in SYN_SENT as it would in a kernel. When an
//! answer comes later, a socket of this process is bound to the plug's name and connects to the
//! program's: both have sent a SYN, and both are connected (simultaneous open).
#![forbid(unsafe_code)]

use super::leg::{Connected, Leg};
use super::legs::Legs;
use super::links::{Link, Tcp};
use super::live::{After, Live, Stage};
use crate::inet::output::Output;
use crate::inet::sockets::connect::Opening;
use crate::inet::sockets::ports::Range;
use crate::inet::sockets::Sockets;
use crate::reply::Reply;
use memtun_abi::Errno;
use memtun_ip::IcmpError;
use memtun_stack::counters::{self, Counter};
use memtun_stack::sockets::question::SocketAnswer;
use memtun_stack::sockets::Protocol;
use memtun_tcp::{Connection, End, Segment, State};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long an answer to a SYN is waited for before the program hears. A connection that is there
/// by then costs less.
const MOMENT: Duration = Duration::from_millis(2);
/// The same where the program does not wait, and may be the one that has to answer.
const SHORT: Duration = Duration::from_micros(500);
/// How long a program may take from the answer to its connect.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// When so much of that is left, the program should have come long ago, and what has no owner may
/// be somebody else's.
const FOREIGN: Duration = Duration::from_secs(9);
/// How soon a program that has not come to its connect is looked for again.
const SOON: Duration = Duration::from_millis(1);
/// How often a connect that hangs at the plug is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// How long a program usually takes at most from the answer to its connect.
const SLOW: Duration = Duration::from_millis(5);

/// Where a program is that was told to connect to the plug.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hanging {
    /// It hangs there, or is not to.
    Yes,
    /// It has not come there.
    NotYet,
    /// It has closed its socket, or never comes.
    GivenUp,
}

impl Tcp {
    /// Sends the SYN, and answers by `reply` what the program's socket is to do: at once, or when
    /// something has come back, or a moment later.
    pub fn connect(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        opening: Opening,
        reply: Reply,
    ) {
        let (flow, alias) = (opening.flow, opening.alias);
        let refuse = |sockets: &mut Sockets, reply: Reply, errno| {
            sockets.end_flow(alias);
            reply.give(Err(Errno(errno)));
        };
        if !self.begin_legs(sockets) || !self.has_room() {
            return refuse(sockets, reply, libc::ENOBUFS);
        }
        let way = match out.way(&flow) {
            Ok(way) => (super::live::generation(out), way),
            Err(e) => return refuse(sockets, reply, e.0),
        };
        let now = self.now();
        let view = out.view();
        let net = &view.settings;
        /// The bit of net.ipv4.tcp_fastopen for those that connect.
        const CONNECTS: i64 = 1;
        let asks = net.fast_open & CONNECTS != 0 && opening.manner.asks_cookie();
        let mut settings = self.settings(&flow, net, &way.1, &opening.manner);
        settings.asks_cookie = asks;
        let connection = Connection::connect(flow.local, flow.remote, &settings, now);
        let Some(mut connection) = connection else {
            return refuse(sockets, reply, libc::EADDRNOTAVAIL);
        };
        self.control.give(&mut connection, out);
        let pair = memtun_tcp::Pair::new(flow.local, flow.remote);
        if let Some(number) = self.links.find(&pair) {
            // A connect before that came to nothing may be in the way.
            let over = match self.links.get_mut(number) {
                Some(Link::Live(live)) => !live.hangs(sockets),
                Some(Link::Wait(wait)) => wait.makes_room(),
                None => true,
            };
            if !over {
                return refuse(sockets, reply, libc::EADDRNOTAVAIL);
            }
            self.drop_link(sockets, number, now);
        }
        out.counted(|table| counters::count(table, Counter::TcpActiveOpens));
        let until = match opening.nonblocking {
            true => now + SHORT,
            false => now + MOMENT,
        };
        let stage = Stage::Asked(opening, reply, until);
        // Where there are too many, the reply is dropped, which is an answer, too.
        match self.keep(connection, flow, alias, way, stage) {
            Some(number) => {
                let at = self.asked.partition_point(|asked| asked.0 <= until);
                self.asked.insert(at, (until, number, self.serial));
                if let Some(live) = self.live(number) {
                    live.tune(&opening.manner);
                }
            }
            None => sockets.end_flow(alias),
        }
        self.flush(sockets, out);
    }

    /// Gives up a connection whose program asks anew, because its socket could not be bound, or
    /// does not wait for it any more.
    pub fn abandon(&mut self, sockets: &mut Sockets, out: &mut Output<'_, '_>, alias: Ipv4Addr) {
        let Some(&number) = self.aliases.get(&alias) else {
            return;
        };
        let now = self.now();
        if let Some(live) = self.live(number) {
            if matches!(live.stage, Stage::Running(_)) {
                // It has come meanwhile, and its leg tells what becomes of it.
                return;
            }
            live.connection.abort();
            live.poll(out, now);
        }
        self.drop_link(sockets, number, now);
    }

    /// Begins to wait for legs, once. Returns whether that can be done.
    pub(super) fn begin_legs(&mut self, sockets: &Sockets) -> bool {
        if self.legs.is_none() {
            let Some(open) = sockets.open_listener() else {
                return false;
            };
            super::leg::prepare(open);
            match Legs::new(open) {
                Ok(legs) => {
                    self.legs = Some(std::sync::Arc::new(legs));
                    self.fresh = self.legs.clone();
                }
                Err(e) => log::warn!("there is nothing to wait with for connections: {e}"),
            }
        }
        self.legs.is_some()
    }

    /// Is there a descriptor for another connection?
    pub(super) fn has_room(&self) -> bool {
        let legs = self.legs.as_ref();
        legs.is_some_and(|legs| legs.have_room(self.aliases.len()))
    }

    /// Accepts a program that was told that it is connected. While others wait, there is another
    /// event.
    pub(super) fn accept_open(&mut self, sockets: &mut Sockets) {
        let by_door = self.legs.as_ref().and_then(|legs| legs.doors.accepted());
        if let Some((leg, other, alias)) = by_door {
            if let Some(leg) = self.adopt(sockets, leg, other, Some(alias)) {
                leg.reset();
            }
        }
        let listener = sockets.open_listener();
        let Some((leg, other)) = listener.and_then(Leg::accepted) else {
            return;
        };
        if let Some(leg) = self.adopt(sockets, leg, other, None) {
            leg.reset();
        }
    }

    /// Finds the connection that a leg is for, whose other end has this name: that of an alias, or
    /// of the alias that is its own address. Gives back one that is for none, or of others.
    fn adopt(
        &mut self,
        sockets: &mut Sockets,
        leg: Leg,
        other: Option<SocketAddr>,
        alias: Option<Ipv4Addr>,
    ) -> Option<Leg> {
        let (Some(own), Some(other)) = (leg.own_name(), other) else {
            return Some(leg);
        };
        let alias = match (alias, own.ip()) {
            (Some(alias), _) | (None, IpAddr::V4(alias)) => alias,
            _ => return Some(leg),
        };
        let Some(&number) = self.aliases.get(&alias) else {
            return Some(leg);
        };
        let ours = sockets.is_ours(Protocol::Tcp, other, own);
        let is_gone = !ours && sockets.is_nobodys(Protocol::Tcp, other, own);
        let now = self.now();
        let Some(legs) = self.legs.clone() else {
            return Some(leg);
        };
        let Some(live) = self.live(number) else {
            return Some(leg);
        };
        let (native, bound, until) = match &live.stage {
            Stage::Expected(opening, until) => (Some(opening.native), opening.bind, *until),
            _ => (None, None, now),
        };
        let expected = native.is_some_and(|native| native.port() == other.port());
        // One that the program has reset already (SO_LINGER of 0) has no owner any more. What it
        // has written is sent, as by a kernel: the name was the program's until then, and whoever
        // comes to its connect comes at once.
        let is_reset = native == Some(other) && is_gone;
        let ours = ours || is_reset && now + FOREIGN < until;
        if is_reset && !ours {
            // Whose it was, nobody can tell any more. What it has sent is not taken; that the
            // program has closed its socket with a reset, it may say.
            live.connection.abort();
            live.stage = Stage::Over;
            self.touch(number);
            return None;
        }
        if !ours || !expected || legs.add(&leg, number, live.serial).is_err() {
            return Some(leg);
        }
        live.stage = Stage::Running(leg);
        self.bound = bound;
        self.touch(number);
        None
    }

    /// Finds out a name for the next socket that connects, once one has come and nobody waits.
    pub(super) fn look_ahead(&mut self, sockets: &mut Sockets, out: &Output<'_, '_>) {
        if let Some(bound) = self.bound.take() {
            sockets.look_ahead(&bound, &Range::of(out.service.state()));
        }
    }
}

impl Live {
    /// An error came by ICMP about the SYN.
    pub(super) fn refuse(&mut self, kind: &IcmpError, now: Duration) {
        let Some((errno, _)) = kind.errno() else {
            return;
        };
        let errno = Errno(errno);
        self.connection.abort();
        if let Stage::Plugged(opening) = self.stage {
            self.stage = Stage::Refusing(opening, now + PATIENCE, errno);
        } else if matches!(self.stage, Stage::Asked(..)) {
            // The reply is given where the stage is looked at.
            self.flow.error = errno.0 as u16;
        }
    }

    /// What becomes of a connect while nobody has answered the program.
    pub(super) fn asked(
        &mut self,
        sockets: &mut Sockets,
        legs: &Legs,
        (opening, reply, until): (Opening, Reply, Duration),
        now: Duration,
    ) -> After {
        if opening.native.is_ipv6() {
            return self.asked_by_v6(sockets, legs, (opening, reply, until), now);
        }
        let ports = sockets.ports();
        let answer = |reply: Reply, port| reply.give(Ok(&opening.answer(port)));
        match self.connection.state() {
            State::Open => {
                self.learn(sockets);
                answer(reply, ports.open);
                self.stage = Stage::Expected(opening, now + PATIENCE);
                self.again = Some(now + PATIENCE);
            }
            State::Ended(End::Refused | End::Reset) => {
                answer(reply, ports.shut);
                return After::Over;
            }
            State::Ended(_) => {
                let errno = match self.flow.error {
                    0 => libc::ETIMEDOUT,
                    error => error.into(),
                };
                // The native socket is refused, and the library says why.
                sockets.note_end(&opening.entry, opening.asker, Errno(errno));
                answer(reply, ports.shut);
                return After::Over;
            }
            State::Connecting | State::Accepting if now >= until => {
                answer(reply, ports.plug);
                self.stage = Stage::Plugged(opening);
                self.again = Some(now + LOOK);
            }
            State::Connecting | State::Accepting => {
                self.stage = Stage::Asked(opening, reply, until);
            }
        }
        After::Stays
    }

    /// The same for a socket that is bound to ::1. It talks to a socket of this net, which answers
    /// at once, unless its queue is full.
    fn asked_by_v6(
        &mut self,
        sockets: &mut Sockets,
        legs: &Legs,
        (opening, reply, until): (Opening, Reply, Duration),
        now: Duration,
    ) -> After {
        let fails = match self.connection.state() {
            State::Open => match open_door(legs, sockets, self.alias) {
                Ok(door) => {
                    self.learn(sockets);
                    reply.give(Ok(&SocketAnswer::Carried(None, door)));
                    self.stage = Stage::Expected(opening, now + PATIENCE);
                    self.again = Some(now + PATIENCE);
                    return After::Stays;
                }
                Err(e) => e,
            },
            State::Connecting | State::Accepting if now < until => {
                self.stage = Stage::Asked(opening, reply, until);
                return After::Stays;
            }
            State::Connecting | State::Accepting => Errno(libc::ETIMEDOUT),
            State::Ended(_) => Errno(libc::ECONNREFUSED),
        };
        reply.give(Err(fails));
        self.connection.abort();
        After::Over
    }

    /// What becomes of a connect that the program takes for done, and that has no leg yet.
    pub(super) fn expected(
        &mut self,
        out: &mut Output<'_, '_>,
        opening: Opening,
        until: Duration,
        now: Duration,
    ) -> After {
        self.stage = Stage::Expected(opening, until);
        self.again = Some(until);
        if now < until {
            // Were it over already, the program would find a reset when it comes.
            return After::Stays;
        }
        self.connection.abort();
        self.poll(out, now);
        After::Over
    }

    /// What becomes of a connect that hangs at the plug.
    pub(super) fn plugged(
        &mut self,
        sockets: &mut Sockets,
        opening: Opening,
        now: Duration,
    ) -> After {
        let until = now + PATIENCE;
        let refused = |errno| Stage::Refusing(opening, until, Errno(errno));
        self.stage = match self.connection.state() {
            State::Open => Stage::Bridging(opening, None, until),
            State::Ended(End::TimedOut) => refused(libc::ETIMEDOUT),
            State::Ended(_) => refused(libc::ECONNREFUSED),
            State::Connecting | State::Accepting => {
                // It looks often at first, and seldom later.
                let age = now.saturating_sub(self.connection.began());
                let is_new = !self.hung && age < SLOW;
                let soon = (self.held.is_some() || is_new).then_some(SOON.max(age / 8));
                self.again = Some(now + soon.unwrap_or(LOOK));
                self.stage = Stage::Plugged(opening);
                return After::Stays;
            }
        };
        self.learn(sockets);
        After::Stays
    }

    /// Whether a program that has been told to hang at the plug does.
    pub(super) fn hanging(&mut self, sockets: &mut Sockets, now: Duration) -> Hanging {
        let Stage::Plugged(opening) = self.stage else {
            return Hanging::Yes;
        };
        if self.connection.state() != State::Connecting {
            return Hanging::Yes;
        }
        if self.hangs(sockets) {
            self.hung = true;
            return Hanging::Yes;
        }
        if self.hung {
            return Hanging::GivenUp;
        }
        let age = now.saturating_sub(self.connection.began());
        let comes = match age < SLOW {
            // A socket that had a name before it was asked for is there until it is closed.
            true => opening.bind.is_some() || sockets.is_there(opening.native),
            // The program may be stopped, or the machine be busy.
            false => age < PATIENCE && sockets.is_held(opening.asker, opening.entry.inode),
        };
        match comes {
            true => Hanging::NotYet,
            false => Hanging::GivenUp,
        }
    }

    /// Gives up a connect whose program has. Should it come to the plug nevertheless, it is
    /// refused.
    pub(super) fn give_up(&mut self, now: Duration) {
        self.held = None;
        self.connection.abort();
        if let Stage::Plugged(opening) = self.stage {
            self.stage = Stage::Refusing(opening, now + PATIENCE, Errno(libc::ECONNREFUSED));
        }
    }

    /// Takes the answer that came before the program's connect, once that is there.
    pub(super) fn take_held(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        now: Duration,
    ) {
        let Some(held) = self.held.take() else { return };
        match self.hanging(sockets, now) {
            Hanging::Yes => self.segment(out, &held, now),
            Hanging::NotYet => self.held = Some(held),
            Hanging::GivenUp => {
                self.give_up(now);
                let mut packet = Vec::new();
                let segment = Segment::read(&held);
                if segment.is_some_and(|segment| memtun_tcp::reset_for(&segment, &mut packet)) {
                    let way = self.way(out);
                    super::live::send(out, &packet, way);
                }
            }
        }
    }

    /// Whether the program's socket hangs at the plug, or its program has not been answered.
    fn hangs(&self, sockets: &mut Sockets) -> bool {
        match &self.stage {
            Stage::Plugged(opening) | Stage::Refusing(opening, ..) => {
                let plug = self.plug(sockets);
                let native = sockets.native(Protocol::Tcp, opening.native, plug);
                native.is_some()
            }
            _ => true,
        }
    }

    pub(super) fn plug(&self, sockets: &Sockets) -> SocketAddr {
        SocketAddr::new(self.alias.into(), sockets.ports().plug)
    }

    /// Completes a connect from this side.
    pub(super) fn bridge(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        legs: &Legs,
        number: usize,
        (opening, leg, until): (Opening, Option<Leg>, Duration),
        now: Duration,
    ) -> After {
        let plug = self.plug(sockets);
        let (leg, connected) = match leg {
            Some(leg) => {
                let connected = leg.connected();
                (Some(leg), connected)
            }
            None => {
                let hangs = sockets.native(Protocol::Tcp, opening.native, plug);
                // Where it does not hang, somebody else may listen by now.
                let bound = match hangs {
                    Some(_) => legs.bound(&plug, true),
                    None => Err(Errno(libc::ENOTCONN)),
                };
                match bound {
                    Ok(leg) => {
                        let connected = leg.connect(&opening.native);
                        (Some(leg), connected)
                    }
                    Err(e) => (None, Connected::No(e)),
                }
            }
        };
        let failed = match (connected, leg) {
            (Connected::Yes, Some(leg)) => {
                let ours = sockets.is_ours(Protocol::Tcp, opening.native, plug);
                if ours && legs.add(&leg, number, self.serial).is_ok() {
                    self.stage = Stage::Running(leg);
                    return After::Stays;
                }
                leg.reset();
                true
            }
            (Connected::NotYet, Some(leg)) => {
                self.stage = Stage::Bridging(opening, Some(leg), until);
                now >= until
            }
            // It did hang, and is gone: the program has closed it, with a reset perhaps.
            (Connected::No(_), leg)
                if (leg.is_some() || self.hung)
                    && sockets.is_nobodys(Protocol::Tcp, opening.native, plug) =>
            {
                true
            }
            (_, _) => {
                self.stage = Stage::Bridging(opening, None, until);
                now >= until
            }
        };
        if !failed {
            // It looks often at first, and seldom later.
            let waited = PATIENCE.saturating_sub(until.saturating_sub(now));
            self.again = Some(now + SOON.max(waited / 8));
            return After::Stays;
        }
        self.connection.abort();
        self.poll(out, now);
        After::Over
    }

    /// Tells the programs the largest segment of a connection.
    pub(super) fn learn(&mut self, sockets: &mut Sockets) {
        self.flow.mss = self.connection.maximum();
        sockets.set_flow(self.alias, &self.flow);
    }
}

/// Opens a door for the program of a flow. Returns where it connects to.
///
/// # Errors
///
/// EMFILE and others.
fn open_door(legs: &Legs, sockets: &mut Sockets, alias: Ipv4Addr) -> Result<SocketAddr, Errno> {
    let listener = legs.bound(&(Ipv6Addr::LOCALHOST, 0).into(), false)?;
    listener.listen()?;
    let name = listener.own_name().ok_or(Errno(libc::ENOTCONN))?;
    legs.add_door(&listener)?;
    // All come to the same address there: which flow it is, the port tells.
    sockets.name_v6_leg(Protocol::Tcp, name.port(), Some(alias));
    legs.doors.keep(listener, alias);
    Ok(name)
}
