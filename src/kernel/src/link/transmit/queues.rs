//! Where the queues of an interface are found.
#![forbid(unsafe_code)]

use super::{Find, Queue};
use crate::net::NetDir;
use crate::shm::layout::InterfaceState;
use crate::shm::{Held, Mapped, Shelf};
use crate::Errno;
use std::ops::Deref;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Number of places for queues that are found at once.
const KNOWN: usize = 8;

/// The queues of one interface, for a process that may allocate and wait for its own threads.
#[derive(Default)]
pub struct Queues {
    /// The queue that was sent into first. Most interfaces have only this one.
    first: OnceLock<Arc<Queue>>,
    /// Queues that were sent into, each in the place of its inode, where there are several. They
    /// are found without a lock, as the first one is.
    known: [OnceLock<Arc<Queue>>; KNOWN],
    all: Mutex<Vec<Arc<Queue>>>,
}

impl Find for Queues {
    type Found = Arc<Queue>;
    const RUNS_PROGRAMS: bool = true;

    #[inline(always)]
    fn first(&self, inode: u64) -> Option<&Queue> {
        let first = self.first.get().filter(|queue| queue.inode == inode);
        first.map(|queue| &**queue)
    }

    #[inline]
    fn known(&self, inode: u64) -> Option<&Queue> {
        let known = self.known[inode as usize % KNOWN].get();
        let known = known.filter(|queue| queue.inode == inode);
        known.map(|queue| &**queue)
    }

    #[cold]
    fn find(&self, net: &NetDir, state: &InterfaceState, inode: u64) -> Result<Arc<Queue>, Errno> {
        let mut queues = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = queues.iter().find(|queue| queue.inode == inode) {
            return Ok(known.clone());
        }
        queues.retain(|queue| state.queue_inodes().any(|inode| inode == queue.inode));
        let queue = Arc::new(Queue::new(net, inode)?);
        let _ = self.first.set(queue.clone());
        let _ = self.known[inode as usize % KNOWN].set(queue.clone());
        queues.push(queue.clone());
        Ok(queue)
    }
}

/// A value of a shelf, or one that is the caller's own because the shelf was full.
pub enum Found<T: 'static> {
    /// It stays on the shelf.
    Held(Held<'static, T>),
    /// It ends with this.
    Own(T),
}

impl<T> Deref for Found<T> {
    type Target = T;
    fn deref(&self) -> &T {
        match self {
            Found::Held(held) => held,
            Found::Own(own) => own,
        }
    }
}

/// A few queues of all interfaces of a process's nets, for a program.
pub struct Few(Shelf<Queue, 32>);

impl Few {
    /// Returns one that knows no queue yet.
    #[allow(clippy::new_without_default, reason = "it is made for a static")]
    pub const fn new() -> Few {
        Few(Shelf::new())
    }
}

impl Find for &'static Few {
    type Found = Found<Queue>;
    const RUNS_PROGRAMS: bool = false;

    #[inline(always)]
    fn first(&self, _inode: u64) -> Option<&Queue> {
        None
    }

    fn find(
        &self,
        net: &NetDir,
        _state: &InterfaceState,
        inode: u64,
    ) -> Result<Found<Queue>, Errno> {
        if let Some(held) = self.0.find(inode) {
            return Ok(Found::Held(held));
        }
        let put = self.0.put(inode, Queue::new(net, inode)?);
        Ok(put.map_or_else(Found::Own, Found::Held))
    }

    fn forget(&self, inode: u64) {
        self.0.forget(inode);
    }
}

/// A few interfaces of a process's nets by their index, for a program.
pub struct FewLinks(Shelf<Mapped<InterfaceState>, 16>);

impl FewLinks {
    /// Returns one that knows no interface yet.
    #[allow(clippy::new_without_default, reason = "it is made for a static")]
    pub const fn new() -> FewLinks {
        FewLinks(Shelf::new())
    }

    /// Returns the interface that has this index in a net, which is one that this process never
    /// leaves.
    ///
    /// # Errors
    ///
    /// ENODEV when there is none, and what reading the net's directory fails with.
    pub fn find(
        &'static self,
        net: &'static NetDir,
        ifindex: u32,
    ) -> Result<Found<Mapped<InterfaceState>>, Errno> {
        // Two nets are never at one address, and no address has so many bits.
        let key = std::ptr::from_ref(net) as u64 ^ u64::from(ifindex) << 40 | 1;
        if let Some(held) = self.0.find(key) {
            if !held.is_going() && held.ifindex.load(Relaxed) == ifindex {
                return Ok(Found::Held(held));
            }
            self.0.forget(key);
        }
        let put = self.0.put(key, find_interface(net, ifindex)?);
        Ok(put.map_or_else(Found::Own, Found::Held))
    }
}

/// Returns the interface that has this index, as it is on record.
///
/// # Errors
///
/// ENODEV when there is none, EMFILE, ENFILE or ENOMEM when one could not be looked at for that,
/// and what reading the net's directory fails with.
pub fn find_interface(net: &NetDir, ifindex: u32) -> Result<Mapped<InterfaceState>, Errno> {
    let mut found = Err(Errno(libc::ENODEV));
    net.each_name(|name| {
        match net.look_up(&name) {
            Ok(Some(interface)) if interface.ifindex.load(Relaxed) == ifindex => {
                found = Ok(interface);
            }
            Err(e) if e.is_lack() => found = Err(e),
            _ => {}
        }
        found.is_err()
    })?;
    found
}
