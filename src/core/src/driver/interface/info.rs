//! Snapshots of interfaces and tunnels: plain values.

use crate::Name;
use memtun_kernel::NetDir;
use memtun_shm::layout::{Attachment, InterfaceState, TunnelState};
use memtun_shm::{load_name, Mapped};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// An interface in the columns of `ip -s -d link`; a snapshot.
#[derive(Clone, Debug)]
pub struct InterfaceInfo {
    /// Name.
    pub name: Name,
    /// Index.
    pub index: u32,
    /// Layer 2?
    pub tap: bool,
    /// SIOCGIFFLAGS.
    pub flags: u32,
    /// Framing and kind: IFF_TUN, IFF_NO_PI ...
    pub tun_flags: u32,
    /// Bytes.
    pub mtu: u32,
    /// The link's carrier; what `flags` say of it they only say while the link is up.
    pub carrier: bool,
    /// Packets.
    pub txqueuelen: u32,
    /// TUNSETOWNER.
    pub owner: Option<u32>,
    /// TUNSETGROUP.
    pub group: Option<u32>,
    /// Hardware address of a TAP.
    pub mac: Option<[u8; 6]>,
    /// Packets, bytes, dropped and frame errors that the program wrote (the host receives).
    pub rx: [u64; 4],
    /// Packets, bytes and dropped that the program read (the host transmits).
    pub tx: [u64; 3],
    /// Packets that were refused (EAGAIN) because whoever captured was behind, and refused ones that the capture could
    /// not show for that reason.
    pub capture_refused: u64,
    /// Its tunnels.
    pub tunnels: Vec<TunnelInfo>,
}

/// A tunnel; the attributes of the seed's `Tunnel`.
#[derive(Clone, Debug)]
pub struct TunnelInfo {
    /// Inode of the bell.
    pub inode: u64,
    /// Name of the interface, None while unattached.
    pub name: Option<Name>,
    /// Name given to TUNSETIFF, None before.
    pub requested_name: Option<Name>,
    /// Flags given to TUNSETIFF (the seed's `tunnelMode`).
    pub mode: u32,
    /// Flags of open(2) as they are now.
    pub open_flags: u32,
    /// Packets that wait to be read.
    pub queued: u32,
}

impl TunnelInfo {
    pub(crate) fn new(inode: u64, state: &Mapped<TunnelState>) -> TunnelInfo {
        let attached = state.attachment.load(Acquire) != Attachment::None as u32;
        let mode = state.requested_flags.load(Relaxed);
        TunnelInfo {
            inode,
            name: attached.then(|| load_name(&state.name)),
            requested_name: (mode != 0).then(|| load_name(&state.requested_name)),
            mode,
            open_flags: state.open_flags.load(Relaxed),
            queued: state.queued(),
        }
    }
    /// Opened without O_NONBLOCK.
    pub fn blocking(&self) -> bool {
        self.open_flags & libc::O_NONBLOCK as u32 == 0
    }
    /// Opened with O_CLOEXEC.
    pub fn close_on_exec(&self) -> bool {
        self.open_flags & libc::O_CLOEXEC as u32 != 0
    }
}

impl InterfaceInfo {
    pub(crate) fn new(dir: &NetDir, state: &Mapped<InterfaceState>) -> InterfaceInfo {
        let stats = &state.stats;
        let id = |cell: &std::sync::atomic::AtomicI32| {
            Some(cell.load(Relaxed))
                .filter(|i| *i != -1)
                .map(|i| i as u32)
        };
        InterfaceInfo {
            name: load_name(&state.name),
            index: state.ifindex.load(Relaxed),
            tap: state.is_tap(),
            flags: state.flags(),
            tun_flags: state.tun_flags.load(Relaxed),
            mtu: state.mtu.load(Relaxed),
            carrier: state.carrier.load(Relaxed) != 0,
            txqueuelen: state.txqueuelen.load(Relaxed),
            owner: id(&state.owner),
            group: id(&state.group),
            mac: state.is_tap().then(|| state.mac()),
            rx: [
                &stats.rx_packets,
                &stats.rx_bytes,
                &stats.rx_dropped,
                &stats.rx_frame_errors,
            ]
            .map(|c| c.load(Relaxed)),
            tx: [&stats.tx_packets, &stats.tx_bytes, &stats.tx_dropped].map(|c| c.load(Relaxed)),
            capture_refused: state.capture_refused.load(Relaxed),
            tunnels: state
                .queue_inodes()
                .filter_map(|inode| Some(TunnelInfo::new(inode, &dir.tunnel(inode).ok()?)))
                .collect(),
        }
    }

    /// Is the link up?
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Flags as `ip link` writes them: `UP,POINTOPOINT,RUNNING`.
    pub fn flag_names(&self) -> String {
        const NAMES: &[(i32, &str)] = &[
            (libc::IFF_UP, "UP"),
            (libc::IFF_BROADCAST, "BROADCAST"),
            (libc::IFF_DEBUG, "DEBUG"),
            (libc::IFF_POINTOPOINT, "POINTOPOINT"),
            (libc::IFF_RUNNING, "RUNNING"),
            (libc::IFF_NOARP, "NOARP"),
            (libc::IFF_PROMISC, "PROMISC"),
            (libc::IFF_ALLMULTI, "ALLMULTI"),
            (libc::IFF_MULTICAST, "MULTICAST"),
        ];
        let set: Vec<&str> = NAMES
            .iter()
            .filter(|(bit, _)| self.flags & *bit as u32 != 0)
            .map(|(_, n)| *n)
            .collect();
        set.join(",")
    }
}
