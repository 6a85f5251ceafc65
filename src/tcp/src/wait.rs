//! TIME_WAIT: what remains of a connection for a minute, so that what is still on its way meets
//! somebody who knows it.
#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::time::Duration;

use crate::segment::{before, build, Plain, ACK, FIN, RST, SYN};
use crate::stamps::Stamps;
use crate::{Emit, Segment};

/// TCP_TIMEWAIT_LEN.
pub const LENGTH: Duration = Duration::from_secs(60);
/// One answer in this time to segments that fit nowhere (tcp_invalid_ratelimit).
const PATIENCE: Duration = Duration::from_millis(500);

/// What becomes of it with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Stays,
    /// It is over: a RST came.
    Over,
    /// A SYN for a new connection came: it makes room, and the SYN is to be looked at again.
    Makes,
}

/// The rest of a connection.
#[derive(Debug, Clone)]
pub struct Wait {
    local: SocketAddr,
    remote: SocketAddr,
    next: u32,
    expected: u32,
    window: u16,
    stamps: Stamps,
    until: Duration,
    answered: Option<Duration>,
}

impl Wait {
    pub(crate) fn new(
        (local, remote): (SocketAddr, SocketAddr),
        (next, expected): (u32, u32),
        window: u16,
        stamps: Stamps,
        now: Duration,
    ) -> Wait {
        Wait {
            local,
            remote,
            next,
            expected,
            window,
            stamps,
            until: now + LENGTH,
            answered: None,
        }
    }

    /// When it is over.
    pub fn until(&self) -> Duration {
        self.until
    }

    /// May a socket that was bound to this very port connect to the same place? The other end
    /// tells its segments from the old ones by their timestamps (tcp_twsk_unique).
    pub fn makes_room(&self) -> bool {
        self.stamps.agreed
    }

    /// A segment between its two ends came (tcp_timewait_state_process).
    pub fn segment(
        &mut self,
        segment: &Segment<'_>,
        now: Duration,
        emit: &mut Emit<'_>,
    ) -> Verdict {
        let fits = segment.sequence == self.expected;
        if segment.has(RST) {
            return if fits { Verdict::Over } else { Verdict::Stays };
        }
        let is_old = self.stamps.is_old(segment, now);
        let is_new = before(self.expected, segment.sequence) || self.stamps.is_newer(segment);
        if segment.has(SYN) && !segment.has(ACK) && is_new && !is_old {
            return Verdict::Makes;
        }
        if fits && segment.is_empty() && segment.has(ACK) {
            return Verdict::Stays;
        }
        // What was sent again, or never belonged here, is answered; the former starts the minute
        // anew.
        if segment.has(FIN) || !segment.payload.is_empty() {
            self.until = now + LENGTH;
        } else if self
            .answered
            .is_some_and(|at| now.saturating_sub(at) < PATIENCE)
        {
            return Verdict::Stays;
        }
        self.answered = Some(now);
        let mut packet = Vec::new();
        let mut options = Vec::new();
        self.stamps.option(now, &mut options);
        let plain = Plain {
            source: self.local,
            destination: self.remote,
            sequence: self.next,
            acknowledgement: self.expected,
            flags: ACK,
            window: self.window,
            options: &options,
        };
        build(&plain, &mut packet);
        emit(&packet);
        Verdict::Stays
    }
}
