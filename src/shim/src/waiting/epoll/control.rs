//! What the calls on epoll instances do to what is known of them, and when waiting on one needs
//! care.
#![forbid(unsafe_code)]

use super::adopt;
use super::care::modify;
use super::instances::{self, DEEPEST};
use super::registrations::{self, mark, told_to_others, Target, EDGE, EXCLUSIVE, OUT, SHOT};
use super::sharing;
use crate::errno;
use crate::table;
use crate::waiting::state::{state, State, Why};
use libc::{c_int, epoll_event};

/// An epoll descriptor has been made.
pub fn created(epoll: c_int) {
    instances::created(epoll, registrations::instance_ended);
}

/// `new` is another descriptor of what `old` is.
#[inline]
pub fn duplicated(old: c_int, new: c_int) {
    instances::duplicated(old, new, registrations::instance_ended);
}

/// A descriptor is closed that is no tunnel.
#[inline]
pub fn closed(fd: c_int) {
    instances::closed(fd, registrations::instance_ended);
}

/// A range of them is.
pub fn closed_range(first: u32, last: u32) {
    instances::closed_range(first, last, registrations::instance_ended);
}

/// Does waiting on this descriptor need care, and is it one of an epoll instance still? For calls
/// that do not say so.
pub fn concerns_truly(fd: c_int) -> bool {
    if !concerns(fd) {
        return false;
    }
    let is_epoll = errno::keep(|| adopt::is_epoll(fd) || !adopt::can_be_looked_at());
    if !is_epoll {
        instances::closed(fd, registrations::instance_ended);
    }
    is_epoll
}

/// May there be tunnels that are registered? For whoever asks [`knows_tunnels`] then.
#[inline]
pub fn may_know_tunnels() -> bool {
    registrations::any() || instances::any()
}

/// Are tunnels registered, of this process or of others?
#[inline]
pub fn knows_tunnels() -> bool {
    adopt::catch_up();
    registrations::any()
}

/// May a descriptor that somebody registers or waits for matter here?
#[inline]
pub fn is_target(fd: c_int) -> bool {
    table::is_tunnel(fd) || instances::is_known(fd)
}

/// epoll_ctl(2) on a tunnel or an epoll instance. `host` makes the call with an event of ours.
pub fn control(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: epoll_event,
    host: impl Fn(*mut epoll_event) -> c_int,
) -> c_int {
    if !instances::is_known(epoll) && errno::keep(|| adopt::is_epoll(epoll)) {
        created(epoll);
    }
    adopt::catch_up();
    let turn = sharing::hold(epoll);
    sharing::changed(epoll);
    let answer = control_known(epoll, operation, fd, event, turn.is_some(), host);
    if answer == 0 {
        sharing::changed(epoll);
    }
    answer
}

fn control_known(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: epoll_event,
    is_shared: bool,
    host: impl Fn(*mut epoll_event) -> c_int,
) -> c_int {
    let instance = instances::of(epoll);
    if let Some(tunnel) = table::hold(fd).filter(|_| registrations::any()) {
        registrations::is_back(instance, fd, tunnel.inode());
    }
    let known = registrations::find(instance, fd);
    if operation == libc::EPOLL_CTL_DEL {
        let answer = host(std::ptr::null_mut());
        if let Some(known) = known.filter(|_| answer == 0) {
            known.forget();
        }
        return answer;
    }
    let Some(tunnel) = table::hold(fd) else {
        let mut told = event;
        let answer = host(&mut told);
        if answer == 0 && errno::keep(|| is_epoll(fd)) {
            let target = Target::Epoll(instances::of(fd));
            registrations::remember(instance, fd, target, event, mark::PLAIN);
            registrations::ring_for_edges(instances::of(fd));
        }
        return answer;
    };
    const MAY_BE_EXCLUSIVE: u32 = EXCLUSIVE
        | EDGE
        | (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLWAKEUP)
            as u32;
    let was_exclusive = known.is_some_and(|r| r.events() & EXCLUSIVE != 0);
    if event.events & EXCLUSIVE != 0
        && (event.events & !MAY_BE_EXCLUSIVE != 0 || operation == libc::EPOLL_CTL_MOD)
    {
        return host(&mut { event });
    }
    if was_exclusive && operation == libc::EPOLL_CTL_MOD {
        errno::set(libc::EINVAL);
        return -1;
    }
    tunnel.sleeps_uncounted();
    let dead = operation == libc::EPOLL_CTL_MOD && known.is_some_and(|r| r.mark() == mark::DEAD);
    let mut told = event;
    let mark = match State::of(tunnel.glance()) {
        State::Error if operation == libc::EPOLL_CTL_ADD => mark::DEAD,
        _ if dead => mark::DEAD,
        State::Error => mark::GONE,
        State::Quiet(_) => mark::FRESH,
        State::Plain => mark::PLAIN,
    };
    if mark >= mark::GONE {
        told.events = 0;
    }
    if mark == mark::DEAD && event.events & EXCLUSIVE == 0 {
        // Whoever sleeps in a wait wakes once, and finds the error.
        told.events = libc::EPOLLOUT as u32 | SHOT;
    }
    if mark == mark::FRESH && is_shared {
        told.events = told_to_others(event.events);
    }
    if event.events & EDGE != 0 {
        tunnel.ring_always();
    }
    let target = Target::Tunnel(tunnel.inode());
    // Before the call, which wakes who sleeps in a wait; after it, the kernel's answer decides.
    let before = known.filter(|r| r.target() == target).map(|r| {
        let event = epoll_event {
            events: r.events(),
            u64: r.data(),
        };
        (event, r.mark(), r.is_listed(), r.is_fixed())
    });
    registrations::remember(instance, fd, target, event, mark);
    let answer = host(&mut told);
    if answer != 0 {
        match before {
            Some((event, mark, listed, fixed)) => {
                registrations::remember(instance, fd, target, event, mark);
                if let Some(known) = registrations::find(instance, fd) {
                    known.set_listed(listed);
                    if fixed {
                        known.fix();
                    }
                }
            }
            None => {
                if let Some(entered) = registrations::find(instance, fd) {
                    entered.forget();
                }
            }
        }
    } else {
        // The driver is asked only by a call that succeeds: who is told that there is no room is
        // woken when there is.
        tunnel.readiness();
        registrations::ring_for_edges(instance);
    }
    answer
}

/// Does waiting on this epoll descriptor need care?
#[inline]
pub fn concerns(epoll: c_int) -> bool {
    if instances::is_known(epoll) {
        adopt::catch_up();
    }
    registrations::any() && concerns_instance(instances::of(epoll), 0)
}

fn concerns_instance(instance: u32, depth: usize) -> bool {
    registrations::of(instance).any(|r| match r.target() {
        Target::Tunnel(_) => true,
        Target::Epoll(inner) => depth < DEEPEST && concerns_instance(inner, depth + 1),
    })
}

/// A write was refused because whoever captures is behind: a thread that sleeps for the next edge
/// has to look.
pub fn refused(fd: c_int) {
    if !registrations::any() || state(fd) != State::Quiet(Why::Capturer) {
        return;
    }
    let Some(inode) = table::hold(fd).map(|t| t.inode()) else {
        return;
    };
    for registration in registrations::of_inode(inode) {
        let events = registration.events();
        let sleeps = registration.mark() == mark::PLAIN
            && events & (EDGE | SHOT) == EDGE
            && events & OUT != 0;
        if let Some(epoll) = instances::number_of(registration.instance()).filter(|_| sleeps) {
            // A FIFO is always writable: the kernel wakes it.
            modify(Some(epoll), registration, events);
        }
    }
}

/// The process is about to become another program: what it left out of a registration that carries
/// no sign of that is put in again.
pub fn before_exec() {
    if !registrations::any() {
        return;
    }
    for registration in registrations::all() {
        let quiet = registration.mark() == mark::QUIET && registration.events() & EXCLUSIVE != 0;
        let Some(epoll) = instances::number_of(registration.instance()).filter(|_| quiet) else {
            continue;
        };
        let stays = memtun_sys::closes_on_exec(epoll) == Ok(false);
        if stays && modify(Some(epoll), registration, registration.events()) {
            registration.set_mark(mark::FRESH);
        }
    }
}

/// Is a descriptor that somebody registers another epoll's?
fn is_epoll(fd: c_int) -> bool {
    instances::is_known(fd) && adopt::is_epoll(fd)
}
