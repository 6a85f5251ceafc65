//! What stands in the files of a net: fixed-width, `repr(C)`, versioned. All fields are atomics or guarded by the lock
//! beside them, because other processes map the same pages.

use super::lock::Lock;
use crate::sys::PAGE;
use std::sync::atomic::{AtomicI32, AtomicU16, AtomicU32, AtomicU64, AtomicU8};

/// Changes with every change of a struct in this file.
pub const VERSION: u32 = 4;
const MAGIC: u64 = u64::from_le_bytes(*b"memtun\r\n");

const MACHINE: u32 = if cfg!(target_arch = "aarch64") {
    libc::EM_AARCH64
} else {
    libc::EM_X86_64
} as u32;

/// What a file of a net holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// [`NetState`]
    Net = 1,
    /// [`InterfaceState`]
    Interface = 2,
    /// [`TunnelState`]
    Tunnel = 3,
}

/// The first bytes of every file.
#[repr(C)]
pub struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    kind: AtomicU32,
    /// Length of the file.
    length: AtomicU64,
    /// Machine that the file was made for (`e_machine` of elf(5)): what stands in it is in that machine's byte order.
    machine: AtomicU32,
    _reserved: u32,
}

impl Header {
    /// Fills the header of a new file.
    pub fn init(&self, kind: Kind, length: u64) {
        use std::sync::atomic::Ordering::Relaxed;
        self.version.store(VERSION, Relaxed);
        self.kind.store(kind as u32, Relaxed);
        self.length.store(length, Relaxed);
        self.machine.store(MACHINE, Relaxed);
        self.magic.store(MAGIC, Relaxed);
    }

    /// What a file that begins with these bytes holds: its [`Kind`] as a number, if any version of memtun made it.
    pub fn of_bytes(bytes: &[u8]) -> Option<u32> {
        let kind = bytes.get(12..16)?;
        let made_by_memtun = bytes.get(..8)? == MAGIC.to_ne_bytes();
        made_by_memtun.then(|| u32::from_ne_bytes([kind[0], kind[1], kind[2], kind[3]]))
    }

    /// Why this file cannot be used, if it cannot.
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

/// How many faults a net can hold at once.
pub const FAULT_SLOTS: usize = 64;

/// One fault. Changed under the net's lock; read and counted by every call that it may concern.
#[repr(C)]
pub struct FaultSlot {
    /// Bit of [`crate::Operation`], 0 when the slot is free. Stored last.
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
    pub header: Header,
    /// Guards names and the coming and going of interfaces and tunnels. Every step under it is one operation on a file, or
    /// one store: its holder may be replaced.
    pub lock: Lock,
    /// Index of the next interface.
    pub next_ifindex: AtomicU32,
    /// Bits of [`crate::Permission`] that are taken away.
    pub denied: AtomicU32,
    /// Operations that have a fault, so that a call without one costs one load.
    pub faulty: AtomicU32,
    /// Longest packet that a write may carry, 0 for no limit (the seed's SEND_BUFFER_SIZE).
    pub send_buffer_size: AtomicU32,
    /// All "tun0", "tun1" ... below this number are attached in process `number_owner`; the second for "tap". Zeroed when an
    /// interface goes or a tunnel is closed, so that the lowest free number is found without looking at each.
    pub numbers_taken: [AtomicU32; 2],
    /// See `numbers_taken`.
    pub number_owner: [AtomicU32; 2],
    /// Futex: rises with every change of the set of interfaces.
    pub changes: AtomicU32,
    /// Sleepers on `changes`. One that is killed stays counted, which costs a needless wake-up call each time.
    pub waiters: AtomicU32,
    /// Suffix that replaces the end of every requested name, NUL-terminated; empty for the kernel's naming.
    pub rename: [AtomicU8; 16],
    /// Packets that were still queued when their tunnel ended.
    pub discarded: AtomicU64,
    /// Members that become another program and have no lock meanwhile: the process id, and the time of its going in
    /// milliseconds modulo 2^32. See [`crate::NetDir::before_exec`].
    pub between_images: [AtomicU64; BETWEEN_IMAGES],
    /// 1 while somebody captures, i.e. holds the lock on `.memtun-capturer`; one that was killed leaves it, see
    /// [`crate::NetDir::capturer_lives`].
    pub capturing: AtomicU32,
    /// Futex: 1 while the capturer sleeps, 0 once there is something to capture.
    pub capture_asleep: AtomicU32,
    /// The faults.
    pub faults: [FaultSlot; FAULT_SLOTS],
    /// Hashes of the names that interfaces of this net have or had, 0 for a free place; see [`crate::NetDir::knows`].
    pub known_names: [AtomicU32; KNOWN_NAMES],
}

/// How many processes of a net are followed from one image into the next at the same moment.
pub const BETWEEN_IMAGES: usize = 48;

/// How many names a net remembers. Beyond that a name that is gone is the host's again.
pub const KNOWN_NAMES: usize = 512;

/// Most queues of one interface (MAX_TAP_QUEUES of the kernel).
pub const MAX_QUEUES: usize = 256;

/// [`InterfaceState::deleted`]: the deletion has begun.
pub const GOING: u32 = 2;
/// [`InterfaceState::deleted`]: the deletion is complete.
pub const GONE: u32 = 1;

/// One interface: the file of its name.
#[repr(C)]
pub struct InterfaceState {
    /// See [`Header`].
    pub header: Header,
    /// Guards the outbound log and the list of queues.
    pub lock: Lock,
    /// As in if_nametoindex(3).
    pub ifindex: AtomicU32,
    /// [`GOING`] while it is deleted, then [`GONE`]; the file then has no name any more, and nothing is written to the log.
    pub deleted: AtomicU32,
    /// IFF_TUN or IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE ... of the last TUNSETIFF; IFF_PERSIST.
    pub tun_flags: AtomicU32,
    /// IFF_UP, IFF_POINTOPOINT ... as SIOCGIFFLAGS, without IFF_RUNNING, which follows from the rest.
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
    /// TUNSETOFFLOAD.
    pub offload: AtomicU32,
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
    /// Flow hash to queue, 1 + index; answers follow the queue that wrote.
    pub flows: [AtomicU16; 256],
    /// Tunnels (inode of the bell).
    pub queues: [AtomicU64; MAX_QUEUES],
    /// Counters as in `ip -s link`.
    pub stats: Stats,
    /// Outbound log: place and number of the oldest packet kept, see [`super::log`].
    pub log_head: AtomicU64,
    /// Place and number of the next packet.
    pub log_tail: AtomicU64,
    /// Bytes of the log's area that have memory behind them.
    pub log_reserved: AtomicU64,
    /// Futex: rises with every packet, and with deletion.
    pub log_event: AtomicU32,
    /// Sleepers on `log_event`, see [`NetState::waiters`].
    pub log_waiters: AtomicU32,
    /// Packets among the log's records that the program wrote with success.
    pub log_written: AtomicU64,
    /// Where somebody who was overtaken can go on: a late record that begins in each eighth of it.
    pub log_marks: [AtomicU64; 8],
    /// Number of the first record that the capturer has not read, `u64::MAX` when nobody reads this log; counts only
    /// while [`NetState::capturing`].
    pub capture_cursor: AtomicU64,
    /// Writers sleep, or do not find the tunnel writable, until `capture_cursor` is beyond this; `u64::MAX` when none does.
    pub capture_wanted: AtomicU64,
    /// Futex: rises when the capturer has read what writers wait for.
    pub capture_event: AtomicU32,
    _pad_capture: AtomicU32,
    /// The file is `.memtun-gone-NUMBER` since it was deleted under a capturer; 0: it has no name.
    pub gone_number: AtomicU64,
    /// `capture_cursor` + 1 as it was when somebody had waited for the capturer in vain: until it reads again nobody who
    /// may overwrite waits for it.
    pub capture_given_up: AtomicU64,
    /// Since when the capturer is behind, CLOCK_MONOTONIC in nanoseconds; counts while `capture_wanted` is set.
    pub capture_behind_since: AtomicU64,
    /// When somebody who must not wait last looked whether the capturer lives, in the same clock.
    pub capturer_looked: AtomicU64,
    /// Packets that were refused because the capturer was behind by the whole log, and refused ones that could not be shown
    /// to it for the same reason.
    pub capture_refused: AtomicU64,
    /// When the file system was last found to have no more room for history, CLOCK_MONOTONIC in nanoseconds; 0 when it had.
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
    pub header: Header,
    /// Guards the inbound queue, the bell and the attachment.
    pub lock: Lock,
    /// [`Attachment`]
    pub attachment: AtomicU32,
    /// Interface it is attached to.
    pub ifindex: AtomicU32,
    /// Flags of open(2), access mode included.
    pub open_flags: AtomicU32,
    /// Rises when an interface is deleted under the tunnel: a read that began before fails with EFAULT.
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
    /// Sleepers on `room_event`, see [`NetState::waiters`].
    pub room_waiters: AtomicU32,
    /// Length of the last packet read, shown as `pos` in fdinfo by the kernel.
    pub last_read: AtomicU32,
    /// Bit 0: O_ASYNC is in force, and what rings the bell makes signals. Above it, who sleeps meanwhile: see
    /// `crate::bell`.
    pub signals: AtomicU32,
    /// 1: somebody was told that it is not writable, and wants to hear when the link comes up (SOCKWQ_ASYNC_NOSPACE).
    pub wants_space: AtomicU32,
    _pad: AtomicU32,
    /// Name given to TUNSETIFF.
    pub requested_name: [AtomicU8; 16],
    /// Name of the interface, follows a rename.
    pub name: [AtomicU8; 16],
    /// Inbound ring: head, tail and count in one word, see [`super::ring`].
    pub ring: AtomicU64,
    /// Bytes of the ring's area that have memory behind them.
    pub ring_reserved: AtomicU64,
}

/// A state struct that a file of a net begins with.
///
/// # Safety
/// Implement it only for `repr(C)` structs that begin with a [`Header`], hold no references and are valid when zeroed.
pub unsafe trait State {
    /// Kind in the header.
    const KIND: Kind;
    /// Bytes of the file in front of the packet area; whole pages.
    const HEAD: usize;
    /// Bytes of the packet area.
    const AREA: usize;
    /// Bytes of the packet area where its maker may not have more; AREA halved a few times.
    const SMALLEST_AREA: usize;
    /// Bytes of the packet area that have memory behind them from the beginning; whole pages.
    const FIRST: usize;
    /// The header.
    fn header(&self) -> &Header;
    /// Bytes of the packet area that have memory behind them.
    fn reserved(&self) -> Option<&AtomicU64>;
}

macro_rules! state {
    ($type:ty, $kind:expr, area $area:expr, at least $smallest:expr, first $first:expr, $reserved:expr) => {
        // SAFETY: repr(C), begins with Header, only atomics and locks; zeroed is a valid value of both.
        unsafe impl State for $type {
            const KIND: Kind = $kind;
            const HEAD: usize = PAGE;
            const AREA: usize = $area;
            const SMALLEST_AREA: usize = $smallest;
            const FIRST: usize = $first;
            fn header(&self) -> &Header {
                &self.header
            }
            fn reserved(&self) -> Option<&AtomicU64> {
                let reserved: fn(&$type) -> Option<&AtomicU64> = $reserved;
                reserved(self)
            }
        }
        const _: () =
            assert!(std::mem::size_of::<$type>() <= PAGE && std::mem::align_of::<$type>() <= 16);
        const _: () = assert!($first % PAGE == 0 && $first <= $smallest);
    };
}

/// Room for 500 packets of the largest IP size with their record headers.
const RING_AREA: usize = 32 << 20;
/// More than the largest packet that the kernel's driver was seen to accept (4.7 MB).
const LOG_AREA: usize = 8 << 20;
/// Room for the largest IP packet with any header.
const SMALLEST: usize = 128 << 10;

// On a full file system an interface goes on in the room that it has from the beginning: any packet that a network carries
// can be written.
state!(InterfaceState, Kind::Interface, area LOG_AREA, at least SMALLEST, first 18 * PAGE, |s| Some(&s.log_reserved));
state!(TunnelState, Kind::Tunnel, area RING_AREA, at least SMALLEST, first 2 * PAGE, |s| Some(&s.ring_reserved));
state!(NetState, Kind::Net, area 0, at least 1, first 0, |_| None);
