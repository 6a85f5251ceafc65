//! Taking memory away: pages that were good for a tunnel's buffers may not be any more.
//!
//! Allocators and sanitizers make these calls before anything can be looked up, so they go to the kernel directly, which is
//! all that libc does with them.

use crate::errno;
use crate::real::hooks;
use crate::user;
use libc::{c_int, c_void, size_t};
use memtun_core::sys;

fn call(number: libc::c_long, args: [usize; 6]) -> isize {
    user::forget_pages();
    // SAFETY: the caller's own arguments for that very call.
    match unsafe { sys::syscall(number, args) } {
        failed @ -4095..=-1 => {
            errno::set(-failed as i32);
            -1
        }
        answer => answer,
    }
}

hooks! {
    fn munmap(at: *mut c_void, n: size_t) -> c_int => my_munmap {
        call(libc::SYS_munmap, [at as usize, n, 0, 0, 0, 0]) as c_int
    }
    fn mprotect(at: *mut c_void, n: size_t, protection: c_int) -> c_int => my_mprotect {
        call(libc::SYS_mprotect, [at as usize, n, protection as usize, 0, 0, 0]) as c_int
    }
    fn mremap(at: *mut c_void, old: size_t, new: size_t, flags: c_int, to: *mut c_void) -> *mut c_void => my_mremap {
        call(libc::SYS_mremap, [at as usize, old, new, flags as usize, to as usize, 0]) as *mut c_void
    }
}
