//! What has no object behind it here, or one that never changes: counters, settings, numbers of
//! namespaces, queueing disciplines, groups, objects of next hops (net/core/rtnetlink.c,
//! net/core/net_namespace.c, net/sched, net/ipv4/nexthop.c).
#![forbid(unsafe_code)]

use super::link::indexes;
use super::link_policy as policy;
use super::policy::{Kind, Mode, Policy, Table, NEST, U32};
use super::request::Request;
use super::row::{row, Row};
use crate::message::conf::{self, GETNETCONF, NEWNETCONF};
use crate::message::link::{qdisc, stats64};
use crate::{Failure, World};
use memtun_stack::wire::{u32_at, Writer, NESTED};
use std::net::{IpAddr, Ipv6Addr};

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;
const BRIDGE: u8 = libc::AF_BRIDGE as u8;

const NEWSTATS: u16 = 92;
const GETSTATS: u16 = 94;
const SETSTATS: u16 = 95;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(GETSTATS, UNSPEC, Some(get_stats), Some(dump_stats)).joined(),
    row(SETSTATS, UNSPEC, Some(set_stats), None),
    row(GETNETCONF, UNSPEC, None, Some(dump_conf)),
    row(GETNETCONF, INET, Some(get_conf), Some(dump_conf)).joined(),
    row(GETNETCONF, INET6, Some(get_conf), Some(dump_conf)).joined(),
    row(libc::RTM_NEWNSID, UNSPEC, Some(new_nsid), None),
    row(libc::RTM_GETNSID, UNSPEC, Some(get_nsid), Some(dump_nsid)).joined(),
    row(libc::RTM_NEWQDISC, UNSPEC, Some(change_qdisc), None),
    row(libc::RTM_DELQDISC, UNSPEC, Some(change_qdisc), None),
    row(
        libc::RTM_GETQDISC,
        UNSPEC,
        Some(get_qdisc),
        Some(dump_qdisc),
    ),
    row(libc::RTM_NEWTCLASS, UNSPEC, Some(one_class), None),
    row(libc::RTM_DELTCLASS, UNSPEC, Some(one_class), None),
    row(
        libc::RTM_GETTCLASS,
        UNSPEC,
        Some(one_class),
        Some(dump_none),
    ),
    row(libc::RTM_NEWTFILTER, UNSPEC, Some(new_filter), None),
    row(libc::RTM_DELTFILTER, UNSPEC, Some(delete_filter), None),
    row(
        libc::RTM_GETTFILTER,
        UNSPEC,
        Some(get_filter),
        Some(dump_none),
    ),
    row(NEWCHAIN, UNSPEC, Some(one_chain), None),
    row(DELCHAIN, UNSPEC, Some(one_chain), None),
    row(GETCHAIN, UNSPEC, Some(one_chain), Some(dump_none)),
    row(libc::RTM_GETMULTICAST, INET, None, Some(dump_groups)).joined(),
    row(libc::RTM_GETMULTICAST, INET6, None, Some(dump_groups)).joined(),
    row(libc::RTM_GETANYCAST, INET6, None, Some(dump_silent)).joined(),
    row(libc::RTM_NEWMDB, BRIDGE, Some(change_mdb), None),
    row(libc::RTM_DELMDB, BRIDGE, Some(change_mdb), None).bulk(),
    row(libc::RTM_GETMDB, BRIDGE, Some(change_mdb), Some(dump_mdb)),
    row(GETTUNNEL, BRIDGE, None, Some(dump_silent)),
    row(DELNEXTHOP, UNSPEC, Some(one_hop), None),
    row(GETNEXTHOP, UNSPEC, Some(one_hop), Some(dump_silent)).joined(),
    row(GETNEXTHOPBUCKET, UNSPEC, None, Some(dump_silent)).joined(),
];

// Objects of next hops: there are none.
const DELNEXTHOP: u16 = 105;
const GETNEXTHOP: u16 = 106;
const GETNEXTHOPBUCKET: u16 = 118;

/// RTM_GETTUNNEL: numbers of virtual networks, which only vxlan devices have.
const GETTUNNEL: u16 = 122;
const NEWCHAIN: u16 = 100;
const DELCHAIN: u16 = 101;
const GETCHAIN: u16 = 102;

fn invalid<T>(text: &'static str) -> Result<T, Failure> {
    Err(Failure::said(libc::EINVAL, text))
}

fn word(body: &[u8], at: usize) -> u32 {
    u32_at(body, at).unwrap_or(0)
}

// Counters.

/// Length in bytes of `struct if_stats_msg`.
const STATS: usize = 12;
const LINK_64: u32 = 1;
const OFFLOAD: u32 = 1 << 3;
const AF_SPEC: u32 = 1 << 4;

/// Checks the header (`rtnl_valid_stats_req`).
fn check_stats(request: &Request<'_>, dump: bool) -> Result<(), Failure> {
    let body = request.message.body;
    if body.len() < STATS {
        return invalid("Invalid header for stats dump");
    }
    if !request.is_strict() {
        return Ok(());
    }
    if body[1..4] != [0; 3] || dump && word(body, 4) != 0 {
        return invalid("Invalid values in header for stats dump request");
    }
    if word(body, 8) >= 1 << 5 {
        return invalid("Invalid stats requested through filter mask");
    }
    Ok(())
}

/// Reads which counters of offloaded packets are wanted (`rtnl_stats_get_parse`).
fn stats_filter(request: &Request<'_>, mask: u32) -> Result<u32, Failure> {
    let tb = request.parse(STATS, &policy::STATS, Mode::Strict)?;
    let Some(filters) = tb.get(1) else {
        return Ok(u32::MAX);
    };
    let filters = request.parse_nested(filters, &policy::STATS_FILTERS, Mode::Strict)?;
    let mut offload = u32::MAX;
    for filter in filters.iter() {
        if mask & 1 << (filter.kind - 1) == 0 {
            return invalid("Filtered attribute not enabled in filter_mask");
        }
        offload = filter.u32().unwrap_or(0);
    }
    Ok(offload)
}

fn write_stats(
    world: &World<'_>,
    request: &Request<'_>,
    index: u32,
    (mask, offload): (u32, u32),
    to: &mut Writer,
) {
    let Some(link) = world.link(index) else {
        return;
    };
    let mut own = [0; STATS];
    own[4..8].copy_from_slice(&index.to_ne_bytes());
    own[8..12].copy_from_slice(&mask.to_ne_bytes());
    let head = request.head(NEWSTATS, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own);
    if mask & LINK_64 != 0 {
        to.attribute(1, &stats64(link));
    }
    // IFLA_OFFLOAD_XSTATS_HW_S_INFO: nothing is counted in hardware.
    if mask & OFFLOAD != 0 && offload & 1 << 1 != 0 {
        let all = to.begin(4);
        let info = to.begin(2 | NESTED);
        let one = to.begin(3 | NESTED);
        to.u8(1, 0).u8(2, 0).end(one);
        to.end(info);
        to.end(all);
    }
    if mask & AF_SPEC != 0 {
        to.attribute(5, &[]);
    }
}

fn get_stats(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    check_stats(request, false)?;
    let body = request.message.body;
    let index = word(body, 4);
    if index == 0 {
        return Err(Failure::new(libc::EINVAL));
    }
    if world.link(index).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    let mask = word(body, 8);
    if mask == 0 {
        return invalid("Filter mask must be set for stats get");
    }
    let offload = stats_filter(request, mask)?;
    write_stats(world, request, index, (mask, offload), to);
    Ok(())
}

fn dump_stats(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    check_stats(request, true)?;
    let mask = word(request.message.body, 8);
    if mask == 0 {
        return invalid("Filter mask must be set for stats dump");
    }
    let offload = stats_filter(request, mask)?;
    for index in indexes(world) {
        write_stats(world, request, index, (mask, offload), to);
    }
    Ok(())
}

fn set_stats(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    check_stats(request, false)?;
    let body = request.message.body;
    if body[0] != UNSPEC {
        return invalid("Address family should be AF_UNSPEC");
    }
    let index = word(body, 4);
    if index == 0 {
        return Err(Failure::new(libc::EINVAL));
    }
    if world.link(index).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    if word(body, 8) != 0 {
        return invalid("Filter mask must be 0 for stats set");
    }
    let tb = request.parse(STATS, &policy::STATS_SET, Mode::Strict)?;
    match tb.get(2).and_then(|a| a.u8()) {
        Some(0) | None => Ok(()),
        Some(_) => Err(Failure::new(libc::EOPNOTSUPP)),
    }
}

// Settings.

static CONF: Table = Table {
    max: 9,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Kind::Unspec, 4)),
        (2, Policy::of(Kind::Unspec, 4)),
    ],
};

fn check_conf<'b>(request: &Request<'b>) -> Result<super::policy::Parsed<'b>, Failure> {
    let body = request.message.body;
    if body.is_empty() {
        return invalid("ipv4: Invalid header for netconf get request");
    }
    if !request.is_strict() {
        return request.parse(1, &CONF, Mode::Liberal);
    }
    let tb = request.parse(1, &CONF, Mode::Known)?;
    if tb.iter().any(|a| a.kind != 1) {
        return invalid(if body[0] == INET6 {
            "ipv6: Unsupported attribute in netconf get request"
        } else {
            "ipv4: Unsupported attribute in netconf get request"
        });
    }
    Ok(tb)
}

fn get_conf(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let family = request.message.body[0];
    let tb = check_conf(request)?;
    let Some(index) = tb.get(1).and_then(|a| a.u32()) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let of = match index as i32 {
        -1 => conf::Of::All,
        -2 => conf::Of::Default,
        _ => match world.link(index) {
            Some(link) if family == INET || conf::has_inet6(world.state, link) => {
                conf::Of::Link(link)
            }
            None if family == INET => return Err(Failure::new(libc::ENODEV)),
            _ => return Err(Failure::new(libc::EINVAL)),
        },
    };
    let head = request.head(NEWNETCONF, 0);
    conf::write_netconf(world.state, family, of, to, head);
    Ok(())
}

fn dump_conf(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let family = request.message.body[0];
    if request.is_strict() {
        let six = family == INET6;
        if request.message.body.len() != 4 {
            return invalid(if six {
                "ipv6: Invalid data after header in netconf dump request"
            } else {
                "ipv4: Invalid data after header in netconf dump request"
            });
        }
    }
    let families: &[u8] = match family {
        INET => &[INET],
        INET6 => &[INET6],
        _ => &[INET, INET6],
    };
    for family in families {
        let head = request.head(NEWNETCONF, 0);
        for index in indexes(world) {
            let Some(link) = world.link(index) else {
                continue;
            };
            if *family == INET || conf::has_inet6(world.state, link) {
                conf::write_netconf(world.state, *family, conf::Of::Link(link), to, head);
            }
        }
        conf::write_netconf(world.state, *family, conf::Of::All, to, head);
        conf::write_netconf(world.state, *family, conf::Of::Default, to, head);
    }
    Ok(())
}

// Numbers of namespaces: none has one.

static NSID: Table = Table {
    max: 5,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Kind::S32, 0)),
        (2, U32),
        (3, U32),
        (4, Policy::of(Kind::S32, 0)),
    ],
};

fn new_nsid(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(1, &NSID, Mode::Liberal)?;
    if !tb.has(1) {
        return invalid("nsid is missing");
    }
    match peer(&tb)? {
        true => Err(Failure::new(libc::EPERM)),
        false => invalid("Peer netns reference is missing"),
    }
}

/// Looks for the namespace that a request names. Returns whether it names one.
fn peer(tb: &super::policy::Parsed<'_>) -> Result<bool, Failure> {
    let wrong =
        |errno: i32, at: usize| Err(Failure::said(errno, "Peer netns reference is invalid").at(at));
    if let Some(a) = tb.get(2) {
        let pid = a.u32().unwrap_or(0) as i32;
        if pid <= 0 || !memtun_sys::process_exists(pid) {
            return wrong(libc::ESRCH, a.at);
        }
        return Ok(true);
    }
    if let Some(a) = tb.get(3) {
        // The descriptors of the asker are not known here. The first three are hardly namespaces.
        let open = a.u32().is_some_and(|fd| fd < 3);
        return wrong(if open { libc::EINVAL } else { libc::EBADF }, a.at);
    }
    Ok(false)
}

fn get_nsid(_: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let strict = request.is_strict();
    let mode = if strict { Mode::Known } else { Mode::Liberal };
    let tb = request.parse(1, &NSID, mode)?;
    if let Some(a) = tb.iter().find(|a| strict && !(1..=4).contains(&a.kind)) {
        return Err(Failure::said(
            libc::EINVAL,
            "Unsupported attribute in peer netns getid request",
        )
        .at(a.at));
    }
    if !peer(&tb)? {
        return match tb.get(1) {
            Some(a) => {
                let text = "Peer netns reference is invalid";
                Err(Failure::said(libc::ENOENT, text).at(a.at))
            }
            None => invalid("Peer netns reference is missing"),
        };
    }
    let head = request.head(libc::RTM_NEWNSID, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&[0])
        .u32(1, u32::MAX);
    Ok(())
}

fn dump_nsid(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if !request.is_strict() {
        return Ok(());
    }
    let tb = request.parse(1, &NSID, Mode::Known)?;
    let target = tb.get(4);
    if let Some(a) = tb.iter().find(|a| a.kind != 4) {
        return Err(Failure::said(libc::EINVAL, "Unsupported attribute in dump request").at(a.at));
    }
    match target {
        Some(a) => Err(Failure::said(libc::EINVAL, "Invalid target network namespace id").at(a.at)),
        None => Ok(()),
    }
}

// Queueing disciplines, classes and filters: there is what the kernel attaches by itself.

/// Length in bytes of `struct tcmsg`.
const TC: usize = 20;
/// TC_H_ROOT.
const ROOT: u32 = u32::MAX;

/// Parses a request and finds its link.
fn traffic<'b>(
    world: &World<'_>,
    request: &Request<'b>,
) -> Result<(&'b [u8], super::policy::Parsed<'b>), Failure> {
    let tb = request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    if world.link(word(body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    Ok((body, tb))
}

fn write_qdisc(
    request: &Request<'_>,
    link: &memtun_stack::Link,
    (kind, handle, parent): (&[u8], u32, u32),
    references: u32,
    to: &mut Writer,
) {
    let mut own = [0; TC];
    own[4..8].copy_from_slice(&link.extra.index.to_ne_bytes());
    own[8..12].copy_from_slice(&handle.to_ne_bytes());
    own[12..16].copy_from_slice(&parent.to_ne_bytes());
    own[16..20].copy_from_slice(&references.to_ne_bytes());
    let head = request.head(libc::RTM_NEWQDISC, 0);
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own)
        .string(1, kind);
    if kind == b"pfifo_fast" {
        // struct tc_prio_qopt: three bands, and which priority goes into which.
        let mut bands = 3u32.to_ne_bytes().to_vec();
        bands.extend([1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]);
        to.attribute(2, &bands);
    }
    // TCA_HW_OFFLOAD, and counters of nothing: TCA_STATS2 with what is sent and what waits, and
    // TCA_STATS.
    to.u8(12, 0);
    let stats = to.begin(7);
    to.attribute(1, &[0; 16]).attribute(3, &[0; 20]);
    to.end(stats);
    to.attribute(3, &[0; 40]);
}

fn dump_qdisc(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let mode = if request.is_strict() {
        Mode::Known
    } else {
        Mode::Liberal
    };
    request.parse(TC, &policy::TRAFFIC, mode)?;
    for link in &world.links {
        let kind = qdisc(link);
        match kind {
            b"noop" => {}
            b"mq" => {
                write_qdisc(request, link, (kind, 0, ROOT), 1, to);
                let queues = link.driver.map_or(0, |driver| driver.queues);
                for queue in (1..=queues).rev() {
                    let one: (&[u8], u32, u32) = (b"pfifo_fast", 0, queue);
                    write_qdisc(request, link, one, 1, to);
                }
            }
            _ => write_qdisc(request, link, (kind, 0, ROOT), 2, to),
        }
    }
    Ok(())
}

/// The kernel's own disciplines are not told one by one.
fn get_qdisc(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, tb) = traffic(world, request)?;
    let (handle, parent) = (word(body, 8), word(body, 12));
    let link = world.link(word(body, 4));
    let is_there = link.is_some_and(|link| qdisc(link) != b"noop");
    if parent != 0 {
        if parent != ROOT {
            let text = "Failed to find qdisc with specified classid";
            return Err(Failure::said(libc::ENOENT, text));
        }
        if !is_there {
            let text = "Cannot find specified qdisc on specified device";
            return Err(Failure::said(libc::ENOENT, text));
        }
        if handle != 0 {
            return invalid("Invalid handle");
        }
    } else {
        let text = "Failed to find qdisc with specified handle";
        return Err(Failure::said(libc::ENOENT, text));
    }
    let _ = tb;
    Ok(())
}

/// Disciplines are not changed: what is asked for succeeds where the kernel would take it, and
/// nothing follows.
fn change_qdisc(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    traffic(world, request)?;
    let text = "Specified qdisc kind is unknown";
    Err(Failure::said(libc::ENOENT, text))
}

fn one_class(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    traffic(world, request)?;
    Err(Failure::new(libc::ENOENT))
}

fn dump_none(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if request.is_strict() && request.message.body.len() >= TC {
        request.parse(TC, &policy::TRAFFIC, Mode::Known)?;
    }
    Ok(())
}

fn new_filter(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    if world.link(word(request.message.body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    invalid("Parent Qdisc doesn't exists")
}

fn delete_filter(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    let tb = request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    let (handle, info) = (word(body, 8), word(body, 16));
    if info >> 16 == 0 && (info & 0xffff != 0 || handle != 0 || tb.has(1)) {
        let text = "Cannot flush filters with protocol, handle or kind set";
        return Err(Failure::said(libc::ENOENT, text));
    }
    if world.link(word(body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    invalid("Parent Qdisc doesn't exists")
}

fn get_filter(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    request.parse(TC, &policy::TRAFFIC, Mode::Liberal)?;
    let body = request.message.body;
    if word(body, 16) >> 16 == 0 {
        let text = "Invalid filter command with priority of zero";
        return Err(Failure::said(libc::ENOENT, text));
    }
    if world.link(word(body, 4)).is_none() {
        return Err(Failure::new(libc::ENODEV));
    }
    invalid("Parent Qdisc doesn't exists")
}

fn one_chain(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let (body, _) = traffic(world, request)?;
    match word(body, 12) {
        0 => invalid("Qdisc not classful"),
        _ => invalid("Parent Qdisc doesn't exists"),
    }
}

// Groups.

static ADDRESS: Table = Table {
    max: 11,
    strict_from: 0,
    entries: &[],
};

/// Appends the groups that every link with IP belongs to.
fn dump_groups(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let family = request.message.body[0];
    if request.is_strict() {
        let body = request.message.body;
        if body.len() < 8 {
            return invalid(if body[0] == INET {
                "ipv4: Invalid header for address dump request"
            } else {
                "ipv6: Invalid header for address dump request"
            });
        }
        request.parse(8, &ADDRESS, Mode::Known)?;
    }
    for index in indexes(world) {
        let Some(link) = world.link(index) else {
            continue;
        };
        let groups: Vec<IpAddr> = if family == INET {
            match link.is_up() {
                true => vec![IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 1))],
                false => Vec::new(),
            }
        } else if conf::has_inet6(world.state, link) {
            let all = |scope: u16| IpAddr::V6(Ipv6Addr::new(0xff00 | scope, 0, 0, 0, 0, 0, 0, 1));
            vec![all(2), all(1)]
        } else {
            Vec::new()
        };
        for group in groups {
            // Of IPv6 only the groups of a site are said to have a scope.
            let (length, scope) = match family {
                INET => (32, libc::RT_SCOPE_LINK),
                _ => (128, libc::RT_SCOPE_UNIVERSE),
            };
            let mut own = [family, length, 0x80, scope, 0, 0, 0, 0];
            own[4..8].copy_from_slice(&index.to_ne_bytes());
            // struct ifa_cacheinfo: no end of lifetimes, and when it was made.
            let times = [u32::MAX, u32::MAX, world.now, world.now].map(u32::to_ne_bytes);
            let head = request.head(58, 0);
            to.message(head.kind, head.flags, head.sequence, head.port)
                .raw(&own)
                .ip(7, group)
                .attribute(libc::IFA_CACHEINFO, &times.concat());
        }
    }
    Ok(())
}

/// There are no anycast addresses.
fn dump_silent(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if request.is_strict() {
        let body = request.message.body;
        if body.len() < 8 {
            return invalid(if body[0] == INET {
                "ipv4: Invalid header for address dump request"
            } else {
                "ipv6: Invalid header for address dump request"
            });
        }
        request.parse(8, &ADDRESS, Mode::Known)?;
    }
    Ok(())
}

// Objects of next hops.

static NEXTHOP: Table = Table {
    max: 16,
    strict_from: 0,
    entries: &[(1, U32)],
};

/// Answers for one object of a next hop, or deletes it.
fn one_hop(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    /// Length in bytes of `struct nhmsg`.
    const HEADER: usize = 8;
    let tb = request.parse(HEADER, &NEXTHOP, Mode::Strict)?;
    match tb.get(1).and_then(|a| a.u32()) {
        None => invalid("Nexthop id is missing"),
        Some(0) => invalid("Invalid nexthop id"),
        Some(_) => Err(Failure::new(libc::ENOENT)),
    }
}

// Groups of bridges.

static MDB: Table = Table {
    max: 2,
    strict_from: 3,
    entries: &[(1, Policy::of(Kind::Binary, 28)), (2, NEST)],
};

fn change_mdb(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let mode = if request.message.kind == libc::RTM_GETMDB {
        Mode::Strict
    } else {
        Mode::Liberal
    };
    let tb = request.parse(8, &MDB, mode)?;
    let index = word(request.message.body, 4);
    if index == 0 {
        return invalid("Invalid ifindex");
    }
    if world.link(index).is_none() {
        return Err(Failure::said(libc::ENODEV, "Device doesn't exist"));
    }
    if !tb.has(1) {
        let text = if request.message.kind == libc::RTM_GETMDB {
            "Missing MDBA_GET_ENTRY attribute"
        } else {
            "Missing MDBA_SET_ENTRY attribute"
        };
        return Err(Failure::said(libc::EINVAL, text).misses(1));
    }
    let text = "Device does not support MDB operations";
    Err(Failure::said(libc::EOPNOTSUPP, text))
}

fn dump_mdb(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let body = request.message.body;
    if !request.is_strict() {
        return Ok(());
    }
    if body.len() < 8 {
        return invalid("Invalid header for mdb dump request");
    }
    if word(body, 4) != 0 {
        return invalid("Filtering by device index is not supported for mdb dump request");
    }
    if body.len() > 8 {
        return invalid("Invalid data after header in mdb dump request");
    }
    Ok(())
}
