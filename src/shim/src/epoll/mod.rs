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

mod adopt;
mod instances;
mod registrations;

use crate::errno;
use crate::readiness::{self, Deadline, LinkBell, State, Why};
use crate::table;
use libc::{c_int, epoll_event, pollfd, sigset_t, timespec};
use registrations::{
    mark, Registration, Target, EDGE, ERR, EXCLUSIVE, IN, OUT, OUT_LEFT_OUT, SHOT,
};

pub use adopt::adopt;
pub use instances::{duplicated, numbers_below};
pub use registrations::number_closed;

/// The kernel nests instances no deeper (EP_MAX_NESTS).
const DEEPEST: usize = 5;

const NOW: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

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

/// What a look at the registrations of one epoll descriptor found.
#[derive(Default)]
pub struct Look {
    /// Links to wait for.
    pub links: Vec<LinkBell>,
    /// There is something that cannot be waited for: look again after a moment.
    pub nap: Option<timespec>,
    /// The kernel reports what is not so, and cannot be told: the descriptor is always ready.
    pub is_false: bool,
}

impl Look {
    fn nap_at_most(&mut self, moment: timespec) {
        if self.nap.is_none_or(|n| moment.tv_nsec < n.tv_nsec) {
            self.nap = Some(moment);
        }
    }
}

/// Changes the kernel's registration. False when the kernel does not know it any more.
fn modify(epoll: c_int, registration: &Registration, events: u32) -> bool {
    if registration.is_fixed() {
        return true;
    }
    let mut event = epoll_event {
        events,
        u64: registration.data(),
    };
    let number = registration.number();
    let mut call = |operation| {
        errno::keep(|| {
            match crate::hooks::wait::real_epoll_ctl(epoll, operation, number, &mut event) {
                0 => 0,
                _ => errno::get(),
            }
        })
    };
    let refused = if registration.events() & EXCLUSIVE != 0 {
        // Such a registration cannot be changed, only be made anew.
        call(libc::EPOLL_CTL_DEL);
        call(libc::EPOLL_CTL_ADD)
    } else {
        call(libc::EPOLL_CTL_MOD)
    };
    if refused != 0 && refused != libc::ENOENT {
        // The number is closed here, or another's, and the kernel goes on reporting the tunnel by it.
        registration.fix();
    }
    refused != libc::ENOENT
}

/// What the kernel is told of a registration with this mark.
fn told(events: u32, mark: u32) -> u32 {
    match mark {
        mark::PLAIN | mark::FRESH => events,
        // The kernel knows few bits of exclusive ones.
        mark::QUIET if events & EXCLUSIVE != 0 => events & !OUT,
        mark::QUIET => events & !OUT | OUT_LEFT_OUT,
        _ => 0,
    }
}

/// The mark that a registration with a wait queue should have now; None when it has it.
fn next_mark(registration: &Registration, state: State) -> Option<u32> {
    let events = registration.events();
    match (state, registration.mark()) {
        (_, mark::DEAD | mark::SPENT) => None,
        (State::Error, mark::GONE) | (State::Quiet(_), mark::QUIET) => None,
        (State::Error, _) => Some(mark::GONE),
        (State::Plain, mark::PLAIN) => None,
        (State::Plain, _) => Some(mark::PLAIN),
        (State::Quiet(_), mark::PLAIN | mark::FRESH) if events & OUT == 0 => None,
        // A full capture takes the place of a full send buffer: the next edge is when it has room.
        (State::Quiet(Why::Capturer), mark::PLAIN) if events & SHOT == 0 => Some(mark::QUIET),
        // An edge or a single shot says nothing of its own when the link goes down.
        (State::Quiet(_), mark::PLAIN) if events & (EDGE | SHOT) != 0 => None,
        (State::Quiet(_), _) => Some(mark::QUIET),
    }
}

/// Brings the kernel's registrations in line with the links.
pub fn look(epoll: c_int) -> Look {
    let mut found = Look::default();
    look_into(epoll, &mut found, 0);
    found
}

fn look_into(epoll: c_int, found: &mut Look, depth: usize) {
    for registration in registrations::of(instances::of(epoll)) {
        if registration.target() == Target::Epoll {
            if depth < DEEPEST {
                look_into(registration.number(), found, depth + 1);
            }
            continue;
        }
        let state = registration.state();
        if let Some(next) = next_mark(registration, state) {
            let is_as_told = registration.mark() == mark::FRESH && next == mark::PLAIN;
            // The epoll descriptor may have been closed, and its number be another's now.
            if !is_as_told && !modify(epoll, registration, told(registration.events(), next)) {
                registration.forget();
                continue;
            }
            if !registration.is_fixed() || next == mark::GONE {
                registration.set_listed(next == mark::GONE);
                registration.set_mark(next);
            }
        }
        let events = registration.events();
        let waits = registration.mark() == mark::QUIET || registration.is_fixed();
        if !waits || events & OUT == 0 && registration.mark() != mark::QUIET {
            continue;
        }
        let link = match state {
            State::Quiet(Why::Link) => registration.descriptor().and_then(readiness::link_bell),
            State::Quiet(Why::Capturer) => {
                found.nap_at_most(readiness::GLANCE);
                continue;
            }
            _ => continue,
        };
        match link {
            Some(link) if !registration.is_fixed() => found.links.push(link),
            _ => {
                found.is_false |= registration.is_fixed() && events & (EDGE | SHOT) == 0;
                found.nap_at_most(readiness::MOMENT);
            }
        }
    }
}

/// Does only this process know of something to report?
fn has_listed(epoll: c_int, depth: usize) -> bool {
    registrations::of(instances::of(epoll)).any(|r| match r.target() {
        Target::Epoll => depth < DEEPEST && has_listed(r.number(), depth + 1),
        Target::Tunnel(_) => {
            r.mark() >= mark::GONE && r.is_listed() && r.look() & (r.events() | ERR) != 0
        }
    })
}

/// Is something to be had from this instance? As poll(2) sees it, and what the kernel says is checked.
pub fn is_ready(epoll: c_int) -> bool {
    let found = look(epoll);
    let mut asked = [pollfd {
        fd: epoll,
        events: libc::POLLIN,
        revents: 0,
    }];
    let kernel = errno::keep(|| readiness::host_ppoll(&mut asked, Some(NOW), std::ptr::null()));
    has_listed(epoll, 0) || kernel > 0 && !(found.is_false && only_false(epoll))
}

/// Everything that the kernel can report of these registrations is the room that is not there.
fn only_false(epoll: c_int) -> bool {
    registrations::of(instances::of(epoll))
        .filter(|r| r.target() != Target::Epoll)
        .all(|r| r.look() & r.events() == 0)
}

/// Collects what only we can report.
fn take_listed(epoll: c_int) -> Vec<epoll_event> {
    let mut events = Vec::new();
    for registration in registrations::of(instances::of(epoll)) {
        let ready = match registration.target() {
            Target::Epoll if has_listed(registration.number(), 1) => registration.events() & IN,
            Target::Epoll => 0,
            Target::Tunnel(_) if registration.mark() < mark::GONE => 0,
            Target::Tunnel(_) if !registration.take_listed() => 0,
            Target::Tunnel(_) => {
                let ready = registration.look() & (registration.events() | ERR);
                if ready != 0 && !modify(epoll, registration, 0) {
                    registration.forget();
                    continue;
                }
                let stays = registration.events() & (EDGE | SHOT) == 0;
                let waits = registration.mark() == mark::SPENT && ready == 0;
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

/// What is true of an event that the kernel reports of a tunnel, and which bits are left of it.
fn sift(epoll: c_int, registration: &Registration, bits: u32) -> u32 {
    match registration.state() {
        // The bell rang for the deletion, which is reported by ourselves.
        State::Error if registration.mark() < mark::GONE || registration.is_fixed() => 0,
        State::Quiet(_) if bits & OUT != 0 && registration.mark() < mark::GONE => {
            let left = bits & !OUT;
            let events = registration.events();
            if events & SHOT != 0 && left == 0 {
                // Fired for nothing: armed again.
                let armed = modify(epoll, registration, told(events, mark::QUIET));
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
        _ => bits,
    }
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
                    Target::Epoll if is_ready(registration.number()) => event.events,
                    Target::Epoll => 0,
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

/// epoll_wait(2) and its relatives. `host` waits with a time and gives the kernel's answer for a buffer.
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
            let n = host(&mut events[ours..], Some(NOW));
            if n < 0 && ours == 0 {
                return n;
            }
            let n = n.max(0) as usize;
            let kept = correct(epoll, &mut events[ours..ours + n]);
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
            let n = readiness::host_ppoll(&mut asked, time, mask);
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
