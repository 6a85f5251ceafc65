//! The connection of a process that asks often. To begin one for each question costs more than the
//! question itself: two sockets are made and closed, and the host process wakes for each of that.
//!
//! It is a descriptor that the program does not know, and may close, put something else in its
//! place or take along into a child; so it is looked at before each use, and belongs to one
//! process. One thread at a time asks on it. Others ask on connections of their own, as do signal
//! handlers that come in between, and whoever comes after a thread that never came back from its
//! question.
#![forbid(unsafe_code)]

use memtun_sys::{self as sys, Fd, KeptSocket};
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// A process that asks again so soon asks often.
const OFTEN: Duration = Duration::from_secs(1);

/// The connection of this process.
pub(super) static KEPT: Kept = Kept {
    user: AtomicU32::new(0),
    socket: KeptSocket::none_yet(),
    who: [const { AtomicU32::new(0) }; 3],
    epoch: AtomicU64::new(0),
    asked: AtomicU64::new(0),
};

/// Whose a connection is, and to whom it leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    /// The process.
    pub pid: u32,
    /// The user who it was when it connected, by whom the host process knows it.
    pub uid: u32,
    /// What tells the net from others.
    pub net: u32,
    /// The host process.
    pub epoch: u64,
}

/// A connection that is kept.
pub(super) struct Kept {
    /// The process whose thread asks, 0 for none. A child that was made meanwhile sees its parent
    /// here, whose thread it has not.
    user: AtomicU32,
    socket: KeptSocket,
    /// The owner: process, user, net.
    who: [AtomicU32; 3],
    epoch: AtomicU64,
    /// When this process asked last without one, in nanoseconds.
    asked: AtomicU64,
}

impl Kept {
    /// Takes the connection for a question, until [`Kept::give_back`] or [`Kept::end`]. None where
    /// there is none, or another thread has it.
    pub fn take(&self, owner: &Owner) -> Option<BorrowedFd<'_>> {
        if !self.enter(owner.pid) {
            return None;
        }
        let is_owner = self.owner() == *owner;
        let socket = self.socket.get().filter(|_| is_owner);
        if socket.is_none() {
            self.end();
        }
        socket
    }

    /// Leaves the connection to the next question.
    pub fn give_back(&self) {
        self.user.store(0, Release);
    }

    /// Closes the connection.
    pub fn end(&self) {
        self.socket.end();
        self.give_back();
    }

    /// Has this process asked a moment ago? It is called with each question that is put on a
    /// connection of its own.
    pub fn is_wanted(&self, now: u64) -> bool {
        let before = self.asked.swap(now, Relaxed);
        before != 0 && now.saturating_sub(before) < OFTEN.as_nanos() as u64
    }

    /// Keeps a connection, if no thread asks on the one that there is.
    pub fn keep(&self, socket: &Fd, owner: &Owner) {
        if !self.enter(owner.pid) {
            return;
        }
        let kept = sys::duplicate_in_table(socket.raw());
        if kept.is_ok_and(|kept| self.socket.keep(kept)) {
            let who = [owner.pid, owner.uid, owner.net];
            let places = self.who.iter().zip(who);
            places.for_each(|(place, word)| place.store(word, Relaxed));
            self.epoch.store(owner.epoch, Relaxed);
        }
        self.give_back();
    }

    fn owner(&self) -> Owner {
        let [pid, uid, net] = [0, 1, 2].map(|at| self.who[at].load(Relaxed));
        Owner {
            pid,
            uid,
            net,
            epoch: self.epoch.load(Relaxed),
        }
    }

    /// Begins to use it, as a thread of this process.
    fn enter(&self, pid: u32) -> bool {
        let user = self.user.load(Relaxed);
        let entered = || {
            self.user
                .compare_exchange(user, pid, Acquire, Relaxed)
                .is_ok()
        };
        pid != 0 && user != pid && entered()
    }
}
