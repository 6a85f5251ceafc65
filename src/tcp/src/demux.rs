//! Which connection a packet belongs to, and whose turn it is.
#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::Segment;

/// The two ends of a connection, as this side sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Our end.
    pub local: SocketAddr,
    /// The other one.
    pub remote: SocketAddr,
}

impl Pair {
    /// The ends of a segment that came in.
    pub fn of(segment: &Segment<'_>) -> Pair {
        Pair {
            local: plain(segment.destination),
            remote: plain(segment.source),
        }
    }

    /// The ends of a connection. Scopes and flow labels distinguish none.
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Pair {
        Pair {
            local: plain(local),
            remote: plain(remote),
        }
    }
}

fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// Values by pair, by number and by time. A number is not used again as long as its value is
/// there; each operation costs the same with ten thousand others beside it, or the logarithm.
#[derive(Debug)]
pub struct Demux<T> {
    slots: Vec<Option<Slot<T>>>,
    free: Vec<usize>,
    pairs: HashMap<Pair, usize>,
    times: BTreeSet<(Duration, usize)>,
}

#[derive(Debug)]
struct Slot<T> {
    pair: Pair,
    time: Option<Duration>,
    value: T,
}

impl<T> Default for Demux<T> {
    fn default() -> Demux<T> {
        Demux {
            slots: Vec::new(),
            free: Vec::new(),
            pairs: HashMap::new(),
            times: BTreeSet::new(),
        }
    }
}

impl<T> Demux<T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Adds one, whose pair nobody has yet. Returns its number.
    pub fn insert(&mut self, pair: Pair, value: T) -> Option<usize> {
        if self.pairs.contains_key(&pair) {
            return None;
        }
        let slot = Some(Slot {
            pair,
            time: None,
            value,
        });
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.pairs.insert(pair, number);
        Some(number)
    }

    /// The number of a pair's value.
    pub fn find(&self, pair: &Pair) -> Option<usize> {
        self.pairs.get(pair).copied()
    }

    /// A value.
    pub fn get(&self, number: usize) -> Option<&T> {
        Some(&self.slots.get(number)?.as_ref()?.value)
    }

    /// A value, to be changed.
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        Some(&mut self.slots.get_mut(number)?.as_mut()?.value)
    }

    /// The pair of a value.
    pub fn pair(&self, number: usize) -> Option<Pair> {
        Some(self.slots.get(number)?.as_ref()?.pair)
    }

    /// Takes one out.
    pub fn remove(&mut self, number: usize) -> Option<T> {
        let slot = self.slots.get_mut(number)?.take()?;
        self.pairs.remove(&slot.pair);
        if let Some(time) = slot.time {
            self.times.remove(&(time, number));
        }
        self.free.push(number);
        Some(slot.value)
    }

    /// When its turn comes; none: when something happens.
    pub fn schedule(&mut self, number: usize, time: Option<Duration>) {
        let Some(slot) = self.slots.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        if slot.time == time {
            return;
        }
        if let Some(old) = slot.time {
            self.times.remove(&(old, number));
        }
        slot.time = time;
        if let Some(time) = time {
            self.times.insert((time, number));
        }
    }

    /// When the next turn comes.
    pub fn next_time(&self) -> Option<Duration> {
        self.times.first().map(|&(time, _)| time)
    }

    /// One whose time has come. Its time is taken from it.
    pub fn due(&mut self, now: Duration) -> Option<usize> {
        let &(time, number) = self.times.first()?;
        if time > now {
            return None;
        }
        self.schedule(number, None);
        Some(number)
    }

    /// All numbers in use, in order.
    pub fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.slots.len()).filter(|&number| self.slots[number].is_some())
    }
}
