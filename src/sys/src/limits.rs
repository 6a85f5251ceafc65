//! What the process may have, and what a file system has: where to stop, and what to say of it.

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

/// A soft limit, if there is one.
pub fn soft_limit(resource: u32) -> Option<u64> {
    Some(limit(resource).rlim_cur).filter(|bytes| *bytes != INFINITY)
}

/// The longest file that the process may make: the soft limit is raised for that moment.
pub fn longest_file() -> u64 {
    limit(libc::RLIMIT_FSIZE).rlim_max
}

/// Bytes of address space that the process may have, and those of them that it may still take; None
/// when that is not limited.
pub fn address_space_left() -> Option<(usize, usize)> {
    let limit = soft_limit(libc::RLIMIT_AS)?;
    // Where /proc is not there the process may be anything: half of what it may have is a guess
    // that leaves it something.
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

/// Bytes that a file system has, and bytes that are free for the caller. None when it has no limit,
/// or nobody can tell.
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
    // SAFETY: the path is NUL-terminated and the kernel writes one struct statfs; zeroed is a valid
    // value of it in any case.
    let found = unsafe {
        check(syscall(libc::SYS_statfs, args)).ok()?;
        found.assume_init()
    };
    let unit = found.f_bsize as u64;
    (found.f_blocks != 0).then(|| (found.f_blocks * unit, found.f_bavail * unit))
}
