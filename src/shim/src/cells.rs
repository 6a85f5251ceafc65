//! Finds the place of something by its key, without a lock and without a look at each place: a
//! signal handler may have interrupted whoever enters or removes something.
//!
//! A cell says how many places were entered for the keys that fall into it, and the sum of their
//! numbers. So where there is one the sum is its number, whatever came and went before. Each key
//! falls into two cells; only where both have others, all places are to be looked at.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// Number of cells.
const CELLS: usize = 1 << 14;

/// The cells of one kind of key.
pub struct Cells([Cell; CELLS]);

/// One cell. Zeroes are an empty one.
pub struct Cell(AtomicU64);

/// Where something may be that has a key.
#[derive(Debug, PartialEq)]
pub enum Places {
    Nowhere,
    /// In this place or, if what stands there has another key, nowhere.
    At(usize),
    Anywhere,
}

/// What one place adds to a cell: the sum is in the upper half, where it may overflow.
fn one(place: usize) -> u64 {
    (place as u64) << 32 | 1
}

impl Cell {
    pub fn enter(&self, place: usize) {
        self.0.fetch_add(one(place), AcqRel);
    }

    /// Takes out what was entered. It must be called once for each time that it was.
    pub fn remove(&self, place: usize) {
        self.0.fetch_sub(one(place), AcqRel);
    }

    /// Says where something may be whose key falls into this cell.
    #[inline]
    pub fn find(&self) -> Places {
        let word = self.0.load(Acquire);
        match word as u32 {
            0 => Places::Nowhere,
            1 => Places::At((word >> 32) as usize),
            _ => Places::Anywhere,
        }
    }
}

impl Cells {
    #[cfg(test)]
    const fn new() -> Cells {
        Cells([const { Cell(AtomicU64::new(0)) }; CELLS])
    }

    /// The cells of a key. Keys that follow each other at a distance, as descriptors, inodes and
    /// pointers do, hardly ever share the first one.
    #[inline]
    fn of(&self, key: u64) -> [&Cell; 2] {
        let at = |mixed: u64| &self.0[(mixed >> 50) as usize];
        [
            at(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            at((key ^ key >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)),
        ]
    }

    /// Enters a place for a key.
    pub fn enter(&self, key: u64, place: usize) {
        for cell in self.of(key) {
            cell.enter(place);
        }
    }

    /// Takes out what was entered. It must be called once for each time that it was.
    pub fn remove(&self, key: u64, place: usize) {
        for cell in self.of(key) {
            cell.remove(place);
        }
    }

    /// Says where something with this key may be. What enters or leaves meanwhile may be missed.
    #[inline]
    pub fn find(&self, key: u64) -> Places {
        let [first, second] = self.of(key);
        match first.find() {
            Places::Anywhere => second.find(),
            found => found,
        }
    }
}

/// The key under which a place is entered, or 0 for none. Whoever takes a key out of here removes
/// it, so that each is removed once.
pub struct Entered(AtomicU64);

impl Entered {
    #[cfg(test)]
    const fn nothing() -> Entered {
        Entered(AtomicU64::new(0))
    }

    /// The key under which the place is entered, or 0.
    #[inline]
    pub fn key(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Enters the place for another key; 0 enters it for none.
    pub fn change(&self, cells: &Cells, key: u64, place: usize) {
        if key != 0 {
            cells.enter(key, place);
        }
        let old = self.0.swap(key, AcqRel);
        if old != 0 {
            cells.remove(old, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_by_its_key_whatever_came_and_went() {
        let cells = Cells::new();
        let entered: Vec<Entered> = (0..1000).map(|_| Entered::nothing()).collect();
        let key = |n: usize| 5000 + 4 * n as u64;
        for (place, entered) in entered.iter().enumerate() {
            entered.change(&cells, key(place + 7), place);
            entered.change(&cells, key(place), place);
        }
        let found = (0..1000).filter(|n| cells.find(key(*n)) == Places::At(*n));
        assert!(found.count() > 990);
        assert!((0..1000).all(|n| cells.find(key(n)) != Places::Nowhere));
        let more = (2000..4000).filter(|n| cells.find(key(*n)) == Places::Anywhere);
        assert!(more.count() < 20);
        for (place, entered) in entered.iter().enumerate() {
            entered.change(&cells, 0, place);
        }
        assert!((0..1000).all(|n| cells.find(key(n)) == Places::Nowhere));
        assert!(cells.0.iter().all(|cell| cell.0.load(Acquire) == 0));
    }

    #[test]
    fn of_two_with_one_key_neither_is_said_to_be_alone() {
        let cells = Cells::new();
        cells.enter(9, 3);
        cells.enter(9, 5);
        assert_eq!(cells.find(9), Places::Anywhere);
        cells.remove(9, 3);
        assert_eq!(cells.find(9), Places::At(5));
    }
}
