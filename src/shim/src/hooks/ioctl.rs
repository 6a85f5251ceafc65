//! ioctl(2): the tunnel's own requests, and those of an interface on any socket.

use crate::ops;
use crate::real::{hooks, real};
use crate::sockios;
use crate::table::is_tunnel;
use libc::{c_int, c_ulong, c_void};

hooks! {
    fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int => my_ioctl {
        if is_tunnel(fd) {
            ops::ioctl(fd, request, arg, || real!(ioctl(fd, request, arg)))
        } else if sockios::concerns(request) {
            sockios::ioctl(fd, request, arg, || real!(ioctl(fd, request, arg)))
        } else {
            real!(ioctl(fd, request, arg))
        }
    }
}
