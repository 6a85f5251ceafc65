//! A connect that hangs at the plug fails.
//!
//! The program's native socket is to end as a kernel's does whose SYN was refused: from "not yet"
//! to "failed", without a moment in which it is connected, because whoever waits for it would see
//! that moment. So the SYN that comes from the plug's name is one of a socket that takes no answer:
//! it lets no packet through whose hop limit is lower than 255 (IP_MINTTL). The program's socket is
//! between both states then (SYN_RECV), of which nobody is told. A second SYN from there makes it
//! say what it expects (RFC 5961), and who has sent that SYN answers with a reset: its number is
//! wrong for him, and right for the program's socket. Each step is made once the kernel's list of
//! sockets shows that the one before it was done, so nothing depends on the time.
#![forbid(unsafe_code)]

use super::leg::{Connected, Leg};
use super::live::{After, Live, Stage};
use crate::inet::sockets::connect::Opening;
use crate::inet::sockets::Sockets;
use memtun_abi::Errno;
use memtun_stack::sockets::Protocol;
use std::time::Duration;

/// States of a socket of TCP.
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;

/// How soon it is looked again.
const SOON: Duration = Duration::from_millis(1);

impl Live {
    /// Lets the program's connect fail with this errno, once it has come to the plug.
    pub(super) fn refuse_late(
        &mut self,
        sockets: &mut Sockets,
        (opening, until, errno): (Opening, Duration, Errno),
        now: Duration,
    ) -> After {
        let plug = self.plug(sockets);
        let mut has_hung = false;
        // One step more than there are.
        for _ in 0..3 {
            let native = sockets.native(Protocol::Tcp, opening.native, plug);
            let native = native.filter(|it| [ESTABLISHED, SYN_SENT, SYN_RECV].contains(&it.state));
            let Some(native) = native else {
                if has_hung {
                    return After::Over;
                }
                break;
            };
            if !has_hung {
                // The program looks for it once its native socket has an error.
                sockets.note_end(&opening.entry, opening.asker, errno);
                has_hung = true;
            }
            let Ok(leg) = Leg::bound(&plug, true) else {
                break;
            };
            if native.state == SYN_SENT {
                leg.take_no_answer();
            }
            if leg.connect(&opening.native) == Connected::Yes {
                // A program whose packets live longer than others' was connected for a moment.
                leg.reset();
            }
        }
        if now >= until {
            return After::Over;
        }
        let patience = super::connect::PATIENCE;
        let waited = patience.saturating_sub(until.saturating_sub(now));
        self.again = Some(now + SOON.max(waited / 8));
        self.stage = Stage::Refusing(opening, until, errno);
        After::Stays
    }
}
