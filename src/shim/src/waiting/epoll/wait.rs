//! Carries out epoll_wait(2): it adds the events that only this process can report, and removes
//! those of the kernel's events that are not true.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::care::{self, look, look_at, modify};
use super::instances::{self, DEEPEST};
use super::registrations::{
    self, mark, told, Registration, Target, EDGE, ERR, IN, OUT, SHOT, WOKEN_BY_DELETION,
};
use super::{adopt, sharing};
use crate::waiting::bed::{self, Bed};
use crate::waiting::deadline::{has_now, milliseconds, Deadline, Question};
use crate::waiting::stale;
use crate::waiting::state::{LinkBell, State};
use crate::{errno, host};
use libc::{c_int, epoll_event, pollfd, sigset_t};
use memtun_calls::readiness::epoll_bits;

/// The bits of events that are looked at, of those that say the same.
const SEEN: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLERR) as u32;

/// Is there an event, in an instance or in one nested in it, that only this process can report?
/// `depth` says how many instances the caller has descended already.
fn has_listed(instance: u32, depth: usize) -> bool {
    registrations::cares_in(instance).any(|r| match r.target() {
        // A single shot that was fired reports nothing, nor does an edge that was reported.
        Target::Epoll(inner) => {
            let told = r.events() & EDGE != 0 && r.mark() == mark::FRESH;
            r.events() & IN != 0 && !told && depth < DEEPEST && has_listed(inner, depth + 1)
        }
        Target::Tunnel(_) => {
            r.mark() >= mark::GONE && r.is_listed() && r.look() & (r.events() | ERR) != 0
        }
    })
}

/// Is an epoll descriptor ready to read, as poll(2) would report it of the driver? The kernel's
/// answer is checked against the states of the tunnels.
pub fn is_ready(epoll: c_int) -> bool {
    is_instance_ready(instances::of(epoll), Some(epoll), 0)
}

/// Does the work of [`is_ready`] for an instance. `epoll` is a descriptor of it, or `None` when
/// this process has none. `depth` says how many instances the caller has descended already.
fn is_instance_ready(instance: u32, epoll: Option<c_int>, depth: usize) -> bool {
    let found = look_at(instance);
    if has_listed(instance, 0) {
        return true;
    }
    if epoll.is_some_and(|epoll| !is_ready_to_kernel(epoll)) {
        return false;
    }
    // The kernel's ready list may hold an edge or a single shot that no thread has taken, although
    // the link went down since. The answer is no only if the look has found such a false report, or
    // if nothing is registered in the instance that this process does not know.
    let is_all = |there| there == registrations::count_in(instance);
    let alone = || {
        epoll.is_some_and(|epoll| {
            !has_left(instance) && adopt::count(epoll, None).is_some_and(is_all)
        })
    };
    let is_true = !(only_false(instance, depth) && (found.is_false || alone()));
    if let Some(epoll) = epoll.filter(|_| !is_true) {
        drop_false(instance, epoll);
    }
    is_true
}

/// Is an instance registered in this one of which this process has no number any more? Only the
/// kernel knows whether that registration has ended with it.
fn has_left(instance: u32) -> bool {
    let is_left = |r: &Registration| match r.target() {
        Target::Epoll(inner) => instances::number_of(inner).is_none(),
        Target::Tunnel(_) => false,
    };
    registrations::any_nested_in(instance) && registrations::of(instance).any(is_left)
}

/// Does the work of [`is_ready`] for an instance that is registered in another one.
fn is_inner_ready(instance: u32, depth: usize) -> bool {
    is_instance_ready(instance, instances::number_of(instance), depth)
}

/// Does the kernel report this epoll descriptor as ready to read?
fn is_ready_to_kernel(epoll: c_int) -> bool {
    errno::keep(|| has_now(epoll, libc::POLLIN))
}

/// Takes registrations off the kernel's ready list that stand there because their tunnel was
/// writable, and is not any more. Each is told to the kernel without EPOLLOUT, so it leaves the
/// list, and it comes back when there is room.
fn drop_false(instance: u32, epoll: c_int) {
    for registration in registrations::of(instance) {
        let may_stand_there = matches!(registration.target(), Target::Tunnel(_))
            && registration.mark() == mark::PLAIN
            && registration.events() & (EDGE | SHOT) != 0
            && registration.events() & OUT != 0
            && matches!(registration.state(), State::Quiet(_));
        if !may_stand_there || registration.is_fixed() {
            continue;
        }
        if !is_ready_to_kernel(epoll) {
            return;
        }
        let quiet = told(registration.events(), mark::QUIET);
        if modify(Some(epoll), registration, quiet) && !registration.is_fixed() {
            registration.ask_for_room();
            registration.is_told_of_no_room();
            registration.set_mark(mark::QUIET);
        }
    }
}

/// Is every event false that the kernel may report of the known registrations in this instance? The
/// kernel's false event is that a tunnel is writable although it is not.
fn only_false(instance: u32, depth: usize) -> bool {
    // The one that was ready at the last look often is the one that is ready.
    if registrations::ready_in(instance).is_some_and(|r| !is_false(r, depth)) {
        return false;
    }
    // A packet is seen at a glance, so the others are not asked for more before that.
    let mut all = registrations::of_from_ready(instance);
    let ready = match all.find(|r| r.has_packet()) {
        None => registrations::of(instance).find(|r| !is_false(r, depth)),
        some => some,
    };
    if let Some(ready) = ready {
        ready.is_ready_in(instance);
    }
    ready.is_none()
}

/// Is the event false that the kernel may report of this registration?
fn is_false(r: &Registration, depth: usize) -> bool {
    match r.target() {
        // What the kernel reports of such a registration is never true: only this process reports
        // its events.
        Target::Tunnel(_) if r.mark() >= mark::GONE => true,
        Target::Tunnel(_) => {
            let is_quiet = || r.look() & (r.events() | ERR) == 0;
            // An edge that is dropped here does not come again, so it must not be one that was
            // seen between the bell and the packet.
            is_quiet() && {
                if r.events() & IN != 0 {
                    r.await_queued();
                }
                is_quiet()
            }
        }
        Target::Epoll(inner) => {
            r.events() & IN == 0 || depth < DEEPEST && !is_inner_ready(inner, depth + 1)
        }
    }
}

/// Notes that a single shot has been fired: the kernel's registration asks no events any more, and
/// other processes have to read it anew.
fn fired(epoll: c_int, registration: &Registration) {
    registration.disarm();
    sharing::changed(epoll);
}

/// Returns the events to report of an inner epoll instance's registration. `is_ready` says whether
/// the inner instance has an event that only this process can report. An edge-triggered
/// registration and a single shot report it once; the mark FRESH of such a registration says that
/// it was reported.
fn tell_nested(epoll: c_int, registration: &Registration, is_ready: bool) -> u32 {
    let events = registration.events();
    let was_told = registration.mark() == mark::FRESH;
    registration.set_mark(if is_ready { mark::FRESH } else { mark::PLAIN });
    if !is_ready || events & EDGE != 0 && was_told {
        return 0;
    }
    if events & SHOT != 0 {
        fired(epoll, registration);
    }
    events & IN
}

/// Returns the events of an instance that only this process can report, and takes their
/// registrations off its ready list unless they are level-triggered.
fn take_listed(epoll: c_int) -> Vec<epoll_event> {
    let mut events = Vec::new();
    for registration in registrations::cares_in(instances::of(epoll)) {
        let ready = match registration.target() {
            Target::Epoll(inner) => tell_nested(epoll, registration, has_listed(inner, 1)),
            Target::Tunnel(_) if registration.mark() < mark::GONE => 0,
            Target::Tunnel(_) if !registration.take_listed() => 0,
            Target::Tunnel(_) => {
                let ready = registration.look() & (registration.events() | ERR);
                if ready != 0 && !modify(Some(epoll), registration, 0) {
                    registration.forget();
                    continue;
                }
                let stays = registration.events() & (EDGE | SHOT) == 0;
                let waits = registration.mark() == mark::SPENT && ready == 0;
                if ready != 0 && registration.events() & SHOT != 0 {
                    fired(epoll, registration);
                }
                registration.set_listed(ready != 0 && stays || waits);
                ready
            }
        };
        if ready != 0 {
            events.push(epoll_event {
                events: ready,
                u64: registration.data(),
            });
        }
    }
    events
}

/// Returns those of the bits that are true, in an event that the kernel reports of a tunnel; 0 when
/// none is. The registration is brought in line with what was reported. `state` is its tunnel's.
fn sift(epoll: c_int, registration: &Registration, bits: u32, state: State) -> u32 {
    let events = registration.events();
    let left = match state {
        _ if registration.mark() == mark::DEAD => 0,
        // This process has reported the single shot itself, and could not tell the kernel.
        _ if registration.is_disarmed() => 0,
        State::Quiet(_) if registration.mark() == mark::SPENT => bits & !OUT,
        State::Plain if registration.mark() == mark::SPENT => bits | registration.look() & events,
        // The bell rang because the interface was deleted. This process reports the deletion as
        // EPOLLERR.
        State::Error if registration.mark() < mark::FRESH && events & WOKEN_BY_DELETION == 0 => ERR,
        State::Error if registration.mark() < mark::GONE || registration.is_fixed() => 0,
        State::Quiet(_) if bits & OUT != 0 && registration.mark() < mark::GONE => {
            // The kernel has looked at the tunnel, so the driver would wake it when there is room.
            registration.ask_for_room();
            // Another descriptor may be registered with the same datum, and the event may be that
            // descriptor's.
            if adopt::count(epoll, Some(registration.data())).is_some_and(|n| n > 1) {
                return bits;
            }
            sift_out(epoll, registration, events, bits & !OUT)
        }
        _ if is_told_falsely(registration, bits) => sift_in(epoll, registration, bits),
        _ => bits,
    };
    if left != 0 && events & SHOT != 0 && registration.mark() < mark::GONE {
        // The single shot is spent, and only the program may arm it again.
        let is_hidden = registration.may_hide_shot();
        registration.set_mark(mark::PLAIN);
        fired(epoll, registration);
        if is_hidden {
            modify(Some(epoll), registration, registration.events());
        }
    }
    left
}

/// Does the kernel report something to read although nothing is queued? A registration that waits
/// for edges is the kernel's own to judge.
fn is_told_falsely(registration: &Registration, bits: u32) -> bool {
    bits & IN != 0
        && registration.events() & EDGE == 0
        && match registration.descriptor() {
            Some(fd) => stale::was_told_falsely(fd),
            // The number is closed in this process, and another one holds the tunnel.
            None => registration.readiness().is_some_and(|now| {
                let is_false = !now.readable && !now.error;
                if let (true, Target::Tunnel(inode)) = (is_false, registration.target()) {
                    stale::settle_of(inode);
                }
                is_false
            }),
        }
}

/// Brings a registration in line after the kernel has reported something to read, and there is
/// nothing. Returns the other reported bits.
fn sift_in(epoll: c_int, registration: &Registration, bits: u32) -> u32 {
    let (left, events) = (bits & !IN, registration.events());
    if left == 0 && events & SHOT != 0 && !registration.may_hide_shot() {
        // The single shot was fired for an event that is not true, so it is armed again. Where that
        // is not possible it is reported: one event too many is better than none ever.
        let armed = modify(Some(epoll), registration, told(events, registration.mark()));
        if armed && registration.is_fixed() {
            return bits;
        }
    }
    left
}

/// Brings a registration in line after the kernel has reported its tunnel as writable, which it is
/// not. `left` are the other reported bits, which are returned.
fn sift_out(epoll: c_int, registration: &Registration, events: u32, left: u32) -> u32 {
    if events & SHOT != 0 && left == 0 {
        // The single shot was fired for an event that is not true, so it is armed again.
        let armed = modify(Some(epoll), registration, told(events, mark::QUIET));
        if armed && registration.is_fixed() {
            registration.set_mark(mark::SPENT);
            registration.set_listed(true);
        } else if armed {
            registration.set_mark(mark::QUIET);
        }
    } else if events & EDGE != 0 && registration.mark() == mark::FRESH {
        // The kernel has reported the false edge, and the next one will be true.
        registration.set_mark(mark::PLAIN);
    } else if registration.mark() == mark::QUIET {
        // Another process has told the kernel of EPOLLOUT again, or it would not report it.
        registration.set_mark(mark::FRESH);
    }
    left
}

/// Removes from the kernel's events what is not true, and moves the rest to the front. Returns how
/// many events are left.
pub fn correct(epoll: c_int, events: &mut [epoll_event]) -> usize {
    let (mut kept, instance) = (0, instances::of(epoll));
    for at in 0..events.len() {
        let mut event = events[at];
        let data = event.u64;
        // The event is checked only if one registration has its datum: it does not say of which of
        // several registrations it is.
        if let Some((registration, true)) = registrations::with_datum(instance, data) {
            // Another descriptor than a tunnel's may have the same, too, which the kernel says; it
            // is asked only where the event is not the tunnel's as it is now, or an event of the
            // other's may have been taken for the tunnel's single shot.
            let truly = is_told_truly(registration, event.events);
            let is_certain = truly.is_some() && !registration.is_disarmed();
            if is_certain || !is_shared(epoll, data) {
                event.events = match registration.target() {
                    Target::Tunnel(_) => {
                        let state = truly.unwrap_or_else(|| registration.state());
                        sift(epoll, registration, event.events, state)
                    }
                    // Another process may have the inner instance still, or have closed it, and
                    // then the event is some other descriptor's with the same datum.
                    Target::Epoll(inner) if instances::number_of(inner).is_none() => event.events,
                    Target::Epoll(inner) if is_inner_ready(inner, 1) => {
                        if registration.events() & SHOT != 0 {
                            fired(epoll, registration);
                        }
                        event.events
                    }
                    Target::Epoll(_) => {
                        // A single shot that was fired for an event that is not true is armed
                        // again.
                        if registration.events() & SHOT != 0 {
                            modify(Some(epoll), registration, registration.events());
                        }
                        0
                    }
                };
            }
        }
        if event.events != 0 {
            events[kept] = event;
            kept += 1;
        }
    }
    kept
}

/// Returns the target's state if these bits are what it has now, and `None` if they are not.
fn is_told_truly(registration: &Registration, bits: u32) -> Option<State> {
    if let Target::Epoll(inner) = registration.target() {
        let is_ready = is_inner_ready(inner, 1);
        return is_ready.then_some(State::Plain);
    }
    let now = registration.readiness();
    if bits & SEEN & !now.map_or(0, epoll_bits) == 0 {
        return Some(now.map_or(State::Plain, State::of));
    }
    // A bell that rings for nothing falls silent, whatever becomes of the event. Whoever waits
    // next looks at what the state is.
    registration.changed();
    is_told_falsely(registration, bits);
    None
}

/// Does the kernel know more than one descriptor with this datum in the instance?
fn is_shared(epoll: c_int, data: u64) -> bool {
    adopt::count(epoll, Some(data)).is_some_and(|n| n > 1)
}

/// Merges an event of the kernel's into the event of the same registration among this process's own
/// (`ours`), and returns whether it did. It does so only where one registration alone has the
/// datum.
fn merged(epoll: c_int, event: &epoll_event, ours: &mut [epoll_event]) -> bool {
    let data = event.u64;
    let is_alone = || {
        let known = registrations::with_datum(instances::of(epoll), data);
        known.is_some_and(|(_, alone)| alone) && !is_shared(epoll, data)
    };
    match ours.iter_mut().find(|own| { own.u64 } == data) {
        Some(own) if is_alone() => {
            own.events |= event.events;
            true
        }
        _ => false,
    }
}

/// What a turn of a wait does next.
enum Step {
    /// The wait returns this.
    Return(c_int),
    /// The kernel's epoll_wait(2) tells the truth for so many milliseconds.
    Wait(c_int),
    /// The instance is polled, and what else wakes this thread.
    Poll(Question),
}

/// Carries out epoll_wait(2), epoll_pwait(2) and epoll_pwait2(2). `host` makes the kernel's call
/// with a buffer, its length and a time to wait. Returns the number of events, 0 when the deadline
/// has passed, or a negative number with errno set.
///
/// The calls that wait are made in this frame, which has nothing to clean up: the thread may be
/// cancelled there.
#[inline(always)]
pub fn wait(
    epoll: c_int,
    events: &mut [epoll_event],
    deadline: Deadline,
    mask: *const sigset_t,
    host: impl Fn(*mut epoll_event, c_int, c_int) -> c_int,
) -> c_int {
    host::cancellation_point();
    let bed = bed::begin();
    loop {
        let n = match next(bed, epoll, events, &deadline, mask, &host) {
            Step::Return(n) => return n,
            Step::Wait(ms) => {
                let n = host(events.as_mut_ptr(), events.len() as c_int, ms);
                told_by_kernel(epoll, events, n, &deadline)
            }
            Step::Poll(question) => woken(question.ask(mask), &deadline),
        };
        if let Some(n) = n {
            leave(bed);
            return n;
        }
    }
}

#[inline(never)]
extern "C" fn leave(bed: usize) {
    bed::leave(bed);
}

/// What the wait returns after the kernel's `n` events, if it is over.
#[inline(never)]
extern "C" fn told_by_kernel(
    epoll: c_int,
    events: &mut [epoll_event],
    n: c_int,
    deadline: &Deadline,
) -> Option<c_int> {
    if n <= 0 {
        return Some(n);
    }
    let kept = correct(epoll, &mut events[..n as usize]);
    (kept > 0 || deadline.over()).then_some(kept as c_int)
}

/// What the wait returns after `n` polled descriptors were ready, if it is over.
#[inline(never)]
extern "C" fn woken(n: c_int, deadline: &Deadline) -> Option<c_int> {
    (n < 0 || n == 0 && deadline.over()).then_some(n)
}

#[inline(never)]
extern "C" fn next(
    number: usize,
    epoll: c_int,
    events: &mut [epoll_event],
    deadline: &Deadline,
    mask: *const sigset_t,
    host: &impl Fn(*mut epoll_event, c_int, c_int) -> c_int,
) -> Step {
    let glance = |room: &mut [epoll_event]| {
        host::uncancelled(|| host(room.as_mut_ptr(), room.len() as c_int, 0))
    };
    let step = bed::with(number, |bed| {
        step(bed, epoll, events, deadline, mask, glance)
    });
    if matches!(step, Step::Return(_)) {
        bed::leave(number);
    }
    step
}

fn step(
    bed: &mut Bed,
    epoll: c_int,
    events: &mut [epoll_event],
    deadline: &Deadline,
    mask: *const sigset_t,
    glance: impl FnOnce(&mut [epoll_event]) -> c_int,
) -> Step {
    stale::settle();
    bed.links.clear();
    care::catch_up();
    if registrations::is_nothing_cared_for() {
        return Step::Wait(milliseconds(deadline.left()));
    }
    let found = look(epoll);
    let listed = take_listed(epoll);
    let ours = listed.len().min(events.len());
    events[..ours].copy_from_slice(&listed[..ours]);
    if ours == events.len() {
        return Step::Return(ours as c_int);
    }
    if ours == 0 && found.links.is_empty() && found.nap.is_none() {
        return Step::Wait(milliseconds(deadline.left()));
    }
    // The kernel's events go to a buffer of this process first, because events that are not true
    // must not stand in the program's memory.
    let mut told = events[ours..].to_vec();
    let n = glance(&mut told);
    if n < 0 && ours == 0 {
        return Step::Return(n);
    }
    let mut kept = correct(epoll, &mut told[..n.max(0) as usize]);
    if ours > 0 {
        // The kernel may report some bits of an event that is among this process's own.
        told.truncate(kept);
        told.retain(|event| !merged(epoll, event, &mut events[..ours]));
        kept = told.len();
    }
    events[ours..ours + kept].copy_from_slice(&told[..kept]);
    if ours + kept > 0 {
        return Step::Return((ours + kept) as c_int);
    }
    if deadline.over() {
        return Step::Return(0);
    }
    bed.links = found.links;
    bed.asked.clear();
    bed.asked.extend(bed.links.iter().map(LinkBell::question));
    // Polling an epoll descriptor that is always ready would return at once each time.
    if !found.is_false {
        bed.asked.push(pollfd {
            fd: epoll,
            events: libc::POLLIN,
            revents: 0,
        });
    }
    let time = match found.nap {
        Some(moment) => Some(deadline.nap(moment)),
        None => deadline.left(),
    };
    Step::Poll(Question::new(&mut bed.asked, time, mask))
}
