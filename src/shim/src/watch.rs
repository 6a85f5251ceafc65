//! Which signals the kernel gives to this library, and from when on; `signals` says what the
//! library does with them.
#![forbid(unsafe_code)]

use crate::{errno, host, process, signals};
use libc::{c_int, sigaction as Action};
use memtun_shm::truncated;

/// Tells the other crates how this library handles SIGBUS. It is called once, in the constructor.
pub fn init() {
    truncated::handled_by(|| watch(libc::SIGBUS));
}

/// Called when the process has a tunnel or is a driver: from here on a bad pointer is found by
/// touching what it points to. (SIGBUS is watched here as well, because it is not yet where nothing
/// is mapped.)
pub fn guard() {
    if !signals::guarded() && process::owns_memory() {
        errno::keep(|| {
            watch(libc::SIGBUS);
            watch(libc::SIGSEGV);
        });
    }
}

/// Sets this library's handler for a signal.
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
    // The program's action is kept before the handler can run.
    kept.set_wish(before);
    if set(kept) {
        kept.begin();
        // The handlers of the other signals must not run with this one blocked.
        for other in signals::all_watched() {
            set(other);
        }
    }
}

/// Gives the kernel this library's handler in the form that the program's action wants.
pub fn set(kept: &signals::Signal) -> bool {
    let unwanted: *mut Action = std::ptr::null_mut();
    host::sigaction(kept.number(), &kept.kernels_action(), unwanted) == 0
}

/// Called before the process executes another program, where a signal that this one ignores or
/// blocks must be ignored or blocked as well.
pub fn before_exec() {
    let unwanted: *mut Action = std::ptr::null_mut();
    for kept in signals::all_watched().filter(|kept| kept.wish().sa_sigaction == libc::SIG_IGN) {
        let mut ignore = signals::no_action();
        ignore.sa_sigaction = libc::SIG_IGN;
        host::sigaction(kept.number(), &ignore, unwanted);
    }
    signals::block_for_exec();
}

/// Called when the exec failed.
pub fn after_exec() {
    errno::keep(|| {
        for kept in signals::all_watched() {
            set(kept);
        }
        signals::unblock_after_exec();
    });
}
