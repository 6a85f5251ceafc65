//! Neighbours on taps: who has which address (net/core/neighbour.c).
//!
//! Entries that programs set stand in the net's state and are followed; what is learned from packets
//! is told to it, so that `ip neigh` shows it.
#![forbid(unsafe_code)]

pub mod arp;
pub mod discovery;
mod table;

pub use table::Neighbours;

use super::meta::{Cast, Meta};
use super::output::{clock, Output};
use super::view::Interface;
use memtun_ip::ethernet::Mac;
use memtun_ip::icmp::{v4, v6};
use memtun_ip::IcmpError;
use std::net::IpAddr;
use table::Resolved;

/// Asks for a neighbour that is not known. The packet is kept until it is.
pub(super) fn resolve(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    address: IpAddr,
    packet: &[u8],
) {
    let now = clock();
    let resolved = out
        .stack
        .neighbours
        .resolve(interface.index, address, packet, now);
    if resolved == Resolved::Asked {
        ask(out, interface, address, None, Some(packet));
    }
}

/// Asks for an address: everybody, or only the one who had it. `packet` is what is to be sent there.
fn ask(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    address: IpAddr,
    whom: Option<Mac>,
    packet: Option<&[u8]>,
) {
    match address {
        IpAddr::V4(address) => arp::ask(out, interface, address, whom, packet),
        IpAddr::V6(address) => discovery::ask(out, interface, address, whom, packet),
    }
}

/// Does what is due: asks again, gives up.
pub(super) fn run_timers(out: &mut Output<'_, '_>) {
    let now = clock();
    while let Some(due) = out.stack.neighbours.due(now) {
        let view = out.view();
        let (index, address) = due.key;
        let Some(interface) = view.interface(index) else {
            out.stack.neighbours.forget(index, address);
            continue;
        };
        if due.asks {
            let first = due.first.as_deref();
            ask(out, interface, address, due.whom, first);
        }
        for packet in due.failed {
            let error = match address {
                IpAddr::V4(_) => IcmpError::v4(v4::UNREACHABLE, v4::HOST, 0),
                IpAddr::V6(_) => IcmpError::v6(v6::UNREACHABLE, v6::ADDRESS, 0),
            };
            let meta = Meta::new(index, Cast::Unicast);
            out.fails(meta, packet, error);
        }
    }
    table::publish(out);
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
        IpAddr::V4(_) => memtun_ip::ethernet::IPV4,
        IpAddr::V6(_) => memtun_ip::ethernet::IPV6,
    };
    for packet in kept {
        let header = memtun_ip::ethernet::header(mac, own, ethertype);
        let _ = out.frame(interface.index, header, &packet);
    }
}

/// Tells the net's state what has been learned, if something has.
pub(super) fn publish(out: &mut Output<'_, '_>) {
    table::publish(out);
}
