//! Registrations of sockets of UDP in epoll(7) that ask for nothing to read. What wakes for an
//! error is something to read natively, so the kernel is told that as well, as an edge and by the
//! name EPOLLRDNORM, which hardly any program uses: so an event that has it without EPOLLIN is one
//! of these. What the program asked stands in signs beside it, which the kernel keeps and does not
//! look at, so that a process that got the instance from another one needs nothing.
//!
//! Where the program asks for room without an edge, and once with room, an event comes at once in
//! any case.
#![forbid(unsafe_code)]

use super::errors;
use crate::host;
use crate::waiting::epoll;
use libc::{c_int, epoll_event};
use memtun_shm::Shelf;
use memtun_sys as sys;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = (libc::EPOLLOUT | libc::EPOLLWRNORM) as u32;
const ERR: u32 = libc::EPOLLERR as u32;
const EDGE: u32 = libc::EPOLLET as u32;
const SHOT: u32 = libc::EPOLLONESHOT as u32;
/// What the kernel is told in place of EPOLLIN.
const NORMAL: u32 = libc::EPOLLRDNORM as u32;
/// The sign of such a registration.
const DEAF: u32 = libc::EPOLLMSG as u32;
/// The sign that the program has not asked for edges.
const LEVEL: u32 = 1 << 11;
/// The sign that the program has asked for one event.
const ONCE: u32 = 1 << 12;

/// Have there been such registrations in this process?
static EVER: AtomicBool = AtomicBool::new(false);

/// Registrations for room whose first event has not come yet: it says that there is room, whatever
/// comes meanwhile to read.
static FRESH: Shelf<(), 64> = Shelf::new();

/// Number of those, as far as none was pushed off the shelf.
static WAITING: AtomicU32 = AtomicU32::new(0);

fn key(epoll: c_int, fd: c_int) -> u64 {
    1 << 63 | (epoll as u64) << 32 | fd as u64
}

/// Was that a registration whose first event has not come yet? It is no more.
fn was_fresh(epoll: c_int, fd: c_int) -> bool {
    let was = FRESH.find(key(epoll, fd)).is_some();
    if was {
        FRESH.forget(key(epoll, fd));
        let _ = WAITING.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1));
    }
    was
}

/// Can an event be one of these, which may turn out to be none?
#[inline]
pub fn is_any() -> bool {
    EVER.load(Relaxed)
}

/// Is one of these events, whichever process has made the registration?
pub fn are_among(events: &[epoll_event]) -> bool {
    let is_one = |event: &epoll_event| event.events & (IN | NORMAL) == NORMAL;
    let are = is_any() || events.iter().any(is_one);
    if are {
        EVER.store(true, Relaxed);
    }
    are
}

/// Returns what the kernel is told in place of a registration.
pub fn told(epoll: c_int, fd: c_int, event: epoll_event) -> Option<epoll_event> {
    if is_any() {
        was_fresh(epoll, fd);
    }
    let asked = event.events;
    let comes_anyway = asked & OUT != 0 && asked & (EDGE | SHOT) != EDGE;
    let is_exclusive = asked & libc::EPOLLEXCLUSIVE as u32 != 0;
    if asked & (IN | NORMAL) != 0 || comes_anyway || is_exclusive || !carries_datagrams(fd) {
        return None;
    }
    EVER.store(true, Relaxed);
    if asked & OUT != 0 {
        let _ = FRESH.put(key(epoll, fd), ());
        WAITING.fetch_add(1, Relaxed);
    }
    let mut events = asked & !SHOT | NORMAL | DEAF | EDGE;
    if asked & EDGE == 0 {
        events |= LEVEL;
    }
    if asked & SHOT != 0 {
        events |= ONCE;
    }
    Some(epoll_event { events, ..event })
}

/// It need not have a name of the net's yet.
fn carries_datagrams(fd: c_int) -> bool {
    let is = |option, value| sys::int_option(fd, libc::SOL_SOCKET, option) == Ok(value);
    is(libc::SO_TYPE, libc::SOCK_DGRAM)
        && (is(libc::SO_DOMAIN, libc::AF_INET) || is(libc::SO_DOMAIN, libc::AF_INET6))
}

/// Corrects what epoll_wait(2) has found, and returns how many events are left.
pub fn show(epoll: c_int, events: &mut [epoll_event]) -> usize {
    let mut left = 0;
    for at in 0..events.len() {
        let mut event = events[at];
        let is_told = match event.events & (IN | NORMAL) {
            NORMAL => is_true(epoll, &mut event),
            _ => {
                if event.events & OUT != 0 && WAITING.load(Relaxed) > 0 {
                    epoll::each_of(epoll, event.u64, |fd, _| {
                        was_fresh(epoll, fd);
                    });
                }
                true
            }
        };
        if is_told {
            events[left] = event;
            left += 1;
        }
    }
    left
}

/// Makes of what the kernel says what the program is told. Returns false if that is nothing.
fn is_true(epoll: c_int, event: &mut epoll_event) -> bool {
    let (mut found, mut is_programs) = (None::<(c_int, u32, bool)>, false);
    let datum = event.u64;
    let was_read = epoll::each_of(epoll, datum, |fd, told| {
        is_programs |= told & DEAF == 0 && told & NORMAL != 0;
        if told & (DEAF | NORMAL) == DEAF | NORMAL {
            let has_error = errors::is_there(fd);
            if found.is_none_or(|(_, _, had)| has_error && !had) {
                found = Some((fd, told, has_error));
            }
        }
    });
    let Some((fd, told, has_error)) = found else {
        // What cannot be looked up is told rather than lost.
        return is_programs || !was_read;
    };
    let is_fresh = was_fresh(epoll, fd);
    event.events &= !NORMAL;
    if has_error {
        event.events |= ERR;
    }
    let is_told = event.events & !OUT != 0 || event.events & OUT != 0 && is_fresh;
    // What says more than an edge is shown again as long as it lasts.
    let next = match told {
        _ if !is_told => None,
        once if once & ONCE != 0 => Some(SHOT),
        level if level & LEVEL != 0 => Some(told),
        _ => None,
    };
    if let Some(events) = next {
        let mut again = epoll_event { events, u64: datum };
        host::epoll_ctl(epoll, libc::EPOLL_CTL_MOD, fd, &mut again);
    }
    is_told
}
