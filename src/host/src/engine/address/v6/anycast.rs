//! The addresses that all routers of a network have (net/ipv6/anycast.c): whoever hands on packets
//! has the first one of each network of its own.
#![forbid(unsafe_code)]

use super::wanted::{v6, TENTATIVE};
use crate::engine::link;
use crate::engine::place::Place;
use crate::engine::route::v6::{self as routes, Config};
use crate::message::conf;
use crate::World;
use memtun_stack::route::rtf;
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::Ipv6Addr;

/// The length of a prefix from which on a network has no room for such an address.
const TOO_LONG: u8 = 127;

/// Does a link hand on packets of IPv6?
pub(super) fn forwards(world: &World<'_>, index: u32) -> bool {
    let link = world.link(index);
    link.is_some_and(|link| conf::v6(world.state, conf::Of::Link(link), "forwarding") != 0)
}

/// Returns the address of all routers of an address's network.
fn of_network(address: &Address) -> Option<Ipv6Addr> {
    let first = v6(network(address.local, address.prefix));
    (address.prefix < TOO_LONG && !first.is_unspecified()).then_some(first)
}

/// Returns those that a link has, the newest first.
pub fn anycasts(world: &World<'_>, index: u32) -> Vec<Ipv6Addr> {
    let link = world.link(index);
    let all = link.iter().flat_map(|link| &link.extra.anycasts);
    all.copied().map(Ipv6Addr::from).collect()
}

/// Changes the list of those that a link has.
fn change(world: &mut World<'_>, index: u32, run: impl FnOnce(&mut Vec<[u8; 16]>)) {
    let Some(link) = world.link(index) else {
        return;
    };
    let mut all = link.extra.anycasts.clone();
    run(&mut all);
    link::set_anycasts(world, index, all);
}

fn route(world: &World<'_>, index: u32, to: Ipv6Addr) -> Option<Place> {
    let places = world.routes_to(libc::RT_TABLE_LOCAL.into(), to.into(), 128);
    places.into_iter().find(|place| {
        let route = world.route(*place);
        route.kind == libc::RTN_ANYCAST
            && (route.hops.first()).is_some_and(|hop| hop.index == index)
    })
}

/// Lets a link have the one of an address's network (`addrconf_join_anycast`).
pub(super) fn join(world: &mut World<'_>, address: &Address) {
    let Some(to) = of_network(address).filter(|_| forwards(world, address.index)) else {
        return;
    };
    if anycasts(world, address.index).contains(&to) {
        return;
    }
    change(world, address.index, |all| all.insert(0, to.octets()));
    let config = Config {
        to,
        prefix: 128,
        table: libc::RT_TABLE_LOCAL.into(),
        protocol: libc::RTPROT_KERNEL,
        kind: libc::RTN_ANYCAST,
        flags: rtf::UP | rtf::NONEXTHOP | rtf::ANYCAST,
        index: address.index,
        down: true,
        ..Config::default()
    };
    let _ = routes::add(world, &config);
}

/// Takes the one of an address's network from a link, unless another address is of that network
/// (`addrconf_leave_anycast`).
pub(super) fn leave(world: &mut World<'_>, address: &Address) {
    let Some(to) = of_network(address) else {
        return;
    };
    let remains = world.addresses_of(address.index, false).any(|other| {
        let usable = other.local != address.local && other.flags & TENTATIVE == 0;
        usable && of_network(other) == Some(to)
    });
    if remains && forwards(world, address.index) {
        return;
    }
    change(world, address.index, |all| {
        all.retain(|one| *one != to.octets())
    });
    if let Some(place) = route(world, address.index, to) {
        routes::remove(world, place);
    }
}

/// Carries out what follows when a link begins to hand on packets, or ends it
/// (`dev_forward_change`).
pub fn forwarding_has_changed(world: &mut World<'_>, index: u32) {
    let usable = world.addresses_of(index, false);
    let usable = usable.filter(|address| address.flags & TENTATIVE == 0);
    let usable: Vec<Address> = usable.copied().collect();
    for address in usable {
        if forwards(world, index) {
            join(world, &address);
        } else {
            leave(world, &address);
        }
    }
}
