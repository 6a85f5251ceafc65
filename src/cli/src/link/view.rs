//! What is known of an interface, for people. As JSON it is in [`memtun::json`].
#![forbid(unsafe_code)]

use memtun::{uapi, InterfaceInfo, TunnelInfo};

/// An interface.
pub struct Link {
    pub name: String,
    pub index: u32,
    pub kind: &'static str,
    pub state: &'static str,
    pub flags: Vec<String>,
    pub mtu: u32,
    pub txqueuelen: u32,
    pub mac: Option<String>,
    pub owner: Option<u32>,
    pub group: Option<u32>,
    pub persistent: bool,
    pub pi: bool,
    pub vnet_hdr: bool,
    pub multi_queue: bool,
    pub queued: u64,
    pub rx: Received,
    pub tx: Transmitted,
    pub capture_refused: u64,
    pub tunnels: Vec<TunnelView>,
}

/// What the program wrote.
pub struct Received {
    pub packets: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub frame_errors: u64,
}

/// What the program read.
pub struct Transmitted {
    pub packets: u64,
    pub bytes: u64,
    pub dropped: u64,
}

pub struct TunnelView {
    pub requested_name: Option<String>,
    pub mode: u32,
    pub blocking: bool,
    pub close_on_exec: bool,
    pub queued: u32,
}

impl From<&TunnelInfo> for TunnelView {
    fn from(t: &TunnelInfo) -> TunnelView {
        TunnelView {
            requested_name: t.requested_name.map(|n| n.to_string()),
            mode: t.mode,
            blocking: t.blocking(),
            close_on_exec: t.close_on_exec(),
            queued: t.queued,
        }
    }
}

impl From<&InterfaceInfo> for Link {
    fn from(i: &InterfaceInfo) -> Link {
        let [packets, bytes, dropped, frame_errors] = i.rx;
        let rx = Received {
            packets,
            bytes,
            dropped,
            frame_errors,
        };
        let [packets, bytes, dropped] = i.tx;
        let has = |flag: u32| i.tun_flags & flag != 0;
        Link {
            name: i.name.to_string(),
            index: i.index,
            kind: if i.tap { "tap" } else { "tun" },
            state: state(i),
            flags: i
                .flag_names()
                .split_terminator(',')
                .map(str::to_owned)
                .collect(),
            mtu: i.mtu,
            txqueuelen: i.txqueuelen,
            mac: i.mac.map(|mac| mac.map(|b| format!("{b:02x}")).join(":")),
            owner: i.owner,
            group: i.group,
            persistent: has(uapi::IFF_PERSIST),
            pi: !has(uapi::IFF_NO_PI),
            vnet_hdr: has(uapi::IFF_VNET_HDR),
            multi_queue: has(uapi::IFF_MULTI_QUEUE),
            queued: i.tunnels.iter().map(|t| u64::from(t.queued)).sum(),
            rx,
            tx: Transmitted {
                packets,
                bytes,
                dropped,
            },
            capture_refused: i.capture_refused,
            tunnels: i.tunnels.iter().map(TunnelView::from).collect(),
        }
    }
}

/// As in `ip -br link`: UP and able to carry packets, UP but without a carrier, or DOWN.
fn state(i: &InterfaceInfo) -> &'static str {
    match (i.is_up(), i.flags & libc::IFF_RUNNING as u32 != 0) {
        (false, _) => "DOWN",
        (true, false) => "NO-CARRIER",
        (true, true) => "UP",
    }
}
