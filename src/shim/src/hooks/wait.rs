//! poll, select and epoll: a call goes straight on to libc unless a tunnel is down or unattached.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::cancel::deferred;
use crate::inet::calls as inet_calls;
use crate::real::{hooks, real};
use crate::table::{any, any_marked, is_tunnel};
use crate::waiting::deadline::Deadline;
use crate::waiting::poll::{correct, needs_care, poll as poll_with_care};
use crate::waiting::select::{select as select_with_care, sets_need_care, Asked};
use crate::waiting::sleepers::{self, Asleep};
use crate::waiting::state::State;
use crate::waiting::{epoll, news, stale};
use crate::{foreign, inet, listening, lost, table, view};
use libc::{c_int, epoll_event, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

/// poll(2): shows that a listener has lost an event in what [`poll_tunnels`] has answered.
#[inline]
fn polling(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let answer = match inet::is_active() && has_datagrams(fds, n) {
        true => poll_datagrams(fds, n, mask, deadline(), host),
        false => poll_tunnels(fds, n, mask, deadline, host),
    };
    if answer > 0 && listening::any() {
        lost_in_poll(fds, n);
    }
    answer
}

/// Are there sockets of UDP of a net among these?
#[cold]
#[inline(never)]
extern "C" fn has_datagrams(fds: *mut pollfd, n: nfds_t) -> bool {
    !fds.is_null()
        && n <= 1 << 20
        && readable(fds, n).is_some()
        && inet::errors::concern(fds, n as usize)
}

#[inline(never)]
extern "C" fn is_over(deadline: &Deadline) -> bool {
    deadline.over()
}

/// poll(2) with such sockets among the descriptors: an error that has come to one of them shows
/// as POLLERR, and not as something to read.
#[inline]
fn poll_datagrams(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if errors_there(fds, n) {
        let answer = real!(poll(fds, n, 0));
        return if answer < 0 {
            answer
        } else {
            errors_shown(fds, n)
        };
    }
    let mut answer = poll_tunnels(fds, n, mask, || deadline, host);
    while answer > 0 {
        let ready = errors_shown(fds, n);
        if ready > 0 || is_over(&deadline) {
            return ready;
        }
        answer = polled(fds, n, deadline, mask);
    }
    answer
}

/// poll(2): makes the call with `host` as it came, unless a tunnel among the descriptors needs
/// care.
#[inline]
fn poll_tunnels(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if fds.is_null() || n > 1 << 20 {
        return host();
    }
    if any_marked() && has_news(fds, n) {
        return poll_news(fds, n);
    }
    if any() || knows_tunnels() {
        return careful_poll(fds, n, mask, deadline, host);
    }
    // Another thread may open a tunnel while this call sleeps, and an epoll instance may then be
    // ready for an event that the tunnel does not have. In that case the wait may take its whole
    // time once more.
    let answer = host();
    if answer > 0 && (any() || knows_tunnels()) && corrected(fds, n) == 0 {
        return polled(fds, n, deadline(), mask);
    }
    answer
}

#[inline(always)]
fn careful_poll(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let (asleep, needs) = before(fds, n);
    let answer = match needs {
        Needs::Nothing => return host(),
        Needs::Answered(ready) if mask.is_null() => {
            crate::host::cancellation_point();
            return ready;
        }
        Needs::Care => polled(fds, n, deadline(), mask),
        Needs::Watch | Needs::Answered(_) => {
            let deadline = deadline();
            let answer = host();
            match answer > 0 {
                true => match corrected(fds, n) {
                    0 => polled(fds, n, deadline, mask),
                    ready => ready,
                },
                false => answer,
            }
        }
    };
    awake(asleep);
    answer
}

/// Is there a file of the view among these that says that something has changed?
#[cold]
extern "C" fn has_news(fds: *mut pollfd, n: nfds_t) -> bool {
    readable(fds, n).is_some_and(news::is_any)
}

/// poll(2) with such a file among the descriptors, which does not wait.
#[cold]
extern "C" fn poll_news(fds: *mut pollfd, n: nfds_t) -> c_int {
    let answer = real!(poll(fds, n, 0));
    if answer < 0 {
        return answer;
    }
    if answer > 0 && any() {
        corrected(fds, n);
    }
    // SAFETY: the array is the caller's and has `n` elements, which the kernel has just filled.
    news::show(unsafe { std::slice::from_raw_parts_mut(fds, n as usize) })
}

/// The caller's array, if its ends are readable.
fn readable<'p>(fds: *mut pollfd, n: nfds_t) -> Option<&'p [pollfd]> {
    let ends = [0, (n as usize).saturating_sub(1)];
    // SAFETY: an element is plain numbers, and it is read only to see that the array is readable.
    let bad = |i: usize| unsafe { crate::uaccess::read(fds.wrapping_add(i)) }.is_err();
    if n == 0 || ends.into_iter().any(bad) {
        return None;
    }
    // SAFETY: the array is the caller's and has `n` elements, of which the first and the last are
    // readable.
    Some(unsafe { std::slice::from_raw_parts(fds, n as usize) })
}

/// select(2) where a file with news or a socket with an error is among the descriptors, so that it
/// does not wait. `None` says that there is none.
#[cold]
extern "C" fn select_news(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
) -> Option<c_int> {
    let mut none = timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    // An error is something to read, and lets who writes go on.
    let found = [
        (x, news::in_set(n, x, view::has_news)),
        (r, news::in_set(n, r, inet::errors::is_there)),
        (w, news::in_set(n, w, inet::errors::is_there)),
    ];
    if found.iter().all(|(_, news)| news.is_none()) {
        return None;
    }
    let answer = select_all(n, r, w, x, &mut none);
    let added = |answer, (set, news): &(*mut fd_set, Option<news::News>)| match news {
        Some(news) => news.added(*set, answer),
        None => answer,
    };
    Some(found.iter().fold(answer, added))
}

/// select(2) past the files of the view.
#[inline(always)]
fn select_all(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *mut timeval,
) -> c_int {
    if any() || knows_tunnels() {
        let asleep = asleep_below(n);
        let answer = if selecting(n, r, w, x) {
            select_carefully(n, r, w, x, time)
        } else {
            let asked = asked_of(n, r, w, x);
            match selected_truly(n, r, real!(select(n, r, w, x, time)), &asked) {
                Some(answer) => answer,
                None => {
                    ask_again(&asked, r, w, x);
                    select_carefully(n, r, w, x, time)
                }
            }
        };
        awake(asleep);
        answer
    } else {
        real!(select(n, r, w, x, time))
    }
}

/// What a poll needs beside the kernel's answer.
enum Needs {
    Nothing,
    /// All descriptors are tunnels, and so many of them are ready, as the array says now.
    Answered(c_int),
    /// The answer needs a correction, because a packet may be taken by another reader, or an epoll
    /// instance may become ready for an event that is none.
    Watch,
    Care,
}

// The functions below are `extern "C"`: such a function never unwinds into its caller, so that no
// frame between the program and the wait has anything to clean up when the thread is cancelled
// there.

#[cold]
#[inline(never)]
extern "C" fn lost_in_poll(fds: *mut pollfd, n: nfds_t) {
    lost::in_poll(fds, n);
}

#[cold]
#[inline(never)]
extern "C" fn lost_in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) {
    lost::in_epoll(epoll, events, n);
}

#[inline(never)]
extern "C" fn errors_in_epoll(epoll: c_int, events: *mut epoll_event, n: c_int) {
    inet::errors::in_epoll(epoll, events, n);
}

#[inline(never)]
extern "C" fn errors_there(fds: *mut pollfd, n: nfds_t) -> bool {
    inet::errors::are_there(fds, n as usize)
}

#[inline(never)]
extern "C" fn errors_shown(fds: *mut pollfd, n: nfds_t) -> c_int {
    inet::errors::show(fds, n as usize)
}

#[inline(never)]
extern "C" fn look_around() {
    inet_calls::look();
}

#[inline]
fn knows_tunnels() -> bool {
    epoll::may_know_tunnels() && epoll_knows_tunnels()
}

#[inline(never)]
extern "C" fn epoll_knows_tunnels() -> bool {
    epoll::knows_tunnels()
}

#[inline(never)]
extern "C" fn before(fds: *mut pollfd, n: nfds_t) -> (Asleep, Needs) {
    let Some(array) = readable(fds, n) else {
        return (Asleep::default(), Needs::Nothing);
    };
    match Seen::in_array(array) {
        Seen { targets: 0, .. } => return (Asleep::default(), Needs::Nothing),
        Seen { care: true, .. } => {}
        seen => {
            let ready = seen.answer(fds, array);
            return (
                Asleep::default(),
                ready.map_or(Needs::Watch, Needs::Answered),
            );
        }
    }
    // This thread is counted as a sleeper before the states are looked at, so that no change
    // between the two goes unnoticed.
    let asleep = sleepers::on(array.iter().map(|p| p.fd));
    (asleep, needs(array))
}

#[inline(never)]
extern "C" fn awake(asleep: Asleep) {
    asleep.awake();
}

#[inline(never)]
extern "C" fn asleep_below(n: c_int) -> Asleep {
    sleepers::below(n)
}

fn needs(array: &[pollfd]) -> Needs {
    if needs_care(array) {
        // Some of the descriptors may be tunnels no more.
        for p in array {
            foreign::is_tunnel(p.fd);
        }
        if needs_care(array) {
            return Needs::Care;
        }
    }
    Needs::Watch
}

/// What one look at the descriptors of a poll has found.
struct Seen {
    /// Number of those that are tunnels, or epoll instances that may have some.
    targets: usize,
    /// Number of those that have something that was asked for.
    ready: c_int,
    /// Is there one of which the table alone does not know whether it is ready?
    others: bool,
    /// Is there one in a state in which the bell alone does not tell the truth, or one with
    /// O_ASYNC?
    care: bool,
    /// What the first ones have of what was asked for.
    revents: [i16; Seen::FEW],
}

impl Seen {
    /// Number of descriptors of a poll that is answered without the kernel. Who asks for more waits
    /// for something else as a rule.
    const FEW: usize = 8;

    /// Looks at the descriptors, and silences the bells that ring for nothing.
    fn in_array(array: &[pollfd]) -> Seen {
        let mut seen = Seen {
            targets: 0,
            ready: 0,
            others: false,
            care: false,
            revents: [0; Seen::FEW],
        };
        for (at, p) in array.iter().enumerate() {
            if is_tunnel(p.fd) {
                seen.targets += 1;
                match ready_events(p) {
                    Some(events) => {
                        seen.ready += c_int::from(events != 0);
                        if let Some(place) = seen.revents.get_mut(at) {
                            *place = events;
                        }
                    }
                    None => seen.care = true,
                }
            } else if p.fd >= 0 {
                seen.others = true;
                if epoll::is_target(p.fd) {
                    seen.targets += 1;
                    seen.care |= epoll::concerns_truly(p.fd);
                }
            }
        }
        if seen.others {
            stale::settle();
        }
        seen
    }

    /// Answers for the kernel if all are tunnels and one is ready: the kernel would not wait
    /// either. Returns how many are ready; `None` leaves the call to the kernel.
    #[inline]
    fn answer(&self, fds: *mut pollfd, array: &[pollfd]) -> Option<c_int> {
        if self.others || self.ready == 0 || array.len() > Seen::FEW {
            return None;
        }
        for (at, (p, revents)) in array.iter().zip(self.revents).enumerate() {
            let told = pollfd { revents, ..*p };
            crate::uaccess::write(fds.wrapping_add(at), &told).ok()?;
        }
        Some(self.ready)
    }
}

/// What a FIFO reports when it can be read, and when it can be written.
const READABLE: i16 = libc::POLLIN | libc::POLLRDNORM;
const WRITABLE: i16 = libc::POLLOUT | libc::POLLWRNORM;

/// The events of this question that a tunnel has now; `None` where the bell alone does not tell the
/// truth, or is more than a bell. A bell that rings for nothing is silenced.
#[inline]
fn ready_events(p: &pollfd) -> Option<i16> {
    let tunnel = table::hold(p.fd)?;
    if tunnel.has_signals() || tunnel.is_due() && foreign::check(p.fd, &tunnel).is_err() {
        return None;
    }
    tunnel.settle(p.fd);
    let now = tunnel.readiness();
    let plain = State::of(now) == State::Plain;
    let readable = if now.readable { READABLE } else { 0 };
    plain.then_some(p.events & (readable | WRITABLE))
}

#[inline(never)]
extern "C" fn polled(
    fds: *mut pollfd,
    n: nfds_t,
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the array is the caller's and has `n` elements, of which the first is readable.
    let array = unsafe { std::slice::from_raw_parts_mut(fds, n as usize) };
    poll_with_care(array, deadline, mask)
}

/// Corrects the kernel's answer. Returns the number of descriptors that are ready.
#[inline(never)]
extern "C" fn corrected(fds: *mut pollfd, n: nfds_t) -> c_int {
    // SAFETY: the array is the caller's and has `n` elements, which the kernel has just filled.
    let array = unsafe { std::slice::from_raw_parts_mut(fds, n as usize) };
    // These events never happen to a bell, so the descriptor is something else.
    let odd = libc::POLLNVAL | libc::POLLHUP;
    for p in array.iter().filter(|p| p.revents & odd != 0) {
        foreign::is_tunnel(p.fd);
    }
    crate::errno::keep(|| correct(array)) as c_int
}

/// A time argument; `None` for NULL.
fn time_of(time: *const timespec) -> Option<timespec> {
    // SAFETY: the pointer is NULL or the caller's argument, which is plain numbers.
    (!time.is_null())
        .then(|| unsafe { crate::uaccess::read(time) }.ok())
        .flatten()
}

#[inline(never)]
extern "C" fn asked_of(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set) -> Asked {
    // SAFETY: the sets are the caller's and have `n` bits.
    unsafe { Asked::of(n, [r, w, x]) }
}

/// Takes out of the answer of select(2) what is not true. `None` says that nothing is left.
#[inline(never)]
extern "C" fn selected_truly(
    n: c_int,
    r: *mut fd_set,
    answer: c_int,
    asked: &Asked,
) -> Option<c_int> {
    // SAFETY: the set is the caller's and has `n` bits.
    let left = answer - unsafe { asked.false_in(n, r, answer) };
    (left > 0 || left == answer).then_some(left)
}

#[inline(never)]
extern "C" fn ask_again(asked: &Asked, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set) {
    // SAFETY: the sets are those that were looked at before the call.
    unsafe { asked.put_back([r, w, x]) }
}

#[inline(never)]
extern "C" fn selecting(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set) -> bool {
    let sets = [r, w, x];
    stale::settle();
    // SAFETY: the sets are the caller's and have `n` bits.
    n > 0 && unsafe { sets_need_care(n, sets) } && {
        foreign::look_at(0, n - 1);
        // SAFETY: the sets are the caller's and have `n` bits.
        unsafe { sets_need_care(n, sets) }
    }
}

#[inline(never)]
extern "C" fn after_ms(timeout: c_int) -> Deadline {
    Deadline::after_ms(timeout)
}

#[inline(never)]
extern "C" fn after(time: *const timespec) -> Deadline {
    Deadline::after(time_of(time))
}

/// select(2), which stores what is left of the time.
#[inline(never)]
extern "C" fn select_carefully(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *mut timeval,
) -> c_int {
    let deadline = after_timeval(time);
    // SAFETY: the sets are the caller's and have `n` bits.
    let answer = unsafe { selected(n, r, w, x, deadline, std::ptr::null()) };
    store_left(&deadline, time);
    answer
}

#[inline(never)]
extern "C" fn after_timeval(time: *const timeval) -> Deadline {
    // SAFETY: the pointer is NULL or the caller's timeval, which is plain numbers.
    let given = (!time.is_null()).then(|| unsafe { crate::uaccess::read(time) }.ok());
    Deadline::after(given.flatten().map(|t| timespec {
        tv_sec: t.tv_sec,
        tv_nsec: t.tv_usec * 1000,
    }))
}

#[inline(never)]
extern "C" fn store_left(deadline: &Deadline, time: *mut timeval) {
    if let Some(left) = deadline.left() {
        let left = timeval {
            tv_sec: left.tv_sec,
            tv_usec: left.tv_nsec / 1000,
        };
        let _ = crate::uaccess::write(time, &left);
    }
}

/// # Safety
/// The sets are NULL or hold at least `n` bits.
#[inline(never)]
unsafe extern "C" fn selected(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the caller's contract.
    unsafe { select_with_care(n, [r, w, x], deadline, mask) }
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

/// epoll_wait(2): shows that a listener has lost an event in what [`epoll_tunnels`] has answered.
#[inline(always)]
fn epolling(
    epoll: c_int,
    events: *mut epoll_event,
    n: c_int,
    mask: *const sigset_t,
    deadline: impl Fn() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let answer = epoll_tunnels(epoll, events, n, mask, deadline, host);
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
    deadline: impl Fn() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if n <= 0 || events.is_null() {
        return host();
    }
    if epoll_concerns(epoll) {
        return epoll_waited(epoll, events, n, deadline(), mask);
    }
    // Without a tunnel nobody can register one before opening it; if that happens during the wait,
    // the wait may take its whole time once more.
    let known = if any() { Some(deadline()) } else { None };
    let answer = host();
    if answer <= 0 || !epoll_concerns(epoll) {
        return answer;
    }
    match epoll_corrected(epoll, events, answer) {
        0 => {
            let deadline = match known {
                Some(deadline) => deadline,
                None => deadline(),
            };
            epoll_waited(epoll, events, n, deadline, mask)
        }
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

/// select(2).
#[inline(always)]
fn select_any(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *mut timeval,
) -> c_int {
    if any_marked() || inet::errors::are_any() {
        if let Some(answer) = select_news(n, r, w, x) {
            return answer;
        }
    }
    select_all(n, r, w, x, time)
}

/// pselect(2).
#[inline(always)]
fn pselect_any(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    if any_marked() || inet::errors::are_any() {
        if let Some(answer) = select_news(n, r, w, x) {
            return answer;
        }
    }
    if !(any() || knows_tunnels()) {
        return real!(pselect(n, r, w, x, time, mask));
    }
    let asleep = asleep_below(n);
    let answer = if selecting(n, r, w, x) {
        // SAFETY: the sets are the caller's and have `n` bits.
        unsafe { selected(n, r, w, x, after(time), mask) }
    } else {
        let (asked, deadline) = (asked_of(n, r, w, x), after(time));
        match selected_truly(n, r, real!(pselect(n, r, w, x, time, mask)), &asked) {
            Some(answer) => answer,
            None => {
                ask_again(&asked, r, w, x);
                // SAFETY: the sets are the caller's and have `n` bits.
                unsafe { selected(n, r, w, x, deadline, mask) }
            }
        }
    };
    awake(asleep);
    answer
}

hooks! {
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int => my_poll {
        if timeout == 0 { look_around(); }
        deferred(|| polling(fds, n, std::ptr::null(), || after_ms(timeout), || real!(poll(fds, n, timeout))))
    }
    fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int => my_poll_chk {
        let host = || real!(__poll_chk(fds, n, timeout, room));
        if room / size_of::<pollfd>() < n as usize { host() } else { deferred(|| polling(fds, n, std::ptr::null(), || after_ms(timeout), host)) }
    }
    fn ppoll(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t) -> c_int => my_ppoll {
        deferred(|| polling(fds, n, mask, || after(time), || real!(ppoll(fds, n, time, mask))))
    }
    fn __ppoll_chk(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t, room: size_t) -> c_int => my_ppoll_chk {
        let host = || real!(__ppoll_chk(fds, n, time, mask, room));
        if room / size_of::<pollfd>() < n as usize { host() } else { deferred(|| polling(fds, n, mask, || after(time), host)) }
    }
    fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *mut timeval) -> c_int => my_select {
        deferred(|| select_any(n, r, w, x, time))
    }
    fn pselect(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *const timespec, mask: *const sigset_t) -> c_int => my_pselect {
        deferred(|| pselect_any(n, r, w, x, time, mask))
    }
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
        if timeout == 0 { look_around(); }
        let deadline = || after_ms(timeout);
        deferred(|| epolling(epoll, events, n, std::ptr::null(), deadline, || real!(epoll_wait(epoll, events, n, timeout))))
    }
    fn epoll_pwait(epoll: c_int, events: *mut epoll_event, n: c_int, timeout: c_int, mask: *const sigset_t) -> c_int => my_epoll_pwait {
        let deadline = || after_ms(timeout);
        deferred(|| epolling(epoll, events, n, mask, deadline, || real!(epoll_pwait(epoll, events, n, timeout, mask))))
    }
    fn epoll_pwait2(epoll: c_int, events: *mut epoll_event, n: c_int, time: *const timespec, mask: *const sigset_t) -> c_int => my_epoll_pwait2 {
        let deadline = || after(time);
        deferred(|| epolling(epoll, events, n, mask, deadline, || real!(epoll_pwait2(epoll, events, n, time, mask))))
    }
    fn __poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int => my_poll_alias {
        deferred(|| polling(fds, n, std::ptr::null(), || after_ms(timeout), || real!(__poll(fds, n, timeout))))
    }
    fn __select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *mut timeval) -> c_int => my_select_alias {
        // SAFETY: these are the caller's arguments for the same call.
        unsafe { my_select(n, r, w, x, time) }
    }
}
