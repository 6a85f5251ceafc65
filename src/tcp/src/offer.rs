//! What a SYN says beside the largest segment.
#![forbid(unsafe_code)]

use crate::Segment;

/// What a SYN offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Timestamps (net.ipv4.tcp_timestamps).
    pub timestamps: bool,
    /// Selective acknowledgements (net.ipv4.tcp_sack).
    pub selective: bool,
    /// By how much windows are scaled; None where they are not (net.ipv4.tcp_window_scaling).
    pub scale: Option<u8>,
    /// The window at the beginning, before it is made a multiple of the segments.
    pub window: u32,
    /// Whether the window grows with what comes.
    pub grows: bool,
    /// Whether marks of routers that tell of congestion are asked for (net.ipv4.tcp_ecn).
    pub asks_ecn: bool,
    /// Whether they are agreed to.
    pub takes_ecn: bool,
}

impl Default for Offer {
    /// What a kernel offers that nobody has told anything.
    fn default() -> Offer {
        Offer {
            timestamps: true,
            selective: true,
            scale: Some(7),
            window: 65_536,
            grows: true,
            asks_ecn: false,
            takes_ecn: true,
        }
    }
}

impl Offer {
    /// The offer of a socket with so large a buffer (tcp_select_initial_window). One that may grow
    /// has the most that it may grow to; one whose program has chosen it has none.
    pub fn of_buffer(self, buffer: u32, most: Option<u32>) -> Offer {
        // TCP_DEFAULT_SCALING_RATIO: half of a buffer is for what comes with the data.
        let window = buffer / 2;
        let space = window.max(most.unwrap_or(0)).max(1);
        let scale = (space.ilog2().saturating_sub(15)).min(14) as u8;
        Offer {
            scale: self.scale.map(|_| scale),
            window,
            grows: most.is_some(),
            ..self
        }
    }

    /// What the SYN and ACK says that answers this SYN.
    pub(crate) fn answering(self, segment: &Segment<'_>) -> Offer {
        Offer {
            timestamps: self.timestamps && segment.timestamps().is_some(),
            selective: self.selective && segment.permits_sacks(),
            scale: self.scale.filter(|_| segment.scale().is_some()),
            ..self
        }
    }

    /// The window at the beginning: whole segments of this size.
    pub(crate) fn first_window(&self, size: u32) -> u32 {
        match self.window > size && size > 0 {
            true => self.window - self.window % size,
            false => self.window,
        }
    }
}
