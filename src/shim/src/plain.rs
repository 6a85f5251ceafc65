//! One word that says whether a packet that lies there may be read at once. It is looked at in
//! every read from a tunnel, which would look at each of these things otherwise.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A bad pointer would not end in the library's handler yet.
pub const UNGUARDED: u32 = 1;
/// The process ends.
pub const LEAVING: u32 = 2;
/// A thread of the process has wanted to be cancelled at any moment.
pub const CANCELS: u32 = 4;

static WORD: AtomicU32 = AtomicU32::new(UNGUARDED);

/// Is nothing of all that so?
#[inline(always)]
pub fn is() -> bool {
    WORD.load(Relaxed) == 0
}

/// Notes that this is so.
pub fn note(bit: u32) {
    WORD.fetch_or(bit, SeqCst);
}

/// Notes that this is so no more.
pub fn clear(bit: u32) {
    WORD.fetch_and(!bit, SeqCst);
}
