//! The state of one tunnel: its attachment, its inbound queue, its bell.

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use crate::ring::Ring;
use memtun_sys::PAGE;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8};

/// How a tunnel is attached to an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Attachment {
    /// There was no TUNSETIFF yet, or the interface was deleted.
    None = 0,
    /// The tunnel is an attached queue of its interface.
    Attached = 1,
    /// The tunnel is a queue that TUNSETQUEUE detached.
    Detached = 2,
}

/// The state of one tunnel, in the file `.memtun-tunnel-INODE` beside the bell
/// `.memtun-bell-INODE`.
#[repr(C)]
pub struct TunnelState {
    /// Identifies the file, see [`Header`].
    pub(crate) header: Header,
    /// Protects the inbound queue, the bell and the attachment.
    pub(crate) lock: Lock,
    /// Number of the [`Attachment`].
    pub attachment: AtomicU32,
    /// Index of the interface that the tunnel is attached to.
    pub ifindex: AtomicU32,
    /// Flags of open(2), including the access mode.
    pub open_flags: AtomicU32,
    /// Count of the interfaces that were deleted under the tunnel. A read that began before fails
    /// with EFAULT.
    pub deletions: AtomicU32,
    /// Flags that the program gave TUNSETIFF.
    pub requested_flags: AtomicU32,
    /// Index that TUNSETIFINDEX asked for, 0 for the next free one.
    pub wanted_ifindex: AtomicU32,
    /// Number of bytes in the bell. One may be there although nothing is queued.
    pub bell: AtomicU32,
    /// 1 when every packet rings, for edge-triggered epoll and SIGIO.
    pub ring_always: AtomicU32,
    /// Futex that rises when a packet is read while somebody waits for room.
    pub room_event: AtomicU32,
    /// Number of sleepers on `room_event`, see [`NetState::waiters`](super::NetState::waiters).
    pub room_waiters: AtomicU32,
    /// Bytes of the last packet that was read, which the kernel shows as `pos` in fdinfo.
    pub last_read: AtomicU32,
    /// Bit 0 says that O_ASYNC is in force, so that ringing the bell raises signals. The bits
    /// above it count those who sleep meanwhile; see `memtun_kernel::tun::bell`.
    pub signals: AtomicU32,
    /// 1 when somebody was told that the tunnel is not writable, and must be told when the link
    /// comes up (SOCKWQ_ASYNC_NOSPACE).
    pub wants_space: AtomicU32,
    /// How often who was told so has been woken.
    pub told_of_space: AtomicU32,
    /// NUMBER of the file `.memtun-filter-NUMBER` that holds the tunnel's packet filter, a program
    /// of classic BPF; 0 for none. It stays with the tunnel, whatever that is attached to.
    pub filter: AtomicU64,
    /// Bytes that the kernel would need for that program.
    pub filter_charge: AtomicU32,
    /// 1 when the bell falls silent with the last packet, because a program waits for the tunnel by
    /// calls that are not seen; see `memtun_kernel::tun::bell`.
    pub exact_bell: AtomicU32,
    /// Name that the program gave TUNSETIFF.
    pub requested_name: [AtomicU8; 16],
    /// Name of the interface; it follows a rename.
    pub name: [AtomicU8; 16],
    /// The inbound queue of packets.
    pub ring: Ring,
}

/// Bytes of the ring's area: room for 500 packets of the largest IP size with their record headers.
const RING_AREA: usize = 32 << 20;

state!(TunnelState, Kind::Tunnel, area RING_AREA, at least super::SMALLEST, first 2 * PAGE, |s| Some(&s.ring.reserved));
