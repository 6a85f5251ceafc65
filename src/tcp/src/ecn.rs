//! Congestion that routers tell of by marks in the header of IP (RFC 3168), as Linux has it.
#![forbid(unsafe_code)]

use crate::Segment;

/// The flags of TCP.
pub(crate) const ECE: u8 = 0x40;
pub(crate) const CWR: u8 = 0x80;
/// Marks of IP: a sender that understands them sets this one; a router, that one.
pub(crate) const CAPABLE: u8 = 2;
const CONGESTED: u8 = 3;

/// The mark of a packet.
pub(crate) fn mark(packet: &[u8]) -> u8 {
    match packet {
        [first, second, ..] if first >> 4 == 6 => second >> 4 & 3,
        [_, second, ..] => second & 3,
        _ => 0,
    }
}

/// Where a connection stands with it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ecn {
    /// Our SYN asks for it.
    pub(crate) asks: bool,
    /// Both ends have agreed.
    pub(crate) agreed: bool,
    /// A marked packet came, and it is said so until the other side has heard it.
    echoes: bool,
    /// Marks have come, whether agreed upon or not.
    pub(crate) seen: bool,
    /// The window has gone down, which the next data says.
    reduced: bool,
}

/// What a segment with data wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Haste {
    Nothing,
    /// The next answers do not wait.
    Quick,
    /// This one has its answer at once.
    Now,
}

impl Ecn {
    /// One of a connection whose SYN asks for it, or does not.
    pub(crate) fn asking(asks: bool) -> Ecn {
        Ecn {
            asks,
            ..Ecn::default()
        }
    }

    /// A SYN came that may ask for it, with this mark. A marked one does not (RFC 3168, 6.1.1).
    pub(crate) fn was_asked(&mut self, segment: &Segment<'_>, mark: u8, takes: bool) {
        self.agreed = takes && mark == 0 && segment.has(ECE | CWR);
    }

    /// Our SYN was answered.
    pub(crate) fn was_answered(&mut self, segment: &Segment<'_>) {
        self.agreed = self.asks && segment.has(ECE) && !segment.has(CWR);
    }

    /// The flags of a SYN, or of its answer.
    pub(crate) fn of_syn(&self, answers: bool) -> u8 {
        match (answers, self.asks, self.agreed) {
            (false, true, _) => ECE | CWR,
            (true, _, true) => ECE,
            _ => 0,
        }
    }

    /// The flags and the mark of a segment, where it has data for the first time or not
    /// (tcp_ecn_send).
    pub(crate) fn of_segment(&mut self, fresh: bool) -> (u8, u8) {
        if !self.agreed {
            return (0, 0);
        }
        let mut flags = if self.echoes { ECE } else { 0 };
        if !fresh {
            return (flags, 0);
        }
        if std::mem::take(&mut self.reduced) {
            flags |= CWR;
        }
        (flags, CAPABLE)
    }

    /// The window has gone down.
    pub(crate) fn reduce(&mut self) {
        self.reduced = self.agreed;
    }

    /// Whether an acknowledgement tells of congestion.
    pub(crate) fn tells(&self, segment: &Segment<'_>) -> bool {
        self.agreed && segment.has(ECE)
    }

    /// Data came (tcp_ecn_accept_cwr, tcp_ecn_check_ce).
    pub(crate) fn hear(&mut self, segment: &Segment<'_>, mark: u8) -> Haste {
        let mut haste = Haste::Nothing;
        if segment.has(CWR) && self.agreed {
            self.echoes = false;
            haste = Haste::Now;
        }
        match mark {
            // It was probably sent again.
            0 if self.seen => return haste.max(Haste::Quick),
            0 => return haste,
            CONGESTED if self.agreed && !self.echoes => {
                self.echoes = true;
                haste = haste.max(Haste::Quick);
            }
            _ => {}
        }
        self.seen = true;
        haste
    }
}

impl Haste {
    fn max(self, other: Haste) -> Haste {
        match self {
            Haste::Now => self,
            _ => other,
        }
    }
}
