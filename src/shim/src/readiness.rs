//! poll(2) and select(2) where the bell alone cannot tell the truth.
//!
//! A FIFO is always writable, and never in error. A tunnel is writable only while its link is up, and nothing but an error
//! while it is unattached; and while whoever captures is behind by the whole log, it is not writable either. For tunnels in such a state the question to the kernel is changed (what cannot be is not asked
//! for) and the link's own FIFO is asked beside it, so that the call still sleeps in the kernel and wakes at the moment.

use crate::epoll;
use crate::errno;
use crate::table;
use libc::{c_int, c_short, fd_set, nfds_t, pollfd, sigset_t, timespec};
use memtun_kernel::tun::Readiness;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use memtun_sys::KeptFifo;
use std::os::fd::AsFd;

/// Bits that say "writable".
const OUT: c_short = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND;

/// How a descriptor must be asked about.
#[derive(Clone, Copy, PartialEq)]
pub enum State {
    /// The kernel's answer is right: no tunnel, or one whose link is up.
    Plain,
    /// Not writable for now.
    Quiet(Why),
    /// Unattached.
    Error,
}

/// Why a tunnel is not writable, which decides how its becoming writable is noticed.
#[derive(Clone, Copy, PartialEq)]
pub enum Why {
    /// The link is down: the link's FIFO tells.
    Link,
    /// The send buffer has no room for anything: nothing changes by itself.
    Buffer,
    /// Whoever captures is behind: somebody has to look.
    Capturer,
}

/// How soon somebody looks whether the capturer has read.
pub const GLANCE: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 3_000_000,
};

/// How soon somebody looks at a link whose FIFO cannot be opened.
pub const MOMENT: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

impl State {
    /// Of a tunnel.
    pub fn of(now: Readiness) -> State {
        match now {
            Readiness { error: true, .. } => State::Error,
            Readiness { writable: true, .. } => State::Plain,
            Readiness {
                capturer_behind: true,
                ..
            } => State::Quiet(Why::Capturer),
            Readiness {
                link_down: true, ..
            } => State::Quiet(Why::Link),
            _ => State::Quiet(Why::Buffer),
        }
    }
}

/// The state of a descriptor now.
pub fn state(fd: c_int) -> State {
    if !table::is_tunnel(fd) {
        return State::Plain;
    }
    table::hold(fd).map_or(State::Plain, |t| State::of(t.readiness()))
}

/// The end of a wait.
#[derive(Clone, Copy)]
pub struct Deadline(Option<u64>);

impl Deadline {
    /// From a relative time; None waits for ever.
    pub fn after(time: Option<timespec>) -> Deadline {
        Deadline(time.map(|t| {
            let ns = (t.tv_sec.max(0) as u64)
                .saturating_mul(1_000_000_000)
                .saturating_add(t.tv_nsec.max(0) as u64);
            sys::now_ns(libc::CLOCK_MONOTONIC).saturating_add(ns)
        }))
    }
    /// From milliseconds as poll(2) and epoll_wait(2) have them.
    pub fn after_ms(timeout: c_int) -> Deadline {
        Deadline::after((timeout >= 0).then(|| timespec {
            tv_sec: (timeout / 1000) as libc::time_t,
            tv_nsec: (timeout % 1000) as libc::c_long * 1_000_000,
        }))
    }
    /// What is left; None for ever.
    pub fn left(&self) -> Option<timespec> {
        self.0.map(|end| {
            let ns = end.saturating_sub(sys::now_ns(libc::CLOCK_MONOTONIC));
            timespec {
                tv_sec: (ns / 1_000_000_000) as libc::time_t,
                tv_nsec: (ns % 1_000_000_000) as libc::c_long,
            }
        })
    }
    /// What is left, but at most a moment: for who has to look by himself.
    pub fn nap(&self, moment: timespec) -> timespec {
        self.left()
            .filter(|t| t.tv_sec == 0 && t.tv_nsec < moment.tv_nsec)
            .unwrap_or(moment)
    }
    /// Has it passed?
    pub fn over(&self) -> bool {
        self.left().is_some_and(|t| t.tv_sec == 0 && t.tv_nsec == 0)
    }
}

const NOW: timespec = timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// ppoll(2) of the host, by libc so that it stays a cancellation point.
pub fn host_ppoll(fds: &mut [pollfd], time: Option<timespec>, mask: *const sigset_t) -> c_int {
    if mask.is_null() && !may(Extra::Poll) {
        return crate::hooks::wait::real_poll(
            fds.as_mut_ptr(),
            fds.len() as nfds_t,
            milliseconds(time),
        );
    }
    let time = time
        .as_ref()
        .map_or(std::ptr::null(), |t| t as *const timespec);
    crate::hooks::wait::real_ppoll(fds.as_mut_ptr(), fds.len() as nfds_t, time, mask)
}

/// Whole milliseconds, rounded up: a wait must not end before its time.
pub fn milliseconds(time: Option<timespec>) -> c_int {
    time.map_or(-1, |t| {
        (t.tv_sec * 1000 + (t.tv_nsec + 999_999) / 1_000_000).min(c_int::MAX as i64) as c_int
    })
}

/// Does any of these need more than the kernel's answer?
pub fn needs_care(fds: &[pollfd]) -> bool {
    fds.iter()
        .any(|p| state(p.fd) != State::Plain || epoll::concerns_truly(p.fd))
}

/// After the kernel's answer: an interface deleted during the wait rang the bell, but there is nothing to read; an epoll
/// instance may be ready for what is not so. How many are ready.
pub fn correct(fds: &mut [pollfd]) -> usize {
    const READABLE: c_short = libc::POLLIN | libc::POLLRDNORM;
    let mut ready = 0;
    for p in fds {
        if p.revents != 0 && p.revents & libc::POLLNVAL == 0 {
            if state(p.fd) == State::Error {
                p.revents = libc::POLLERR;
            } else if epoll::concerns_truly(p.fd) && !epoll::is_ready(p.fd) {
                p.revents &= !READABLE;
            }
        }
        ready += (p.revents != 0) as usize;
    }
    ready
}

/// The link's FIFO of a tunnel that is down, where programs do not expect a descriptor. None after chroot or setuid, when it
/// cannot be opened any more.
pub fn link_bell(fd: c_int) -> Option<LinkBell> {
    let low = table::hold(fd)?.link_bell().ok()?;
    let st = sys::fstat(low.raw()).ok()?;
    let kept = KeptFifo::none_yet(st.st_ino);
    let fd = kept.keep(sys::duplicate_high(low.as_fd()).ok()?);
    Some(LinkBell { fd, _kept: kept })
}

/// Closed with the value, if the program has not closed it or put something of its own there.
pub struct LinkBell {
    fd: c_int,
    _kept: KeptFifo,
}

impl LinkBell {
    /// What poll(2) is to ask of it.
    pub fn question(&self) -> pollfd {
        pollfd {
            fd: self.fd,
            events: libc::POLLIN,
            revents: 0,
        }
    }
}

/// poll(2) with tunnels that are down or unattached among the descriptors.
pub fn poll(fds: &mut [pollfd], deadline: Deadline, mask: *const sigset_t) -> c_int {
    // Rare enough for the allocator: a program that polls a tunnel before it is up.
    let mut asked: Vec<pollfd> = Vec::with_capacity(fds.len() + 4);
    let mut links: Vec<LinkBell> = Vec::new();
    loop {
        asked.clear();
        links.clear();
        let mut errors = 0;
        // Who has to look by himself, and how soon.
        let mut nap = None;
        for p in fds.iter_mut() {
            p.revents = 0;
            let mut question = *p;
            match state(p.fd) {
                State::Plain => {}
                State::Quiet(why) => {
                    if why == Why::Capturer && p.events & OUT != 0 {
                        nap = Some(GLANCE);
                    }
                    question.events &= !OUT;
                }
                State::Error => {
                    p.revents = libc::POLLERR;
                    question.fd = -1;
                    errors += 1;
                }
            }
            asked.push(question);
        }
        for (p, question) in fds.iter_mut().zip(&mut asked) {
            if state(p.fd) == State::Quiet(Why::Link) {
                match link_bell(p.fd) {
                    Some(link) => links.push(link),
                    None => nap = nap.or(Some(MOMENT)),
                }
            } else if epoll::concerns_truly(p.fd) {
                let mut found = epoll::look(p.fd);
                links.append(&mut found.links);
                nap = nap.or(found.nap);
                if found.is_false {
                    question.fd = -1;
                }
                if p.events & libc::POLLIN != 0 && epoll::is_ready(p.fd) {
                    p.revents = p.events & (libc::POLLIN | libc::POLLRDNORM);
                    errors += 1;
                }
            }
        }
        asked.extend(links.iter().map(LinkBell::question));
        let time = match (errors, nap) {
            (0, Some(moment)) => Some(deadline.nap(moment)),
            (0, None) => deadline.left(),
            _ => Some(NOW),
        };
        let n = host_ppoll(&mut asked, time, mask);
        if n < 0 && errors == 0 {
            return errno::keep(|| {
                links.clear();
                n
            });
        }
        for (p, answer) in fds.iter_mut().zip(&asked) {
            if answer.fd == p.fd {
                p.revents |= answer.revents;
            }
        }
        let ready = correct(fds);
        if ready > 0 || n == 0 && nap.is_none() || deadline.over() {
            return ready as c_int;
        }
    }
}

/// select(2) with such tunnels. The sets are changed as select does; returns what it returns.
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
pub unsafe fn select(
    n: c_int,
    sets: [*mut fd_set; 3],
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    const READ: c_short =
        libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR;
    const WRITE: c_short = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND | libc::POLLERR;
    const ASK: [c_short; 3] = [libc::POLLIN, libc::POLLOUT, libc::POLLPRI];
    const COUNTS: [c_short; 3] = [READ, WRITE, libc::POLLPRI];
    let mut fds: Vec<pollfd> = Vec::new();
    for fd in 0..n {
        let mut events = 0;
        for (set, ask) in sets.iter().zip(ASK) {
            // SAFETY: the caller's sets hold this bit.
            if !set.is_null() && unsafe { bit(*set, fd) } {
                events |= ask;
            }
        }
        if events != 0 {
            fds.push(pollfd {
                fd,
                events,
                revents: 0,
            });
        }
    }
    let answer = poll(&mut fds, deadline, mask);
    if answer < 0 {
        return answer;
    }
    if fds.iter().any(|p| p.revents & libc::POLLNVAL != 0) {
        errno::set(libc::EBADF);
        return -1;
    }
    let mut count = 0;
    for p in &fds {
        for ((set, ask), counts) in sets.iter().zip(ASK).zip(COUNTS) {
            if p.events & ask == 0 {
                continue;
            }
            let on = p.revents & counts != 0;
            count += on as c_int;
            // SAFETY: as above.
            unsafe { set_bit(*set, p.fd, on) };
        }
    }
    count
}

/// Does a set ask about a tunnel that needs care?
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
pub unsafe fn sets_need_care(n: c_int, sets: [*mut fd_set; 3]) -> bool {
    // SAFETY: bound descriptors below `n` are bits of the sets.
    let asked = |fd: c_int, set: &*mut fd_set| !set.is_null() && unsafe { bit(*set, fd) };
    let in_sets = |fd: c_int| sets.iter().any(|set| asked(fd, set));
    table::bound_in(0, n.max(1) as u32 - 1).any(|fd| state(fd) != State::Plain && in_sets(fd))
        // An epoll instance may become ready for what is not so while the call sleeps.
        || epoll::numbers_below(n).any(in_sets)
}

const WORD: usize = usize::BITS as usize;

/// # Safety
/// The set holds this bit. Not FD_ISSET, whose fortified form aborts beyond 1024: programs use larger sets.
unsafe fn bit(set: *mut fd_set, fd: c_int) -> bool {
    // SAFETY: the caller's contract.
    unsafe { *set.cast::<usize>().add(fd as usize / WORD) & 1 << (fd as usize % WORD) != 0 }
}

/// # Safety
/// As `bit`.
unsafe fn set_bit(set: *mut fd_set, fd: c_int, on: bool) {
    // SAFETY: the caller's contract.
    unsafe {
        let word = set.cast::<usize>().add(fd as usize / WORD);
        let mask = 1 << (fd as usize % WORD);
        *word = if on { *word | mask } else { *word & !mask };
    }
}
