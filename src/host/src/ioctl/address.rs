//! Addresses of IPv4 by ioctl(2) (`devinet_ioctl`).
#![forbid(unsafe_code)]

use super::head::{has_length, is_inet, may};
use crate::engine::address::v4;
use crate::engine::place::Place;
use crate::engine::route::Cause;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::wire::u16_at;
use memtun_stack::{Address, Link};
use std::net::{IpAddr, Ipv4Addr};

/// Length of `struct ifreq`.
const REQUEST: usize = 40;
/// Where the family of the address stands in it, and where the address.
const FAMILY: usize = 16;
const ADDRESS: usize = 20;

const SIOCSIFFLAGS: u32 = libc::SIOCSIFFLAGS as u32;
const SIOCGIFADDR: u32 = libc::SIOCGIFADDR as u32;
const SIOCSIFADDR: u32 = 0x8916;
const SIOCGIFDSTADDR: u32 = 0x8917;
const SIOCSIFDSTADDR: u32 = 0x8918;
const SIOCGIFBRDADDR: u32 = 0x8919;
const SIOCSIFBRDADDR: u32 = 0x891a;
const SIOCGIFNETMASK: u32 = 0x891b;
const SIOCSIFNETMASK: u32 = 0x891c;

/// Answers a request about IPv4 addresses on a socket of `family`; None for any other request.
/// SIOCSIFFLAGS is answered for an alias (`tun0:1`) only.
pub fn answer(
    world: &mut World<'_>,
    family: u32,
    request: u32,
    argument: &mut [u8],
) -> Option<Result<(), Failure>> {
    let asks = matches!(
        request,
        SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK
    );
    let sets = matches!(
        request,
        SIOCSIFADDR | SIOCSIFDSTADDR | SIOCSIFBRDADDR | SIOCSIFNETMASK
    );
    let name = || Some(Name::from_ifreq(argument.get(..16)?.try_into().ok()?));
    let alias = request == SIOCSIFFLAGS && name().is_some_and(|n| n.as_bytes().contains(&b':'));
    if !alias && !(is_inet(family) && (asks || sets)) {
        return None;
    }
    let checked = has_length(argument, REQUEST).and_then(|()| may(world, asks));
    if let Err(failure) = checked {
        return Some(Err(failure));
    }
    let whole = name().unwrap_or_default();
    let given = u16_at(argument, FAMILY) == Some(libc::AF_INET as u16);
    if sets && !given {
        return Some(Err(Failure::new(libc::EINVAL)));
    }
    Some(carry_out(world, request, &whole, given, argument))
}

fn carry_out(
    world: &mut World<'_>,
    request: u32,
    label: &Name,
    given: bool,
    argument: &mut [u8],
) -> Result<(), Failure> {
    let octets: [u8; 4] = argument[ADDRESS..ADDRESS + 4]
        .try_into()
        .unwrap_or_default();
    let wanted = Ipv4Addr::from(octets);
    let bytes = label.as_bytes();
    let end = bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len());
    let link = world.link_named(&bytes[..end]).cloned();
    let link = link.ok_or(Failure::new(libc::ENODEV))?;
    let places = world.address_places(link.extra.index, true);
    let labelled = |place: &&Place| world.address(**place).label == *label;
    let asks = request == SIOCGIFADDR
        || request == SIOCGIFDSTADDR
        || request == SIOCGIFBRDADDR
        || request == SIOCGIFNETMASK;
    let exact =
        |place: &&Place| asks && given && world.address(**place).local == IpAddr::V4(wanted);
    let mut found = places.iter().filter(labelled).find(exact).copied();
    found = found.or_else(|| places.iter().find(labelled).copied());
    let address = found.map(|place| *world.address(place));
    let missing = || Failure::new(libc::EADDRNOTAVAIL);
    if request == SIOCSIFFLAGS {
        let place = found.ok_or_else(missing)?;
        let up = u16_at(argument, FAMILY).unwrap_or(0) & libc::IFF_UP as u16 != 0;
        if !up {
            v4::remove(world, place, Cause::default());
        }
        return Ok(());
    }
    if request == SIOCSIFADDR {
        return set_address(world, &link, label, found, wanted);
    }
    let (Some(place), Some(address)) = (found, address) else {
        return Err(missing());
    };
    if asks {
        let value = match request {
            SIOCGIFADDR => v4_of(address.local),
            SIOCGIFDSTADDR => v4_of(address.peer),
            SIOCGIFBRDADDR => address.broadcast.unwrap_or(Ipv4Addr::UNSPECIFIED),
            _ => mask(address.prefix),
        };
        argument[FAMILY..FAMILY + 16].fill(0);
        argument[FAMILY..FAMILY + 2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        argument[ADDRESS..ADDRESS + 4].copy_from_slice(&value.octets());
        return Ok(());
    }
    let mut changed = address;
    match request {
        SIOCSIFBRDADDR => changed.broadcast = Some(wanted).filter(|b| !b.is_unspecified()),
        SIOCSIFDSTADDR => {
            if address.peer != IpAddr::V4(wanted) && class(wanted).is_none() {
                return Err(Failure::new(libc::EINVAL));
            }
            changed.peer = wanted.into();
        }
        _ => {
            let bits = u32::from(wanted);
            if bits.leading_ones() != bits.count_ones() {
                return Err(Failure::new(libc::EINVAL));
            }
            changed.prefix = bits.count_ones() as u8;
            let usual = u32::from(v4_of(address.local)) | !u32::from(mask(address.prefix));
            let broadcasts = link.extra.flags & libc::IFF_BROADCAST as u32 != 0;
            let is_usual = address.broadcast.map_or(0, u32::from) == usual;
            if broadcasts && changed.prefix < 31 && is_usual {
                let usual = u32::from(v4_of(address.local)) | !bits;
                changed.broadcast = Some(usual.into());
            }
        }
    }
    if changed != address {
        v4::remove(world, place, Cause::default());
        // The kernel ignores as well what inserting it again fails with.
        let _ = v4::insert(world, changed, Cause::default());
    }
    Ok(())
}

fn v4_of(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn mask(prefix: u8) -> Ipv4Addr {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32)));
    bits.unwrap_or(0).into()
}

/// Returns the length of the prefix of the class of an address (`inet_abc_len`); None for a
/// multicast address.
fn class(address: Ipv4Addr) -> Option<u8> {
    if address.is_unspecified() || address.is_broadcast() {
        return Some(0);
    }
    match address.octets()[0] {
        0..=127 => Some(8),
        128..=191 => Some(16),
        192..=223 => Some(24),
        224..=239 => None,
        _ => Some(32),
    }
}

fn set_address(
    world: &mut World<'_>,
    link: &Link,
    label: &Name,
    found: Option<Place>,
    wanted: Ipv4Addr,
) -> Result<(), Failure> {
    let class = class(wanted).ok_or(Failure::new(libc::EINVAL))?;
    let index = link.extra.index;
    let mut address: Address = match found {
        None => v4::plain(index, wanted, class, *label, world.now),
        Some(place) => {
            if world.address(place).local == IpAddr::V4(wanted) {
                return Ok(());
            }
            let before = v4::remove(world, place, Cause::default());
            Address {
                broadcast: None,
                scope: libc::RT_SCOPE_UNIVERSE,
                ..before
            }
        }
    };
    (address.local, address.peer) = (wanted.into(), wanted.into());
    let flags = link.extra.flags;
    if flags & libc::IFF_POINTOPOINT as u32 == 0 {
        address.prefix = class;
        if flags & libc::IFF_BROADCAST as u32 != 0 && class < 31 {
            let all = u32::from(wanted) | !u32::from(mask(class));
            address.broadcast = Some(all.into());
        }
    } else {
        address.prefix = 32;
    }
    v4::set_lifetimes(&mut address, u32::MAX, u32::MAX, world.now);
    if wanted.is_loopback() {
        address.scope = libc::RT_SCOPE_HOST;
    }
    crate::engine::link::is_settled(world, index);
    if wanted.is_unspecified() {
        return Ok(());
    }
    v4::insert(world, address, Cause::default())
}
