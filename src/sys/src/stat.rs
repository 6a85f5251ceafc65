//! What is behind a descriptor.

use super::{check, syscall};
use crate::Errno;

/// Returns the attributes of the file behind a descriptor (fstat(2)).
pub fn fstat(fd: i32) -> Result<libc::stat, Errno> {
    let mut st = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel writes one struct stat, for which zeroes are valid in any case.
    unsafe {
        check(syscall(
            libc::SYS_fstat,
            [fd as usize, st.as_mut_ptr() as usize, 0, 0, 0, 0],
        ))?;
        Ok(st.assume_init())
    }
}

/// Is the descriptor still the FIFO of that inode? A program may have closed a number that it did
/// not know, and have opened something of its own there.
pub fn is_fifo(fd: i32, inode: u64) -> bool {
    fstat(fd).is_ok_and(|st| st.st_ino == inode && is_kind(&st, libc::S_IFIFO))
}

/// Is the file of this kind (S_IFREG, S_IFDIR ...)?
pub fn is_kind(st: &libc::stat, kind: u32) -> bool {
    st.st_mode & libc::S_IFMT == kind
}
