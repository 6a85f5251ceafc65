//! What TCP_INFO says of a connection: `struct tcp_info` of linux/tcp.h.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The length of the struct.
pub const INFO: usize = 248;

/// Places in the struct: of bytes, then of words of four bytes, then of eight.
pub(crate) mod at {
    pub(crate) const STATE: usize = 0;
    pub(crate) const LOSS_STATE: usize = 1;
    pub(crate) const FIRED: usize = 2;
    pub(crate) const PROBES: usize = 3;
    pub(crate) const BACKOFF: usize = 4;
    pub(crate) const OPTIONS: usize = 5;
    pub(crate) const SCALES: usize = 6;
    pub(crate) const TIMEOUT: usize = 8;
    pub(crate) const SEGMENT: usize = 16;
    pub(crate) const THEIR_SEGMENT: usize = 20;
    pub(crate) const OUT: usize = 24;
    pub(crate) const SACKED: usize = 28;
    pub(crate) const LOST: usize = 32;
    pub(crate) const AGAIN: usize = 36;
    pub(crate) const SENT_AGO: usize = 44;
    pub(crate) const HEARD_DATA_AGO: usize = 52;
    pub(crate) const HEARD_AGO: usize = 56;
    pub(crate) const PATH: usize = 60;
    pub(crate) const TRIP: usize = 68;
    pub(crate) const DEVIATION: usize = 72;
    pub(crate) const THRESHOLD: usize = 76;
    pub(crate) const WINDOW: usize = 80;
    pub(crate) const OUR_SEGMENT: usize = 84;
    pub(crate) const REORDERING: usize = 88;
    pub(crate) const TOTAL_AGAIN: usize = 100;
    pub(crate) const ACKNOWLEDGED: usize = 120;
    pub(crate) const RECEIVED: usize = 128;
    pub(crate) const PACKETS_OUT: usize = 136;
    pub(crate) const PACKETS_IN: usize = 140;
    pub(crate) const NOT_SENT: usize = 144;
    pub(crate) const SHORTEST_TRIP: usize = 148;
    pub(crate) const BUSY: usize = 168;
    pub(crate) const LIMITED: usize = 176;
    pub(crate) const BYTES_SENT: usize = 200;
    pub(crate) const BYTES_AGAIN: usize = 208;
    pub(crate) const PEER_WINDOW: usize = 228;
    pub(crate) const OUR_WINDOW: usize = 232;
}

/// The struct while it is filled.
#[derive(Debug)]
pub(crate) struct Filled(pub(crate) [u8; INFO]);

impl Filled {
    pub(crate) fn byte(&mut self, at: usize, value: u32) {
        self.0[at] = u8::try_from(value).unwrap_or(u8::MAX);
    }

    pub(crate) fn word(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn long(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }

    pub(crate) fn micros(&mut self, at: usize, value: Duration) {
        self.word(at, u32::try_from(value.as_micros()).unwrap_or(u32::MAX));
    }

    /// Milliseconds since then.
    pub(crate) fn ago(&mut self, at: usize, then: Duration, now: Duration) {
        let passed = now.saturating_sub(then).as_millis();
        self.word(at, u32::try_from(passed).unwrap_or(u32::MAX));
    }
}
