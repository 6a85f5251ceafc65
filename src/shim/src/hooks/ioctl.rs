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

hooks! {
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int => my_ioctl {
        let real = || real!(ioctl(fd, request, arg));
        if is_tunnel(fd) {
            or_host(ops::ioctl(fd, request, arg, real), || host(fd, request, arg, real))
        } else {
            host(fd, request, arg, real)
        }
    }
}
