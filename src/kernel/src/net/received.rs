//! Ports whose datagrams drivers receive, which counts as a socket: whoever sends to one is not
//! told that nobody listens.
#![forbid(unsafe_code)]

use super::NetDir;
use crate::sys;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// A port that this process receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    at: usize,
    word: u64,
}

impl NetDir {
    /// Says that this process receives the datagrams to a port, until [`NetDir::stop_receiving`].
    /// None says that too many do; that one does not count then.
    pub fn start_receiving(&self, port: u16) -> Option<Received> {
        let word = (sys::getpid() as u64) << 32 | u64::from(port) << 1 | 1;
        let free = |word: u64| word == 0 || !sys::process_exists((word >> 32) as i32);
        self.received.iter().enumerate().find_map(|(at, place)| {
            let before = place.load(Relaxed);
            let taken = free(before)
                && place
                    .compare_exchange(before, word, AcqRel, Relaxed)
                    .is_ok();
            taken.then_some(Received { at, word })
        })
    }

    /// Says that this process receives a port no more. The child of a fork(2) says nothing for its
    /// parent.
    pub fn stop_receiving(&self, received: Received) {
        let Received { at, word } = received;
        if (word >> 32) as i32 == sys::getpid() {
            if let Some(place) = self.received.get(at) {
                let _ = place.compare_exchange(word, 0, AcqRel, Relaxed);
            }
        }
    }

    /// Does a driver that lives receive this port?
    pub fn is_received(&self, port: u16) -> bool {
        let words = self.received.iter().map(|place| place.load(Acquire));
        let mut of_port = words.filter(|word| word & 1 == 1 && (word >> 1) as u16 == port);
        of_port.any(|word| sys::process_exists((word >> 32) as i32))
    }
}
