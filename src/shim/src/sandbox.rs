//! The program forbids itself system calls (seccomp(2)). Its filter is read to find which calls of
//! this library are among them, so that nothing is given up that is still allowed.

use crate::{table, uaccess};
use libc::{c_long, c_ulong, sock_filter, sock_fprog};
use memtun_sys as sys;
use memtun_sys::quiet::{self, Extra};

/// The calls that are looked for in a filter, with the arguments that they are made with, as far as
/// these are known.
const CALLS: &[(Extra, c_long, [u64; 3])] = &[
    (
        Extra::Futex,
        libc::SYS_futex,
        [0, libc::FUTEX_WAKE as u64, 1],
    ),
    (
        Extra::Futex,
        libc::SYS_futex,
        [0, libc::FUTEX_WAIT as u64, 1],
    ),
    (Extra::Ask, libc::SYS_ioctl, [3, libc::FIONREAD, 0]),
    (Extra::Populate, libc::SYS_madvise, [0, 4096, 23]),
    (Extra::Flags, libc::SYS_fcntl, [3, libc::F_GETFL as u64, 0]),
    (Extra::Flags, libc::SYS_fcntl, [3, libc::F_SETFL as u64, 0]),
    (Extra::Yield, libc::SYS_sched_yield, [0; 3]),
    (Extra::Process, libc::SYS_getpid, [0; 3]),
    (Extra::Clock, libc::SYS_clock_gettime, [0; 3]),
    (
        Extra::Files,
        libc::SYS_openat,
        [libc::AT_FDCWD as u32 as u64, 0, 0],
    ),
    (Extra::Files, libc::SYS_fstat, [3, 0, 0]),
    (
        Extra::Files,
        libc::SYS_fcntl,
        [3, libc::F_OFD_GETLK as u64, 0],
    ),
    (Extra::Files, libc::SYS_flock, [3, 0, 0]),
    (Extra::Files, libc::SYS_unlinkat, [3, 0, 0]),
    (Extra::Files, libc::SYS_renameat2, [3, 0, 3]),
    (Extra::Files, libc::SYS_mmap, [0, 4096, 3]),
    (Extra::Poll, libc::SYS_ppoll, [0, 1, 0]),
    (
        Extra::Control,
        libc::SYS_epoll_ctl,
        [3, libc::EPOLL_CTL_MOD as u64, 3],
    ),
    (Extra::Unmap, libc::SYS_munmap, [0; 3]),
    (
        Extra::Host,
        libc::SYS_socket,
        [libc::AF_UNIX as u64, HOST_SOCKET, 0],
    ),
    (Extra::Host, libc::SYS_connect, [3, 0, 0]),
    (
        Extra::Host,
        libc::SYS_sendmsg,
        [3, 0, (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as u64],
    ),
    (Extra::Host, libc::SYS_recvfrom, [3, 0, 0]),
    (Extra::Host, libc::SYS_getsockopt, MARK),
    (Extra::Host, libc::SYS_setsockopt, MARK),
    (Extra::Host, libc::SYS_getsockopt, SEAL),
    (Extra::Host, libc::SYS_setsockopt, SEAL),
    (Extra::Host, libc::SYS_getsockname, [3, 0, 0]),
    (Extra::Host, libc::SYS_ppoll, [0, 1, 0]),
    (Extra::Host, libc::SYS_openat, [3, 0, 0]),
    (
        Extra::Spawn,
        libc::SYS_pipe2,
        [0, libc::O_CLOEXEC as u64, 0],
    ),
    (Extra::Spawn, libc::SYS_dup3, [3, 1, 0]),
    (Extra::Spawn, libc::SYS_clone, [SHARED_MEMORY, 0, 0]),
    (Extra::Spawn, libc::SYS_wait4, [1, 0, 0]),
    (Extra::Spawn, libc::SYS_close_range, [3, u32::MAX as u64, 0]),
    (Extra::Spawn, libc::SYS_setsid, [0; 3]),
    (Extra::Spawn, libc::SYS_execve, [0; 3]),
    (Extra::Spawn, libc::SYS_mmap, [0, 65536, 3]),
    (Extra::Sockets, libc::SYS_getsockopt, COOKIE),
    (Extra::Sockets, libc::SYS_getsockname, [3, 0, 0]),
    (Extra::Sockets, libc::SYS_getpeername, [3, 0, 0]),
    (Extra::Names, libc::SYS_getsockname, [3, 0, 0]),
    (Extra::Probe, libc::SYS_rt_sigprocmask, [0x7fff, 4096, 0]),
    (
        Extra::Options,
        libc::SYS_setsockopt,
        [3, libc::SOL_SOCKET as u64, 0],
    ),
    (Extra::Files, libc::SYS_close, [3, 0, 0]),
    (Extra::Host, libc::SYS_close, [3, 0, 0]),
    (Extra::Host, libc::SYS_fstat, [3, 0, 0]),
    (Extra::Host, libc::SYS_bind, [3, 0, 0]),
    (Extra::Sockets, libc::SYS_recvmsg, [3, 0, 0]),
    (Extra::Sockets, libc::SYS_sendmsg, [3, 0, 0]),
    (Extra::Sockets, libc::SYS_bind, [3, 0, 0]),
    (
        Extra::Sockets,
        libc::SYS_fcntl,
        [3, libc::F_GETFL as u64, 0],
    ),
    (Extra::Sockets, libc::SYS_fstat, [3, 0, 0]),
    (Extra::Privilege, libc::SYS_capget, [0; 3]),
    (Extra::Privilege, libc::SYS_capset, [0; 3]),
    (Extra::Privilege, libc::SYS_rt_sigprocmask, [2, 0, 0]),
    (Extra::Spawn, libc::SYS_rt_sigprocmask, [2, 0, 0]),
    (Extra::Signals, libc::SYS_rt_sigprocmask, [0, 0, 0]),
    (Extra::Signals, libc::SYS_rt_sigprocmask, [1, 0, 0]),
    (Extra::Awake, libc::SYS_rt_sigprocmask, [0, 0, 0]),
    (Extra::Awake, libc::SYS_rt_sigprocmask, [1, 0, 0]),
    (Extra::Awake, libc::SYS_rt_sigpending, [0, 8, 0]),
    (Extra::Awake, libc::SYS_rt_sigaction, [1, 0, 0]),
    (Extra::Awake, libc::SYS_ppoll, [0, 1, 0]),
    (Extra::Spawn, libc::SYS_prlimit64, [0; 3]),
    (
        Extra::Keep,
        libc::SYS_prctl,
        [libc::PR_GET_CHILD_SUBREAPER as u64, 0, 0],
    ),
    (Extra::Keep, libc::SYS_getpid, [0; 3]),
    (
        Extra::Keep,
        libc::SYS_clone,
        [libc::CLONE_PARENT as u64, 0, 0],
    ),
    (Extra::Keep, libc::SYS_read, [3, 0, 4]),
    (Extra::Say, libc::SYS_write, [2, 0, 0]),
    (Extra::Say, libc::SYS_getpid, [0; 3]),
];

/// Type of the socket to the host process.
const HOST_SOCKET: u64 = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64;
/// Arguments of the calls on a netlink socket's mark.
const MARK: [u64; 3] = [3, libc::SOL_SOCKET as u64, libc::SO_RCVLOWAT as u64];
/// Arguments of the calls on a netlink socket's seal (SO_ATTACH_FILTER is SO_GET_FILTER).
const SEAL: [u64; 3] = [3, libc::SOL_SOCKET as u64, libc::SO_ATTACH_FILTER as u64];
/// Arguments of the call that tells one socket from all others.
const COOKIE: [u64; 3] = [3, libc::SOL_SOCKET as u64, libc::SO_COOKIE as u64];
/// Flags of clone(2) for a process that shares its maker's memory.
const SHARED_MEMORY: u64 = (libc::CLONE_VM | libc::CLONE_VFORK) as u64;

/// prctl(PR_SET_SECCOMP) or seccomp(2); `host` makes the call.
pub fn enter<T: PartialEq + From<i8>>(
    mode: c_ulong,
    program: usize,
    host: impl FnOnce() -> T,
) -> T {
    // A child of vfork(2) is in another sandbox than its parent, whose memory this is.
    if !crate::process::owns_memory() {
        return host();
    }
    let forbidden = match mode as u32 {
        libc::SECCOMP_MODE_STRICT => quiet::EVERYTHING,
        libc::SECCOMP_MODE_FILTER => forbidden_by(program),
        _ => return host(),
    };
    // Everything that would be mapped at its first use must be mapped before the filter is in
    // force.
    for fd in table::bound_in(0, u32::MAX) {
        if let Some(tunnel) = table::hold(fd) {
            tunnel.prepare();
        }
    }
    // The same holds for what is looked at once.
    let _ = crate::view::works_there();
    if crate::net::current().is_some() {
        table::prepare();
        if forbidden & Extra::Probe as u32 != 0 {
            crate::watch::guard();
        }
    }
    // The calls are given up before the filter is in force, because other threads are in the same
    // sandbox at the same moment.
    let before = quiet::forbid(forbidden);
    let answer = host();
    if answer == T::from(-1) {
        quiet::restore(before);
    }
    answer
}

/// Called when a tunnel came to this process from another one, perhaps over an exec, and with it a
/// filter that this process has not seen. What the loader and this library have done by now is
/// allowed; the other calls are not tried.
pub fn look_for_inherited() {
    let mut status = [0u8; 2048];
    let read = sys::open(c"/proc/self/status", libc::O_RDONLY | libc::O_CLOEXEC, 0)
        .and_then(|file| sys::read(file.raw(), &mut status));
    let text = &status[..read.unwrap_or(0)];
    if text.windows(11).any(|line| line == b"\nSeccomp:\t2") {
        quiet::forbid(Extra::Ask as u32 | Extra::Populate as u32 | Extra::Awake as u32);
    }
}

/// The calls of this library that a filter does not allow, as bits.
fn forbidden_by(program: usize) -> u32 {
    // SAFETY: plain numbers are read, and a pointer that is not followed here.
    let Ok(program) = (unsafe { uaccess::read(program as *const sock_fprog) }) else {
        return 0;
    };
    let refused = |(_, number, args): &&(Extra, c_long, [u64; 3])| !allows(&program, *number, args);
    CALLS
        .iter()
        .filter(refused)
        .fold(0, |bits, (extra, ..)| bits | *extra as u32)
}

#[cfg(target_arch = "x86_64")]
const AUDIT_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const AUDIT_ARCH: u32 = 0xc000_00b7;

/// Does a filter let a call pass? The answer is no for a filter that the kernel would refuse, or
/// that this function does not understand.
fn allows(program: &sock_fprog, number: c_long, args: &[u64; 3]) -> bool {
    matches!(
        answer(program, number, args),
        Some(libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG)
    )
}

/// Runs a filter (classic BPF, as far as seccomp has it). Returns its action.
fn answer(program: &sock_fprog, number: c_long, args: &[u64; 3]) -> Option<u32> {
    // The filter's input is struct seccomp_data in words of 32 bits: number, architecture,
    // instruction pointer and six arguments.
    let mut data = [0u32; 16];
    data[0] = number as u32;
    data[1] = AUDIT_ARCH;
    for (at, arg) in args.iter().enumerate() {
        data[4 + 2 * at] = *arg as u32;
        data[5 + 2 * at] = (*arg >> 32) as u32;
    }
    let (mut a, mut x, mut memory) = (0u32, 0u32, [0u32; 16]);
    let mut at = 0usize;
    // The loop ends, because jumps lead forward only.
    while at < usize::from(program.len) {
        // SAFETY: an instruction is plain numbers.
        let op = unsafe { uaccess::read(program.filter.cast_const().wrapping_add(at)) }.ok()?;
        let sock_filter { code, jt, jf, k } = op;
        at += 1;
        let operand = if code & 0x08 != 0 { x } else { k };
        let place = k as usize;
        match code {
            0x20 => a = *data.get(place / 4).filter(|_| k % 4 == 0)?,
            0x80 => a = size_of_val(&data) as u32,
            0x81 => x = size_of_val(&data) as u32,
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = *memory.get(place)?,
            0x61 => x = *memory.get(place)?,
            0x02 => *memory.get_mut(place)? = a,
            0x03 => *memory.get_mut(place)? = x,
            0x04 | 0x0c => a = a.wrapping_add(operand),
            0x14 | 0x1c => a = a.wrapping_sub(operand),
            0x24 | 0x2c => a = a.wrapping_mul(operand),
            // A division by zero ends the filter with 0, which kills the process.
            0x34 | 0x3c => a = a.checked_div(operand)?,
            0x44 | 0x4c => a |= operand,
            0x54 | 0x5c => a &= operand,
            0x64 | 0x6c => a = a.wrapping_shl(operand),
            0x74 | 0x7c => a = a.wrapping_shr(operand),
            0x84 => a = a.wrapping_neg(),
            0xa4 | 0xac => a ^= operand,
            0x05 => at = at.checked_add(place)?,
            0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => {
                let holds = match code & 0xf0 {
                    0x10 => a == operand,
                    0x20 => a > operand,
                    0x30 => a >= operand,
                    _ => a & operand != 0,
                };
                at += usize::from(if holds { jt } else { jf });
            }
            0x06 => return Some(k & libc::SECCOMP_RET_ACTION_FULL),
            0x16 => return Some(a & libc::SECCOMP_RET_ACTION_FULL),
            0x07 => x = a,
            0x87 => a = x,
            _ => return None,
        }
    }
    None
}
