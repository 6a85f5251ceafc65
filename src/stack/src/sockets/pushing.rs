//! What a program has said of when its bytes leave: TCP_NODELAY, TCP_CORK and MSG_MORE. It stands
//! in one word of the flow's row, which the program writes before it sends, so that the host
//! process finds it when the bytes come.
#![forbid(unsafe_code)]

/// What stands in the word. Places are counted in the bytes that the program has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pushing {
    /// TCP_NODELAY, if the program has set it.
    pub no_delay: Option<bool>,
    /// What follows `end` is held back (TCP_CORK).
    pub corked: bool,
    /// Where that begins which is held back, and where the last of it that was sent with MSG_MORE
    /// ends. What is sent after that is not, but for a cork.
    pub from: u64,
    /// See `from`.
    pub end: u64,
    /// What ends at `end` is kept apart from what follows (MSG_EOR).
    pub record: bool,
}

/// Bits of the word: TCP_NODELAY was set, and to this; a cork. Above them is the length from `from`
/// to `end`, and above that `end`.
const SAID: u64 = 1;
const NO_DELAY: u64 = 2;
const CORKED: u64 = 4;
const RECORD: u64 = 8;
const FLAGS: u32 = 4;
const LENGTH: u32 = 24;
const LONGEST: u64 = (1 << LENGTH) - 1;
const PLACE: u32 = 64 - FLAGS - LENGTH;
const PLACES: u64 = (1 << PLACE) - 1;

/// What is held back of the bytes that have come up to a place: the last so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Bytes, until others come or the program says so.
    pub bytes: u64,
    /// A cork holds them, not only MSG_MORE.
    pub corked: bool,
    /// The last of them were sent with MSG_MORE.
    pub more: bool,
}

impl Pushing {
    /// Reads the word.
    pub fn of_word(word: u64) -> Pushing {
        let end = word >> (FLAGS + LENGTH);
        let length = word >> FLAGS & LONGEST;
        Pushing {
            no_delay: (word & SAID != 0).then_some(word & NO_DELAY != 0),
            corked: word & CORKED != 0,
            from: end.wrapping_sub(length) & PLACES,
            end,
            record: word & RECORD != 0,
        }
    }

    /// Returns the word.
    pub fn to_word(&self) -> u64 {
        let length = self.end.wrapping_sub(self.from) & PLACES;
        let flags = match self.no_delay {
            None => 0,
            Some(false) => SAID,
            Some(true) => SAID | NO_DELAY,
        };
        flags
            | if self.corked { CORKED } else { 0 }
            | if self.record { RECORD } else { 0 }
            | length.min(LONGEST) << FLAGS
            | (self.end & PLACES) << (FLAGS + LENGTH)
    }

    /// Returns it with TCP_CORK set or taken away where so many bytes were sent.
    #[must_use]
    pub fn cork(mut self, corked: bool, sent: u64) -> Pushing {
        let goes_on = corked && (self.corked || self.ends_at(sent));
        if !goes_on {
            self.from = sent & PLACES;
        }
        self.end = match corked && self.corked {
            true => self.end,
            false => sent & PLACES,
        };
        (self.corked, self.record) = (corked, false);
        self
    }

    /// Returns it with so many bytes that follow as the end of a record (MSG_EOR) where so many
    /// were sent.
    #[must_use]
    pub fn record(mut self, sent: u64, bytes: u64) -> Pushing {
        self.end = sent.wrapping_add(bytes) & PLACES;
        if !self.corked {
            self.from = self.end;
        }
        self.record = true;
        self
    }

    /// Returns how far behind the end of the last record is where so many bytes have come.
    pub fn record_behind(&self, came: u64) -> Option<u64> {
        let behind = came.wrapping_sub(self.end) & PLACES;
        (self.record && behind <= PLACES / 2).then_some(behind)
    }

    /// Returns it with so many bytes that follow with MSG_MORE where so many were sent.
    #[must_use]
    pub fn more(mut self, sent: u64, bytes: u64) -> Pushing {
        if !self.corked && !self.ends_at(sent) {
            self.from = sent & PLACES;
        }
        self.end = sent.wrapping_add(bytes) & PLACES;
        self.record = false;
        self
    }

    /// Returns it where only so many of those bytes were taken.
    #[must_use]
    pub fn taken(mut self, sent: u64, bytes: u64) -> Pushing {
        self.end = sent.wrapping_add(bytes) & PLACES;
        // A record holds nothing back, also where a part of it was taken.
        if self.record && !self.corked {
            self.from = self.end;
        }
        // A record that was cut has not ended.
        self.record = false;
        self
    }

    fn ends_at(&self, sent: u64) -> bool {
        self.end == sent & PLACES
    }

    /// Returns what is held back where so many bytes have come.
    pub fn held(&self, came: u64) -> Option<Held> {
        let ahead = |place: u64| came.wrapping_sub(place) & PLACES;
        let is_behind = |place: u64| ahead(place) != 0 && ahead(place) <= PLACES / 2;
        let more = !is_behind(self.end);
        let is_held = is_behind(self.from) && (self.corked || more);
        is_held.then(|| Held {
            bytes: ahead(self.from),
            corked: self.corked,
            more,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(pushing: Pushing) -> Pushing {
        Pushing::of_word(pushing.to_word())
    }

    fn held(pushing: Pushing, came: u64) -> Option<(u64, bool)> {
        let held = round(pushing).held(came);
        held.map(|held| (held.bytes, held.corked))
    }

    #[test]
    fn what_comes_after_more_is_not_held() {
        for at in [0, 1000, PLACES - 5, 1 << 40] {
            let said = round(Pushing::default().more(at, 40));
            assert_eq!(held(said, at), None, "what came before");
            assert_eq!(held(said, at + 40), Some((40, false)));
            assert_eq!(
                held(said, at + 41),
                None,
                "and what comes after it takes it along"
            );
            let said = round(said.more(at + 40, 10));
            assert_eq!(held(said, at + 50), Some((50, false)));
            let said = round(said.more(at + 60, 10));
            assert_eq!(held(said, at + 60), None);
            assert_eq!(held(said, at + 70), Some((10, false)));
            // Only a part of it was taken.
            let said = round(said.more(at + 70, 10).taken(at + 70, 3));
            assert_eq!(held(said, at + 73), Some((13, false)));
        }
    }

    #[test]
    fn a_cork_holds_what_comes_until_it_is_drawn() {
        let said = round(Pushing::default().cork(true, 100));
        assert_eq!(held(said, 100), None);
        assert_eq!(held(said, 101), Some((1, true)));
        assert_eq!(held(said, 1 << 30), Some(((1 << 30) - 100, true)));
        assert_eq!(held(said.more(200, 10), 211), Some((111, true)));
        assert_eq!(held(said.cork(true, 300), 301), Some((201, true)));
        let more = |said: Pushing, came| round(said).held(came).map(|held| held.more);
        assert_eq!(more(said.more(200, 10), 210), Some(true));
        assert_eq!(more(said.more(200, 10), 211), Some(false));
        let drawn = round(said.cork(false, 400));
        assert_eq!(held(drawn, 400), None);
        assert_eq!(held(drawn, 401), None);
        let both = round(Pushing::default().more(10, 10).cork(true, 20));
        assert_eq!(held(both, 20), Some((10, true)));
    }

    #[test]
    fn a_record_ends_where_it_was_sent() {
        let said = round(Pushing::default().record(100, 40));
        assert_eq!(said.record_behind(139), None);
        assert_eq!(said.record_behind(140), Some(0));
        assert_eq!(said.record_behind(150), Some(10));
        assert_eq!(held(said, 150), None);
        assert_eq!(said.more(140, 5).record_behind(150), None);
        assert_eq!(said.taken(100, 30).record_behind(150), None);
        assert_eq!(
            held(said.taken(100, 30), 130),
            None,
            "a cut one holds nothing"
        );
    }

    #[test]
    fn the_word_is_none_where_nothing_was_said() {
        assert_eq!(Pushing::default().to_word(), 0);
        let mut said = Pushing::default().cork(true, 7);
        said.no_delay = Some(true);
        assert_eq!(round(said), said);
    }
}
