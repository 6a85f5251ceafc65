//! Which interfaces are read, and who reads them.
#![forbid(unsafe_code)]

use memtun_shm::layout::InterfaceState;
use memtun_shm::log::Cursor;
use memtun_shm::Mapped;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// The interfaces that are read.
#[derive(Default)]
pub struct Readers {
    pub(super) active: BTreeMap<u32, Arc<Reading>>,
    /// Readers whose thread has not begun yet.
    pub(super) fresh: Vec<Reader>,
    /// The generation in which the interfaces were looked at last.
    pub(super) seen: Option<u64>,
}

/// What a reader and its thread share.
pub(super) struct Reading {
    pub(super) interface: Mapped<InterfaceState>,
    pub(super) over: AtomicBool,
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
}

/// The reader of one interface, which a thread runs.
pub struct Reader {
    pub(super) index: u32,
    pub(super) reading: Arc<Reading>,
    pub(super) cursor: Cursor,
}

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
