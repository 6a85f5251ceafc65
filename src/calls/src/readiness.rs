//! What poll(2), select(2) and epoll(7) say of a tunnel, and what is asked of its bell for that.
//!
//! The bell is a FIFO: always writable, and never in error. A tunnel is writable only while its
//! link is up, nothing but an error while it is unattached, and not writable either while whoever
//! captures is behind by the whole log.
#![forbid(unsafe_code)]

use libc::c_short;
use memtun_kernel::tun::Readiness;

/// Bits of poll(2) that say "readable".
pub const IN: c_short = libc::POLLIN | libc::POLLRDNORM;
/// Bits of poll(2) that say "writable".
pub const OUT: c_short = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND;

/// How a descriptor must be asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The kernel's answer is right: no tunnel, or one whose link is up.
    Plain,
    /// Not writable for now.
    Quiet(Why),
    /// Unattached.
    Error,
}

/// Why a tunnel is not writable, which decides how its becoming writable is noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The link is down: the link's FIFO tells.
    Link,
    /// The send buffer has no room for anything: nothing changes by itself.
    Buffer,
    /// Whoever captures is behind: somebody has to look.
    Capturer,
}

impl State {
    /// Of a tunnel.
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

    /// Of the bits that the program asks poll(2) for, those that the bell is asked for. None: the
    /// bell is not asked, the answer is POLLERR.
    pub fn question(self, events: c_short) -> Option<c_short> {
        match self {
            State::Plain => Some(events),
            State::Quiet(_) => Some(events & !OUT),
            State::Error => None,
        }
    }
}

/// A tunnel's readiness in the bits of poll(2): those that are told to whoever asks for them, and
/// POLLERR, which is told unasked.
pub fn bits(now: Readiness) -> c_short {
    let bits = [
        (now.error, libc::POLLERR),
        (now.readable, IN),
        (now.writable, OUT),
    ];
    let told = bits.into_iter().filter(|(on, _)| *on);
    told.fold(0, |all, (_, bit)| all | bit)
}

/// The same in the bits of epoll(7), which have the same numbers.
pub fn epoll_bits(now: Readiness) -> u32 {
    u32::from(bits(now) as u16)
}

/// What of [`bits`] poll(2) reports to who has asked for `events`.
pub fn reported(bits: c_short, events: c_short) -> c_short {
    bits & (events | libc::POLLERR)
}

/// select(2)'s three sets, readable, writable and exceptional, in the bits of poll(2).
pub mod select {
    use libc::c_short;

    /// What a descriptor in each set is asked for.
    pub const ASK: [c_short; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];
    /// What of the answer counts for each set.
    pub const COUNTS: [c_short; 3] = [
        libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR,
        libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND | libc::POLLERR,
        libc::POLLPRI,
    ];
}
