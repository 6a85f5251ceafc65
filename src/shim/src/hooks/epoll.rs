//! epoll: a call goes straight on to libc unless a tunnel is registered.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::cancel::deferred;
use super::wait::{after, after_ms, is_interrupted, look_around};
use crate::real::{hooks, real};
use crate::table::{any, any_marked, is_tunnel};
use crate::waiting::awake as awaiting;
use crate::waiting::deadline::Deadline;
use crate::waiting::epoll;
use crate::{concern, foreign, inet, listening, lost, view};
use libc::{c_int, epoll_event, sigset_t, timespec};

#[cold]
#[inline(never)]
extern "C" fn lost_in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) {
    lost::in_epoll(epoll, events, n);
}

#[inline(never)]
extern "C" fn errors_in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) {
    inet::errors::in_epoll(epoll, events, n);
}

/// Has one of these registrations, which may be another process's, been told?
#[inline(never)]
extern "C" fn deaf_among(events: *mut epoll_event, n: c_int) -> bool {
    // SAFETY: the kernel filled `n` elements of the caller's array.
    inet::deaf::are_among(unsafe { std::slice::from_raw_parts(events, n as usize) })
}

/// Corrects what registrations that ask for nothing to read have found. Returns how many events are
/// left.
#[cold]
#[inline(never)]
extern "C" fn deaf_in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) -> c_int {
    // SAFETY: the kernel filled `n` elements of the caller's array.
    let told = unsafe { std::slice::from_raw_parts_mut(events, n as usize) };
    crate::errno::keep(|| inet::deaf::show(epoll, told)) as c_int
}

#[cold]
#[inline(never)]
extern "C" fn told_for(epoll: c_int, fd: c_int, event: &mut epoll_event) -> bool {
    let told = crate::errno::keep(|| inet::deaf::told(epoll, fd, *event));
    told.is_some_and(|told| {
        *event = told;
        true
    })
}

#[inline(never)]
extern "C" fn awake_in_epoll(epoll: c_int, deadline: &Deadline) -> bool {
    is_interrupted(awaiting::wait_in_epoll(epoll, deadline))
}

/// epoll_wait(2) and its relatives.
#[inline(always)]
fn epoll_waiting(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the array is the caller's and has `n` events, which the kernel would fill.
    let array = unsafe { std::slice::from_raw_parts_mut(events, n as usize) };
    epoll::wait(epoll, array, deadline, mask, |place, most, ms| {
        // A sandbox may allow one of the two calls and forbid the other.
        match mask.is_null() {
            true => real!(epoll_wait(epoll, place, most, ms)),
            false => real!(epoll_pwait(epoll, place, most, ms, mask)),
        }
    })
}

#[inline(never)]
extern "C" fn epoll_concerns(epoll: c_int) -> bool {
    epoll::concerns(epoll)
}

#[inline(never)]
extern "C" fn epoll_waited(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    epoll_waiting(epoll, events, n, deadline, mask)
}

/// Corrects the kernel's answer of `n` events. Returns the number of events that are left.
#[inline(never)]
extern "C" fn epoll_corrected(epoll: c_int, events: *mut epoll_event, n: c_int) -> c_int {
    // SAFETY: the kernel filled `n` elements of the caller's array.
    let told = unsafe { std::slice::from_raw_parts_mut(events, n as usize) };
    crate::errno::keep(|| epoll::correct(epoll, told)) as c_int
}

/// The time argument of a call.
#[derive(Clone, Copy)]
enum Time {
    Ms(c_int),
    Of(*const timespec),
}

impl Time {
    #[inline(always)]
    fn deadline(self) -> Deadline {
        match self {
            Time::Ms(timeout) => after_ms(timeout),
            Time::Of(time) => after(time),
        }
    }
}

/// Can no tunnel be registered in any epoll instance, and nothing of the net's?
#[inline(always)]
fn is_machines() -> bool {
    concern::is_only(concern::EPOLL) && !epoll::is_behind()
}

/// epoll_wait(2) has answered in a process that was not concerned when it began. Another thread may
/// have opened a tunnel and registered it since.
#[inline(always)]
fn epolled(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    mask: *const sigset_t,
    time: Time,
    answer: c_int,
) -> c_int {
    if answer <= 0 || is_machines() {
        return answer;
    }
    deferred(|| {
        let answer = epoll_after(epoll, events, n, mask, answer, || time.deadline());
        epoll_heard(epoll, events, n, mask, answer, || time.deadline())
    })
}

/// epoll_wait(2): shows that a listener has lost an event in what [`epoll_tunnels`] has answered.
#[inline(always)]
fn epolling(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    mask: *const sigset_t,
    time: Time,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if inet::deaf::is_any() {
        let deadline = time.deadline();
        let answer = epoll_tunnels(epoll, events, n, mask, time, host);
        return epoll_heard(epoll, events, n, mask, answer, || deadline);
    }
    let answer = epoll_tunnels(epoll, events, n, mask, time, host);
    epoll_heard(epoll, events, n, mask, answer, || time.deadline())
}

/// Goes on waiting where all that the kernel has answered is something to read that nobody has
/// asked for.
#[inline(always)]
fn epoll_heard(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    mask: *const sigset_t,
    answer: c_int,
    deadline: impl FnOnce() -> Deadline,
) -> c_int {
    let mut answer = answer;
    if answer > 0 && (inet::deaf::is_any() || inet::is_active() && deaf_among(events, answer)) {
        answer = deaf_in_epoll(epoll, events, answer);
        if answer == 0 {
            let deadline = deadline();
            while answer == 0 && !is_late(&deadline) {
                answer = epoll_waited(epoll, events, n, deadline, mask);
                if answer == 0 {
                    break;
                }
                if answer > 0 {
                    answer = deaf_in_epoll(epoll, events, answer);
                }
            }
        }
    }
    epoll_shown(epoll, events, answer)
}

#[inline(never)]
extern "C" fn is_late(deadline: &Deadline) -> bool {
    deadline.over()
}

#[inline(always)]
fn epoll_shown(epoll: c_int, events: *mut epoll_event, answer: c_int) -> c_int {
    if answer > 0 && listening::any() {
        lost_in_epoll(epoll, events, answer);
    }
    if answer > 0 && inet::is_active() {
        errors_in_epoll(epoll, events, answer);
    }
    answer
}

/// epoll_wait(2): makes the call with `host` as it came, unless a registered tunnel needs care. A
/// tunnel may also be registered while this sleeps.
#[inline(always)]
fn epoll_tunnels(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    mask: *const sigset_t,
    time: Time,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if n <= 0 || events.is_null() {
        return host();
    }
    if epoll_concerns(epoll) {
        let deadline = time.deadline();
        if mask.is_null() && awake_in_epoll(epoll, &deadline) {
            crate::host::cancellation_point();
            return -1;
        }
        return epoll_waited(epoll, events, n, deadline, mask);
    }
    // Without a tunnel nobody can register one before opening it; if that happens during the wait,
    // the wait may take its whole time once more.
    let known = if any() { Some(time.deadline()) } else { None };
    let answer = host();
    epoll_after(epoll, events, n, mask, answer, || match known {
        Some(deadline) => deadline,
        None => time.deadline(),
    })
}

/// Corrects the kernel's answer if a tunnel has been registered while the call slept.
#[inline(always)]
fn epoll_after(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    mask: *const sigset_t,
    answer: c_int,
    deadline: impl FnOnce() -> Deadline,
) -> c_int {
    if answer <= 0 || !epoll_concerns(epoll) {
        return answer;
    }
    match epoll_corrected(epoll, events, answer) {
        0 => epoll_waited(epoll, events, n, deadline(), mask),
        left => left,
    }
}

/// Called with a new epoll descriptor, if the call succeeded.
fn made(epoll: c_int) -> c_int {
    if epoll >= 0 {
        epoll::created(epoll);
    }
    epoll
}

/// epoll_ctl(2), with the real function behind it.
#[inline]
fn controlling(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
    host: impl Fn(*mut epoll_event) -> c_int,
) -> c_int {
    if !epoll::is_target(fd) || is_tunnel(fd) && !foreign::is_tunnel(fd) {
        if operation != libc::EPOLL_CTL_DEL && inet::is_active() {
            // SAFETY: the pointer is NULL or the caller's event, which is plain numbers.
            if let Ok(mut given) = unsafe { crate::uaccess::read(event) } {
                if told_for(epoll, fd, &mut given) {
                    return host(&raw mut given);
                }
            }
        }
        return host(event);
    }
    // SAFETY: the pointer is NULL or the caller's event, which is plain numbers.
    match unsafe { crate::uaccess::read(event) } {
        Err(_) if operation != libc::EPOLL_CTL_DEL => host(event),
        given => {
            let given = given.unwrap_or(epoll_event { events: 0, u64: 0 });
            epoll::control(epoll, operation, fd, given, host)
        }
    }
}

#[inline(never)]
extern "C" fn epoll_looking(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    timeout: c_int,
) -> c_int {
    deferred(|| {
        if timeout == 0 {
            look_around();
        }
        let host = || real!(epoll_wait(epoll, events, n, timeout));
        epolling(epoll, events, n, std::ptr::null(), Time::Ms(timeout), host)
    })
}

hooks! {
    fn epoll_create(size: c_int) -> c_int => my_epoll_create {
        made(real!(epoll_create(size)))
    }
    fn epoll_create1(flags: c_int) -> c_int => my_epoll_create1 {
        made(real!(epoll_create1(flags)))
    }
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut epoll_event) -> c_int => my_epoll_ctl {
        match any_marked().then(|| view::in_place_of(fd, operation)).flatten() {
            Some(Ok(other)) => real!(epoll_ctl(epoll, operation, other, event)),
            Some(Err(e)) => crate::errno::give::<c_int>(Err(e)) as c_int,
            None => controlling(epoll, operation, fd, event, |e| real!(epoll_ctl(epoll, operation, fd, e))),
        }
    }
    fn epoll_wait(epoll: c_int, events: *mut epoll_event, n: c_int, timeout: c_int) -> c_int => my_epoll_wait {
        let host = || real!(epoll_wait(epoll, events, n, timeout));
        match is_machines() {
            true => epolled(epoll, events, n, std::ptr::null(), Time::Ms(timeout), host()),
            false => epoll_looking(epoll, events, n, timeout),
        }
    }
    fn epoll_pwait(epoll: c_int, events: *mut epoll_event, n: c_int, timeout: c_int, mask: *const sigset_t) -> c_int => my_epoll_pwait {
        let host = || real!(epoll_pwait(epoll, events, n, timeout, mask));
        match is_machines() {
            true => epolled(epoll, events, n, mask, Time::Ms(timeout), host()),
            false => deferred(|| epolling(epoll, events, n, mask, Time::Ms(timeout), host)),
        }
    }
    fn epoll_pwait2(epoll: c_int, events: *mut epoll_event, n: c_int, time: *const timespec, mask: *const sigset_t) -> c_int => my_epoll_pwait2 {
        let host = || real!(epoll_pwait2(epoll, events, n, time, mask));
        match is_machines() {
            true => epolled(epoll, events, n, mask, Time::Of(time), host()),
            false => deferred(|| epolling(epoll, events, n, mask, Time::Of(time), host)),
        }
    }
}
