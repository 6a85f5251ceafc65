//! What descriptors say that the machine's kernel does not know of, so that it is added to its
//! answer: files of the view that something has changed, until they are read for the first time
//! (POLLPRI with POLLERR); in select(2), sockets of UDP that an error waits.

use crate::{uaccess, view};
use libc::{c_int, fd_set, pollfd};

/// Does one of these say that?
pub fn is_any(array: &[pollfd]) -> bool {
    array.iter().any(|p| view::has_news(p.fd))
}

/// Adds that to the answer of poll(2), and returns how many descriptors are ready.
pub fn show(array: &mut [pollfd]) -> c_int {
    let mut ready = 0;
    for p in array {
        if p.revents & libc::POLLNVAL == 0 && view::has_news(p.fd) {
            p.revents |= libc::POLLERR | p.events & libc::POLLPRI;
        }
        ready += c_int::from(p.revents != 0);
    }
    ready
}

/// Those of a set of select(2) that say that.
pub struct News([u64; libc::FD_SETSIZE / 64]);

/// Looks at a set of descriptors; `None` where there is none that says so.
pub fn in_set(n: c_int, set: *mut fd_set, says: impl Fn(c_int) -> bool) -> Option<News> {
    if set.is_null() {
        return None;
    }
    let mut found = News([0; libc::FD_SETSIZE / 64]);
    for fd in 0..n.min(libc::FD_SETSIZE as c_int) {
        let (at, bit) = (fd as usize / 64, 1 << (fd % 64));
        // SAFETY: the set is the caller's and has `n` bits; a word of it is read with a check.
        let word = unsafe { uaccess::read(set.cast::<u64>().add(at)) }.ok()?;
        if word & bit != 0 && says(fd) {
            found.0[at] |= bit;
        }
    }
    found.0.iter().any(|word| *word != 0).then_some(found)
}

impl News {
    /// Adds them to what select(2) has answered and stored in the set.
    pub fn added(&self, set: *mut fd_set, answer: c_int) -> c_int {
        if answer < 0 {
            return answer;
        }
        let mut count = 0;
        for (at, word) in self.0.iter().enumerate().filter(|(_, word)| **word != 0) {
            let place = set.cast::<u64>().wrapping_add(at);
            // SAFETY: the word was read before, and the kernel has just written the set.
            if let Ok(told) = unsafe { uaccess::read(place) } {
                count += (word & !told).count_ones() as c_int;
                let _ = uaccess::write(place, &(told | word));
            }
        }
        answer + count
    }
}
