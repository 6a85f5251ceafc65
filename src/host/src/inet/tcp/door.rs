//! Doors: listeners on ::1, each for one program whose socket is bound there, and which connects to
//! an address of the net. Its socket reaches no alias, which is an address of IPv4.
#![forbid(unsafe_code)]

use super::leg::Leg;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One that is open until the program has come.
struct Door {
    listener: Leg,
    alias: Ipv4Addr,
}

/// Those that are open.
#[derive(Default)]
pub(super) struct Doors(Mutex<Vec<Door>>);

impl Doors {
    fn all(&self) -> MutexGuard<'_, Vec<Door>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a listener for the program of a flow.
    pub fn keep(&self, listener: Leg, alias: Ipv4Addr) {
        self.all().push(Door { listener, alias });
    }

    /// Closes that of a flow, if it is open.
    pub fn close(&self, alias: Ipv4Addr) {
        self.all().retain(|door| door.alias != alias);
    }

    /// Accepts a program that has come to one, with its name and the alias of its flow, and closes
    /// that door.
    pub fn accepted(&self) -> Option<(Leg, Option<SocketAddr>, Ipv4Addr)> {
        let mut all = self.all();
        let come = |(at, door): (usize, &Door)| Some((at, Leg::accepted(door.listener.as_fd())?));
        let (at, (leg, other)) = all.iter().enumerate().find_map(come)?;
        let door = all.swap_remove(at);
        Some((leg, other, door.alias))
    }
}
