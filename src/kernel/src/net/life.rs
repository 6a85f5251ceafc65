//! Who is alive in a net: every process that holds a lock in it.
//!
//! A process has a token, which is a number, and a lock on the byte of that number in the net's
//! state file (F_OFD_SETLK; the file is not that long). The lock belongs to an open file
//! description, which a mapping keeps alive without a descriptor. So a program that closes every
//! descriptor does not lose it, a killed process loses it at once, and a new program image begins
//! without it. It works across PID namespaces, where process ids say nothing.

use super::directory::Directory;
use super::files::STATE;
use crate::sys::{self, Fd};
use crate::Errno;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32};
use std::time::Duration;

/// First token of members, the processes that keep a private net in being.
const MEMBERS: u32 = 1 << 20;
/// First token of visitors, the drivers that joined a net that others made.
const VISITORS: u32 = 1 << 31;
const END: u32 = u32::MAX;
/// The token of a process that could not get one, for example after chroot(2). Nobody can tell
/// whether that process lives.
const NAMELESS: u32 = 1;

/// The calling process's life in a net: its token, and the mapping that keeps the lock.
#[derive(Default)]
pub struct Life {
    token: AtomicU32,
    mapping: AtomicPtr<u8>,
}

impl Life {
    /// Takes a token and its lock. `member` says whether the process keeps a private net in being.
    ///
    /// # Errors
    ///
    /// - ENOENT when the net was removed meanwhile.
    /// - EAGAIN when it is being removed.
    /// - What opening or mapping the state file fails with.
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

    /// Returns the calling process's token.
    #[inline]
    pub fn token(&self) -> u32 {
        self.token.load(Relaxed)
    }

    /// Is the calling process a member?
    pub fn is_member(&self) -> bool {
        (MEMBERS..VISITORS).contains(&self.token())
    }

    /// Forgets the life of the parent in the child of a fork(2), which inherits the mapping's
    /// address but not the mapping. Returns whether the parent was a member.
    pub fn forget(&self) -> bool {
        let member = self.is_member();
        self.mapping.store(std::ptr::null_mut(), Release);
        self.token.store(NAMELESS, Release);
        member
    }

    /// Ends the life: the lock and the token are given up.
    pub fn end(&self) {
        self.token.store(NAMELESS, Release);
        let mapping = self.mapping.swap(std::ptr::null_mut(), Acquire);
        if !mapping.is_null() {
            // SAFETY: `begin` made this mapping of one page; the swap took it out, so that nobody
            // else unmaps it, and nobody reads it.
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
    // Removing a net takes a few system calls; after them the file has no name any more.
    const TRIES: u64 = 50;
    let mut seed = sys::now_ns(libc::CLOCK_MONOTONIC) ^ (sys::gettid() as u64) << 32;
    for _ in 0..TRIES {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let token = first + (seed >> 32) as u32 % (end - first);
        match sys::lock_bytes(fd.as_fd(), token.into(), 1) {
            // Another process has that number, or one locks all numbers because it removes the net.
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

/// Does the process of this token live? None means that nobody can tell.
pub fn is_alive(dir: &Directory, token: u32) -> Option<bool> {
    if !(MEMBERS..END).contains(&token) {
        // No process is given such a number, so nobody holds it.
        return (token != NAMELESS).then_some(false);
    }
    let (fd, _) = dir.open(STATE, libc::O_RDWR, libc::S_IFREG).ok()?;
    sys::bytes_are_locked(fd.as_fd(), token.into(), 1).ok()
}

/// Is there a member, or can nobody tell?
pub fn has_members(state: &Fd) -> bool {
    sys::bytes_are_locked(state.as_fd(), MEMBERS.into(), (VISITORS - MEMBERS).into())
        .unwrap_or(true)
}

/// Waits until there is no member. Nobody is kept away from becoming one.
///
/// # Errors
///
/// EINTR when a signal came.
pub fn wait_for_members(state: &Fd) -> Result<(), Errno> {
    sys::wait_for_bytes(state.as_fd(), MEMBERS.into(), (VISITORS - MEMBERS).into())
}

/// Keeps every member away as long as the descriptor is open.
///
/// # Errors
///
/// EAGAIN when there is a member.
pub fn exclude_members(state: &Fd) -> Result<(), Errno> {
    sys::lock_bytes(state.as_fd(), MEMBERS.into(), (VISITORS - MEMBERS).into())
}
