//! One tunnel: its attachment, its inbound queue, its bell.

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use crate::ring::Ring;
use memtun_sys::PAGE;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8};

/// Attachment of a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Attachment {
    /// Opened, no TUNSETIFF yet, or the interface was deleted.
    None = 0,
    /// Attached.
    Attached = 1,
    /// A queue switched off by TUNSETQUEUE.
    Detached = 2,
}

/// One tunnel: file `.memtun-tunnel-INODE` beside the bell `.memtun-bell-INODE`.
#[repr(C)]
pub struct TunnelState {
    /// See [`Header`].
    pub(crate) header: Header,
    /// Guards the inbound queue, the bell and the attachment.
    pub(crate) lock: Lock,
    /// [`Attachment`]
    pub attachment: AtomicU32,
    /// Interface it is attached to.
    pub ifindex: AtomicU32,
    /// Flags of open(2), access mode included.
    pub open_flags: AtomicU32,
    /// Rises when an interface is deleted under the tunnel: a read that began before fails with
    /// EFAULT.
    pub deletions: AtomicU32,
    /// Flags that TUNSETIFF asked for.
    pub requested_flags: AtomicU32,
    /// TUNSETIFINDEX, 0 for the next.
    pub wanted_ifindex: AtomicU32,
    /// Bytes in the bell.
    pub bell: AtomicU32,
    /// 1: every packet rings, for edge-triggered epoll and SIGIO.
    pub ring_always: AtomicU32,
    /// Futex: rises when a packet is read while somebody waits for room.
    pub room_event: AtomicU32,
    /// Sleepers on `room_event`, see [`NetState::waiters`](super::NetState::waiters).
    pub room_waiters: AtomicU32,
    /// Length of the last packet read, shown as `pos` in fdinfo by the kernel.
    pub last_read: AtomicU32,
    /// Bit 0: O_ASYNC is in force, and what rings the bell makes signals. Above it, who sleeps
    /// meanwhile: see the bell.
    pub signals: AtomicU32,
    /// 1: somebody was told that it is not writable, and wants to hear when the link comes up
    /// (SOCKWQ_ASYNC_NOSPACE).
    pub wants_space: AtomicU32,
    /// How often who was told so has been woken.
    pub told_of_space: AtomicU32,
    /// Name given to TUNSETIFF.
    pub requested_name: [AtomicU8; 16],
    /// Name of the interface, follows a rename.
    pub name: [AtomicU8; 16],
    /// The inbound queue.
    pub ring: Ring,
}

/// Room for 500 packets of the largest IP size with their record headers.
const RING_AREA: usize = 32 << 20;

state!(TunnelState, Kind::Tunnel, area RING_AREA, at least super::SMALLEST, first 2 * PAGE, |s| Some(&s.ring.reserved));
