//! poll(2) where the bell alone cannot tell the truth. For tunnels in such a state the question to
//! the kernel is changed: events that cannot happen are not asked for, and the link's own FIFO is
//! asked as well. So the call still sleeps in the kernel and wakes at the right moment.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::awake;
use super::bed::{self, Bed};
use super::deadline::{Deadline, Question, NOW};
use super::epoll;
use super::stale;
use super::state::{link_bell, state, LinkBell, State, Why, GLANCE, MOMENT};
use crate::inet::errors;
use crate::{foreign, table};
use libc::{c_int, pollfd, sigset_t};
use memtun_calls::readiness::{IN, OUT};
use memtun_sys as sys;

/// What a call of poll(2) needs beside the kernel's answer.
pub enum Needs {
    Nothing,
    /// All descriptors are tunnels, and so many of them are ready, as the array says now.
    Answered(c_int),
    /// The answer needs a correction, because a packet may be taken by another reader, or an epoll
    /// instance may become ready for an event that is none.
    Watch,
    /// A packet may come soon, and nothing else is waited for but what is asked in
    /// [`awake::wait`](super::awake::wait).
    Awake,
    /// There may be one in a state in which the bell alone does not tell the truth, or one with
    /// O_ASYNC.
    Care,
}

/// Number of descriptors of a call that is answered without the kernel. Who asks for more waits for
/// something else as a rule.
const FEW: usize = awake::FEW;

/// Looks at the descriptors before the kernel is asked, and silences the bells that ring for
/// nothing. Where all are tunnels and one is ready the kernel would not wait either, and `tell` is
/// called with each place and its events; it returns false where they cannot be stored. `waits`
/// says that the call may begin awake.
#[inline]
pub fn before(fds: &[pollfd], waits: bool, tell: impl Fn(usize, i16) -> bool) -> Needs {
    if let [p] = fds {
        if table::is_tunnel(p.fd) {
            return match ready_events(p, waits) {
                Ready::Soon => Needs::Awake,
                Ready::Unknown => Needs::Care,
                Ready::Now(events) if events != 0 && tell(0, events) => Needs::Answered(1),
                Ready::Now(_) => Needs::Watch,
            };
        }
    }
    let knows_epoll = epoll::is_any();
    let is_target = |fd| table::is_tunnel(fd) || knows_epoll && epoll::is_instance(fd);
    if !fds.iter().any(|p| is_target(p.fd)) {
        stale::settle();
        return Needs::Nothing;
    }
    let (mut targets, mut others, mut care) = (0, 0, false);
    let mut ready = 0;
    let mut answers = [0; FEW];
    for (at, p) in fds.iter().enumerate() {
        if table::is_tunnel(p.fd) {
            targets += 1;
            let events = match ready_events(p, waits && fds.len() <= FEW) {
                Ready::Now(events) => events,
                Ready::Soon if ready == 0 => return Needs::Awake,
                Ready::Soon => 0,
                Ready::Unknown => {
                    care = true;
                    continue;
                }
            };
            ready += c_int::from(events != 0);
            if let Some(place) = answers.get_mut(at) {
                *place = events;
            }
        } else if p.fd >= 0 {
            others += 1;
            if knows_epoll && epoll::is_instance(p.fd) {
                targets += 1;
                care |= epoll::concerns_truly(p.fd);
            }
        }
    }
    if others > 0 {
        stale::settle();
    }
    match () {
        () if care => Needs::Care,
        () if targets == 0 => Needs::Nothing,
        () if others == 0 && ready > 0 && fds.len() <= FEW => {
            let told = fds.iter().zip(answers).enumerate();
            match told.into_iter().all(|(at, (_, events))| tell(at, events)) {
                true => Needs::Answered(ready),
                false => Needs::Watch,
            }
        }
        () => Needs::Watch,
    }
}

/// What a FIFO reports when it can be read, and when it can be written.
const READABLE: i16 = libc::POLLIN | libc::POLLRDNORM;
const WRITABLE: i16 = libc::POLLOUT | libc::POLLWRNORM;

/// What a tunnel has of what a question asks.
enum Ready {
    /// These events.
    Now(i16),
    /// Nothing, but a packet may come soon.
    Soon,
    /// The bell alone does not tell the truth, or is more than a bell.
    Unknown,
}

/// Looks at a tunnel. A bell that rings for nothing is silenced, unless a packet may come soon.
#[inline]
fn ready_events(p: &pollfd, waits: bool) -> Ready {
    let Some(tunnel) = table::hold(p.fd) else {
        return Ready::Unknown;
    };
    if tunnel.has_signals() || tunnel.is_due() && foreign::check(p.fd, &tunnel).is_err() {
        return Ready::Unknown;
    }
    if p.events & OUT == 0 && tunnel.has_packet() {
        return Ready::Now(p.events & READABLE);
    }
    if waits && p.events & OUT == 0 && p.events & IN != 0 && awake::is_worth(&tunnel) {
        return Ready::Soon;
    }
    tunnel.settle(p.fd);
    let now = tunnel.readiness();
    let plain = State::of(now) == State::Plain;
    let readable = if now.readable { READABLE } else { 0 };
    match plain {
        true => Ready::Now(p.events & (readable | WRITABLE)),
        false => Ready::Unknown,
    }
}

/// Does any of these descriptors need more than the kernel's answer?
pub fn needs_care(fds: &[pollfd]) -> bool {
    fds.iter()
        .any(|p| state(p.fd) != State::Plain || epoll::concerns_truly(p.fd))
}

/// Corrects the kernel's answer. An interface that was deleted during the wait rang the bell, but
/// there is nothing to read; an epoll instance may be ready for an event that is none. Returns the
/// number of descriptors that are ready.
pub fn correct(fds: &mut [pollfd]) -> usize {
    let mut ready = 0;
    for p in fds {
        if p.revents != 0 && p.revents & libc::POLLNVAL == 0 {
            if state(p.fd) == State::Error {
                p.revents = libc::POLLERR;
            } else if p.revents & IN != 0 && stale::was_told_falsely(p.fd)
                || epoll::concerns_truly(p.fd) && !epoll::is_ready(p.fd)
            {
                p.revents &= !IN;
            }
        }
        ready += (p.revents != 0) as usize;
    }
    ready
}

/// poll(2) with tunnels among the descriptors that are down or unattached. The call of libc is made
/// in this frame, which has nothing to clean up: the thread may be cancelled there.
#[inline(always)]
pub fn poll(fds: &mut [pollfd], deadline: Deadline, mask: *const sigset_t) -> c_int {
    let bed = bed::begin();
    loop {
        let turn = ask(bed, fds, &deadline, mask);
        let n = turn.question.ask(mask);
        if let Some(answer) = answer(bed, fds, &turn, n, &deadline) {
            return answer;
        }
    }
}

/// What the kernel is asked in one turn of a wait.
struct Turn {
    question: Question,
    /// Number of descriptors that are ready without the kernel.
    ready: usize,
    /// Does this thread look by itself after the question?
    naps: bool,
}

#[inline(never)]
extern "C" fn ask(
    bed: usize,
    fds: &mut [pollfd],
    deadline: &Deadline,
    mask: *const sigset_t,
) -> Turn {
    bed::with(bed, |bed| asked(bed, fds, deadline, mask))
}

fn asked(bed: &mut Bed, fds: &mut [pollfd], deadline: &Deadline, mask: *const sigset_t) -> Turn {
    let Bed { asked, links, .. } = bed;
    stale::settle();
    asked.clear();
    links.clear();
    let mut ready = 0;
    // How soon this thread has to look by itself; `None` if the kernel wakes it.
    let mut nap = None;
    for p in fds.iter_mut() {
        p.revents = 0;
        let mut question = *p;
        let state = state(p.fd);
        if state == State::Quiet(Why::Capturer) && p.events & OUT != 0 {
            nap = Some(GLANCE);
        }
        match state.question(p.events) {
            Some(_) if errors::is_deaf(p) => match is_readable(p.fd) {
                // What lies there hides what comes.
                true => nap = Some(GLANCE),
                false => question.events |= libc::POLLIN,
            },
            Some(events) => question.events = events,
            None => {
                p.revents = libc::POLLERR;
                question.fd = -1;
                ready += 1;
            }
        }
        asked.push(question);
    }
    for (p, question) in fds.iter_mut().zip(asked.iter_mut()) {
        if state(p.fd) == State::Quiet(Why::Link) {
            match link_bell(p.fd) {
                Some(link) => links.push(link),
                None => nap = nap.or(Some(MOMENT)),
            }
        } else if epoll::concerns_truly(p.fd) {
            if p.events & libc::POLLIN != 0 && epoll::is_ready(p.fd) {
                p.revents = p.events & IN;
                ready += 1;
            }
            // This comes after the question whether the instance is ready, which may have found
            // something that has to be waited for now.
            let mut found = epoll::look(p.fd);
            links.append(&mut found.links);
            nap = nap.or(found.nap);
            if found.is_false {
                question.fd = -1;
            }
        }
    }
    asked.extend(links.iter().map(LinkBell::question));
    let time = match (ready, nap) {
        (0, Some(moment)) => Some(deadline.nap(moment)),
        (0, None) => deadline.left(),
        _ => Some(NOW),
    };
    Turn {
        question: Question::new(asked, time, mask),
        ready,
        naps: nap.is_some(),
    }
}

/// Has the kernel something to read there?
fn is_readable(fd: c_int) -> bool {
    let mut asked = [pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }];
    sys::poll(&mut asked, Some(std::time::Duration::ZERO)).is_ok() && asked[0].revents & IN != 0
}

/// What the wait returns after the kernel's answer `n`, if it is over.
#[inline(never)]
extern "C" fn answer(
    number: usize,
    fds: &mut [pollfd],
    turn: &Turn,
    n: c_int,
    deadline: &Deadline,
) -> Option<c_int> {
    if n < 0 && turn.ready == 0 {
        bed::leave(number);
        return Some(n);
    }
    let mut hears = false;
    bed::with(number, |bed| {
        for (p, answer) in fds.iter_mut().zip(&bed.asked) {
            if errors::is_deaf(p) {
                hears |= answer.revents & IN != 0 || errors::is_there(p.fd);
                p.revents |= answer.revents & !IN;
            } else if answer.fd == p.fd {
                p.revents |= answer.revents;
            }
        }
    });
    // Whoever has called looks what has come.
    let ready = correct(fds) + usize::from(hears);
    let is_over = ready > 0 || n == 0 && !turn.naps || deadline.over();
    if is_over {
        bed::leave(number);
    }
    is_over.then_some(ready as c_int)
}
