//! A file of a net, mapped into memory.

use super::area::{Area, Home};
use super::layout::{InterfaceState, NetState, State, TunnelState};
#[cfg(doc)]
use super::lock::Lock;
use super::lock::{Guard, Patience, Peers};
use super::log::{self, Log, Reader, Writer};
use super::ring::{self, Queue, Ring};
use super::{truncated, Errno};
use memtun_sys::{self as sys, Fd};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::Relaxed;

/// The part of the remaining address space that one area may take, where address space is limited;
/// each tunnel has two areas. The areas of many tunnels together take a quarter of the limit, and
/// the program has the rest: from then on areas are as small as they can be.
const SHARE: usize = 32;

/// A mapped file that begins with an `S`. Dropping the value ends the mapping, unless a guard of
/// its lock was leaked.
///
/// Its packet area is as large as its maker could afford: [`State::AREA`], or that halved a few
/// times where the maker's address space (RLIMIT_AS) or the length of its files (RLIMIT_FSIZE) is
/// limited. The length of the file says how often, so that all processes that map it agree. It
/// never changes, so that no call on a tunnel has to map anything.
pub struct Mapped<S: State> {
    base: *mut u8,
    /// Number of times that the area was halved.
    halved: u32,
    state: PhantomData<S>,
}

// SAFETY: the mapping is shared memory that lives as long as the value, and every field in it is
// atomic or protected by a process-shared lock.
unsafe impl<S: State> Send for Mapped<S> {}
// SAFETY: the same holds for shared access.
unsafe impl<S: State> Sync for Mapped<S> {}

impl<S: State> Mapped<S> {
    /// Number of times that an area may be halved.
    const MOST_HALVED: u32 = if S::AREA == 0 {
        0
    } else {
        (S::AREA / S::SMALLEST_AREA).ilog2()
    };

    const fn length(halved: u32) -> usize {
        // A mapping that loses its file is replaced as far as `truncated` knows its length.
        const {
            assert!(truncated::is_length(
                S::HEAD + (S::AREA >> Self::MOST_HALVED)
            ))
        };
        S::HEAD + (S::AREA >> halved)
    }

    /// Returns how often the area of a file of `length` bytes was halved, or None when a file
    /// cannot have that length.
    fn halved(length: u64) -> Option<u32> {
        (0..=Self::MOST_HALVED).find(|halved| Self::length(*halved) as u64 == length)
    }

    /// Can a file of `length` bytes be one of memtun's?
    pub fn is_length(length: u64) -> bool {
        Self::halved(length).is_some()
    }

    /// Maps a new, empty file, and gives it its length and its header. The memory of the head and
    /// of the first part of the area is reserved.
    ///
    /// # Errors
    ///
    /// - EEXIST when the file is not empty, because others may have it mapped.
    /// - ENOSPC, EFBIG or ENOMEM when the machine or a limit does not allow it, and what a system
    ///   call fails with otherwise.
    pub fn create(fd: &Fd) -> Result<Mapped<S>, Errno> {
        if sys::fstat(fd.raw())?.st_size != 0 {
            return Err(Errno(libc::EEXIST));
        }
        let mapped = Self::map_what_is_allowed(fd)?;
        let length = Self::length(mapped.halved) as u64;
        let first = S::HEAD + S::FIRST;
        sys::set_length(fd.as_fd(), length, first as u64)?;
        // SAFETY: the range lies within the new mapping, because SMALLEST_AREA is at least FIRST,
        // and `at` watches the mapping for SIGBUS.
        unsafe { sys::reserve(mapped.base, first)? };
        mapped.header().init(S::KIND, length);
        if let Some(reserved) = mapped.reserved() {
            reserved.store(S::FIRST as u64, Relaxed);
        }
        Ok(mapped)
    }

    /// Maps the file, which has no length yet, with an area as large as the limits of the process
    /// allow.
    fn map_what_is_allowed(fd: &Fd) -> Result<Mapped<S>, Errno> {
        let area = |halved| S::AREA >> halved;
        let addresses = sys::address_space_left();
        let longest = sys::longest_file();
        let fits = |halved: &u32| {
            addresses
                .is_none_or(|(limit, left)| area(*halved) <= left / SHARE && left > limit / 4 * 3)
                && Self::length(*halved) as u64 <= longest
        };
        let halved = (0..Self::MOST_HALVED)
            .find(fits)
            .unwrap_or(Self::MOST_HALVED);
        let map = |halved| {
            let base = sys::map_shared(fd.as_fd(), Self::length(halved))?;
            Ok(Self::at(base, halved))
        };
        map(halved).or_else(|_| map(Self::MOST_HALVED))
    }

    /// Maps an existing regular file of `size` bytes.
    ///
    /// # Errors
    ///
    /// The errno and the reason, as the end of a sentence that begins with the file. EUCLEAN says
    /// that the file is not what it should be; the errno of mmap(2) comes without a reason.
    pub fn map(fd: &Fd, size: u64) -> Result<Mapped<S>, (Errno, &'static str)> {
        let damaged = |why| (Errno(libc::EUCLEAN), why);
        let Some(halved) = Self::halved(size) else {
            return Err(damaged(if size < 32 {
                "is not a file of memtun's"
            } else {
                "was truncated, or belongs to another version of memtun"
            }));
        };
        let base = sys::map_shared(fd.as_fd(), Self::length(halved)).map_err(|e| (e, ""))?;
        let mapped = Self::at(base, halved);
        match mapped.header().complaint(S::KIND, size) {
            None => Ok(mapped),
            Some(why) => Err(damaged(why)),
        }
    }

    /// Makes the value for a new mapping, and watches the mapping for SIGBUS.
    fn at(base: *mut u8, halved: u32) -> Mapped<S> {
        truncated::watch(base as usize, Self::length(halved));
        Mapped {
            base,
            halved,
            state: PhantomData,
        }
    }

    /// Has somebody truncated the file or overwritten its header since it was mapped?
    pub fn is_damaged(&self) -> bool {
        let length = Self::length(self.halved) as u64;
        self.header().complaint(S::KIND, length).is_some()
    }

    /// Gives up the value but keeps the mapping, for owners that store one word in an atomic.
    ///
    /// # Safety
    /// The caller may only pass the word to [`Mapped::from_word`].
    pub unsafe fn into_word(self) -> *mut u8 {
        // A mapping begins at a page boundary, so the low bits of its address are free to hold how
        // often the area was halved.
        let word = self.base.wrapping_add(self.halved as usize);
        std::mem::forget(self);
        word
    }

    /// Makes the value from a word of [`Mapped::into_word`] again.
    ///
    /// # Safety
    /// `word` must come from `into_word` of the same type. The value must be dropped only once,
    /// when nobody uses the mapping any more.
    #[inline]
    pub unsafe fn from_word(word: *mut u8) -> Mapped<S> {
        Mapped {
            base: (word as usize & !(sys::PAGE - 1)) as *mut u8,
            halved: (word as usize & (sys::PAGE - 1)) as u32,
            state: PhantomData,
        }
    }

    /// Returns the packet area behind the head.
    #[inline(always)]
    pub(crate) fn packet_area(&self) -> Area<'_> {
        // SAFETY: that many bytes are mapped behind the head, page-aligned, as long as the value
        // lives, and `truncated` handles SIGBUS.
        unsafe { Area::at(self.base.add(S::HEAD), S::AREA >> self.halved) }
    }

    /// Takes the lock of this file, for those files whose guard gives what the lock guards.
    #[inline]
    fn locked<P: Peers>(
        &self,
        peers: &P,
        patience: Patience,
        repair: impl FnOnce(),
    ) -> Result<Locked<'_, S>, Errno> {
        let locked = S::lock(self).lock(peers, patience, repair);
        locked.map(|guard| self.guarded(guard))
    }

    #[inline(always)]
    fn locked_at_once<P: Peers>(&self, peers: &P) -> Option<Locked<'_, S>> {
        S::lock(self)
            .lock_at_once(peers)
            .map(|guard| self.guarded(guard))
    }

    #[inline(always)]
    fn guarded<'m>(&'m self, guard: Guard<'m>) -> Locked<'m, S> {
        let state = ManuallyDrop::new(Mapped {
            base: self.base,
            halved: self.halved,
            state: PhantomData,
        });
        Locked { state, guard }
    }

    /// Does the calling thread hold the lock of this file? See [`Lock::is_mine`].
    pub fn is_lock_mine(&self) -> bool {
        S::lock(self).is_mine()
    }
}

impl Mapped<NetState> {
    /// Takes the net's lock, see [`Lock::lock_in_turn`].
    ///
    /// # Errors
    ///
    /// EAGAIN when the lock is not released in time.
    pub fn lock_in_turn<P: Peers>(
        &self,
        peers: &P,
        patience: Patience,
    ) -> Result<Guard<'_>, Errno> {
        self.lock.lock_in_turn(peers, patience)
    }
}

impl Mapped<InterfaceState> {
    /// Returns the outbound log, for a caller that reads it without the lock.
    #[inline]
    pub fn log(&self) -> Reader<'_, Self> {
        Reader::new(self)
    }

    /// Takes the interface's lock, see [`Lock::lock`].
    ///
    /// # Errors
    ///
    /// EAGAIN when the calling thread holds it already, or it is not released in time.
    #[inline]
    pub fn lock<P: Peers>(
        &self,
        peers: &P,
        patience: Patience,
        repair: impl FnOnce(),
    ) -> Result<InterfaceGuard<'_>, Errno> {
        self.locked(peers, patience, repair)
    }
}

impl Mapped<TunnelState> {
    /// Takes the tunnel's lock, see [`Lock::lock`].
    ///
    /// # Errors
    ///
    /// EAGAIN when the calling thread holds it already, or it is not released in time.
    #[inline]
    pub fn lock<P: Peers>(
        &self,
        peers: &P,
        patience: Patience,
        repair: impl FnOnce(),
    ) -> Result<TunnelGuard<'_>, Errno> {
        self.locked(peers, patience, repair)
    }

    /// Takes the tunnel's lock if it is free, see [`Lock::lock_at_once`].
    #[inline(always)]
    pub fn lock_at_once<P: Peers>(&self, peers: &P) -> Option<TunnelGuard<'_>> {
        self.locked_at_once(peers)
    }
}

impl Home for Mapped<InterfaceState> {
    type Words = Log;
    #[inline]
    fn words(&self) -> &Log {
        &self.log
    }
    #[inline]
    fn area(&self) -> Area<'_> {
        self.packet_area()
    }
}

impl Home for Mapped<TunnelState> {
    type Words = Ring;
    #[inline(always)]
    fn words(&self) -> &Ring {
        &self.ring
    }
    #[inline(always)]
    fn area(&self) -> Area<'_> {
        self.packet_area()
    }
}

/// A file whose lock the calling thread holds while the value lives.
///
/// A thread that was taken for dead, or that left by a jump, has such a value but not the lock any
/// more. A change that it still makes may be lost, or may tear what another thread does, but only
/// within the file, and every reader allows for that.
#[must_use]
pub struct Locked<'m, S: State> {
    /// The mapping that the lock is in, which is not ended with this value. It is a copy, because
    /// the compiler would read it anew after each step of the lock.
    state: ManuallyDrop<Mapped<S>>,
    guard: Guard<'m>,
}

/// Holds an interface's lock, so that its outbound log can be written.
pub type InterfaceGuard<'m> = Locked<'m, InterfaceState>;
/// Holds a tunnel's lock, so that its inbound queue can be filled and emptied.
pub type TunnelGuard<'m> = Locked<'m, TunnelState>;

impl<S: State> Locked<'_, S> {
    /// Releases the lock, see [`Guard::release`].
    #[inline(always)]
    pub fn release(self) {
        self.guard.release();
    }
}

impl<S: State> Deref for Locked<'_, S> {
    type Target = Mapped<S>;
    #[inline]
    fn deref(&self) -> &Mapped<S> {
        &self.state
    }
}

impl Locked<'_, TunnelState> {
    /// Returns the inbound queue.
    #[inline(always)]
    pub fn queue(&self) -> Queue<'_> {
        Queue::new(&*self.state)
    }
}

impl Locked<'_, InterfaceState> {
    /// Returns the outbound log for writing.
    #[inline]
    pub fn log_writer(&self) -> Writer<'_, Mapped<InterfaceState>> {
        Writer::new(&self.state)
    }

    /// Would a packet of `len` bytes overwrite what the capturer has not read? If so, this returns
    /// the number that the capturer's cursor has to reach.
    pub fn log_blocked(&self, len: usize) -> Option<u64> {
        let oldest = self.log_writer().oldest_after(len)?;
        self.state.is_unread_before(oldest).then_some(oldest)
    }
}

const _: () = assert!(InterfaceState::AREA < log::MOST_BYTES);
const _: () = assert!(TunnelState::AREA < ring::MOST_BYTES);

impl<S: State> Deref for Mapped<S> {
    type Target = S;
    fn deref(&self) -> &S {
        // SAFETY: `base` is a page-aligned mapping of at least HEAD bytes, and holds a valid S:
        // `State` promises that zeroes are one, and other processes store only through atomics and
        // locks.
        unsafe { &*(self.base as *const S) }
    }
}

impl<S: State> Drop for Mapped<S> {
    fn drop(&mut self) {
        if S::lock(self).is_mine() {
            // This thread has leaked a guard of the lock, and remembers where it is. The memory
            // stays mapped, so that no other memory at this address is taken for the lock. (The
            // word of a lock that another thread holds proves nothing: this process may have the
            // file mapped a second time.)
            return;
        }
        truncated::forget(self.base as usize);
        // SAFETY: `&mut self` says that nobody borrows from the mapping any more, and this value
        // alone owns it.
        unsafe { sys::unmap(self.base, Self::length(self.halved)) };
    }
}
