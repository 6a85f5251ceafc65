//! What the process may have and what a file system has: the limits, and how much of them is left.

use super::fs::prlimit;
use super::{check, open_internal, read, syscall, PAGE};
use std::ffi::CStr;

const INFINITY: u64 = libc::RLIM64_INFINITY;

fn limit(resource: u32) -> libc::rlimit64 {
    let mut limit = libc::rlimit64 {
        rlim_cur: INFINITY,
        rlim_max: INFINITY,
    };
    let _ = prlimit(resource as i32, None, Some(&mut limit));
    limit
}

/// Returns the soft limit of a resource, or None when it is unlimited.
pub fn soft_limit(resource: u32) -> Option<u64> {
    Some(limit(resource).rlim_cur).filter(|bytes| *bytes != INFINITY)
}

/// Lets the allocator give back each large piece of memory at once, and get it with pages that are
/// not there until they are touched. By itself glibc keeps pieces as large as those that were
/// freed, and fills them with zeros.
pub fn give_large_memory_back() {
    /// What is large, in bytes.
    #[cfg(target_env = "gnu")]
    const LARGE: i32 = 128 << 10;
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) changes a number of the allocator's, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Returns how many bytes the longest file may have that the process can make. This is the hard
/// limit, because the soft limit is raised for the moment of making it.
pub fn longest_file() -> u64 {
    limit(libc::RLIMIT_FSIZE).rlim_max
}

/// Returns how many bytes of address space the process may have, and how many of them it may still
/// take. None means that there is no limit.
pub fn address_space_left() -> Option<(usize, usize)> {
    let limit = soft_limit(libc::RLIMIT_AS)?;
    // Without /proc the size of the process is unknown. Half of the limit is a guess that leaves
    // the process something.
    let used = address_space_used().unwrap_or(limit / 2);
    Some((limit as usize, limit.saturating_sub(used) as usize))
}

fn address_space_used() -> Option<u64> {
    let statm = open_internal(c"/proc/self/statm", libc::O_RDONLY, 0).ok()?;
    let mut text = [0u8; 32];
    let n = read(statm.raw(), &mut text).ok()?;
    let digits = text[..n].split(|b| *b == b' ').next()?;
    let pages: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(pages * PAGE as u64)
}

/// Returns how many bytes a file system has, and how many are free for the caller. None means that
/// it has no limit, or that nobody can tell.
pub fn file_system_room(path: &CStr) -> Option<(u64, u64)> {
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    let args = [
        path.as_ptr() as usize,
        found.as_mut_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the path is NUL-terminated, and the kernel writes one struct statfs, for which zeroes
    // are valid in any case.
    let found = unsafe {
        check(syscall(libc::SYS_statfs, args)).ok()?;
        found.assume_init()
    };
    let unit = found.f_bsize as u64;
    (found.f_blocks != 0).then(|| (found.f_blocks * unit, found.f_bavail * unit))
}
