//! Connections of which the program waits to be told.
#![forbid(unsafe_code)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The sockets of TCP whose connect(2) has returned before the connection was there. The call that
/// comes after its end tells that, and begins no other one.
pub struct Pending([AtomicU64; 16]);

impl Pending {
    /// Returns a value without sockets.
    #[allow(clippy::new_without_default, reason = "it is made for a static")]
    pub const fn new() -> Pending {
        Pending([const { AtomicU64::new(0) }; 16])
    }

    pub(super) fn note(&self, cookie: u64) {
        let taken = |place: &&AtomicU64, old| {
            place
                .compare_exchange(old, cookie, Relaxed, Relaxed)
                .is_ok()
        };
        let mut places = self.0.iter();
        if !self.has(cookie) && !places.any(|place| taken(&place, 0)) {
            // One of those that nobody has asked about for long.
            self.0[cookie as usize % self.0.len()].store(cookie, Relaxed);
        }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|place| place.load(Relaxed) == 0)
    }

    /// Is a socket among them?
    pub fn has(&self, cookie: u64) -> bool {
        self.0.iter().any(|place| place.load(Relaxed) == cookie)
    }

    /// Takes a socket out. Returns whether it was there.
    pub fn take(&self, cookie: u64) -> bool {
        let mut places = self.0.iter();
        places.any(|place| place.compare_exchange(cookie, 0, Relaxed, Relaxed).is_ok())
    }
}
