//! /proc/net/ipv6_route.
#![forbid(unsafe_code)]

use super::parts::{is_of, machines_name, spaces};
use super::route_line::{Line, RTF_GATEWAY, RTF_HOST, RTF_REJECT, RTF_UP};
use crate::route::{self, gateway_of, nexthops};
use crate::state;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use crate::wire::{Attributes, Message};
use memtun_abi::{Errno, Name};
use std::net::IpAddr;

// More flags of linux/ipv6_route.h.
const RTF_DEFAULT: u32 = 0x1_0000;
const RTF_ADDRCONF: u32 = 0x4_0000;
const RTF_ANYCAST: u32 = 0x10_0000;
const RTF_NONEXTHOP: u32 = 0x20_0000;
const RTF_EXPIRES: u32 = 0x40_0000;
const RTF_LOCAL: u32 = 0x8000_0000;

impl Tree<'_> {
    pub(super) fn ipv6_routes(&self, merged: bool, text: &mut Text<'_>) -> Result<(), Errno> {
        let own = [
            u32::from(libc::RT_TABLE_MAIN),
            u32::from(libc::RT_TABLE_LOCAL),
        ];
        for table in own.map(Some).into_iter().chain([None]) {
            state::each_message(self.net, |message| {
                if message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET6) {
                    if let Some(line) = Line::of(message) {
                        let is_in = match table {
                            Some(table) => line.table == table,
                            None => !own.contains(&line.table),
                        };
                        if is_in {
                            self.ipv6_route_lines(message, &line, text);
                        }
                    }
                }
                true
            })?;
            if !merged && table.is_some() {
                // The entry that stands at the end of each table (`fib6_null_entry`).
                let reject = RTF_REJECT | RTF_NONEXTHOP;
                ipv6_line(text, (0, 0), 0, (u32::MAX, reject), b"lo");
            }
        }
        Ok(())
    }

    fn ipv6_route_lines(&self, message: &Message<'_>, line: &Line, text: &mut Text<'_>) {
        let IpAddr::V6(to) = line.to else { return };
        let mut one = |gateway: Option<IpAddr>, index: u32| {
            let gateway = match gateway {
                Some(IpAddr::V6(gateway)) => u128::from(gateway),
                _ => 0,
            };
            // The state tells the flags, the machine's kernel does not.
            let mut flags = line
                .flags
                .unwrap_or_else(|| line.likely_flags(gateway != 0));
            if gateway != 0 {
                flags |= RTF_GATEWAY;
            }
            let name = match index {
                0 => Name::new(b"lo"),
                index => self.name_of(index).or_else(|| machines_name(index)),
            };
            let numbers = (line.priority, flags);
            if let Some(name) = name {
                ipv6_line(
                    text,
                    (to.into(), line.prefix),
                    gateway,
                    numbers,
                    name.as_bytes(),
                );
            }
        };
        let attributes = Attributes::behind(message.body, route::HEADER);
        match attributes.get(libc::RTA_MULTIPATH) {
            Some(multipath) => {
                for (hop, inner) in nexthops(multipath) {
                    one(gateway_of(&inner).flatten(), hop.index);
                }
            }
            None => one(line.gateway, line.index),
        }
    }
}

impl Line {
    /// Returns the RTF_* flags that a route of IPv6 most likely has.
    fn likely_flags(&self, has_gateway: bool) -> u32 {
        let mut flags = match self.kind {
            libc::RTN_UNICAST | libc::RTN_MULTICAST => RTF_UP,
            libc::RTN_LOCAL => RTF_UP | RTF_LOCAL | RTF_NONEXTHOP,
            libc::RTN_ANYCAST => RTF_UP | RTF_ANYCAST | RTF_NONEXTHOP,
            _ => RTF_REJECT | RTF_NONEXTHOP,
        };
        if self.prefix == 128 && self.kind == libc::RTN_UNICAST && has_gateway {
            flags |= RTF_HOST;
        }
        if self.expires {
            flags |= RTF_EXPIRES;
        }
        if self.protocol == RTPROT_RA {
            flags |= RTF_ADDRCONF;
            if self.prefix == 0 {
                flags |= RTF_DEFAULT;
            }
        }
        flags
    }
}

/// RTPROT_RA of linux/rtnetlink.h: a router has announced the route.
const RTPROT_RA: u8 = 9;

/// Appends a line of /proc/net/ipv6_route. `numbers` are the metric and the flags.
fn ipv6_line(
    text: &mut Text<'_>,
    (to, prefix): (u128, u8),
    gateway: u128,
    (metric, flags): (u32, u32),
    name: &[u8],
) {
    say!(
        text,
        "{to:032x} {prefix:02x} {:032x} 00 {gateway:032x} {metric:08x} {:08x} {:08x} {flags:08x} ",
        0,
        1,
        0
    );
    spaces(text, 8usize.saturating_sub(name.len()));
    text.put(name);
    text.put(b"\n");
}
