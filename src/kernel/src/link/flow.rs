//! The hash that decides which queue a packet belongs to (`tun_get_hash`,
//! `__skb_get_hash_symmetric`).
#![forbid(unsafe_code)]

use crate::uapi::ETH_HLEN;

/// Hashes the addresses, the protocol and the ports of a packet. The hash is the same in both
/// directions, like the kernel's symmetric flow hash. `byte` returns the packet's byte at an
/// offset, or None behind its end. `ethernet` says whether the packet begins with an Ethernet
/// header.
#[inline(never)]
pub fn flow_hash(byte: impl Fn(usize) -> Option<u8>, ethernet: bool) -> u32 {
    let start = if ethernet { ETH_HLEN } else { 0 };
    let ip = |at: usize| byte(start + at);
    let word = |at: usize, len: usize| {
        let joined = (at..at + len).try_fold(0u64, |w, at| Some(w << 8 | ip(at)? as u64));
        joined.unwrap_or(0)
    };
    let first = ip(0).unwrap_or(0);
    let (ends, protocol, transport) = match Some(first >> 4) {
        Some(4) => (
            word(12, 4) ^ word(16, 4),
            word(9, 1),
            (first & 15) as usize * 4,
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
