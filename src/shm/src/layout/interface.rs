//! The state of one interface: its configuration, its queues, its outbound log.

use super::{state, Header, Kind, State};
use crate::lock::Lock;
use crate::log::{Log, Taken};
use memtun_abi::uapi::{IFF_PERSIST, IFF_TUN};
use memtun_sys::PAGE;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicI32, AtomicU16, AtomicU32, AtomicU64, AtomicU8};

/// Number of queues that one interface may have (MAX_TAP_QUEUES of the kernel).
pub const MAX_QUEUES: usize = 256;

/// Flows that an interface remembers. The kernel remembers 4096, for some seconds.
pub const MAX_FLOWS: usize = 256;

/// Value of [`InterfaceState::deleted`]: the deletion has begun.
pub const GOING: u32 = 2;
/// Value of [`InterfaceState::deleted`]: the deletion is complete.
pub const GONE: u32 = 1;

/// Bit of [`InterfaceState::filters`]: the addresses of TUNSETTXFILTER are in force.
pub const BY_ADDRESS: u32 = 1;
/// Bit of [`InterfaceState::filters`]: a queue may have a program of TUNATTACHFILTER.
pub const BY_PROGRAM: u32 = 2;
/// Bit of [`InterfaceState::filters`]: what goes to the program is wanted in the log as well, by
/// packet sockets.
pub const SNIFFED: u32 = 4;

/// Number of addresses that TUNSETTXFILTER compares (FLT_EXACT_COUNT).
pub const EXACT_ADDRESSES: usize = 8;

/// The state of one interface, in the file that has its name.
#[repr(C)]
pub struct InterfaceState {
    /// Identifies the file, see [`Header`].
    pub(crate) header: Header,
    /// Protects the outbound log and the list of queues.
    pub(crate) lock: Lock,
    /// Index of the interface, as in if_nametoindex(3).
    pub ifindex: AtomicU32,
    /// 0, [`GOING`] while it is being deleted, then [`GONE`]; the file has no name any more then,
    /// and nothing is written to the log.
    pub deleted: AtomicU32,
    /// Flags of the last TUNSETIFF (IFF_TUN or IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE
    /// ...), and IFF_PERSIST.
    pub tun_flags: AtomicU32,
    /// IFF_UP, IFF_POINTOPOINT and so on, as SIOCGIFFLAGS returns them, but without IFF_RUNNING,
    /// which follows from other fields.
    pub if_flags: AtomicU32,
    /// Longest packet in bytes, without the Ethernet header.
    pub mtu: AtomicU32,
    /// Number of packets that each inbound queue may hold.
    pub txqueuelen: AtomicU32,
    /// User of TUNSETOWNER, -1 for none.
    pub owner: AtomicI32,
    /// Group of TUNSETGROUP, -1 for none.
    pub group: AtomicI32,
    /// Bytes of TUNSETSNDBUF.
    pub sndbuf: AtomicI32,
    /// Bytes of TUNSETVNETHDRSZ.
    pub vnet_hdr_size: AtomicI32,
    /// 1 when the link has a carrier: as TUNSETCARRIER says, and 0 when no queue is left.
    pub carrier: AtomicU32,
    /// How often the carrier came (IFLA_CARRIER_UP_COUNT). While neither this nor the next counter
    /// has risen, nothing is known of the link's state (IF_OPER_UNKNOWN).
    pub carrier_ups: AtomicU32,
    /// How often the carrier went (IFLA_CARRIER_DOWN_COUNT).
    pub carrier_downs: AtomicU32,
    /// Features of the link that are wanted, a bit of NETIF_F_* each (ETHTOOL_SFEATURES).
    pub features: AtomicU64,
    /// Features that the program can take (TUNSETOFFLOAD).
    pub program_features: AtomicU64,
    /// Most packets that writes may gather (ETHTOOL_SCOALESCE), which is only kept.
    pub gathered: AtomicU32,
    /// Which messages the driver writes (ETHTOOL_SMSGLVL), which is only kept.
    pub messages: AtomicU32,
    /// Speed, duplex and so on (ETHTOOL_SLINKSETTINGS), which are only kept.
    pub link_settings: [AtomicU32; 15],
    /// 1 + the number of the processor on which a packet was queued for the program that had read
    /// all before; see `memtun_kernel::busy`.
    pub fed_on: AtomicU32,
    /// ARPHRD_* of the link; TUNSETLINK changes it.
    pub link_type: AtomicU32,
    /// 1 when TUNSETVNETLE chose little-endian vnet headers.
    pub vnet_le: AtomicU32,
    /// 1 once somebody has waited for the link on `.memtun-link-INDEX`.
    pub link_bell: AtomicU32,
    /// [`BY_ADDRESS`] and [`BY_PROGRAM`], which keep packets from the program, and [`SNIFFED`]: a
    /// packet of which nothing else is wanted costs one load.
    pub filters: AtomicU32,
    /// 1 when TUNATTACHFILTER gave the queues a program, which the next queue gets, too.
    pub program_attached: AtomicU32,
    /// Number of attached queues; they come first in `queues`, before the detached ones.
    pub attached: AtomicU32,
    /// Number of queues that TUNSETQUEUE detached, which keep the interface alive.
    pub detached: AtomicU32,
    /// Hardware address of a TAP.
    pub mac: [AtomicU8; 6],
    /// 1 once the address was set (NET_ADDR_SET); before, it is a random one.
    pub mac_is_set: AtomicU16,
    /// Name of the interface, NUL-terminated.
    pub name: [AtomicU8; 16],
    /// The flows that the program wrote: in each word bits of the flow's hash, and 1 + the index
    /// of the queue that last wrote a packet of it, which gets the answers; 0 for none. See
    /// the module `queues`.
    pub flows: [AtomicU32; MAX_FLOWS],
    /// The queues: each is the inode of a tunnel's bell.
    pub queues: [AtomicU64; MAX_QUEUES],
    /// What the last TUNATTACHFILTER was given (`struct sock_fprog`), for TUNGETFILTER and for
    /// the next queue. The second word is an address in the memory of whoever gave it.
    pub program_given: [AtomicU64; 2],
    /// The addresses of TUNSETTXFILTER.
    pub addresses: Addresses,
    /// Counters as in `ip -s link`.
    pub stats: Stats,
    /// The outbound log.
    pub log: Log,
    /// How far host processes have taken the log.
    pub taken: Taken,
    /// Number of the first record that the capturer has not read; `u64::MAX` when nobody reads
    /// this log. Counts only while [`NetState::capturing`](super::NetState::capturing) is 1.
    pub capture_cursor: AtomicU64,
    /// Number that `capture_cursor` must exceed before writers are woken, or find the tunnel
    /// writable again; `u64::MAX` when no writer waits.
    pub capture_wanted: AtomicU64,
    /// Futex that rises when the capturer has read what writers wait for.
    pub capture_event: AtomicU32,
    /// 1 + the number of the processor on which the program wrote a packet; see
    /// `memtun_kernel::busy`.
    pub written_on: AtomicU32,
    /// NUMBER of the file `.memtun-gone-NUMBER` that this became when it was deleted under a
    /// capturer; 0 when it did not.
    pub gone_number: AtomicU64,
    /// `capture_cursor` + 1 as it was when somebody had waited for the capturer in vain. Until the
    /// capturer reads again, nobody who may overwrite waits for it.
    pub capture_given_up: AtomicU64,
    /// Time since which the capturer is behind, in nanoseconds of CLOCK_MONOTONIC. Counts while
    /// `capture_wanted` is set.
    pub capture_behind_since: AtomicU64,
    /// Time when somebody who must not wait last checked whether the capturer lives, in the same
    /// clock.
    pub capturer_looked: AtomicU64,
    /// Number of packets that were refused because the capturer was behind by the whole log, and
    /// of refused ones that could not be shown to it for the same reason.
    pub capture_refused: AtomicU64,
    /// Time when the file system was last found to have no more room for history, in nanoseconds
    /// of CLOCK_MONOTONIC; 0 when it had room.
    pub log_found_full: AtomicU64,
}

/// The destinations whose frames a tap takes (`struct tap_filter`).
#[repr(C)]
pub struct Addresses {
    /// Number of addresses in `exact` that count.
    pub count: AtomicU32,
    _pad: AtomicU32,
    /// A bit for each hash of a group address that is taken.
    pub groups: AtomicU64,
    /// Addresses, in network byte order in the low six bytes of a number.
    pub exact: [AtomicU64; EXACT_ADDRESSES],
}

/// The kernel's per-device counters, from the host's side: rx is outbound, what the program wrote.
#[repr(C)]
#[derive(Default)]
pub struct Stats {
    /// Packets written by the program.
    pub rx_packets: AtomicU64,
    /// Bytes written by the program, without packet information and vnet header.
    pub rx_bytes: AtomicU64,
    /// Writes that were refused.
    pub rx_dropped: AtomicU64,
    /// Writes that were refused for an impossible vnet header.
    pub rx_frame_errors: AtomicU64,
    /// Packets read by the program.
    pub tx_packets: AtomicU64,
    /// Bytes read by the program, without packet information and vnet header.
    pub tx_bytes: AtomicU64,
    /// Inbound packets that found the queue full or gone, or were filtered out.
    pub tx_dropped: AtomicU64,
}

const IFF_UP: u32 = libc::IFF_UP as u32;
const IFF_RUNNING: u32 = libc::IFF_RUNNING as u32;

impl InterfaceState {
    /// Has the deletion of this interface begun?
    #[inline]
    pub fn is_going(&self) -> bool {
        self.deleted.load(Acquire) != 0
    }
    /// Is the deletion of this interface complete?
    pub fn is_gone(&self) -> bool {
        self.deleted.load(Acquire) == GONE
    }
    /// Is this a TAP, which carries Ethernet frames?
    pub fn is_tap(&self) -> bool {
        self.tun_flags.load(Relaxed) & IFF_TUN == 0
    }
    /// Is the link up (IFF_UP)?
    #[inline]
    pub fn is_up(&self) -> bool {
        self.if_flags.load(Acquire) & IFF_UP != 0
    }
    /// Does the interface stay without a tunnel (TUNSETPERSIST)?
    pub fn is_persistent(&self) -> bool {
        self.tun_flags.load(Relaxed) & IFF_PERSIST != 0
    }
    /// Returns the flags as SIOCGIFFLAGS does: with IFF_RUNNING when the link is up and has a
    /// carrier.
    pub fn flags(&self) -> u32 {
        let flags = self.if_flags.load(Relaxed);
        let running = flags & IFF_UP != 0 && self.carrier.load(Relaxed) != 0;
        flags | if running { IFF_RUNNING } else { 0 }
    }
    /// Sets whether there is a carrier, and counts the change if it is one (`netif_carrier_on`,
    /// `netif_carrier_off`).
    pub fn set_carrier(&self, carrier: bool) {
        if self.carrier.swap(carrier.into(), Relaxed) != u32::from(carrier) {
            let count = if carrier {
                &self.carrier_ups
            } else {
                &self.carrier_downs
            };
            count.fetch_add(1, Relaxed);
        }
    }
    /// Returns the hardware address; zeroes for a TUN.
    pub fn mac(&self) -> [u8; 6] {
        std::array::from_fn(|i| self.mac[i].load(Relaxed))
    }
}

/// Bytes of the log's area: more than the largest packet that the kernel's driver was seen to
/// accept (4.7 MB).
const LOG_AREA: usize = 8 << 20;

// On a full file system an interface goes on in the room that it has from the beginning, which is
// enough for any packet that a network carries.
state!(InterfaceState, Kind::Interface, area LOG_AREA, at least super::SMALLEST, first 18 * PAGE, |s| Some(&s.log.reserved));
