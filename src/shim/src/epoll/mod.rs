//! epoll(7) where the bell alone cannot tell the truth.
//!
//! While a tunnel is attached and its link is up, the kernel's registration of the bell is all there is. In the other
//! states it is changed before somebody waits: a tunnel that is down is registered without EPOLLOUT until the link comes
//! up; one whose interface was deleted reports EPOLLERR. One that is registered while unattached has no wait queue, as
//! with the driver: it is only looked at while it stands on epoll's ready list, stays there while a look finds something
//! (level-triggered), and nothing ever puts it there again but EPOLL_CTL_MOD. One that is not writable because whoever
//! captures is behind is registered without EPOLLOUT as well, and looked at every few milliseconds until it is writable
//! again, which is an edge.
//!
//! A registration itself is passed on as it is made, so that somebody who sleeps in the wait already wakes, finds that it
//! was for nothing and goes on waiting with care. What is known of an instance holds for all its descriptors
//! ([`instances`]); what others have registered is read from the kernel ([`adopt`]). A registration that this process
//! cannot change, because the number is closed or the tunnel is not here, is looked at every few milliseconds.
//!
//! | module | subject |
//! |---|---|
//! | [`instances`] | which descriptors are the same instance |
//! | [`registrations`] | what is registered in them, as far as this process knows |
//! | [`adopt`] | the same, where somebody else has registered it |
//! | [`care`] | what the kernel is told of a registration |
//! | [`waiting`] | epoll_wait, and what is true of the kernel's answers |

mod adopt;
mod care;
mod instances;
mod registrations;
mod waiting;

use crate::errno;
use crate::readiness::{self, State, Why};
use crate::table;
use care::{modify, DEEPEST};
use libc::{c_int, epoll_event};
use registrations::{mark, Target, EDGE, EXCLUSIVE, OUT, SHOT};

pub use adopt::adopt;
pub use care::look;
pub use instances::{duplicated, numbers_below};
pub use registrations::number_closed;
pub use waiting::{correct, is_ready, wait};

/// An epoll descriptor has been made.
pub fn created(epoll: c_int) {
    instances::created(epoll, registrations::instance_ended);
}

/// Has this process had an epoll descriptor?
#[inline]
pub fn is_used() -> bool {
    instances::any()
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
    let instance = instances::of(epoll);
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
        if answer == 0 && errno::keep(|| registrations::is_epoll(fd)) {
            registrations::remember(instance, fd, Target::Epoll, event, mark::PLAIN);
        }
        return answer;
    };
    tunnel.sleeps_uncounted();
    let dead = operation == libc::EPOLL_CTL_MOD && known.is_some_and(|r| r.mark() == mark::DEAD);
    let mut told = event;
    let mark = match State::of(tunnel.readiness()) {
        State::Error if operation == libc::EPOLL_CTL_ADD => mark::DEAD,
        _ if dead => mark::DEAD,
        State::Error => mark::GONE,
        State::Quiet(_) => mark::FRESH,
        State::Plain => mark::PLAIN,
    };
    if mark >= mark::GONE {
        told.events = 0;
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
        (event, r.mark())
    });
    registrations::remember(instance, fd, target, event, mark);
    let answer = host(&mut told);
    if answer != 0 {
        match before {
            Some((event, mark)) => registrations::remember(instance, fd, target, event, mark),
            None => {
                if let Some(entered) = registrations::find(instance, fd) {
                    entered.forget();
                }
            }
        }
    }
    answer
}

/// Does waiting on this epoll descriptor need care?
#[inline]
pub fn concerns(epoll: c_int) -> bool {
    registrations::any() && concerns_instance(instances::of(epoll), 0)
}

fn concerns_instance(instance: u32, depth: usize) -> bool {
    registrations::of(instance).any(|r| match r.target() {
        Target::Tunnel(_) => true,
        Target::Epoll => depth < DEEPEST && concerns_instance(instances::of(r.number()), depth + 1),
    })
}

/// A write was refused because whoever captures is behind: a thread that sleeps for the next edge has to look.
pub fn refused(fd: c_int) {
    if !registrations::any() || readiness::state(fd) != State::Quiet(Why::Capturer) {
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
            modify(epoll, registration, events);
        }
    }
}

/// The process is about to become another program: what it left out of a registration that carries no sign of that is put
/// in again.
pub fn before_exec() {
    if !registrations::any() {
        return;
    }
    for registration in registrations::all() {
        let quiet = registration.mark() == mark::QUIET && registration.events() & EXCLUSIVE != 0;
        let Some(epoll) = instances::number_of(registration.instance()).filter(|_| quiet) else {
            continue;
        };
        let stays = memtun_core::sys::fcntl(epoll, libc::F_GETFD, 0) == Ok(0);
        if stays && modify(epoll, registration, registration.events()) {
            registration.set_mark(mark::FRESH);
        }
    }
}
