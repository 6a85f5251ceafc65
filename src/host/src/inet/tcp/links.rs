//! All connections, by their names, by alias and by number.
#![forbid(unsafe_code)]

use super::control::Control;
use super::halves::Halves;
use super::legs::Legs;
use super::live::{Counted, Generation, Live, Stage};
use super::rooms::Rooms;
use crate::inet::output::Way;
use crate::inet::sockets::manner::Manner;
use crate::inet::sockets::Sockets;
use crate::inet::view;
use memtun_stack::sockets::Flow;
use memtun_tcp::{Connection, Demux, Pair, Settings, Wait};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most connections at once, so that nobody fills the memory with SYNs.
const MOST: usize = 60_000;

/// What TCP keeps.
pub struct Tcp {
    pub(super) links: Demux<Link>,
    /// The connections that have an alias.
    pub(super) aliases: HashMap<Ipv4Addr, usize>,
    /// Those to which something has happened that is not carried on yet.
    pub(super) dirty: Vec<usize>,
    /// Connects whose program waits for an answer, and until when. The thread that answers
    /// questions looks at them, because it is awake.
    pub(super) asked: VecDeque<(Duration, usize, u32)>,
    /// The name to which the last program that came had bound its socket for that.
    pub(super) bound: Option<SocketAddr>,
    pub(super) legs: Option<Arc<Legs>>,
    /// The same, until a thread runs it.
    pub(super) fresh: Option<Arc<Legs>>,
    /// A number for each connection, so that a late event of a leg finds no other one.
    pub(super) serial: u32,
    /// What was set on sockets that listen, by their cookies.
    pub(super) manners: HashMap<u64, Manner>,
    pub(super) began: Instant,
    /// Where sequence numbers come from.
    pub(super) seed: u64,
    /// Where the clocks of timestamps begin, and cookies.
    pub(super) clocks: RandomState,
    /// Connections that are over.
    gone: Vec<Live>,
    pub(super) control: Control,
    /// Those that are not open yet.
    pub(super) halves: Halves,
    pub(super) rooms: Rooms,
}

/// What stands behind a pair of names.
pub(super) enum Link {
    Live(Box<Live>),
    Wait(Wait),
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp {
            links: Demux::default(),
            aliases: HashMap::new(),
            dirty: Vec::new(),
            asked: VecDeque::new(),
            bound: None,
            legs: None,
            fresh: None,
            serial: 0,
            manners: HashMap::new(),
            began: Instant::now(),
            seed: 0,
            clocks: RandomState::new(),
            gone: Vec::new(),
            control: Control::default(),
            halves: Halves::default(),
            rooms: Rooms::default(),
        }
    }
}

impl Tcp {
    /// The time of all connections.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// What a new connection is told.
    pub(super) fn settings(
        &mut self,
        flow: &Flow,
        net: &view::Settings,
        way: &Way,
        manner: &Manner,
    ) -> Settings {
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
            maximum: manner.maximum(),
            seed: seed ^ (seed >> 31),
            // As `secure_tcp_ts_off`.
            clock: self.clocks.hash_one((flow.local.ip(), flow.remote.ip())) as u32,
            hop_limit: manner.hops(way.hops),
            service: manner.service,
            offer: manner.offer(net.offer),
            patience: Duration::from_millis(net.challenges),
            fast_open: None,
            asks_cookie: false,
            cookies: false,
            rests: net.rests,
        }
    }

    /// Remembers what was set on a socket that listens.
    pub fn note(&mut self, cookie: u64, manner: Manner) {
        /// So many are remembered; of the others what a socket has at first counts.
        const MOST: usize = 4096;
        if self.manners.len() >= MOST {
            self.manners.clear();
        }
        self.manners.insert(cookie, manner);
    }

    /// A program has set something on the socket of a connection.
    pub fn tune(&mut self, flow: &Flow, manner: &Manner) {
        let found = self.links.find(&Pair::new(flow.local, flow.remote));
        let Some(number) = found else { return };
        if let Some(live) = self.live(number) {
            live.tune(manner);
            live.pushes |= manner.pushes();
            live.look();
            self.touch(number);
        }
    }

    /// Looks what the program has written, whether its event has come or not.
    pub fn look(&mut self, sockets: &mut Sockets, flow: &Flow) {
        let found = self.links.find(&Pair::new(flow.local, flow.remote));
        let Some(number) = found else { return };
        let is_expected = |live: &mut Live| matches!(live.stage, Stage::Expected(..));
        if self.live(number).is_some_and(is_expected) {
            self.accept_open(sockets);
        }
        if let Some(live) = self.live(number) {
            live.look();
            self.touch(number);
        }
    }

    /// What TCP_INFO says of a connection.
    pub fn info(&mut self, flow: &Flow) -> Option<Vec<u8>> {
        let now = self.now();
        let number = self.links.find(&Pair::new(flow.local, flow.remote))?;
        let live = self.live(number)?;
        Some(live.connection.info(now).to_vec())
    }

    /// Keeps a connection. None where there is one of the same names, or there are too many.
    pub(super) fn keep(
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
            hung: false,
            defers: Duration::ZERO,
            lingers: Duration::from_secs(60),
            half: None,
            again: None,
            pushes: false,
            is_late: false,
            counted: Counted::default(),
        };
        let pair = Pair::new(flow.local, flow.remote);
        let number = self.links.insert(pair, Link::Live(Box::new(live)))?;
        self.aliases.insert(alias, number);
        self.touch(number);
        Some(number)
    }

    pub(super) fn live(&mut self, number: usize) -> Option<&mut Live> {
        match self.links.get_mut(number)? {
            Link::Live(live) => Some(live),
            Link::Wait(_) => None,
        }
    }

    /// Is there a connection with these names, and be it in TIME_WAIT?
    pub fn has(&self, flow: &Flow) -> bool {
        let pair = Pair::new(flow.local, flow.remote);
        self.links.find(&pair).is_some()
    }

    /// Remembers that something has happened to a connection.
    pub(super) fn touch(&mut self, number: usize) {
        let Some(live) = self.live(number) else {
            return;
        };
        if !std::mem::replace(&mut live.is_dirty, true) {
            self.dirty.push(number);
        }
    }

    /// Wakes the thread that waits for the time if it sleeps too long.
    pub(super) fn wake_before(&self) {
        if let (Some(legs), Some(next)) = (&self.legs, self.links.next_time()) {
            legs.wake_before(self.began + next);
        }
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

    /// Ends that thread, and breaks off the connections that run: the host process ends, or the net
    /// does, and an end would look as if all had come.
    pub fn end(&mut self) {
        let numbers: Vec<usize> = self.aliases.values().copied().collect();
        for number in numbers {
            if let Some(Stage::Running(leg)) = self.live(number).map(|live| &mut live.stage) {
                leg.break_off();
            }
        }
        if let Some(legs) = &self.legs {
            legs.end();
        }
    }

    /// Ends a connection; what has to remain for a minute remains.
    pub(super) fn drop_link(&mut self, sockets: &mut Sockets, number: usize, now: Duration) {
        let pair = self.links.pair(number);
        let Some(Link::Live(live)) = self.links.remove(number) else {
            return;
        };
        if self.aliases.get(&live.alias) == Some(&number) {
            self.aliases.remove(&live.alias);
        }
        if let Some(legs) = &self.legs {
            legs.doors.close(live.alias);
        }
        sockets.end_flow(live.alias);
        log::debug!("{:?} is over", live.connection);
        if let (Some(wait), Some(pair)) = (live.connection.wait(now), pair) {
            let until = wait.until();
            if let Some(number) = self.links.insert(pair, Link::Wait(wait)) {
                self.links.schedule(number, Some(until));
            }
        }
        self.gone.push(*live);
    }

    /// Takes out the connections that are over. Their legs are closed when they are dropped, which
    /// takes a while: others should have the lock by then.
    pub fn take_gone(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtun_stack::sockets::Protocol;

    #[test]
    fn all_connections_between_two_hosts_have_one_clock() {
        let flow = |local: &str, remote: &str| Flow {
            protocol: Protocol::Tcp,
            local: local.parse().expect("a name"),
            remote: remote.parse().expect("a name"),
            ifindex: 0,
            mss: 0,
            error: 0,
        };
        let any = Ipv4Addr::UNSPECIFIED.into();
        let way = Way::on_link(1, any, any);
        let mut tcp = Tcp::default();
        let mut of = |local: &str, remote: &str| {
            let (net, manner) = (view::Settings::default(), Manner::default());
            tcp.settings(&flow(local, remote), &net, &way, &manner)
        };
        let one = of("10.9.0.1:5000", "10.9.0.2:80");
        let other = of("10.9.0.1:5000", "10.9.0.2:80");
        assert_eq!(one.clock, other.clock);
        assert_ne!(one.seed, other.seed);
        assert_eq!(one.clock, of("10.9.0.1:5001", "10.9.0.2:81").clock);
        assert_ne!(one.clock, of("10.9.0.1:5000", "10.9.0.3:80").clock);
    }
}
