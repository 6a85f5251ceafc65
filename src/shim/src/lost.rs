//! A listener of rtnetlink that has lost an event has an error for poll(2) and epoll(7), as the
//! kernel sets it (`netlink_overrun`). The queue of such a socket is full, so the wait ends in any
//! case, and the error is put into what the kernel has answered.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use crate::waiting::epoll;
use crate::{listening, netlink, table};
use libc::{c_int, epoll_event, nfds_t, pollfd};

fn has_lost(fd: c_int) -> bool {
    if !table::is_netlink(fd) {
        listening::forget(fd);
        return false;
    }
    netlink::has_lost(fd)
}

/// Called after poll(2) has found something, in a process that listens.
#[cold]
#[inline(never)]
pub extern "C" fn in_poll(fds: *mut pollfd, n: nfds_t) {
    // SAFETY: the array is the caller's and has `n` elements, which the kernel has just filled.
    let all = unsafe { std::slice::from_raw_parts_mut(fds, n as usize) };
    let readable = all.iter_mut().filter(|p| p.revents & libc::POLLIN != 0);
    for p in readable.filter(|p| table::is_netlink(p.fd)) {
        if has_lost(p.fd) {
            p.revents |= libc::POLLERR;
        }
    }
}

/// Called after epoll_wait(2) has found `n` events, in a process that listens.
#[cold]
#[inline(never)]
pub extern "C" fn in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) {
    // SAFETY: the array is the caller's and has `n` elements, which the kernel has just filled.
    let all = unsafe { std::slice::from_raw_parts_mut(events, n as usize) };
    for fd in listening::each().filter(|fd| has_lost(*fd)) {
        let Some(datum) = crate::errno::keep(|| epoll::datum_of(epoll, fd)) else {
            continue;
        };
        let of_it = |event: &&mut epoll_event| {
            let (data, bits) = (event.u64, event.events);
            data == datum && bits & libc::EPOLLIN as u32 != 0
        };
        if let Some(event) = all.iter_mut().find(of_it) {
            event.events |= libc::EPOLLERR as u32;
        }
    }
}
