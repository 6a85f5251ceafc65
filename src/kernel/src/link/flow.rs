//! Which queue a packet belongs to (`tun_get_hash`, `__skb_get_hash_symmetric`).

use crate::uapi::ETH_HLEN;

/// A hash of addresses, protocol and ports that is the same in both directions, as the kernel's symmetric flow hash.
pub fn flow_hash(packet: &[u8], ethernet: bool) -> u32 {
    let ip = if ethernet {
        packet.get(ETH_HLEN..).unwrap_or_default()
    } else {
        packet
    };
    let word = |at: usize, len: usize| {
        ip.get(at..at + len)
            .map_or(0u64, |b| b.iter().fold(0, |w, b| w << 8 | *b as u64))
    };
    let (ends, protocol, transport) = match ip.first().map(|b| b >> 4) {
        Some(4) => (
            word(12, 4) ^ word(16, 4),
            word(9, 1),
            (ip[0] & 15) as usize * 4,
        ),
        Some(6) => (
            word(8, 8) ^ word(16, 8) ^ word(24, 8) ^ word(32, 8),
            word(6, 1),
            40,
        ),
        _ => return 0,
    };
    let ports = if [6, 17, 132].contains(&protocol) {
        word(transport, 2) ^ word(transport + 2, 2)
    } else {
        0
    };
    let mixed = (ends ^ protocol << 48 ^ ports << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        .wrapping_shr(32) as u32
}
