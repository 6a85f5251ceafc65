//! How the descriptors of this process must be asked about, and the FIFO of a link.
#![forbid(unsafe_code)]

use crate::table;
use libc::{c_int, pollfd, timespec};
use memtun_sys as sys;
use memtun_sys::KeptFifo;

pub use memtun_calls::readiness::{State, Why};

/// How soon a waiter looks again whether the capturer has read.
pub const GLANCE: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 3_000_000,
};

/// How soon a waiter looks again at a link whose FIFO cannot be opened.
pub const MOMENT: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// The state of a descriptor now.
pub fn state(fd: c_int) -> State {
    if !table::is_tunnel(fd) {
        return State::Plain;
    }
    table::hold(fd).map_or(State::Plain, |t| State::of(t.readiness()))
}

/// The FIFO of the link of a tunnel that is down, under a number where programs do not expect a
/// descriptor. It is `None` when it cannot be opened any more, after chroot or setuid.
pub fn link_bell(fd: c_int) -> Option<LinkBell> {
    let low = table::hold(fd)?.link_bell().ok()?;
    let st = sys::fstat(low.raw()).ok()?;
    let kept = KeptFifo::none_yet(st.st_ino);
    let fd = kept.keep(sys::duplicate_high(low.raw()).ok()?);
    Some(LinkBell { fd, _kept: kept })
}

/// An open FIFO of a link. It is closed with the value, unless the program has closed it or put
/// something of its own there.
pub struct LinkBell {
    fd: c_int,
    _kept: KeptFifo,
}

impl LinkBell {
    /// What poll(2) has to ask of the FIFO.
    pub fn question(&self) -> pollfd {
        pollfd {
            fd: self.fd,
            events: libc::POLLIN,
            revents: 0,
        }
    }
}
