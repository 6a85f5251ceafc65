//! syscall(2): a call that is hooked by its name goes through its hook when it is made by its
//! number, too. The C prototype is variadic; seven words are right on x86-64 and aarch64.

use super::{
    close, directory, disk, dup, epoll, exec, ioctl, map, names, naming, open, owner, rawsignal,
    readlink, receive, rw, sandbox, send, socket, splice, stat, wait,
};
use crate::real::{hooks, real};
use crate::table::any;
use crate::waiting::deadline::Deadline;
use crate::{errno, uaccess};
use libc::{c_int, c_long, sigset_t, timespec};
use memtun_abi::Errno;

/// fchmodat2(2), which libc has no number of on every architecture. It is the same on all.
const SYS_FCHMODAT2: c_long = 452;

hooks! {
    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long => my_syscall {
        match ours(number, [a, b, c, d, e, f]) {
            Some(answer) => answer,
            None => real!(syscall(number, a, b, c, d, e, f)),
        }
    }
}

/// The answer of the hook for this call; `None` when there is no hook.
fn ours(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<c_long> {
    let (fd, fd2) = (a as c_int, b as c_int);
    #[cfg(target_arch = "x86_64")]
    let at = libc::AT_FDCWD;
    // SAFETY: the arguments are the caller's for that very call, and a hook has the contract of its
    // call.
    let answer: isize = unsafe {
        match number {
            libc::SYS_openat => open::my_openat(fd, b as _, c as c_int, d as _) as isize,
            libc::SYS_openat2 => open::openat2(fd, b as _, c as _, d)? as isize,
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
            libc::SYS_lseek => rw::my_lseek64(fd, b as _, c as c_int) as isize,
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
            libc::SYS_readlinkat => readlink::my_readlinkat(fd, b as _, c as _, d),
            libc::SYS_execve => exec::my_execve(a as _, b as _, c as _) as isize,
            libc::SYS_execveat => {
                exec::my_execveat(fd, b as _, c as _, d as _, e as c_int) as isize
            }
            libc::SYS_mmap => map::my_mmap(a as _, b, c as _, d as _, e as c_int, f as _) as isize,
            libc::SYS_flock => disk::my_flock(fd, b as c_int) as isize,
            libc::SYS_splice => {
                splice::my_splice(fd, b as _, c as c_int, d as _, e, f as libc::c_uint)
            }
            libc::SYS_tee => splice::my_tee(fd, fd2, c, d as _),
            libc::SYS_vmsplice => splice::my_vmsplice(fd, b as _, c, d as _),
            libc::SYS_sendfile => splice::my_sendfile64(fd, fd2, c as _, d),
            libc::SYS_copy_file_range => {
                splice::my_copy_file_range(fd, b as _, c as c_int, d as _, e, f as libc::c_uint)
            }
            libc::SYS_fallocate => disk::my_fallocate64(fd, b as c_int, c as _, d as _) as isize,
            libc::SYS_fadvise64 => match disk::my_posix_fadvise64(fd, b as _, c as _, d as c_int) {
                0 => 0,
                // The function of that name returns the error and does not set errno.
                refused => failed(refused),
            },
            libc::SYS_fsync => disk::my_fsync(fd) as isize,
            libc::SYS_fdatasync => disk::my_fdatasync(fd) as isize,
            libc::SYS_truncate => disk::my_truncate64(a as _, b as _) as isize,
            libc::SYS_fchmod => owner::my_fchmod(fd, b as _) as isize,
            libc::SYS_fchmodat => owner::my_fchmodat(fd, b as _, c as _, 0) as isize,
            SYS_FCHMODAT2 if d as c_int & libc::AT_EMPTY_PATH == 0 => {
                owner::my_fchmodat(fd, b as _, c as _, d as c_int) as isize
            }
            libc::SYS_name_to_handle_at => {
                owner::my_name_to_handle_at(fd, b as _, c as _, d as _, e as c_int) as isize
            }
            libc::SYS_setxattr => {
                naming::my_setxattr(a as _, b as _, c as _, d, e as c_int) as isize
            }
            libc::SYS_lsetxattr => {
                naming::my_lsetxattr(a as _, b as _, c as _, d, e as c_int) as isize
            }
            libc::SYS_removexattr => naming::my_removexattr(a as _, b as _) as isize,
            libc::SYS_lremovexattr => naming::my_lremovexattr(a as _, b as _) as isize,
            libc::SYS_fchown => owner::my_fchown(fd, b as _, c as _) as isize,
            libc::SYS_fchownat => {
                owner::my_fchownat(fd, b as _, c as _, d as _, e as c_int) as isize
            }
            libc::SYS_utimensat => match b {
                // libc's function refuses a NULL path, which the kernel takes for the descriptor
                // itself.
                0 => owner::my_futimens(fd, c as _) as isize,
                _ => owner::my_utimensat(fd, b as _, c as _, d as c_int) as isize,
            },
            libc::SYS_statfs => owner::my_statfs(a as _, b as _) as isize,
            libc::SYS_fstatfs => owner::my_fstatfs(fd, b as _) as isize,
            libc::SYS_chdir => directory::my_chdir(a as _) as isize,
            libc::SYS_fchdir => directory::my_fchdir(fd) as isize,
            libc::SYS_inotify_add_watch => {
                directory::my_inotify_add_watch(fd, b as _, c as u32) as isize
            }
            libc::SYS_getcwd => {
                let length = host(number, [a, b, 0, 0, 0, 0]);
                if length > 0 && directory::shown_here(a as _) {
                    // The length of a path counts its NUL.
                    uaccess::c_string(a as _).map_or(length, |path| path.len() as isize + 1)
                } else {
                    length
                }
            }
            libc::SYS_unlinkat => naming::my_unlinkat(fd, b as _, c as c_int) as isize,
            libc::SYS_linkat => {
                naming::my_linkat(fd, b as _, c as c_int, d as _, e as c_int) as isize
            }
            libc::SYS_mkdirat => naming::my_mkdirat(fd, b as _, c as _) as isize,
            libc::SYS_symlinkat => naming::my_symlinkat(a as _, b as c_int, c as _) as isize,
            libc::SYS_renameat2 => {
                naming::my_renameat2(fd, b as _, c as c_int, d as _, e as libc::c_uint) as isize
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_renameat => naming::my_renameat(fd, b as _, c as c_int, d as _) as isize,
            libc::SYS_fgetxattr => naming::my_fgetxattr(fd, b as _, c as _, d),
            libc::SYS_fsetxattr => naming::my_fsetxattr(fd, b as _, c as _, d, e as c_int) as isize,
            libc::SYS_fremovexattr => naming::my_fremovexattr(fd, b as _) as isize,
            libc::SYS_getxattr => naming::my_getxattr(a as _, b as _, c as _, d),
            libc::SYS_lgetxattr => naming::my_lgetxattr(a as _, b as _, c as _, d),
            libc::SYS_listxattr => naming::my_listxattr(a as _, b as _, c),
            libc::SYS_llistxattr => naming::my_llistxattr(a as _, b as _, c),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink => naming::my_unlink(a as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_link => naming::my_link(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rmdir => naming::my_rmdir(a as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => naming::my_mkdir(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_rename => naming::my_rename(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_symlink => naming::my_symlink(a as _, b as _) as isize,
            libc::SYS_setsockopt => {
                names::my_setsockopt(fd, b as c_int, c as c_int, d as _, e as _) as isize
            }
            libc::SYS_socket => socket::my_socket(fd, b as c_int, c as c_int) as isize,
            libc::SYS_bind => socket::my_bind(fd, b as _, c as _) as isize,
            libc::SYS_connect => socket::my_connect(fd, b as _, c as _) as isize,
            libc::SYS_listen => socket::my_listen(fd, b as c_int) as isize,
            libc::SYS_accept => socket::my_accept(fd, b as _, c as _) as isize,
            libc::SYS_accept4 => socket::my_accept4(fd, b as _, c as _, d as c_int) as isize,
            libc::SYS_shutdown => socket::my_shutdown(fd, b as c_int) as isize,
            libc::SYS_getpeername => socket::my_getpeername(fd, b as _, c as _) as isize,
            libc::SYS_getsockname => socket::my_getsockname(fd, b as _, c as _) as isize,
            libc::SYS_getsockopt => {
                socket::my_getsockopt(fd, b as c_int, c as c_int, d as _, e as _) as isize
            }
            libc::SYS_sendto => send::my_sendto(fd, b as _, c, d as c_int, e as _, f as _),
            libc::SYS_sendmsg => send::my_sendmsg(fd, b as _, c as c_int),
            libc::SYS_sendmmsg => send::my_sendmmsg(fd, b as _, c as _, d as c_int) as isize,
            libc::SYS_recvfrom => receive::my_recvfrom(fd, b as _, c, d as c_int, e as _, f as _),
            libc::SYS_recvmsg => receive::my_recvmsg(fd, b as _, c as c_int),
            libc::SYS_recvmmsg => {
                receive::my_recvmmsg(fd, b as _, c as _, d as c_int, e as _) as isize
            }
            libc::SYS_pidfd_getfd => {
                let new = host(number, [a, b, c, 0, 0, 0]);
                if new >= 0 {
                    errno::keep(|| crate::adopt::adopt(new as c_int));
                }
                new
            }
            libc::SYS_rt_sigaction => rawsignal::action(fd, b as _, c as _, d)? as isize,
            libc::SYS_rt_sigprocmask => rawsignal::mask(fd, b as _, c as _, d)? as isize,
            libc::SYS_prctl => sandbox::my_prctl(fd, b as _, c as _, d as _, e as _) as isize,
            libc::SYS_seccomp => seccomp([a, b, c, d, e, f]) as isize,
            libc::SYS_exit_group => {
                crate::leave::leave();
                return None;
            }
            libc::SYS_io_submit => submitted(a, b as isize, c as _)?,
            libc::SYS_io_uring_setup => {
                log::warn!(
                    "io_uring goes past memtun: what it does with a tunnel is lost; make the program use read and write"
                );
                return None;
            }
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
            libc::SYS_mknod => stat::my_mknod(a as _, b as _, c as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => owner::my_chmod(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chown => owner::my_chown(a as _, b as _, c as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lchown => owner::my_lchown(a as _, b as _, c as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utime => owner::my_utime(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utimes => owner::my_utimes(a as _, b as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_futimesat => owner::my_futimesat(fd, b as _, c as _) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_readlink => readlink::my_readlinkat(at, a as _, b as _, c),
            libc::SYS_epoll_create1 => epoll::my_epoll_create1(a as c_int) as isize,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_create => epoll::my_epoll_create(a as c_int) as isize,
            _ if any() => return waiting(number, [a, b, c, d, e, f]),
            _ => return None,
        }
    };
    Some(answer as c_long)
}

/// The calls that wait for descriptors. Here, as in the kernel's own calls, the size of a signal
/// set is an argument, and ppoll and pselect6 store what is left of the time.
///
/// # Safety
/// The arguments are the caller's for that very call.
unsafe fn waiting(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<c_long> {
    let set = |mask: usize, size: usize| -> Option<*const sigset_t> {
        // The kernel refuses another size. It reads one word, as libc does.
        (mask == 0 || size == WORD).then_some(mask as *const sigset_t)
    };
    // SAFETY: the arguments are the caller's, and a hook has the contract of its call.
    let answer: c_int = unsafe {
        match number {
            libc::SYS_ppoll => {
                let (mask, end) = (set(d, e)?, Until::given(c as _));
                let answer = wait::my_ppoll(a as _, b as _, c as _, mask);
                end.say(answer)
            }
            libc::SYS_pselect6 => {
                let [mask, size] = match f {
                    0 => [0, WORD],
                    both => uaccess::read(both as *const [usize; 2]).ok()?,
                };
                let (mask, end) = (set(mask, size)?, Until::given(e as _));
                let sets = [b as *mut libc::fd_set, c as _, d as _];
                let answer = wait::my_pselect(a as c_int, sets[0], sets[1], sets[2], e as _, mask);
                end.say(answer)
            }
            libc::SYS_epoll_ctl => epoll::my_epoll_ctl(a as c_int, b as c_int, c as c_int, d as _),
            libc::SYS_epoll_pwait => {
                epoll::my_epoll_pwait(a as c_int, b as _, c as c_int, d as c_int, set(e, f)?)
            }
            libc::SYS_epoll_pwait2 => {
                epoll::my_epoll_pwait2(a as c_int, b as _, c as c_int, d as _, set(e, f)?)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => wait::my_poll(a as _, b as _, c as c_int),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => wait::my_select(a as c_int, b as _, c as _, d as _, e as _),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => {
                epoll::my_epoll_wait(a as c_int, b as _, c as c_int, d as c_int)
            }
            _ => return None,
        }
    };
    Some(answer.into())
}

/// Size in bytes of the kernel's sigset_t.
const WORD: usize = 8;

/// The time argument of a wait, in which the kernel's own call stores what is left.
struct Until {
    place: *mut timespec,
    end: Deadline,
}

impl Until {
    fn given(place: *mut timespec) -> Until {
        // SAFETY: the pointer is NULL or the caller's argument, which is plain numbers.
        let time = (!place.is_null()).then(|| unsafe { uaccess::read(place) }.ok());
        Until {
            place,
            end: Deadline::after(time.flatten()),
        }
    }
    fn say(self, answer: c_int) -> c_int {
        if let Some(left) = self.end.left() {
            errno::keep(|| uaccess::write(self.place, &left).ok());
        }
        answer
    }
}

/// io_submit(2), which the kernel would carry out on the bell. Only the requests in front of the
/// first one on a tunnel are submitted.
///
/// # Safety
/// The arguments are the caller's for that very call.
unsafe fn submitted(
    context: usize,
    count: isize,
    requests: *const *const [u32; 6],
) -> Option<isize> {
    /// Index of `aio_fildes` in struct iocb, in words of four bytes.
    const FILDES: usize = 5;
    if !any() {
        return None;
    }
    // SAFETY: pointers and plain numbers are read, with a check before memory is touched.
    let tunnel = |i: &isize| unsafe {
        uaccess::read(requests.offset(*i))
            .and_then(|request| uaccess::read(request))
            .is_ok_and(|request| crate::foreign::is_tunnel(request[FILDES] as c_int))
    };
    match (0..count).find(tunnel)? {
        0 => {
            log::warn!(
                "io_submit of a tunnel is not supported, it fails with EINVAL; POSIX AIO is"
            );
            Some(failed(libc::EINVAL))
        }
        before => Some(host(
            libc::SYS_io_submit,
            [context, before as usize, requests as usize, 0, 0, 0],
        )),
    }
}

fn failed(e: c_int) -> isize {
    errno::give::<isize>(Err(Errno(e)))
}

/// Makes the system call itself.
fn host(number: c_long, arguments: [usize; 6]) -> isize {
    // SAFETY: the arguments are the caller's own for that very call.
    match unsafe { memtun_sys::syscall(number, arguments) } {
        refused @ -4095..=-1 => failed(-refused as c_int),
        answer => answer,
    }
}

/// seccomp(2), whose modes have other numbers than those of prctl(2): SECCOMP_SET_MODE_STRICT is 0
/// and SECCOMP_SET_MODE_FILTER 1, where prctl(2) has 1 and 2.
fn seccomp([a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let make = || real!(syscall(libc::SYS_seccomp, a, b, c, d, e, f));
    crate::sandbox::enter((a as u32).wrapping_add(1).into(), c, make)
}
