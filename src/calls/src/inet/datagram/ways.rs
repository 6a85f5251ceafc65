//! What was found out about sending from a socket to a name, kept for the next datagram.
#![forbid(unsafe_code)]

use memtun_shm::Shelf;
use memtun_stack::sockets::question::SocketAnswer;
use memtun_sys as sys;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What a way is known for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct From {
    /// SO_COOKIE of the socket.
    pub cookie: u64,
    /// Where the datagram goes.
    pub to: SocketAddr,
    /// The source address that the program asks for with the datagram.
    pub source: Option<IpAddr>,
    /// The interface that it asks for.
    pub out: u32,
}

impl From {
    fn key(&self) -> u64 {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(MULTIPLIER).rotate_left(29);
        let of = |address: IpAddr| match address {
            IpAddr::V4(v4) => u64::from(u32::from(v4)),
            IpAddr::V6(v6) => {
                let number = u128::from(v6);
                number as u64 ^ (number >> 64) as u64
            }
        };
        let words = [
            of(self.to.ip()),
            u64::from(self.to.port()) << 32 | u64::from(self.out),
            self.source.map_or(0, of),
        ];
        words.into_iter().fold(mix(0, self.cookie), mix) | 1
    }
}

/// May a packet be taken to pieces on its way?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pieces {
    /// By the sender alone: what fits says that it must not be (IP_PMTUDISC_WANT).
    BySender,
    /// By everybody (IP_PMTUDISC_DONT).
    ByAll,
    /// By nobody, and what is longer than the way's MTU is refused (IP_PMTUDISC_DO).
    ByNobody,
    /// By nobody, and the interface's MTU counts (IP_PMTUDISC_PROBE).
    Probe,
}

/// A way, with what the socket's options say of the packets on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    /// What it is known for.
    pub from: From,
    /// The way.
    pub answer: SocketAnswer,
    /// Port of the socket.
    pub port: u16,
    /// Type of service or traffic class.
    pub class: u8,
    /// Hop limit.
    pub hops: u8,
    /// May the packets be taken to pieces?
    pub pieces: Pieces,
    /// SO_BROADCAST.
    pub may_broadcast: bool,
    /// UDP_SEGMENT: bytes of a datagram, 0 for one datagram.
    pub segment: u16,
    /// UDP_CORK: what is sent is a part of a datagram.
    pub corked: bool,
    /// SO_NO_CHECK or UDP_NO_CHECK6_TX: its packets have no checksum of UDP.
    pub unchecked: bool,
    /// Has the program set options of IPv4 (IP_OPTIONS)?
    pub has_ip_options: bool,
    /// SO_SNDBUF, as the kernel counts.
    pub buffer: u32,
    /// Is the socket connected? Its packets are numbered then.
    pub connected: bool,
    /// For what state of the net it counts.
    pub generation: u32,
    /// For what state of the socket's options, see [`Ways::forget_options`].
    pub options: u32,
}

/// The ways that a process keeps.
pub struct Ways {
    kept: Shelf<Way, 64>,
    options: AtomicU32,
    /// Cookies of sockets that have sent a part of a datagram with MSG_MORE.
    begun: [AtomicU64; 8],
    /// Cookies of sockets that send no more (shutdown(2)).
    shut: [AtomicU64; 8],
    /// Number of sockets that were shut down.
    shuts: AtomicU32,
    /// The number that the next packet gets, 0 before the first.
    numbers: AtomicU32,
}

impl Ways {
    /// Returns a value that keeps none yet.
    #[allow(clippy::new_without_default, reason = "it is made for a static")]
    pub const fn new() -> Ways {
        Ways {
            kept: Shelf::new(),
            options: AtomicU32::new(0),
            begun: [const { AtomicU64::new(0) }; 8],
            shut: [const { AtomicU64::new(0) }; 8],
            shuts: AtomicU32::new(0),
            numbers: AtomicU32::new(0),
        }
    }

    /// Called when an option of a socket was set, or a socket got a name.
    #[inline]
    pub fn forget_options(&self) {
        self.options.fetch_add(1, Relaxed);
    }

    /// Notes whether the socket has begun a datagram, and returns whether it had before.
    pub fn begin(&self, cookie: u64, begins: bool) -> bool {
        let is_it = |place: &&AtomicU64| place.load(Relaxed) == cookie;
        let place = self.begun.iter().find(is_it);
        match (place, begins) {
            (Some(place), false) => place.store(0, Relaxed),
            (None, true) => {
                let free = |place: &&AtomicU64| {
                    let taken = place.compare_exchange(0, cookie, Relaxed, Relaxed);
                    taken.is_ok()
                };
                // Where there is no room, the parts become datagrams of their own.
                let _ = self.begun.iter().find(free);
            }
            _ => {}
        }
        place.is_some()
    }

    /// Returns a number for a packet that may be taken to pieces, or has one for another reason.
    /// The first one is not to be foreseen.
    pub fn number(&self) -> u32 {
        match self.numbers.fetch_add(1, Relaxed) {
            0 => {
                let first = sys::random() as u32 | 1;
                self.numbers.store(first.wrapping_add(1), Relaxed);
                first
            }
            number => number,
        }
    }

    /// Notes that the socket sends no more.
    pub fn shut_down(&self, cookie: u64) {
        let at = self.shuts.fetch_add(1, Relaxed) as usize;
        self.shut[at % self.shut.len()].store(cookie, Relaxed);
    }

    /// Was the socket shut down, as far as it is remembered?
    pub fn is_shut(&self, cookie: u64) -> bool {
        self.shuts.load(Relaxed) != 0 && self.shut.iter().any(|shut| shut.load(Relaxed) == cookie)
    }

    /// Returns the state of the options now.
    pub fn options(&self) -> u32 {
        self.options.load(Relaxed)
    }

    /// Returns a way that is still right.
    pub fn find(&self, from: &From, generation: u32) -> Option<Way> {
        let way = *self.kept.find(from.key())?;
        let is_right = way.from == *from
            && way.generation == generation
            && way.options == self.options.load(Relaxed);
        is_right.then_some(way)
    }

    /// Keeps a way.
    pub fn keep(&self, way: Way) {
        let key = way.from.key();
        self.kept.forget(key);
        let _ = self.kept.put(key, way);
    }
}
