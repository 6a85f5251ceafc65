//! What has happened to connections is taken, and carried on.
#![forbid(unsafe_code)]

use super::connect::Hanging;
use super::links::{Link, Tcp};
use super::live::{After, Stage};
use super::relay;
use crate::inet::meta::{Cast, Meta};
use crate::inet::output::Output;
use crate::inet::sockets::Sockets;
use memtun_ip::{Embedded, IcmpError, Packet};
use memtun_tcp::segment::{ACK, FIN, RST, SYN};
use memtun_tcp::{Pair, Segment, State, Verdict};
use std::time::Duration;

impl Tcp {
    /// Takes a segment. What it brings about is carried on by [`Tcp::flush`].
    pub fn receive(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        meta: &Meta,
        packet: &Packet<'_>,
    ) {
        if meta.cast != Cast::Unicast {
            return;
        }
        let Some(segment) = Segment::read(packet.bytes()) else {
            return;
        };
        let pair = Pair::of(&segment);
        let now = self.now();
        if let Some(number) = self.links.find(&pair) {
            match self.links.get_mut(number) {
                Some(Link::Live(live)) => {
                    // What answers a connect that the program has given up is refused.
                    match live.hanging(sockets, now) {
                        Hanging::Yes => live.segment(out, packet.bytes(), now),
                        Hanging::NotYet => live.held = Some(packet.bytes().to_vec()),
                        Hanging::GivenUp => {
                            live.give_up(now);
                            out.reset(packet);
                        }
                    }
                    return self.touch(number);
                }
                Some(Link::Wait(wait)) => {
                    let verdict = wait.segment(&segment, now, &mut |packet| {
                        let _ = out.send(packet, None);
                    });
                    let until = wait.until();
                    match verdict {
                        Verdict::Stays => return self.links.schedule(number, Some(until)),
                        Verdict::Over => return drop(self.links.remove(number)),
                        Verdict::Makes => drop(self.links.remove(number)),
                    }
                }
                None => return,
            }
        }
        if let Some(number) = self.begin_again(sockets, out, &segment) {
            if let Some(live) = self.live(number) {
                live.segment(out, packet.bytes(), now);
            }
            return self.touch(number);
        }
        let opens = segment.has(SYN) && segment.flags & (ACK | RST | FIN) == 0;
        let taken = match opens || segment.has(ACK) {
            true => opens && self.begin(sockets, out, meta, packet, &segment),
            // Who listens says nothing to what neither begins nor answers.
            false => super::accept::is_listened_to(sockets, meta, &segment),
        };
        if !taken && !segment.has(RST) {
            out.reset(packet);
        }
    }

    /// Hears of an error that came by ICMP.
    pub fn error(&mut self, of: &Embedded<'_>, kind: &IcmpError) {
        let Some(number) = self.links.find(&Pair::new(of.local, of.remote)) else {
            return;
        };
        let now = self.now();
        let Some(live) = self.live(number) else {
            return;
        };
        if let Some(mtu) = relay::smaller_path(kind) {
            live.connection.set_mtu(mtu);
        } else if live.connection.state() == State::Connecting {
            live.refuse(kind, now);
        }
        self.touch(number);
    }

    /// Carries on what has happened: bytes to legs and from them, packets, timers. Whoever has
    /// given packets or taken events calls it before it lets the lock go. Returns whether there was
    /// anything to do.
    pub fn flush(&mut self, sockets: &mut Sockets, out: &mut Output<'_, '_>) -> bool {
        let any = !self.dirty.is_empty();
        while let Some(number) = self.dirty.pop() {
            self.carry_on(sockets, out, number);
        }
        if any {
            self.wake_before();
        }
        any
    }

    /// Says how long nobody has to be answered who has waited for long enough: a program, or the
    /// other side of one that was to come.
    pub fn answers_in(&mut self) -> Option<Duration> {
        let now = self.now();
        loop {
            let &(until, number, serial) = self.asked.front()?;
            let live = self.live(number).filter(|live| live.serial == serial);
            if live.is_some_and(|live| live.is_late || matches!(live.stage, Stage::Asked(..))) {
                return Some(until.saturating_sub(now));
            }
            self.asked.pop_front();
        }
    }

    /// Answers those who have waited for long enough.
    pub fn answer_asked(&mut self, sockets: &mut Sockets, out: &mut Output<'_, '_>) {
        while self.answers_in() == Some(Duration::ZERO) {
            if let Some((_, number, _)) = self.asked.pop_front() {
                self.carry_on(sockets, out, number);
            }
        }
    }

    /// Does what is due. Returns how long there is nothing to do.
    pub fn run_timers(
        &mut self,
        sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
    ) -> Option<Duration> {
        /// So many are served before others have the lock.
        const AT_ONCE: usize = 256;
        let now = self.now();
        for _ in 0..AT_ONCE {
            let Some(number) = self.links.due(now) else {
                break;
            };
            match self.links.get(number) {
                Some(Link::Wait(_)) => drop(self.links.remove(number)),
                Some(Link::Live(_)) => self.carry_on(sockets, out, number),
                None => {}
            }
        }
        self.dirty_or_due()
    }

    fn dirty_or_due(&self) -> Option<Duration> {
        Some(self.links.next_time()?.saturating_sub(self.now()))
    }

    /// Lets a connection do what it can, and says when it wants to be asked again.
    fn carry_on(&mut self, sockets: &mut Sockets, out: &mut Output<'_, '_>, number: usize) {
        let now = self.now();
        let Some(legs) = self.legs.clone() else {
            return;
        };
        let Some(Link::Live(live)) = self.links.get_mut(number) else {
            return;
        };
        live.is_dirty = false;
        live.again = None;
        let after = live.carry_on(sockets, out, &legs, number, now);
        live.count(out, after);
        match after {
            After::Stays => {
                // Who answers programs knows of an answer that is late, and is awake.
                let wanted = match live.is_late {
                    true => None,
                    false => live.connection.poll_at(now),
                };
                let time = [wanted, live.again].into_iter().flatten().min();
                self.links.schedule(number, time);
            }
            After::Over => self.drop_link(sockets, number, now),
        }
    }
}
