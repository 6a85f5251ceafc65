//! The choice of a source address (`inet_select_addr`, RFC 6724: `ipv6_dev_get_saddr`).
#![forbid(unsafe_code)]

use super::flow::v4_of;
use crate::engine::kind;
use crate::World;
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the network of an address: that of the other end.
pub fn net_of(address: &Address) -> IpAddr {
    network(address.peer, address.prefix)
}

/// Returns the indexes of all links, ascending.
pub fn links(world: &World<'_>) -> Vec<u32> {
    let machine = world.machine.links.iter().map(|own| &own.item);
    let mut links: Vec<_> = machine
        .chain(&world.links)
        .map(|link| link.extra.index)
        .collect();
    links.sort_unstable();
    links
}

/// Chooses a source address for a destination on a link (`inet_select_addr`). 0.0.0.0 is none.
pub fn select_v4(world: &World<'_>, index: u32, to: Ipv4Addr, scope: u8) -> Ipv4Addr {
    let localnet = match world.setting_of("ipv4", index, "route_localnet") {
        0 => libc::RT_SCOPE_HOST,
        _ => libc::RT_SCOPE_LINK,
    };
    let mut chosen = None;
    for address in world.addresses_of(index, true) {
        if address.is_secondary() || address.scope.min(localnet) > scope {
            continue;
        }
        if to.is_unspecified() || network(to.into(), address.prefix) == net_of(address) {
            return v4_of(address.local);
        }
        chosen = chosen.or(Some(v4_of(address.local)));
    }
    if let Some(chosen) = chosen {
        return chosen;
    }
    for link in links(world) {
        for address in world.addresses_of(link, true) {
            let usable = address.scope != libc::RT_SCOPE_LINK && address.scope <= scope;
            if !address.is_secondary() && usable {
                return v4_of(address.local);
            }
        }
    }
    Ipv4Addr::UNSPECIFIED
}

/// The prefixes that have a label of their own, longest first (`ip6addrlbl_init_table`).
const LABELS: &[(u128, u8, u32)] = &[
    (1, 128, 0),
    (0xffff << 32, 96, 4),
    (0, 96, 3),
    (0x2001 << 112, 32, 6),
    (0x2001_0010 << 96, 28, 7),
    (0x3ffe << 112, 16, 12),
    (0x2002 << 112, 16, 2),
    (0xfec0 << 112, 10, 11),
    (0xfc00 << 112, 7, 5),
];

fn label(address: Ipv6Addr) -> u32 {
    let inside = |(prefix, length, _): &&(u128, u8, u32)| {
        network(address.into(), *length) == IpAddr::V6((*prefix).into())
    };
    LABELS.iter().find(inside).map_or(1, |found| found.2)
}

/// Does it hold an IPv4 address, or is it that of the loopback (`ipv6_saddr_preferred`)?
fn is_always_preferred(address: Ipv6Addr) -> bool {
    address.to_ipv4().is_some()
}

/// Is it an identifier of a cryptographic hash (2001:10::/28)?
fn is_orchid(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first == 0x2001 && second & 0xfff0 == 0x10
}

/// How well an address suits, by the rules in their order: the larger the better.
type Score = (bool, i32, bool, bool, bool, bool, bool, u32);

pub(super) fn score(address: &Address, own: Ipv6Addr, to: Ipv6Addr, index: u32) -> Score {
    let (width, wanted) = (i32::from(kind::width(own)), wanted_width(to));
    // The narrowest scope that is wide enough, or else the widest.
    let scope = if width >= wanted { -width } else { width - 128 };
    let common = (u128::from(own) ^ u128::from(to)).leading_zeros();
    (
        own == to,
        scope,
        is_always_preferred(own)
            || address.flags & (libc::IFA_F_DEPRECATED | libc::IFA_F_OPTIMISTIC) == 0,
        index == 0 || address.index == index,
        label(own) == label(to),
        address.flags & libc::IFA_F_TEMPORARY == 0,
        is_orchid(own) == is_orchid(to),
        common.min(address.prefix.into()),
    )
}

/// Returns how wide the scope of a destination is; that of none is the narrowest.
fn wanted_width(to: Ipv6Addr) -> i32 {
    match to.is_unspecified() {
        true => -1,
        false => kind::width(to).into(),
    }
}

/// Chooses the source address for what goes to `to` by a link; unspecified when there is none.
pub fn select_v6(world: &World<'_>, index: u32, to: Ipv6Addr) -> Ipv6Addr {
    let of_link = to.is_multicast() || wanted_width(to) <= 2;
    let mut best: Option<(Score, Ipv6Addr)> = None;
    for link in links(world) {
        if of_link && index != 0 && link != index {
            continue;
        }
        for address in world.addresses_of(link, false) {
            let IpAddr::V6(own) = address.local else {
                continue;
            };
            let tentative = address.flags & libc::IFA_F_TENTATIVE != 0
                && address.flags & libc::IFA_F_OPTIMISTIC == 0;
            if tentative || own.is_multicast() || own.is_unspecified() {
                continue;
            }
            let score = score(address, own, to, index);
            if best.as_ref().is_none_or(|best| score > best.0) {
                best = Some((score, own));
            }
        }
    }
    best.map_or(Ipv6Addr::UNSPECIFIED, |best| best.1)
}
