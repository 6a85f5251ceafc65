//! RTM_GETROUTE: the way of a packet.
#![forbid(unsafe_code)]

use super::words::*;
use crate::engine::route::lookup::{self, Flow};
use crate::engine::route::{told, v6};
use crate::netlink::policy::{Mode, Parsed};
use crate::netlink::request::Request;
use crate::{Failure, World};
use memtun_stack::address::Head as AnswerHead;
use memtun_stack::route::{HEADER, RTA_PREF, RTA_VIA};
use memtun_stack::wire::{u32_at, Writer};
use memtun_stack::Route;
use std::net::{IpAddr, Ipv6Addr};

/// Checks and reads a question for the way of a packet (`inet_rtm_valid_getroute_req`,
/// `inet6_rtm_valid_getroute_req`).
fn question<'b>(request: &Request<'b>, v4: bool) -> Result<Parsed<'b>, Failure> {
    let (module, what, length) = match v4 {
        true => ("ipv4", "route get request", 32),
        false => ("ipv6", "get route request", 128),
    };
    let refuse = |text: String| Err(Failure::said(libc::EINVAL, format!("{module}: {text}")));
    if request.message.body.len() < HEADER {
        return refuse(format!("Invalid header for {what}"));
    }
    let table = if v4 { &V4 } else { &V6 };
    if !request.is_strict() {
        return request.parse(HEADER, table, Mode::Liberal);
    }
    let head = head(request);
    let odd = |given: u8| given != 0 && given != length;
    if odd(head.from) || odd(head.to) || head.table | head.protocol | head.scope | head.kind != 0 {
        return refuse(format!("Invalid values in header for {what}"));
    }
    let flags = match v4 {
        true => RTM_F_NOTIFY | RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH,
        false => RTM_F_FIB_MATCH,
    };
    if head.flags & !flags != 0 {
        return match v4 {
            true => refuse(format!("Unsupported rtm_flags for {what}")),
            false => Err(Failure::said(
                libc::EINVAL,
                "ipv6: Invalid flags for get route request",
            )),
        };
    }
    let attributes = request.parse(HEADER, table, Mode::Known)?;
    let without = |kind, length| attributes.has(kind) && length == 0;
    if without(libc::RTA_SRC, head.from) || without(libc::RTA_DST, head.to) {
        let family = if v4 { "IPv4" } else { "IPv6" };
        return refuse(format!(
            "rtm_src_len and rtm_dst_len must be {length} for {family}"
        ));
    }
    if let Some(label) = attributes.get(RTA_FLOWLABEL).filter(|_| !v4) {
        if u32_at(label.value, 0).is_some_and(|label| u32::from_be(label) & !0xf_ffff != 0) {
            return Err(Failure::said(libc::EINVAL, "Invalid flow label").at(label.at));
        }
    }
    let known = |kind| match kind {
        libc::RTA_SRC | libc::RTA_DST | libc::RTA_IIF | libc::RTA_OIF => true,
        RTA_MARK | RTA_UID | RTA_SPORT | RTA_DPORT | RTA_IP_PROTO => true,
        RTA_FLOWLABEL => !v4,
        _ => false,
    };
    if attributes.iter().any(|a| !known(a.kind)) {
        return refuse(format!("Unsupported attribute in {what}"));
    }
    Ok(attributes)
}

/// Reads the flow that is asked for.
fn flow_of(
    request: &Request<'_>,
    attributes: &Parsed<'_>,
    mut flow: Flow,
) -> Result<Flow, Failure> {
    let port = |kind| {
        let port = attributes.get(kind).and_then(|a| a.u16());
        u16::from_be(port.unwrap_or(0))
    };
    if let Some(protocol) = attributes.get(RTA_IP_PROTO).and_then(|a| a.u8()) {
        let icmp = match flow.to {
            IpAddr::V4(_) => libc::IPPROTO_ICMP,
            IpAddr::V6(_) => libc::IPPROTO_ICMPV6,
        };
        if ![libc::IPPROTO_TCP, libc::IPPROTO_UDP, icmp].contains(&protocol.into()) {
            return Err(Failure::said(libc::EOPNOTSUPP, "Unsupported ip proto"));
        }
        flow.protocol = protocol;
    }
    let iif = word(attributes, libc::RTA_IIF).unwrap_or(0);
    flow.mark = word(attributes, RTA_MARK).unwrap_or(0);
    flow.uid = match word(attributes, RTA_UID) {
        Some(uid) => Some(uid),
        None => (iif == 0).then_some(request.asker.uid),
    };
    flow.ports = (port(RTA_SPORT), port(RTA_DPORT));
    flow.tos = head(request).tos & 0xfc;
    flow.oif = word(attributes, libc::RTA_OIF).unwrap_or(0);
    if iif != 0 {
        flow.iif = iif;
    }
    Ok(flow)
}

/// Appends the metrics of a route.
fn write_metrics(to: &mut Writer, route: Option<&Route>) {
    if let Some(route) = route {
        route.write_metrics(to);
    }
}

/// Appends `struct rta_cacheinfo` of a route that is looked up, of which nothing is known.
fn write_cache(to: &mut Writer) {
    to.attribute(libc::RTA_CACHEINFO, &[0; 32]);
}

fn write_gateway(to: &mut Writer, gateway: Option<IpAddr>, v4: bool) {
    match gateway {
        Some(IpAddr::V6(gateway)) if v4 => {
            let mut via = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
            via.extend(gateway.octets());
            to.attribute(RTA_VIA, &via);
        }
        Some(gateway) => {
            to.ip(libc::RTA_GATEWAY, gateway);
        }
        None => {}
    }
}

/// `inet_rtm_getroute`, `rt_fill_info`.
pub(super) fn get_v4(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let attributes = question(request, true)?;
    let head = head(request);
    let (dst, src) = (
        v4_of(attributes.get(libc::RTA_DST)),
        v4_of(attributes.get(libc::RTA_SRC)),
    );
    let flow = Flow {
        from: src.into(),
        ..Flow::to(dst.into())
    };
    let flow = flow_of(request, &attributes, flow)?;
    let iif = word(&attributes, libc::RTA_IIF).filter(|iif| *iif != 0);
    let found = match iif {
        Some(iif) => {
            world.link(iif).ok_or(Failure::new(libc::ENODEV))?;
            lookup::input_v4(world, &flow)
        }
        None => lookup::lookup(world, &flow),
    };
    let found = found.map_err(Failure::new)?;
    let mut table = u32::from(libc::RT_TABLE_MAIN);
    let route = found.hit.as_ref().map(|hit| &hit.route);
    if head.flags & RTM_F_LOOKUP_TABLE != 0 {
        table = route.map_or(0, |route| lookup::searched(world, route));
    }
    let answer = request.head(libc::RTM_NEWROUTE, 0);
    if head.flags & RTM_F_FIB_MATCH != 0 {
        let Some(route) = route else {
            return Err(Failure::new(libc::EHOSTUNREACH));
        };
        let shown = Route {
            table,
            kind: found.kind,
            ..route.clone()
        };
        told::shown(world, &shown).write(to, answer, Some(world.now));
        return Ok(());
    }
    let mut flags = found.flags & 0xffff_0000 | RTM_F_CLONED;
    if head.flags & RTM_F_NOTIFY != 0 {
        flags |= RTM_F_NOTIFY | RTCF_NOTIFY;
    }
    let shown = u8::try_from(table).unwrap_or(libc::RT_TABLE_COMPAT);
    let from = if src.is_unspecified() { 0 } else { 32 };
    let mut own = [0; HEADER];
    let tos = route.map_or(0, |route| route.tos);
    own[..8].copy_from_slice(&[libc::AF_INET as u8, 32, from, tos, shown, 0, 0, found.kind]);
    own[8..].copy_from_slice(&flags.to_ne_bytes());
    to.message(answer.kind, answer.flags, answer.sequence, answer.port)
        .raw(&own)
        .u32(libc::RTA_TABLE, table)
        .ip(libc::RTA_DST, dst.into());
    if from != 0 {
        to.ip(libc::RTA_SRC, src.into());
    }
    to.u32(libc::RTA_OIF, found.index);
    let hop = found.hit.as_ref().and_then(lookup::Hit::hop);
    if let Some(hop) = hop.filter(|hop| hop.realm != 0 && found.kind == libc::RTN_UNICAST) {
        to.u32(libc::RTA_FLOW, hop.realm);
    }
    if iif.is_none() && found.source != IpAddr::V4(src) {
        to.ip(libc::RTA_PREFSRC, found.source);
    }
    write_gateway(to, found.gateway, true);
    // A default route is not one of multicast packets, and none is one of a broadcast.
    let metrics = route.filter(|route| match found.kind {
        libc::RTN_BROADCAST => false,
        libc::RTN_MULTICAST => route.prefix >= 4,
        _ => true,
    });
    write_metrics(to, metrics);
    if flow.mark != 0 {
        to.u32(RTA_MARK, flow.mark);
    }
    if let Some(uid) = flow.uid {
        to.u32(RTA_UID, uid);
    }
    if let Some(iif) = iif {
        to.u32(libc::RTA_IIF, iif);
    }
    write_cache(to);
    Ok(())
}

/// Appends an IPv6 route with the interface by which a packet came, which stands behind the
/// destination.
fn write_with_iif(to: &mut Writer, route: &Route, answer: AnswerHead, iif: u32, now: u32) {
    let mut whole = Writer::default();
    route.write(&mut whole, answer, Some(now));
    let body = &whole.bytes()[memtun_stack::wire::HEADER..];
    to.message(answer.kind, answer.flags, answer.sequence, answer.port)
        .raw(&body[..HEADER]);
    let mut told = false;
    for attribute in memtun_stack::wire::Attributes::behind(body, HEADER) {
        let before = [libc::RTA_TABLE, libc::RTA_DST, libc::RTA_SRC];
        if !told && !before.contains(&attribute.kind) {
            to.u32(libc::RTA_IIF, iif);
            told = true;
        }
        to.attribute(attribute.kind, attribute.value);
    }
}

/// `inet6_rtm_getroute`, `rt6_fill_node`.
pub(super) fn get_v6(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let attributes = question(request, false)?;
    let address = |kind| match attributes.get(kind) {
        None => Ok(Ipv6Addr::UNSPECIFIED),
        some => v6_of(some).ok_or(Failure::new(libc::EINVAL)),
    };
    let (src, dst) = (address(libc::RTA_SRC)?, address(libc::RTA_DST)?);
    let flow = Flow {
        from: src.into(),
        ..Flow::to(dst.into())
    };
    let mut flow = flow_of(request, &attributes, flow)?;
    let iif = word(&attributes, libc::RTA_IIF).filter(|iif| *iif != 0);
    if let Some(iif) = iif {
        world.link(iif).ok_or(Failure::new(libc::ENODEV))?;
        // What never leaves a link is sought on the link by which it came.
        flow.oif = match lookup::needs_interface(dst) {
            true => iif,
            false => 0,
        };
    }
    let found = lookup::lookup(world, &flow).map_err(Failure::new)?;
    let Some(hit) = &found.hit else {
        return Err(Failure::new(libc::ENETUNREACH));
    };
    let route = &hit.route;
    if iif.is_some() && route.to.is_multicast() {
        // No routing of multicast packets knows this one.
        return Err(Failure::new(libc::EMSGSIZE));
    }
    let answer = request.head(libc::RTM_NEWROUTE, 0);
    if head(request).flags & RTM_F_FIB_MATCH != 0 {
        match iif {
            None => {
                let whole = v6::whole(world, route);
                told::shown(world, &whole).write(to, answer, Some(world.now));
            }
            Some(iif) => {
                write_with_iif(to, &v6::whole(world, route), answer, iif, world.now);
            }
        }
        return Ok(());
    }
    let shown = u8::try_from(route.table).unwrap_or(libc::RT_TABLE_COMPAT);
    let mut own = [0; HEADER];
    own[..8].copy_from_slice(&[
        libc::AF_INET6 as u8,
        128,
        128,
        0,
        shown,
        route.protocol,
        0,
        route.kind,
    ]);
    to.message(answer.kind, answer.flags, answer.sequence, answer.port)
        .raw(&own)
        .u32(libc::RTA_TABLE, route.table)
        .ip(libc::RTA_DST, dst.into())
        .ip(libc::RTA_SRC, src.into());
    match iif {
        Some(iif) => {
            to.u32(libc::RTA_IIF, iif);
        }
        None => {
            let source = lookup::source_v6(world, hit, dst);
            if !source.is_unspecified() {
                to.ip(libc::RTA_PREFSRC, source.into());
            }
        }
    }
    if let Some(source) = route.source {
        to.ip(libc::RTA_PREFSRC, source);
    }
    write_metrics(to, Some(route));
    to.u32(libc::RTA_PRIORITY, route.priority);
    write_gateway(to, found.gateway, false);
    to.u32(libc::RTA_OIF, found.index);
    write_cache(to);
    to.u8(RTA_PREF, route.preference);
    Ok(())
}
