//! The structs that stand in the files of a net: `repr(C)`, of fixed width, versioned. All fields
//! are atomics or protected by the lock beside them, because other processes map the same pages.

mod inet;
mod interface;
mod net;
mod tunnel;

pub use inet::{
    InetState, Rows, COUNTERS, FLOWS_OF_SLICE, FLOW_WORDS, OWN_WORDS, SLICES, SOCKET_WORDS,
};
pub use interface::{
    Addresses, InterfaceState, Stats, BY_ADDRESS, BY_PROGRAM, EXACT_ADDRESSES, GOING, GONE,
    MAX_FLOWS, MAX_QUEUES, SNIFFED,
};
pub use net::{FaultSlot, NetState, BETWEEN_IMAGES, FAULT_SLOTS, KNOWN_NAMES, OPERATIONS};
pub use tunnel::{Attachment, TunnelState};

use crate::lock::Lock;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Version of the files. It changes with every change of a struct in this folder.
pub const VERSION: u32 = 15;
const MAGIC: u64 = u64::from_le_bytes(*b"memtun\r\n");

const MACHINE: u32 = if cfg!(target_arch = "aarch64") {
    libc::EM_AARCH64
} else {
    libc::EM_X86_64
} as u32;

/// Says what a file of a net holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// The file holds a [`NetState`].
    Net = 1,
    /// The file holds an [`InterfaceState`].
    Interface = 2,
    /// The file holds a [`TunnelState`].
    Tunnel = 3,
    /// The file holds an [`InetState`].
    Inet = 4,
}

/// The first bytes of every file of a net.
#[repr(C)]
pub struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    kind: AtomicU32,
    /// Length of the file in bytes.
    length: AtomicU64,
    /// Machine that the file was made for (`e_machine` of elf(5)). The fields are in that
    /// machine's byte order.
    machine: AtomicU32,
    _reserved: u32,
}

impl Header {
    /// Fills in the header of a new file of `length` bytes.
    pub(crate) fn init(&self, kind: Kind, length: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        self.version.store(VERSION, Relaxed);
        self.kind.store(kind as u32, Relaxed);
        self.length.store(length, Relaxed);
        self.machine.store(MACHINE, Relaxed);
        self.magic.store(MAGIC, Relaxed);
    }

    /// Returns what a file that begins with these bytes holds, as the number of a [`Kind`], if any
    /// version of memtun made it.
    pub fn of_bytes(bytes: &[u8]) -> Option<u32> {
        let kind = bytes.get(12..16)?;
        let made_by_memtun = bytes.get(..8)? == MAGIC.to_ne_bytes();
        made_by_memtun.then(|| u32::from_ne_bytes([kind[0], kind[1], kind[2], kind[3]]))
    }

    /// Returns why this file cannot be used, as the end of a sentence that begins with the file, or
    /// None if it can. `kind` and `length` are what the header must say.
    pub fn complaint(&self, kind: Kind, length: u64) -> Option<&'static str> {
        use std::sync::atomic::Ordering::Relaxed;
        if self.magic.load(Relaxed) != MAGIC {
            Some("is not a file of memtun's")
        } else if self.version.load(Relaxed) != VERSION {
            Some("belongs to another version of memtun")
        } else if self.machine.load(Relaxed) != MACHINE {
            Some("was made on another architecture")
        } else if self.kind.load(Relaxed) != kind as u32 {
            Some("holds something else than its name says")
        } else if self.length.load(Relaxed) != length {
            Some("was truncated or changed")
        } else {
            None
        }
    }
}

/// Bytes of the smallest area, which has room for the largest IP packet with any header.
const SMALLEST: usize = 128 << 10;

/// A struct with which a file of a net begins.
///
/// # Safety
/// Implement it only for `repr(C)` structs that begin with a [`Header`], hold no references and are
/// valid when zeroed.
pub unsafe trait State {
    /// Kind of file that the header names.
    const KIND: Kind;
    /// Bytes of the file in front of the packet area, in whole pages.
    const HEAD: usize;
    /// Bytes of the packet area.
    const AREA: usize;
    /// Bytes of the smallest packet area, for a file whose maker may not have more; AREA halved a
    /// few times.
    const SMALLEST_AREA: usize;
    /// Bytes of the packet area that have memory behind them from the beginning, in whole pages.
    const FIRST: usize;
    /// Offset of the lock in the file in bytes, for whoever looks at it or damages it from outside.
    const LOCK_AT: usize;
    /// Returns the header of the file.
    fn header(&self) -> &Header;
    /// Returns the lock of the file.
    fn lock(&self) -> &Lock;
    /// Returns the word that says how many bytes of the packet area have memory behind them; None
    /// where there is no area.
    fn reserved(&self) -> Option<&AtomicU64>;
}

/// Implements [`State`] for a struct of this folder.
macro_rules! state {
    ($type:ty, $kind:expr, area $area:expr, at least $smallest:expr, first $first:expr, $reserved:expr) => {
        // SAFETY: the struct is repr(C), begins with a Header, and holds only atomics and locks,
        // for which zeroes are a valid value.
        unsafe impl State for $type {
            const KIND: Kind = $kind;
            const HEAD: usize = memtun_sys::PAGE;
            const AREA: usize = $area;
            const SMALLEST_AREA: usize = $smallest;
            const FIRST: usize = $first;
            const LOCK_AT: usize = std::mem::offset_of!($type, lock);
            fn header(&self) -> &Header {
                &self.header
            }
            fn lock(&self) -> &Lock {
                &self.lock
            }
            fn reserved(&self) -> Option<&AtomicU64> {
                let reserved: fn(&$type) -> Option<&AtomicU64> = $reserved;
                reserved(self)
            }
        }
        const _: () = assert!(
            std::mem::size_of::<$type>() <= memtun_sys::PAGE && std::mem::align_of::<$type>() <= 16
        );
        const _: () = assert!($first % memtun_sys::PAGE == 0 && $first <= $smallest);
    };
}

use state;
