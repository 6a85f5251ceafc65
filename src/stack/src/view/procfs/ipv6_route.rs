//! /proc/net/ipv6_route.
#![forbid(unsafe_code)]

use super::order::{self, Progress, Rank};
use super::parts::{hex, is_of, machines_name, spaces};
use super::route_line::{Line, RTF_GATEWAY, RTF_HOST, RTF_REJECT, RTF_UP};
use crate::route::{self, gateway_of, nexthops};
use crate::state;
use crate::view::place::NetFile;
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
        // Each table ends with an entry of its own, and the machine's last two are the main and
        // the local one.
        let mut left = 0;
        let machines = NetFile::Ipv6Route;
        if merged {
            self.each_machines_line(machines, &mut |line| {
                left += usize::from(is_end(line));
                Ok(())
            })?;
        }
        let has_machines = left > 0;
        let mut last = None;
        while let Some(table) = self.table_behind(last)? {
            self.routes_of_table(table, None, &mut Progress::new(), text)?;
            end(text);
            last = Some(table);
        }
        let (main, local) = (libc::RT_TABLE_MAIN, libc::RT_TABLE_LOCAL);
        if !has_machines {
            for table in [main, local] {
                self.routes_of_table(table.into(), None, &mut Progress::new(), text)?;
                if !merged {
                    end(text);
                }
            }
            return Ok(());
        }
        let mut progress = Progress::new();
        self.each_machines_line(machines, &mut |line| {
            let (ends, table) = (is_end(line), if left == 2 { main } else { local });
            if left <= 2 {
                let until = order::of_ipv6_route(line).filter(|_| !ends);
                self.routes_of_table(table.into(), until, &mut progress, text)?;
            }
            if ends {
                left = left.saturating_sub(1);
                progress = Progress::new();
            }
            text.put(line);
            Ok(())
        })
        .map(drop)
    }

    /// The table behind this one, in the kernel's order, of those that are neither the main nor the
    /// local one.
    fn table_behind(&self, last: Option<u32>) -> Result<Option<u32>, Errno> {
        let own = [libc::RT_TABLE_MAIN, libc::RT_TABLE_LOCAL].map(u32::from);
        // They stand by their hash (`fib6_tables_dump`).
        let place = |table: u32| (table & 0xff, table);
        let mut next: Option<u32> = None;
        state::each_message(self.net, |message| {
            let of_v6 =
                |(family, table): (u8, u32)| (i32::from(family) == libc::AF_INET6).then_some(table);
            let table = match message.kind {
                libc::RTM_NEWROUTE if is_of(message, libc::AF_INET6) => {
                    Line::of(message).map(|line| line.table)
                }
                _ => state::table_of(message).and_then(of_v6),
            };
            if let Some(table) = table.filter(|table| !own.contains(table)) {
                let is_behind = last.is_none_or(|last| place(table) > place(last));
                if is_behind && next.is_none_or(|next| place(table) < place(next)) {
                    next = Some(table);
                }
            }
            true
        })?;
        Ok(next)
    }

    fn routes_of_table(
        &self,
        table: u32,
        until: Option<Rank>,
        progress: &mut Progress,
        text: &mut Text<'_>,
    ) -> Result<(), Errno> {
        progress.show(until, |wants| {
            state::each_message(self.net, |message| {
                if message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET6) {
                    let line = Line::of(message).filter(|line| line.table == table);
                    if let Some(line) = line.filter(|line| wants(line.rank())) {
                        self.ipv6_route_lines(message, &line, text);
                    }
                }
                true
            })
            .map(drop)
        })
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

// The entry that stands at the end of each table (`fib6_null_entry`).
const END: (u32, u32) = (u32::MAX, RTF_REJECT | RTF_NONEXTHOP);

fn end(text: &mut Text<'_>) {
    ipv6_line(text, (0, 0), 0, END, b"lo");
}

/// Is this line of the machine's the end of a table?
fn is_end(line: &[u8]) -> bool {
    let numbers = (hex(line, 5), hex(line, 8));
    numbers == (Some(END.0.into()), Some(END.1.into()))
}

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
