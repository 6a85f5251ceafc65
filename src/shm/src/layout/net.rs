//! The state of the net itself.

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, AtomicU8};

/// Number of faults that a net can hold at once.
pub const FAULT_SLOTS: usize = 64;

/// Number of operations on which faults can be set.
pub const OPERATIONS: usize = 5;

/// One fault. It is changed under the net's lock, and read and counted by every call that it may
/// concern.
#[repr(C)]
pub struct FaultSlot {
    /// Bit of the `Operation` that fails, 0 when the slot is free. It is stored last.
    pub operation: AtomicU32,
    /// The errno that the call fails with.
    pub errno: AtomicI32,
    /// The ioctl request whose calls fail, 0 for all.
    pub request: AtomicU32,
    /// First call that fails, counted from 1.
    pub first: AtomicU32,
    /// Last call that fails, counted from 1; `u32::MAX` for no end.
    pub last: AtomicU32,
    /// Number of calls seen so far.
    pub seen: AtomicU32,
}

/// The state of the net itself, in the file `.memtun-net-state`.
#[repr(C)]
pub struct NetState {
    /// Identifies the file, see [`Header`].
    pub(crate) header: Header,
    /// Protects names, and the coming and going of interfaces and tunnels. Every step under it is
    /// one operation on a file or one store, so that its holder may be replaced.
    pub(crate) lock: Lock,
    /// Index that the next interface gets, less `ifindex_lowered`.
    pub next_ifindex: AtomicU32,
    /// Bits of the `Permission`s that are taken away.
    pub denied: AtomicU32,
    /// Bits of the `Operation`s that have a fault, so that a call without one costs one load.
    pub faulty: AtomicU32,
    /// Longest packet in bytes that a write may carry, 0 for no limit (SEND_BUFFER_SIZE of
    /// Twisted's `MemoryIOSystem`).
    pub send_buffer_size: AtomicU32,
    /// Numbers below which all of "tun0", "tun1" ... are attached in the process `number_owner`;
    /// the second word is for "tap". Both are zeroed when an interface goes or a tunnel is closed.
    /// So the lowest free number is found without looking at each.
    pub numbers_taken: [AtomicU32; 2],
    /// The process for which each word of `numbers_taken` counts.
    pub number_owner: [AtomicU32; 2],
    /// Futex that rises with every change of the set of interfaces.
    pub changes: AtomicU32,
    /// Number of sleepers on `changes`. One that is killed stays counted, which costs a needless
    /// system call each time.
    pub waiters: AtomicU32,
    /// Suffix that replaces the end of every requested name, NUL-terminated; empty for the
    /// kernel's naming.
    pub rename: [AtomicU8; 16],
    /// Number of packets that were still queued when their tunnel ended.
    pub discarded: AtomicU64,
    /// Members that become another program and have no lock meanwhile: the process id, and the
    /// time of leaving in milliseconds modulo 2^32. See `NetDir::before_exec`.
    pub between_images: [AtomicU64; BETWEEN_IMAGES],
    /// 1 while somebody captures, which means that he holds the lock on `.memtun-capturer`. A
    /// capturer that was killed leaves the 1, see `NetDir::capturer_lives`.
    pub capturing: AtomicU32,
    /// Futex that is 1 while the capturer sleeps, and 0 once there is something to capture.
    pub capture_asleep: AtomicU32,
    /// Rises when registrations of an epoll instance are changed that several processes have; the
    /// uppermost bit: one has been received from another process, and its sender does not know.
    pub epoll_changes: AtomicU64,
    /// Number of the host process that answers in the net, 0 before there was one. Its file and its
    /// socket have this number in their names.
    pub host_epoch: AtomicU64,
    /// Rises with each change of the host's state.
    pub host_changes: AtomicU64,
    /// Number of the last process that began to become the host process. Only that one may answer,
    /// so whoever begins ends the time of the one before. See `NetDir::take_host_epoch`.
    pub host_turn: AtomicU64,
    /// Futex that rises when a host process begins to answer, or could not become one.
    pub host_ready: AtomicU32,
    /// Why the last one that tried could not become the host process, 0 when it could.
    pub host_errno: AtomicI32,
    /// By how much the indexes of interfaces are lower than `next_ifindex` says. It is set before
    /// there is an interface, where programs do not see the machine's.
    pub ifindex_lowered: AtomicU32,
    /// 1 once the table of sockets was active, see `NetDir::open_inet`: a process that has joined
    /// looks at this word only.
    pub inet: AtomicU32,
    /// 1 once a program has set something on a socket about an interface, see `NetDir::kept_of`:
    /// until then nobody opens a file for it.
    pub kept: AtomicU32,
    /// 1 when the bells of all tunnels are as [`TunnelState::exact_bell`](super::TunnelState) says.
    pub exact_bell: AtomicU32,
    _pad_exact: AtomicU32,
    /// Ports whose datagrams drivers receive: the process id in the upper half, and twice the port
    /// and one below; 0 for a free place.
    pub received: [AtomicU64; RECEIVED],
    /// For each `Operation`, in the order of their bits, a bit for each of the faults that may be
    /// one on it.
    pub fault_slots: [AtomicU64; OPERATIONS],
    /// The faults that are set.
    pub faults: [FaultSlot; FAULT_SLOTS],
    /// Hashes of the names that interfaces of this net have or had, 0 for a free place; see
    /// `NetDir::knows`.
    pub known_names: [AtomicU32; KNOWN_NAMES],
}

/// Number of processes of a net that are followed from one image into the next at the same moment.
pub const BETWEEN_IMAGES: usize = 33;

/// Number of ports whose receivers are known at once.
pub const RECEIVED: usize = 8;

/// Number of names that a net remembers. Beyond that, the name of an interface that is gone counts
/// as the host's again.
pub const KNOWN_NAMES: usize = 500;

state!(NetState, Kind::Net, area 0, at least 1, first 0, |_| None);
