//! Groups that links with IP belong to: RTM_GETMULTICAST, RTM_GETANYCAST (net/ipv4/igmp.c,
//! net/ipv6/addrconf.c).
#![forbid(unsafe_code)]

use super::address::links_asked_for;
use super::request::Request;
use super::row::{row, Row};
use crate::engine::address;
use crate::message::conf::{self};
use crate::{Failure, World};
use memtun_stack::address::Head;
use memtun_stack::wire::Writer;
use memtun_stack::{Address, Link};
use std::net::{IpAddr, Ipv6Addr};

const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;

// IFA_* of linux/if_addr.h.
const IFA_ANYCAST: u16 = 5;
const IFA_MULTICAST: u16 = 7;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_GETMULTICAST, INET, None, Some(dump_groups)).joined(),
    row(libc::RTM_GETMULTICAST, INET6, None, Some(dump_groups)).joined(),
    row(libc::RTM_GETANYCAST, INET6, None, Some(dump_anycast)).joined(),
];

/// Appends the groups that every link with IP belongs to.
fn dump_groups(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let family = request.message.body[0];
    let (links, flags) = links_asked_for(world, request, family == INET)?;
    for index in links {
        let Some(link) = world.link(index) else {
            continue;
        };
        let groups: Vec<IpAddr> = if family == INET {
            let all = IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 1));
            let mut own = joined_v4(world, index);
            own.extend(link.is_up().then_some(all));
            own
        } else if conf::has_inet6(world.state, link) {
            groups_v6(world, link)
        } else {
            Vec::new()
        };
        for group in groups {
            let head = request.head(libc::RTM_GETMULTICAST, flags);
            write(to, head, index, IFA_MULTICAST, group, world.now);
        }
    }
    Ok(())
}

/// Returns the groups of IPv4 that a link belongs to because they are addresses of its own
/// (IFA_F_MCAUTOJOIN), the newest first.
fn joined_v4(world: &World<'_>, index: u32) -> Vec<IpAddr> {
    let own = world.addresses_of(index, true);
    let own = own.filter(|address| address.flags & libc::IFA_F_MCAUTOJOIN != 0);
    let mut own: Vec<IpAddr> = own.map(|address| address.local).collect();
    own.reverse();
    own
}

/// Returns the groups of IPv6 that a link belongs to, the one that it joined last first.
fn groups_v6(world: &World<'_>, link: &Link) -> Vec<IpAddr> {
    let index = link.extra.index;
    let group = |scope: u16, last: u16| Ipv6Addr::new(0xff00 | scope, 0, 0, 0, 0, 0, 0, last);
    // The one that it joined first stands first here.
    let mut groups = vec![group(1, 1), group(2, 1)];
    let mut join = |group: Ipv6Addr| {
        if !groups.contains(&group) {
            groups.push(group);
        }
    };
    let routes = conf::v6(world.state, conf::Of::Link(link), "forwarding") != 0;
    if routes && link.extra.flags & libc::IFF_MULTICAST as u32 != 0 {
        let of_routers = [group(2, 2), group(1, 2), group(5, 2)];
        of_routers.into_iter().for_each(&mut join);
    }
    // Whoever the link answers for has such a group as well.
    let proxies = world.state.neighbours.iter().rev();
    for proxy in proxies.filter(|n| n.index == index && n.is_proxy()) {
        if let IpAddr::V6(address) = proxy.address {
            join(solicited(address));
        }
    }
    // Who is asked for an address belongs to these, and stays when ARP is switched off.
    let is_asked = !link.is_tun() && !link.is_loopback();
    let own: Vec<&Address> = world.addresses_of(index, false).collect();
    for address in own.into_iter().rev() {
        let IpAddr::V6(local) = address.local else {
            continue;
        };
        if address.flags & libc::IFA_F_MCAUTOJOIN != 0 {
            join(local);
        }
        let begun = address.flags & libc::IFA_F_TENTATIVE == 0 || address.detection.is_some();
        if begun && is_asked {
            join(solicited(local));
        }
    }
    if is_asked {
        let anycasts = address::v6::anycasts(world, index).into_iter().rev();
        anycasts.for_each(|address| join(solicited(address)));
    }
    groups.into_iter().rev().map(IpAddr::V6).collect()
}

/// Returns the group of those who are asked for an address (`addrconf_addr_solict_mult`).
fn solicited(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let last = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), last)
}

/// Appends a message about an address that several hosts have.
fn write(to: &mut Writer, head: Head, index: u32, kind: u16, address: IpAddr, now: u32) {
    // Only those of IPv6 of a site are said to have a scope.
    let of_site = match address {
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 15 == 5,
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfec0,
        IpAddr::V4(_) => false,
    };
    let (family, length) = match address {
        IpAddr::V4(_) => (INET, 32),
        IpAddr::V6(_) => (INET6, 128),
    };
    let scope = match of_site {
        true => libc::RT_SCOPE_SITE,
        false => libc::RT_SCOPE_UNIVERSE,
    };
    let mut own = [family, length, 0x80, scope, 0, 0, 0, 0];
    own[4..8].copy_from_slice(&index.to_ne_bytes());
    // struct ifa_cacheinfo: no end of lifetimes, and when it was made.
    let times = [u32::MAX, u32::MAX, now, now].map(u32::to_ne_bytes);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own)
        .ip(kind, address)
        .attribute(libc::IFA_CACHEINFO, &times.concat());
}

/// Dumps the anycast addresses: those that a link has because it hands on packets.
fn dump_anycast(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let (links, flags) = links_asked_for(world, request, false)?;
    for index in links {
        for address in address::v6::anycasts(world, index) {
            let head = request.head(libc::RTM_GETANYCAST, flags);
            write(to, head, index, IFA_ANYCAST, address.into(), world.now);
        }
    }
    Ok(())
}
