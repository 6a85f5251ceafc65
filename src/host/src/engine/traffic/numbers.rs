//! How disciplines are numbered, and what one finds on its link.
#![forbid(unsafe_code)]

use super::kinds::Kind;
use super::options::Place;
use memtun_stack::traffic::INGRESS;
use memtun_stack::{Link, Traffic};

/// The upper 16 bits of a number: the discipline (TC_H_MAJ).
pub const MAJOR: u32 = 0xffff_0000;
/// The lower 16 bits of a number: the class (TC_H_MIN).
pub const MINOR: u32 = 0xffff;
/// The number that every discipline of what a link receives has.
pub const RECEIVES: u32 = INGRESS & MAJOR;

/// Length in bytes of the link-layer header of a link's packets.
fn header(link: &Link) -> u32 {
    match link.is_tun() {
        true => 0,
        false => memtun_abi::uapi::ETH_HLEN as u32,
    }
}

/// Has the link several queues (`netif_is_multiqueue`)?
pub fn is_multi(link: &Link) -> bool {
    let flag = memtun_abi::uapi::IFF_MULTI_QUEUE;
    link.driver.is_some_and(|driver| driver.flags & flag != 0)
}

/// Returns what a discipline on a link finds there.
pub fn place(link: &Link, parent: u32) -> Place {
    Place {
        mtu: link.extra.mtu.saturating_add(header(link)),
        queue: link.extra.txqueuelen,
        is_multi: is_multi(link),
        parent,
    }
}

/// Makes a discipline without a number.
pub(super) fn made(link: &Link, parent: u32, kind: &Kind, options: Option<Vec<u8>>) -> Traffic {
    Traffic {
        index: link.extra.index,
        handle: 0,
        parent,
        kind: kind.name.to_vec(),
        options,
        is_class: false,
        is_hidden: false,
        base: [link.counters.tx_packets, link.counters.tx_bytes],
    }
}
