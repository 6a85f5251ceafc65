//! RTM_NEWROUTE, RTM_DELROUTE.
#![forbid(unsafe_code)]

use super::words::*;
use crate::engine::route::parts::{self, Part, RTN_MAX};
use crate::engine::route::refuse;
use crate::engine::route::{object, tables, v4, v6, Cause};
use crate::netlink::policy::Mode;
use crate::netlink::request::Request;
use crate::{Failure, World};
use memtun_stack::route::{rtf, rtnh, HEADER, RTA_PREF, RTA_VIA};
use memtun_stack::wire::{Attribute, Writer, ATTRIBUTE};
use std::net::{IpAddr, Ipv6Addr};

fn cause(request: &Request<'_>) -> Cause {
    Cause {
        port: request.asker.port,
        sequence: request.message.sequence,
    }
}

fn part<'b>(attribute: Attribute<'b>) -> Part<'b> {
    Part {
        bytes: attribute.value,
        at: attribute.at + ATTRIBUTE,
    }
}

/// Refuses what encapsulates packets by its type: no such driver is here.
pub(in crate::netlink) fn check_encapsulation(kind: Option<Attribute<'_>>) -> Result<(), Failure> {
    /// LWTUNNEL_ENCAP_MAX.
    const LAST: u16 = 10;
    match kind.and_then(|a| a.u16()) {
        None => Ok(()),
        Some(1..=LAST) => {
            let text = "lwt encapsulation type not supported";
            Err(Failure::said(libc::EOPNOTSUPP, text))
        }
        Some(_) => refuse("Unknown lwt encapsulation type"),
    }
}

/// Reads what an IPv4 route shall be (`rtm_to_fib_config`).
fn config_v4<'b>(request: &Request<'b>) -> Result<v4::Config<'b>, Failure> {
    if request.message.body.len() < HEADER {
        return Err(Failure::new(libc::EINVAL));
    }
    let attributes = request.parse(HEADER, &V4, Mode::Liberal)?;
    let head = head(request);
    if head.tos & 3 != 0 {
        return refuse("Invalid dsfield (tos): ECN bits must be 0");
    }
    if head.kind > RTN_MAX {
        return refuse("Invalid route type");
    }
    let gateway = attributes.get(libc::RTA_GATEWAY);
    let via = attributes.get(RTA_VIA);
    let mut config = v4::Config {
        to: v4_of(attributes.get(libc::RTA_DST)),
        prefix: head.to,
        tos: head.tos,
        table: word(&attributes, libc::RTA_TABLE).unwrap_or(head.table.into()),
        protocol: head.protocol,
        scope: head.scope,
        kind: head.kind,
        flags: head.flags,
        index: word(&attributes, libc::RTA_OIF).unwrap_or(0),
        gateway: gateway
            .map(|a| IpAddr::V4(v4_of(Some(a))))
            .filter(|gateway| !gateway.is_unspecified()),
        priority: word(&attributes, libc::RTA_PRIORITY).unwrap_or(0),
        source: v4_of(attributes.get(libc::RTA_PREFSRC)),
        metrics: attributes.get(libc::RTA_METRICS).map(part),
        multipath: attributes.get(libc::RTA_MULTIPATH).map(part),
        realm: word(&attributes, libc::RTA_FLOW).unwrap_or(0),
        object: word(&attributes, RTA_NH_ID).unwrap_or(0),
        how: request.message.flags.into(),
        cause: cause(request),
    };
    if let Some(via) = via {
        config.gateway = Some(v4::via(via.value)?);
    }
    check_encapsulation(attributes.get(RTA_ENCAP_TYPE))?;
    v4::check_prefix(config.to, config.prefix)?;
    let hop = config.index != 0 || config.gateway.is_some() || config.multipath.is_some();
    if config.object != 0 && hop {
        return refuse("Nexthop specification and nexthop id are mutually exclusive");
    }
    if gateway.is_some() && via.is_some() {
        return refuse("Nexthop configuration can not contain both GATEWAY and VIA");
    }
    if config.table == 0 {
        config.table = libc::RT_TABLE_MAIN.into();
    }
    Ok(config)
}

/// Refuses to delete a route with an object of next hops that is not there.
fn check_object(world: &World<'_>, id: u32) -> Result<(), Failure> {
    match id != 0 && object::find(world.state, id).is_none() {
        true => refuse(object::NOTHING),
        false => Ok(()),
    }
}

pub(super) fn new_v4(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    let config = config_v4(request)?;
    v4::add(world, &config)
}

pub(super) fn delete_v4(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    let config = config_v4(request)?;
    check_object(world, config.object)?;
    if !tables::has_v4(world, config.table) {
        return Err(Failure::said(libc::ESRCH, "FIB table does not exist"));
    }
    v4::delete(world, &config)
}

/// Reads what an IPv6 route shall be (`rtm_to_fib6_config`).
fn config_v6<'b>(request: &Request<'b>, new: bool) -> Result<v6::Config<'b>, Failure> {
    let attributes = request.parse(HEADER, &V6, Mode::Liberal)?;
    let head = head(request);
    if head.tos != 0 {
        return refuse("Invalid dsfield (tos): option not available for IPv6");
    }
    if let Some(label) = attributes.get(RTA_FLOWLABEL) {
        let text = "Flow label cannot be specified for this operation";
        return Err(Failure::said(libc::EINVAL, text).at(label.at));
    }
    let mut config = v6::Config {
        prefix: head.to,
        from: (Ipv6Addr::UNSPECIFIED, head.from),
        table: head.table.into(),
        protocol: head.protocol,
        kind: head.kind,
        onlink: head.flags & rtnh::ONLINK != 0,
        how: Some(request.message.flags.into()),
        all_hops: !new,
        cause: cause(request),
        ..v6::Config::default()
    };
    match head.kind {
        libc::RTN_UNREACHABLE | libc::RTN_BLACKHOLE | libc::RTN_PROHIBIT | libc::RTN_THROW => {
            config.flags |= rtf::REJECT;
        }
        libc::RTN_LOCAL => config.flags |= rtf::LOCAL,
        _ => {}
    }
    if head.flags & RTM_F_CLONED != 0 {
        config.flags |= rtf::CACHE;
    }
    // The kernel keeps this flag of a next hop among those of the route.
    config.flags |= head.flags & rtnh::ONLINK;
    config.object = word(&attributes, RTA_NH_ID);
    let has_id = config.object.is_some();
    let hop = [
        libc::RTA_GATEWAY,
        libc::RTA_OIF,
        libc::RTA_MULTIPATH,
        RTA_ENCAP,
    ];
    if has_id && hop.iter().any(|kind| attributes.has(*kind)) {
        return refuse("Nexthop specification and nexthop id are mutually exclusive");
    }
    if let Some(gateway) = v6_of(attributes.get(libc::RTA_GATEWAY)) {
        config.gateway = gateway;
        config.flags |= rtf::GATEWAY;
    }
    if attributes.has(RTA_VIA) {
        return refuse("IPv6 does not support RTA_VIA attribute");
    }
    let prefix = |kind, length: u8| -> Result<Ipv6Addr, Failure> {
        match attributes.get(kind) {
            None => Ok(Ipv6Addr::UNSPECIFIED),
            Some(a) => {
                let length = usize::from(length.div_ceil(8));
                let part = a.value.get(..length).ok_or(Failure::new(libc::EINVAL))?;
                let mut bytes = [0; 16];
                // A length of more than 128 bits is refused later.
                let length = length.min(16);
                bytes[..length].copy_from_slice(&part[..length]);
                Ok(bytes.into())
            }
        }
    };
    config.to = prefix(libc::RTA_DST, head.to)?;
    config.from.0 = prefix(libc::RTA_SRC, head.from)?;
    if let Some(source) = v6_of(attributes.get(libc::RTA_PREFSRC)) {
        config.source = source;
    }
    config.index = word(&attributes, libc::RTA_OIF).unwrap_or(0);
    config.priority = word(&attributes, libc::RTA_PRIORITY).unwrap_or(0);
    config.metrics = attributes.get(libc::RTA_METRICS).map(part);
    if let Some(table) = word(&attributes, libc::RTA_TABLE) {
        config.table = table;
    }
    if let Some(multipath) = attributes.get(libc::RTA_MULTIPATH) {
        config.multipath = Some(part(multipath));
        check_multipath(&config, part(multipath), new && has_id, new)?;
    }
    if let Some(preference) = attributes.get(RTA_PREF).and_then(|a| a.u8()) {
        // Low and high; everything else is medium.
        config.preference = if matches!(preference, 1 | 3) {
            preference
        } else {
            0
        };
        config.flags |= u32::from(config.preference) << 27;
    }
    check_encapsulation(attributes.get(RTA_ENCAP_TYPE))?;
    if let Some(seconds) = word(&attributes, RTA_EXPIRES).filter(|seconds| *seconds != u32::MAX) {
        config.expires = seconds.saturating_mul(100);
        config.flags |= rtf::EXPIRES;
    }
    Ok(config)
}

/// `rtm_to_fib6_multipath_config`.
fn check_multipath(
    config: &v6::Config<'_>,
    part: Part<'_>,
    has_id: bool,
    new: bool,
) -> Result<(), Failure> {
    let (hops, _) = parts::hops(part);
    if hops.is_empty() {
        return refuse("Invalid nexthop configuration - no valid nexthops");
    }
    for hop in hops {
        let mut has_gateway = config.flags & rtf::GATEWAY != 0;
        if let Some(gateway) = hop.find(libc::RTA_GATEWAY) {
            if gateway.value.len() < 16 {
                return refuse("Invalid IPv6 address in RTA_GATEWAY");
            }
            has_gateway = true;
        }
        if new && (has_id || !has_gateway) {
            return refuse("Device only routes can not be added for IPv6 using the multipath API.");
        }
    }
    Ok(())
}

pub(super) fn new_v6(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    let mut config = config_v6(request, true)?;
    if config.priority == 0 {
        config.priority = v6::PRIORITY;
    }
    v6::add(world, &config)
}

pub(super) fn delete_v6(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    let config = config_v6(request, false)?;
    check_object(world, config.object.unwrap_or(0))?;
    v6::delete(world, &config)
}
