//! System calls on files, descriptors and directories.

use super::{check, syscall, Fd, PathBuf};
use crate::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Opens a file relative to the current directory (openat(2)). The flags are passed as they are, so
/// the caller adds O_LARGEFILE and O_CLOEXEC. The caller owns the descriptor.
pub fn open(path: &CStr, flags: i32, mode: u32) -> Result<Fd, Errno> {
    openat(libc::AT_FDCWD, path, flags, mode)
}

/// Opens a file relative to the directory `dir` (openat(2)). The caller owns the descriptor.
pub fn openat(dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<Fd, Errno> {
    // SAFETY: the path is a NUL-terminated string; the kernel only reads it.
    let answer = unsafe {
        syscall(
            libc::SYS_openat,
            [
                dir as isize as usize,
                path.as_ptr() as usize,
                flags as usize,
                mode as usize,
                0,
                0,
            ],
        )
    };
    Fd::made(answer)
}

/// Opens one of memtun's own files, close-on-exec. A program that has used up RLIMIT_NOFILE must
/// still be able to attach an interface, for which the kernel needs no descriptor, so the soft
/// limit is raised for the moment of the call.
pub fn open_internal(path: &CStr, flags: i32, mode: u32) -> Result<Fd, Errno> {
    openat_internal(libc::AT_FDCWD, path, flags, mode)
}

/// Does the same as [`open_internal`], relative to the directory `dir`.
pub fn openat_internal(dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<Fd, Errno> {
    with_more_descriptors(|| openat(dir, path, flags | libc::O_CLOEXEC, mode))
}

/// Does the same as [`openat_internal`] with just these flags, for a descriptor that the program
/// gets.
pub fn openat_internal_as(dir: i32, path: &CStr, flags: i32) -> Result<Fd, Errno> {
    with_more_descriptors(|| openat(dir, path, flags, 0))
}

/// Makes the limits of this process for descriptors, the sizes of files, memory and time as wide as
/// it may (prlimit(2)).
pub fn widen_limits() {
    for limit in [
        libc::RLIMIT_NOFILE,
        libc::RLIMIT_FSIZE,
        libc::RLIMIT_AS,
        libc::RLIMIT_DATA,
        libc::RLIMIT_STACK,
        libc::RLIMIT_CPU,
    ] {
        let mut now = libc::rlimit64 {
            rlim_cur: 0,
            rlim_max: 0,
        };
        if prlimit(limit as i32, None, Some(&mut now)).is_ok() {
            now.rlim_cur = now.rlim_max;
            let _ = prlimit(limit as i32, Some(&now), None);
        }
    }
}

/// Returns how many bytes long the stack of this process's first thread may get (RLIMIT_STACK).
pub fn stack_limit() -> u64 {
    let mut now = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    match prlimit(libc::RLIMIT_STACK as i32, None, Some(&mut now)) {
        Ok(()) => now.rlim_cur,
        Err(_) => u64::MAX,
    }
}

pub(super) fn with_more_descriptors(open: impl Fn() -> Result<Fd, Errno>) -> Result<Fd, Errno> {
    match open() {
        Err(Errno(libc::EMFILE)) => {
            let mut old = libc::rlimit64 {
                rlim_cur: 0,
                rlim_max: 0,
            };
            prlimit(libc::RLIMIT_NOFILE as i32, None, Some(&mut old))?;
            let wider = libc::rlimit64 {
                rlim_cur: (old.rlim_cur + 8).min(old.rlim_max),
                rlim_max: old.rlim_max,
            };
            prlimit(libc::RLIMIT_NOFILE as i32, Some(&wider), None)?;
            let answer = open();
            prlimit(libc::RLIMIT_NOFILE as i32, Some(&old), None)?;
            answer
        }
        answer => answer,
    }
}

pub(super) fn prlimit(
    resource: i32,
    new: Option<&libc::rlimit64>,
    old: Option<&mut libc::rlimit64>,
) -> Result<(), Errno> {
    let new = new.map_or(0, |l| l as *const _ as usize);
    let old = old.map_or(0, |l| l as *mut _ as usize);
    // SAFETY: both pointers are NULL or point to a live rlimit64.
    check(unsafe { syscall(libc::SYS_prlimit64, [0, resource as usize, new, old, 0, 0]) }).map(drop)
}

/// Reads into `buf` and returns the number of bytes (read(2)).
pub fn read(fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `len` bytes into the slice.
    check(unsafe {
        syscall(
            libc::SYS_read,
            [fd as usize, buf.as_mut_ptr() as usize, buf.len(), 0, 0, 0],
        )
    })
}

/// Writes `buf` and returns the number of bytes that were written (write(2)).
pub fn write(fd: i32, buf: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads at most `len` bytes of the slice.
    check(unsafe {
        syscall(
            libc::SYS_write,
            [fd as usize, buf.as_ptr() as usize, buf.len(), 0, 0, 0],
        )
    })
}

/// Returns the attributes of a path relative to the directory `dir` (fstatat(2)).
pub fn fstatat(dir: i32, path: &CStr, flags: i32) -> Result<libc::stat, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    let args = [
        dir as isize as usize,
        path.as_ptr() as usize,
        st.as_mut_ptr() as usize,
        flags as usize,
        0,
        0,
    ];
    // SAFETY: the path is NUL-terminated, and the kernel writes one struct stat, for which zeroes
    // are valid in any case.
    unsafe {
        check(syscall(libc::SYS_newfstatat, args))?;
        Ok(st.assume_init())
    }
}

/// Takes, converts or releases a lock on an open file description (flock(2)).
pub fn flock(fd: BorrowedFd<'_>, operation: i32) -> Result<(), Errno> {
    // SAFETY: flock(2) touches no memory.
    check(unsafe {
        syscall(
            libc::SYS_flock,
            [fd.as_raw_fd() as usize, operation as usize, 0, 0, 0, 0],
        )
    })
    .map(drop)
}

/// Returns how many bytes could be read from a pipe now (FIONREAD).
pub fn readable_bytes(fd: i32) -> Result<usize, Errno> {
    let mut n: i32 = 0;
    // SAFETY: FIONREAD writes one int, which is a local of this function.
    check(unsafe {
        syscall(
            libc::SYS_ioctl,
            [
                fd as usize,
                libc::FIONREAD as usize,
                &mut n as *mut i32 as usize,
                0,
                0,
                0,
            ],
        )
    })?;
    Ok(n.max(0) as usize)
}

/// Makes a FIFO in the directory `dir` (mkfifoat(3)).
pub fn mkfifoat(dir: i32, name: &CStr, mode: u32) -> Result<(), Errno> {
    let args = [
        dir as isize as usize,
        name.as_ptr() as usize,
        (libc::S_IFIFO | mode) as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the name is NUL-terminated.
    check(unsafe { syscall(libc::SYS_mknodat, args) }).map(drop)
}

/// Makes a directory (mkdir(2)).
pub fn mkdir(path: &CStr, mode: u32) -> Result<(), Errno> {
    mkdirat(libc::AT_FDCWD, path, mode)
}

/// Makes a directory in the directory `dir` (mkdirat(2)).
///
/// # Errors
///
/// EEXIST when there is something of this name, a link that leads nowhere as well.
pub fn mkdirat(dir: i32, path: &CStr, mode: u32) -> Result<(), Errno> {
    let args = [
        dir as isize as usize,
        path.as_ptr() as usize,
        mode as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the path is NUL-terminated.
    check(unsafe { syscall(libc::SYS_mkdirat, args) }).map(drop)
}

/// Gives a file in the directory `dir` a second name (linkat(2)).
///
/// # Errors
///
/// EEXIST when the new name exists: nothing is replaced.
pub fn linkat(dir: i32, from: &CStr, to: &CStr) -> Result<(), Errno> {
    let dir = dir as isize as usize;
    // SAFETY: both names are NUL-terminated.
    check(unsafe {
        syscall(
            libc::SYS_linkat,
            [dir, from.as_ptr() as usize, dir, to.as_ptr() as usize, 0, 0],
        )
    })
    .map(drop)
}

/// Changes the owner of a file, even through a descriptor that was opened with O_PATH
/// (fchownat(2)).
pub fn fchown(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Errno> {
    let args = [
        fd.as_raw_fd() as usize,
        c"".as_ptr() as usize,
        uid as usize,
        gid as usize,
        libc::AT_EMPTY_PATH as usize,
        0,
    ];
    // SAFETY: the path is an empty NUL-terminated string.
    check(unsafe { syscall(libc::SYS_fchownat, args) }).map(drop)
}

/// Sets a file's mode, whatever the umask was (fchmod(2)).
pub fn fchmod(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    // SAFETY: fchmod(2) touches no memory.
    check(unsafe {
        syscall(
            libc::SYS_fchmod,
            [fd.as_raw_fd() as usize, mode as usize, 0, 0, 0, 0],
        )
    })
    .map(drop)
}

/// Gives a file in the directory `dir` another name (renameat2(2)).
///
/// # Errors
///
/// EEXIST when the new name exists: nothing is replaced, unless the file system does not know
/// RENAME_NOREPLACE.
pub fn renameat(dir: i32, from: &CStr, to: &CStr) -> Result<(), Errno> {
    const RENAME_NOREPLACE: usize = 1;
    let dir = dir as isize as usize;
    let rename = |flags| {
        // SAFETY: both names are NUL-terminated.
        check(unsafe {
            syscall(
                libc::SYS_renameat2,
                [
                    dir,
                    from.as_ptr() as usize,
                    dir,
                    to.as_ptr() as usize,
                    flags,
                    0,
                ],
            )
        })
        .map(drop)
    };
    match rename(RENAME_NOREPLACE) {
        // This file system does not know RENAME_NOREPLACE.
        Err(Errno(libc::EINVAL)) => rename(0),
        answer => answer,
    }
}

/// Gives a file in the directory `dir` another name, in place of whatever had that name
/// (renameat2(2) without flags).
pub fn replaceat(dir: i32, from: &CStr, to: &CStr) -> Result<(), Errno> {
    let dir = dir as isize as usize;
    let args = [dir, from.as_ptr() as usize, dir, to.as_ptr() as usize, 0, 0];
    // SAFETY: both names are NUL-terminated.
    check(unsafe { syscall(libc::SYS_renameat2, args) }).map(drop)
}

/// May the caller access a path (faccessat(2))? The kernel's old call asks for the real ids.
pub fn access(path: &CStr, mode: i32) -> Result<(), Errno> {
    let args = [
        libc::AT_FDCWD as isize as usize,
        path.as_ptr() as usize,
        mode as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the path is NUL-terminated.
    check(unsafe { syscall(libc::SYS_faccessat, args) }).map(drop)
}

/// Reads the target of a symbolic link into `buf`, and returns its bytes (readlinkat(2)). A target
/// that is longer than `buf` is cut.
pub fn readlinkat<'b>(dir: i32, path: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let args = [
        dir as isize as usize,
        path.as_ptr() as usize,
        buf.as_mut_ptr() as usize,
        buf.len(),
        0,
        0,
    ];
    // SAFETY: the path is NUL-terminated and the kernel writes at most `len` bytes.
    let n = check(unsafe { syscall(libc::SYS_readlinkat, args) })?;
    Ok(&buf[..n])
}

/// Is this an end of a pipe that pipe(2) made, and that has no path (fstatfs(2))? False where
/// nobody can tell.
pub fn is_nameless_pipe(fd: i32) -> bool {
    /// PIPEFS_MAGIC (linux/magic.h).
    const PIPEFS: u64 = 0x5049_5045;
    let mut found = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    let args = [
        fd as isize as usize,
        found.as_mut_ptr() as usize,
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes one struct statfs, for which zeroes are valid in any case.
    let found = unsafe {
        if check(syscall(libc::SYS_fstatfs, args)).is_err() {
            return false;
        }
        found.assume_init()
    };
    found.f_type as u64 == PIPEFS
}

/// Reads the path behind a descriptor from /proc/self/fd into `buf`, and returns its bytes.
pub fn path_of_fd(fd: i32, buf: &mut [u8]) -> Result<&[u8], Errno> {
    let mut link = PathBuf::concat(&[b"/proc/self/fd/"])?;
    link.push_number(fd as u64)?;
    readlinkat(libc::AT_FDCWD, link.cstr(), buf)
}

/// Sets a file's length and reserves its first `reserve` bytes, both in bytes, so that an access to
/// them cannot raise SIGBUS.
///
/// # Errors
///
/// - EFBIG when RLIMIT_FSIZE forbids such a file. The limit is read first, because the kernel's
///   answer would be SIGXFSZ.
/// - ENOSPC when the file system is full.
pub fn set_length(fd: BorrowedFd<'_>, length: u64, reserve: u64) -> Result<(), Errno> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    prlimit(libc::RLIMIT_FSIZE as i32, None, Some(&mut limit))?;
    let raised = limit.rlim_cur < length;
    if raised {
        if limit.rlim_max < length {
            return Err(Errno(libc::EFBIG));
        }
        let wider = libc::rlimit64 {
            rlim_cur: length,
            rlim_max: limit.rlim_max,
        };
        prlimit(libc::RLIMIT_FSIZE as i32, Some(&wider), None)?;
    }
    // SAFETY: ftruncate(2) and fallocate(2) touch no memory.
    let set = unsafe {
        check(syscall(
            libc::SYS_ftruncate,
            [fd.as_raw_fd() as usize, length as usize, 0, 0, 0, 0],
        ))
        .and_then(|_| {
            match check(syscall(
                libc::SYS_fallocate,
                [fd.as_raw_fd() as usize, 0, 0, reserve as usize, 0, 0],
            )) {
                // The file system has no fallocate. `reserve` reserves the bytes in the mapping
                // instead.
                Err(Errno(libc::EOPNOTSUPP)) | Ok(_) => Ok(()),
                Err(e) => Err(e),
            }
        })
    };
    if raised {
        prlimit(libc::RLIMIT_FSIZE as i32, Some(&limit), None)?;
    }
    set
}

/// Sets the mode of a file in the directory `dir` (fchmodat(2)). This follows links, so it is only
/// for a directory in which nobody else can write.
pub fn fchmodat(dir: i32, name: &CStr, mode: u32) -> Result<(), Errno> {
    let args = [
        dir as isize as usize,
        name.as_ptr() as usize,
        mode as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the name is NUL-terminated.
    check(unsafe { syscall(libc::SYS_fchmodat, args) }).map(drop)
}

/// Writes at an offset of a file and returns the number of bytes (pwrite(2)).
pub fn pwrite(fd: i32, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    let args = [
        fd as usize,
        bytes.as_ptr() as usize,
        bytes.len(),
        offset as usize,
        0,
        0,
    ];
    // SAFETY: the kernel reads at most `len` bytes of the slice.
    check(unsafe { syscall(libc::SYS_pwrite64, args) })
}

/// Reads into `buf` from `offset` on, and returns the number of bytes (pread(2)).
pub fn pread(fd: i32, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let args = [
        fd as usize,
        buf.as_mut_ptr() as usize,
        buf.len(),
        offset as usize,
        0,
        0,
    ];
    // SAFETY: the kernel writes at most `len` bytes into the slice.
    check(unsafe { syscall(libc::SYS_pread64, args) })
}

/// Removes a name from the directory `dir` (unlinkat(2)). `flags` is 0 for a file, and AT_REMOVEDIR
/// for an empty directory.
pub fn unlinkat(dir: i32, name: &CStr, flags: i32) -> Result<(), Errno> {
    let args = [
        dir as isize as usize,
        name.as_ptr() as usize,
        flags as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the name is NUL-terminated.
    check(unsafe { syscall(libc::SYS_unlinkat, args) }).map(drop)
}

/// Makes a file in memory (memfd_create(2)). The caller owns the descriptor.
pub fn memory_file(name: &CStr, flags: u32) -> Result<Fd, Errno> {
    // SAFETY: the name is NUL-terminated.
    let answer = unsafe {
        syscall(
            libc::SYS_memfd_create,
            [name.as_ptr() as usize, flags as usize, 0, 0, 0, 0],
        )
    };
    Fd::made(answer)
}

/// Returns the id of the mount that a path leads into (stx_mnt_id of statx(2)). None means that
/// there is nothing at the path, or that the kernel does not say.
pub fn mount_id(path: &CStr) -> Option<u64> {
    // SAFETY: a struct statx consists of plain numbers, for which zero is valid.
    let mut x: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is NUL-terminated, and the kernel fills one struct statx, which is a local
    // of this function.
    check(unsafe {
        syscall(
            libc::SYS_statx,
            [
                libc::AT_FDCWD as isize as usize,
                path.as_ptr() as usize,
                0,
                libc::STATX_MNT_ID as usize,
                &raw mut x as usize,
                0,
            ],
        )
    })
    .ok()?;
    (x.stx_mask & libc::STATX_MNT_ID != 0).then_some(x.stx_mnt_id)
}

/// Sets the position of an open file to its beginning (lseek(2)).
pub fn rewind(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: lseek(2) touches no memory.
    check(unsafe {
        syscall(
            libc::SYS_lseek,
            [fd.as_raw_fd() as usize, 0, libc::SEEK_SET as usize, 0, 0, 0],
        )
    })
    .map(drop)
}

/// Calls `each` with every name in the directory behind `fd` except "." and "..", until `each`
/// returns false.
///
/// # Errors
///
/// What getdents64(2) fails with.
pub fn each_entry(fd: BorrowedFd<'_>, mut each: impl FnMut(&CStr) -> bool) -> Result<(), Errno> {
    #[repr(align(8))]
    struct Buffer([u8; 4096]);
    let mut buf = Buffer([0; 4096]);
    loop {
        let args = [
            fd.as_raw_fd() as usize,
            buf.0.as_mut_ptr() as usize,
            buf.0.len(),
            0,
            0,
            0,
        ];
        // SAFETY: the kernel writes at most `len` bytes of linux_dirent64 records.
        let n = check(unsafe { syscall(libc::SYS_getdents64, args) })?;
        if n == 0 {
            return Ok(());
        }
        let mut at = 0;
        // A struct linux_dirent64 consists of u64 ino, i64 off, u16 reclen, u8 type and the name.
        while at + 19 <= n {
            let record = u16::from_ne_bytes([buf.0[at + 16], buf.0[at + 17]]) as usize;
            if record < 19 || at + record > n {
                break;
            }
            if let Ok(name) = CStr::from_bytes_until_nul(&buf.0[at + 19..at + record]) {
                if name != c"." && name != c".." && !each(name) {
                    return Ok(());
                }
            }
            at += record;
        }
    }
}
