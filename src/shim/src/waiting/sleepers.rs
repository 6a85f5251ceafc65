//! Counts who sleeps on tunnels with O_ASYNC. There a byte in the bell is a signal, too, so another
//! process puts a byte there without a packet only where somebody has to be woken.
#![forbid(unsafe_code)]

use crate::table::{self, bound_in};
use libc::c_int;

/// The tunnels at which a sleeper is counted: descriptors and identities.
#[derive(Clone, Copy, Default)]
pub struct Asleep([Option<(c_int, u64)>; 8]);

/// Counts a sleeper, before the states of the descriptors are looked at. It costs little where
/// nobody uses O_ASYNC.
pub fn on(fds: impl Iterator<Item = c_int>) -> Asleep {
    let mut asleep = Asleep([None; 8]);
    let mut places = asleep.0.iter_mut();
    for fd in fds {
        let Some(tunnel) = table::hold(fd).filter(|t| t.has_signals()) else {
            continue;
        };
        match places.next() {
            Some(place) => *place = tunnel.sleeps().then(|| (fd, tunnel.inode())),
            None => tunnel.sleeps_uncounted(),
        }
    }
    asleep
}

/// Counts a sleeper at the tunnels below `n`, for select(2).
pub fn below(n: c_int) -> Asleep {
    on(bound_in(0, n.max(1) as u32 - 1))
}

impl Asleep {
    /// Takes the sleeper back after the wait. (It is not a destructor, because a thread that is
    /// cancelled in its wait leaves through this frame.)
    pub fn awake(self) {
        for (fd, inode) in self.0.into_iter().flatten() {
            if let Some(tunnel) = table::hold(fd).filter(|t| t.inode() == inode) {
                tunnel.awake();
            }
        }
    }
}
