//! epoll(7) where the bell alone cannot tell the truth.
//!
//! While a tunnel is attached and its link is up, the kernel's registration of the bell is all there is. In the other
//! states it is changed: a tunnel that is down is registered without EPOLLOUT until the link comes up; one whose interface
//! was deleted reports EPOLLERR. One that is registered while unattached has no wait queue, as with the driver: it is only
//! looked at while it stands on epoll's ready list, stays there while a look finds something (level-triggered), and nothing
//! ever puts it there again but EPOLL_CTL_MOD. One that is not writable because whoever captures is behind is registered
//! without EPOLLOUT as well, and looked at every few milliseconds until it is writable again, which is an edge. epoll_wait finds these in a table of registrations of this process. (A
//! registration made by another process is not in it: then only the plain states are right.)

use crate::errno;
use crate::readiness::{self, Deadline, LinkBell, State, Why};
use crate::table;
use libc::{c_int, epoll_event, pollfd, sigset_t};
use std::sync::atomic::{
    AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const OUT: u32 = (libc::EPOLLOUT | libc::EPOLLWRNORM | libc::EPOLLWRBAND) as u32;
const IN: u32 = (libc::EPOLLIN | libc::EPOLLRDNORM) as u32;
const ERR: u32 = libc::EPOLLERR as u32;
const SHOT: u32 = libc::EPOLLONESHOT as u32;
const ONCE: u32 = libc::EPOLLET as u32 | libc::EPOLLONESHOT as u32;

/// What the kernel has been told.
mod mark {
    /// What the program asked.
    pub const PLAIN: u32 = 0;
    /// The same without EPOLLOUT.
    pub const QUIET: u32 = 1;
    /// Nothing: the interface was deleted.
    pub const GONE: u32 = 2;
    /// Nothing: registered while unattached, without a wait queue.
    pub const DEAD: u32 = 3;
}

struct Registration {
    /// 1 + (epoll descriptor << 32 | descriptor), 0 when free.
    key: AtomicU64,
    events: AtomicU32,
    mark: AtomicU32,
    /// 1: on the ready list, for what only we can report.
    listed: AtomicU32,
    data: AtomicU64,
}

const PLACES: usize = 2048;
static TABLE: [Registration; PLACES] = [const {
    Registration {
        key: AtomicU64::new(0),
        events: AtomicU32::new(0),
        mark: AtomicU32::new(0),
        listed: AtomicU32::new(0),
        data: AtomicU64::new(0),
    }
}; PLACES];
/// Places beyond have never been used.
static USED: AtomicUsize = AtomicUsize::new(0);
/// Registrations in the table.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn key(epoll: c_int, fd: c_int) -> u64 {
    1 + ((epoll as u32 as u64) << 32 | fd as u32 as u64)
}

impl Registration {
    fn is_of(&self, epoll: c_int) -> bool {
        let key = self.key.load(Acquire);
        key != 0 && (key - 1) >> 32 == epoll as u32 as u64
    }
    fn fd(&self) -> c_int {
        (self.key.load(Acquire).wrapping_sub(1)) as u32 as c_int
    }
    fn forget(&self) {
        if self.key.swap(0, AcqRel) != 0 {
            COUNT.fetch_sub(1, Relaxed);
        }
    }
}

fn used() -> &'static [Registration] {
    &TABLE[..USED.load(Acquire).min(PLACES)]
}

fn find(epoll: c_int, fd: c_int) -> Option<&'static Registration> {
    used()
        .iter()
        .find(|r| r.key.load(Acquire) == key(epoll, fd))
}

fn remember(epoll: c_int, fd: c_int, event: epoll_event, mark: u32) {
    let fill = |r: &Registration| {
        r.events.store(event.events, Relaxed);
        r.data.store(event.u64, Relaxed);
        let ready = mark >= mark::GONE && look_at(fd) & (event.events | ERR) != 0;
        r.listed.store(ready as u32, Relaxed);
        r.mark.store(mark, Release);
    };
    if let Some(known) = find(epoll, fd) {
        return fill(known);
    }
    for (i, place) in TABLE.iter().enumerate() {
        if place
            .key
            .compare_exchange(0, key(epoll, fd), AcqRel, Relaxed)
            .is_ok()
        {
            fill(place);
            USED.fetch_max(i + 1, AcqRel);
            COUNT.fetch_add(1, Relaxed);
            return;
        }
    }
    log::warn!(
        "more than {PLACES} epoll registrations of tunnels: link changes do not reach the rest"
    );
}

/// A tunnel's descriptor has been closed here.
pub fn forget(fd: c_int) {
    if COUNT.load(Relaxed) == 0 {
        return;
    }
    for registration in used() {
        if registration.key.load(Acquire) != 0 && registration.fd() == fd {
            registration.forget();
        }
    }
}

/// epoll_ctl(2) on a tunnel. `host` makes the call with an event of ours.
pub fn control(
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: epoll_event,
    host: impl Fn(*mut epoll_event) -> c_int,
) -> c_int {
    let known = find(epoll, fd);
    if operation == libc::EPOLL_CTL_DEL {
        let answer = host(std::ptr::null_mut());
        if let Some(known) = known.filter(|_| answer == 0) {
            known.forget();
        }
        return answer;
    }
    let dead = operation == libc::EPOLL_CTL_MOD
        && known.is_some_and(|r| r.mark.load(Acquire) == mark::DEAD);
    let mut told = event;
    let mark = match readiness::state(fd) {
        State::Error if operation == libc::EPOLL_CTL_ADD => mark::DEAD,
        _ if dead => mark::DEAD,
        State::Error => mark::GONE,
        State::Quiet(_) => mark::QUIET,
        State::Plain => mark::PLAIN,
    };
    match mark {
        mark::DEAD | mark::GONE => told.events = 0,
        mark::QUIET => told.events &= !OUT,
        _ => {}
    }
    if event.events & libc::EPOLLET as u32 != 0 {
        if let Some(tunnel) = table::hold(fd) {
            tunnel.ring_always();
        }
    }
    let answer = host(&mut told);
    if answer == 0 {
        remember(epoll, fd, event, mark);
    }
    answer
}

/// Does waiting on this epoll descriptor need care?
#[inline]
pub fn concerns(epoll: c_int) -> bool {
    COUNT.load(Relaxed) != 0 && used().iter().any(|r| r.is_of(epoll))
}

/// What a look at the registrations of one epoll descriptor found.
struct Look {
    /// Events to report at once.
    events: Vec<epoll_event>,
    /// Links to wait for.
    links: Vec<LinkBell>,
    /// There is something that cannot be waited for: look again after a moment.
    nap: Option<libc::timespec>,
}

/// Changes the kernel's registration. False when the kernel does not know it any more.
fn modify(epoll: c_int, registration: &Registration, events: u32) -> bool {
    let mut event = epoll_event {
        events,
        u64: registration.data.load(Relaxed),
    };
    errno::keep(|| {
        crate::hooks::wait::real_epoll_ctl(
            epoll,
            libc::EPOLL_CTL_MOD,
            registration.fd(),
            &mut event,
        ) == 0
    })
}

/// What a look at a tunnel finds, in epoll's bits.
fn look_at(fd: c_int) -> u32 {
    let Some(tunnel) = table::hold(fd) else {
        return 0;
    };
    let now = tunnel.readiness();
    let bits = [(now.error, ERR), (now.readable, IN), (now.writable, OUT)];
    bits.into_iter()
        .filter(|(on, _)| *on)
        .fold(0, |all, (_, bit)| all | bit)
}

/// The mark that a registration with a wait queue should have now; None when it has it.
fn next_mark(registration: &Registration) -> Option<u32> {
    let events = registration.events.load(Relaxed);
    match (
        readiness::state(registration.fd()),
        registration.mark.load(Acquire),
    ) {
        (_, mark::DEAD) => None,
        (State::Error, mark::GONE) => None,
        (State::Error, _) => Some(mark::GONE),
        (State::Plain, mark::PLAIN) => None,
        (State::Plain, _) => Some(mark::PLAIN),
        (State::Quiet(_), mark::QUIET) => None,
        // A full capture takes the place of a full send buffer: the next edge is when it has room.
        (State::Quiet(Why::Capturer), mark::PLAIN) if events & OUT != 0 && events & SHOT == 0 => {
            Some(mark::QUIET)
        }
        // An edge or a single shot says nothing of its own when the link goes down.
        (State::Quiet(_), mark::PLAIN) if events & OUT == 0 || events & ONCE != 0 => None,
        (State::Quiet(_), _) => Some(mark::QUIET),
    }
}

/// Brings the kernel's registrations in line with the links, and collects what only we can report.
fn look(epoll: c_int) -> Look {
    let mut found = Look {
        events: Vec::new(),
        links: Vec::new(),
        nap: None,
    };
    for registration in used().iter().filter(|r| r.is_of(epoll)) {
        let fd = registration.fd();
        let events = registration.events.load(Relaxed);
        if let Some(mark) = next_mark(registration) {
            let asked = match mark {
                mark::PLAIN => events,
                mark::QUIET => events & !OUT,
                _ => 0,
            };
            // The epoll descriptor may have been closed, and its number be another's now.
            if !modify(epoll, registration, asked) {
                registration.forget();
                continue;
            }
            registration
                .listed
                .store((mark == mark::GONE) as u32, Relaxed);
            registration.mark.store(mark, Release);
        }
        let mark = registration.mark.load(Acquire);
        if mark >= mark::GONE && registration.listed.swap(0, Relaxed) != 0 {
            let ready = look_at(fd) & (events | ERR);
            if ready == 0 {
                continue;
            }
            if !modify(epoll, registration, 0) {
                registration.forget();
                continue;
            }
            found.events.push(epoll_event {
                events: ready,
                u64: registration.data.load(Relaxed),
            });
            registration
                .listed
                .store((events & ONCE == 0) as u32, Relaxed);
        }
        if mark != mark::QUIET {
            continue;
        }
        match readiness::state(fd) {
            State::Quiet(Why::Link) => match readiness::link_bell(fd) {
                Some(link) => found.links.push(link),
                None => found.nap = found.nap.or(Some(readiness::MOMENT)),
            },
            State::Quiet(Why::Capturer) if events & OUT != 0 => {
                found.nap = Some(readiness::GLANCE);
            }
            _ => {}
        }
    }
    found
}

/// A write was refused because whoever captures is behind: a thread that sleeps for the next edge has to look.
pub fn refused(fd: c_int) {
    if COUNT.load(Relaxed) == 0 || readiness::state(fd) != State::Quiet(Why::Capturer) {
        return;
    }
    for registration in used() {
        let key = registration.key.load(Acquire);
        let events = registration.events.load(Relaxed);
        let sleeps = key != 0
            && registration.fd() == fd
            && registration.mark.load(Acquire) == mark::PLAIN
            && events & ONCE == libc::EPOLLET as u32
            && events & OUT != 0;
        if sleeps {
            // A FIFO is always writable: the kernel wakes it.
            modify(((key - 1) >> 32) as c_int, registration, events);
        }
    }
}

/// Takes EPOLLOUT from what the kernel says of tunnels that are not writable because of a capture.
fn drop_false(epoll: c_int, events: &mut [epoll_event]) {
    for event in events {
        let (data, bits) = (event.u64, event.events);
        let is_false = bits & OUT != 0
            && used().iter().any(|r| {
                r.is_of(epoll)
                    && r.data.load(Relaxed) == data
                    && r.mark.load(Acquire) < mark::GONE
                    // A single shot that is fired must be told, or nobody would arm it again.
                    && r.events.load(Relaxed) & SHOT == 0
                    && readiness::state(r.fd()) == State::Quiet(Why::Capturer)
            });
        if is_false {
            event.events = bits & !OUT;
        }
    }
}

/// Drops events of tunnels that were deleted during the wait: their bells rang for that.
fn drop_alarms(epoll: c_int, events: &mut [epoll_event], n: usize) -> usize {
    drop_false(epoll, &mut events[..n]);
    let gone = |event: &epoll_event| {
        let data = event.u64;
        used().iter().any(|r| {
            r.is_of(epoll)
                && r.data.load(Relaxed) == data
                && r.mark.load(Acquire) < mark::GONE
                && readiness::state(r.fd()) == State::Error
        })
    };
    let mut kept = 0;
    for i in 0..n {
        if events[i].events != 0 && !gone(&events[i]) {
            events[kept] = events[i];
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
    host: impl Fn(&mut [epoll_event], Option<libc::timespec>) -> c_int,
) -> c_int {
    const NOW: Option<libc::timespec> = Some(libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    });
    loop {
        let found = look(epoll);
        let ours = found.events.len().min(events.len());
        events[..ours].copy_from_slice(&found.events[..ours]);
        if ours == events.len() {
            return ours as c_int;
        }
        if ours > 0 || !found.links.is_empty() || found.nap.is_some() {
            let n = host(&mut events[ours..], NOW);
            if n < 0 && ours == 0 {
                return n;
            }
            let n = n.max(0) as usize;
            let kept = drop_alarms(epoll, &mut events[ours..], n);
            if ours + kept > 0 {
                return (ours + kept) as c_int;
            }
            if deadline.over() {
                return 0;
            }
            let mut asked = vec![pollfd {
                fd: epoll,
                events: libc::POLLIN,
                revents: 0,
            }];
            asked.extend(found.links.iter().map(|l| pollfd {
                fd: l.raw(),
                events: libc::POLLIN,
                revents: 0,
            }));
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
        let kept = drop_alarms(epoll, events, n as usize);
        if kept > 0 {
            return kept as c_int;
        }
    }
}
