//! Neighbours of IPv4 by ioctl(2) (`arp_ioctl`).
#![forbid(unsafe_code)]

use super::head::{has_length, is_inet, may};
use crate::engine::neighbour::{self as engine, Change, Wanted};
use crate::engine::route::lookup::{self, Flow};
use crate::message::conf;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::wire::{u16_at, u32_at};
use memtun_stack::Link;
use std::net::{IpAddr, Ipv4Addr};

const SIOCDARP: u32 = 0x8953;
const SIOCGARP: u32 = 0x8954;
const SIOCSARP: u32 = 0x8955;

// struct arpreq: the address, the link-layer address, flags, a mask, and the link's name.
const LENGTH: usize = 68;
const ADDRESS: usize = 4;
const LLADDR: usize = 16;
const FLAGS: usize = 32;
const NETMASK: usize = 36;
const DEVICE: usize = 52;

const COMPLETE: u32 = 0x2;
const PERMANENT: u32 = 0x4;
const PUBLISHED: u32 = 0x8;
const HAS_MASK: u32 = 0x20;
const DO_NOT_PUBLISH: u32 = 0x40;

/// Answers a request about neighbours on a socket of `family`; None for any other request.
pub fn answer(
    world: &mut World<'_>,
    family: u32,
    request: u32,
    argument: &mut [u8],
) -> Option<Result<(), Failure>> {
    if !matches!(request, SIOCDARP | SIOCGARP | SIOCSARP) || !is_inet(family) {
        return None;
    }
    let checked = may(world, request == SIOCGARP).and_then(|()| has_length(argument, LENGTH));
    Some(checked.and_then(|()| carry_out(world, request, argument)))
}

fn carry_out(world: &mut World<'_>, request: u32, argument: &mut [u8]) -> Result<(), Failure> {
    let flags = u32_at(argument, FLAGS).unwrap_or(0);
    if u16_at(argument, 0) != Some(libc::AF_INET as u16) {
        return Err(Failure::new(libc::EPFNOSUPPORT));
    }
    if flags & PUBLISHED == 0 && flags & (HAS_MASK | DO_NOT_PUBLISH) != 0 {
        return Err(Failure::new(libc::EINVAL));
    }
    if flags & HAS_MASK == 0 {
        argument[NETMASK + 4..NETMASK + 8].fill(0xff);
    }
    let mask = u32_at(argument, NETMASK + 4).unwrap_or(0);
    if mask != 0 && mask != u32::MAX {
        return Err(Failure::new(libc::EINVAL));
    }
    let octets: [u8; 4] = argument[ADDRESS..ADDRESS + 4]
        .try_into()
        .unwrap_or_default();
    let address = Ipv4Addr::from(octets);
    let name: [u8; 16] = argument[DEVICE..LENGTH].try_into().unwrap_or_default();
    let name = Name::from_ifreq(&name);
    let link = link(world, request, &name, flags, address, argument)?;
    if request == SIOCGARP {
        let link = link.ok_or(Failure::new(libc::ENODEV))?;
        return get(world, &link, address, argument);
    }
    if flags & PUBLISHED != 0 {
        return publish(world, request, link, address, mask != 0, flags, argument);
    }
    let link = link.ok_or(Failure::new(libc::EINVAL))?;
    let index = link.extra.index;
    if request == SIOCSARP && u16_at(argument, LLADDR) != Some(link.extra.link_type) {
        return Err(Failure::new(libc::EINVAL));
    }
    if request == SIOCDARP {
        let found = engine::find(world, index, address.into(), false);
        let found = found.ok_or(Failure::new(libc::ENXIO))?;
        let only_noarp = found.state & !libc::NUD_NOARP == 0;
        let removed = engine::remove(world, index, address.into());
        return match only_noarp {
            true => Err(Failure::new(libc::ENXIO)),
            false => removed,
        };
    }
    let permanent = flags & PERMANENT != 0;
    let lladdr = argument[LLADDR + 2..FLAGS].to_vec();
    let wanted = Wanted {
        address: address.into(),
        lladdr: (permanent || flags & COMPLETE != 0).then_some(&lladdr[..]),
        state: if permanent {
            libc::NUD_PERMANENT
        } else {
            libc::NUD_STALE
        },
        protocol: 0,
        change: Change {
            replaces: true,
            ..Change::default()
        },
    };
    engine::set(world, index, &wanted, true, false)
}

/// Finds the link: by its name, or by the route to the address.
fn link(
    world: &World<'_>,
    request: u32,
    name: &Name,
    flags: u32,
    address: Ipv4Addr,
    argument: &mut [u8],
) -> Result<Option<Link>, Failure> {
    if !name.as_bytes().is_empty() {
        let link = world.link_named(name.as_bytes());
        let link = link.ok_or(Failure::new(libc::ENODEV))?;
        let kind = link.extra.link_type;
        let given = u16_at(argument, LLADDR).unwrap_or(0);
        if given == 0 {
            argument[LLADDR..LLADDR + 2].copy_from_slice(&kind.to_ne_bytes());
        } else if flags & COMPLETE != 0 && given != kind {
            return Err(Failure::new(libc::EINVAL));
        }
        return Ok(Some(link.clone()));
    }
    if request == SIOCGARP || flags & PUBLISHED != 0 {
        return Ok(None);
    }
    let flow = Flow {
        scope: libc::RT_SCOPE_LINK,
        ..Flow::to(address.into())
    };
    let found = lookup::lookup(world, &flow).map_err(Failure::new)?;
    Ok(world.link(found.index).cloned())
}

/// Stores what is known of a neighbour (`arp_req_get`).
fn get(
    world: &World<'_>,
    link: &Link,
    address: Ipv4Addr,
    argument: &mut [u8],
) -> Result<(), Failure> {
    let found = engine::find(world, link.extra.index, IpAddr::V4(address), false);
    let found = found.filter(|found| found.state & libc::NUD_NOARP == 0);
    let found = found.ok_or(Failure::new(libc::ENXIO))?;
    let length = link.extra.address.len().min(14).min(found.lladdr.len());
    argument[LLADDR + 2..LLADDR + 2 + length].copy_from_slice(&found.lladdr[..length]);
    let flags = match () {
        () if found.state & libc::NUD_PERMANENT != 0 => PERMANENT | COMPLETE,
        () if found.is_valid() => COMPLETE,
        () => 0,
    };
    argument[FLAGS..FLAGS + 4].copy_from_slice(&flags.to_ne_bytes());
    argument[LLADDR..LLADDR + 2].copy_from_slice(&link.extra.link_type.to_ne_bytes());
    argument[DEVICE..LENGTH].fill(0);
    let name = link.extra.name.as_bytes();
    argument[DEVICE..DEVICE + name.len()].copy_from_slice(name);
    Ok(())
}

/// Answers for an address, or for all (`arp_req_set_public`, `arp_req_delete_public`).
fn publish(
    world: &mut World<'_>,
    request: u32,
    link: Option<Link>,
    address: Ipv4Addr,
    one: bool,
    flags: u32,
    argument: &[u8],
) -> Result<(), Failure> {
    let sets = request == SIOCSARP;
    let mut index = link.map_or(0, |link| link.extra.index);
    if sets && index == 0 && flags & COMPLETE != 0 {
        let kind = u16_at(argument, LLADDR).unwrap_or(0);
        let lladdr = &argument[LLADDR + 2..FLAGS];
        let is_it = |link: &&Link| {
            let own = &link.extra.address;
            link.extra.link_type == kind && lladdr.get(..own.len()) == Some(&own[..])
        };
        let found = world.links.iter().find(is_it);
        index = found.ok_or(Failure::new(libc::ENODEV))?.extra.index;
    }
    match (one, sets) {
        (true, true) => {
            engine::set_proxy(world, index, address.into(), (0, 0), 0);
            Ok(())
        }
        (true, false) => engine::remove_proxy(world, index, address.into()),
        (false, _) => {
            conf::set_proxy_arp(world.state, index, sets);
            Ok(())
        }
    }
}
