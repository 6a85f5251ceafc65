//! One connection with its leg, and how far that is.
#![forbid(unsafe_code)]

use super::leg::Leg;
use crate::inet::output::{Output, Way};
use crate::inet::route;
use crate::inet::sockets::connect::Opening;
use crate::inet::sockets::manner::Manner;
use crate::inet::sockets::target::Listener;
use crate::reply::Reply;
use memtun_abi::Errno;
use memtun_stack::counters::{self, Counter};
use memtun_stack::sockets::Flow;
use memtun_tcp::{Connection, End, State};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A connection with its leg.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) flow: Flow,
    pub(super) alias: Ipv4Addr,
    pub(super) serial: u32,
    pub(super) stage: Stage,
    /// The way of its packets, and of when.
    pub(super) way: Option<(Generation, Way)>,
    pub(super) is_dirty: bool,
    /// An answer to the SYN that came before the program's connect.
    pub(super) held: Option<Vec<u8>>,
    /// The program's socket has been seen to hang at the plug.
    pub(super) hung: bool,
    /// How long a connection without data is not given to the program.
    pub(super) defers: Duration,
    /// How long the other side may keep silent when the program has closed its socket.
    pub(super) lingers: Duration,
    /// Since when only the other side has something to say.
    pub(super) half: Option<Duration>,
    /// When it is looked at again, whatever the connection wants.
    pub(super) again: Option<Duration>,
    /// The program has said that what it has written is to leave.
    pub(super) pushes: bool,
    /// The program has been answered, and comes; the other side is answered with that, or soon.
    pub(super) is_late: bool,
    /// What of it is counted.
    pub(super) counted: Counted,
}

/// What the counters know of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    is_established: bool,
    is_over: bool,
    sent_again: u32,
}

/// How far the leg is.
pub(super) enum Stage {
    /// The program waits for the answer to its question until then.
    Asked(Opening, Reply, Duration),
    /// The program was told that it is connected, and comes to the port `open`, until then.
    Expected(Opening, Duration),
    /// The program's socket hangs at the plug.
    Plugged(Opening),
    /// Its connect is completed from this side, until then.
    Bridging(Opening, Option<Leg>, Duration),
    /// Its connect is to fail with this errno, until then.
    Refusing(Opening, Duration, Errno),
    /// A SYN has come for this socket that listens, and is answered.
    Arriving(Listener),
    /// Bytes go.
    Running(Leg),
    /// It is over.
    Over,
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    Stays,
    Over,
}

impl Live {
    /// Sends what the connection has to send.
    pub(super) fn poll(&mut self, out: &mut Output<'_, '_>, now: Duration) {
        let way = self.way(out);
        let mut more = 0;
        while !self
            .connection
            .poll(now, &mut |packet| send(out, packet, way))
        {
            more += 1;
            // A connection that has this much to send at once finds no end.
            if more > 64 {
                break;
            }
        }
    }

    /// Gives it a packet.
    pub(super) fn segment(&mut self, out: &mut Output<'_, '_>, packet: &[u8], now: Duration) {
        let way = self.way(out);
        self.connection
            .segment(packet, now, &mut |packet| send(out, packet, way));
    }

    /// Counts what has become of it since the last time (tcp_set_state, tcp_done,
    /// tcp_retransmit_skb). `after` says whether it is taken out now.
    pub(super) fn count(&mut self, out: &mut Output<'_, '_>, after: After) {
        let state = self.connection.state();
        let now = Counted {
            is_established: after == After::Stays && self.connection.is_established(),
            is_over: after == After::Over || matches!(state, State::Ended(_)),
            sent_again: self.connection.sent_again(),
        };
        let before = std::mem::replace(&mut self.counted, now);
        if before == now {
            return;
        }
        let fails = match state {
            State::Ended(End::Refused | End::Reset) => true,
            // What nobody answers is given up quietly where it is an answer itself.
            State::Ended(End::TimedOut) => !matches!(self.stage, Stage::Arriving(_)),
            _ => false,
        };
        let ends = now.is_over && !before.is_over;
        out.counted(|table| {
            let again = now.sent_again.wrapping_sub(before.sent_again) as usize;
            counters::add(table, Counter::TcpRetransSegs, again);
            counters::take(table, Counter::TcpOutSegs, again);
            match (before.is_established, now.is_established) {
                (false, true) => counters::count(table, Counter::TcpCurrEstab),
                (true, false) => counters::take(table, Counter::TcpCurrEstab, 1),
                _ => {}
            }
            match self.connection.was_open() {
                true if ends && before.is_established && state != State::Ended(End::Closed) => {
                    counters::count(table, Counter::TcpEstabResets);
                }
                false if ends && fails => counters::count(table, Counter::TcpAttemptFails),
                _ => {}
            }
        });
    }

    /// What the program has sent has come, whether its event has or not.
    pub(super) fn look(&mut self) {
        if let Stage::Running(leg) = &mut self.stage {
            leg.look();
        }
    }

    /// The program has set something on its socket.
    pub(super) fn tune(&mut self, manner: &Manner) {
        let hops = self.way.map_or(64, |(_, way)| way.hops);
        self.connection
            .set_header(manner.hops(hops), manner.service);
        self.connection.set_no_delay(manner.no_delay());
        self.connection.set_keepalive(manner.keepalive());
        self.connection.set_patience(manner.patience());
        (self.defers, self.lingers) = (manner.defers(), manner.lingers());
    }

    /// The way of its packets as it is now.
    pub(super) fn way(&mut self, out: &mut Output<'_, '_>) -> Option<Way> {
        let generation = generation(out);
        match self.way {
            Some((of, way)) if of == generation => Some(way),
            _ => {
                let way = out.way(&self.flow).ok()?;
                self.way = Some((generation, way));
                Some(way)
            }
        }
    }
}

/// What a way depends on: routes and the like, and what is known of paths.
pub(super) type Generation = (route::Generation, u32);

pub(super) fn generation(out: &Output<'_, '_>) -> Generation {
    (out.ways_generation(), out.stack.paths_generation())
}

/// Sends one packet. One that cannot be sent is lost, as on any wire.
pub(super) fn send(out: &mut Output<'_, '_>, packet: &[u8], way: Option<Way>) {
    if let Some(way) = way {
        let _ = out.send(packet, Some(&way));
    }
}
