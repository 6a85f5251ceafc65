//! Instances that other processes have, too: what those register, change or take out is read from
//! the kernel once their doing has been counted in the net.
//!
//! An instance is shared after a fork, and once it has come from somebody else. Its sender does not
//! see that it went: whoever receives one says so in the net, and from then on every instance of
//! the net counts as shared.
#![forbid(unsafe_code)]

use super::instances;
use crate::{net, process};
use libc::c_int;
use memtun_sys as sys;
use std::sync::atomic::{
    AtomicI32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// In the net's counter: an instance has been received from another process.
const PASSED: u64 = 1 << 63;

/// The net's counter when the registrations were last read.
static SEEN: AtomicU64 = AtomicU64::new(0);

fn counter() -> Option<&'static AtomicU64> {
    net::current().map(|net| &net.epoll_changes)
}

fn is_shared(epoll: c_int, count: u64) -> bool {
    count & PASSED != 0 || instances::is_shared(epoll)
}

/// Has another process changed what an instance holds since this one last looked? Before it acts on
/// what it knows.
#[inline]
pub fn is_behind() -> bool {
    instances::any() && counter().is_some_and(|c| c.load(Acquire) != SEEN.load(Relaxed))
}

/// Takes the instances for which `read` has to find out what is registered, and notes that it is
/// known.
#[cold]
pub fn catch_up(read: impl Fn(c_int)) {
    let Some(counter) = counter().filter(|_| process::owns_memory()) else {
        return;
    };
    let _turn = Turn::take();
    let count = counter.load(Acquire);
    if count == SEEN.load(Relaxed) {
        return;
    }
    let shared = |fd: &c_int| is_shared(*fd, count);
    instances::first_numbers().filter(shared).for_each(read);
    SEEN.store(count, Release);
}

/// Registrations of this instance are about to be changed, or have been: other processes are to
/// look. Both times: the change itself wakes who sleeps there, and who looks before it has to look
/// again.
pub fn changed(epoll: c_int) {
    let Some(counter) = counter() else { return };
    let before = counter.load(Relaxed);
    if is_shared(epoll, before) {
        let before = counter.fetch_add(1, AcqRel);
        // What others have done meanwhile is still to be looked at.
        let _ = SEEN.compare_exchange(before, before + 1, AcqRel, Relaxed);
    }
}

/// An instance has come from somebody else.
pub fn arrived(epoll: c_int) {
    instances::share(epoll);
    if let Some(net) = net::existing() {
        net.epoll_changes.fetch_or(PASSED, AcqRel);
    }
}

/// A call that changes registrations of this instance, while nobody reads them anew. None needed
/// where it is not shared.
pub fn hold(epoll: c_int) -> Option<Turn> {
    let shared = counter().is_some_and(|c| is_shared(epoll, c.load(Relaxed)));
    shared.then(Turn::take)
}

/// The thread that reads or changes registrations of shared instances, 0 for none.
static WHO: AtomicI32 = AtomicI32::new(0);

/// One thread's turn.
pub struct Turn {
    is_own: bool,
}

impl Turn {
    /// Waits for another thread, but not without end: the holder may be what a signal handler has
    /// interrupted.
    fn take() -> Turn {
        const TURNS: usize = 1000;
        let me = sys::gettid();
        for _ in 0..TURNS {
            match WHO.compare_exchange(0, me, AcqRel, Relaxed) {
                Ok(_) => return Turn { is_own: true },
                Err(holder) if holder == me => break,
                Err(_) => std::thread::yield_now(),
            }
        }
        Turn { is_own: false }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_own {
            WHO.store(0, Release);
        }
    }
}

/// The process is about to fork: the child has what it has.
pub fn before_fork() {
    instances::share_all();
}

/// The process is the child of a fork(2), which has one thread.
pub fn forked() {
    WHO.store(0, Relaxed);
}
