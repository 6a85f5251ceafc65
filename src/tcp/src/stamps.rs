//! Timestamps (RFC 7323): each segment says when it left, and when what it answers had left.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::segment::{before, Segment, RST};

/// The length of the option with the two bytes that align it.
pub(crate) const LENGTH: usize = 12;
/// TCP_PAWS_WINDOW: what is overtaken by so little is not old.
const WINDOW: u32 = 1;
/// TCP_PAWS_24DAYS: after so long without a word nothing is taken for old.
const FORGOTTEN: Duration = Duration::from_secs(24 * 24 * 3600);

/// The timestamps of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stamps {
    /// Both ends have said that they want them.
    pub(crate) agreed: bool,
    /// What our clock shows at the beginning of all times.
    offset: u32,
    /// The other side's clock as it was last heard, and when that was.
    recent: u32,
    heard: Duration,
}

impl Stamps {
    /// Timestamps whose clock begins somewhere.
    pub(crate) fn new(offset: u32) -> Stamps {
        Stamps {
            offset,
            ..Stamps::default()
        }
    }

    /// What our clock shows: milliseconds.
    pub(crate) fn clock(&self, now: Duration) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.offset)
    }

    /// The option's own ten bytes.
    pub(crate) fn bare(&self, now: Duration) -> [u8; 10] {
        let mut option = [8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        option[2..6].copy_from_slice(&self.clock(now).to_be_bytes());
        option[6..].copy_from_slice(&self.recent.to_be_bytes());
        option
    }

    /// Puts the option of a segment here, if there are to be any.
    pub(crate) fn option(&self, now: Duration, out: &mut Vec<u8>) {
        if self.agreed {
            out.extend([1, 1]);
            out.extend(self.bare(now));
        }
    }

    /// How long that is.
    pub(crate) fn length(&self) -> usize {
        match self.agreed {
            true => LENGTH,
            false => 0,
        }
    }

    /// The other side's SYN came.
    pub(crate) fn begin(&mut self, segment: &Segment<'_>, now: Duration) {
        if let Some((recent, _)) = segment.timestamps() {
            (self.agreed, self.recent, self.heard) = (true, recent, now);
        }
    }

    /// Whether a segment is older than what has been heard (tcp_paws_discard).
    pub(crate) fn is_old(&self, segment: &Segment<'_>, now: Duration) -> bool {
        let said = segment.timestamps().filter(|_| self.agreed);
        said.is_some_and(|(value, _)| {
            before(value, self.recent.wrapping_sub(WINDOW))
                && now.saturating_sub(self.heard) < FORGOTTEN
        })
    }

    /// Whether a segment that is older is so little older that it may have been overtaken
    /// (tcp_tsval_replay).
    pub(crate) fn is_late(&self, segment: &Segment<'_>, timeout: Duration) -> bool {
        let most = timeout.as_millis() as u32 / 5 * 6;
        let said = segment.timestamps();
        said.is_some_and(|(value, _)| self.recent.wrapping_sub(value) <= most)
    }

    /// Whether a segment left later than what has been heard.
    pub(crate) fn is_newer(&self, segment: &Segment<'_>) -> bool {
        let said = segment.timestamps().filter(|_| self.agreed);
        said.is_some_and(|(value, _)| before(self.recent, value))
    }

    /// A segment is taken that is no older. `told` is up to where this side has acknowledged: what
    /// lies beyond is not what the next answer is for (tcp_replace_ts_recent).
    pub(crate) fn hear(&mut self, segment: &Segment<'_>, told: u32, now: Duration) {
        let fits = self.agreed && !before(told, segment.sequence) && !segment.has(RST);
        if let Some((value, _)) = segment.timestamps().filter(|_| fits) {
            (self.recent, self.heard) = (value, now);
        }
    }
}
