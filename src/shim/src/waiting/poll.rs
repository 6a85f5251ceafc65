//! poll(2) where the bell alone cannot tell the truth. For tunnels in such a state the question to
//! the kernel is changed: events that cannot happen are not asked for, and the link's own FIFO is
//! asked as well. So the call still sleeps in the kernel and wakes at the right moment.
#![forbid(unsafe_code)]

use super::deadline::{host_ppoll, Deadline, NOW};
use super::epoll;
use super::stale;
use super::state::{link_bell, state, LinkBell, State, Why, GLANCE, MOMENT};
use crate::errno;
use libc::{c_int, pollfd, sigset_t};
use memtun_calls::readiness::{IN, OUT};

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
            } else if p.revents & IN != 0 && stale::was_told_falsely(p.fd) {
                p.revents &= !IN;
            } else if epoll::concerns_truly(p.fd) && !epoll::is_ready(p.fd) {
                p.revents &= !IN;
            }
        }
        ready += (p.revents != 0) as usize;
    }
    ready
}

/// poll(2) with tunnels among the descriptors that are down or unattached.
pub fn poll(fds: &mut [pollfd], deadline: Deadline, mask: *const sigset_t) -> c_int {
    // This is rare enough to use the allocator: a program polls a tunnel before it is up.
    let mut asked: Vec<pollfd> = Vec::with_capacity(fds.len() + 4);
    let mut links: Vec<LinkBell> = Vec::new();
    loop {
        stale::settle();
        asked.clear();
        links.clear();
        let mut errors = 0;
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
                Some(events) => question.events = events,
                None => {
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
                if p.events & libc::POLLIN != 0 && epoll::is_ready(p.fd) {
                    p.revents = p.events & IN;
                    errors += 1;
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
