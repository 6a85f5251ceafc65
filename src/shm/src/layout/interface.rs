//! One interface: its configuration, its queues, its outbound log.

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use crate::log::Log;
use memtun_abi::uapi::{IFF_PERSIST, IFF_TUN};
use memtun_sys::PAGE;
use std::sync::atomic::{
    AtomicI32, AtomicU16, AtomicU32, AtomicU64, AtomicU8,
    Ordering::{Acquire, Relaxed},
};

/// Most queues of one interface (MAX_TAP_QUEUES of the kernel).
pub const MAX_QUEUES: usize = 256;

/// Flows that an interface remembers. The kernel remembers 4096, for some seconds.
pub const MAX_FLOWS: usize = 256;

/// [`InterfaceState::deleted`]: the deletion has begun.
pub const GOING: u32 = 2;
/// [`InterfaceState::deleted`]: the deletion is complete.
pub const GONE: u32 = 1;

/// One interface: the file of its name.
#[repr(C)]
pub struct InterfaceState {
    /// See [`Header`].
    pub(crate) header: Header,
    /// Guards the outbound log and the list of queues.
    pub(crate) lock: Lock,
    /// As in if_nametoindex(3).
    pub ifindex: AtomicU32,
    /// [`GOING`] while it is deleted, then [`GONE`]; the file then has no name any more, and
    /// nothing is written to the log.
    pub deleted: AtomicU32,
    /// IFF_TUN or IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE ... of the last TUNSETIFF;
    /// IFF_PERSIST.
    pub tun_flags: AtomicU32,
    /// IFF_UP, IFF_POINTOPOINT ... as SIOCGIFFLAGS, without IFF_RUNNING, which follows from the
    /// rest.
    pub if_flags: AtomicU32,
    /// Bytes, without Ethernet header.
    pub mtu: AtomicU32,
    /// Packets per inbound queue.
    pub txqueuelen: AtomicU32,
    /// TUNSETOWNER, -1 for none.
    pub owner: AtomicI32,
    /// TUNSETGROUP, -1 for none.
    pub group: AtomicI32,
    /// TUNSETSNDBUF.
    pub sndbuf: AtomicI32,
    /// TUNSETVNETHDRSZ.
    pub vnet_hdr_size: AtomicI32,
    /// TUNSETCARRIER, and whether a queue is attached.
    pub carrier: AtomicU32,
    /// ARPHRD_* set by TUNSETLINK.
    pub link_type: AtomicU32,
    /// TUNSETVNETLE.
    pub vnet_le: AtomicU32,
    /// 1 once somebody waits for the link on `.memtun-link-INDEX`.
    pub link_bell: AtomicU32,
    /// Attached queues in `queues`, then the detached ones.
    pub attached: AtomicU32,
    /// Queues detached by TUNSETQUEUE, which keep the interface alive.
    pub detached: AtomicU32,
    /// Hardware address of a tap.
    pub mac: [AtomicU8; 6],
    _pad: AtomicU16,
    /// NUL-terminated.
    pub name: [AtomicU8; 16],
    /// Flows that were written: bits of the hash, and 1 + the index of the queue, see
    /// [`crate::queues`].
    pub flows: [AtomicU32; MAX_FLOWS],
    /// Tunnels (inode of the bell).
    pub queues: [AtomicU64; MAX_QUEUES],
    /// Counters as in `ip -s link`.
    pub stats: Stats,
    /// The outbound log.
    pub log: Log,
    /// Number of the first record that the capturer has not read, `u64::MAX` when nobody reads
    /// this log; counts only while [`NetState::capturing`](super::NetState::capturing).
    pub capture_cursor: AtomicU64,
    /// Writers sleep, or do not find the tunnel writable, until `capture_cursor` is beyond this;
    /// `u64::MAX` when none does.
    pub capture_wanted: AtomicU64,
    /// Futex: rises when the capturer has read what writers wait for.
    pub capture_event: AtomicU32,
    _pad_capture: AtomicU32,
    /// The file is `.memtun-gone-NUMBER` since it was deleted under a capturer; 0: it has no name.
    pub gone_number: AtomicU64,
    /// `capture_cursor` + 1 as it was when somebody had waited for the capturer in vain: until it
    /// reads again nobody who may overwrite waits for it.
    pub capture_given_up: AtomicU64,
    /// Since when the capturer is behind, CLOCK_MONOTONIC in nanoseconds; counts while
    /// `capture_wanted` is set.
    pub capture_behind_since: AtomicU64,
    /// When somebody who must not wait last looked whether the capturer lives, in the same clock.
    pub capturer_looked: AtomicU64,
    /// Packets that were refused because the capturer was behind by the whole log, and refused
    /// ones that could not be shown to it for the same reason.
    pub capture_refused: AtomicU64,
    /// When the file system was last found to have no more room for history, CLOCK_MONOTONIC in
    /// nanoseconds; 0 when it had.
    pub log_found_full: AtomicU64,
}

/// The kernel's per-device counters, from the host's side: rx is what the program wrote.
#[repr(C)]
#[derive(Default)]
pub struct Stats {
    /// Packets written by the program.
    pub rx_packets: AtomicU64,
    /// Their bytes, without PI and vnet header.
    pub rx_bytes: AtomicU64,
    /// Refused writes.
    pub rx_dropped: AtomicU64,
    /// Writes with an impossible vnet header.
    pub rx_frame_errors: AtomicU64,
    /// Packets read by the program.
    pub tx_packets: AtomicU64,
    /// Their bytes.
    pub tx_bytes: AtomicU64,
    /// Packets that found the queue full or gone.
    pub tx_dropped: AtomicU64,
}

const IFF_UP: u32 = libc::IFF_UP as u32;
const IFF_RUNNING: u32 = libc::IFF_RUNNING as u32;

impl InterfaceState {
    /// Has its deletion begun?
    #[inline]
    pub fn is_going(&self) -> bool {
        self.deleted.load(Acquire) != 0
    }
    /// Is it deleted, with all that belongs to that?
    pub fn is_gone(&self) -> bool {
        self.deleted.load(Acquire) == GONE
    }
    /// Layer 2?
    pub fn is_tap(&self) -> bool {
        self.tun_flags.load(Relaxed) & IFF_TUN == 0
    }
    /// IFF_UP.
    #[inline]
    pub fn is_up(&self) -> bool {
        self.if_flags.load(Acquire) & IFF_UP != 0
    }
    /// TUNSETPERSIST.
    pub fn is_persistent(&self) -> bool {
        self.tun_flags.load(Relaxed) & IFF_PERSIST != 0
    }
    /// As SIOCGIFFLAGS gives them: with IFF_RUNNING when the link is up and has a carrier.
    pub fn flags(&self) -> u32 {
        let flags = self.if_flags.load(Relaxed);
        let running = flags & IFF_UP != 0 && self.carrier.load(Relaxed) != 0;
        flags | if running { IFF_RUNNING } else { 0 }
    }
    /// Hardware address; zeroes for a tun.
    pub fn mac(&self) -> [u8; 6] {
        std::array::from_fn(|i| self.mac[i].load(Relaxed))
    }
}

/// More than the largest packet that the kernel's driver was seen to accept (4.7 MB).
const LOG_AREA: usize = 8 << 20;

// On a full file system an interface goes on in the room that it has from the beginning: any packet
// that a network carries can be written.
state!(InterfaceState, Kind::Interface, area LOG_AREA, at least super::SMALLEST, first 18 * PAGE, |s| Some(&s.log.reserved));
