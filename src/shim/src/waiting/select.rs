//! select(2) where the bell alone cannot tell the truth: it is done by poll(2).
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::awake::{FEW, NOBODY};
use super::bed;
use super::deadline::Deadline;
use super::epoll;
use super::poll::poll;
use super::stale;
use super::state::{state, State};
use crate::{errno, table, uaccess};
use libc::{c_int, fd_set, pollfd, sigset_t};
use memtun_calls::readiness::select::{ASK, COUNTS};

/// select(2) with such tunnels. It changes the sets and returns as select does.
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
#[inline(always)]
pub unsafe fn select(
    n: c_int,
    sets: [*mut fd_set; 3],
    deadline: Deadline,
    mask: *const sigset_t,
) -> c_int {
    let bed = bed::begin();
    // SAFETY: the caller's contract.
    let (at, count) = unsafe { gather(bed, n, &sets) };
    // SAFETY: the array stays in its bed until the answer is told, and nothing else uses it.
    let fds = unsafe { std::slice::from_raw_parts_mut(at, count) };
    let answer = poll(fds, deadline, mask);
    // SAFETY: the caller's contract.
    unsafe { tell(bed, &sets, answer) }
}

/// Puts what the sets ask as an array into a bed. Returns where it is, and its length.
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
#[inline(never)]
unsafe extern "C" fn gather(
    number: usize,
    n: c_int,
    sets: &[*mut fd_set; 3],
) -> (*mut pollfd, usize) {
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
    bed::with(number, |bed| {
        bed.asked = fds;
        (bed.asked.as_mut_ptr(), bed.asked.len())
    })
}

/// Changes the sets to what poll(2) has told, and returns what select(2) does.
///
/// # Safety
/// The sets are those of [`gather`].
#[inline(never)]
unsafe extern "C" fn tell(number: usize, sets: &[*mut fd_set; 3], answer: c_int) -> c_int {
    let fds = bed::with(number, |bed| std::mem::take(&mut bed.asked));
    bed::leave(number);
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

/// Is a tunnel or an epoll instance among the descriptors of the sets? The answer is no where the
/// sets cannot be read.
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
pub unsafe fn has_targets(n: c_int, sets: [*mut fd_set; 3]) -> bool {
    let words = (n.max(0) as usize).div_ceil(WORD);
    let is_good = |set: &*mut fd_set| {
        set.is_null()
            || words == 0
            || uaccess::ends_readable(set.addr(), words * size_of::<usize>())
    };
    if !sets.iter().all(is_good) {
        return false;
    }
    for at in 0..words {
        let mut bits = 0;
        for set in sets.iter().filter(|set| !set.is_null()) {
            // SAFETY: the caller's sets have `n` bits, and so the words that hold them.
            bits |= unsafe { *set.cast::<usize>().add(at) };
        }
        while bits != 0 {
            let fd = (at * WORD) as c_int + bits.trailing_zeros() as c_int;
            if fd < n && epoll::is_target(fd) {
                return true;
            }
            bits &= bits - 1;
        }
    }
    false
}

/// What the sets ask, as an array for poll(2) and its length, if that is few descriptors.
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
pub unsafe fn few(n: c_int, sets: [*mut fd_set; 3]) -> Option<([pollfd; FEW], usize)> {
    let mut fds = [NOBODY; FEW];
    let mut count = 0;
    for at in 0..(n.max(0) as usize).div_ceil(WORD) {
        let words = sets.map(|set| match set.is_null() {
            true => 0,
            // SAFETY: the caller's sets have `n` bits, and so the words that hold them.
            false => unsafe { *set.cast::<usize>().add(at) },
        });
        let mut bits = words[0] | words[1] | words[2];
        while bits != 0 {
            let bit = bits.trailing_zeros();
            bits &= bits - 1;
            let fd = (at * WORD) as c_int + bit as c_int;
            if fd >= n {
                break;
            }
            let asked = words
                .iter()
                .zip(ASK)
                .filter(|(word, _)| *word >> bit & 1 != 0);
            *fds.get_mut(count)? = pollfd {
                fd,
                events: asked.fold(0, |all, (_, ask)| all | ask),
                revents: 0,
            };
            count += 1;
        }
    }
    Some((fds, count))
}

/// Does a set ask about a tunnel that needs care?
///
/// # Safety
/// The sets are NULL or hold at least `n` bits.
pub unsafe fn sets_need_care(n: c_int, sets: [*mut fd_set; 3]) -> bool {
    // SAFETY: the bound descriptors below `n` are bits of the sets.
    let asked = |fd: c_int, set: &*mut fd_set| !set.is_null() && unsafe { bit(*set, fd) };
    let in_sets = |fd: c_int| sets.iter().any(|set| asked(fd, set));
    // More bits than are kept for a second question are asked for by poll(2).
    let too_many = n as usize > KEPT;
    let in_reads = |fd: c_int| too_many && asked(fd, &sets[0]);
    // Who asks for the state of a tunnel is woken later as if the program had been told of it, so
    // only the tunnels that the program asks about are looked at.
    table::bound_in(0, n.max(1) as u32 - 1)
        .any(|fd| in_reads(fd) || in_sets(fd) && state(fd) != State::Plain)
        // An epoll instance may become ready for an event that is none while the call sleeps.
        || epoll::numbers_below(n).any(in_sets)
}

/// Number of descriptors whose sets are kept for a second question.
const KEPT: usize = 1024;

/// What a call of select(2) asked, for a second question: the answer stands in the same sets. It is
/// kept where a tunnel is among those that are to become readable, because another reader may be
/// quicker than the call.
pub struct Asked {
    words: usize,
    sets: [[usize; KEPT / WORD]; 3],
}

impl Asked {
    /// # Safety
    /// The sets are NULL or hold at least `n` bits.
    pub unsafe fn of(n: c_int, sets: [*mut fd_set; 3]) -> Asked {
        let mut asked = Asked {
            words: 0,
            sets: [[0; KEPT / WORD]; 3],
        };
        let reads = sets[0];
        if n <= 0 || n as usize > KEPT || reads.is_null() {
            return asked;
        }
        // SAFETY: the bound descriptors below `n` are bits of the set.
        let concerned = |fd: c_int| unsafe { bit(reads, fd) };
        if !table::bound_in(0, n as u32 - 1).any(concerned) {
            return asked;
        }
        asked.words = (n as usize).div_ceil(WORD);
        for (kept, set) in asked.sets.iter_mut().zip(sets) {
            for (at, word) in kept[..asked.words].iter_mut().enumerate() {
                if !set.is_null() {
                    // SAFETY: the caller's sets have `n` bits, and so the words that hold them.
                    *word = unsafe { *set.cast::<usize>().add(at) };
                }
            }
        }
        asked
    }

    /// Takes the tunnels out of the set of those that can be read of which that is not true.
    /// Returns how many there were. `answer` is what the call returned.
    ///
    /// # Safety
    /// The set is NULL or holds at least `n` bits.
    pub unsafe fn false_in(&self, n: c_int, reads: *mut fd_set, answer: c_int) -> c_int {
        if answer <= 0 || self.words == 0 {
            return 0;
        }
        let mut count = 0;
        for fd in table::bound_in(0, n as u32 - 1) {
            // SAFETY: the caller promises that the set holds this bit.
            if unsafe { bit(reads, fd) } && stale::was_told_falsely(fd) {
                // SAFETY: as above.
                unsafe { set_bit(reads, fd, false) };
                count += 1;
            }
        }
        count
    }

    /// Asks again what was asked.
    ///
    /// # Safety
    /// The sets are those that [`Asked::of`] has looked at.
    pub unsafe fn put_back(&self, sets: [*mut fd_set; 3]) {
        for (kept, set) in self.sets.iter().zip(sets) {
            for (at, word) in kept[..self.words].iter().enumerate() {
                if !set.is_null() {
                    // SAFETY: the word was read at the same place before the call.
                    unsafe { *set.cast::<usize>().add(at) = *word };
                }
            }
        }
    }
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
