//! ioctl(2): the requests of a tunnel, and those about an interface on any socket.

use crate::foreign::or_host;
use crate::inet::calls as inet_calls;
use crate::real::{hooks, real};
use crate::table::{any_marked, is_packets, is_tunnel};
use crate::{errno, ops, packets, sockios, uaccess, view};
use libc::{c_int, c_ulong, c_void};

/// Makes a request on a descriptor that is no tunnel.
#[inline]
fn host(fd: c_int, request: c_ulong, arg: *mut c_void, real: impl Fn() -> c_int) -> c_int {
    if packets::asks_for_stamp(request) && is_packets(fd) {
        packets::stamped(fd, request, arg)
    } else if packets::asks_otherwise(request) && is_packets(fd) {
        requested(fd, request, arg, real)
    } else if inet_calls::asks_for_rest(request) {
        let answer = real();
        match answer {
            0 => inet_calls::add_rest(fd, request, arg),
            _ => answer,
        }
    } else if sockios::concerns(request) {
        sockios::ioctl(fd, request, arg, real)
    } else if request == libc::FIONREAD && inet_calls::is_early() {
        real()
    } else if any_marked() {
        viewed(fd, request, arg, real)
    } else {
        real()
    }
}

/// Makes a request on a packet socket, a raw one or one for pings.
#[cold]
fn requested(fd: c_int, request: c_ulong, arg: *mut c_void, real: impl FnOnce() -> c_int) -> c_int {
    if let Some(answer) = packets::refuses_request(fd, request) {
        return answer;
    }
    let answer = real();
    if request == libc::FIONREAD && answer == 0 {
        packets::queued(fd, arg);
    }
    answer
}

/// Makes a request on a descriptor that may be one of the view.
#[cold]
fn viewed(fd: c_int, request: c_ulong, arg: *mut c_void, real: impl FnOnce() -> c_int) -> c_int {
    let Some(answer) = view::requested(fd, request) else {
        return real();
    };
    let stored = answer.and_then(|value| uaccess::copy_out(arg as usize, &value.to_ne_bytes()));
    errno::give(stored.map(|()| 0)) as c_int
}

/// Makes a request on a tunnel, or on what has taken its place. It is a function of its own, so
/// that a foreign request needs no stack for it.
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
