//! System calls on mappings and futexes.

use super::quiet::{may, Extra};
use super::{check, guard, syscall};
use crate::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::Duration;

/// Maps `len` bytes of a file, shared and writable. The mapping outlives the descriptor. The caller
/// owns it and ends it with [`unmap`].
///
/// After mlockall(MCL_FUTURE) the kernel locks what is mapped, and counts all of it whether or not
/// there is memory behind it yet. So the mapping begins as one page, is unlocked, and is lengthened
/// then: it stays as it would be without mlockall.
///
/// # Errors
///
/// ENOMEM when RLIMIT_AS, or RLIMIT_MEMLOCK after mlockall(2), leaves no room for it.
pub fn map_shared(fd: BorrowedFd<'_>, len: usize) -> Result<*mut u8, Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = (libc::MAP_SHARED | libc::MAP_NORESERVE) as usize;
    // SAFETY: a new mapping at an address that the kernel chooses disturbs no existing memory, and
    // the calls that follow concern this mapping alone.
    unsafe {
        let page = syscall(
            libc::SYS_mmap,
            [0, PAGE, protection, flags, fd.as_raw_fd() as usize, 0],
        );
        let page = new_mapping(page)?;
        if len <= PAGE {
            return Ok(page);
        }
        let may_move = libc::MREMAP_MAYMOVE as usize;
        let args = [page as usize, PAGE, len, may_move, 0, 0];
        check(syscall(libc::SYS_mremap, args))
            .map(|p| p as *mut u8)
            .map_err(|_| {
                unmap(page, PAGE);
                Errno(libc::ENOMEM)
            })
    }
}

/// Unlocks a mapping of one page that has just been made, or returns the errno of mmap(2), with
/// ENOMEM for EAGAIN.
///
/// # Safety
/// `answer` must be what mmap(2) returned for one page.
unsafe fn new_mapping(answer: isize) -> Result<*mut u8, Errno> {
    match check(answer) {
        Ok(page) => {
            // SAFETY: unlocking changes no contents, and the page is the mapping that mmap(2)
            // returned.
            unsafe { syscall(libc::SYS_munlock, [page, PAGE, 0, 0, 0, 0]) };
            Ok(page as *mut u8)
        }
        Err(Errno(libc::EAGAIN)) => Err(Errno(libc::ENOMEM)),
        Err(e) => Err(e),
    }
}

/// Maps `len` bytes of private zeroes. The caller owns the mapping and ends it with [`unmap`].
///
/// # Errors
///
/// ENOMEM, as for [`map_shared`].
pub fn map_private(len: usize, protection: i32) -> Result<*mut u8, Errno> {
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    // SAFETY: a new mapping at an address that the kernel chooses disturbs no existing memory.
    check(unsafe {
        syscall(
            libc::SYS_mmap,
            [0, len, protection as usize, flags, usize::MAX, 0],
        )
    })
    .map(|p| p as *mut u8)
    .map_err(|_| Errno(libc::ENOMEM))
}

/// Memory for the time of one call, for code that must not allocate.
pub struct Room {
    at: *mut u8,
    length: usize,
}

impl Room {
    /// Maps room for `length` bytes, which are zero.
    ///
    /// # Errors
    ///
    /// ENOMEM, as for [`map_shared`].
    pub fn new(length: usize) -> Result<Room, Errno> {
        let at = map_private(length.max(1), libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Room { at, length })
    }

    /// Returns the bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is this value's own, has room for `length` bytes, which are
        // initialised, and lives as long as the borrow.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.length) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no borrow of it is left.
        unsafe { unmap(self.at, self.length.max(1)) };
    }
}

/// Maps a page of a file that nobody accesses. When the descriptor is closed, the mapping keeps the
/// open file description alive, and with it the locks on it. A forked child does not have the
/// mapping. The caller owns it and ends it with [`unmap`] of [`PAGE`] bytes.
pub fn map_reference(fd: BorrowedFd<'_>) -> Result<*mut u8, Errno> {
    let flags = libc::MAP_SHARED as usize;
    let none = libc::PROT_NONE as usize;
    // SAFETY: a new mapping at an address that the kernel chooses disturbs no existing memory, and
    // the advice concerns it alone.
    unsafe {
        let at = new_mapping(syscall(
            libc::SYS_mmap,
            [0, PAGE, none, flags, fd.as_raw_fd() as usize, 0],
        ))?;
        let advice = libc::MADV_DONTFORK as usize;
        let args = [at as usize, PAGE, advice, 0, 0, 0];
        check(syscall(libc::SYS_madvise, args)).inspect_err(|_| unmap(at, PAGE))?;
        Ok(at)
    }
}

/// Bytes of a page, by which mappings and reservations are rounded; a [`map_reference`] has one.
pub const PAGE: usize = 4096;

/// Replaces a mapping by private zeroes.
///
/// # Safety
/// The range must be a mapping of the caller's whose contents nobody needs any more.
pub unsafe fn map_zeroes_over(at: *mut u8, len: usize) -> Result<(), Errno> {
    let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let args = [at as usize, len, protection, flags as usize, usize::MAX, 0];
    // SAFETY: the caller guarantees that the range is its own mapping and that the contents may go.
    check(unsafe { syscall(libc::SYS_mmap, args) }).map(drop)
}

/// Ends a mapping of `len` bytes. In a sandbox that forbids it, the memory stays mapped.
///
/// # Safety
/// The mapping must be the caller's, and nobody may use the memory any more.
pub unsafe fn unmap(at: *mut u8, len: usize) {
    if !may(Extra::Unmap) {
        return;
    }
    // SAFETY: the caller guarantees that nobody uses the memory any more.
    unsafe { syscall(libc::SYS_munmap, [at as usize, len, 0, 0, 0, 0]) };
}

/// Makes the kernel back a range of a shared file mapping with memory, so that an access to it
/// cannot raise SIGBUS. This needs no descriptor, so it works after chroot and setuid.
///
/// # Errors
///
/// ENOSPC when the file system has no room.
///
/// # Safety
/// The range must lie in a mapping of the caller's, in a process that handles SIGBUS (see
/// [`guard`]).
pub unsafe fn reserve(at: *mut u8, len: usize) -> Result<(), Errno> {
    const MADV_POPULATE_WRITE: usize = 23;
    let start = at as usize & !(PAGE - 1);
    let end = (at as usize + len + PAGE - 1) & !(PAGE - 1);
    let populated = if may(Extra::Populate) {
        let args = [start, end - start, MADV_POPULATE_WRITE, 0, 0, 0];
        // SAFETY: populating changes no contents, and the range lies in the caller's mapping.
        check(unsafe { syscall(libc::SYS_madvise, args) })
    } else {
        Err(Errno(libc::EPERM))
    };
    match populated {
        Ok(_) => Ok(()),
        // The advice is forbidden, by whomever, or unknown before Linux 5.14.
        Err(Errno(libc::EINVAL | libc::EPERM | libc::ENOSYS)) => {
            let mut pages = (start..end).step_by(PAGE);
            // SAFETY: the pages lie in the caller's mapping.
            match pages.all(|page| unsafe { guard::touch(page) }) {
                true => Ok(()),
                false => Err(Errno(libc::ENOSPC)),
            }
        }
        Err(_) => Err(Errno(libc::ENOSPC)),
    }
}

/// Sleeps while `word` has the value `expected`, for at most `timeout`. It returns early after a
/// wake-up, and the caller must check again after every return.
///
/// # Errors
///
/// - EAGAIN when the word has another value.
/// - EINTR after a signal.
/// - ETIMEDOUT at the end of the time.
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    if !may(Extra::Futex) {
        for _ in 0..1000 {
            std::hint::spin_loop();
        }
        return Err(Errno(libc::EAGAIN));
    }
    let limit = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs().min(i64::MAX as u64 / 2) as libc::time_t,
        tv_nsec: t.subsec_nanos() as _,
    });
    let limit = limit.as_ref().map_or(0, |t| t as *const _ as usize);
    // SAFETY: the word is borrowed for the call, and the time is NULL or a live timespec.
    check(unsafe {
        syscall(
            libc::SYS_futex,
            [
                word.as_ptr() as usize,
                libc::FUTEX_WAIT as usize,
                expected as usize,
                limit,
                0,
                0,
            ],
        )
    })
    .map(drop)
}

/// Wakes everybody who waits on `word`, in every process that maps it.
pub fn futex_wake_all(word: &AtomicU32) {
    futex_wake(word, i32::MAX);
}

/// Wakes at most `most` of those who wait on `word`.
pub fn futex_wake(word: &AtomicU32, most: i32) {
    if !may(Extra::Futex) {
        return;
    }
    let args = [
        word.as_ptr() as usize,
        libc::FUTEX_WAKE as usize,
        most as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the word is borrowed for the call, and the kernel does not store into it.
    unsafe { syscall(libc::SYS_futex, args) };
}

/// Returns an address at which nothing can be stored: a page of this process that may only be read.
/// A tool that watches a program's memory takes such a page for a buffer like any other.
pub fn unwritable_page() -> Result<usize, Errno> {
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    match PAGE.load(Relaxed) {
        0 => {
            let page = map_private(4096, libc::PROT_READ)? as usize;
            // Two threads that come here at once map one page too many, once in a process's life.
            PAGE.store(page, Relaxed);
            Ok(page)
        }
        page => Ok(page),
    }
}

/// Blocks until a FIFO is readable, without taking anything out of it. The kernel waits in read(2)
/// with all that belongs to it (EINTR, SA_RESTART, O_NONBLOCK), and then cannot store the byte.
///
/// # Errors
///
/// - EAGAIN when the descriptor has O_NONBLOCK and nothing is there.
/// - EINTR after a signal.
pub fn wait_readable(fd: i32) -> Result<(), Errno> {
    // SAFETY: the page cannot be written, so the kernel fails with EFAULT instead of storing.
    match check(unsafe {
        syscall(
            libc::SYS_read,
            [fd as usize, unwritable_page()?, 1, 0, 0, 0],
        )
    }) {
        Err(Errno(libc::EFAULT)) | Ok(_) => Ok(()),
        Err(e) => Err(e),
    }
}
