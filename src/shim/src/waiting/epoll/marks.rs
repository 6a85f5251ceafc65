//! Marks on places, which are found without a look at each place, and are taken away only where
//! nothing has happened since they were looked at.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// Number of marks in a word. Its other half counts how often marks were set in it, so that whoever
/// has looked takes no mark away that was set again since.
const EACH: usize = 32;
const FLAGS: u64 = u32::MAX as u64;

/// The greatest number of registrations that are kept.
pub const PLACES: usize = 1 << 14;
const WORDS: usize = PLACES / EACH;

/// A mark for each place. Zeroes are no marks.
pub struct Marks {
    words: [AtomicU64; WORDS],
    /// A mark for each word that may have one.
    above: [AtomicU64; WORDS.div_ceil(EACH)],
}

/// Sets marks in a word.
fn raise(word: &AtomicU64, flags: u64) {
    let with = |word: u64| Some(word.wrapping_add(FLAGS + 1) | flags);
    let _ = word.fetch_update(AcqRel, Acquire, with);
}

/// The numbers of the marks in a word.
fn flags(word: u64) -> impl Iterator<Item = usize> {
    let mut left = word as u32;
    std::iter::from_fn(move || {
        let flag = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        (flag < EACH).then_some(flag)
    })
}

/// Calls `keeps` with the number of each mark in a word, and takes away those for which it returns
/// false, unless a mark was set in the word meanwhile. Returns whether none is left.
fn sift(word: &AtomicU64, mut keeps: impl FnMut(usize) -> bool) -> bool {
    let before = word.load(Acquire);
    let mut left = before;
    for flag in flags(before) {
        if !keeps(flag) {
            left &= !(1 << flag);
        }
    }
    if left == before {
        return left & FLAGS == 0;
    }
    let is_taken = word.compare_exchange(before, left, AcqRel, Acquire).is_ok();
    is_taken && left & FLAGS == 0
}

impl Marks {
    pub fn set(&self, place: usize) {
        let at = place / EACH;
        raise(&self.words[at], 1 << (place % EACH));
        raise(&self.above[at / EACH], 1 << (at % EACH));
    }

    /// Sets the marks of the places below this one.
    pub fn set_below(&self, end: usize) {
        for at in 0..end.div_ceil(EACH) {
            raise(&self.words[at], FLAGS);
            raise(&self.above[at / EACH], 1 << (at % EACH));
        }
    }

    /// Calls `keeps` with each place that has a mark, and takes the mark away where it returns
    /// false, unless it was set again meanwhile.
    pub fn sift(&self, mut keeps: impl FnMut(usize) -> bool) {
        for (upper, word) in self.above.iter().enumerate() {
            sift(word, |lower| {
                let at = upper * EACH + lower;
                !sift(&self.words[at], |flag| keeps(at * EACH + flag))
            });
        }
    }

    /// Is there no mark among the places below this one?
    #[inline]
    pub fn is_none_below(&self, end: usize) -> bool {
        let words = self.above.iter().take(end.div_ceil(EACH * EACH));
        words.fold(0, |all, word| all | word.load(Acquire)) & FLAGS == 0
    }

    /// The places that have a mark, lowest first.
    pub fn each(&self) -> impl Iterator<Item = usize> + '_ {
        let words = self.above.iter().enumerate();
        let words = words
            .flat_map(|(at, word)| flags(word.load(Acquire)).map(move |flag| at * EACH + flag));
        words.flat_map(|at| flags(self.words[at].load(Acquire)).map(move |flag| at * EACH + flag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Box<Marks> {
        Box::new(Marks {
            words: [const { AtomicU64::new(0) }; WORDS],
            above: [const { AtomicU64::new(0) }; WORDS.div_ceil(EACH)],
        })
    }

    #[test]
    fn marks_are_found_and_taken_away() {
        let marks = none();
        for place in [0, 31, 32, 1023, 1024, PLACES - 1] {
            marks.set(place);
        }
        let all = || marks.each().collect::<Vec<_>>();
        assert_eq!(all(), [0, 31, 32, 1023, 1024, PLACES - 1]);
        marks.sift(|place| place == 1023);
        assert_eq!(all(), [1023]);
        marks.sift(|_| false);
        assert_eq!(all(), [0usize; 0]);
        assert!(marks
            .above
            .iter()
            .all(|word| word.load(Acquire) & FLAGS == 0));
        assert!(marks.is_none_below(PLACES));
        marks.set_below(40);
        assert!(!marks.is_none_below(1));
        assert!(all().len() >= 40);
    }

    #[test]
    fn a_mark_that_is_set_during_the_look_stays() {
        let marks = none();
        marks.set(7);
        marks.sift(|place| {
            marks.set(place);
            false
        });
        assert_eq!(marks.each().collect::<Vec<_>>(), [7]);
        marks.sift(|_| {
            marks.set(9);
            false
        });
        marks.sift(|_| true);
        assert_eq!(marks.each().collect::<Vec<_>>(), [7, 9]);
    }
}
