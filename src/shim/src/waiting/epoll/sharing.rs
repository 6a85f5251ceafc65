//! Keeps up with epoll instances that other processes have as well. Each process counts its changes
//! of their registrations in the net's shared memory, and the others then read the registrations
//! anew from the kernel.
//!
//! An instance is shared after a fork(2), and once it has come from another process. Its sender
//! does not notice that it was passed on. So the receiver notes it in the net, and from then on
//! every instance in the net counts as shared.
#![forbid(unsafe_code)]

use super::instances;
use crate::{net, process};
use libc::c_int;
use memtun_sys as sys;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU64};

/// The flag in the net's counter which says that a process has received an instance from another.
const PASSED: u64 = 1 << 63;

/// The value of the net's counter when this process last read the registrations.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Returns the net's counter of changes, if this process has joined a net.
fn counter() -> Option<&'static AtomicU64> {
    net::current().map(|net| &net.epoll_changes)
}

/// Do other processes have this descriptor's instance as well, when the net's counter is `count`?
fn is_shared(epoll: c_int, count: u64) -> bool {
    count & PASSED != 0 || instances::is_shared(epoll)
}

/// Has another process changed registrations since this one last read them? The answer is asked for
/// before this process acts on what it knows.
///
/// It is part of a hook's frame, which may have nothing to clean up and so no call that could
/// unwind.
#[inline(always)]
pub fn is_behind() -> bool {
    instances::any()
        && match net::current() {
            Some(net) => net.epoll_changes.load(Acquire) != SEEN.load(Relaxed),
            None => false,
        }
}

/// Calls `read` with a descriptor of each shared instance, so that it reads the registrations, and
/// notes that they are known.
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

/// Counts a change of this instance's registrations, so that other processes read them anew. It is
/// called before the change, because the change itself wakes threads that sleep there, and after
/// it, because a process that has read before the change has to read again.
pub fn changed(epoll: c_int) {
    let Some(counter) = counter() else { return };
    let before = counter.load(Relaxed);
    if is_shared(epoll, before) {
        let before = counter.fetch_add(1, AcqRel);
        // This process's own change counts as seen only if others have changed nothing meanwhile:
        // their changes are still to be read.
        let _ = SEEN.compare_exchange(before, before + 1, AcqRel, Relaxed);
    }
}

/// Notes that this descriptor's instance has come from another process.
pub fn arrived(epoll: c_int) {
    instances::share(epoll);
    if let Some(net) = net::existing() {
        net.epoll_changes.fetch_or(PASSED, AcqRel);
    }
}

/// Begins a call that changes registrations of this instance: no other thread reads them anew until
/// the turn is dropped. It is `None` where the instance is not shared, which needs no turn.
pub fn hold(epoll: c_int) -> Option<Turn> {
    let shared = counter().is_some_and(|c| is_shared(epoll, c.load(Relaxed)));
    shared.then(Turn::take)
}

/// The thread ID of the thread whose turn it is ([`Turn`]), or 0 for none.
static WHO: AtomicI32 = AtomicI32::new(0);

/// One thread's turn to read or change the registrations of shared instances. Dropping it ends the
/// turn.
pub struct Turn {
    /// Does this value end the turn? It does not if waiting for the turn was given up.
    is_own: bool,
}

impl Turn {
    /// Waits until another thread's turn has ended, but not without end: the holder may be code
    /// that the current signal handler has interrupted. Then the caller goes on without the turn.
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

/// Prepares for fork(2): the child will share all instances of this process.
pub fn before_fork() {
    instances::share_all();
}

/// Ends any turn in the child of a fork(2): the child has only one thread, and the holder may have
/// been another.
pub fn forked() {
    WHO.store(0, Relaxed);
}
