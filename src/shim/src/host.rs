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
            pub fn $name($($v: $t),*) -> c_int {
                let mut found = slots::$name.load(Relaxed);
                if found.is_null() {
                    found = find(&slots::$name, name_of(concat!(stringify!($name), "\0")));
                }
                if found.is_null() {
                    errno::set(libc::ENOSYS);
                    return -1;
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
fn find(slot: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let found = next(name);
    slot.store(found, Relaxed);
    found
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
