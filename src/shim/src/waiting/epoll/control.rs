//! Carries out epoll_ctl(2), keeps what is known of epoll instances when their descriptors are
//! made, duplicated or closed, and tells which descriptors need care when a thread waits.
#![forbid(unsafe_code)]

use super::care::modify;
use super::index;
use super::instances::{self, DEEPEST};
use super::registrations::{self, mark, told_to_others, Target, EDGE, EXCLUSIVE, OUT, SHOT};
use super::{adopt, sharing};
use crate::waiting::state::{state, State, Why};
use crate::{errno, table};
use libc::{c_int, epoll_event};

/// Notes that the program has made an epoll instance with this descriptor.
pub fn created(epoll: c_int) {
    instances::created(epoll, registrations::instance_ended, index::is_named);
}

/// Notes that `new` has become a duplicate of the descriptor `old`, whatever `old` is.
#[inline]
pub fn duplicated(old: c_int, new: c_int) {
    instances::duplicated(old, new, registrations::instance_ended);
}

/// Notes that the program closes a descriptor that is no tunnel's.
#[inline]
pub fn closed(fd: c_int) {
    instances::closed(fd, registrations::instance_ended);
}

/// Notes that the program closes the descriptors from `first` to `last`, both included.
pub fn closed_range(first: u32, last: u32) {
    instances::closed_range(first, last, registrations::instance_ended);
}

/// Does waiting on this descriptor need care, and does it still belong to an epoll instance? This
/// is for calls such as poll(2), which take any descriptor, so that the number may be another
/// file's now.
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

/// Has this process had any epoll instance?
#[inline(always)]
pub fn is_any() -> bool {
    instances::any()
}

/// Does this process know of a tunnel that is registered? [`knows_tunnels`] reads what other
/// processes have changed before.
#[inline(always)]
pub fn knows_some() -> bool {
    registrations::any()
}

/// Are tunnels registered in this process's epoll instances, by this process or by others that
/// share the instances?
#[inline]
pub fn knows_tunnels() -> bool {
    adopt::catch_up();
    registrations::any()
}

/// Is this descriptor known as an epoll instance's?
#[inline(always)]
pub fn is_instance(fd: c_int) -> bool {
    instances::is_known(fd)
}

/// Is this descriptor a tunnel's, or known as an epoll instance's? Only those need care when they
/// are registered or waited for.
#[inline]
pub fn is_target(fd: c_int) -> bool {
    table::is_tunnel(fd) || instances::is_known(fd)
}

/// Carries out epoll_ctl(2) with a tunnel or an epoll instance as `fd`. `host` makes the kernel's
/// call with the event that it is given, which may differ from the program's `event`. Returns what
/// epoll_ctl(2) returns, and sets errno like it.
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

/// Carries out [`control`] when the instance is known. `is_shared` says whether other processes
/// have the instance as well.
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
        // A thread that sleeps in epoll_wait(2) wakes once, and finds the error.
        told.events = libc::EPOLLOUT as u32 | SHOT;
    }
    if mark == mark::FRESH && is_shared {
        told.events = told_to_others(event.events);
    }
    if event.events & EDGE != 0 {
        tunnel.ring_always(fd);
    }
    if event.events & EXCLUSIVE != 0 {
        // A byte wakes one of those who wait in this way. While it stays, no packet wakes the next.
        tunnel.be_exact(fd);
    }
    // The kernel judges the registration in this call, and may wake a sleeping thread.
    tunnel.settle(fd);
    let target = Target::Tunnel(tunnel.inode());
    // The registration is entered before the call, because the call wakes a thread that sleeps in
    // epoll_wait(2), and that thread needs it. If the kernel refuses, the old one is put back.
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
        // The driver's poll function runs only in a call that succeeds. Likewise the readiness is
        // asked only here: a caller that is told that there is no room is woken when there is.
        tunnel.readiness();
        registrations::ring_for_edges(instance);
    }
    answer
}

/// Does waiting on this epoll descriptor need care, because a tunnel is registered in its instance
/// or in one nested in it?
#[inline]
pub fn concerns(epoll: c_int) -> bool {
    if instances::is_known(epoll) {
        adopt::catch_up();
    }
    registrations::any() && concerns_instance(instances::of(epoll), 0)
}

fn concerns_instance(instance: u32, depth: usize) -> bool {
    registrations::any_tunnel_in(instance)
        || depth < DEEPEST
            && registrations::any_nested_in(instance)
            && registrations::cares_in(instance).any(|r| match r.target() {
                Target::Tunnel(_) => true,
                Target::Epoll(inner) => concerns_instance(inner, depth + 1),
            })
}

/// Takes hold of the tunnels in which a packet is waited for in the instance of this descriptor, if
/// there are no more than places. Returns whether there are.
pub fn hold_few(epoll: c_int, places: &mut [Option<table::Held>]) -> bool {
    registrations::hold_few(instances::of(epoll), places)
}

/// Notes that a write to this tunnel was refused because the process that captures is behind. A
/// thread that sleeps until the next writable edge is woken, so that it looks every few
/// milliseconds whether the tunnel is writable again.
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
            // The FIFO is always writable, so modifying its registration makes the kernel wake the
            // sleeping thread.
            modify(Some(epoll), registration, events);
        }
    }
}

/// Prepares for execve(2). Where this process left EPOLLOUT out of an exclusive registration, it is
/// put in again, because such a registration carries no sign of that for the next program.
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

/// Does this descriptor belong to an epoll instance that this process knows?
fn is_epoll(fd: c_int) -> bool {
    instances::is_known(fd) && adopt::is_epoll(fd)
}
