//! One hook that does nothing: what `redhook` itself adds to a call.
#![allow(static_mut_refs)]

use libc::{c_int, c_void, size_t, ssize_t};

redhook::hook! {
    unsafe fn read(fd: c_int, buffer: *mut c_void, count: size_t) -> ssize_t => hooked_read {
        redhook::real!(read)(fd, buffer, count)
    }
}
