//! The addresses of IPv4 that a link has.
#![forbid(unsafe_code)]

use crate::engine::place::Place;
use crate::engine::route::lookup::net_of;
use crate::World;
use memtun_abi::Name;
use memtun_stack::address::FOREVER;
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn v4(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Makes an address without any attribute beyond these.
pub fn plain(index: u32, local: Ipv4Addr, prefix: u8, label: Name, now: u32) -> Address {
    let mut address = Address {
        index,
        local: local.into(),
        peer: local.into(),
        prefix,
        broadcast: None,
        label,
        scope: libc::RT_SCOPE_UNIVERSE,
        flags: 0,
        priority: 0,
        protocol: 0,
        valid: FOREVER,
        preferred: FOREVER,
        created: now,
        updated: now,
        detection: None,
    };
    set_lifetimes(&mut address, FOREVER, FOREVER, now);
    address
}

/// Sets the lifetimes of an address, in seconds (`set_ifa_lifetime`).
pub fn set_lifetimes(address: &mut Address, valid: u32, preferred: u32, now: u32) {
    address.flags &= !(libc::IFA_F_PERMANENT | libc::IFA_F_DEPRECATED);
    if valid == FOREVER {
        address.flags |= libc::IFA_F_PERMANENT;
    }
    if preferred == 0 {
        address.flags |= libc::IFA_F_DEPRECATED;
    }
    // A permanent address is told without ends, whatever they were.
    (address.valid, address.preferred) = match valid {
        FOREVER => (FOREVER, FOREVER),
        _ => (valid, preferred),
    };
    address.updated = now;
}

/// Is it an address in the same network, that has a mask of the same length?
pub(super) fn is_alike(a: &Address, b: &Address) -> bool {
    a.prefix == b.prefix && net_of(a) == net_of(b)
}

/// Returns the place of an address that has this local address and network.
pub fn find(world: &World<'_>, address: &Address) -> Option<Place> {
    let mut places = world.address_places(address.index, true).into_iter();
    places.find(|place| {
        let other = world.address(*place);
        is_alike(other, address) && other.local == address.local
    })
}

/// Is this local address in the network of an address of the link (`inet_ifa_match`)?
pub fn matches(address: &Address, other: Ipv4Addr) -> bool {
    network(other.into(), address.prefix) == net_of(address)
}
