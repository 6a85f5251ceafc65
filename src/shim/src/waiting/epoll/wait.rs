//! Waiting: what only this process can report, and what the kernel reports that is not so.
#![forbid(unsafe_code)]

use super::adopt;
use super::care::{look, look_at, modify};
use super::instances::{self, DEEPEST};
use super::registrations::{
    self, mark, told, Registration, Target, EDGE, ERR, EXCLUSIVE, IN, OUT, SHOT, WOKEN_BY_DELETION,
};
use super::sharing;
use crate::errno;
use crate::waiting::deadline::{host_ppoll, Deadline, NOW};
use crate::waiting::state::{LinkBell, State};
use libc::{c_int, epoll_event, pollfd, sigset_t, timespec};

/// Does only this process know of something to report?
fn has_listed(instance: u32, depth: usize) -> bool {
    registrations::of(instance).any(|r| match r.target() {
        // A single shot that was fired tells nothing, nor does an edge that was told.
        Target::Epoll(inner) => {
            let told = r.events() & EDGE != 0 && r.mark() == mark::FRESH;
            r.events() & IN != 0 && !told && depth < DEEPEST && has_listed(inner, depth + 1)
        }
        Target::Tunnel(_) => {
            r.mark() >= mark::GONE && r.is_listed() && r.look() & (r.events() | ERR) != 0
        }
    })
}

/// Is something to be had from this instance? As poll(2) sees it, and what the kernel says is
/// checked.
pub fn is_ready(epoll: c_int) -> bool {
    is_instance_ready(instances::of(epoll), Some(epoll))
}

fn is_instance_ready(instance: u32, epoll: Option<c_int>) -> bool {
    let found = look_at(instance);
    if has_listed(instance, 0) {
        return true;
    }
    if epoll.is_some_and(|epoll| !is_ready_to_kernel(epoll)) {
        return false;
    }
    // An edge or a single shot that nobody has taken stands there although the link went down
    // since.
    let tunnels = registrations::of(instance).count();
    let alone = || epoll.is_some_and(|epoll| adopt::count(epoll, None) == Some(tunnels));
    let is_true = !(only_false(instance) && (found.is_false || alone()));
    if let Some(epoll) = epoll.filter(|_| !is_true) {
        drop_false(instance, epoll);
    }
    is_true
}

fn is_ready_to_kernel(epoll: c_int) -> bool {
    let mut asked = [pollfd {
        fd: epoll,
        events: libc::POLLIN,
        revents: 0,
    }];
    errno::keep(|| host_ppoll(&mut asked, Some(NOW), std::ptr::null())) > 0
}

/// What stands on the ready list for room that is not there any more is looked at: it leaves the
/// list, and comes back when there is room.
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

/// Everything that the kernel can report of these registrations is the room that is not there.
fn only_false(instance: u32) -> bool {
    registrations::of(instance).all(|r| match r.target() {
        // What only this process can report is not what the kernel reports.
        Target::Tunnel(_) if r.mark() >= mark::GONE => true,
        Target::Tunnel(_) => r.look() & (r.events() | ERR) == 0,
        Target::Epoll(inner) => {
            r.events() & IN == 0 || !is_instance_ready(inner, instances::number_of(inner))
        }
    })
}

/// A single shot has been fired, and the kernel's registration says nothing any more.
fn fired(epoll: c_int, registration: &Registration) {
    registration.disarm();
    sharing::changed(epoll);
}

/// What an instance says of one that is registered in it, which has something that only we can
/// report, or not: an edge once, a single shot once. (The mark of such a registration says whether
/// it was told.)
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

/// Collects what only we can report.
fn take_listed(epoll: c_int) -> Vec<epoll_event> {
    let mut events = Vec::new();
    for registration in registrations::of(instances::of(epoll)) {
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

/// What is true of an event that the kernel reports of a tunnel, and which bits are left of it.
fn sift(epoll: c_int, registration: &Registration, bits: u32) -> u32 {
    let events = registration.events();
    let left = match registration.state() {
        _ if registration.mark() == mark::DEAD => 0,
        // A single shot that was fired from here, which the kernel could not be told.
        _ if events & SHOT != 0 && events & !(EDGE | SHOT | EXCLUSIVE) == 0 => 0,
        State::Quiet(_) if registration.mark() == mark::SPENT => bits & !OUT,
        State::Plain if registration.mark() == mark::SPENT => bits | registration.look() & events,
        // The bell rang for the deletion, which is reported by ourselves.
        State::Error if registration.mark() < mark::FRESH && events & WOKEN_BY_DELETION == 0 => ERR,
        State::Error if registration.mark() < mark::GONE || registration.is_fixed() => 0,
        State::Quiet(_) if bits & OUT != 0 && registration.mark() < mark::GONE => {
            // It has been looked at, and is to be woken when there is room.
            registration.ask_for_room();
            // Another descriptor may be registered with the same datum, and the event be its.
            if adopt::count(epoll, Some(registration.data())).is_some_and(|n| n > 1) {
                return bits;
            }
            sift_out(epoll, registration, events, bits & !OUT)
        }
        _ => bits,
    };
    if left != 0 && events & SHOT != 0 && registration.mark() < mark::GONE {
        // Nothing arms it again but the program.
        let is_hidden = registration.may_hide_shot();
        registration.set_mark(mark::PLAIN);
        fired(epoll, registration);
        if is_hidden {
            modify(Some(epoll), registration, registration.events());
        }
    }
    left
}

fn sift_out(epoll: c_int, registration: &Registration, events: u32, left: u32) -> u32 {
    if events & SHOT != 0 && left == 0 {
        // Fired for nothing: armed again.
        let armed = modify(Some(epoll), registration, told(events, mark::QUIET));
        if armed && registration.is_fixed() {
            registration.set_mark(mark::SPENT);
            registration.set_listed(true);
        } else if armed {
            registration.set_mark(mark::QUIET);
        }
    } else if events & EDGE != 0 && registration.mark() == mark::FRESH {
        // The edge is told, and the next one is true.
        registration.set_mark(mark::PLAIN);
    } else if registration.mark() == mark::QUIET {
        // Another process has told the kernel otherwise.
        registration.set_mark(mark::FRESH);
    }
    left
}

/// Takes out of the kernel's events what is not so. How many are left.
pub fn correct(epoll: c_int, events: &mut [epoll_event]) -> usize {
    let mut kept = 0;
    for at in 0..events.len() {
        let mut event = events[at];
        let data = event.u64;
        let mut matching = registrations::of(instances::of(epoll)).filter(|r| r.data() == data);
        if let Some(registration) = matching.next() {
            // With one datum for several, what holds for one need not hold for the others.
            if matching.next().is_none() {
                event.events = match registration.target() {
                    Target::Tunnel(_) => sift(epoll, registration, event.events),
                    Target::Epoll(inner)
                        if is_instance_ready(inner, instances::number_of(inner)) =>
                    {
                        let told = event.events & registration.events();
                        if told != 0 && registration.events() & SHOT != 0 {
                            fired(epoll, registration);
                        }
                        told
                    }
                    Target::Epoll(_) => {
                        // A single shot that was fired for nothing is armed again.
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

/// Is this event of the kernel's a part of one that stands among ours? Only where one registration
/// alone has its datum.
fn merged(epoll: c_int, event: &epoll_event, ours: &mut [epoll_event]) -> bool {
    let data = event.u64;
    let same = registrations::of(instances::of(epoll)).filter(|r| r.data() == data);
    match ours.iter_mut().find(|own| { own.u64 } == data) {
        Some(own) if same.count() == 1 => {
            own.events |= event.events;
            true
        }
        _ => false,
    }
}

/// epoll_wait(2) and its relatives. `host` waits with a time and gives the kernel's answer for a
/// buffer.
pub fn wait(
    epoll: c_int,
    events: &mut [epoll_event],
    deadline: Deadline,
    mask: *const sigset_t,
    host: impl Fn(&mut [epoll_event], Option<timespec>) -> c_int,
) -> c_int {
    loop {
        let found = look(epoll);
        let listed = take_listed(epoll);
        let ours = listed.len().min(events.len());
        events[..ours].copy_from_slice(&listed[..ours]);
        if ours == events.len() {
            return ours as c_int;
        }
        if ours > 0 || !found.links.is_empty() || found.nap.is_some() {
            // What is not so must not stand in the program's memory either.
            let mut told = events[ours..].to_vec();
            let n = host(&mut told, Some(NOW));
            if n < 0 && ours == 0 {
                return n;
            }
            let mut kept = correct(epoll, &mut told[..n.max(0) as usize]);
            if ours > 0 {
                // The kernel may know of a part of it.
                told.truncate(kept);
                told.retain(|event| !merged(epoll, event, &mut events[..ours]));
                kept = told.len();
            }
            events[ours..ours + kept].copy_from_slice(&told[..kept]);
            if ours + kept > 0 {
                return (ours + kept) as c_int;
            }
            if deadline.over() {
                return 0;
            }
            let mut asked: Vec<pollfd> = found.links.iter().map(LinkBell::question).collect();
            // One that is always ready would let nobody sleep.
            if !found.is_false {
                asked.push(pollfd {
                    fd: epoll,
                    events: libc::POLLIN,
                    revents: 0,
                });
            }
            let time = match found.nap {
                Some(moment) => Some(deadline.nap(moment)),
                None => deadline.left(),
            };
            let n = host_ppoll(&mut asked, time, mask);
            if n < 0 || n == 0 && deadline.over() {
                return errno::keep(|| {
                    drop(found);
                    n
                });
            }
            continue;
        }
        let n = host(events, deadline.left());
        if n <= 0 {
            return n;
        }
        let kept = correct(epoll, &mut events[..n as usize]);
        if kept > 0 {
            return kept as c_int;
        }
        if deadline.over() {
            return 0;
        }
    }
}
