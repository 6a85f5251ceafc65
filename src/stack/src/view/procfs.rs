//! The files of /proc/net in which links, addresses, routes and neighbours stand: first what the
//! machine's kernel says, where the machine is seen, and then the net's own lines.
#![forbid(unsafe_code)]

use super::links::{Seen, Whose};
use super::place::NetFile;
use super::text::{say, Text};
use super::tree::Tree;
use crate::address::Address;
use crate::route::{gateway_of, nexthops};
use crate::state::{self, View};
use crate::wire::{u16_at, u32_at, Attributes, Message};
use crate::{neighbour, route};
use memtun_abi::{Errno, Name};
use memtun_sys::{self as sys, PathBuf};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo \
colls carrier compressed
";
const ROUTE: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";
const ARP: &str =
    "IP address       HW type     Flags       HW address            Mask     Device\n";
const IGMP: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n";

/// Length of a line of /proc/net/route without its end, to which it is filled up.
const ROUTE_WIDTH: usize = 127;

// Flags of /proc/net/route and /proc/net/ipv6_route (linux/route.h, linux/ipv6_route.h).
const RTF_UP: u32 = 1;
const RTF_GATEWAY: u32 = 2;
const RTF_HOST: u32 = 4;
const RTF_REJECT: u32 = 0x200;
const RTF_DEFAULT: u32 = 0x1_0000;
const RTF_ADDRCONF: u32 = 0x4_0000;
const RTF_ANYCAST: u32 = 0x10_0000;
const RTF_NONEXTHOP: u32 = 0x20_0000;
const RTF_EXPIRES: u32 = 0x40_0000;
const RTF_LOCAL: u32 = 0x8000_0000;

/// Is the link in the groups of IPv6? It joins them when it is made, and leaves them while it is
/// down later.
fn joins_v6(seen: &Seen) -> bool {
    seen.has_ipv6() && (seen.is_up() || !seen.was_down)
}

impl Tree<'_> {
    /// Makes the text of a file of /proc/net.
    ///
    /// # Errors
    ///
    /// What reading the machine's file or the net fails with.
    pub(super) fn net_file(&self, file: NetFile, text: &mut Text<'_>) -> Result<(), Errno> {
        let merged = self.view() == View::Merged;
        let lines = match merged {
            true => self.machines_lines(file, text)?,
            false => 0,
        };
        let headed = lines > 0;
        match file {
            NetFile::Dev => {
                if !headed {
                    text.put(DEV.as_bytes());
                }
                self.each_link(&mut |seen| {
                    dev(seen, text);
                    true
                });
                Ok(())
            }
            NetFile::DevMcast => self.multicast(text),
            NetFile::Igmp => {
                if !headed {
                    text.put(IGMP.as_bytes());
                }
                self.igmp(text)
            }
            NetFile::Igmp6 => self.igmp6(text),
            NetFile::Arp => {
                if !headed {
                    text.put(ARP.as_bytes());
                }
                self.arp(text)
            }
            NetFile::Route => self.routes(headed, text),
            NetFile::Ipv6Route => self.ipv6_routes(merged, text),
            NetFile::IfInet6 => self.if_inet6(text),
            NetFile::FibTrie => self.fib_trie(text),
        }
    }

    /// Hands on the machine's file line by line, without the lines of links that the net knows and
    /// those that it hides. Returns how many lines the file has.
    fn machines_lines(&self, file: NetFile, text: &mut Text<'_>) -> Result<usize, Errno> {
        let path = PathBuf::concat(&[file.path()])?;
        let opened = match sys::open(path.cstr(), libc::O_RDONLY | libc::O_CLOEXEC, 0) {
            Ok(opened) => opened,
            // The machine has no IPv6, or shows nothing of its network.
            Err(Errno(libc::ENOENT | libc::EACCES)) => return Ok(0),
            Err(e) => return Err(e),
        };
        let mut room = [0; 4096];
        let (mut filled, mut count, mut keeps) = (0, 0, true);
        loop {
            let n = sys::read(opened.raw(), &mut room[filled..])?;
            let end = filled + n;
            let mut begin = 0;
            while begin < end {
                let found = room[begin..end].iter().position(|b| *b == b'\n');
                let whole = match found {
                    Some(at) => begin + at + 1,
                    // A line that does not fit is handed on in pieces; none of these files has one.
                    None if n == 0 || (begin == 0 && end == room.len()) => end,
                    None => break,
                };
                let line = &room[begin..whole];
                keeps = self.keeps(file, line, count, keeps);
                if keeps {
                    text.put(line);
                }
                count += 1;
                begin = whole;
            }
            if n == 0 {
                return Ok(count);
            }
            room.copy_within(begin..end, 0);
            filled = end - begin;
        }
    }

    /// Is this line of the machine's shown? `before` says whether the one before it was.
    fn keeps(&self, file: NetFile, line: &[u8], number: usize, before: bool) -> bool {
        let headers = match file {
            NetFile::Dev => 2,
            NetFile::Route | NetFile::Arp | NetFile::Igmp => 1,
            _ => 0,
        };
        if number < headers {
            return true;
        }
        let mut fields = line
            .split(|b| b.is_ascii_whitespace())
            .filter(|field| !field.is_empty());
        let device = match file {
            NetFile::Dev => fields
                .next()
                .map(|field| field.split(|b| *b == b':').next().unwrap_or(field)),
            NetFile::Route => fields.next(),
            NetFile::Igmp if line.starts_with(b"\t") => return before,
            NetFile::DevMcast | NetFile::Igmp | NetFile::Igmp6 => fields.nth(1),
            NetFile::Ipv6Route | NetFile::IfInet6 | NetFile::Arp => fields.next_back(),
            NetFile::FibTrie => return true,
        };
        let Some(name) = device.and_then(Name::new) else {
            return true;
        };
        if self.net.knows(&name) {
            return false;
        }
        let mut hidden = false;
        let _ = state::each_message(self.net, |message| {
            hidden = state::hidden_of(message).is_some_and(|m| hides(&m, file, line, &name));
            !hidden
        });
        !hidden
    }

    fn multicast(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        self.each_link(&mut |seen| {
            if !seen.is_tap() {
                return true;
            }
            // What a program has added counts once, whoever has it beside.
            let mut line = |address: [u8; 6], added: bool| {
                let (mut users, mut programs) = (1, u8::from(added));
                self.groups(seen.index, &mut |group| {
                    if !added && *group == address {
                        (users, programs) = (2, 1);
                    }
                });
                say!(text, "{:<4} ", seen.index);
                padded(text, seen.name, 15);
                say!(text, " {users:<5} {programs:<5} ");
                address.iter().for_each(|byte| say!(text, "{byte:02x}"));
                text.put(b"\n");
            };
            let v6 = joins_v6(seen).then_some([0x33, 0x33, 0, 0, 0, 1]);
            let v4 = seen.is_up().then_some([1, 0, 0x5e, 0, 0, 1]);
            let (first, second) = if seen.was_down { (v4, v6) } else { (v6, v4) };
            first.into_iter().chain(second).for_each(|g| line(g, false));
            if joins_v6(seen) {
                self.each_solicited(seen.index, &mut |low| {
                    line([0x33, 0x33, 0xff, low[0], low[1], low[2]], false);
                });
            }
            self.groups(seen.index, &mut |group| {
                if !self.is_of_ip(seen, group) {
                    line(*group, true);
                }
            });
            true
        });
        Ok(())
    }

    /// Does a link receive this group because of IP?
    fn is_of_ip(&self, seen: &Seen, group: &[u8; 6]) -> bool {
        let mut is_solicited = false;
        self.each_solicited(seen.index, &mut |low| {
            is_solicited |= *group == [0x33, 0x33, 0xff, low[0], low[1], low[2]];
        });
        match group {
            [1, 0, 0x5e, 0, 0, 1] => seen.is_up(),
            [0x33, 0x33, 0, 0, 0, 1] => joins_v6(seen),
            _ => is_solicited && joins_v6(seen),
        }
    }

    /// Calls `each` with the end of the solicited-node address of each IPv6 address of a link.
    fn each_solicited(&self, index: u32, each: &mut dyn FnMut([u8; 3])) {
        let _ = self.each_address(|address| {
            if let (IpAddr::V6(v6), true) = (address.local, address.index == index) {
                let [.., a, b, c] = v6.octets();
                each([a, b, c]);
            }
        });
    }

    fn each_address(&self, mut each: impl FnMut(&Address)) -> Result<(), Errno> {
        state::each_message(self.net, |message| {
            if message.kind == libc::RTM_NEWADDR {
                if let Some(address) = Address::read(message) {
                    each(&address);
                }
            }
            true
        })
        .map(drop)
    }

    fn igmp(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        self.each_link(&mut |seen| {
            if seen.is_up() {
                say!(text, "{}\t", seen.index);
                padded(text, seen.name, 10);
                say!(text, ": {:5} {:>7}\n", 1, "V3");
                say!(text, "\t\t\t\t010000E0 {:5} 0:00000000\t\t0\n", 1);
            }
            true
        });
        Ok(())
    }

    fn igmp6(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        self.each_link(&mut |seen| {
            if !seen.has_ipv6() {
                return true;
            }
            let mut line = |group: u128, flags: u32| {
                say!(text, "{:<4} ", seen.index);
                padded(text, seen.name, 15);
                say!(text, " {group:032x} {:5} {flags:08X} 0\n", 1);
            };
            if seen.is_tap() {
                self.each_solicited(seen.index, &mut |low| {
                    let low = u32::from_be_bytes([0, low[0], low[1], low[2]]);
                    line(0xff02 << 112 | 0x01_ff00_0000 | u128::from(low), 4);
                });
            }
            line(0xff02 << 112 | 1, 0xc);
            line(0xff01 << 112 | 1, 8);
            true
        });
        Ok(())
    }

    fn arp(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        state::each_message(self.net, |message| {
            let _ = self.arp_line(message, text);
            true
        })
        .map(drop)
    }

    fn arp_line(&self, message: &Message<'_>, text: &mut Text<'_>) -> Option<()> {
        const NUD_INCOMPLETE_OR_FAILED: u16 = 0x01 | 0x20;
        const NUD_NOARP: u16 = 0x40;
        const NUD_PERMANENT: u16 = 0x80;
        /// ATF_PERM and ATF_PUBL.
        const PUBLISHED: u32 = 0xc;
        if message.kind != libc::RTM_NEWNEIGH {
            return None;
        }
        let body = message.body;
        let attributes = Attributes::behind(body, neighbour::HEADER);
        let IpAddr::V4(address) = attributes.get(libc::NDA_DST)?.ip()? else {
            return None;
        };
        let (index, state) = (u32_at(body, 4)?, u16_at(body, 8)?);
        let proxy = body.get(10)? & libc::NTF_PROXY != 0;
        if !proxy && (state & !NUD_NOARP == 0) {
            return None;
        }
        let flags = match state {
            _ if proxy => PUBLISHED,
            state if state & NUD_PERMANENT != 0 => 6,
            state if state & NUD_INCOMPLETE_OR_FAILED != 0 => 0,
            _ => 2,
        };
        let name = match index {
            0 => None,
            index => Some(self.name_of(index).or_else(|| machines_name(index))?),
        };
        let link = name.map(|name| match self.whose(&name) {
            Whose::Ours(seen) => seen.link_type,
            _ => 1,
        });
        let mut shown = [0u8; 16];
        let length = written(&mut shown, format_args!("{address}"));
        text.put(&shown[..length]);
        spaces(text, 16 - length);
        say!(text, " 0x{:<10x}0x{flags:<10x}", link.unwrap_or(0));
        let lladdr = attributes.get(libc::NDA_LLADDR).filter(|_| !proxy);
        let mut bytes = [0; 6];
        if let Some(lladdr) = lladdr {
            let n = lladdr.value.len().min(6);
            bytes[..n].copy_from_slice(&lladdr.value[..n]);
        }
        for (at, byte) in bytes.iter().enumerate() {
            say!(text, "{}{byte:02x}", if at > 0 { ":" } else { "" });
        }
        text.put(b"     *        ");
        text.put(name.as_ref().map_or(b"*", Name::as_bytes));
        text.put(b"\n");
        Some(())
    }

    fn routes(&self, headed: bool, text: &mut Text<'_>) -> Result<(), Errno> {
        // The main table is made with the local one, and stays when its routes are gone.
        let made = [libc::RT_TABLE_MAIN, libc::RT_TABLE_LOCAL]
            .map(|table| Some((libc::AF_INET as u8, table.into())));
        let mut has_table = false;
        state::each_message(self.net, |message| {
            has_table = message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET)
                || made.contains(&state::table_of(message));
            !has_table
        })?;
        if has_table && !headed {
            text.put(ROUTE.as_bytes());
            // The tabulators count as one column each.
            spaces(text, ROUTE_WIDTH - ROUTE.len());
            text.put(b"\n");
        }
        state::each_message(self.net, |message| {
            if message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET) {
                let _ = self.route_line(message, text);
            }
            true
        })
        .map(drop)
    }

    fn route_line(&self, message: &Message<'_>, text: &mut Text<'_>) -> Option<()> {
        let line = Line::of(message)?;
        if line.table != u32::from(libc::RT_TABLE_MAIN)
            || matches!(line.kind, libc::RTN_BROADCAST | libc::RTN_MULTICAST)
        {
            return None;
        }
        let IpAddr::V4(to) = line.to else { return None };
        let mask = u32::MAX
            .checked_shl(32 - u32::from(line.prefix))
            .unwrap_or(0);
        let gateway = match line.gateway {
            Some(IpAddr::V4(gateway)) => gateway,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let mut flags = RTF_UP;
        if matches!(line.kind, libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT) {
            flags = RTF_REJECT | RTF_UP;
        }
        if !gateway.is_unspecified() {
            flags |= RTF_GATEWAY;
        }
        if mask == u32::MAX {
            flags |= RTF_HOST;
        }
        let name = match line.index {
            0 => None,
            index => Some(self.name_of(index).or_else(|| machines_name(index))?),
        };
        // Addresses stand as the machine's own numbers of their bytes.
        let number = |address: u32| u32::from_ne_bytes(address.to_be_bytes());
        let mut shown = [0; 160];
        let name = name.as_ref().map_or(&b"*"[..], Name::as_bytes);
        shown[..name.len()].copy_from_slice(name);
        let n = name.len()
            + written(
                &mut shown[name.len()..],
                format_args!(
                    "\t{:08X}\t{:08X}\t{flags:04X}\t0\t0\t{}\t{:08X}\t{}\t{}\t{}",
                    number(to.into()),
                    number(gateway.into()),
                    line.priority,
                    number(mask),
                    line.advmss.map_or(0, |advmss| advmss + 40),
                    line.window,
                    line.rtt >> 3,
                ),
            );
        text.put(&shown[..n]);
        spaces(text, ROUTE_WIDTH.saturating_sub(n));
        text.put(b"\n");
        Some(())
    }

    fn ipv6_routes(&self, merged: bool, text: &mut Text<'_>) -> Result<(), Errno> {
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

    fn if_inet6(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        self.each_address(|address| {
            let IpAddr::V6(v6) = address.local else {
                return;
            };
            let name = self.name_of(address.index);
            let Some(name) = name.or_else(|| machines_name(address.index)) else {
                return;
            };
            let (index, prefix) = (address.index, address.prefix);
            let (scope, flags) = (scope(v6), address.flags as u8);
            say!(
                text,
                "{:032x} {index:02x} {prefix:02x} {scope:02x} {flags:02x} ",
                u128::from(v6)
            );
            spaces(text, 8usize.saturating_sub(name.as_bytes().len()));
            text.put(name.as_bytes());
            text.put(b"\n");
        })
    }

    /// Appends the local addresses and the networks of the net as leaves, in the form in which
    /// programs look for them. How the kernel would compress the trie is not imitated.
    fn fib_trie(&self, text: &mut Text<'_>) -> Result<(), Errno> {
        // Without rules of their own both tables are one trie, which is shown twice.
        self.trie("Main:\n", text)?;
        self.trie("Local:\n", text)
    }

    fn trie(&self, name: &str, text: &mut Text<'_>) -> Result<(), Errno> {
        let mut headed = false;
        state::each_message(self.net, |message| {
            if message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET) {
                if let Some(line) = Line::of(message) {
                    if !headed {
                        text.put(name.as_bytes());
                        headed = true;
                    }
                    let scope = match line.scope {
                        libc::RT_SCOPE_UNIVERSE => "universe",
                        libc::RT_SCOPE_SITE => "site",
                        libc::RT_SCOPE_LINK => "link",
                        libc::RT_SCOPE_HOST => "host",
                        _ => "nowhere",
                    };
                    let kind = match line.kind {
                        libc::RTN_UNICAST => "UNICAST",
                        libc::RTN_LOCAL => "LOCAL",
                        libc::RTN_BROADCAST => "BROADCAST",
                        libc::RTN_MULTICAST => "MULTICAST",
                        libc::RTN_BLACKHOLE => "BLACKHOLE",
                        libc::RTN_UNREACHABLE => "UNREACHABLE",
                        libc::RTN_PROHIBIT => "PROHIBIT",
                        libc::RTN_THROW => "THROW",
                        _ => "UNSPEC",
                    };
                    say!(
                        text,
                        "  |-- {}\n     /{} {scope} {kind}\n",
                        line.to,
                        line.prefix
                    );
                }
            }
            true
        })
        .map(drop)
    }
}

/// What a message says of a route, as far as a line shows it.
struct Line {
    to: IpAddr,
    prefix: u8,
    table: u32,
    protocol: u8,
    scope: u8,
    kind: u8,
    priority: u32,
    /// Index and gateway of the first next hop.
    index: u32,
    gateway: Option<IpAddr>,
    advmss: Option<u32>,
    window: u32,
    rtt: u32,
    expires: bool,
    /// RTF_* flags of a route of the state's.
    flags: Option<u32>,
}

impl Line {
    fn of(message: &Message<'_>) -> Option<Line> {
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

// RTAX_* of linux/rtnetlink.h.
const RTAX_WINDOW: i32 = 3;
const RTAX_RTT: i32 = 4;
const RTAX_ADVMSS: i32 = 8;

fn is_of(message: &Message<'_>, family: i32) -> bool {
    message
        .body
        .first()
        .is_some_and(|b| i32::from(*b) == family)
}

/// Does this hidden thing stand in the line of the machine's link `name`?
fn hides(hidden: &Message<'_>, file: NetFile, line: &[u8], name: &Name) -> bool {
    let field = |at: usize| {
        let mut fields = line
            .split(|b| b.is_ascii_whitespace())
            .filter(|field| !field.is_empty());
        fields
            .nth(at)
            .and_then(|field| std::str::from_utf8(field).ok())
    };
    let hex = |at: usize| field(at).and_then(|text| u32::from_str_radix(text, 16).ok());
    match hidden.kind {
        libc::RTM_NEWLINK => {
            let attributes = Attributes::behind(hidden.body, crate::link::HEADER);
            attributes
                .get(libc::IFLA_IFNAME)
                .is_some_and(|a| a.string() == name.as_bytes())
        }
        libc::RTM_NEWROUTE if file == NetFile::Route && is_of(hidden, libc::AF_INET) => {
            let Some(route) = Line::of(hidden) else {
                return false;
            };
            let IpAddr::V4(to) = route.to else {
                return false;
            };
            let gateway = match route.gateway {
                Some(IpAddr::V4(gateway)) => u32::from_ne_bytes(gateway.octets()),
                _ => 0,
            };
            let mask = u32::MAX
                .checked_shl(32 - u32::from(route.prefix))
                .unwrap_or(0);
            route.table == u32::from(libc::RT_TABLE_MAIN)
                && hex(1) == Some(u32::from_ne_bytes(to.octets()))
                && hex(2) == Some(gateway)
                && field(6).and_then(|text| text.parse().ok()) == Some(route.priority)
                && hex(7) == Some(u32::from_ne_bytes(mask.to_be_bytes()))
        }
        libc::RTM_NEWROUTE if file == NetFile::Ipv6Route && is_of(hidden, libc::AF_INET6) => {
            let Some(route) = Line::of(hidden) else {
                return false;
            };
            let IpAddr::V6(to) = route.to else {
                return false;
            };
            let wide = |at: usize| field(at).and_then(|text| u128::from_str_radix(text, 16).ok());
            wide(0) == Some(u128::from(to))
                && hex(1) == Some(route.prefix.into())
                && hex(5) == Some(route.priority)
        }
        libc::RTM_NEWADDR if file == NetFile::IfInet6 => {
            let attributes = Attributes::behind(hidden.body, crate::address::HEADER);
            let shown = field(0).and_then(|text| u128::from_str_radix(text, 16).ok());
            let address = attributes.get(libc::IFA_ADDRESS).and_then(|a| a.ip());
            matches!(address, Some(IpAddr::V6(v6)) if shown == Some(u128::from(v6)))
        }
        libc::RTM_NEWNEIGH if file == NetFile::Arp => {
            let attributes = Attributes::behind(hidden.body, neighbour::HEADER);
            let address = attributes.get(libc::NDA_DST).and_then(|a| a.ip());
            let shown = field(0).and_then(|text| text.parse::<IpAddr>().ok());
            address.is_some() && shown == address
        }
        _ => false,
    }
}

/// Appends a link's line of /proc/net/dev.
fn dev(seen: &Seen, text: &mut Text<'_>) {
    let name = seen.name.as_bytes();
    spaces(text, 6usize.saturating_sub(name.len()));
    text.put(name);
    let c = &seen.counters;
    say!(
        text,
        ": {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n",
        c.rx_bytes,
        c.rx_packets,
        0,
        c.rx_dropped,
        0,
        c.rx_frame_errors,
        0,
        0,
        c.tx_bytes,
        c.tx_packets,
        0,
        c.tx_dropped,
        0,
        0,
        0,
        0
    );
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

/// The scope of an IPv6 address as /proc/net/if_inet6 shows it (`ipv6_addr_scope`).
fn scope(address: Ipv6Addr) -> u8 {
    let [first, ..] = address.segments();
    match first {
        _ if address.is_loopback() => 0x10,
        _ if first & 0xffc0 == 0xfe80 => 0x20,
        _ if first & 0xffc0 == 0xfec0 => 0x40,
        0 if address.segments()[..6] == [0; 6] => 0x80,
        _ => 0,
    }
}

/// The name of a link of the machine.
fn machines_name(index: u32) -> Option<Name> {
    let name = sys::interface_name(index).ok()?;
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    Name::new(&name[..end])
}

fn spaces(text: &mut Text<'_>, count: usize) {
    for _ in 0..count {
        text.put(b" ");
    }
}

/// Appends a name, and spaces up to `width` bytes.
fn padded(text: &mut Text<'_>, name: Name, width: usize) {
    text.put(name.as_bytes());
    spaces(text, width.saturating_sub(name.as_bytes().len()));
}

/// Formats into a buffer, and returns the length; what does not fit is cut off.
fn written(room: &mut [u8], what: std::fmt::Arguments<'_>) -> usize {
    use std::io::Write;
    let whole = room.len();
    let mut rest = room;
    let _ = rest.write_fmt(what);
    whole - rest.len()
}
