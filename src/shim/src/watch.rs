//! Which signals the kernel gives to this library, and from when on; what it does with them is in
//! `signals`.
#![forbid(unsafe_code)]

use crate::{errno, host, process, signals};
use libc::{c_int, sigaction as Action};
use memtun_shm::truncated;

/// Says how this library handles SIGBUS. Called once, in the constructor.
pub fn init() {
    truncated::handled_by(|| watch(libc::SIGBUS));
}

/// The process has a tunnel now, or is a driver: from here on a bad pointer is found by touching
/// what it points to. (Where nothing is mapped yet SIGBUS is not watched either.)
pub fn guard() {
    if !signals::guarded() && process::owns_memory() {
        errno::keep(|| {
            watch(libc::SIGBUS);
            watch(libc::SIGSEGV);
        });
    }
}

/// Sets our handler for a signal.
fn watch(number: c_int) {
    let Some(kept) = signals::of(number).filter(|kept| !kept.is_watched()) else {
        return;
    };
    let mut before = kept.wish();
    let present: *const Action = std::ptr::null();
    if host::sigaction(number, present, &mut before) != 0 {
        return;
    }
    signals::show(&mut before.sa_mask, signals::opened(number));
    // Before the handler can run.
    kept.set_wish(before);
    if set(kept) {
        kept.begin();
        // The handlers of the others must not run with this one blocked.
        for other in signals::all_watched() {
            set(other);
        }
    }
}

/// Gives the kernel our handler as the program's action wants it.
pub fn set(kept: &signals::Signal) -> bool {
    let unwanted: *mut Action = std::ptr::null_mut();
    host::sigaction(kept.number(), &kept.kernels_action(), unwanted) == 0
}

/// The process executes another program: what it ignores or blocks must be ignored or blocked there
/// as well.
pub fn before_exec() {
    let unwanted: *mut Action = std::ptr::null_mut();
    for kept in signals::all_watched().filter(|kept| kept.wish().sa_sigaction == libc::SIG_IGN) {
        let mut ignore = signals::no_action();
        ignore.sa_sigaction = libc::SIG_IGN;
        host::sigaction(kept.number(), &ignore, unwanted);
    }
    signals::block_for_exec();
}

/// It did not.
pub fn after_exec() {
    errno::keep(|| {
        for kept in signals::all_watched() {
            set(kept);
        }
        signals::unblock_after_exec();
    });
}
