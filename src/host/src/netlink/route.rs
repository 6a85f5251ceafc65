//! Routes: RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE.
#![forbid(unsafe_code)]

use super::policy::{Kind, Mode, Parsed, Policy, Table, NEST, U16, U32, U8};
use super::request::{Request, DUMP_FILTERED};
use super::row::{row, Row};
use crate::engine::place::Place;
use crate::engine::route::lookup::{self, Flow};
use crate::engine::route::parts::{self, Part};
use crate::engine::route::{v4, v6, Cause};
use crate::{Failure, World};
use memtun_stack::route::{rtf, rtnh, HEADER, NEXTHOP, RTAX_CC_ALGO, RTA_PREF, RTA_VIA};
use memtun_stack::wire::{u32_at, Attribute, Writer, ATTRIBUTE};
use memtun_stack::Route;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;
const UNSPEC: u8 = libc::AF_UNSPEC as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWROUTE, INET, Some(new_v4), None),
    row(libc::RTM_DELROUTE, INET, Some(delete_v4), None),
    row(libc::RTM_GETROUTE, INET, Some(get_v4), Some(dump_v4)),
    row(libc::RTM_NEWROUTE, INET6, Some(new_v6), None),
    row(libc::RTM_DELROUTE, INET6, Some(delete_v6), None),
    row(libc::RTM_GETROUTE, INET6, Some(get_v6), Some(dump_v6)),
    row(libc::RTM_GETROUTE, UNSPEC, None, Some(dump_all)),
];

// Attributes of linux/rtnetlink.h.
const RTA_MARK: u16 = 16;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_UID: u16 = 25;
const RTA_IP_PROTO: u16 = 27;
const RTA_SPORT: u16 = 28;
const RTA_DPORT: u16 = 29;
const RTA_NH_ID: u16 = 30;
const RTA_FLOWLABEL: u16 = 31;
/// RTA_MAX.
const LAST: u16 = RTA_FLOWLABEL;

// Flags of struct rtmsg.
const RTM_F_NOTIFY: u32 = 0x100;
const RTM_F_CLONED: u32 = 0x200;
const RTM_F_PREFIX: u32 = 0x800;
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// What attributes of an IPv4 route may be (`rtm_ipv4_policy`).
static V4: Table = Table {
    max: LAST,
    strict_from: RTA_DPORT + 1,
    entries: &[
        (libc::RTA_DST, U32),
        (libc::RTA_SRC, U32),
        (libc::RTA_IIF, U32),
        (libc::RTA_OIF, U32),
        (libc::RTA_GATEWAY, U32),
        (libc::RTA_PRIORITY, U32),
        (libc::RTA_PREFSRC, U32),
        (libc::RTA_METRICS, NEST),
        (
            libc::RTA_MULTIPATH,
            Policy::of(Kind::Unspec, NEXTHOP as u16),
        ),
        (libc::RTA_FLOW, U32),
        (RTA_ENCAP_TYPE, U16),
        (RTA_ENCAP, NEST),
        (RTA_UID, U32),
        (RTA_MARK, U32),
        (libc::RTA_TABLE, U32),
        (RTA_IP_PROTO, U8),
        (RTA_SPORT, U16),
        (RTA_DPORT, U16),
        (RTA_NH_ID, U32),
    ],
};

/// What attributes of an IPv6 route may be (`rtm_ipv6_policy`).
static V6: Table = Table {
    max: LAST,
    strict_from: RTA_DPORT + 1,
    entries: &[
        (libc::RTA_GATEWAY, Policy::of(Kind::Unspec, 16)),
        (libc::RTA_PREFSRC, Policy::of(Kind::Unspec, 16)),
        (libc::RTA_OIF, U32),
        (libc::RTA_IIF, U32),
        (libc::RTA_PRIORITY, U32),
        (libc::RTA_METRICS, NEST),
        (
            libc::RTA_MULTIPATH,
            Policy::of(Kind::Unspec, NEXTHOP as u16),
        ),
        (RTA_PREF, U8),
        (RTA_ENCAP_TYPE, U16),
        (RTA_ENCAP, NEST),
        (RTA_EXPIRES, U32),
        (RTA_UID, U32),
        (RTA_MARK, U32),
        (libc::RTA_TABLE, U32),
        (RTA_IP_PROTO, U8),
        (RTA_SPORT, U16),
        (RTA_DPORT, U16),
        (RTA_NH_ID, U32),
        (RTA_FLOWLABEL, Policy::of(Kind::Be32, 0)),
    ],
};

fn refuse<T>(text: &'static str) -> Result<T, Failure> {
    Err(Failure::said(libc::EINVAL, text))
}

/// `struct rtmsg`.
struct Head {
    to: u8,
    from: u8,
    tos: u8,
    table: u8,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
}

fn head(request: &Request<'_>) -> Head {
    let byte = |at: usize| request.message.body.get(at).copied().unwrap_or(0);
    Head {
        to: byte(1),
        from: byte(2),
        tos: byte(3),
        table: byte(4),
        protocol: byte(5),
        scope: byte(6),
        kind: byte(7),
        flags: u32_at(request.message.body, 8).unwrap_or(0),
    }
}

fn cause(request: &Request<'_>) -> Cause {
    Cause {
        port: request.asker.port,
        sequence: request.message.sequence,
    }
}

fn word(attributes: &Parsed<'_>, kind: u16) -> Option<u32> {
    attributes.get(kind)?.u32()
}

fn v4_of(attribute: Option<Attribute<'_>>) -> Ipv4Addr {
    let value = attribute.and_then(|a| <[u8; 4]>::try_from(a.value.get(..4)?).ok());
    value.unwrap_or_default().into()
}

fn v6_of(attribute: Option<Attribute<'_>>) -> Option<Ipv6Addr> {
    let value = attribute?.value.get(..16)?;
    Some(<[u8; 16]>::try_from(value).ok()?.into())
}

fn part<'b>(attribute: Attribute<'b>) -> Part<'b> {
    Part {
        bytes: attribute.value,
        at: attribute.at + ATTRIBUTE,
    }
}

/// Refuses what encapsulates packets: no such driver is here.
fn check_encapsulation(attributes: &Parsed<'_>) -> Result<(), Failure> {
    if attributes.has(RTA_ENCAP_TYPE) {
        let text = "lwt encapsulation type not supported";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    Ok(())
}

/// Reads what an IPv4 route shall be (`rtm_to_fib_config`).
fn config_v4<'b>(request: &Request<'b>) -> Result<(v4::Config<'b>, bool), Failure> {
    let attributes = request.parse(HEADER, &V4, Mode::Liberal)?;
    let head = head(request);
    if head.tos & 3 != 0 {
        return refuse("Invalid dsfield (tos): ECN bits must be 0");
    }
    if head.kind > v4::RTN_MAX {
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
        how: request.message.flags.into(),
        cause: cause(request),
    };
    if let Some(via) = via {
        config.gateway = Some(v4::via(via.value)?);
    }
    check_encapsulation(&attributes)?;
    v4::check_prefix(config.to, config.prefix)?;
    let has_id = word(&attributes, RTA_NH_ID).is_some_and(|id| id != 0);
    let hop = config.index != 0 || config.gateway.is_some() || config.multipath.is_some();
    if has_id && hop {
        return refuse("Nexthop specification and nexthop id are mutually exclusive");
    }
    if gateway.is_some() && via.is_some() {
        return refuse("Nexthop configuration can not contain both GATEWAY and VIA");
    }
    if config.table == 0 {
        config.table = libc::RT_TABLE_MAIN.into();
    }
    Ok((config, has_id))
}

/// What a route with an id of a next hop fails with: there are none.
const NO_HOP: &str = "Nexthop id does not exist";

fn new_v4(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (config, has_id) = config_v4(request)?;
    if has_id {
        return refuse(NO_HOP);
    }
    v4::add(world, &config)
}

fn delete_v4(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (config, has_id) = config_v4(request)?;
    if has_id {
        return refuse(NO_HOP);
    }
    if !v4::has_table(world, config.table) {
        return Err(Failure::said(libc::ESRCH, "FIB table does not exist"));
    }
    v4::delete(world, &config)
}

/// Reads what an IPv6 route shall be (`rtm_to_fib6_config`).
fn config_v6<'b>(request: &Request<'b>, new: bool) -> Result<(v6::Config<'b>, bool), Failure> {
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
    let has_id = attributes.has(RTA_NH_ID);
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
    check_encapsulation(&attributes)?;
    if let Some(seconds) = word(&attributes, RTA_EXPIRES).filter(|seconds| *seconds != u32::MAX) {
        config.expires = seconds.saturating_mul(100);
        config.flags |= rtf::EXPIRES;
    }
    Ok((config, has_id))
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

fn new_v6(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (mut config, has_id) = config_v6(request, true)?;
    if has_id {
        return refuse(NO_HOP);
    }
    if config.priority == 0 {
        config.priority = v6::PRIORITY;
    }
    v6::add(world, &config)
}

fn delete_v6(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (config, has_id) = config_v6(request, false)?;
    if has_id {
        return refuse(NO_HOP);
    }
    v6::delete(world, &config)
}

/// Which routes are wanted (`struct fib_dump_filter`).
#[derive(Default)]
struct Filter {
    table: u32,
    protocol: u8,
    kind: u8,
    index: u32,
    flags: u32,
    strict: bool,
}

impl Filter {
    /// `ip_valid_fib_dump_req`.
    fn of(world: &World<'_>, request: &Request<'_>) -> Result<Filter, Failure> {
        let short = request.message.body.len() < HEADER;
        let head = head(request);
        if !request.is_strict() {
            let flags = if short { 0 } else { head.flags };
            return Ok(Filter {
                flags: flags & (RTM_F_PREFIX | RTM_F_CLONED),
                ..Filter::default()
            });
        }
        if short {
            return refuse("Invalid header for FIB dump request");
        }
        if head.to != 0 || head.from != 0 || head.tos != 0 || head.scope != 0 {
            return refuse("Invalid values in header for FIB dump request");
        }
        if head.flags & !(RTM_F_CLONED | RTM_F_PREFIX) != 0 {
            return refuse("Invalid flags for FIB dump request");
        }
        let mut filter = Filter {
            table: head.table.into(),
            protocol: head.protocol,
            kind: head.kind,
            index: 0,
            flags: head.flags,
            strict: true,
        };
        for attribute in request.parse(HEADER, &V4, Mode::Known)?.iter() {
            match attribute.kind {
                libc::RTA_TABLE => filter.table = attribute.u32().unwrap_or(0),
                libc::RTA_OIF => {
                    filter.index = attribute.u32().unwrap_or(0);
                    if world.link(filter.index).is_none() {
                        return Err(Failure::new(libc::ENODEV));
                    }
                }
                _ => return refuse("Unsupported attribute in dump request"),
            }
        }
        let set =
            filter.table | filter.index | filter.flags != 0 || filter.protocol | filter.kind != 0;
        if set {
            request.end_is_filtered();
        }
        Ok(filter)
    }

    fn wants(&self, route: &Route) -> bool {
        let prefix = self.flags & RTM_F_PREFIX == 0 || route.flags & rtf::PREFIX_RT != 0;
        // Cached routes are none of those in the tables.
        !(self.strict && self.flags & RTM_F_CLONED != 0)
            && prefix
            && (self.table == 0 || route.table == self.table)
            && (self.protocol == 0 || route.protocol == self.protocol)
            && (self.kind == 0 || route.kind == self.kind)
            && (self.index == 0 || route.hops.iter().any(|hop| hop.index == self.index))
    }
}

fn dump(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
    v4: bool,
) -> Result<(), Failure> {
    let filter = Filter::of(world, request)?;
    if v4 && filter.flags & RTM_F_PREFIX != 0 {
        return Ok(());
    }
    let has_table = match v4 {
        true => v4::has_table(world, filter.table),
        false => v6::has_table(world, filter.table),
    };
    if filter.table != 0 && !has_table {
        if request.message.body.first() == Some(&UNSPEC) {
            return Ok(());
        }
        let module = if v4 { "ipv4" } else { "ipv6" };
        let text = format!("{module}: FIB table does not exist");
        return Err(Failure::said(libc::ENOENT, text));
    }
    let flags = if filter.strict { DUMP_FILTERED } else { 0 };
    let places = world.route_places(v4);
    let mut at = 0;
    while let Some(place) = places.get(at).copied() {
        at += 1;
        let mut route = std::borrow::Cow::Borrowed(world.route(place));
        let mut one = true;
        if !v4 {
            // The routes of a multipath one are told as one; what stands among them is not told.
            let siblings = v6::siblings(world, &route);
            let last = siblings.last().filter(|_| siblings.len() > 1);
            if let Some(last) = last {
                let last = places.iter().position(|place| place == last);
                at = last.map_or(at, |last| last + 1);
                route = std::borrow::Cow::Owned(v6::whole(world, &route));
                one = false;
            }
        }
        if !filter.wants(&route) {
            continue;
        }
        match place {
            Place::Machine(at) if one => {
                request.repeat(to, &world.machine.routes[at].message, flags);
            }
            _ => {
                let head = request.head(libc::RTM_NEWROUTE, flags);
                route.write(to, head, Some(world.now));
            }
        }
    }
    Ok(())
}

fn dump_v4(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    dump(world, request, to, true)
}

fn dump_v6(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    dump(world, request, to, false)
}

fn dump_all(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    dump(world, request, to, true)?;
    dump(world, request, to, false)
}

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
    let Some(route) = route.filter(|r| !r.metrics.is_empty() || r.congestion.is_some()) else {
        return;
    };
    let open = to.begin(libc::RTA_METRICS);
    for (kind, value) in &route.metrics {
        to.u32(*kind, *value);
    }
    if let Some(name) = &route.congestion {
        to.string(RTAX_CC_ALGO, name);
    }
    to.end(open);
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
fn get_v4(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
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
        shown.write(to, answer, Some(world.now));
        return Ok(());
    }
    let mut flags = found.flags & 0xffff_0000 | RTM_F_CLONED;
    flags |= head.flags & RTM_F_NOTIFY;
    let shown = u8::try_from(table).unwrap_or(libc::RT_TABLE_COMPAT);
    let from = if src.is_unspecified() { 0 } else { 32 };
    let mut own = [0; HEADER];
    let tos = route.map_or(0, |route| route.tos);
    own[..8].copy_from_slice(&[INET, 32, from, tos, shown, 0, 0, found.kind]);
    own[8..].copy_from_slice(&flags.to_ne_bytes());
    to.message(answer.kind, answer.flags, answer.sequence, answer.port)
        .raw(&own)
        .u32(libc::RTA_TABLE, table)
        .ip(libc::RTA_DST, dst.into());
    if from != 0 {
        to.ip(libc::RTA_SRC, src.into());
    }
    to.u32(libc::RTA_OIF, found.index);
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
fn write_with_iif(
    to: &mut Writer,
    route: &Route,
    answer: memtun_stack::address::Head,
    iif: u32,
    now: u32,
) {
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
fn get_v6(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
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
        flow.oif = 0;
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
            None => v6::whole(world, route).write(to, answer, Some(world.now)),
            Some(iif) => {
                write_with_iif(to, &v6::whole(world, route), answer, iif, world.now);
            }
        }
        return Ok(());
    }
    let shown = u8::try_from(route.table).unwrap_or(libc::RT_TABLE_COMPAT);
    let mut own = [0; HEADER];
    own[..8].copy_from_slice(&[INET6, 128, 128, 0, shown, route.protocol, 0, route.kind]);
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
