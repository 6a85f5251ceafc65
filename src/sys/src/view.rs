//! System calls for showing a net's files: links, offsets, lengths and names of interfaces.

use super::{check, syscall, Fd};
use crate::Errno;
use std::ffi::CStr;

/// Makes a symbolic link at `path` in the directory `dir` that leads to `target`.
///
/// # Errors
///
/// What symlinkat(2) fails with, for example EEXIST.
pub fn symlinkat(target: &CStr, dir: i32, path: &CStr) -> Result<(), Errno> {
    let args = [
        target.as_ptr() as usize,
        dir as isize as usize,
        path.as_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: both paths are NUL-terminated.
    check(unsafe { syscall(libc::SYS_symlinkat, args) }).map(drop)
}

/// Moves the offset of a descriptor (lseek(2)), and returns the new one in bytes.
///
/// # Errors
///
/// What lseek(2) fails with, for example ESPIPE.
pub fn seek(fd: i32, offset: i64, whence: i32) -> Result<u64, Errno> {
    let args = [fd as usize, offset as usize, whence as usize, 0, 0, 0];
    // SAFETY: lseek(2) touches no memory.
    check(unsafe { syscall(libc::SYS_lseek, args) }).map(|at| at as u64)
}

/// Cuts a file off behind so many bytes (ftruncate(2)). The offset of the descriptor stays.
///
/// # Errors
///
/// What ftruncate(2) fails with, for example EINVAL for a descriptor that cannot be written.
pub fn cut(fd: i32, length: u64) -> Result<(), Errno> {
    let args = [fd as usize, length as usize, 0, 0, 0, 0];
    // SAFETY: ftruncate(2) touches no memory.
    check(unsafe { syscall(libc::SYS_ftruncate, args) }).map(drop)
}

/// Says that a file was last written at the beginning of time, so that a later write can be seen
/// by [`was_written`].
///
/// # Errors
///
/// What utimensat(2) fails with.
pub fn forget_write(fd: i32) -> Result<(), Errno> {
    // SAFETY: zeroes are valid times.
    let times: [libc::timespec; 2] = unsafe { std::mem::zeroed() };
    let args = [fd as usize, 0, times.as_ptr() as usize, 0, 0, 0];
    // SAFETY: the call reads the two times; without a path it changes those of the descriptor.
    check(unsafe { syscall(libc::SYS_utimensat, args) }).map(drop)
}

/// Was the file written since [`forget_write`]?
pub fn was_written(st: &libc::stat) -> bool {
    st.st_mtime != 0 || st.st_mtime_nsec != 0
}

/// Returns the device of the file system that a path lies in, and the number of its mount; None
/// where the kernel does not tell it.
pub fn mount_of(path: &CStr) -> Option<(u64, u64)> {
    // SAFETY: zeroes are a valid struct statx.
    let mut x: libc::statx = unsafe { std::mem::zeroed() };
    let args = [
        libc::AT_FDCWD as isize as usize,
        path.as_ptr() as usize,
        0,
        libc::STATX_MNT_ID as usize,
        &raw mut x as usize,
        0,
    ];
    // SAFETY: the path is NUL-terminated, and the kernel writes one struct statx.
    check(unsafe { syscall(libc::SYS_statx, args) }).ok()?;
    let is_told = x.stx_mask & libc::STATX_MNT_ID != 0;
    let device = libc::makedev(x.stx_dev_major, x.stx_dev_minor);
    is_told.then_some((device, x.stx_mnt_id))
}

/// Returns the name of the machine's interface with this index, up to its NUL.
///
/// # Errors
///
/// ENODEV when there is none, and what making a socket fails with.
pub fn interface_name(index: u32) -> Result<[u8; 16], Errno> {
    const SIOCGIFNAME: usize = 0x8910;
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let args = [libc::AF_UNIX as usize, kind as usize, 0, 0, 0, 0];
    // SAFETY: socket(2) touches no memory.
    let fd = check(unsafe { syscall(libc::SYS_socket, args) })?;
    // SAFETY: the descriptor was made just now, and nobody else closes it.
    let socket = unsafe { Fd::from_raw(fd as i32) };
    // struct ifreq: the name, and the index behind it.
    let mut ifreq = [0u8; 40];
    ifreq[16..20].copy_from_slice(&index.to_ne_bytes());
    let args = [
        socket.raw() as usize,
        SIOCGIFNAME,
        ifreq.as_mut_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads and writes one ifreq, which is as long as the buffer.
    check(unsafe { syscall(libc::SYS_ioctl, args) })?;
    let mut name = [0; 16];
    name.copy_from_slice(&ifreq[..16]);
    Ok(name)
}
