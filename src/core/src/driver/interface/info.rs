//! Snapshots of interfaces and tunnels: plain values, and what follows from them. `record` gives them their JSON form.
#![forbid(unsafe_code)]

use crate::Name;
use memtun_abi::uapi;
use memtun_kernel::NetDir;
use memtun_shm::layout::{Attachment, InterfaceState, TunnelState};
use memtun_shm::{load_name, Mapped};
use serde::Serialize;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// What the host receives, which the program writes; as in /sys/class/net/NAME/statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReceiveCounters {
    /// Packets.
    pub packets: u64,
    /// Their bytes, without packet information and vnet headers.
    pub bytes: u64,
    /// Writes of what is no packet of this interface, or that came while it was down.
    pub dropped: u64,
    /// Writes whose vnet header made no sense.
    pub frame_errors: u64,
}

/// What the host transmits, which the program reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TransmitCounters {
    /// Packets.
    pub packets: u64,
    /// Their bytes, as they were read.
    pub bytes: u64,
    /// Packets that found no room, or nobody attached.
    pub dropped: u64,
}

/// An interface in the columns of `ip -s -d link`; a snapshot.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// What the program wrote: the host receives it.
    pub rx: ReceiveCounters,
    /// What the program read: the host transmits it.
    pub tx: TransmitCounters,
    /// Packets that were refused (EAGAIN) because whoever captured was behind, and refused ones that the capture could
    /// not show for that reason.
    pub capture_refused: u64,
    /// Its tunnels.
    pub tunnels: Vec<TunnelInfo>,
}

/// A tunnel; the attributes of the seed's `Tunnel`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TunnelInfo {
    /// Its number in the net, as in JSON; the inode of its bell.
    pub id: u64,
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
            id: inode,
            name: attached.then(|| load_name(&state.name)),
            requested_name: (mode != 0).then(|| load_name(&state.requested_name)),
            mode,
            open_flags: state.open_flags.load(Relaxed),
            queued: state.ring.queued(),
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
            rx: ReceiveCounters {
                packets: stats.rx_packets.load(Relaxed),
                bytes: stats.rx_bytes.load(Relaxed),
                dropped: stats.rx_dropped.load(Relaxed),
                frame_errors: stats.rx_frame_errors.load(Relaxed),
            },
            tx: TransmitCounters {
                packets: stats.tx_packets.load(Relaxed),
                bytes: stats.tx_bytes.load(Relaxed),
                dropped: stats.tx_dropped.load(Relaxed),
            },
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

    /// Has it a carrier, and is it up?
    pub fn is_running(&self) -> bool {
        self.flags & libc::IFF_RUNNING as u32 != 0
    }

    /// `tun` or `tap`.
    pub fn kind(&self) -> &'static str {
        if self.tap {
            "tap"
        } else {
            "tun"
        }
    }

    /// As in `ip -br link`: `UP` and able to carry packets, up but `NO-CARRIER`, or `DOWN`.
    pub fn state(&self) -> &'static str {
        match (self.is_up(), self.is_running()) {
            (false, _) => "DOWN",
            (true, false) => "NO-CARRIER",
            (true, true) => "UP",
        }
    }

    /// Hardware address of a TAP as text, 02:00:00:00:00:01.
    pub fn mac_text(&self) -> Option<String> {
        let digits = |byte| format!("{byte:02x}");
        self.mac.map(|mac| mac.map(digits).join(":"))
    }

    /// Does it stay without a tunnel?
    pub fn is_persistent(&self) -> bool {
        self.tun_flags & uapi::IFF_PERSIST != 0
    }

    /// Do reads and writes have packet information in front?
    pub fn has_packet_information(&self) -> bool {
        self.tun_flags & uapi::IFF_NO_PI == 0
    }

    /// Do reads and writes have a virtio_net_hdr in front?
    pub fn has_vnet_header(&self) -> bool {
        self.tun_flags & uapi::IFF_VNET_HDR != 0
    }

    /// May several tunnels be attached?
    pub fn is_multi_queue(&self) -> bool {
        self.tun_flags & uapi::IFF_MULTI_QUEUE != 0
    }

    /// Packets that wait to be read, in all its tunnels.
    pub fn queued(&self) -> u64 {
        self.tunnels.iter().map(|t| u64::from(t.queued)).sum()
    }

    /// Flags as `ip link` writes them: `UP`, `POINTOPOINT`, `RUNNING`.
    pub fn flag_names(&self) -> Vec<&'static str> {
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
        let set = NAMES
            .iter()
            .filter(|(bit, _)| self.flags & *bit as u32 != 0);
        set.map(|(_, name)| *name).collect()
    }
}
