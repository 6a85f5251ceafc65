//! /proc/net/dev_mcast, /proc/net/igmp and /proc/net/igmp6.
#![forbid(unsafe_code)]

use super::parts::padded;
use crate::view::links::Seen;
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use std::net::IpAddr;

const IGMP_HEADER: &str = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n";

/// Is the link in the groups of IPv6? It joins them when it is made, and leaves them while it is
/// down later.
fn joins_v6(seen: &Seen) -> bool {
    seen.has_ipv6() && (seen.is_up() || !seen.was_down)
}

impl Tree<'_> {
    pub(super) fn dev_mcast(&self, text: &mut Text<'_>) {
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

    pub(super) fn igmp(&self, headed: bool, text: &mut Text<'_>) {
        if !headed {
            text.put(IGMP_HEADER.as_bytes());
        }
        self.each_link(&mut |seen| {
            if seen.is_up() {
                say!(text, "{}\t", seen.index);
                padded(text, seen.name, 10);
                say!(text, ": {:5} {:>7}\n", 1, "V3");
                say!(text, "\t\t\t\t010000E0 {:5} 0:00000000\t\t0\n", 1);
            }
            true
        });
    }

    pub(super) fn igmp6(&self, text: &mut Text<'_>) {
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
    }
}
