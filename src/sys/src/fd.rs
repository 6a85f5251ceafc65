//! Descriptors: who owns one, and what fcntl(2) knows of it, one function for each command.
//!
//! A plain number is enough to look at a descriptor, to read and write what is behind it, and to
//! set what the program itself could set: what a program's number means is the kernel's to say at
//! the moment of the call, and nobody here owns it. What closes or replaces a descriptor takes its
//! owner, or is unsafe.

use super::{check, syscall};
use crate::Errno;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// A descriptor of its owner's, closed with the value.
///
/// Not std's [`OwnedFd`]: that one is closed by libc's close(3), which is a hook in the preloaded
/// library. This one is closed by system call, and is the same in every other respect.
#[derive(Debug)]
pub struct Fd(RawFd);

impl Fd {
    /// Takes over an open descriptor.
    ///
    /// # Safety
    /// It must be open, and nobody else may own it: it is closed with the value.
    pub unsafe fn from_raw(fd: RawFd) -> Fd {
        Fd(fd)
    }

    /// The descriptor that a system call has just made.
    pub(super) fn made(answer: isize) -> Result<Fd, Errno> {
        check(answer).map(|fd| Fd(fd as RawFd))
    }

    /// The number.
    pub fn raw(&self) -> RawFd {
        self.0
    }

    /// Gives the descriptor away without closing it.
    pub fn into_raw(self) -> RawFd {
        ManuallyDrop::new(self).0
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: open as long as the value lives.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl From<OwnedFd> for Fd {
    fn from(fd: OwnedFd) -> Fd {
        Fd(fd.into_raw_fd())
    }
}

impl From<Fd> for OwnedFd {
    fn from(fd: Fd) -> OwnedFd {
        // SAFETY: the value owned it.
        unsafe { OwnedFd::from_raw_fd(fd.into_raw()) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the value owns it.
        let _ = unsafe { close(self.0) };
    }
}

/// close(2).
///
/// # Safety
/// The caller owns the descriptor, or its owner has just asked for this: whoever still uses the
/// number afterwards meets somebody else's file.
pub unsafe fn close(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: no memory is touched; whose descriptor it is, is the caller's contract.
    check(unsafe { syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) }).map(drop)
}

/// dup3(2): `new` becomes another number of `old`.
///
/// # Safety
/// Whatever `new` was is closed: as for [`close`].
pub unsafe fn duplicate_onto(old: RawFd, new: RawFd, flags: i32) -> Result<(), Errno> {
    // SAFETY: no memory is touched; whose descriptor is replaced is the caller's contract.
    check(unsafe {
        syscall(
            libc::SYS_dup3,
            [old as usize, new as usize, flags as usize, 0, 0, 0],
        )
    })
    .map(drop)
}

/// fcntl(2) with a command whose argument is a number, or none.
///
/// # Safety
/// No command whose argument is an address.
unsafe fn control(fd: RawFd, command: i32, argument: usize) -> Result<i32, Errno> {
    // SAFETY: the caller's contract: no memory is touched.
    check(unsafe {
        syscall(
            libc::SYS_fcntl,
            [fd as usize, command as usize, argument, 0, 0, 0],
        )
    })
    .map(|n| n as i32)
}

/// The status flags, O_NONBLOCK and others, with the access mode (F_GETFL).
pub fn status_flags(fd: RawFd) -> Result<i32, Errno> {
    // SAFETY: no argument.
    unsafe { control(fd, libc::F_GETFL, 0) }
}

/// Sets the status flags that can be set (F_SETFL).
pub fn set_status_flags(fd: RawFd, flags: i32) -> Result<(), Errno> {
    // SAFETY: a number.
    unsafe { control(fd, libc::F_SETFL, flags as usize) }.map(drop)
}

/// Is it closed when the process executes another program (FD_CLOEXEC of F_GETFD)?
pub fn closes_on_exec(fd: RawFd) -> Result<bool, Errno> {
    // SAFETY: no argument.
    unsafe { control(fd, libc::F_GETFD, 0) }.map(|flags| flags & libc::FD_CLOEXEC != 0)
}

/// Another descriptor of the same open file, the lowest free one from `lowest` on (F_DUPFD,
/// F_DUPFD_CLOEXEC).
pub fn duplicate_from(fd: RawFd, lowest: RawFd, close_on_exec: bool) -> Result<Fd, Errno> {
    let command = if close_on_exec {
        libc::F_DUPFD_CLOEXEC
    } else {
        libc::F_DUPFD
    };
    // SAFETY: a number.
    unsafe { control(fd, command, lowest as usize) }.map(Fd)
}

/// Another descriptor where programs do not expect one: high and close-on-exec.
pub fn duplicate_high(fd: RawFd) -> Result<Fd, Errno> {
    const HIGH: RawFd = 512;
    duplicate_from(fd, HIGH, true)
}

/// The lowest number that is free, as open(2) would have given it: for a descriptor that was opened
/// while others of ours were open. EMFILE when the process may have no more.
pub fn lowest(fd: Fd) -> Result<Fd, Errno> {
    let other = duplicate_from(fd.raw(), 0, closes_on_exec(fd.raw())?)?;
    Ok(if other.raw() < fd.raw() { other } else { fd })
}

/// The process or process group that signals of a descriptor go to, 0 for none (F_GETOWN).
pub fn signal_owner(fd: RawFd) -> Result<i32, Errno> {
    // SAFETY: no argument.
    unsafe { control(fd, libc::F_GETOWN, 0) }
}

/// F_SETOWN.
pub fn set_signal_owner(fd: RawFd, owner: i32) -> Result<(), Errno> {
    // SAFETY: a number.
    unsafe { control(fd, libc::F_SETOWN, owner as usize) }.map(drop)
}

/// Bytes that a pipe has room for (F_GETPIPE_SZ).
pub fn pipe_size(fd: RawFd) -> Result<i32, Errno> {
    const F_GETPIPE_SZ: i32 = 1032;
    // SAFETY: no argument.
    unsafe { control(fd, F_GETPIPE_SZ, 0) }
}

/// F_SETPIPE_SZ.
pub fn set_pipe_size(fd: RawFd, bytes: i32) -> Result<(), Errno> {
    const F_SETPIPE_SZ: i32 = 1031;
    // SAFETY: a number.
    unsafe { control(fd, F_SETPIPE_SZ, bytes as usize) }.map(drop)
}

/// Who gets the signals of a descriptor (F_GETOWN_EX).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    kind: i32,
    pid: i32,
}

const F_SETOWN_EX: usize = 15;
const F_GETOWN_EX: usize = 16;

/// The owner of a descriptor. ESRCH when there is none that this process can name.
pub fn owner_of(fd: i32) -> Result<Owner, Errno> {
    let mut owner = Owner { kind: 0, pid: 0 };
    // SAFETY: a struct f_owner_ex of our own, which the kernel fills.
    check(unsafe {
        syscall(
            libc::SYS_fcntl,
            [fd as usize, F_GETOWN_EX, &raw mut owner as usize, 0, 0, 0],
        )
    })?;
    if owner.pid == 0 {
        return Err(Errno(libc::ESRCH));
    }
    Ok(owner)
}

/// F_SETOWN_EX.
pub fn set_owner_of(fd: i32, owner: &Owner) -> Result<(), Errno> {
    // SAFETY: a struct f_owner_ex of the caller's, which the kernel reads.
    check(unsafe {
        syscall(
            libc::SYS_fcntl,
            [
                fd as usize,
                F_SETOWN_EX,
                owner as *const Owner as usize,
                0,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

/// What fcntl(2) knows of a range of bytes.
fn byte_lock(
    fd: BorrowedFd<'_>,
    command: i32,
    first: u64,
    count: u64,
) -> Result<libc::flock64, Errno> {
    let mut lock = libc::flock64 {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first as i64,
        l_len: count as i64,
        l_pid: 0,
    };
    // SAFETY: the kernel reads and writes one struct flock.
    check(unsafe {
        syscall(
            libc::SYS_fcntl,
            [
                fd.as_raw_fd() as usize,
                command as usize,
                &mut lock as *mut _ as usize,
                0,
                0,
                0,
            ],
        )
    })?;
    Ok(lock)
}

/// Locks a range of bytes for the open file description (F_OFD_SETLK); they need not exist. EAGAIN
/// when another one has a lock in it.
pub fn lock_bytes(fd: BorrowedFd<'_>, first: u64, count: u64) -> Result<(), Errno> {
    byte_lock(fd, libc::F_OFD_SETLK, first, count).map(drop)
}

/// Has another open file description a lock in this range (F_OFD_GETLK)?
pub fn bytes_are_locked(fd: BorrowedFd<'_>, first: u64, count: u64) -> Result<bool, Errno> {
    byte_lock(fd, libc::F_OFD_GETLK, first, count)
        .map(|found| found.l_type != libc::F_UNLCK as libc::c_short)
}
