//! select(2) where the bell alone cannot tell the truth: it is done by poll(2).

use super::deadline::Deadline;
use super::epoll;
use super::poll::poll;
use super::state::{state, State};
use crate::{errno, table};
use libc::{c_int, fd_set, pollfd, sigset_t};
use memtun_calls::readiness::select::{ASK, COUNTS};

/// select(2) with such tunnels. It changes the sets and returns as select does.
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
pub unsafe fn select(
    n: c_int,
    sets: [*mut fd_set; 3],
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
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
            // SAFETY: the caller's sets hold this bit.
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
    // SAFETY: the bound descriptors below `n` are bits of the sets.
    let asked = |fd: c_int, set: &*mut fd_set| !set.is_null() && unsafe { bit(*set, fd) };
    let in_sets = |fd: c_int| sets.iter().any(|set| asked(fd, set));
    // Who asks for the state of a tunnel is woken later as if the program had been told of it, so
    // only the tunnels that the program asks about are looked at.
    table::bound_in(0, n.max(1) as u32 - 1).any(|fd| in_sets(fd) && state(fd) != State::Plain)
        // An epoll instance may become ready for an event that is none while the call sleeps.
        || epoll::numbers_below(n).any(in_sets)
}

const WORD: usize = usize::BITS as usize;

/// # Safety
/// The set holds this bit. FD_ISSET is not used, because its fortified form aborts beyond 1024 and
/// programs use larger sets.
unsafe fn bit(set: *mut fd_set, fd: c_int) -> bool {
    // SAFETY: the caller promises that the set holds this bit.
    unsafe { *set.cast::<usize>().add(fd as usize / WORD) & 1 << (fd as usize % WORD) != 0 }
}

/// # Safety
/// The set holds this bit.
unsafe fn set_bit(set: *mut fd_set, fd: c_int, on: bool) {
    // SAFETY: the caller promises that the set holds this bit.
    unsafe {
        let word = set.cast::<usize>().add(fd as usize / WORD);
        let mask = 1 << (fd as usize % WORD);
        *word = if on { *word | mask } else { *word & !mask };
    }
}
