//! A route of a net.
#![forbid(unsafe_code)]

use super::words::{unspecified, Words};
use memtun_abi::error::Result;
use memtun_abi::Error;
use memtun_stack::wire::{family_of, Writer};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// A route, written as in ip-route(8): `10.20.0.0/16 via 10.0.0.2`, `default dev tun0 metric 5`,
/// `blackhole 10.9.0.0/16`, `fd00:20::/32 via fd00::2 dev tun0 src fd00::1 table 100`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Route {
    /// What becomes of a packet: `unicast`, `blackhole`, `unreachable`, `prohibit` or `throw`;
    /// `local`, `broadcast`, `anycast` and `multicast` are the host's own.
    pub kind: &'static str,
    /// The network that it leads to; zeroes with a prefix of 0 bits for the default route.
    pub to: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// The gateway, if packets are not sent to their destination itself.
    pub via: Option<IpAddr>,
    /// Name of the interface.
    pub dev: Option<String>,
    /// The address that packets of this host's get as their source.
    pub source: Option<IpAddr>,
    /// Priority among routes to the same network, the lowest of which wins; 0 for the default.
    pub metric: u32,
    /// Number of the routing table; 254 is the main one.
    pub table: u32,
}

/// The words for RTN_*, beginning at 1.
const KINDS: [&str; 10] = [
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
];
const MAIN: u32 = libc::RT_TABLE_MAIN as u32;

impl Route {
    /// Makes a route to a network, in the main table.
    pub fn new(to: impl Into<IpAddr>, prefix: u8) -> Route {
        Route {
            kind: KINDS[0],
            to: to.into(),
            prefix,
            via: None,
            dev: None,
            source: None,
            metric: 0,
            table: MAIN,
        }
    }

    /// Names the gateway.
    pub fn via(self, gateway: impl Into<IpAddr>) -> Route {
        Route {
            via: Some(gateway.into()),
            ..self
        }
    }

    /// Names the interface.
    pub fn dev(self, name: impl Into<String>) -> Route {
        Route {
            dev: Some(name.into()),
            ..self
        }
    }

    /// Is a route of the net's the one that this one asks for? What it leaves open, such as the
    /// interface of a gateway, is as the kernel chose it.
    pub(super) fn is(&self, present: &Route) -> bool {
        let one = |route: &Route| (route.kind, route.to, route.prefix, route.table);
        one(self) == one(present)
            && self.via == present.via
            && (self.dev.is_none() || self.dev == present.dev)
            && (self.source.is_none() || self.source == present.source)
            && (self.metric == 0 || self.metric == present.metric)
    }

    fn number(&self) -> u8 {
        let at = KINDS.iter().position(|kind| *kind == self.kind);
        at.map_or(0, |at| at as u8 + 1)
    }

    pub(super) fn of(
        route: &memtun_stack::Route,
        name_of: impl Fn(u32) -> Option<String>,
    ) -> Route {
        let hop = route.hops.first();
        Route {
            kind: KINDS
                .get(usize::from(route.kind).wrapping_sub(1))
                .copied()
                .unwrap_or("unknown"),
            to: route.to,
            prefix: route.prefix,
            via: hop.and_then(|hop| hop.gateway),
            dev: hop.and_then(|hop| name_of(hop.index)),
            source: route.source,
            metric: route.priority,
            table: route.table,
        }
    }

    pub(super) fn message(&self, kind: u16, flags: u16, index: Option<u32>) -> Vec<u8> {
        let unicast = self.number() == libc::RTN_UNICAST;
        let new = kind == libc::RTM_NEWROUTE;
        let scope = match (new, self.to, unicast && self.via.is_none()) {
            (false, ..) => libc::RT_SCOPE_NOWHERE,
            (true, IpAddr::V4(_), true) => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        };
        let table = u8::try_from(self.table).unwrap_or(libc::RT_TABLE_UNSPEC);
        let mut own = [0; memtun_stack::route::HEADER];
        let protocol = if new { libc::RTPROT_BOOT } else { 0 };
        own[..8].copy_from_slice(&[
            family_of(self.to),
            self.prefix,
            0,
            0,
            table,
            protocol,
            scope,
            self.number(),
        ]);
        let mut to = Writer::default();
        to.message(kind, flags, 1, 0)
            .raw(&own)
            .u32(libc::RTA_TABLE, self.table);
        if self.prefix > 0 {
            to.ip(libc::RTA_DST, self.to);
        }
        if let Some(gateway) = self.via {
            memtun_stack::route::write_gateway(&mut to, self.to, Some(gateway));
        }
        if let Some(index) = index {
            to.u32(libc::RTA_OIF, index);
        }
        if self.metric != 0 {
            to.u32(libc::RTA_PRIORITY, self.metric);
        }
        if let Some(source) = self.source {
            to.ip(libc::RTA_PREFSRC, source);
        }
        to.take()
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let mut record = to.serialize_struct("Route", 9)?;
        record.serialize_field("type", &self.kind)?;
        record.serialize_field("dst", &self.to)?;
        record.serialize_field("prefixlen", &self.prefix)?;
        record.serialize_field("gateway", &self.via)?;
        record.serialize_field("dev", &self.dev)?;
        record.serialize_field("prefsrc", &self.source)?;
        record.serialize_field("metric", &self.metric)?;
        record.serialize_field("table", &self.table)?;
        record.serialize_field("text", &self.to_string())?;
        record.end()
    }
}

impl FromStr for Route {
    type Err = Error;
    fn from_str(text: &str) -> Result<Route> {
        let mut words = Words::new("route", text);
        let missing = "the network is missing";
        let mut word = words.next().ok_or_else(|| words.wrong(missing))?;
        let mut kind = KINDS[0];
        if let Some(named) = KINDS.iter().find(|kind| **kind == word) {
            kind = named;
            word = words.next().ok_or_else(|| words.wrong(missing))?;
        }
        let default = word == "default";
        let (to, prefix) = match default {
            true => (Ipv4Addr::UNSPECIFIED.into(), 0),
            false => words.prefix(word)?,
        };
        let mut route = Route {
            kind,
            ..Route::new(to, prefix)
        };
        while let Some(word) = words.next() {
            match word {
                "via" => route.via = Some(words.address(word)?),
                "dev" => route.dev = Some(words.value(word)?.to_owned()),
                "src" => route.source = Some(words.address(word)?),
                "metric" | "priority" | "preference" => route.metric = words.number(word)?,
                "table" => {
                    route.table = match words.value(word)? {
                        "main" => MAIN,
                        "local" => libc::RT_TABLE_LOCAL.into(),
                        "default" => libc::RT_TABLE_DEFAULT.into(),
                        number => number
                            .parse()
                            .map_err(|_| words.wrong(&format!("{number:?} is no table")))?,
                    }
                }
                other => return Err(words.wrong(&format!("{other:?} is not known"))),
            }
        }
        if let (true, Some(like)) = (default, route.via.or(route.source)) {
            route.to = unspecified(like);
        }
        Ok(route)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != KINDS[0] {
            write!(f, "{} ", self.kind)?;
        }
        match (self.prefix, self.to) {
            (0, _) => f.write_str("default")?,
            (32, IpAddr::V4(to)) => write!(f, "{to}")?,
            (128, IpAddr::V6(to)) => write!(f, "{to}")?,
            (length, to) => write!(f, "{to}/{length}")?,
        }
        if let Some(gateway) = self.via {
            write!(f, " via {gateway}")?;
        }
        if let Some(name) = &self.dev {
            write!(f, " dev {name}")?;
        }
        if self.table != MAIN {
            write!(f, " table {}", self.table)?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        Ok(())
    }
}
