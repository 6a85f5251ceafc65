//! The interface of a tunnel as this process has it mapped, and how it is replaced while calls go
//! on; see [`Retired`](super::retired::Retired).

use super::borrowed::InterfaceRef;
use super::Tunnel;
use crate::net::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::{load_name, Mapped};
use crate::Errno;
use std::ops::Deref;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    /// Finds the interface at the first use in this process, or after the tunnel was attached anew.
    #[cold]
    pub(super) fn find_interface(&self) -> Result<InterfaceRef<'_>, Errno> {
        self.retired.wait_for_change();
        let word = self.interface.load(SeqCst);
        if !word.is_null() {
            // SAFETY: as in `interface`: the word came from `into_word` and is unmapped only when
            // no call can have it any more.
            let interface = unsafe { InterfaceRef::of_word(word) };
            if self.is_current(&interface) {
                return Ok(interface);
            }
        }
        let interface = self
            .net
            .look_up(&load_name(&self.state.name))?
            .ok_or(Errno(libc::EBADFD))?;
        if !self.is_current(&interface) {
            return Err(Errno(libc::EBADFD));
        }
        Ok(self.set_interface(interface))
    }

    #[inline]
    pub(super) fn is_current(&self, interface: &InterfaceState) -> bool {
        interface.ifindex.load(Relaxed) == self.state.ifindex.load(Relaxed) && !interface.is_going()
    }

    /// Replaces the mapped interface. Another thread may be in the middle of a call on the previous
    /// one, whose mapping stays until no such call is left. Calls that begin now wait for the new
    /// one.
    pub(super) fn set_interface(&self, interface: Mapped<InterfaceState>) -> InterfaceRef<'_> {
        // SAFETY: the word is kept in `self.interface` or `self.retired`, which give it back to
        // `from_word` once.
        let word = unsafe { interface.into_word() };
        self.retired.change(|| {
            self.retired
                .push(self.interface.swap(std::ptr::null_mut(), SeqCst));
            self.retired.free(|| (self.alone)(self));
            self.retired.push(self.interface.swap(word, SeqCst));
        });
        // SAFETY: `into_word` has just made the word, and it is retired only when no call can have
        // it any more.
        unsafe { InterfaceRef::of_word(word) }
    }

    /// Sets how to find out whether the calling thread's call is the only one on this tunnel in
    /// this process, apart from those that wait; [`Tunnel::held_up`] says how many wait here. In
    /// the order of SeqCst a call is counted before it begins, and a wait stops being counted
    /// before it ends.
    ///
    /// # Safety
    /// When `alone` returns true, no other thread may have an [`InterfaceRef`] of this tunnel, and
    /// the calling one must use none that it got before, because the mapping is ended.
    pub unsafe fn alone_when(mut self, alone: fn(&Self) -> bool) -> Self {
        self.alone = alone;
        self
    }

    /// Returns how many calls wait here for the tunnel's new interface, and a number that changes
    /// when one of them has gone on.
    pub fn held_up(&self) -> (u32, u32) {
        self.retired.waiting()
    }

    /// Counts a call until the value is dropped, for [`Tunnel::counts_one_call`].
    pub fn call(&self) -> Call<'_> {
        self.calls.fetch_add(1, SeqCst);
        Call(&self.calls)
    }

    /// Is there only one call on this tunnel that does not wait? The answer is right where all
    /// calls are counted by [`Tunnel::call`].
    pub fn counts_one_call(&self) -> bool {
        let (waiting, gone_on) = self.held_up();
        self.calls.load(SeqCst) == 1 + waiting && self.held_up().1 == gone_on
    }
}

/// Keeps a call counted until it is dropped.
pub struct Call<'t>(&'t AtomicU32);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
