//! Which descriptors of the process are open.

use super::{check, each_entry, open, poll, syscall};
use crate::Errno;
use std::os::fd::AsFd;
use std::time::Duration;

/// Number of descriptors that are asked for in one call, a multiple of the 64 by which the kernel's
/// table grows.
const FEW: usize = 256;
/// Number of descriptors behind them whose places the table would have as well.
const BEHIND: usize = 64;

/// Calls `each` with every open descriptor of the process.
///
/// # Errors
///
/// What reading /proc/self/fd fails with, where the process has, or may have, descriptors of high
/// numbers.
pub fn each_descriptor(mut each: impl FnMut(i32)) -> Result<(), Errno> {
    if let Some(open) = few() {
        (0..).zip(open).filter(|at| at.1).for_each(|at| each(at.0));
        return Ok(());
    }
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let dir = open(c"/proc/self/fd", flags, 0)?;
    each_entry(dir.as_fd(), |entry| {
        let fd = entry.to_str().ok().and_then(|name| name.parse().ok());
        fd.filter(|fd| *fd != dir.raw())
            .into_iter()
            .for_each(&mut each);
        true
    })
}

/// Returns which of the lowest descriptors are open; None where others may be open, too. Listing
/// /proc/self/fd takes five times as long.
fn few() -> Option<[bool; FEW]> {
    let entry = |fd| libc::pollfd {
        fd,
        events: 0,
        revents: 0,
    };
    let mut asked: [libc::pollfd; FEW + BEHIND] = std::array::from_fn(|fd| entry(fd as i32));
    poll(&mut asked, Some(Duration::ZERO)).ok()?;
    let is_open = |asked: &libc::pollfd| asked.revents & libc::POLLNVAL == 0;
    if asked[FEW..].iter().any(is_open) || !table_ends_before(FEW) {
        return None;
    }
    Some(std::array::from_fn(|fd| is_open(&asked[fd])))
}

/// Has the kernel's table of descriptors no more than `end` places? None of the [`BEHIND`] ones
/// behind is open.
fn table_ends_before(end: usize) -> bool {
    let mut set = [0u64; (FEW + BEHIND) / 64];
    set[end / 64] = u64::MAX;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let (set, time) = (set.as_mut_ptr() as usize, &raw mut time as usize);
    let args = [FEW + BEHIND, set, 0, 0, time, 0];
    // What is beyond the table is not looked at, and what is in it and not open is EBADF.
    // SAFETY: the kernel reads and writes FEW + BEHIND bits and a time, which are locals of this
    // function.
    check(unsafe { syscall(libc::SYS_pselect6, args) }).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<i32> {
        let mut found = Vec::new();
        each_descriptor(|fd| found.push(fd)).expect("listed");
        found.sort();
        found
    }

    #[test]
    fn low_and_high_descriptors_are_found() {
        let file = open(c"/proc/self/stat", libc::O_RDONLY | libc::O_CLOEXEC, 0).expect("open");
        assert!(all().contains(&file.raw()));
        for wanted in [100, FEW as i32 - 1, FEW as i32, 300, 1000] {
            // SAFETY: fcntl(2) makes a descriptor, which is closed below.
            let high = unsafe { libc::fcntl(file.raw(), libc::F_DUPFD_CLOEXEC, wanted) };
            assert!(high >= wanted);
            assert!(all().contains(&high), "{high}");
            // SAFETY: the descriptor is this test's own.
            unsafe { libc::close(high) };
            assert!(!all().contains(&high), "{high}");
        }
    }
}
