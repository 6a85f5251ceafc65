//! Snapshots of interfaces and tunnels: plain values, and what follows from them. The module
//! `record` gives them their JSON form.
#![forbid(unsafe_code)]

use crate::driver::host::Address;
use crate::Name;
use memtun_abi::uapi;
use memtun_kernel::NetDir;
use memtun_shm::layout::{Attachment, InterfaceState, TunnelState};
use memtun_shm::{load_name, Mapped};
use memtun_stack::State;
use serde::Serialize;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// Counters of what the program writes and the host receives, as in /sys/class/net/NAME/statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReceiveCounters {
    /// Number of packets.
    pub packets: u64,
    /// Length of these packets in bytes, without packet information and vnet headers.
    pub bytes: u64,
    /// Number of writes that were no packet of this interface, or that came while it was down.
    pub dropped: u64,
    /// Number of writes whose vnet header made no sense.
    pub frame_errors: u64,
}

/// Counters of what the host transmits and the program reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TransmitCounters {
    /// Number of packets.
    pub packets: u64,
    /// Length of these packets in bytes, as the program read them.
    pub bytes: u64,
    /// Number of packets that found no room in a queue, no program attached or no carrier.
    pub dropped: u64,
}

/// A snapshot of an interface, with the columns of `ip -s -d link`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InterfaceInfo {
    /// Name of the interface.
    pub name: Name,
    /// Index of the interface.
    pub index: u32,
    /// Is it a TAP, which carries Ethernet frames?
    pub tap: bool,
    /// Flags of the link as SIOCGIFFLAGS gives them (IFF_UP and the others).
    pub flags: u32,
    /// Framing and kind as TUNGETIFF gives them (IFF_TUN, IFF_NO_PI and the others).
    pub tun_flags: u32,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Has the link a carrier? `flags` show it only while the link is up.
    pub carrier: bool,
    /// Number of packets that each queue holds.
    pub txqueuelen: u32,
    /// User who may attach to it, as TUNSETOWNER has set it; `None` for any user.
    pub owner: Option<u32>,
    /// Group whose members may attach to it, as TUNSETGROUP has set it; `None` for any group.
    pub group: Option<u32>,
    /// Hardware address of a TAP; `None` for a TUN.
    pub mac: Option<[u8; 6]>,
    /// The addresses that it has in its net.
    pub addresses: Vec<Address>,
    /// Counters of what the program wrote, which the host receives.
    pub rx: ReceiveCounters,
    /// Counters of what the program read, which the host transmits.
    pub tx: TransmitCounters,
    /// Number of packets that were refused with EAGAIN because the capturer was behind. Packets
    /// that were refused for another reason and that the capture could not show because it was
    /// behind are counted as well.
    pub capture_refused: u64,
    /// The tunnels that are attached to the interface.
    pub tunnels: Vec<TunnelInfo>,
}

/// A snapshot of a tunnel, with the attributes of Twisted's `Tunnel` (`twisted.pair.testing`).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TunnelInfo {
    /// Number of the tunnel in its net, as in JSON: the inode of its bell.
    pub id: u64,
    /// Name of the interface; `None` while the tunnel is unattached.
    pub name: Option<Name>,
    /// Name that the program gave to TUNSETIFF; `None` before that call.
    pub requested_name: Option<Name>,
    /// Flags that the program gave to TUNSETIFF (`tunnelMode` in Twisted's `Tunnel`).
    pub mode: u32,
    /// Flags of open(2) as they are now.
    pub open_flags: u32,
    /// Number of packets that wait to be read by the program.
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
    /// Is the descriptor a blocking one, without O_NONBLOCK?
    pub fn blocking(&self) -> bool {
        self.open_flags & libc::O_NONBLOCK as u32 == 0
    }
    /// Was the tunnel opened with O_CLOEXEC?
    pub fn close_on_exec(&self) -> bool {
        self.open_flags & libc::O_CLOEXEC as u32 != 0
    }
}

impl InterfaceInfo {
    pub(crate) fn new(dir: &NetDir, state: &Mapped<InterfaceState>, host: &State) -> InterfaceInfo {
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
            addresses: Address::all_of(
                host,
                state.ifindex.load(Relaxed),
                &load_name(&state.name).to_string(),
            ),
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

    /// Is the link up, and has it a carrier?
    pub fn is_running(&self) -> bool {
        self.flags & libc::IFF_RUNNING as u32 != 0
    }

    /// The kind of the interface: `tun` or `tap`.
    pub fn kind(&self) -> &'static str {
        if self.tap {
            "tap"
        } else {
            "tun"
        }
    }

    /// The state as `ip -br link` writes it: `UP` when it can carry packets, `NO-CARRIER` when it
    /// is up and cannot, or `DOWN`.
    pub fn state(&self) -> &'static str {
        match (self.is_up(), self.is_running()) {
            (false, _) => "DOWN",
            (true, false) => "NO-CARRIER",
            (true, true) => "UP",
        }
    }

    /// Hardware address of a TAP as text, such as 02:00:00:00:00:01; `None` for a TUN.
    pub fn mac_text(&self) -> Option<String> {
        let digits = |byte| format!("{byte:02x}");
        self.mac.map(|mac| mac.map(digits).join(":"))
    }

    /// Does the interface stay when no tunnel is attached (TUNSETPERSIST)?
    pub fn is_persistent(&self) -> bool {
        self.tun_flags & uapi::IFF_PERSIST != 0
    }

    /// Do reads and writes begin with packet information (a struct tun_pi)?
    pub fn has_packet_information(&self) -> bool {
        self.tun_flags & uapi::IFF_NO_PI == 0
    }

    /// Do reads and writes begin with a struct virtio_net_hdr?
    pub fn has_vnet_header(&self) -> bool {
        self.tun_flags & uapi::IFF_VNET_HDR != 0
    }

    /// May several tunnels be attached at the same time?
    pub fn is_multi_queue(&self) -> bool {
        self.tun_flags & uapi::IFF_MULTI_QUEUE != 0
    }

    /// Number of packets that wait to be read, in all tunnels of the interface.
    pub fn queued(&self) -> u64 {
        self.tunnels.iter().map(|t| u64::from(t.queued)).sum()
    }

    /// Flags under the names that `ip link` writes: `UP`, `POINTOPOINT`, `RUNNING` and others.
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
