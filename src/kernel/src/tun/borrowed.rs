//! An interface as a call on its tunnel borrows it.

use crate::shm::layout::InterfaceState;
use crate::shm::Mapped;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;

/// The interface of a tunnel, borrowed for a call. It stays mapped as long as the call is under
/// way.
pub struct InterfaceRef<'t> {
    mapped: ManuallyDrop<Mapped<InterfaceState>>,
    _tunnel: PhantomData<&'t ()>,
}

impl InterfaceRef<'_> {
    /// Makes the reference from a word that the tunnel keeps.
    /// # Safety
    /// The word must come from [`Mapped::into_word`], and stay mapped for the lifetime.
    #[inline]
    pub(super) unsafe fn of_word(word: *mut u8) -> Self {
        InterfaceRef {
            // SAFETY: the caller guarantees that the word comes from `into_word`; ManuallyDrop
            // keeps this value from ending the mapping.
            mapped: ManuallyDrop::new(unsafe { Mapped::from_word(word) }),
            _tunnel: PhantomData,
        }
    }
}

impl Deref for InterfaceRef<'_> {
    type Target = Mapped<InterfaceState>;
    #[inline]
    fn deref(&self) -> &Mapped<InterfaceState> {
        &self.mapped
    }
}
