//! What the program holds back (TCP_CORK, MSG_MORE): less than a segment of it does not leave by
//! itself (tcp_nagle_test).
#![forbid(unsafe_code)]

use crate::segment::before;

/// The last bytes that were written, which the program holds back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// So many.
    pub bytes: u32,
    /// A cork holds them (TCP_CORK). MSG_MORE does so only until something else comes about.
    pub corked: bool,
    /// The last of them were sent with MSG_MORE.
    pub more: bool,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    hold: Option<Hold>,
    /// Where that begins.
    from: u32,
    /// What stands before this is let go.
    free: Option<u32>,
}

impl Held {
    /// What is held back now, where so much is written.
    pub(super) fn set(&mut self, hold: Option<Hold>, end: u32) {
        self.hold = hold;
        if let Some(hold) = hold {
            self.from = end.wrapping_sub(hold.bytes);
            self.free = self.free.filter(|free| before(self.from, *free));
        }
    }

    /// What is written up to there is let go (TCP_NAGLE_PUSH).
    pub(super) fn let_go(&mut self, end: u32) {
        self.free = self.hold.map(|_| end);
    }

    /// A segment has come: MSG_MORE has held back for long enough (tcp_data_snd_check).
    pub(super) fn heard(&mut self, end: u32) {
        if self.hold.is_some_and(|hold| !hold.corked) {
            self.let_go(end);
        }
    }

    /// How much of what leaves next is not held back.
    pub(super) fn free(&self, next: u32) -> u32 {
        if self.hold.is_none() {
            return u32::MAX;
        }
        let from = self.free.unwrap_or(self.from);
        match before(next, from) {
            true => from.wrapping_sub(next),
            false => 0,
        }
    }

    /// Whether what was written last says PSH: MSG_MORE does not (tcp_push).
    pub(super) fn ends_pushed(&self) -> bool {
        self.hold.is_none_or(|hold| !hold.more)
    }
}
