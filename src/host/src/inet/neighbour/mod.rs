//! Neighbours on taps: who has which address (net/core/neighbour.c).
//!
//! Entries that programs set stand in the net's state and are followed; what is learned from
//! packets is told to it, so that `ip neigh` shows it.
#![forbid(unsafe_code)]

pub mod arp;
pub mod discovery;
mod learn;
pub mod table;

use super::ground::Ground;
use super::meta::{Cast, Meta};
use super::stack::{clock, Output};
use super::view::Interface;
use crate::engine::neighbour::{self as engine, Change, Wanted};
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

/// Asks for an address: everybody, or only the one who had it. `packet` is what is to be sent
/// there.
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
    publish(out);
}

/// Tells the net's state what has been learned, if something has.
pub(super) fn publish(out: &mut Output<'_, '_>) {
    let news = out.stack.neighbours.take_news();
    if news.is_empty() {
        return;
    }
    out.service.consult(&mut |world| {
        for ((index, address), (state, mac), router) in &news {
            if *state == 0 {
                let _ = engine::remove(world, *index, *address);
                continue;
            }
            let change = Change {
                replaces: true,
                replaces_router: address.is_ipv6(),
                router: *router,
                ..Change::default()
            };
            let wanted = Wanted {
                address: *address,
                lladdr: mac.as_ref().map(|mac| &mac[..]),
                state: *state,
                protocol: 0,
                change,
            };
            // What cannot be noted is not seen by `ip neigh`, and works all the same.
            let _ = engine::set(world, *index, &wanted, true, false);
        }
    });
}
