//! Which interfaces are read, and who reads them.
#![forbid(unsafe_code)]

use memtun_shm::layout::InterfaceState;
use memtun_shm::log::Cursor;
use memtun_shm::Mapped;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

/// The interfaces that are read.
#[derive(Default)]
pub struct Readers {
    pub(super) active: BTreeMap<u32, Arc<Reading>>,
    /// Readers whose thread has not begun yet.
    pub(super) fresh: Vec<Reader>,
    /// The generation in which the interfaces were looked at last.
    pub(super) seen: Option<u64>,
}

/// An interface that is read, by its own thread or by whoever needs to have what was written.
pub(super) struct Reading {
    pub(super) index: u32,
    pub(super) interface: Mapped<InterfaceState>,
    pub(super) over: AtomicBool,
    /// Taken by who has the host's lock.
    pub(super) place: Mutex<Place>,
    /// The number of the next packet.
    pub(super) next: AtomicU64,
}

/// How far an interface is read.
pub(super) struct Place {
    pub(super) cursor: Cursor,
    /// The packet that was read last.
    pub(super) packet: Vec<u8>,
}

impl Reading {
    pub(super) fn end(&self) {
        self.over.store(true, SeqCst);
        self.interface.log.announce();
        self.interface.log.ring();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(SeqCst) || self.interface.is_gone()
    }

    /// Is there something that nobody has taken?
    pub(super) fn is_behind(&self) -> bool {
        self.interface.log.next().number() > self.next.load(SeqCst)
    }
}

/// The reader of one interface, which a thread runs.
pub struct Reader(pub(super) Arc<Reading>);

impl Readers {
    /// Is an interface read?
    pub fn is_active(&self) -> bool {
        !self.active.is_empty()
    }

    /// Ends all readers.
    pub fn end(&mut self) {
        self.active.values().for_each(|reading| reading.end());
        self.active.clear();
        self.fresh.clear();
    }

    /// Takes the readers whose thread is to be begun.
    pub fn take_fresh(&mut self) -> Vec<Reader> {
        std::mem::take(&mut self.fresh)
    }
}
