//! syscall(2): the numbers of calls that are hooked go through their hooks. Its C prototype is variadic; seven words are
//! right on x86-64 and aarch64.

use super::{close, dup, exec, file, ioctl, open, rw, sandbox, stat};
use crate::real::{hooks, real};
use libc::{c_int, c_long};

hooks! {
    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long => my_syscall {
        match ours(number, [a, b, c, d, e, f]) {
            Some(answer) => answer,
            None => real!(syscall(number, a, b, c, d, e, f)),
        }
    }
}

/// The hook's answer for a call that we have one for.
fn ours(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<c_long> {
    let (fd, fd2) = (a as c_int, b as c_int);
    let at = libc::AT_FDCWD;
    // SAFETY: the caller's arguments for that very call; the hooks have the contract of the call.
    let answer: isize = unsafe {
        match number {
            libc::SYS_openat => open::my_openat(fd, b as _, c as c_int, d as _) as isize,
            libc::SYS_openat2 => open::openat2(fd, b as _, c as _)? as isize,
            libc::SYS_read => rw::my_read(fd, b as _, c),
            libc::SYS_write => rw::my_write(fd, b as _, c),
            libc::SYS_pread64 => rw::my_pread64(fd, b as _, c, d as _),
            libc::SYS_pwrite64 => rw::my_pwrite64(fd, b as _, c, d as _),
            libc::SYS_readv => rw::my_readv(fd, b as _, c as c_int),
            libc::SYS_writev => rw::my_writev(fd, b as _, c as c_int),
            libc::SYS_preadv => rw::my_preadv64(fd, b as _, c as c_int, d as _),
            libc::SYS_pwritev => rw::my_pwritev64(fd, b as _, c as c_int, d as _),
            libc::SYS_preadv2 => rw::my_preadv64v2(fd, b as _, c as c_int, d as _, f as c_int),
            libc::SYS_pwritev2 => rw::my_pwritev64v2(fd, b as _, c as c_int, d as _, f as c_int),
            libc::SYS_ioctl => ioctl::my_ioctl(fd, b as _, c as _) as isize,
            libc::SYS_close => close::my_close(fd) as isize,
            libc::SYS_close_range => close::my_close_range(a as _, b as _, c as c_int) as isize,
            libc::SYS_dup => dup::my_dup(fd) as isize,
            libc::SYS_dup3 => dup::my_dup3(fd, fd2, c as c_int) as isize,
            libc::SYS_fcntl => dup::my_fcntl(fd, b as c_int, c as _) as isize,
            libc::SYS_fstat => stat::my_fstat(fd, b as _) as isize,
            libc::SYS_newfstatat => stat::my_fstatat(fd, b as _, c as _, d as c_int) as isize,
            libc::SYS_statx => stat::my_statx(fd, b as _, c as c_int, d as _, e as _) as isize,
            libc::SYS_faccessat => stat::my_faccessat(fd, b as _, c as c_int, 0) as isize,
            libc::SYS_faccessat2 => stat::my_faccessat(fd, b as _, c as c_int, d as c_int) as isize,
            libc::SYS_mknodat => stat::my_mknodat(fd, b as _, c as _, d as _) as isize,
            libc::SYS_readlinkat => file::my_readlinkat(fd, b as _, c as _, d),
            libc::SYS_execve => exec::my_execve(a as _, b as _, c as _) as isize,
            libc::SYS_flock => file::my_flock(fd, b as c_int) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => open::my_open(a as _, b as c_int, c as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => open::my_creat(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => dup::my_dup2(fd, fd2) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => stat::my_fstatat(at, a as _, b as _, 0) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => {
                stat::my_fstatat(at, a as _, b as _, libc::AT_SYMLINK_NOFOLLOW) as isize
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_access => stat::my_access(a as _, b as c_int) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_readlink => file::my_readlinkat(at, a as _, b as _, c),
            libc::SYS_prctl => sandbox::my_prctl(fd, b as _, c as _, d as _, e as _) as isize,
            libc::SYS_seccomp => seccomp([a, b, c, d, e, f]) as isize,
            libc::SYS_pidfd_getfd => {
                let fd = memtun_core::sys::syscall(number, [a, b, c, 0, 0, 0]);
                if fd < 0 {
                    crate::errno::set(-fd as i32);
                    return Some(-1);
                }
                crate::net::adopt(fd as c_int);
                fd
            }
            _ => return None,
        }
    };
    Some(answer as c_long)
}

/// SECCOMP_SET_MODE_STRICT is 0 and SECCOMP_SET_MODE_FILTER 1, where prctl(2) says 1 and 2.
fn seccomp([a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let make = || real!(syscall(libc::SYS_seccomp, a, b, c, d, e, f));
    crate::sandbox::enter((a as u32).wrapping_add(1).into(), c, make)
}
