//! Connections that are not open yet. A flood of SYNs makes many of them, and nobody behind them.
//!
//! The newest ones are connections, which repeat their answer. Of older ones there is only what the
//! SYN said, and where the answer's number came from: whoever answers that has a connection again.
//! It is what a kernel has of the cookie that it sends when there are too many.
#![forbid(unsafe_code)]

use memtun_tcp::Pair;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// So many are connections.
const WHOLE: usize = 1024;
/// Of so many more the SYN is remembered.
const MOST: usize = 32 * 1024;
/// For so long: no answer to an answer takes longer.
const LIFE: Duration = Duration::from_secs(64);
/// A SYN that is longer than any of a kernel's is not remembered.
const LONGEST: usize = 128;

/// A SYN and its answer.
pub(super) struct Half {
    pub pair: Pair,
    /// The SYN, as a whole packet.
    pub syn: Box<[u8]>,
    pub ifindex: u32,
    /// Where the numbers of the answer come from.
    pub seed: u64,
    pub came: Duration,
    /// The connection.
    pub number: usize,
    pub serial: u32,
}

/// All of them.
#[derive(Default)]
pub(super) struct Halves {
    /// Those that are connections, or have been.
    whole: VecDeque<Half>,
    rest: HashMap<Pair, Half>,
    /// Those of the rest, the oldest first, and others that are none any more.
    order: VecDeque<(Pair, u32, Duration)>,
}

impl Halves {
    /// Adds a connection. Returns another one that is to be given up if it is still not open, and
    /// then to be [remembered](Halves::remember).
    pub fn add(&mut self, half: Half) -> Option<Half> {
        self.whole.push_back(half);
        match self.whole.len() > WHOLE {
            true => self.whole.pop_front(),
            false => None,
        }
    }

    /// Remembers one that is no connection any more.
    pub fn remember(&mut self, half: Half, now: Duration) {
        if half.syn.len() > LONGEST {
            return;
        }
        self.order.push_back((half.pair, half.serial, half.came));
        self.rest.insert(half.pair, half);
        while let Some(&(pair, serial, came)) = self.order.front() {
            if self.order.len() <= MOST && now.saturating_sub(came) < LIFE {
                break;
            }
            self.order.pop_front();
            if self
                .rest
                .get(&pair)
                .is_some_and(|half| half.serial == serial)
            {
                self.rest.remove(&pair);
            }
        }
    }

    /// Takes out what is remembered of two ends.
    pub fn take(&mut self, pair: &Pair, now: Duration) -> Option<Half> {
        let half = self.rest.remove(pair)?;
        (now.saturating_sub(half.came) < LIFE).then_some(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(number: usize) -> Half {
        let end = |port| ([10, 9, (number >> 16) as u8, 2], port).into();
        Half {
            pair: Pair::new(end(80), end(number as u16)),
            syn: [0; 60].into(),
            ifindex: 1,
            seed: number as u64,
            came: Duration::ZERO,
            number,
            serial: number as u32,
        }
    }

    #[test]
    fn however_many_come_there_is_a_bound_and_the_newest_are_known() {
        let mut halves = Halves::default();
        let all = 100_000;
        for number in 0..all {
            if let Some(old) = halves.add(half(number)) {
                assert_eq!(old.number + WHOLE, number);
                halves.remember(old, Duration::ZERO);
            }
            assert!(halves.whole.len() <= WHOLE && halves.rest.len() <= MOST);
            assert!(halves.order.len() <= MOST);
        }
        let newest = all - WHOLE - 1;
        let soon = Duration::from_secs(1);
        for number in [newest, newest + 1 - MOST] {
            let found = halves.take(&half(number).pair, soon);
            assert_eq!(found.map(|found| found.seed), Some(number as u64));
        }
        assert!(halves.take(&half(newest - MOST).pair, soon).is_none());
        assert!(halves.take(&half(newest - 1).pair, LIFE).is_none());
    }
}
