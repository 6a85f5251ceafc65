//! A route of IPv6 as it is asked for.
#![forbid(unsafe_code)]

use crate::engine::route::parts::Part;
use crate::engine::route::parts::RTN_MAX;
use crate::engine::route::refuse;
use crate::engine::route::told::Cause;
use crate::Failure;
use crate::World;
use memtun_stack::route::rtf;
use std::net::{IpAddr, Ipv6Addr};

/// Priority of a route that nobody gave one (IP6_RT_PRIO_USER).
pub const PRIORITY: u32 = 1024;

/// Priority of the route to the network of an address (IP6_RT_PRIO_ADDRCONF).
pub const PRIORITY_OF_ADDRESS: u32 = 256;

/// A route as it is asked for (`struct fib6_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config<'b> {
    /// The destination.
    pub to: Ipv6Addr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// The senders, and the length of their prefix.
    pub from: (Ipv6Addr, u8),
    /// The table, 0 for the main one.
    pub table: u32,
    /// RTPROT_*, 0 for the default.
    pub protocol: u8,
    /// RTN_*, 0 for the default.
    pub kind: u8,
    /// RTF_* flags.
    pub flags: u32,
    /// Is RTNH_F_ONLINK set?
    pub onlink: bool,
    /// Index of the interface, 0 for none.
    pub index: u32,
    /// The gateway; it counts only with RTF_GATEWAY.
    pub gateway: Ipv6Addr,
    /// Preferred source, unspecified for none.
    pub source: Ipv6Addr,
    /// Priority.
    pub priority: u32,
    /// Preference among routers (ICMPV6_ROUTER_PREF_*).
    pub preference: u8,
    /// Hundredths of a second until it ends; it counts only with RTF_EXPIRES.
    pub expires: u32,
    /// RTA_METRICS.
    pub metrics: Option<Part<'b>>,
    /// RTA_MULTIPATH.
    pub multipath: Option<Part<'b>>,
    /// Number of an object of next hops; None for none.
    pub object: Option<u32>,
    /// May the interface be down (the route of an address of this host)?
    pub down: bool,
    /// NLM_F_* flags; None where no message asks.
    pub how: Option<i32>,
    /// Are all next hops deleted that a route has, and not just the one that is found?
    pub all_hops: bool,
    /// Who asks.
    pub cause: Cause,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Config {
            to: Ipv6Addr::UNSPECIFIED,
            prefix: 0,
            from: (Ipv6Addr::UNSPECIFIED, 0),
            table: libc::RT_TABLE_MAIN.into(),
            protocol: 0,
            kind: 0,
            flags: rtf::UP,
            onlink: false,
            index: 0,
            gateway: Ipv6Addr::UNSPECIFIED,
            source: Ipv6Addr::UNSPECIFIED,
            priority: 0,
            preference: 0,
            expires: 0,
            metrics: None,
            multipath: None,
            object: None,
            down: false,
            how: None,
            all_hops: false,
            cause: Cause::default(),
        }
    }
}

pub(super) fn table_of(c: &Config<'_>) -> u32 {
    match c.table {
        0 => libc::RT_TABLE_MAIN.into(),
        table => table,
    }
}

/// `fib6_config_validate`.
pub(super) fn validate(c: &Config<'_>) -> Result<(), Failure> {
    if c.flags & rtf::PCPU != 0 {
        return refuse("Userspace can not set RTF_PCPU");
    }
    if c.flags & rtf::CACHE != 0 {
        return refuse("Userspace can not set RTF_CACHE");
    }
    if c.kind > RTN_MAX {
        return refuse("Invalid route type");
    }
    if c.prefix > 128 {
        return refuse("Invalid prefix length");
    }
    if c.from.1 > 128 {
        return refuse("Invalid source address length");
    }
    Ok(())
}

/// Returns the IPv6 address of what must be one.
pub(crate) fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V6(address) => address,
        IpAddr::V4(address) => address.to_ipv6_mapped(),
    }
}

/// Has a link IPv6 at all? One whose mtu is below 1280 has not (`in6_dev_get`).
pub fn has_v6(world: &World<'_>, index: u32) -> bool {
    let link = world.link(index);
    link.is_some_and(|link| link.extra.mtu >= 1280)
}
