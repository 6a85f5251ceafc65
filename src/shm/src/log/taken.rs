//! How far a log is taken by those of whom each is to go on where the one before was killed.
#![forbid(unsafe_code)]

use super::{Cursor, Log, Position};
use crate::sync::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The position of the next packet that nobody has taken, in shared memory. Of two who read at the
/// same time each packet is taken by one.
#[repr(C)]
#[derive(Default)]
pub struct Taken {
    /// The complement of the position, so that 0 says that nobody takes anything: no log leads to
    /// the largest position.
    word: AtomicU64,
}

impl Taken {
    /// Says that everything is to be taken from the cursor on.
    pub fn begin(&self, cursor: &Cursor) {
        self.word.store(!cursor.at.0, Release);
    }

    /// Says that nothing is to be taken any more.
    pub fn end(&self) {
        self.word.store(0, Release);
    }

    /// Returns a cursor behind what was taken, which reads what the program wrote. None where
    /// nothing is to be taken.
    pub fn cursor(&self) -> Option<Cursor> {
        let word = self.word.load(Acquire);
        (word != 0).then_some(Cursor {
            at: Position(!word),
            everything: false,
            expected: None,
        })
    }

    /// Takes the packet of the log behind which the cursor stands. Returns whether it is the
    /// caller's: somebody else may have it. Whoever is killed after this loses that one packet.
    pub fn take(&self, log: &Log, cursor: &Cursor) -> bool {
        let before = self.word.fetch_update(AcqRel, Relaxed, |word| {
            let next = Position(!word).number();
            // A position that is yet to come is damaged, and must not end it for ever.
            let is_next = next < cursor.number() || next > log.next().number();
            (word != 0 && is_next).then_some(!cursor.at.0)
        });
        before.is_ok()
    }
}
