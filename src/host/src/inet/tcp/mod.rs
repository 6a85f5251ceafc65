//! Connections: on one side the packets of the net, on the other a native socket of this process,
//! the **leg**, whose other end is the program's socket.
//!
//! | module | what it is |
//! |---|---|
//! | [`connect`] | a program connects: the SYN, and what its native socket is told |
//! | [`accept`] | a SYN comes for a socket that listens |
//! | [`leg`] | the native socket |
//! | [`relay`] | bytes from one side to the other, and how each end of one becomes one of the other |
//! | [`legs`] | what waits for legs and for the time |
//!
//! Bytes are kept in the buffers of [`memtun_tcp`] and of the kernel and nowhere else: what a leg
//! does not take stays where it is, and the other side's window closes.
#![forbid(unsafe_code)]

mod accept;
mod connect;
mod leg;
pub mod legs;
mod relay;

use super::ground::Ground;
use super::meta::{Cast, Meta};
use super::output::{Output, Way};
use super::sockets::Sockets;
use crate::reply::Reply;
use connect::Hanging;
use leg::Leg;
use legs::Legs;
use memtun_abi::Errno;
use memtun_ip::{Embedded, IcmpError, Packet};
use memtun_stack::sockets::Flow;
use memtun_tcp::segment::{ACK, FIN, RST, SYN};
use memtun_tcp::{Connection, Demux, Pair, Segment, Settings, State, Verdict, Wait};
use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::sockets::connect::Opening;

/// Most connections at once, so that nobody fills the memory with SYNs.
const MOST: usize = 60_000;

/// What TCP keeps.
pub struct Tcp {
    links: Demux<Link>,
    /// The connections that have an alias.
    aliases: HashMap<Ipv4Addr, usize>,
    /// Those to which something has happened that is not carried on yet.
    dirty: Vec<usize>,
    /// Connects whose program waits for an answer, and until when. The thread that answers
    /// questions looks at them, because it is awake.
    asked: VecDeque<(Duration, usize, u32)>,
    legs: Option<Arc<Legs>>,
    /// The same, until a thread runs it.
    fresh: Option<Arc<Legs>>,
    /// A number for each connection, so that a late event of a leg finds no other one.
    serial: u32,
    began: Instant,
    /// Where sequence numbers come from.
    seed: u64,
}

/// What stands behind a pair of names.
enum Link {
    Live(Box<Live>),
    Wait(Wait),
}

/// A connection with its leg.
struct Live {
    connection: Connection,
    flow: Flow,
    alias: Ipv4Addr,
    serial: u32,
    stage: Stage,
    /// The way of its packets, and of when.
    way: Option<(Generation, Way)>,
    is_dirty: bool,
    /// An answer to the SYN that came before the program's connect.
    held: Option<Vec<u8>>,
    /// When it is looked at again, whatever the connection wants.
    again: Option<Duration>,
}

/// How far the leg is.
enum Stage {
    /// The program waits for the answer to its question until then.
    Asked(Opening, Reply, Duration),
    /// The program was told that it is connected, and comes to the port `open`, until then.
    Expected(Opening, Duration),
    /// The program's socket hangs at the plug.
    Plugged(Opening),
    /// Its connect is completed from this side, since then. The errno is what it fails with.
    Bridging(Opening, Option<Leg>, Duration, Option<Errno>),
    /// Bytes go.
    Running(Leg),
    /// It is over.
    Over,
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp {
            links: Demux::default(),
            aliases: HashMap::new(),
            dirty: Vec::new(),
            asked: VecDeque::new(),
            legs: None,
            fresh: None,
            serial: 0,
            began: Instant::now(),
            seed: 0,
        }
    }
}

impl Live {
    /// Sends what the connection has to send.
    fn poll(&mut self, out: &mut Output<'_, '_>, now: Duration) {
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
    fn segment(&mut self, out: &mut Output<'_, '_>, packet: &[u8], now: Duration) {
        let way = self.way(out);
        self.connection
            .segment(packet, now, &mut |packet| send(out, packet, way));
    }

    /// The way of its packets as it is now.
    fn way(&mut self, out: &mut Output<'_, '_>) -> Option<Way> {
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
type Generation = (u64, u32);

fn generation(out: &Output<'_, '_>) -> Generation {
    (out.service.generation(), out.stack.paths_generation())
}

/// Sends one packet. One that cannot be sent is lost, as on any wire.
fn send(out: &mut Output<'_, '_>, packet: &[u8], way: Option<Way>) {
    if let Some(way) = way {
        let _ = out.send(packet, Some(&way));
    }
}

impl Tcp {
    /// The time of all connections.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What a new connection is told.
    fn settings(&mut self, way: &Way) -> Settings {
        // splitmix64: each connection has numbers of its own.
        if self.seed == 0 {
            self.seed = memtun_sys::random();
        }
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut seed = self.seed;
        seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Settings {
            mtu: way.mtu as usize,
            maximum: 0,
            seed: seed ^ (seed >> 31),
            hop_limit: way.hops.max(1),
            service: 0,
        }
    }

    /// Keeps a connection. None where there is one of the same names, or there are too many.
    fn keep(
        &mut self,
        connection: Connection,
        flow: Flow,
        alias: Ipv4Addr,
        way: (Generation, Way),
        stage: Stage,
    ) -> Option<usize> {
        if self.links.len() >= MOST {
            return None;
        }
        self.serial = self.serial.wrapping_add(1);
        let live = Live {
            connection,
            flow,
            alias,
            serial: self.serial,
            stage,
            way: Some(way),
            is_dirty: false,
            held: None,
            again: None,
        };
        let pair = Pair::new(flow.local, flow.remote);
        let number = self.links.insert(pair, Link::Live(Box::new(live)))?;
        self.aliases.insert(alias, number);
        self.touch(number);
        Some(number)
    }

    fn live(&mut self, number: usize) -> Option<&mut Live> {
        match self.links.get_mut(number)? {
            Link::Live(live) => Some(live),
            Link::Wait(_) => None,
        }
    }

    /// Remembers that something has happened to a connection.
    fn touch(&mut self, number: usize) {
        let Some(live) = self.live(number) else {
            return;
        };
        if !std::mem::replace(&mut live.is_dirty, true) {
            self.dirty.push(number);
        }
    }

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
        let opens = segment.has(SYN) && segment.flags & (ACK | RST | FIN) == 0;
        let taken = opens && self.begin(sockets, out, meta, packet, &segment);
        if !taken && !segment.has(RST) {
            out.reset(packet);
        }
    }

    /// Hears of an error that came by ICMP.
    pub fn error(
        &mut self,
        _sockets: &mut Sockets,
        out: &mut Output<'_, '_>,
        _meta: &Meta,
        of: &Embedded<'_>,
        kind: &IcmpError,
    ) {
        let Some(number) = self.links.find(&Pair::new(of.local, of.remote)) else {
            return;
        };
        let now = self.now();
        let Some(live) = self.live(number) else {
            return;
        };
        if let Some(mtu) = relay::smaller_path(kind) {
            let way = live.way(out);
            live.connection
                .set_mtu(mtu, now, &mut |packet| send(out, packet, way));
        } else if live.connection.state() == State::Connecting {
            live.refuse(kind);
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

    /// Is ready for connections from now on, if the net has addresses.
    pub fn follow(&mut self, sockets: &Sockets) {
        if sockets.is_active() {
            self.begin_legs(sockets);
        }
    }

    /// What waits for legs and timers, to be run by a thread, once.
    pub fn take_fresh(&mut self) -> Option<Arc<Legs>> {
        self.fresh.take()
    }

    /// Ends that thread.
    pub fn end(&mut self) {
        if let Some(legs) = &self.legs {
            legs.end();
        }
    }

    /// Says how long no program has to be answered that has waited for long enough.
    pub fn answers_in(&mut self) -> Option<Duration> {
        let now = self.now();
        loop {
            let &(until, number, serial) = self.asked.front()?;
            let live = self.live(number).filter(|live| live.serial == serial);
            if live.is_some_and(|live| matches!(live.stage, Stage::Asked(..))) {
                return Some(until.saturating_sub(now));
            }
            self.asked.pop_front();
        }
    }

    /// Answers programs that have waited for long enough.
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

    /// Wakes the thread that waits for the time if it sleeps too long.
    fn wake_before(&self) {
        if let (Some(legs), Some(next)) = (&self.legs, self.links.next_time()) {
            legs.wake_before(self.began + next);
        }
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
        match after {
            After::Stays => {
                let wanted = live.connection.poll_at(now);
                let time = [wanted, live.again].into_iter().flatten().min();
                self.links.schedule(number, time);
            }
            After::Over => self.drop_link(sockets, number, now),
        }
    }

    /// Ends a connection; what has to remain for a minute remains.
    fn drop_link(&mut self, sockets: &mut Sockets, number: usize, now: Duration) {
        let pair = self.links.pair(number);
        let Some(Link::Live(live)) = self.links.remove(number) else {
            return;
        };
        if self.aliases.get(&live.alias) == Some(&number) {
            self.aliases.remove(&live.alias);
        }
        sockets.end_flow(live.alias);
        log::debug!("{:?} is over", live.connection);
        if let (Some(wait), Some(pair)) = (live.connection.wait(now), pair) {
            let until = wait.until();
            if let Some(number) = self.links.insert(pair, Link::Wait(wait)) {
                self.links.schedule(number, Some(until));
            }
        }
    }
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Stays,
    Over,
}
