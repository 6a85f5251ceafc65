//! What packets say of neighbours.
#![forbid(unsafe_code)]

use super::table::Heard;
use crate::inet::stack::{clock, Output};
use crate::inet::view::Interface;
use memtun_ip::ethernet;
use std::net::IpAddr;

/// Takes what a packet says of a neighbour, and sends what has waited for that.
pub(super) fn learn(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    address: IpAddr,
    heard: Heard,
) {
    // Nobody is at a broadcast address, and a link without addresses has no neighbours.
    if interface.mac.is_none() || out.view().is_broadcast(address, interface.index) {
        return;
    }
    let neighbours = &mut out.stack.neighbours;
    if neighbours.hear(interface.index, address, heard, clock()) {
        send_kept(out, interface, address);
    }
}

/// Sends what was kept for a neighbour that is known now.
fn send_kept(out: &mut Output<'_, '_>, interface: &Interface, address: IpAddr) {
    let Some(own) = interface.mac else {
        return;
    };
    let (mac, kept) = out.stack.neighbours.take_kept(interface.index, address);
    let Some(mac) = mac else {
        return;
    };
    let ethertype = match address {
        IpAddr::V4(_) => ethernet::IPV4,
        IpAddr::V6(_) => ethernet::IPV6,
    };
    for packet in kept {
        let header = ethernet::header(mac, own, ethertype);
        let _ = out.frame(interface.index, header, &packet);
    }
}
