//! Routes of IPv4 by ioctl(2) (`ip_rt_ioctl`).
#![forbid(unsafe_code)]

use super::head::{has_length, is_inet, may};
use crate::engine::route::parts::Part;
use crate::engine::route::v4::{self, Config};
use crate::engine::route::{lookup, tables};
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::route::rtf;
use memtun_stack::wire::{u16_at, Writer};
use std::net::{IpAddr, Ipv4Addr};

/// Length of `struct rtentry`. The name of its interface, to which it points in the program's
/// memory, stands behind it in 16 bytes, zeroes for none.
pub const ENTRY: usize = 120;

const SIOCADDRT: u32 = libc::SIOCADDRT as u32;
const SIOCDELRT: u32 = libc::SIOCDELRT as u32;
const SIOCRTMSG: u32 = 0x890d;

// Flags and metrics of struct rtentry.
const RTF_MTU: u32 = 0x40;
const RTF_WINDOW: u32 = 0x80;
const RTF_IRTT: u32 = 0x100;
const RTAX_WINDOW: u16 = 3;
const RTAX_RTT: u16 = 4;
const RTAX_ADVMSS: u16 = 8;

/// Answers a request about IPv4 routes on a socket of `family`; None for any other request.
pub fn answer(
    world: &mut World<'_>,
    family: u32,
    request: u32,
    argument: &mut [u8],
) -> Option<Result<(), Failure>> {
    if !is_inet(family) || ![SIOCADDRT, SIOCDELRT, SIOCRTMSG].contains(&request) {
        return None;
    }
    if request == SIOCRTMSG {
        return Some(Err(Failure::new(libc::EINVAL)));
    }
    let checked = has_length(argument, ENTRY).and_then(|()| may(world, false));
    Some(checked.and_then(|()| carry_out(world, request == SIOCADDRT, argument)))
}

/// Returns the family and the address of a `struct sockaddr_in`.
fn address(argument: &[u8], at: usize) -> (i32, Ipv4Addr) {
    let family = u16_at(argument, at).unwrap_or(0);
    let octets: [u8; 4] = argument[at + 4..at + 8].try_into().unwrap_or_default();
    (family.into(), octets.into())
}

/// Reads a number of 8 bytes in the machine's order.
fn long(argument: &[u8], at: usize) -> u64 {
    let bytes: [u8; 8] = argument[at..at + 8].try_into().unwrap_or_default();
    u64::from_ne_bytes(bytes)
}

/// `rtentry_to_fib_config`, and what follows.
fn carry_out(world: &mut World<'_>, add: bool, argument: &[u8]) -> Result<(), Failure> {
    let fail = |errno| Err(Failure::new(errno));
    let (family, to) = address(argument, 8);
    let flags = u32::from(u16_at(argument, 56).unwrap_or(0));
    if family != libc::AF_INET {
        return fail(libc::EAFNOSUPPORT);
    }
    let mut config = Config {
        to,
        prefix: 32,
        ..Config::default()
    };
    if flags & rtf::HOST == 0 {
        let (family, mask) = address(argument, 40);
        if family != libc::AF_INET && (!mask.is_unspecified() || family != 0) {
            return fail(libc::EAFNOSUPPORT);
        }
        let bits = u32::from(mask);
        if bits.leading_ones() != bits.count_ones() || u32::from(to) & !bits != 0 {
            return fail(libc::EINVAL);
        }
        config.prefix = bits.count_ones() as u8;
    }
    if add {
        config.how = libc::NLM_F_CREATE;
        config.protocol = libc::RTPROT_BOOT;
    }
    // The metric is one more than the priority.
    let metric = u16_at(argument, 80).unwrap_or(0) as i16;
    if metric != 0 {
        config.priority = (i32::from(metric) - 1) as u32;
    }
    let mut metrics = Writer::default();
    metrics.message(0, 0, 0, 0);
    if flags & rtf::REJECT != 0 {
        config.scope = libc::RT_SCOPE_HOST;
        config.kind = libc::RTN_UNREACHABLE;
    } else {
        config.scope = libc::RT_SCOPE_NOWHERE;
        config.kind = libc::RTN_UNICAST;
        find_link(world, argument, &mut config)?;
        let (family, gateway) = address(argument, 24);
        if family == libc::AF_INET && !gateway.is_unspecified() {
            config.gateway = Some(IpAddr::V4(gateway));
            let kind = lookup::type_of(world, gateway, config.table);
            if flags & rtf::GATEWAY != 0 && kind == libc::RTN_UNICAST {
                config.scope = libc::RT_SCOPE_UNIVERSE;
            }
        }
        if add {
            if flags & rtf::GATEWAY != 0 && config.gateway.is_none() {
                return fail(libc::EINVAL);
            }
            if config.scope == libc::RT_SCOPE_NOWHERE {
                config.scope = libc::RT_SCOPE_LINK;
            }
            if flags & RTF_MTU != 0 {
                metrics.u32(RTAX_ADVMSS, (long(argument, 96) as u32).wrapping_sub(40));
            }
            if flags & RTF_WINDOW != 0 {
                metrics.u32(RTAX_WINDOW, long(argument, 104) as u32);
            }
            if flags & RTF_IRTT != 0 {
                metrics.u32(RTAX_RTT, u32::from(u16_at(argument, 112).unwrap_or(0)) << 3);
            }
        }
    }
    let bytes = &metrics.bytes()[memtun_stack::wire::HEADER..];
    config.metrics = (!bytes.is_empty()).then_some(Part { bytes, at: 0 });
    if add {
        v4::add(world, &config)
    } else if tables::has_v4(world, config.table) {
        v4::delete(world, &config)
    } else {
        fail(libc::ESRCH)
    }
}

/// Finds the interface that is named, and the address of the alias if it is one.
fn find_link(world: &World<'_>, argument: &[u8], config: &mut Config<'_>) -> Result<(), Failure> {
    if long(argument, 88) == 0 {
        return Ok(());
    }
    let missing = || Failure::new(libc::ENODEV);
    let name = argument
        .get(ENTRY..ENTRY + 16)
        .and_then(|bytes| bytes.try_into().ok());
    let name = Name::from_ifreq(name.ok_or(Failure::new(libc::EFAULT))?);
    let bytes = name.as_bytes();
    let colon = bytes.iter().position(|b| *b == b':');
    let link = world.link_named(&bytes[..colon.unwrap_or(bytes.len())]);
    config.index = link.ok_or_else(missing)?.extra.index;
    if colon.is_some() {
        let mut addresses = world.addresses_of(config.index, true);
        let alias = addresses.find(|address| address.label == name);
        if let IpAddr::V4(source) = alias.ok_or_else(missing)?.local {
            config.source = source;
        }
    }
    Ok(())
}
