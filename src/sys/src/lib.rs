//! System calls as the kernel offers them, without libc's wrappers.
//!
//! The core runs below a preloaded library that interposes libc's own names: a call of `libc::read`
//! from here would come back through the hook that is being served. So everything that touches
//! descriptors, files or mappings goes to the kernel directly and returns `Result<_, Errno>`; errno
//! is never touched. A function that names a system call fails with that call's errnos.

mod fd;
mod fs;
pub mod guard;
pub mod inet;
mod kept;
mod limits;
mod mem;
mod netlink;
mod open;
mod path;
pub mod privilege;
pub mod quiet;
mod raw;
mod signals;
mod socket;
mod spawn;
mod stat;
mod view;

pub use fd::*;
pub use fs::*;
pub use kept::{KeptFifo, KeptSocket};
pub use limits::*;
pub use mem::*;
pub use netlink::*;
pub use open::each_descriptor;
pub use path::PathBuf;
pub use raw::syscall;
pub use signals::{hold_signals, Quiet};
pub use socket::*;
pub use spawn::{spawn_apart, MOST_WORDS};
pub use stat::*;
pub use view::*;

use memtun_abi::Errno;
use quiet::{may, Extra};

/// Turns the kernel's answer into a result: -4095 to -1 are negative errnos.
fn check(answer: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&answer) {
        Err(Errno(-answer as i32))
    } else {
        Ok(answer as usize)
    }
}

/// Returns the caller's process id as the kernel has it now. It is never cached, because a vfork
/// child differs from its parent here.
pub fn getpid() -> i32 {
    // SAFETY: getpid(2) takes no arguments and touches no memory.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) as i32 }
}

/// Is there a process of this id, whoever owns it (kill(2) without a signal)?
pub fn process_exists(pid: i32) -> bool {
    let args = [pid as usize, 0, 0, 0, 0, 0];
    // SAFETY: kill(2) with signal 0 sends nothing and touches no memory.
    let answer = check(unsafe { syscall(libc::SYS_kill, args) });
    !matches!(answer, Err(Errno(libc::ESRCH)))
}

/// Returns the caller's thread id.
pub fn gettid() -> i32 {
    // SAFETY: gettid(2) takes no arguments and touches no memory.
    unsafe { syscall(libc::SYS_gettid, [0; 6]) as i32 }
}

/// Returns the signals that have come and are blocked, a bit each (rt_sigpending(2)).
pub fn pending_signals() -> u64 {
    let mut set = 0u64;
    let args = [&mut set as *mut u64 as usize, 8, 0, 0, 0, 0];
    // SAFETY: the kernel writes one set of 8 bytes, which is a local of this function.
    unsafe { syscall(libc::SYS_rt_sigpending, args) };
    set
}

/// Returns the handler and the flags of a signal's action (rt_sigaction(2)).
pub fn signal_action(signal: i32) -> (usize, u64) {
    // The kernel's struct sigaction has a handler, flags, a restorer and a mask.
    let mut action = [0u64; 4];
    let args = [signal as usize, 0, action.as_mut_ptr() as usize, 8, 0, 0];
    // SAFETY: the kernel writes one struct sigaction, which is a local of this function.
    unsafe { syscall(libc::SYS_rt_sigaction, args) };
    (action[0] as usize, action[1])
}

/// Returns one more than the number of the processor that the caller runs on, without
/// a system call where the kernel has told it; 0 where nobody knows.
#[inline(always)]
pub fn here() -> u32 {
    // SAFETY: the function takes no arguments and touches no memory of the caller's.
    let number = unsafe { libc::sched_getcpu() };
    (number + 1).max(0) as u32
}

/// Gives a signal its default action (rt_sigaction(2)).
pub fn default_action(signal: i32) {
    // The kernel's struct sigaction has a handler, flags, a restorer and a mask; all are zero.
    let action = [0u64; 4];
    let args = [signal as usize, action.as_ptr() as usize, 0, 8, 0, 0];
    // SAFETY: the kernel reads one struct sigaction, which is a local of this function.
    unsafe { syscall(libc::SYS_rt_sigaction, args) };
}

/// Changes the calling thread's signal mask, in which signal N is bit N-1, and returns what it was
/// before (rt_sigprocmask(2)).
pub fn change_mask(how: i32, signals: u64) -> Result<u64, Errno> {
    let mut before = 0u64;
    let args = [
        how as usize,
        &signals as *const u64 as usize,
        &mut before as *mut u64 as usize,
        8,
        0,
        0,
    ];
    // SAFETY: the kernel reads and writes one set of 8 bytes each, which are locals of this
    // function.
    check(unsafe { syscall(libc::SYS_rt_sigprocmask, args) }).map(|_| before)
}

/// Sends a signal to the calling thread.
pub fn raise(signal: i32) {
    let args = [
        getpid() as usize,
        gettid() as usize,
        signal as usize,
        0,
        0,
        0,
    ];
    // SAFETY: tgkill(2) touches no memory.
    unsafe { syscall(libc::SYS_tgkill, args) };
}

/// Lets other threads run (sched_yield(2)).
pub fn yield_now() {
    if !may(Extra::Yield) {
        return std::hint::spin_loop();
    }
    // SAFETY: sched_yield(2) takes no arguments and touches no memory.
    unsafe { syscall(libc::SYS_sched_yield, [0; 6]) };
}

/// Sleeps for this time, or for less when a signal comes.
pub fn nap(time: std::time::Duration) {
    let time = libc::timespec {
        tv_sec: time.as_secs().min(i64::MAX as u64) as libc::time_t,
        tv_nsec: time.subsec_nanos() as _,
    };
    // SAFETY: nanosleep(2) reads one timespec.
    unsafe {
        syscall(
            libc::SYS_nanosleep,
            [&time as *const _ as usize, 0, 0, 0, 0, 0],
        )
    };
}

/// Returns a number that nobody can guess (getrandom(2)), or the time where the kernel has none
/// yet.
pub fn random() -> u64 {
    const GRND_NONBLOCK: usize = 1;
    let mut number = [0u8; 8];
    let args = [number.as_mut_ptr() as usize, 8, GRND_NONBLOCK, 0, 0, 0];
    // SAFETY: the kernel writes at most 8 bytes.
    match unsafe { syscall(libc::SYS_getrandom, args) } {
        8 => u64::from_ne_bytes(number),
        _ => now_ns(libc::CLOCK_MONOTONIC),
    }
}

/// Returns the number of the processor that the calling thread runs on (getcpu(2)).
pub fn processor() -> u32 {
    let mut number = 0u32;
    // SAFETY: the kernel stores a number in a local of this function.
    unsafe { syscall(libc::SYS_getcpu, [&raw mut number as usize, 0, 0, 0, 0, 0]) };
    number
}

/// Is this the caller's effective group, or one of its supplementary groups?
pub fn is_in_group(group: u32) -> bool {
    is_in_groups(group, group)
}

/// Is one of these the caller's effective group, or one of its supplementary groups?
pub fn is_in_groups(first: u32, last: u32) -> bool {
    let is_it = |group: &u32| (first..=last).contains(group);
    // SAFETY: getegid(2) takes no arguments and touches no memory.
    if is_it(&(unsafe { syscall(libc::SYS_getegid, [0; 6]) } as u32)) {
        return true;
    }
    let groups = |room: *mut u32, n: usize| {
        // SAFETY: the kernel stores at most `n` numbers, for which every caller gives room, and
        // nothing where `n` is 0.
        check(unsafe { syscall(libc::SYS_getgroups, [n, room as usize, 0, 0, 0, 0]) })
    };
    let mut few = [0u32; 64];
    match groups(few.as_mut_ptr(), few.len()) {
        Ok(n) => few[..n.min(few.len())].iter().any(is_it),
        Err(Errno(libc::EINVAL)) => is_among_many(groups, is_it).unwrap_or(false),
        Err(_) => false,
    }
}

/// Answers [`is_in_group`] for a process that is in more groups than usual.
#[cold]
fn is_among_many(
    groups: impl Fn(*mut u32, usize) -> Result<usize, Errno>,
    is_it: impl Fn(&u32) -> bool,
) -> Result<bool, Errno> {
    /// NGROUPS_MAX of the kernel.
    const MOST: usize = 65536;
    let size = MOST * size_of::<u32>();
    let room = map_private(size, libc::PROT_READ | libc::PROT_WRITE)?;
    let n = groups(room.cast(), MOST);
    let found = n.map(|n| {
        // SAFETY: this is a mapping of this function's own with room for MOST numbers, which are
        // zeroed or filled by the kernel.
        unsafe { std::slice::from_raw_parts(room.cast::<u32>(), n.min(MOST)) }
            .iter()
            .any(is_it)
    });
    // SAFETY: this function has made the mapping, and nobody else knows it.
    unsafe { unmap(room.cast(), size) };
    found
}

/// Returns the caller's effective user id.
pub fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) takes no arguments and touches no memory.
    unsafe { syscall(libc::SYS_geteuid, [0; 6]) as u32 }
}

/// Returns the time of `clock` (CLOCK_MONOTONIC, CLOCK_REALTIME) in nanoseconds.
pub fn now_ns(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let clock = match clock {
        libc::CLOCK_MONOTONIC if !may(Extra::Clock) => libc::CLOCK_MONOTONIC_COARSE,
        libc::CLOCK_REALTIME if !may(Extra::Clock) => libc::CLOCK_REALTIME_COARSE,
        fine => fine,
    };
    // SAFETY: clock_gettime writes one timespec. libc's function goes through the vDSO, is
    // async-signal-safe and not interposed.
    unsafe { libc::clock_gettime(clock, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
