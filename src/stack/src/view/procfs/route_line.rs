//! A route as the lines of the files show it.
#![forbid(unsafe_code)]

use crate::route::{self, gateway_of, nexthops};
use crate::wire::{u32_at, Attributes, Message};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// Flags of /proc/net/route and /proc/net/ipv6_route (linux/route.h, linux/ipv6_route.h).
pub(super) const RTF_UP: u32 = 1;
pub(super) const RTF_GATEWAY: u32 = 2;
pub(super) const RTF_HOST: u32 = 4;
pub(super) const RTF_REJECT: u32 = 0x200;

/// What a message says of a route, as far as a line shows it.
pub(super) struct Line {
    pub(super) to: IpAddr,
    pub(super) prefix: u8,
    pub(super) table: u32,
    pub(super) protocol: u8,
    pub(super) scope: u8,
    pub(super) kind: u8,
    pub(super) priority: u32,
    /// Index and gateway of the first next hop.
    pub(super) index: u32,
    pub(super) gateway: Option<IpAddr>,
    pub(super) advmss: Option<u32>,
    pub(super) window: u32,
    pub(super) rtt: u32,
    pub(super) expires: bool,
    /// RTF_* flags of a route of the state's.
    pub(super) flags: Option<u32>,
}

impl Line {
    pub(super) fn of(message: &Message<'_>) -> Option<Line> {
        let body = message.body;
        let attributes =
            Attributes::behind(body.get(..route::HEADER).map(|_| body)?, route::HEADER);
        let number = |kind| attributes.get(kind).and_then(|a| a.u32());
        let none: IpAddr = match i32::from(body[0]) {
            libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
            _ => Ipv6Addr::UNSPECIFIED.into(),
        };
        let first = attributes
            .get(libc::RTA_MULTIPATH)
            .and_then(|multipath| nexthops(multipath).next());
        let (index, gateway) = match first {
            Some((hop, inner)) => (hop.index, gateway_of(&inner)?),
            None => (number(libc::RTA_OIF).unwrap_or(0), gateway_of(&attributes)?),
        };
        let metric = |wanted: i32| {
            let metrics = attributes.get(libc::RTA_METRICS)?;
            let found = metrics.attributes().get(wanted as u16)?;
            found.u32()
        };
        let cache = attributes.get(libc::RTA_CACHEINFO);
        Some(Line {
            to: attributes
                .get(libc::RTA_DST)
                .map_or(Some(none), |a| a.ip())?,
            prefix: body[1],
            table: number(libc::RTA_TABLE).unwrap_or(body[4].into()),
            protocol: body[5],
            scope: body[6],
            kind: body[7],
            priority: number(libc::RTA_PRIORITY).unwrap_or(0),
            index,
            gateway,
            advmss: metric(RTAX_ADVMSS),
            window: metric(RTAX_WINDOW).unwrap_or(0),
            rtt: metric(RTAX_RTT).unwrap_or(0),
            expires: cache.and_then(|cache| u32_at(cache.value, 8)).unwrap_or(0) != 0,
            flags: number(route::FLAGS),
        })
    }
}

// RTAX_* of linux/rtnetlink.h.
const RTAX_WINDOW: i32 = 3;
const RTAX_RTT: i32 = 4;
const RTAX_ADVMSS: i32 = 8;
