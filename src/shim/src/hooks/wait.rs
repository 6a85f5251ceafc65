//! poll and select: a call goes straight on to libc unless a tunnel is among what is asked.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::cancel::deferred;
use crate::inet::calls as inet_calls;
use crate::real::{hooks, real};
use crate::table::{any, any_marked};
use crate::uaccess::{ends_readable, write_short};
use crate::waiting::awake::{self as awaiting, Awake};
use crate::waiting::deadline::Deadline;
use crate::waiting::poll::{
    before as poll_before, correct, needs_care, poll as poll_with_care, Needs,
};
use crate::waiting::select::{few, has_targets, select as select_with_care, sets_need_care, Asked};
use crate::waiting::sleepers::{self, Asleep};
use crate::waiting::{epoll, news, stale};
use crate::{concern, foreign, inet, listening, lost, view};
use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};

/// poll(2): shows that a listener has lost an event in what [`poll_tunnels`] has answered.
#[inline(always)]
fn polling(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    waits: bool,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let answer = match inet::is_active() && has_datagrams(fds, n) {
        true => poll_datagrams(fds, n, mask, deadline(), host),
        false => poll_files(fds, n, mask, waits, deadline, host),
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
#[inline(always)]
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
    let is_news = any_marked() && has_news(fds, n);
    let mut answer = match !is_news && are_deaf(fds, n) {
        true => polled(fds, n, deadline, mask),
        false => poll_files(fds, n, mask, true, || deadline, host),
    };
    while answer > 0 {
        let ready = errors_shown(fds, n);
        if ready > 0 || is_over(&deadline) {
            return ready;
        }
        answer = polled(fds, n, deadline, mask);
    }
    answer
}

/// poll(2) past those sockets: a file of the view that says something is not waited for.
#[inline(always)]
fn poll_files(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    waits: bool,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    match any_marked() && has_news(fds, n) {
        true => poll_news(fds, n),
        false => poll_tunnels(fds, n, mask, waits, deadline, host),
    }
}

/// poll(2): makes the call with `host` as it came, unless a tunnel among the descriptors needs
/// care.
#[inline(always)]
fn poll_tunnels(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    waits: bool,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    if fds.is_null() || n > 1 << 20 {
        return host();
    }
    if any() || knows_tunnels() {
        return careful_poll(fds, n, mask, waits, deadline, host);
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
    waits: bool,
    deadline: impl FnOnce() -> Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    match before(fds, n, waits && mask.is_null()) {
        Needs::Nothing => host(),
        Needs::Awake => {
            let deadline = deadline();
            if awake_in_poll(fds, n, &deadline) {
                crate::host::cancellation_point();
                return -1;
            }
            if let Needs::Answered(ready) = before(fds, n, false) {
                crate::host::cancellation_point();
                return ready;
            }
            let asleep = asleep_among(fds, n);
            let answer = polled(fds, n, deadline, mask);
            awake(asleep);
            answer
        }
        Needs::Answered(ready) if mask.is_null() => {
            crate::host::cancellation_point();
            ready
        }
        Needs::Watch | Needs::Answered(_) => watched(fds, n, mask, deadline(), host),
        Needs::Care => {
            // This thread is counted as a sleeper before the states are looked at, so that no
            // change between the two goes unnoticed.
            let asleep = asleep_among(fds, n);
            let answer = match needs_care_truly(fds, n) {
                true => polled(fds, n, deadline(), mask),
                false => watched(fds, n, mask, deadline(), host),
            };
            awake(asleep);
            answer
        }
    }
}

/// Makes the call with `host`, and corrects its answer.
#[inline(always)]
fn watched(
    fds: *mut pollfd,
    n: nfds_t,
    mask: *const sigset_t,
    deadline: Deadline,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let answer = host();
    match answer > 0 {
        true => match corrected(fds, n) {
            0 => polled(fds, n, deadline, mask),
            ready => ready,
        },
        false => answer,
    }
}

/// Is there a file of the view among these that says that something has changed?
#[cold]
extern "C" fn has_news(fds: *mut pollfd, n: nfds_t) -> bool {
    !fds.is_null() && n <= 1 << 20 && readable(fds, n).is_some_and(news::is_any)
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
#[inline]
fn readable<'p>(fds: *mut pollfd, n: nfds_t) -> Option<&'p [pollfd]> {
    if n == 0 || !ends_readable(fds as usize, n as usize * size_of::<pollfd>()) {
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
    if (any() || knows_tunnels()) && selects_targets(n, r, w, x) {
        if awake_in_select(n, r, w, x, time) {
            return -1;
        }
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

// The functions below are `extern "C"`: such a function never unwinds into its caller, so that no
// frame between the program and the wait has anything to clean up when the thread is cancelled
// there.

#[cold]
#[inline(never)]
extern "C" fn lost_in_poll(fds: *mut pollfd, n: nfds_t) {
    lost::in_poll(fds, n);
}

#[inline(never)]
extern "C" fn errors_there(fds: *mut pollfd, n: nfds_t) -> bool {
    inet::errors::are_there(fds, n as usize)
}

#[inline(never)]
extern "C" fn are_deaf(fds: *mut pollfd, n: nfds_t) -> bool {
    let array = readable(fds, n).unwrap_or(&[]);
    array.iter().any(inet::errors::is_deaf)
}

#[inline(never)]
extern "C" fn errors_shown(fds: *mut pollfd, n: nfds_t) -> c_int {
    inet::errors::show(fds, n as usize)
}

#[inline(never)]
pub(super) extern "C" fn look_around() {
    inet_calls::look();
}

/// Are tunnels registered in this process's epoll instances?
#[inline(always)]
fn knows_tunnels() -> bool {
    epoll::knows_some() || epoll::is_behind() && epoll_knows_tunnels()
}

#[cold]
#[inline(never)]
extern "C" fn epoll_knows_tunnels() -> bool {
    epoll::knows_tunnels()
}

#[inline(never)]
extern "C" fn before(fds: *mut pollfd, n: nfds_t, waits: bool) -> Needs {
    match readable(fds, n) {
        Some(array) => poll_before(array, waits, |at, events| {
            let place = fds.wrapping_add(at).cast::<u8>();
            let revents = place.wrapping_add(std::mem::offset_of!(pollfd, revents));
            write_short(revents.cast(), events).is_ok()
        }),
        None => Needs::Nothing,
    }
}

/// Begins a wait awake. Returns whether it fails, with errno set.
#[inline(never)]
extern "C" fn awake_in_poll(fds: *mut pollfd, n: nfds_t, deadline: &Deadline) -> bool {
    let array = readable(fds, n).unwrap_or(&[]);
    is_interrupted(awaiting::wait(array, deadline))
}

/// Begins a call of select(2) awake, whose time is shorter then.
#[inline(never)]
extern "C" fn awake_in_select(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *mut timeval,
) -> bool {
    // SAFETY: the sets are the caller's and have `n` bits.
    let Some((fds, count)) = (unsafe { few(n, [r, w, x]) }) else {
        return false;
    };
    let fds = &fds[..count];
    if !awaiting::is_any_worth(fds) {
        return false;
    }
    let deadline = after_timeval(time);
    let ended = awaiting::wait(fds, &deadline);
    if !time.is_null() {
        store_left(&deadline, time);
    }
    is_interrupted(ended)
}

pub(super) fn is_interrupted(ended: Awake) -> bool {
    let interrupted = ended == Awake::Interrupted;
    if interrupted {
        crate::errno::set(libc::EINTR);
    }
    interrupted
}

#[inline(never)]
extern "C" fn asleep_among(fds: *mut pollfd, n: nfds_t) -> Asleep {
    let array = readable(fds, n).unwrap_or(&[]);
    sleepers::on(array.iter().map(|p| p.fd))
}

#[inline(never)]
extern "C" fn needs_care_truly(fds: *mut pollfd, n: nfds_t) -> bool {
    let array = readable(fds, n).unwrap_or(&[]);
    // Some of the descriptors may be tunnels no more.
    needs_care(array) && {
        for p in array {
            foreign::is_tunnel(p.fd);
        }
        needs_care(array)
    }
}

#[inline(never)]
extern "C" fn awake(asleep: Asleep) {
    asleep.awake();
}

#[inline(never)]
extern "C" fn asleep_below(n: c_int) -> Asleep {
    sleepers::below(n)
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

/// Is a tunnel or an epoll instance among the descriptors? If not, the bells that ring for nothing
/// are silenced.
#[inline(never)]
extern "C" fn selects_targets(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set) -> bool {
    // SAFETY: the sets are the caller's and have `n` bits.
    let has_targets = unsafe { has_targets(n, [r, w, x]) };
    if !has_targets {
        stale::settle();
    }
    has_targets
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
pub(super) extern "C" fn after_ms(timeout: c_int) -> Deadline {
    Deadline::after_ms(timeout)
}

#[inline(never)]
pub(super) extern "C" fn after(time: *const timespec) -> Deadline {
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

// The calls of a process that may be concerned. They are functions of their own, so that the hooks
// above them are a look at one word and a jump.

#[inline(never)]
extern "C" fn poll_looking(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    deferred(move || {
        if !concern::is_only(concern::EPOLL | concern::TUNNEL) {
            return poll_among_all(fds, n, timeout);
        }
        let host = || real!(poll(fds, n, timeout));
        let waits = timeout != 0;
        poll_tunnels(fds, n, std::ptr::null(), waits, || after_ms(timeout), host)
    })
}

#[inline(never)]
extern "C" fn poll_among_all(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int {
    if timeout == 0 {
        look_around();
    }
    let host = || real!(poll(fds, n, timeout));
    let waits = timeout != 0;
    polling(fds, n, std::ptr::null(), waits, || after_ms(timeout), host)
}

#[inline(never)]
extern "C" fn ppoll_looking(
    fds: *mut pollfd,
    n: nfds_t,
    time: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    deferred(move || {
        let host = || real!(ppoll(fds, n, time, mask));
        polling(fds, n, mask, true, || after(time), host)
    })
}

#[inline(never)]
extern "C" fn select_looking(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *mut timeval,
) -> c_int {
    deferred(move || {
        if any_marked() || inet::errors::are_any() {
            if let Some(answer) = select_news(n, r, w, x) {
                return answer;
            }
        }
        select_all(n, r, w, x, time)
    })
}

#[inline(never)]
extern "C" fn pselect_looking(
    n: c_int,
    r: *mut fd_set,
    w: *mut fd_set,
    x: *mut fd_set,
    time: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    deferred(move || {
        if any_marked() || inet::errors::are_any() {
            if let Some(answer) = select_news(n, r, w, x) {
                return answer;
            }
        }
        if !((any() || knows_tunnels()) && selects_targets(n, r, w, x)) {
            return real!(pselect(n, r, w, x, time, mask));
        }
        // A mask of the call's, and a time that stays as it is, are the kernel's.
        if mask.is_null() && time.is_null() && awake_in_select(n, r, w, x, std::ptr::null_mut()) {
            return -1;
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
    })
}

hooks! {
    fn poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int => my_poll {
        if concern::is_none() {
            return real!(poll(fds, n, timeout));
        }
        poll_looking(fds, n, timeout)
    }
    fn __poll_chk(fds: *mut pollfd, n: nfds_t, timeout: c_int, room: size_t) -> c_int => my_poll_chk {
        if concern::is_none() || room / size_of::<pollfd>() < n as usize {
            return real!(__poll_chk(fds, n, timeout, room));
        }
        poll_looking(fds, n, timeout)
    }
    fn ppoll(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t) -> c_int => my_ppoll {
        if concern::is_none() {
            return real!(ppoll(fds, n, time, mask));
        }
        ppoll_looking(fds, n, time, mask)
    }
    fn __ppoll_chk(fds: *mut pollfd, n: nfds_t, time: *const timespec, mask: *const sigset_t, room: size_t) -> c_int => my_ppoll_chk {
        if concern::is_none() || room / size_of::<pollfd>() < n as usize {
            return real!(__ppoll_chk(fds, n, time, mask, room));
        }
        ppoll_looking(fds, n, time, mask)
    }
    fn select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *mut timeval) -> c_int => my_select {
        if concern::is_none() {
            return real!(select(n, r, w, x, time));
        }
        select_looking(n, r, w, x, time)
    }
    fn pselect(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *const timespec, mask: *const sigset_t) -> c_int => my_pselect {
        if concern::is_none() {
            return real!(pselect(n, r, w, x, time, mask));
        }
        pselect_looking(n, r, w, x, time, mask)
    }
    fn __poll(fds: *mut pollfd, n: nfds_t, timeout: c_int) -> c_int => my_poll_alias {
        // SAFETY: these are the caller's arguments for the same call.
        unsafe { my_poll(fds, n, timeout) }
    }
    fn __select(n: c_int, r: *mut fd_set, w: *mut fd_set, x: *mut fd_set, time: *mut timeval) -> c_int => my_select_alias {
        // SAFETY: these are the caller's arguments for the same call.
        unsafe { my_select(n, r, w, x, time) }
    }
}
