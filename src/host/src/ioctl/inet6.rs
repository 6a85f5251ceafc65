//! Addresses and routes of IPv6 by ioctl(2) (`inet6_ioctl`).
#![forbid(unsafe_code)]

use crate::engine::address::v6::{self as addresses, Wanted};
use crate::engine::route::v6::{self as routes, Config};
use crate::{Failure, World};
use memtun_stack::route::rtnh;
use memtun_stack::wire::{u16_at, u32_at};
use std::net::Ipv6Addr;

/// Length of `struct in6_ifreq`.
pub const REQUEST: usize = 24;
/// Length of `struct in6_rtmsg`.
pub const ENTRY: usize = 80;

const SIOCADDRT: u32 = libc::SIOCADDRT as u32;
const SIOCDELRT: u32 = libc::SIOCDELRT as u32;
const SIOCSIFADDR: u32 = 0x8916;
const SIOCSIFDSTADDR: u32 = 0x8918;
const SIOCDIFADDR: u32 = 0x8936;

/// Answers a request about IPv6 addresses and routes on a socket of `family`; None for any other
/// request.
pub fn answer(
    world: &mut World<'_>,
    family: u32,
    request: u32,
    argument: &mut [u8],
) -> Option<Result<(), Failure>> {
    if family != libc::AF_INET6 as u32 {
        return None;
    }
    let length = match request {
        SIOCADDRT | SIOCDELRT => ENTRY,
        SIOCSIFADDR | SIOCDIFADDR => REQUEST,
        // It is for tunnels of IPv6 in IPv4, which the kernels of our time are built without.
        SIOCSIFDSTADDR => return Some(Err(Failure::new(libc::ENODEV))),
        _ => return None,
    };
    // Addresses are refused before, routes after what the program's memory holds is read.
    let allowed = world.devices.may_configure();
    if !allowed && length == REQUEST {
        return Some(Err(Failure::new(libc::EPERM)));
    }
    let Some(argument) = argument.get(..length) else {
        return Some(Err(Failure::new(libc::EFAULT)));
    };
    if !allowed {
        return Some(Err(Failure::new(libc::EPERM)));
    }
    Some(match request {
        SIOCADDRT | SIOCDELRT => route(world, request == SIOCADDRT, argument),
        _ => address(world, request == SIOCSIFADDR, argument),
    })
}

fn v6_at(argument: &[u8], at: usize) -> Ipv6Addr {
    let octets: [u8; 16] = argument[at..at + 16].try_into().unwrap_or_default();
    octets.into()
}

fn word(argument: &[u8], at: usize) -> u32 {
    u32_at(argument, at).unwrap_or(0)
}

/// A length that fits none of the shorter type is as impossible as the longest.
fn length(bits: u32) -> u8 {
    u8::try_from(bits).unwrap_or(u8::MAX)
}

/// `addrconf_add_ifaddr`, `addrconf_del_ifaddr`.
fn address(world: &mut World<'_>, add: bool, argument: &[u8]) -> Result<(), Failure> {
    let (local, prefix) = (v6_at(argument, 0), word(argument, 16));
    let index = word(argument, 20);
    if !add {
        return addresses::delete(world, index, local, prefix);
    }
    world.link(index).ok_or(Failure::new(libc::ENODEV))?;
    addresses::add(world, index, &Wanted::permanent(local, length(prefix)))
}

/// `ipv6_route_ioctl`.
fn route(world: &mut World<'_>, add: bool, argument: &[u8]) -> Result<(), Failure> {
    let flags = word(argument, 72);
    let short = |at| length(u16_at(argument, at).unwrap_or(0).into());
    let mut config = Config {
        to: v6_at(argument, 0),
        prefix: short(52),
        from: (v6_at(argument, 16), short(54)),
        kind: length(word(argument, 48) & 0xffff),
        flags,
        onlink: flags & rtnh::ONLINK != 0,
        index: word(argument, 76),
        gateway: v6_at(argument, 32),
        priority: word(argument, 56),
        preference: (flags >> 27 & 3) as u8,
        expires: word(argument, 64),
        ..Config::default()
    };
    if add {
        if config.priority == 0 {
            config.priority = routes::PRIORITY;
        }
        return routes::add(world, &config);
    }
    routes::delete(world, &config)
}
