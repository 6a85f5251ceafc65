//! Cancellation at any moment (PTHREAD_CANCEL_ASYNCHRONOUS). A thread that is cancelled amid this
//! library would leave locks taken and frames that have something to clean up. So in the calls in
//! which programs of that kind sleep it is cancelled where one is by default: in libc's call, or at
//! the end.

use crate::plain;
use crate::real::{hooks, real};
use libc::c_int;
use std::cell::Cell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// PTHREAD_CANCEL_DEFERRED and PTHREAD_CANCEL_ASYNCHRONOUS of pthread.h.
const DEFERRED: c_int = 0;
const ASYNCHRONOUS: c_int = 1;

/// Has a thread of this process ever wanted to be cancelled at any moment?
static EVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// An address in the outermost frame of this thread in which it cannot be cancelled so although
    /// it wants to be; 0 for none.
    static SINCE: Cell<usize> = const { Cell::new(0) };
}

/// Makes a call in which the thread is not cancelled amid this library. It costs nothing in a
/// program none of whose threads wants to be cancelled at any moment.
#[inline(always)]
pub fn deferred<T>(call: impl FnOnce() -> T) -> T {
    if !EVER.load(Relaxed) {
        return call();
    }
    let before = begin();
    let answer = call();
    end(before);
    answer
}

#[cold]
#[inline(never)]
extern "C" fn begin() -> c_int {
    let mut before = DEFERRED;
    real!(pthread_setcanceltype(DEFERRED, &mut before));
    if before == ASYNCHRONOUS {
        let here = 0u8;
        SINCE.set((&raw const here).addr());
    }
    before
}

/// The thread may be cancelled here, where no frame has anything to clean up.
#[cold]
#[inline(never)]
extern "C" fn end(before: c_int) {
    if before == ASYNCHRONOUS {
        SINCE.set(0);
        real!(pthread_setcanceltype(before, std::ptr::null_mut()));
    }
}

/// Is this thread in such a call?
#[inline]
pub fn is_deferred() -> bool {
    EVER.load(Relaxed) && SINCE.get() != 0
}

/// Called before a jump to a frame whose stack pointer this is: the call has no end.
pub fn leaving(stack: usize) {
    if SINCE.get() < stack {
        end(ASYNCHRONOUS);
    }
}

hooks! {
    fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int => my_pthread_setcanceltype {
        if kind == ASYNCHRONOUS && !EVER.load(Relaxed) {
            EVER.store(true, Relaxed);
            plain::note(plain::CANCELS);
        }
        real!(pthread_setcanceltype(kind, before))
    }
}
