//! The shared memory of a net: its files, their layout, locks and packet areas.

mod area;
mod below;
#[cfg(not(loom))]
mod capture;
mod held;
#[cfg(not(loom))]
pub mod layout;
pub mod lock;
pub mod log;
#[cfg(not(loom))]
mod map;
#[cfg(test)]
mod model;
#[cfg(not(loom))]
mod queues;
pub mod ring;
mod shelf;
mod sync;
#[cfg(not(loom))]
mod table;
mod thread;
#[cfg(not(loom))]
pub mod truncated;
mod word;

pub use area::SharedBytes;
#[cfg(not(loom))]
pub use map::{InterfaceGuard, Locked, Mapped, TunnelGuard};
#[cfg(not(loom))]
pub use queues::Lesson;
pub use shelf::{Held, Shelf};

use memtun_abi::{Errno, Name};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;

/// Copies a NUL-terminated name out of shared memory.
pub fn load_name(cells: &[AtomicU8; 16]) -> crate::Name {
    let mut bytes = [0u8; 16];
    for (byte, cell) in bytes.iter_mut().zip(cells) {
        *byte = cell.load(Relaxed);
    }
    crate::Name::from_ifreq(&bytes)
}

/// Stores a name into shared memory, padded with NULs.
pub fn store_name(cells: &[AtomicU8; 16], name: &crate::Name) {
    for (byte, cell) in name.padded().iter().zip(cells) {
        cell.store(*byte, Relaxed);
    }
}
