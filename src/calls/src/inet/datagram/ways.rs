//! What was found out about sending from a socket to a name, kept for the next datagram.
#![forbid(unsafe_code)]

use memtun_shm::Shelf;
use memtun_stack::sockets::question::SocketAnswer;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

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
}

impl Ways {
    /// Returns a value that keeps none yet.
    #[allow(clippy::new_without_default, reason = "it is made for a static")]
    pub const fn new() -> Ways {
        Ways {
            kept: Shelf::new(),
            options: AtomicU32::new(0),
        }
    }

    /// Called when an option of a socket was set, or a socket got a name.
    #[inline]
    pub fn forget_options(&self) {
        self.options.fetch_add(1, Relaxed);
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
