//! poll, select and epoll: straight on to libc unless a tunnel is down or unattached.

use crate::epoll;
use crate::readiness::{self, Deadline};
use crate::real::{hooks, real};
use crate::table::{any, is_tunnel};
use libc::{c_int, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

/// The host's ppoll(2).
pub fn real_ppoll(
    fds: *mut pollfd,
    n: nfds_t,
    time: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    real!(ppoll(fds, n, time, mask))
}

/// The host's poll(2).
pub fn real_poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    real!(poll(fds, n, timeout))
}

/// The host's epoll_ctl(2).
pub fn real_epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int {
    real!(epoll_ctl(epoll, operation, fd, event))
}

/// poll(2): `host` as it was called, unless a tunnel among the descriptors needs care.
#[inline]
fn polling(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if !any() || fds.is_null() || n > 1 << 20 {
        return host();
    }
    careful_poll(fds, n, mask, deadline, host)
}

fn careful_poll(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let ends = [0, (n as usize).saturating_sub(1)];
    // SAFETY: plain numbers; looked at only to see that the array is readable.
    let bad = |i: usize| unsafe { crate::user::read(fds.wrapping_add(i)) }.is_err();
    if n == 0 || ends.into_iter().any(bad) {
        return host();
    }
    // SAFETY: the caller's array of `n` elements, whose first and last are readable.
    let array = unsafe { std::slice::from_raw_parts_mut(fds, n as usize) };
    if !array.iter().any(|p| is_tunnel(p.fd)) {
        return host();
    }
    if readiness::needs_care(array) {
        return readiness::poll(array, deadline(), mask);
    }
    let answer = host();
    if answer > 0 {
        crate::errno::keep(|| readiness::correct(array));
    }
    answer
}

/// A time argument: None for NULL.
fn time_of(time: *const timespec) -> Option<timespec> {
    // SAFETY: NULL, or the caller's argument; plain numbers.
    (!time.is_null())
        .then(|| unsafe { crate::user::read(time) }.ok())
        .flatten()
}

fn selecting(n: c_int, sets: [*mut fd_set; 3]) -> bool {
    // SAFETY: the caller's sets of `n` bits.
    any() && n > 0 && unsafe { readiness::sets_need_care(n, sets) }
}

/// epoll_wait(2) and relatives.
fn epoll_waiting(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's array of `n` events, which the kernel would fill.
    let array = unsafe { std::slice::from_raw_parts_mut(events, n as usize) };
    epoll::wait(epoll, array, deadline, mask, |room, time| {
        let ms = readiness::milliseconds(time);
        real!(epoll_pwait(
            epoll,
            room.as_mut_ptr(),
            room.len() as c_int,
            ms,
            mask
        ))
    })
}

fn epoll_concerns(epoll: c_int, events: *mut epoll_event, n: c_int) -> bool {
    n > 0 && !events.is_null() && epoll::concerns(epoll)
}

hooks! {
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int => my_poll {
        polling(fds, n, std::ptr::null(), || Deadline::after_ms(timeout), || real!(poll(fds, n, timeout)))
    }
    fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int => my_poll_chk {
        let host = || real!(__poll_chk(fds, n, timeout, room));
        if room / size_of::<pollfd>() < n as usize { host() } else { polling(fds, n, std::ptr::null(), || Deadline::after_ms(timeout), host) }
    }
    fn ppoll(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t) -> c_int => my_ppoll {
        polling(fds, n, mask, || Deadline::after(time_of(time)), || real!(ppoll(fds, n, time, mask)))
    }
    fn __ppoll_chk(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t, room: size_t) -> c_int => my_ppoll_chk {
        let host = || real!(__ppoll_chk(fds, n, time, mask, room));
        if room / size_of::<pollfd>() < n as usize { host() } else { polling(fds, n, mask, || Deadline::after(time_of(time)), host) }
    }
    fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *mut timeval) -> c_int => my_select {
        if selecting(n, [r, w, x]) {
            // SAFETY: NULL, or the caller's timeval; plain numbers.
            let given = if time.is_null() { None } else { unsafe { crate::user::read(time) }.ok() };
            let deadline = Deadline::after(given.map(|t| timespec { tv_sec: t.tv_sec, tv_nsec: t.tv_usec * 1000 }));
            // SAFETY: the caller's sets of `n` bits.
            let answer = unsafe { readiness::select(n, [r, w, x], deadline, std::ptr::null()) };
            if let Some(left) = deadline.left() {
                // Linux's select says what is left of the time.
                let _ = crate::user::write(time, &timeval { tv_sec: left.tv_sec, tv_usec: left.tv_nsec / 1000 });
            }
            answer
        } else {
            real!(select(n, r, w, x, time))
        }
    }
    fn pselect(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *const timespec, mask: *const sigset_t) -> c_int => my_pselect {
        if selecting(n, [r, w, x]) {
            // SAFETY: the caller's sets of `n` bits.
            unsafe { readiness::select(n, [r, w, x], Deadline::after(time_of(time)), mask) }
        } else {
            real!(pselect(n, r, w, x, time, mask))
        }
    }
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int => my_epoll_ctl {
        if is_tunnel(fd) {
            // SAFETY: NULL, or the caller's event; plain numbers.
            match unsafe { crate::user::read(event) } {
                Err(_) if operation != libc::EPOLL_CTL_DEL => real!(epoll_ctl(epoll, operation, fd, event)),
                given => {
                    let given = given.unwrap_or(epoll_event { events: 0, u64: 0 });
                    epoll::control(epoll, operation, fd, given, |e| real!(epoll_ctl(epoll, operation, fd, e)))
                }
            }
        } else {
            real!(epoll_ctl(epoll, operation, fd, event))
        }
    }
    fn epoll_wait(epoll: c_int, events: *mut epoll_event, n: c_int, timeout: c_int) -> c_int => my_epoll_wait {
        if epoll_concerns(epoll, events, n) {
            epoll_waiting(epoll, events, n, Deadline::after_ms(timeout), std::ptr::null())
        } else {
            real!(epoll_wait(epoll, events, n, timeout))
        }
    }
    fn epoll_pwait(epoll: c_int, events: *mut epoll_event, n: c_int, timeout: c_int, mask: *const sigset_t) -> c_int => my_epoll_pwait {
        if epoll_concerns(epoll, events, n) {
            epoll_waiting(epoll, events, n, Deadline::after_ms(timeout), mask)
        } else {
            real!(epoll_pwait(epoll, events, n, timeout, mask))
        }
    }
    fn epoll_pwait2(epoll: c_int, events: *mut epoll_event, n: c_int, time: *const timespec, mask: *const sigset_t) -> c_int => my_epoll_pwait2 {
        if epoll_concerns(epoll, events, n) {
            epoll_waiting(epoll, events, n, Deadline::after(time_of(time)), mask)
        } else {
            real!(epoll_pwait2(epoll, events, n, time, mask))
        }
    }
    fn __poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int => my_poll_alias {
        polling(fds, n, std::ptr::null(), || Deadline::after_ms(timeout), || real!(__poll(fds, n, timeout)))
    }
    fn __select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *mut timeval) -> c_int => my_select_alias {
        // SAFETY: the caller's arguments for the same call.
        unsafe { my_select(n, r, w, x, time) }
    }
}
