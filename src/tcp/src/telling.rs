//! What TCP_INFO says of a connection.
#![forbid(unsafe_code)]

use std::time::Duration;

use smoltcp::socket::tcp::State as Engines;

use crate::connection::Connection;
use crate::info::{at, Filled, INFO};

/// TCPI_OPT_TIMESTAMPS and others.
const STAMPS: u8 = 1;
const SACKS: u8 = 2;
const SCALED: u8 = 4;
const AGREED: u8 = 8;
const SEEN: u8 = 16;
const EARLY: u8 = 32;

/// The kernel's number of a state.
fn number(state: Engines) -> u32 {
    match state {
        Engines::Established => 1,
        Engines::SynSent => 2,
        Engines::SynReceived => 3,
        Engines::FinWait1 => 4,
        Engines::FinWait2 => 5,
        Engines::TimeWait => 6,
        Engines::Closed => 7,
        Engines::CloseWait => 8,
        Engines::LastAck => 9,
        Engines::Listen => 10,
        Engines::Closing => 11,
    }
}

impl Connection {
    /// What TCP_INFO says of it.
    pub fn info(&self, now: Duration) -> [u8; INFO] {
        let mut info = Filled([0; INFO]);
        let state = match self.unproven && self.engine.state() == Engines::Established {
            true => Engines::SynReceived,
            false => self.engine.state(),
        };
        info.byte(at::STATE, number(state));
        let (stamps, scales) = (self.wire.stamps.agreed, self.wire.scales(self.scale));
        let said = [
            (stamps, STAMPS),
            (self.sacks, SACKS),
            (scales.is_some(), SCALED),
            (self.wire.ecn.agreed, AGREED),
            (self.wire.ecn.seen, SEEN),
            (self.early, EARLY),
        ];
        let said = said.iter().filter(|it| it.0).map(|it| it.1);
        info.byte(at::OPTIONS, said.sum::<u8>().into());
        let (theirs, ours) = scales.unwrap_or_default();
        info.byte(at::SCALES, u32::from(theirs | ours << 4));
        let stamp = self.wire.stamps.length();
        info.word(
            at::OUR_SEGMENT,
            (self.wire.maximum as usize).saturating_sub(stamp) as u32,
        );
        info.word(at::PATH, self.wire.mtu as u32);
        info.ago(at::HEARD_AGO, self.heard, now);
        let came = self.expected().wrapping_sub(self.theirs).saturating_sub(1);
        info.long(at::RECEIVED, came.into());
        info.word(at::PACKETS_OUT, self.wire.count as u32);
        info.word(at::PACKETS_IN, self.came);
        info.word(at::TOTAL_AGAIN, self.sent_again());
        let expected = self.expected();
        info.word(at::OUR_WINDOW, self.wire.told.wrapping_sub(expected));
        info.ago(at::HEARD_DATA_AGO, self.opened, now);
        self.answers.tell(&mut info, now);
        self.sender.tell(&mut info, now);
        info.0
    }
}
