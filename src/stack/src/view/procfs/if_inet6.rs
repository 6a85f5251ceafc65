//! /proc/net/if_inet6.
#![forbid(unsafe_code)]

use super::parts::{machines_name, spaces};
use crate::view::text::{say, Text};
use crate::view::tree::Tree;
use memtun_abi::Errno;
use std::net::{IpAddr, Ipv6Addr};

impl Tree<'_> {
    pub(super) fn if_inet6(&self, text: &mut Text<'_>) -> Result<(), Errno> {
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
