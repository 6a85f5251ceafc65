//! /proc/net/route.
#![forbid(unsafe_code)]

use super::order::{self, Progress, Rank};
use super::parts::{is_of, machines_name, spaces, written};
use super::route_line::{Line, RTF_GATEWAY, RTF_HOST, RTF_REJECT, RTF_UP};
use crate::state;
use crate::view::place::NetFile;
use crate::view::text::Text;
use crate::view::tree::Tree;
use memtun_abi::{Errno, Name};
use std::net::{IpAddr, Ipv4Addr};

const HEADER: &str =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

/// Length of a line without its end, to which it is filled up.
const WIDTH: usize = 127;

impl Tree<'_> {
    pub(super) fn routes(&self, merged: bool, text: &mut Text<'_>) -> Result<(), Errno> {
        let mut progress = Progress::new();
        let mut headed = false;
        if merged {
            self.each_machines_line(NetFile::Route, &mut |line| {
                if headed {
                    self.routes_until(order::of_route(line), &mut progress, text)?;
                }
                headed = true;
                text.put(line);
                Ok(())
            })?;
        }
        if !headed && self.has_main_table()? {
            text.put(HEADER.as_bytes());
            // The tabulators count as one column each.
            spaces(text, WIDTH - HEADER.len());
            text.put(b"\n");
        }
        self.routes_until(None, &mut progress, text)
    }

    /// Has the net a main table? It is made with the local one, and stays when its routes are gone.
    fn has_main_table(&self) -> Result<bool, Errno> {
        let made = [libc::RT_TABLE_MAIN, libc::RT_TABLE_LOCAL]
            .map(|table| Some((libc::AF_INET as u8, table.into())));
        let mut has_table = false;
        state::each_message(self.net, |message| {
            has_table = message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET)
                || made.contains(&state::table_of(message));
            !has_table
        })?;
        Ok(has_table)
    }

    fn routes_until(
        &self,
        until: Option<Rank>,
        progress: &mut Progress,
        text: &mut Text<'_>,
    ) -> Result<(), Errno> {
        progress.show(until, |wants| {
            state::each_message(self.net, |message| {
                if message.kind == libc::RTM_NEWROUTE && is_of(message, libc::AF_INET) {
                    if let Some(line) = Line::of(message).filter(|line| wants(line.rank())) {
                        let _ = self.route_line(&line, text);
                    }
                }
                true
            })
            .map(drop)
        })
    }

    fn route_line(&self, line: &Line, text: &mut Text<'_>) -> Option<()> {
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
        spaces(text, WIDTH.saturating_sub(n));
        text.put(b"\n");
        Some(())
    }
}
