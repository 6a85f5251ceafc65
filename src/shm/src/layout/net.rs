//! The net itself.

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicU8};

/// How many faults a net can hold at once.
pub const FAULT_SLOTS: usize = 64;

/// One fault. Changed under the net's lock; read and counted by every call that it may concern.
#[repr(C)]
pub struct FaultSlot {
    /// Bit of `Operation`, 0 when the slot is free. Stored last.
    pub operation: AtomicU32,
    /// errno to give.
    pub errno: AtomicI32,
    /// ioctl request that it concerns, 0 for all.
    pub request: AtomicU32,
    /// First call (counted from 1) that fails.
    pub first: AtomicU32,
    /// Last call that fails; `u32::MAX` for ever.
    pub last: AtomicU32,
    /// Calls seen so far.
    pub seen: AtomicU32,
}

/// The net itself: file `.memtun-net-state`.
#[repr(C)]
pub struct NetState {
    /// See [`Header`].
    pub(crate) header: Header,
    /// Guards names and the coming and going of interfaces and tunnels. Every step under it is one
    /// operation on a file, or one store: its holder may be replaced.
    pub(crate) lock: Lock,
    /// Index of the next interface.
    pub next_ifindex: AtomicU32,
    /// Bits of `Permission` that are taken away.
    pub denied: AtomicU32,
    /// Operations that have a fault, so that a call without one costs one load.
    pub faulty: AtomicU32,
    /// Longest packet that a write may carry, 0 for no limit (the seed's SEND_BUFFER_SIZE).
    pub send_buffer_size: AtomicU32,
    /// All "tun0", "tun1" ... below this number are attached in process `number_owner`; the second
    /// for "tap". Zeroed when an interface goes or a tunnel is closed, so that the lowest free
    /// number is found without looking at each.
    pub numbers_taken: [AtomicU32; 2],
    /// See `numbers_taken`.
    pub number_owner: [AtomicU32; 2],
    /// Futex: rises with every change of the set of interfaces.
    pub changes: AtomicU32,
    /// Sleepers on `changes`. One that is killed stays counted, which costs a needless wake-up
    /// call each time.
    pub waiters: AtomicU32,
    /// Suffix that replaces the end of every requested name, NUL-terminated; empty for the
    /// kernel's naming.
    pub rename: [AtomicU8; 16],
    /// Packets that were still queued when their tunnel ended.
    pub discarded: AtomicU64,
    /// Members that become another program and have no lock meanwhile: the process id, and the
    /// time of its going in milliseconds modulo 2^32. See `NetDir::before_exec`.
    pub between_images: [AtomicU64; BETWEEN_IMAGES],
    /// 1 while somebody captures, i.e. holds the lock on `.memtun-capturer`; one that was killed
    /// leaves it, see `NetDir::capturer_lives`.
    pub capturing: AtomicU32,
    /// Futex: 1 while the capturer sleeps, 0 once there is something to capture.
    pub capture_asleep: AtomicU32,
    /// Rises when registrations of an epoll instance are changed that several processes have; the
    /// uppermost bit: one has been received from another process, and its sender does not know.
    pub epoll_changes: AtomicU64,
    /// The faults.
    pub faults: [FaultSlot; FAULT_SLOTS],
    /// Hashes of the names that interfaces of this net have or had, 0 for a free place; see
    /// `NetDir::knows`.
    pub known_names: [AtomicU32; KNOWN_NAMES],
}

/// How many processes of a net are followed from one image into the next at the same moment.
pub const BETWEEN_IMAGES: usize = 48;

/// How many names a net remembers. Beyond that a name that is gone is the host's again.
pub const KNOWN_NAMES: usize = 512;

state!(NetState, Kind::Net, area 0, at least 1, first 0, |_| None);
