//! The interface of a tunnel as this process has it mapped, and how it is replaced under calls that
//! go on; see [`Retired`](super::retired::Retired).

use super::borrowed::InterfaceRef;
use super::Tunnel;
use crate::net::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::{load_name, Mapped};
use crate::Errno;
use std::ops::Deref;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, SeqCst},
};

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    /// First use in this process, or the tunnel was attached anew since.
    #[cold]
    pub(super) fn find_interface(&self) -> Result<InterfaceRef<'_>, Errno> {
        self.retired.wait_for_change();
        let word = self.interface.load(SeqCst);
        if !word.is_null() {
            // SAFETY: as in `interface`.
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

    /// Another thread may be in the middle of a call on the interface before: its mapping stays
    /// until none is. Calls that begin now wait for the new one.
    pub(super) fn set_interface(&self, interface: Mapped<InterfaceState>) -> InterfaceRef<'_> {
        // SAFETY: it is kept for `from_word`.
        let word = unsafe { interface.into_word() };
        self.retired.change(|| {
            self.retired
                .push(self.interface.swap(std::ptr::null_mut(), SeqCst));
            self.retired.free(|| (self.alone)(self));
            self.retired.push(self.interface.swap(word, SeqCst));
        });
        // SAFETY: just made by `into_word`, and retired only when no call can have it any more.
        unsafe { InterfaceRef::of_word(word) }
    }

    /// Says how to find out whether the calling thread's call is the only one on this tunnel in
    /// this process, but for those that wait: [`Tunnel::held_up`] says how many wait here. In
    /// the order of SeqCst a call counts before it begins, and a wait no more before it ends.
    ///
    /// # Safety
    /// Where it says so, no other thread has an [`InterfaceRef`] of this tunnel's, and the calling
    /// one uses none that it got before: the mapping is ended.
    pub unsafe fn alone_when(mut self, alone: fn(&Self) -> bool) -> Self {
        self.alone = alone;
        self
    }

    /// Calls that wait here for the tunnel's new interface, and a number that is another one when
    /// one of them has gone on.
    pub fn held_up(&self) -> (u32, u32) {
        self.retired.waiting()
    }

    /// Counts a call until the value is dropped, for [`Tunnel::counts_one_call`].
    pub fn call(&self) -> Call<'_> {
        self.calls.fetch_add(1, SeqCst);
        Call(&self.calls)
    }

    /// Where all calls are counted by [`Tunnel::call`]: is there only one?
    pub fn counts_one_call(&self) -> bool {
        let (waiting, gone_on) = self.held_up();
        self.calls.load(SeqCst) == 1 + waiting && self.held_up().1 == gone_on
    }
}

/// A call that is counted.
pub struct Call<'t>(&'t AtomicU32);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
