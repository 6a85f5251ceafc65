//! Who is alive in a net: whoever holds a lock in it.
//!
//! A process has a token, a number, and a lock on the byte of that number in the net's state file
//! (F_OFD_SETLK; the file is not that long). The lock belongs to an open file description, which a
//! mapping keeps alive without a descriptor: a program that closes every descriptor does not lose
//! it, a killed process loses it at once, a new program image begins without. It holds across PID
//! namespaces, where process ids say nothing.

use super::directory::Directory;
use super::files::STATE;
use crate::sys::{self, Fd};
use crate::Errno;
use std::os::fd::AsFd;
use std::sync::atomic::{
    AtomicPtr, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::Duration;

/// First token of a member: of a process that keeps a private net in being.
const MEMBERS: u32 = 1 << 20;
/// First token of a visitor: of a driver that joined a net of others'.
const VISITORS: u32 = 1 << 31;
const END: u32 = u32::MAX;
/// The token of a process that could not get one, after chroot(2) for example: nobody can tell
/// whether it lives.
const NAMELESS: u32 = 1;

/// The calling process's life in a net.
#[derive(Default)]
pub struct Life {
    token: AtomicU32,
    mapping: AtomicPtr<u8>,
}

impl Life {
    /// Begins it. ENOENT when the net was removed meanwhile, EAGAIN when it is being removed.
    pub fn begin(&self, dir: &Directory, member: bool) -> Result<(), Errno> {
        let (fd, _) = dir.open(STATE, libc::O_RDWR, libc::S_IFREG)?;
        let token = take_token(&fd, member)?;
        if sys::fstat(fd.raw())?.st_nlink == 0 {
            return Err(Errno(libc::ENOENT));
        }
        let mapping = sys::map_reference(fd.as_fd())?;
        let old = self.mapping.swap(mapping, Release);
        debug_assert!(old.is_null());
        self.token.store(token, Release);
        Ok(())
    }

    /// The calling process's token.
    #[inline]
    pub fn token(&self) -> u32 {
        self.token.load(Relaxed)
    }

    /// Is the calling process a member?
    pub fn is_member(&self) -> bool {
        (MEMBERS..VISITORS).contains(&self.token())
    }

    /// The process is the child of a fork(2): it has not inherited the mapping, only its address.
    pub fn forget(&self) -> bool {
        let member = self.is_member();
        self.mapping.store(std::ptr::null_mut(), Release);
        self.token.store(NAMELESS, Release);
        member
    }

    /// Ends it.
    pub fn end(&self) {
        self.token.store(NAMELESS, Release);
        let mapping = self.mapping.swap(std::ptr::null_mut(), Acquire);
        if !mapping.is_null() {
            // SAFETY: our own mapping of one page, which nobody looks at.
            unsafe { sys::unmap(mapping, sys::PAGE) };
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

fn take_token(fd: &Fd, member: bool) -> Result<u32, Errno> {
    let (first, end) = if member {
        (MEMBERS, VISITORS)
    } else {
        (VISITORS, END)
    };
    // Removing a net takes some system calls; then the file has no name any more.
    const TRIES: u64 = 50;
    let mut seed = sys::now_ns(libc::CLOCK_MONOTONIC) ^ (sys::gettid() as u64) << 32;
    for _ in 0..TRIES {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let token = first + (seed >> 32) as u32 % (end - first);
        match sys::lock_bytes(fd.as_fd(), token.into(), 1) {
            // Somebody has that number, or locks all of them because it removes the net.
            Err(Errno(libc::EAGAIN | libc::EACCES)) => {
                if sys::fstat(fd.raw())?.st_nlink == 0 {
                    return Err(Errno(libc::ENOENT));
                }
                sys::nap(Duration::from_millis(1));
            }
            taken => return taken.map(|()| token),
        }
    }
    Err(Errno(libc::EAGAIN))
}

/// Does the process of this token live? None when nobody can tell.
pub fn is_alive(dir: &Directory, token: u32) -> Option<bool> {
    if !(MEMBERS..END).contains(&token) {
        // Not a number that is given out: nobody holds it.
        return (token != NAMELESS).then_some(false);
    }
    let (fd, _) = dir.open(STATE, libc::O_RDWR, libc::S_IFREG).ok()?;
    sys::bytes_are_locked(fd.as_fd(), token.into(), 1).ok()
}

/// Is there a member?
pub fn has_members(state: &Fd) -> bool {
    sys::bytes_are_locked(state.as_fd(), MEMBERS.into(), (VISITORS - MEMBERS).into())
        .unwrap_or(true)
}

/// Keeps every member away, as long as the descriptor is open. EAGAIN when there is one.
pub fn exclude_members(state: &Fd) -> Result<(), Errno> {
    sys::lock_bytes(state.as_fd(), MEMBERS.into(), (VISITORS - MEMBERS).into())
}
