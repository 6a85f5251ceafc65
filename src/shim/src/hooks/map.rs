//! mmap(2). No file of the view can be mapped, and the memory file that stands for one could.

use crate::real::hooks;
use crate::table::{any_marked, is_tunnel};
use crate::{errno, ops, view};
use libc::{c_int, c_void, off64_t, off_t, size_t};
use memtun_abi::Errno;
use memtun_calls::tunnel::may_transfer;

/// Maps by the system call itself: libc's function is no more than that, and it is called by
/// allocators before the library is ready.
#[inline]
fn map(
    at: *mut c_void,
    length: size_t,
    protection: c_int,
    flags: c_int,
    fd: c_int,
    offset: i64,
) -> *mut c_void {
    let arguments = [
        at as usize,
        length,
        protection as usize,
        flags as usize,
        fd as isize as usize,
        offset as usize,
    ];
    // SAFETY: these are the caller's arguments for that very call.
    let mapped = unsafe { memtun_sys::syscall(libc::SYS_mmap, arguments) };
    if let e @ -4095..=-1 = mapped {
        errno::set(-e as c_int);
        if -e == libc::ENODEV as isize && is_tunnel(fd) {
            errno::set(refusal(protection, flags, fd));
        }
        return libc::MAP_FAILED;
    }
    if fd >= 0 && flags & libc::MAP_ANONYMOUS == 0 && any_marked() {
        if let Some(e) = view::maps(fd, protection) {
            return taken_back(mapped, length, e);
        }
    }
    mapped as *mut c_void
}

/// What the driver's file refuses a mapping with: the access mode, which the bell does not have,
/// comes first.
#[cold]
fn refusal(protection: c_int, flags: c_int, fd: c_int) -> c_int {
    let mode = ops::open_flags(fd).unwrap_or(libc::O_RDWR);
    let writes = flags & libc::MAP_SHARED != 0 && protection & libc::PROT_WRITE != 0;
    let allowed = may_transfer(mode, libc::O_WRONLY).is_ok()
        && (!writes || may_transfer(mode, libc::O_RDONLY).is_ok());
    if allowed {
        libc::ENODEV
    } else {
        libc::EACCES
    }
}

/// Takes a mapping back that was made just now. The kernel has made it to find out whether it would
/// have refused it for another reason.
#[cold]
fn taken_back(mapped: isize, length: size_t, e: Errno) -> *mut c_void {
    // SAFETY: nobody has been told of this mapping.
    unsafe { memtun_sys::syscall(libc::SYS_munmap, [mapped as usize, length, 0, 0, 0, 0]) };
    errno::set(e.0);
    libc::MAP_FAILED
}

hooks! {
    fn mmap(at: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off_t) -> *mut c_void => my_mmap {
        map(at, length, protection, flags, fd, offset)
    }
    fn mmap64(at: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off64_t) -> *mut c_void => my_mmap64 {
        map(at, length, protection, flags, fd, offset)
    }
}
