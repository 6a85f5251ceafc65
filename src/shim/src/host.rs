//! Functions of the C library that are called below their hooks. Like those behind the hooks they
//! are looked up when the library is loaded, or at the first call if that comes earlier.

use crate::errno;
use crate::symbols::{hash, next, Behind};
use libc::{c_int, epoll_event, nfds_t, pollfd, sigaction as Action, sigset_t, timespec};
use std::ffi::{c_void, CStr};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::Relaxed;

/// Declares such functions. Like the hooks they are thin: a thread may be cancelled in the call,
/// and no frame here has anything to clean up.
macro_rules! host {
    ($($(#[$doc:meta])* fn $name:ident ( $($v:ident : $t:ty),* ) -> c_int;)*) => {
        $(
            $(#[$doc])*
            #[inline(never)]
            pub extern "C" fn $name($($v: $t),*) -> c_int {
                let mut found = slots::$name.load(Relaxed);
                if found.is_null() {
                    found = find(&slots::$name, const { name_of(concat!(stringify!($name), "\0")) });
                }
                if found.is_null() {
                    return missing();
                }
                // SAFETY: the C library's function of this name has this type.
                let call: unsafe extern "C" fn($($t),*) -> c_int = unsafe { std::mem::transmute(found) };
                // SAFETY: the arguments are the program's own for this call, or this library's in
                // their place.
                unsafe { call($($v),*) }
            }
        )*

        #[allow(non_upper_case_globals, reason = "named as the functions are")]
        mod slots {
            use std::ffi::c_void;
            use std::sync::atomic::AtomicPtr;
            $(pub static $name: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());)*
        }

        /// Looks all of them up. It is called once, in the constructor.
        pub fn init(behind: &Behind) {
            $({
                const NAME: &CStr = name_of(concat!(stringify!($name), "\0"));
                const HASH: u32 = hash(NAME);
                slots::$name.store(behind.find(NAME, HASH), Relaxed);
            })*
        }
    };
}

const fn name_of(name: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(name.as_bytes()) {
        Ok(name) => name,
        Err(_) => c"",
    }
}

#[cold]
#[inline(never)]
extern "C" fn missing() -> c_int {
    errno::set(libc::ENOSYS);
    -1
}

/// It is `extern "C"`, as such a function never unwinds into the frame that makes the call.
#[cold]
#[inline(never)]
#[allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls it"
)]
extern "C" fn find(slot: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let found = next(name);
    slot.store(found, Relaxed);
    found
}

extern "C" {
    fn pthread_testcancel();
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

const CANCEL_DISABLE: c_int = 1;

/// Makes a call that does not wait in a frame that has something to clean up, where the thread
/// cannot be cancelled.
pub fn uncancelled(call: impl FnOnce() -> c_int) -> c_int {
    let mut before = 0;
    // SAFETY: the old state is stored to a local of this function.
    unsafe { pthread_setcancelstate(CANCEL_DISABLE, &mut before) };
    let answer = call();
    // SAFETY: the state is the one that the thread had; it needs none back.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
    answer
}

/// A cancellation point, for a call that is one but does not come to libc. No frame of this library
/// above it may have anything to clean up.
#[inline(always)]
pub fn cancellation_point() {
    // SAFETY: the call has no arguments.
    unsafe { pthread_testcancel() }
}

host! {
    /// poll(2)
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int;
    /// ppoll(2)
    fn ppoll(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t) -> c_int;
    /// epoll_ctl(2)
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int;
    /// sigaction(2)
    fn sigaction(number: c_int, action: *const Action, old: *mut Action) -> c_int;
}
