//! What a program has set on a socket of TCP that its segments show.
#![forbid(unsafe_code)]

use memtun_stack::sockets::question::SocketQuestion;
use memtun_stack::sockets::tuning::{tune, Tuning};
use memtun_tcp::Offer;
use std::sync::OnceLock;
use std::time::Duration;

/// What was set, and what packets of IP have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Manner {
    tuning: Tuning,
    /// Type of service or traffic class.
    pub service: u8,
    /// Hop limit, 0 for that of the way.
    hops: u8,
}

/// The buffer of a socket of the machine on which nothing was set.
fn usual_buffer() -> u32 {
    static USUAL: OnceLock<u32> = OnceLock::new();
    *USUAL.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_rmem").unwrap_or_default();
        let second = text.split_whitespace().nth(1);
        second.and_then(|it| it.parse().ok()).unwrap_or(131_072)
    })
}

impl Manner {
    /// Reads a question.
    pub fn of(question: &SocketQuestion) -> Manner {
        Manner {
            tuning: question.tuning,
            service: question.tos,
            hops: question.hops,
        }
    }

    /// Returns the hop limit, where the way has this one.
    pub fn hops(&self, way: u8) -> u8 {
        match self.hops {
            0 => way.max(1),
            hops => hops,
        }
    }

    /// Returns the largest segment that the program wants, 0 for any.
    pub fn maximum(&self) -> u16 {
        u16::try_from(self.tuning.maximum).unwrap_or(u16::MAX)
    }

    /// Returns what a SYN offers, where sockets offer this.
    pub fn offer(&self, usual: Offer) -> Offer {
        match self.tuning.buffer {
            buffer if buffer == 0 || buffer == usual_buffer() => usual,
            buffer => usual.of_buffer(buffer, None),
        }
    }

    /// Is what is short sent at once (TCP_NODELAY)?
    pub fn no_delay(&self) -> bool {
        self.tuning.flags & tune::NO_DELAY != 0
    }

    /// Does what is written leave now, although it is held back?
    pub fn pushes(&self) -> bool {
        self.tuning.flags & tune::PUSHES != 0
    }

    /// Returns how long a connection is silent before the other end is asked, the time between two
    /// probes, and their number.
    pub fn keepalive(&self) -> Option<(Duration, Duration, u32)> {
        let tuning = &self.tuning;
        let seconds = |count: u32| Duration::from_secs(count.max(1).into());
        let keeps = tuning.flags & tune::KEEPALIVE != 0;
        keeps.then(|| {
            let times = (seconds(tuning.idle), seconds(tuning.interval));
            (times.0, times.1, tuning.count.max(1))
        })
    }

    /// Returns how long a connection without data is not given to the program (TCP_DEFER_ACCEPT).
    pub fn defers(&self) -> Duration {
        Duration::from_secs(self.tuning.defer.into())
    }

    /// Is a cookie asked for, to send data in a SYN (TCP_FASTOPEN_CONNECT, MSG_FASTOPEN)?
    pub fn asks_cookie(&self) -> bool {
        self.tuning.flags & tune::OPENS_EARLY != 0
    }

    /// Does it take data in a SYN (TCP_FASTOPEN)?
    pub fn opens_early(&self) -> bool {
        self.tuning.fast_open > 0
    }

    /// Returns how long the end of the other side is waited for when the program has closed its
    /// socket (TCP_LINGER2).
    pub fn lingers(&self) -> Duration {
        /// tcp_fin_timeout.
        const USUAL: u32 = 60;
        let seconds = match self.tuning.linger {
            0 => USUAL,
            seconds => seconds,
        };
        Duration::from_secs(seconds.into())
    }

    /// Returns how long data may stay without an answer (TCP_USER_TIMEOUT).
    pub fn patience(&self) -> Option<Duration> {
        let millis = self.tuning.user_timeout;
        (millis != 0).then(|| Duration::from_millis(millis.into()))
    }
}
