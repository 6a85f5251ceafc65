//! Bytes from one side to the other, and how each end of one becomes one of the other.
//!
//! | one side | the other |
//! |---|---|
//! | the program has shut its end, or closed it | FIN, after what was written |
//! | the program has closed it with data unread, or with SO_LINGER of 0, or is writing to nobody | RST |
//! | FIN | the leg is shut, after what has come |
//! | RST | the leg ends with a reset: ECONNRESET |
//! | nobody answers any more | the same, and ETIMEDOUT for the program's socket |
#![forbid(unsafe_code)]

use super::connect::Hanging;
use super::leg::{Gone, Leg, Moved};
use super::legs::{Legs, Ready};
use super::links::Tcp;
use super::live::{After, Live, Stage};
use crate::inet::output::Output;
use crate::inet::sockets::diag::LISTEN;
use crate::inet::sockets::Sockets;
use memtun_abi::Errno;
use memtun_ip::IcmpError;
use memtun_stack::sockets::Protocol;
use memtun_tcp::{End, Hold, State};
use std::time::Duration;

/// What an error of ICMP says of the path, if it says that.
pub(super) fn smaller_path(kind: &IcmpError) -> Option<usize> {
    kind.mtu().map(|mtu| mtu as usize)
}

/// What has become of the program's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Whole,
    Broken,
}

impl Tcp {
    /// Takes the events of legs.
    pub(super) fn ready(
        &mut self,
        sockets: &mut Sockets,
        _out: &mut Output<'_, '_>,
        ready: &[Ready],
    ) {
        for event in ready {
            match *event {
                Ready::Open => self.accept_open(sockets),
                Ready::Leg {
                    number,
                    serial,
                    event,
                } => {
                    let Some(live) = self.live(number).filter(|live| live.serial == serial) else {
                        continue;
                    };
                    if let Stage::Running(leg) = &mut live.stage {
                        leg.hear(&event);
                    }
                    self.touch(number);
                }
            }
        }
    }
}

impl Live {
    /// Does all that can be done now.
    pub(super) fn carry_on(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        legs: &Legs,
        number: usize,
        now: Duration,
    ) -> After {
        self.take_held(sockets, out, now);
        // A SYN is not sent again for a program that has closed its socket.
        let plugged = matches!(self.stage, Stage::Plugged(_)) && self.held.is_none();
        if plugged && self.hanging(sockets, now) == Hanging::GivenUp {
            self.give_up(now);
        }
        self.is_late = false;
        if self.connection.state() == State::Open {
            // The program goes first. What it brings about, its first bytes perhaps, leaves with
            // the answer to the other side: otherwise all who pass that on would go before it.
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Asked(opening, reply, until) => {
                    self.asked(sockets, legs, (opening, reply, until), now);
                    self.is_late = now < until;
                }
                stage => self.stage = stage,
            }
        }
        // Data for a socket that is closed is refused, and not acknowledged before.
        let comes_late = match &self.stage {
            Stage::Running(leg) => leg.ended && self.connection.available() > 0,
            _ => false,
        };
        // One with data in its SYN is in the listener's queue before the SYN is answered.
        let unsaid = matches!(self.stage, Stage::Arriving(_)) && self.connection.sent() == 0;
        let comes_early = unsaid && self.connection.state() == State::Open;
        if !comes_late && !comes_early && !self.is_late {
            self.poll(out, now);
        }
        loop {
            // Each arm puts the next stage in place of this one.
            let stage = std::mem::replace(&mut self.stage, Stage::Over);
            let after = match stage {
                Stage::Asked(opening, reply, until) => {
                    return self.asked(sockets, legs, (opening, reply, until), now);
                }
                Stage::Expected(opening, until) => {
                    return self.expected(out, opening, until, now);
                }
                Stage::Plugged(opening) => self.plugged(sockets, opening, now),
                Stage::Bridging(opening, leg, until) => {
                    let state = (opening, leg, until);
                    self.bridge(sockets, out, legs, number, state, now)
                }
                Stage::Refusing(opening, until, errno) => {
                    self.refuse_late(sockets, (opening, until, errno), now)
                }
                Stage::Arriving(listener) => self.arriving(sockets, legs, number, listener, now),
                Stage::Running(leg) => {
                    return self.relay(sockets, out, (legs, number), leg, now);
                }
                Stage::Over => After::Over,
            };
            let goes_on = match &self.stage {
                Stage::Running(_) => true,
                Stage::Bridging(_, None, _) | Stage::Refusing(..) => {
                    self.again.is_none_or(|again| again <= now)
                }
                _ => false,
            };
            if after == After::Over || !goes_on {
                return after;
            }
        }
    }

    /// Moves bytes both ways.
    fn relay(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        (legs, number): (&Legs, usize),
        mut leg: Leg,
        now: Duration,
    ) -> After {
        let mut side = self.inward(&mut leg);
        if side == Side::Whole {
            side = self.outward(&mut leg);
            self.held_back(sockets, &mut leg);
        }
        let gone = if leg.ended { leg.gone() } else { None };
        if side == Side::Broken || gone.is_some() {
            // Data for a socket that is closed is answered as if nobody had it.
            match leg.ended && gone != Some(Gone::Ended) {
                true => self.connection.refuse(),
                false => {
                    // What was written before the reset leaves, as far as the window goes.
                    self.poll(out, now);
                    self.connection.abort();
                }
            }
        }
        self.poll(out, now);
        match self.connection.state() {
            State::Ended(End::Aborted) => return After::Over,
            State::Ended(End::Closed) if self.connection.is_read() => {
                // The leg is closed. What the program writes now has nobody to go to; it sees so
                // when it does.
                self.stage = Stage::Running(leg);
                return After::Over;
            }
            State::Ended(End::Closed) => {}
            State::Ended(how) => {
                if self.connection.available() == 0 {
                    if how == End::TimedOut {
                        let names = leg.other_name().zip(leg.own_name());
                        if let Some((other, own)) = names {
                            let why = Errno(libc::ETIMEDOUT);
                            sockets.note_end_of(other, own, &self.flow, why);
                        }
                    }
                    leg.reset();
                    return After::Over;
                }
            }
            State::Open | State::Connecting | State::Accepting => {}
        }
        if self.is_orphan(sockets, &leg, now) {
            return After::Over;
        }
        if !leg.writable {
            legs.add_room(&mut leg, number, self.serial);
        }
        self.stage = Stage::Running(leg);
        After::Stays
    }

    /// Whether the program has closed its socket, and the other side has had its time to do so, too
    /// (TCP_LINGER2). One that was only shut waits as long as it likes.
    fn is_orphan(&mut self, sockets: &mut Sockets, leg: &Leg, now: Duration) -> bool {
        if !leg.ended || !self.connection.is_finished() {
            return false;
        }
        let since = *self.half.get_or_insert(now);
        if now < since + self.lingers {
            self.again = Some(since + self.lingers);
            return false;
        }
        self.half = Some(now);
        self.again = Some(now + self.lingers);
        let (Some(other), Some(own)) = (leg.other_name(), leg.own_name()) else {
            return true;
        };
        let native = sockets.native(Protocol::Tcp, other, own);
        // Where it is gone, the one that listens there is found.
        native.is_none_or(|native| native.inode == 0 || native.state == LISTEN)
    }

    /// From the net to the program.
    fn inward(&mut self, leg: &mut Leg) -> Side {
        while leg.writable && self.connection.available() > 0 {
            let urgent = self.connection.urgent();
            let moved = self.connection.read_with(|bytes| {
                let moved = match urgent {
                    Some(0) => leg.write_urgent(&bytes[..1]),
                    Some(before) => leg.write(&bytes[..before.min(bytes.len())]),
                    None => leg.write(bytes),
                };
                moved.counted()
            });
            match moved {
                Some(Moved::Some(_)) => {}
                Some(Moved::Later) | None => break,
                Some(Moved::End | Moved::Broken) => return Side::Broken,
            }
        }
        // A leg that is about to be closed says the same by that.
        if self.connection.is_read() && self.connection.state() == State::Open {
            leg.shut();
        }
        Side::Whole
    }

    /// From the program to the net.
    fn outward(&mut self, leg: &mut Leg) -> Side {
        let mut told = leg.is_told();
        while leg.readable && !leg.ended && self.connection.room() > 0 {
            // What is read ends before an urgent byte, which is read alone then.
            let presses = leg.is_at_mark(std::mem::take(&mut told));
            let moved = self.connection.write_with(|room| {
                let moved = match presses {
                    true => leg.read_urgent(room),
                    false => leg.read(room),
                };
                moved.counted()
            });
            if presses && matches!(moved, Some(Moved::Some(_))) {
                self.connection.press();
            }
            match moved {
                Some(Moved::Some(_)) => {}
                Some(Moved::Later | Moved::End) | None => break,
                Some(Moved::Broken) => return Side::Broken,
            }
        }
        if leg.ended {
            self.connection.close();
        }
        Side::Whole
    }

    /// What the program has said of when its bytes leave. It says so before it sends them, so this
    /// is looked at when they have come.
    fn held_back(&mut self, sockets: &Sockets, leg: &mut Leg) {
        let pushes = std::mem::take(&mut self.pushes);
        let Some(said) = sockets.pushing(self.alias) else {
            return;
        };
        if let Some(no_delay) = said.no_delay {
            self.connection.set_no_delay(no_delay);
            leg.no_delay = no_delay;
        }
        if let Some(behind) = said.record_behind(leg.came) {
            if let Ok(behind) = u32::try_from(behind) {
                self.connection.end_record(behind);
            }
        }
        let hold = said.held(leg.came).map(|held| Hold {
            bytes: held.bytes.min(u64::from(u32::MAX >> 1)) as u32,
            corked: held.corked,
            more: held.more,
        });
        self.connection.hold(hold);
        if pushes {
            self.connection.push();
        }
    }
}
