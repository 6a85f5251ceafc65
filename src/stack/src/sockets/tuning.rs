//! What a program has set on a socket of TCP that its segments show.
#![forbid(unsafe_code)]

/// Length in bytes of the values.
pub const TUNING: usize = 40;

/// Bits of [`Tuning::flags`].
pub mod tune {
    /// TCP_NODELAY.
    pub const NO_DELAY: u32 = 1;
    /// SO_KEEPALIVE.
    pub const KEEPALIVE: u32 = 2;
    /// TCP_FASTOPEN_CONNECT, or MSG_FASTOPEN.
    pub const OPENS_EARLY: u32 = 4;
    /// TCP_NODELAY was set now: what was written before leaves.
    pub const PUSHES: u32 = 8;
}

/// What a program has set on a socket of TCP, 0 where it has set nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tuning {
    /// Bits of [`tune`].
    pub flags: u32,
    /// TCP_MAXSEG, in bytes.
    pub maximum: u32,
    /// TCP_USER_TIMEOUT, in milliseconds.
    pub user_timeout: u32,
    /// TCP_KEEPIDLE, in seconds.
    pub idle: u32,
    /// TCP_KEEPINTVL, in seconds.
    pub interval: u32,
    /// TCP_KEEPCNT.
    pub count: u32,
    /// SO_RCVBUF as getsockopt(2) says it, set or not.
    pub buffer: u32,
    /// TCP_DEFER_ACCEPT, in seconds.
    pub defer: u32,
    /// TCP_LINGER2, in seconds.
    pub linger: u32,
    /// TCP_FASTOPEN: how many connections may be open before their SYN is answered.
    pub fast_open: u32,
}

impl Tuning {
    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; TUNING] {
        let words = [
            self.flags,
            self.maximum,
            self.user_timeout,
            self.idle,
            self.interval,
            self.count,
            self.buffer,
            self.defer,
            self.linger,
            self.fast_open,
        ];
        let mut bytes = [0; TUNING];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads the values.
    pub fn of_bytes(bytes: &[u8; TUNING]) -> Tuning {
        let word = |at: usize| {
            let at = at * 4;
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Tuning {
            flags: word(0),
            maximum: word(1),
            user_timeout: word(2),
            idle: word(3),
            interval: word(4),
            count: word(5),
            buffer: word(6),
            defer: word(7),
            linger: word(8),
            fast_open: word(9),
        }
    }
}
