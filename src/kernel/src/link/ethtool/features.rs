//! The features of a device (NETIF_F_*): what is wanted, and what comes of it.
#![forbid(unsafe_code)]

use crate::shm::layout::InterfaceState;
use std::sync::atomic::Ordering::Relaxed;

// Bits of NETIF_F_*, by their place.
pub(super) const SG: u64 = 1;
pub(super) const HW_CSUM: u64 = 1 << 3;
pub(super) const ALL_CSUM: u64 = 1 << 1 | HW_CSUM | 1 << 4 | 1 << 36 | 1 << 37;
pub(super) const SG_LISTS: u64 = SG | 1 << 6;
pub(super) const TX_VLAN: u64 = 1 << 7;
pub(super) const RX_VLAN: u64 = 1 << 8;
pub(super) const GSO: u64 = 1 << 11;
pub(super) const GRO: u64 = 1 << 14;
pub(super) const LRO: u64 = 1 << 15;
pub(super) const TSO: u64 = 1 << 16;
pub(super) const TSO_ECN: u64 = 1 << 18;
pub(super) const MANGLEID: u64 = 1 << 19;
pub(super) const TSO6: u64 = 1 << 20;
pub(super) const ALL_TSO: u64 = TSO | TSO_ECN | MANGLEID | TSO6;
pub(super) const TUNNELS: u64 = 1 << 26 | 1 << 27;
pub(super) const UDP_L4: u64 = 1 << 33;
pub(super) const NTUPLE: u64 = 1 << 38;
pub(super) const RX_HASH: u64 = 1 << 39;
/// What TUNSETOFFLOAD decides (TUN_USER_FEATURES).
pub(super) const OF_PROGRAM: u64 = HW_CSUM | TSO | TSO_ECN | TSO6 | UDP_L4 | TUNNELS;
/// What can be switched on a tun.
pub const SWITCHABLE: u64 = 0x0a00_2202_0c1d_48c9;
/// What never changes (NETIF_F_NEVER_CHANGE).
pub const NEVER: u64 = 1 << 10;
/// What is wanted of a new interface.
pub(in crate::link) const WANTED: u64 = 0x2002_0c15_48c9;

/// Notes what TUNSETOFFLOAD says that the program can take (`set_offload`).
pub(crate) fn set_offload(interface: &InterfaceState, flags: u32) {
    let all = [
        (0x01, HW_CSUM),
        (0x02, TSO),
        (0x04, TSO6),
        (0x08, TSO_ECN),
        (0x20, UDP_L4),
        (0x80, 1 << 26),
        (0x100, 1 << 27),
    ];
    let set = all.iter().filter(|(flag, _)| flags & flag != 0);
    let set = set.fold(0, |all, (_, feature)| all | feature);
    let wanted = interface.features.load(Relaxed) & !OF_PROGRAM | set;
    interface.features.store(wanted, Relaxed);
    interface.program_features.store(set, Relaxed);
}

/// Returns the features that are on (`netdev_fix_features` of what is wanted and what the program
/// can take).
pub fn active(interface: &InterfaceState) -> u64 {
    let wanted = interface.features.load(Relaxed);
    fixed(wanted & (interface.program_features.load(Relaxed) | !OF_PROGRAM))
}

/// Returns which of these features can be on together (`netdev_fix_features`).
pub(super) fn fixed(mut on: u64) -> u64 {
    if on & HW_CSUM == 0 {
        on &= !(ALL_TSO | UDP_L4 | TUNNELS);
    }
    if on & SG == 0 {
        on &= !(ALL_TSO | GSO);
    }
    if on & TSO == 0 {
        on &= !MANGLEID;
    }
    if on & ALL_TSO == TSO_ECN {
        on &= !TSO_ECN;
    }
    on
}
