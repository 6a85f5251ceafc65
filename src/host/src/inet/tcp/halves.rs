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
    /// The cookie of the socket that listens.
    pub listener: u64,
}

/// Lists of each listener, the oldest first in each, of which there are only so many together. The
/// longest list makes room, so that a flood at one listener takes nothing from another.
struct Shares<T> {
    of: HashMap<u64, VecDeque<T>>,
    count: usize,
}

impl<T> Default for Shares<T> {
    fn default() -> Self {
        Shares {
            of: HashMap::new(),
            count: 0,
        }
    }
}

impl<T> Shares<T> {
    fn push(&mut self, listener: u64, it: T) {
        self.of.entry(listener).or_default().push_back(it);
        self.count += 1;
    }

    /// Takes the oldest one of a listener.
    fn pop(&mut self, listener: u64) -> Option<T> {
        let list = self.of.get_mut(&listener)?;
        let oldest = list.pop_front()?;
        if list.is_empty() {
            self.of.remove(&listener);
        }
        self.count -= 1;
        Some(oldest)
    }

    /// Returns the listener with the longest list, one of which was given just now.
    fn longest(&self, last: u64) -> Option<u64> {
        let list = self.of.get(&last).map_or(0, VecDeque::len);
        if list * 2 > self.count {
            return Some(last);
        }
        let longest = self.of.iter().max_by_key(|(_, list)| list.len())?;
        Some(*longest.0)
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Halves {
    /// Those that are connections, or have been.
    whole: Shares<Half>,
    rest: HashMap<Pair, Half>,
    /// Those of the rest, and others that are none any more.
    order: Shares<(Pair, u32, Duration)>,
}

impl Halves {
    /// Adds a connection. Returns another one that is to be given up if it is still not open, and
    /// then to be [remembered](Halves::remember).
    ///
    /// A listener has at most as many as its backlog says.
    pub fn add(&mut self, half: Half, most: usize) -> Option<Half> {
        let listener = half.listener;
        self.whole.push(listener, half);
        let own = self.whole.of.get(&listener).map_or(0, VecDeque::len);
        let from = match (own > most, self.whole.count > WHOLE) {
            (true, _) => Some(listener),
            (false, true) => self.whole.longest(listener),
            (false, false) => None,
        };
        from.and_then(|from| self.whole.pop(from))
    }

    /// Remembers one that is no connection any more.
    pub fn remember(&mut self, half: Half, now: Duration) {
        if half.syn.len() > LONGEST {
            return;
        }
        let listener = half.listener;
        let known = (half.pair, half.serial, half.came);
        self.order.push(listener, known);
        self.rest.insert(half.pair, half);
        let is_old = |known: &(Pair, u32, Duration)| now.saturating_sub(known.2) >= LIFE;
        loop {
            let own = self.order.of.get(&listener).and_then(VecDeque::front);
            let from = match self.order.count > MOST {
                true => self.order.longest(listener),
                false => own.is_some_and(is_old).then_some(listener),
            };
            let Some((pair, serial, _)) = from.and_then(|from| self.order.pop(from)) else {
                break;
            };
            let known = self.rest.get(&pair);
            if known.is_some_and(|half| half.serial == serial) {
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
            listener: 0,
        }
    }

    #[test]
    fn however_many_come_there_is_a_bound_and_the_newest_are_known() {
        let mut halves = Halves::default();
        let all = 100_000;
        for number in 0..all {
            if let Some(old) = halves.add(half(number), usize::MAX) {
                assert_eq!(old.number + WHOLE, number);
                halves.remember(old, Duration::ZERO);
            }
            assert!(halves.whole.count <= WHOLE && halves.rest.len() <= MOST);
            assert!(halves.order.count <= MOST);
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

    #[test]
    fn a_listener_has_as_many_as_its_backlog_says() {
        let mut halves = Halves::default();
        let other = Half {
            listener: 1,
            ..half(1_000_000)
        };
        assert!(halves.add(other, 3).is_none());
        for number in 0..3 {
            assert!(halves.add(half(number), 3).is_none());
        }
        let old = halves.add(half(3), 3).expect("one too many");
        assert_eq!((old.listener, old.number), (0, 0));
        let old = halves.add(half(4), 3).expect("one too many");
        assert_eq!((old.listener, old.number), (0, 1));
        assert_eq!(halves.whole.of[&1].len(), 1);
    }

    #[test]
    fn a_flood_at_one_listener_takes_nothing_from_another() {
        let mut halves = Halves::default();
        let quiet = |number| Half {
            listener: 1,
            ..half(number)
        };
        let (answered, waiting) = (1_000_000, 1_000_001);
        halves.remember(quiet(answered), Duration::ZERO);
        assert!(halves.add(quiet(waiting), usize::MAX).is_none());
        for number in 0..100_000 {
            if let Some(old) = halves.add(half(number), usize::MAX) {
                assert_eq!(old.listener, 0);
                halves.remember(old, Duration::ZERO);
            }
        }
        assert!(halves.take(&half(answered).pair, LIFE / 2).is_some());
        assert!(halves.whole.of[&1][0].number == waiting);
    }
}
