//! Descriptors: who owns one, and what fcntl(2) knows about it, with one function for each command.
//!
//! A plain number is enough to examine a descriptor, to read and write what is behind it, and to
//! set what the program itself could set. What a program's number means is for the kernel to say at
//! the moment of the call, and nobody here owns it. A function that closes or replaces a descriptor
//! takes its owner, or is unsafe.

use super::{check, syscall};
use crate::Errno;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// An owned descriptor, which is closed when the value is dropped.
///
/// It differs from std's [`OwnedFd`] in one respect: that one is closed by libc's close(3), which
/// is a hook in the preloaded library, and this one by system call.
#[derive(Debug)]
pub struct Fd(RawFd);

impl Fd {
    /// Takes ownership of an open descriptor.
    ///
    /// # Safety
    /// The descriptor must be open, and nobody else may own it, because it is closed with the
    /// value.
    pub unsafe fn from_raw(fd: RawFd) -> Fd {
        Fd(fd)
    }

    /// Takes ownership of the descriptor that a system call has just made, or returns the call's
    /// errno.
    pub(super) fn made(answer: isize) -> Result<Fd, Errno> {
        check(answer).map(|fd| Fd(fd as RawFd))
    }

    /// Returns the number of the descriptor, which stays the value's own.
    pub fn raw(&self) -> RawFd {
        self.0
    }

    /// Gives the descriptor away without closing it. The caller owns it.
    pub fn into_raw(self) -> RawFd {
        ManuallyDrop::new(self).0
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the value lives, and the borrow ends before it.
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
        // SAFETY: the value owned the open descriptor, and `into_raw` gave that ownership away.
        unsafe { OwnedFd::from_raw_fd(fd.into_raw()) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the value owns the descriptor, and is not used again.
        let _ = unsafe { close(self.0) };
    }
}

/// Closes a descriptor (close(2)).
///
/// # Safety
/// The caller must own the descriptor, or its owner must just have asked for this: whoever still
/// uses the number afterwards meets somebody else's file.
pub unsafe fn close(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: close(2) touches no memory; the caller guarantees that the descriptor may be closed.
    check(unsafe { syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) }).map(drop)
}

/// Makes `new` another number of `old` (dup3(2)).
///
/// # Safety
/// Whatever `new` was is closed, so the contract of [`close`] holds for it.
pub unsafe fn duplicate_onto(old: RawFd, new: RawFd, flags: i32) -> Result<(), Errno> {
    // SAFETY: dup3(2) touches no memory; the caller guarantees that `new` may be replaced.
    check(unsafe {
        syscall(
            libc::SYS_dup3,
            [old as usize, new as usize, flags as usize, 0, 0, 0],
        )
    })
    .map(drop)
}

/// Puts a file in the place of another one: `place` leads to it from then on, and is closed on exec
/// if it was before.
///
/// # Safety
/// Whatever `place` was is closed, so the contract of [`close`] holds for it.
pub unsafe fn take_place(file: BorrowedFd<'_>, place: RawFd) -> Result<(), Errno> {
    let flags = match closes_on_exec(place)? {
        true => libc::O_CLOEXEC,
        false => 0,
    };
    // SAFETY: the caller guarantees that `place` may be replaced.
    unsafe { duplicate_onto(file.as_raw_fd(), place, flags) }
}

/// Makes a pipe of two descriptors that are closed on exec, the reading end first (pipe2(2)).
pub fn pipe() -> Result<(Fd, Fd), Errno> {
    let mut ends = [-1i32; 2];
    let args = [
        ends.as_mut_ptr() as usize,
        libc::O_CLOEXEC as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes two descriptors into the array.
    check(unsafe { syscall(libc::SYS_pipe2, args) })?;
    Ok((Fd(ends[0]), Fd(ends[1])))
}

/// Lets a descriptor stay open when the process executes another program (F_SETFD).
pub(super) fn keep_on_exec(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the argument of F_SETFD is a number.
    unsafe { control(fd, libc::F_SETFD, 0) }.map(drop)
}

/// Calls fcntl(2) with a command whose argument is a number, or that has none.
///
/// # Safety
/// The command must not be one whose argument is an address.
unsafe fn control(fd: RawFd, command: i32, argument: usize) -> Result<i32, Errno> {
    // SAFETY: the caller guarantees that the command touches no memory.
    check(unsafe {
        syscall(
            libc::SYS_fcntl,
            [fd as usize, command as usize, argument, 0, 0, 0],
        )
    })
    .map(|n| n as i32)
}

/// Returns the status flags, O_NONBLOCK and others, with the access mode (F_GETFL).
pub fn status_flags(fd: RawFd) -> Result<i32, Errno> {
    // SAFETY: F_GETFL has no argument.
    unsafe { control(fd, libc::F_GETFL, 0) }
}

/// Sets the status flags that can be set (F_SETFL).
pub fn set_status_flags(fd: RawFd, flags: i32) -> Result<(), Errno> {
    // SAFETY: the argument of F_SETFL is a number.
    unsafe { control(fd, libc::F_SETFL, flags as usize) }.map(drop)
}

/// Is the descriptor closed when the process executes another program (FD_CLOEXEC of F_GETFD)?
pub fn closes_on_exec(fd: RawFd) -> Result<bool, Errno> {
    // SAFETY: F_GETFD has no argument.
    unsafe { control(fd, libc::F_GETFD, 0) }.map(|flags| flags & libc::FD_CLOEXEC != 0)
}

/// Makes another descriptor of the same open file, the lowest free one from `lowest` on (F_DUPFD,
/// F_DUPFD_CLOEXEC). The caller owns it.
pub fn duplicate_from(fd: RawFd, lowest: RawFd, close_on_exec: bool) -> Result<Fd, Errno> {
    let command = if close_on_exec {
        libc::F_DUPFD_CLOEXEC
    } else {
        libc::F_DUPFD
    };
    // SAFETY: the argument of both commands is a number.
    unsafe { control(fd, command, lowest as usize) }.map(Fd)
}

/// Makes another descriptor where programs do not expect one: high and close-on-exec. The caller
/// owns it.
pub fn duplicate_high(fd: RawFd) -> Result<Fd, Errno> {
    const HIGH: RawFd = 512;
    duplicate_from(fd, HIGH, true)
}

/// Does the same with a number that is in the kernel's first table of descriptors, of 64. The
/// others are in a larger one, and a program with threads waits some milliseconds until it has
/// that.
pub fn duplicate_in_table(fd: RawFd) -> Result<Fd, Errno> {
    const LATE: RawFd = 56;
    duplicate_from(fd, LATE, true)
}

/// Moves a descriptor to the lowest number that is free, which open(2) would have given it. This is
/// for a descriptor that was opened while the library had others open.
///
/// # Errors
///
/// EMFILE when the process may not have another descriptor.
pub fn lowest(fd: Fd) -> Result<Fd, Errno> {
    let other = duplicate_from(fd.raw(), 0, closes_on_exec(fd.raw())?)?;
    Ok(if other.raw() < fd.raw() { other } else { fd })
}

/// Returns the process (positive) or process group (negative) that gets the descriptor's signals, 0
/// for none (F_GETOWN).
pub fn signal_owner(fd: RawFd) -> Result<i32, Errno> {
    // SAFETY: F_GETOWN has no argument.
    unsafe { control(fd, libc::F_GETOWN, 0) }
}

/// Sets who gets the descriptor's signals, as [`signal_owner`] returns it (F_SETOWN).
pub fn set_signal_owner(fd: RawFd, owner: i32) -> Result<(), Errno> {
    // SAFETY: the argument of F_SETOWN is a number.
    unsafe { control(fd, libc::F_SETOWN, owner as usize) }.map(drop)
}

/// Returns how many bytes a pipe has room for (F_GETPIPE_SZ).
pub fn pipe_size(fd: RawFd) -> Result<i32, Errno> {
    const F_GETPIPE_SZ: i32 = 1032;
    // SAFETY: F_GETPIPE_SZ has no argument.
    unsafe { control(fd, F_GETPIPE_SZ, 0) }
}

/// Sets how many bytes a pipe has room for (F_SETPIPE_SZ).
pub fn set_pipe_size(fd: RawFd, bytes: i32) -> Result<(), Errno> {
    const F_SETPIPE_SZ: i32 = 1031;
    // SAFETY: the argument of F_SETPIPE_SZ is a number.
    unsafe { control(fd, F_SETPIPE_SZ, bytes as usize) }.map(drop)
}

/// Says which thread, process or process group gets the signals of a descriptor (struct
/// f_owner_ex).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    kind: i32,
    pid: i32,
}

const F_SETOWN_EX: usize = 15;
const F_GETOWN_EX: usize = 16;

/// Returns who gets the signals of a descriptor (F_GETOWN_EX).
///
/// # Errors
///
/// ESRCH when there is nobody whom this process can name.
pub fn owner_of(fd: i32) -> Result<Owner, Errno> {
    let mut owner = Owner { kind: 0, pid: 0 };
    // SAFETY: the kernel fills one struct f_owner_ex, which is a local of this function.
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

/// Sets who gets the signals of a descriptor (F_SETOWN_EX).
pub fn set_owner_of(fd: i32, owner: &Owner) -> Result<(), Errno> {
    // SAFETY: the kernel reads one struct f_owner_ex, which the caller has borrowed.
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

/// Runs a lock command of fcntl(2) for a lock of this kind on a range of bytes, and returns what
/// the kernel stored.
fn byte_lock(
    fd: BorrowedFd<'_>,
    command: i32,
    kind: i32,
    (first, count): (u64, u64),
) -> Result<libc::flock64, Errno> {
    let mut lock = libc::flock64 {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first as i64,
        l_len: count as i64,
        l_pid: 0,
    };
    // SAFETY: the kernel reads and writes one struct flock, which is a local of this function.
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

/// Locks a range of bytes for the open file description (F_OFD_SETLK). The bytes need not exist.
///
/// # Errors
///
/// EAGAIN when another open file description has a lock in the range.
pub fn lock_bytes(fd: BorrowedFd<'_>, first: u64, count: u64) -> Result<(), Errno> {
    byte_lock(fd, libc::F_OFD_SETLK, libc::F_WRLCK, (first, count)).map(drop)
}

/// Waits until no other open file description has a lock in this range (F_OFD_SETLKW), and leaves
/// it without one.
///
/// # Errors
///
/// EINTR when a signal came.
pub fn wait_for_bytes(fd: BorrowedFd<'_>, first: u64, count: u64) -> Result<(), Errno> {
    let range = (first, count);
    byte_lock(fd, libc::F_OFD_SETLKW, libc::F_WRLCK, range)?;
    byte_lock(fd, libc::F_OFD_SETLK, libc::F_UNLCK, range).map(drop)
}

/// Does another open file description have a lock in this range (F_OFD_GETLK)?
pub fn bytes_are_locked(fd: BorrowedFd<'_>, first: u64, count: u64) -> Result<bool, Errno> {
    byte_lock(fd, libc::F_OFD_GETLK, libc::F_WRLCK, (first, count))
        .map(|found| found.l_type != libc::F_UNLCK as libc::c_short)
}
