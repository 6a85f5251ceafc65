//! What poll(2), select(2) and epoll(7) report about a tunnel, and what its bell is asked for that.
//!
//! The bell is a FIFO: it is always writable, and never in error. A tunnel is writable only while
//! its link is up and whoever captures is not behind by the whole log. While it is unattached, it
//! has an error and nothing else.
#![forbid(unsafe_code)]

use libc::c_short;
use memtun_kernel::tun::Readiness;

/// Bits of poll(2) that say "readable".
pub const IN: c_short = libc::POLLIN | libc::POLLRDNORM;
/// Bits of poll(2) that say "writable".
pub const OUT: c_short = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND;

/// How poll(2) must ask about a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The kernel's answer is right: the descriptor is no tunnel, or one whose link is up.
    Plain,
    /// The tunnel is not writable for now.
    Quiet(Why),
    /// The tunnel is unattached, which is an error.
    Error,
}

/// Why a tunnel is not writable, which decides how its becoming writable is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The link is down. The link's FIFO tells when it comes up.
    Link,
    /// The send buffer has no room for anything. Nothing changes by itself.
    Buffer,
    /// Whoever captures is behind. Somebody has to look again after a while.
    Capturer,
}

impl State {
    /// Returns the state of a tunnel with this readiness.
    pub fn of(now: Readiness) -> State {
        match now {
            Readiness { error: true, .. } => State::Error,
            Readiness { writable: true, .. } => State::Plain,
            Readiness {
                capturer_behind: true,
                ..
            } => State::Quiet(Why::Capturer),
            Readiness {
                link_down: true, ..
            } => State::Quiet(Why::Link),
            _ => State::Quiet(Why::Buffer),
        }
    }

    /// Returns for which of the bits that the program asks poll(2) the bell is asked. None means
    /// that the bell is not asked, because the answer is POLLERR.
    pub fn question(self, events: c_short) -> Option<c_short> {
        match self {
            State::Plain => Some(events),
            State::Quiet(_) => Some(events & !OUT),
            State::Error => None,
        }
    }
}

/// Returns a tunnel's readiness in the bits of poll(2): those that are reported to whoever asks for
/// them, and POLLERR, which is reported unasked.
pub fn bits(now: Readiness) -> c_short {
    let bits = [
        (now.error, libc::POLLERR),
        (now.readable, IN),
        (now.writable, OUT),
    ];
    let told = bits.into_iter().filter(|(on, _)| *on);
    told.fold(0, |all, (_, bit)| all | bit)
}

/// Returns a tunnel's readiness in the bits of epoll(7), which have the same numbers.
pub fn epoll_bits(now: Readiness) -> u32 {
    u32::from(bits(now) as u16)
}

/// Returns which of [`bits`] poll(2) reports to a program that has asked for `events`.
pub fn reported(bits: c_short, events: c_short) -> c_short {
    bits & (events | libc::POLLERR)
}

/// The three sets of select(2), readable, writable and exceptional, in the bits of poll(2).
pub mod select {
    use libc::c_short;

    /// The bits that a descriptor in each set is asked for.
    pub const ASK: [c_short; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];
    /// The bits of the answer that count for each set.
    pub const COUNTS: [c_short; 3] = [
        libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR,
        libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND | libc::POLLERR,
        libc::POLLPRI,
    ];
}
