//! A route of IPv4 as it is asked for.
#![forbid(unsafe_code)]

use crate::engine::route::parts::Part;
use crate::engine::route::refuse;
use crate::engine::route::told::Cause;
use crate::Failure;
use memtun_stack::wire::u16_at;
use std::net::{IpAddr, Ipv4Addr};

/// A route as it is asked for (`struct fib_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config<'b> {
    /// The destination.
    pub to: Ipv4Addr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Type of service.
    pub tos: u8,
    /// The table.
    pub table: u32,
    /// RTPROT_*.
    pub protocol: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTN_*.
    pub kind: u8,
    /// RTNH_F_* and RTM_F_* flags.
    pub flags: u32,
    /// Index of the interface, 0 for none.
    pub index: u32,
    /// The gateway.
    pub gateway: Option<IpAddr>,
    /// Priority.
    pub priority: u32,
    /// Preferred source, 0.0.0.0 for none.
    pub source: Ipv4Addr,
    /// RTA_METRICS.
    pub metrics: Option<Part<'b>>,
    /// RTA_MULTIPATH.
    pub multipath: Option<Part<'b>>,
    /// RTA_FLOW, 0 for none.
    pub realm: u32,
    /// Number of an object of next hops, 0 for none.
    pub object: u32,
    /// NLM_F_* flags.
    pub how: i32,
    /// Who asks.
    pub cause: Cause,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Config {
            to: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
            tos: 0,
            table: libc::RT_TABLE_MAIN.into(),
            protocol: 0,
            scope: 0,
            kind: 0,
            flags: 0,
            index: 0,
            gateway: None,
            priority: 0,
            source: Ipv4Addr::UNSPECIFIED,
            metrics: None,
            multipath: None,
            realm: 0,
            object: 0,
            how: 0,
            cause: Cause::default(),
        }
    }
}

/// Checks that a destination fits its prefix (`fib_valid_key_len`).
///
/// # Errors
///
/// EINVAL when it does not.
pub fn check_prefix(to: Ipv4Addr, prefix: u8) -> Result<(), Failure> {
    if prefix > 32 {
        return refuse("Invalid prefix length");
    }
    if prefix < 32 && u32::from(to) << prefix != 0 {
        return refuse("Invalid prefix for given prefix length");
    }
    Ok(())
}

/// Reads RTA_VIA (`fib_gw_from_via`).
///
/// # Errors
///
/// EINVAL for what is no address.
pub fn via(value: &[u8]) -> Result<IpAddr, Failure> {
    let Some(family) = u16_at(value, 0) else {
        return refuse("Invalid attribute length for RTA_VIA");
    };
    let address = memtun_stack::wire::ip_of(&value[2..]);
    match (i32::from(family), address) {
        (libc::AF_INET, Some(IpAddr::V4(_))) | (libc::AF_INET6, Some(IpAddr::V6(_))) => {
            Ok(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
        }
        (libc::AF_INET, _) => refuse("Invalid IPv4 address in RTA_VIA"),
        (libc::AF_INET6, _) => refuse("Invalid IPv6 address in RTA_VIA"),
        _ => refuse("Unsupported address family in RTA_VIA"),
    }
}

/// Returns the gateway of RTA_GATEWAY; 0.0.0.0 is none.
pub(super) fn gateway(value: &[u8]) -> Result<Option<IpAddr>, Failure> {
    match value.get(..4).and_then(memtun_stack::wire::ip_of) {
        None => refuse("Invalid IPv4 address in RTA_GATEWAY"),
        Some(gateway) => Ok((!gateway.is_unspecified()).then_some(gateway)),
    }
}
