//! RTM_NEWLINK, RTM_DELLINK and RTM_NEWSTATS of the net's links, with the kernel's order of
//! attributes (`rtnl_fill_ifinfo`, `inet6_fill_ifinfo`).
#![forbid(unsafe_code)]

use super::conf;
use memtun_abi::uapi::*;
use memtun_stack::address::Head;
use memtun_stack::link::oper;
use memtun_stack::wire::{Writer, NESTED};
use memtun_stack::{Link, State};

/// Attributes of links that libc does not name (IFLA_*).
pub mod ifla {
    #![allow(missing_docs)]
    pub const TARGET_NETNSID: u16 = 46;
    pub const CARRIER: u16 = 33;
    pub const CARRIER_CHANGES: u16 = 35;
    pub const EVENT: u16 = 44;
    pub const PROTO_DOWN: u16 = 39;
    pub const GSO_MAX_SEGS: u16 = 40;
    pub const GSO_MAX_SIZE: u16 = 41;
    pub const XDP: u16 = 43;
    pub const CARRIER_UP_COUNT: u16 = 47;
    pub const CARRIER_DOWN_COUNT: u16 = 48;
    pub const MIN_MTU: u16 = 50;
    pub const MAX_MTU: u16 = 51;
    pub const PROP_LIST: u16 = 52;
    pub const ALT_IFNAME: u16 = 53;
    pub const PROTO_DOWN_REASON: u16 = 55;
    pub const GRO_MAX_SIZE: u16 = 58;
    pub const TSO_MAX_SIZE: u16 = 59;
    pub const TSO_MAX_SEGS: u16 = 60;
    pub const ALLMULTI: u16 = 61;
    pub const DEVLINK_PORT: u16 = 62;
    pub const GSO_IPV4_MAX_SIZE: u16 = 63;
    pub const GRO_IPV4_MAX_SIZE: u16 = 64;
    pub const DPLL_PIN: u16 = 65;
    pub const MAX_PACING_OFFLOAD_HORIZON: u16 = 66;
    pub const NETNS_IMMUTABLE: u16 = 67;
    pub const HEADROOM: u16 = 68;
    pub const TAILROOM: u16 = 69;
    pub const MAX: u16 = 69;
}

/// RTEXT_FILTER_SKIP_STATS: the counters of IPv6 are left out. Those of the link are told all the
/// same.
pub const SKIP_STATS: u32 = 8;

/// Value of GSO_MAX_SEGS, TSO_MAX_SEGS.
pub const MAX_SEGS: u32 = 65535;
/// Value of GSO_MAX_SIZE, GRO_MAX_SIZE in a new link.
const MAX_SIZE: u32 = 65536;

/// Returns the smallest and the largest mtu in bytes; 0 and 0 mean that there is no limit.
pub fn mtu_range(link: &Link) -> (u32, u32) {
    if link.is_loopback() {
        (0, 0)
    } else if link.is_tun() {
        (68, 65535)
    } else if link.driver.is_some() {
        (68, 65535 - ETH_HLEN as u32)
    } else {
        (68, 65535)
    }
}

/// Returns the greatest size of a packet that may be segmented, in bytes (IFLA_TSO_MAX_SIZE).
pub fn tso_max_size(link: &Link) -> u32 {
    if link.is_loopback() {
        524_280
    } else {
        MAX_SIZE
    }
}

/// Returns the state of operation as it is told.
pub fn operstate(link: &Link) -> u8 {
    if link.is_up() {
        link.extra.operstate
    } else {
        oper::DOWN
    }
}

/// Returns the flags as netlink tells them (`netif_get_flags`): IFF_RUNNING follows the state of
/// operation, and IFF_LOWER_UP is among them.
pub fn flags(link: &Link) -> u32 {
    let running = libc::IFF_RUNNING as u32;
    let lower_up = libc::IFF_LOWER_UP as u32;
    let mut flags = link.extra.flags & !(running | lower_up);
    if link.is_up() {
        if matches!(link.extra.operstate, oper::UNKNOWN | oper::UP) {
            flags |= running;
        }
        if link.carrier {
            flags |= lower_up;
        }
    }
    flags
}

/// What a message about a link is about.
#[derive(Clone, Copy, Default, Debug)]
pub struct Why {
    /// The flags that have changed.
    pub changed: u32,
    /// IFLA_EVENT_*, 0 for none.
    pub event: u32,
    /// RTEXT_FILTER_* of the question.
    pub mask: u32,
}

impl Why {
    /// IFLA_EVENT_FEATURES.
    pub const FEATURES: u32 = 2;
}

/// Appends a message about a link.
pub fn write(state: &State, link: &Link, to: &mut Writer, head: Head, why: Why) {
    let extra = &link.extra;
    header(link, libc::AF_UNSPEC, to, head, why.changed);
    let (least, most) = mtu_range(link);
    let driver = link.driver;
    let queues = match driver {
        Some(driver) if driver.flags & IFF_MULTI_QUEUE != 0 => 256,
        _ => 1,
    };
    let bit = |flag: i32| u32::from(extra.flags & flag as u32 != 0);
    let by_itself = u32::from(extra.receives_all);
    to.string(libc::IFLA_IFNAME, extra.name.as_bytes())
        .u32(libc::IFLA_TXQLEN, extra.txqueuelen)
        .u8(libc::IFLA_OPERSTATE, operstate(link))
        .u8(libc::IFLA_LINKMODE, extra.link_mode)
        .u8(ifla::NETNS_IMMUTABLE, link.is_loopback().into())
        .u32(libc::IFLA_MTU, extra.mtu)
        .u32(ifla::MIN_MTU, least)
        .u32(ifla::MAX_MTU, most)
        .u32(libc::IFLA_GROUP, extra.group)
        .u32(libc::IFLA_PROMISCUITY, bit(libc::IFF_PROMISC) + by_itself)
        .u32(ifla::ALLMULTI, bit(libc::IFF_ALLMULTI))
        .u32(libc::IFLA_NUM_TX_QUEUES, queues)
        .u32(ifla::GSO_MAX_SEGS, extra.gso_max_segs.unwrap_or(MAX_SEGS))
        .u32(ifla::GSO_MAX_SIZE, extra.gso_max_size.unwrap_or(MAX_SIZE))
        .u32(ifla::GRO_MAX_SIZE, extra.gro_max_size.unwrap_or(MAX_SIZE))
        .u32(
            ifla::GSO_IPV4_MAX_SIZE,
            extra.gso_ipv4_max_size.unwrap_or(MAX_SIZE),
        )
        .u32(
            ifla::GRO_IPV4_MAX_SIZE,
            extra.gro_ipv4_max_size.unwrap_or(MAX_SIZE),
        )
        .u32(ifla::TSO_MAX_SIZE, tso_max_size(link))
        .u32(ifla::TSO_MAX_SEGS, MAX_SEGS)
        .u32(ifla::MAX_PACING_OFFLOAD_HORIZON, 0)
        .u32(libc::IFLA_NUM_RX_QUEUES, queues)
        .u8(ifla::CARRIER, link.carrier.into());
    if !extra.alias.is_empty() {
        to.string(libc::IFLA_IFALIAS, &extra.alias);
    }
    to.u32(
        ifla::CARRIER_CHANGES,
        extra.carrier_ups.wrapping_add(extra.carrier_downs),
    )
    .u32(ifla::CARRIER_UP_COUNT, extra.carrier_ups)
    .u32(ifla::CARRIER_DOWN_COUNT, extra.carrier_downs)
    .u16(ifla::HEADROOM, 0)
    .u16(ifla::TAILROOM, 0)
    .u8(ifla::PROTO_DOWN, 0);
    if !extra.address.is_empty() {
        to.attribute(libc::IFLA_ADDRESS, &extra.address)
            .attribute(libc::IFLA_BROADCAST, &extra.broadcast);
    }
    let stats = stats(link);
    let old = stats[..24].iter().flat_map(|n| (*n as u32).to_ne_bytes());
    to.attribute(libc::IFLA_STATS64, &stats64(link))
        .attribute(libc::IFLA_STATS, &old.collect::<Vec<_>>());
    let xdp = to.begin(ifla::XDP);
    to.u8(2, 0).end(xdp);
    if let Some(driver) = driver {
        let info = to.begin(libc::IFLA_LINKINFO);
        to.string(libc::IFLA_INFO_KIND, b"tun");
        let data = to.begin(libc::IFLA_INFO_DATA);
        let has = |flag: u32| u8::from(driver.flags & flag != 0);
        to.u8(3, if driver.flags & IFF_TUN != 0 { 1 } else { 2 });
        if driver.owner != -1 {
            to.u32(1, driver.owner as u32);
        }
        if driver.group != -1 {
            to.u32(2, driver.group as u32);
        }
        to.u8(4, u8::from(driver.flags & IFF_NO_PI == 0))
            .u8(5, has(IFF_VNET_HDR))
            .u8(6, has(IFF_PERSIST))
            .u8(7, has(IFF_MULTI_QUEUE));
        if driver.flags & IFF_MULTI_QUEUE != 0 {
            to.u32(8, driver.queues).u32(9, driver.detached);
        }
        to.end(data);
        to.end(info);
    }
    if why.event != 0 {
        to.u32(ifla::EVENT, why.event);
    }
    to.string(libc::IFLA_QDISC, state.qdisc(extra.index));
    let families = to.begin(libc::IFLA_AF_SPEC);
    // The last message comes when IP is gone from the link.
    let has_ip = head.kind != libc::RTM_DELLINK;
    if has_ip && conf::has_inet4(link) {
        let inet = to.begin(libc::AF_INET as u16);
        conf::write_v4(state, link, to, 1);
        to.end(inet);
    }
    if has_ip && conf::has_inet6(state, link) {
        let inet6 = to.begin(libc::AF_INET6 as u16);
        inet6_attributes(state, link, to, why.mask);
        to.end(inet6);
    }
    to.end(families);
    to.attribute(libc::IFLA_MAP, &[0; 32]);
    if !extra.other_names.is_empty() {
        let list = to.begin(ifla::PROP_LIST | NESTED);
        for name in &extra.other_names {
            to.string(ifla::ALT_IFNAME, name);
        }
        to.end(list);
    }
    to.attribute(ifla::DEVLINK_PORT | NESTED, &[])
        .attribute(ifla::DPLL_PIN | NESTED, &[]);
}

fn header(link: &Link, family: i32, to: &mut Writer, head: Head, change: u32) {
    let mut own = [0; memtun_stack::link::HEADER];
    own[0] = family as u8;
    own[2..4].copy_from_slice(&link.extra.link_type.to_ne_bytes());
    own[4..8].copy_from_slice(&link.extra.index.to_ne_bytes());
    own[8..12].copy_from_slice(&flags(link).to_ne_bytes());
    own[12..16].copy_from_slice(&change.to_ne_bytes());
    to.message(head.kind, head.flags, head.sequence, head.port)
        .raw(&own);
}

/// Appends what IPv6 says of a link (`inet6_fill_ifla6_attrs`).
fn inet6_attributes(state: &State, link: &Link, to: &mut Writer, mask: u32) {
    /// IF_READY: addresses may be made.
    const READY: u32 = 0x8000_0000;
    /// IF_RS_SENT: routers have been asked for.
    const ASKED: u32 = 0x10;
    let flags = match () {
        () if !link.extra.ready => 0,
        () if link.extra.asked => READY | ASKED,
        () => READY,
    };
    // struct ifla_cacheinfo: max_reasm_len, tstamp, reachable_time, retrans_time.
    let cache = [65535u32, 0, 30_000, 1000].map(u32::to_ne_bytes).concat();
    to.u32(1, flags).attribute(5, &cache);
    conf::write_v6(state, link, to, 2);
    if mask & SKIP_STATS == 0 {
        // The first number of each array is its length.
        let counted = |n: usize| {
            let mut array = vec![0; 8 * n];
            array[..8].copy_from_slice(&(n as u64).to_ne_bytes());
            array
        };
        to.attribute(3, &counted(38)).attribute(6, &counted(7));
    }
    let mode = conf::v6(state, conf::Of::Link(link), "addr_gen_mode");
    to.attribute(7, &link.extra.token).u8(8, mode as u8);
}

/// Appends a message about a link as IPv6 sees it: an answer to a dump for AF_INET6, or an event
/// of the group RTNLGRP_IPV6_IFINFO.
pub fn write_inet6(state: &State, link: &Link, to: &mut Writer, head: Head) {
    header(link, libc::AF_INET6, to, head, 0);
    to.string(libc::IFLA_IFNAME, link.extra.name.as_bytes());
    if !link.extra.address.is_empty() {
        to.attribute(libc::IFLA_ADDRESS, &link.extra.address);
    }
    to.u32(libc::IFLA_MTU, link.extra.mtu)
        .u8(libc::IFLA_OPERSTATE, operstate(link));
    let info = to.begin(libc::IFLA_PROTINFO);
    inet6_attributes(state, link, to, 0);
    to.end(info);
}

/// Returns the counters in the order of `struct rtnl_link_stats64`.
fn stats(link: &Link) -> [u64; 25] {
    let c = &link.counters;
    let mut all = [0; 25];
    all[..4].copy_from_slice(&[c.rx_packets, c.tx_packets, c.rx_bytes, c.tx_bytes]);
    all[6] = c.rx_dropped;
    all[7] = c.tx_dropped;
    all[13] = c.rx_frame_errors;
    all
}

/// Returns the bytes of `struct rtnl_link_stats64`.
pub fn stats64(link: &Link) -> Vec<u8> {
    stats(link).iter().flat_map(|n| n.to_ne_bytes()).collect()
}
