//! ioctl(2): the tunnel's own requests, and those of an interface on any socket.

use crate::foreign::or_host;
use crate::ops;
use crate::real::{hooks, real};
use crate::sockios;
use crate::table::is_tunnel;
use libc::{c_int, c_ulong, c_void};

/// A request that is not a tunnel's.
#[inline]
fn host(fd: c_int, request: c_ulong, arg: *mut c_void, real: impl Fn() -> c_int) -> c_int {
    if sockios::concerns(request) {
        sockios::ioctl(fd, request, arg, real)
    } else {
        real()
    }
}

/// A request on a tunnel, or on what has taken its place. Apart, so that a foreign one needs no
/// room for it.
#[inline(never)]
fn ours(fd: c_int, request: c_ulong, arg: *mut c_void, real: impl Fn() -> c_int + Copy) -> c_int {
    or_host(ops::ioctl(fd, request, arg, real), || {
        host(fd, request, arg, real)
    })
}

hooks! {
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int => my_ioctl {
        let real = move || real!(ioctl(fd, request, arg));
        if is_tunnel(fd) {
            ours(fd, request, arg, real)
        } else {
            host(fd, request, arg, real)
        }
    }
}
