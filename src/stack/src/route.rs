//! A route: `struct fib_info` and `struct fib_alias`, `struct fib6_info`.
#![forbid(unsafe_code)]

use crate::address::Head;
use crate::wire::{
    family_of, ip_of, u16_at, u32_at, Attribute, Attributes, Message, Writer, LONG, NESTED,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length in bytes of `struct rtmsg`.
pub const HEADER: usize = 12;
/// Length in bytes of `struct rtnexthop`.
pub const NEXTHOP: usize = 8;

/// One next hop of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nexthop {
    /// Index of the interface, 0 for none.
    pub index: u32,
    /// The gateway, of either family (RTA_GATEWAY or RTA_VIA).
    pub gateway: Option<IpAddr>,
    /// RTNH_F_* flags.
    pub flags: u32,
    /// Weight among the next hops, from 1.
    pub weight: u16,
    /// IPv4: the realm of routes (RTA_FLOW), 0 for none.
    pub realm: u32,
}

/// A route in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The destination's network; zeroes for the default route.
    pub to: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// IPv6: the network of senders that it is for, and the length of its prefix; 0 for all.
    pub from: (IpAddr, u8),
    /// Type of service.
    pub tos: u8,
    /// RT_TABLE_* or any other number.
    pub table: u32,
    /// RTPROT_*: who made it.
    pub protocol: u8,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// RTN_*: what becomes of a packet.
    pub kind: u8,
    /// IPv4: the flags it was made with, and those that all of its next hops have (RTNH_F_*).
    /// IPv6: RTF_* flags, as /proc/net/ipv6_route shows them but for RTF_GATEWAY.
    pub flags: u32,
    /// Priority, the lowest of which wins.
    pub priority: u32,
    /// Preferred address of our own.
    pub source: Option<IpAddr>,
    /// RTAX_* metrics: the number of each, and its value. RTAX_CC_ALGO is in
    /// [`Route::congestion`].
    pub metrics: Vec<(u16, u32)>,
    /// RTAX_CC_ALGO.
    pub congestion: Option<Vec<u8>>,
    /// IPv6: ICMPV6_ROUTER_PREF_*.
    pub preference: u8,
    /// IPv6: when it ends, in hundredths of a second of CLOCK_BOOTTIME.
    pub expires: Option<u32>,
    /// Number of the object that its next hops are, 0 for those of its own.
    pub object: u32,
    /// Is that object a group? Then IPv6 tells even a single next hop as one of several.
    pub grouped: bool,
    /// The next hops: none for a route that leads nowhere (blackhole), several for multipath.
    pub hops: Vec<Nexthop>,
}

impl Route {
    /// Is it of IPv4?
    pub fn is_v4(&self) -> bool {
        self.to.is_ipv4()
    }

    /// Appends the route as a message RTM_NEWROUTE or another `kind`, in the kernel's order of
    /// attributes. `now` is the time of the answer; None leaves times as they are, for the state's
    /// file.
    pub fn write(&self, to: &mut Writer, head: Head, now: Option<u32>) {
        let table = u8::try_from(self.table).unwrap_or(libc::RT_TABLE_COMPAT);
        let v6 = !self.is_v4();
        let flags = match self.hops.as_slice() {
            _ if now.is_none() => 0,
            [hop] => hop.flags & SHOWN,
            _ if v6 => 0,
            // One that leads nowhere has a next hop in the kernel, too, whose flags it shows.
            [] => self.flags & SHOWN,
            _ => self.flags,
        };
        let mut own = [0; HEADER];
        own[..8].copy_from_slice(&[
            family_of(self.to),
            self.prefix,
            self.from.1,
            self.tos,
            table,
            self.protocol,
            self.scope,
            self.kind,
        ]);
        own[8..].copy_from_slice(&flags.to_ne_bytes());
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&own)
            .u32(libc::RTA_TABLE, self.table);
        if self.prefix > 0 {
            to.ip(libc::RTA_DST, self.to);
        }
        if self.from.1 > 0 {
            to.ip(libc::RTA_SRC, self.from.0);
        }
        if v6 {
            if let Some(source) = self.source {
                to.ip(libc::RTA_PREFSRC, source);
            }
            self.write_metrics(to);
            to.u32(libc::RTA_PRIORITY, self.priority);
        } else {
            if self.priority != 0 {
                to.u32(libc::RTA_PRIORITY, self.priority);
            }
            self.write_metrics(to);
            if let Some(source) = self.source {
                to.ip(libc::RTA_PREFSRC, source);
            }
        }
        if self.object != 0 {
            to.u32(RTA_NH_ID, self.object);
        }
        self.write_hops(to, now.is_none());
        if v6 {
            let left = match (self.expires, now) {
                (Some(at), Some(now)) => at.wrapping_sub(now),
                (at, _) => at.unwrap_or(0),
            };
            // struct rta_cacheinfo: clntref, lastuse, expires, error, id, ts, tsage.
            let mut cache = [0; 32];
            cache[8..12].copy_from_slice(&left.to_ne_bytes());
            to.attribute(libc::RTA_CACHEINFO, &cache);
            to.u8(RTA_PREF, self.preference);
        }
        if now.is_none() {
            to.u32(FLAGS, self.flags).u8(GROUPED, self.grouped.into());
        }
    }

    /// Appends RTA_METRICS, where there are any.
    pub fn write_metrics(&self, to: &mut Writer) {
        if self.metrics.is_empty() && self.congestion.is_none() {
            return;
        }
        let open = to.begin(libc::RTA_METRICS);
        // The name stands at its number among the others.
        let before = self.metrics.iter().take_while(|m| m.0 < RTAX_CC_ALGO);
        let place = before.count();
        for (kind, value) in &self.metrics[..place] {
            to.u32(*kind, *value);
        }
        if let Some(name) = &self.congestion {
            to.string(RTAX_CC_ALGO, name);
        }
        for (kind, value) in &self.metrics[place..] {
            to.u32(*kind, *value);
        }
        to.end(open);
    }

    /// Appends the next hops. The state's file has them all as RTA_MULTIPATH, so that nothing of
    /// one is lost.
    fn write_hops(&self, to: &mut Writer, whole: bool) {
        match self.hops.as_slice() {
            [] => {}
            [hop] if !whole && (self.is_v4() || !self.grouped) => {
                write_gateway(to, self.to, hop.gateway);
                if hop.index != 0 {
                    to.u32(libc::RTA_OIF, hop.index);
                }
                if hop.realm != 0 {
                    to.u32(libc::RTA_FLOW, hop.realm);
                }
            }
            hops => {
                let mut list = Vec::new();
                for hop in hops {
                    let mut inner = Writer::default();
                    inner.message(0, 0, 0, 0);
                    write_gateway(&mut inner, self.to, hop.gateway);
                    if hop.realm != 0 {
                        inner.u32(libc::RTA_FLOW, hop.realm);
                    }
                    if whole && hop.weight > 256 {
                        inner.u16(WEIGHT, hop.weight);
                    }
                    let attributes = &inner.bytes()[crate::wire::HEADER..];
                    let length = (NEXTHOP + attributes.len()) as u16;
                    list.extend(length.to_ne_bytes());
                    let shown = if whole { hop.flags } else { hop.flags & SHOWN };
                    list.push(shown as u8);
                    list.push(hop.weight.saturating_sub(1) as u8);
                    list.extend(hop.index.to_ne_bytes());
                    list.extend(attributes);
                    if whole && list.len() > LONG {
                        to.attribute(libc::RTA_MULTIPATH, &list);
                        list.clear();
                    }
                }
                if !list.is_empty() {
                    to.attribute(libc::RTA_MULTIPATH, &list);
                }
            }
        }
    }

    /// Reads what [`Route::write`] wrote, or what a kernel's dump holds. None where something is
    /// missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Route> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let v4 = i32::from(body[0]) == libc::AF_INET;
        let none: IpAddr = match v4 {
            true => Ipv4Addr::UNSPECIFIED.into(),
            false => Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = |kind| match attributes.get(kind) {
            Some(a) => a.ip().filter(|ip| ip.is_ipv4() == v4).map(Some),
            None => Some(None),
        };
        let flags = u32_at(body, 8)?;
        let mut hops = Vec::new();
        for multipath in attributes.each(libc::RTA_MULTIPATH) {
            for (hop, inner) in nexthops(multipath) {
                let weight = inner.get(WEIGHT).and_then(|a| a.u16());
                hops.push(Nexthop {
                    gateway: gateway_of(&inner)?,
                    weight: weight.unwrap_or(hop.weight),
                    ..hop
                });
            }
        }
        if attributes.get(libc::RTA_MULTIPATH).is_none() {
            let index = match attributes.get(libc::RTA_OIF) {
                Some(index) => index.u32()?,
                None => 0,
            };
            let gateway = gateway_of(&attributes)?;
            if index != 0 || gateway.is_some() {
                hops.push(Nexthop {
                    index,
                    gateway,
                    flags: flags & HOP_FLAGS,
                    weight: 1,
                    realm: realm_of(&attributes),
                });
            }
        }
        let (mut metrics, mut congestion) = (Vec::new(), None);
        for metric in attributes
            .get(libc::RTA_METRICS)
            .iter()
            .flat_map(Attribute::attributes)
        {
            if metric.kind == RTAX_CC_ALGO {
                congestion = Some(metric.string().to_vec());
            } else {
                metrics.push((metric.kind, metric.u32()?));
            }
        }
        let cache = attributes.get(libc::RTA_CACHEINFO);
        Some(Route {
            to: address(libc::RTA_DST)?.unwrap_or(none),
            prefix: body[1],
            from: (address(libc::RTA_SRC)?.unwrap_or(none), body[2]),
            tos: body[3],
            table: match attributes.get(libc::RTA_TABLE) {
                Some(table) => table.u32()?,
                None => body[4].into(),
            },
            protocol: body[5],
            scope: body[6],
            kind: body[7],
            flags: match attributes.get(FLAGS).and_then(|a| a.u32()) {
                Some(flags) => flags,
                None if v4 => flags,
                None => flags_of(
                    body[7],
                    cache.is_some_and(|c| u32_at(c.value, 8) != Some(0)),
                ),
            },
            priority: match attributes.get(libc::RTA_PRIORITY) {
                Some(priority) => priority.u32()?,
                None => 0,
            },
            source: address(libc::RTA_PREFSRC)?,
            object: attributes.get(RTA_NH_ID).and_then(|a| a.u32()).unwrap_or(0),
            grouped: attributes.get(GROUPED).and_then(|a| a.u8()) == Some(1),
            metrics,
            congestion,
            preference: attributes.get(RTA_PREF).and_then(|a| a.u8()).unwrap_or(0),
            expires: cache
                .and_then(|cache| u32_at(cache.value, 8))
                .filter(|expires| *expires != 0),
            hops,
        })
    }
}

/// The flags of a route that belong to its next hop (RTNH_COMPARE_MASK and the others of RTNH_F_*).
pub const HOP_FLAGS: u32 = 0xff;
/// Flags of a next hop (RTNH_F_* of linux/rtnetlink.h).
pub mod rtnh {
    /// The link is down, or the address is gone.
    pub const DEAD: u32 = 1;
    /// The gateway is reached on the link whatever the routes say.
    pub const ONLINK: u32 = 4;
    /// Hardware takes it.
    pub const OFFLOAD: u32 = 8;
    /// The link has no carrier.
    pub const LINKDOWN: u32 = 16;
    /// Hardware hands it over.
    pub const TRAP: u32 = 64;
    /// The gateway was an address of this host when the route was made: nothing is given to it.
    /// The kernel keeps that as the scope of the next hop, and shows it nowhere.
    pub const OWN: u32 = 128;
}
/// The flags of a next hop that a message shows.
const SHOWN: u32 = rtnh::DEAD | rtnh::ONLINK | rtnh::OFFLOAD | rtnh::LINKDOWN | rtnh::TRAP;
/// Attribute of the state's file with [`Route::flags`].
pub(crate) const FLAGS: u16 = 0x3f00;
/// Attribute of the state's file with [`Route::grouped`].
const GROUPED: u16 = 0x3f01;
/// Attribute of the state's file with the weight of a next hop for which a byte is too small.
const WEIGHT: u16 = 0x3f02;

/// Flags of struct rtentry and struct in6_rtmsg (linux/route.h, linux/ipv6_route.h).
pub mod rtf {
    /// The route is usable.
    pub const UP: u32 = 0x1;
    /// It leads to a gateway.
    pub const GATEWAY: u32 = 0x2;
    /// It is of one host.
    pub const HOST: u32 = 0x4;
    /// It refuses packets.
    pub const REJECT: u32 = 0x200;
    /// It is a default route that was learnt.
    pub const DEFAULT: u32 = 0x1_0000;
    /// It was made by the configuration of addresses.
    pub const ADDRCONF: u32 = 0x4_0000;
    /// It is of a prefix on the link.
    pub const PREFIX_RT: u32 = 0x8_0000;
    /// It is of any of several hosts.
    pub const ANYCAST: u32 = 0x10_0000;
    /// It has no next hop.
    pub const NONEXTHOP: u32 = 0x20_0000;
    /// It ends some time.
    pub const EXPIRES: u32 = 0x40_0000;
    /// It is a cached one.
    pub const CACHE: u32 = 0x100_0000;
    /// It is of one CPU.
    pub const PCPU: u32 = 0x4000_0000;
    /// It is of an address of this host.
    pub const LOCAL: u32 = 0x8000_0000;
}

/// Returns the RTF_* flags of an IPv6 route that a kernel has told of, which tells no such flags.
fn flags_of(kind: u8, ends: bool) -> u32 {
    let ends = if ends { rtf::EXPIRES } else { 0 };
    ends | match kind {
        libc::RTN_LOCAL => rtf::UP | rtf::NONEXTHOP | rtf::LOCAL,
        libc::RTN_ANYCAST => rtf::UP | rtf::NONEXTHOP | rtf::ANYCAST,
        libc::RTN_UNICAST | libc::RTN_MULTICAST => rtf::UP,
        _ => rtf::REJECT | rtf::NONEXTHOP,
    }
}
/// RTA_VIA of linux/rtnetlink.h.
pub const RTA_VIA: u16 = 18;
/// RTA_PREF of linux/rtnetlink.h.
pub const RTA_PREF: u16 = 20;
/// RTA_NH_ID of linux/rtnetlink.h.
pub const RTA_NH_ID: u16 = 30;
/// RTAX_CC_ALGO of linux/rtnetlink.h.
pub const RTAX_CC_ALGO: u16 = 16;

/// Appends the gateway of a route to `destination`: RTA_GATEWAY, or RTA_VIA where it is of the
/// other family.
pub fn write_gateway(to: &mut Writer, destination: IpAddr, gateway: Option<IpAddr>) {
    match gateway {
        None => {}
        Some(gateway) if gateway.is_ipv4() == destination.is_ipv4() => {
            to.ip(libc::RTA_GATEWAY, gateway);
        }
        Some(gateway) => {
            // struct rtvia: the family, then the address.
            let mut via = u16::from(family_of(gateway)).to_ne_bytes().to_vec();
            match gateway {
                IpAddr::V4(a) => via.extend(a.octets()),
                IpAddr::V6(a) => via.extend(a.octets()),
            }
            to.attribute(RTA_VIA, &via);
        }
    }
}

/// Returns the gateway among attributes; the outer None says that one is impossible.
pub(crate) fn gateway_of(attributes: &Attributes<'_>) -> Option<Option<IpAddr>> {
    if let Some(gateway) = attributes.get(libc::RTA_GATEWAY) {
        return gateway.ip().map(Some);
    }
    match attributes.get(RTA_VIA) {
        Some(via) => {
            u16_at(via.value, 0)?;
            ip_of(&via.value[2..]).map(Some)
        }
        None => Some(None),
    }
}

fn realm_of(attributes: &Attributes<'_>) -> u32 {
    let realm = attributes.get(libc::RTA_FLOW);
    realm.and_then(|a| a.u32()).unwrap_or(0)
}

/// Reads the next hops of RTA_MULTIPATH, each with its attributes. The gateway of each is still to
/// be read from those. Ends before the first that is impossible.
pub fn nexthops<'b>(multipath: Attribute<'b>) -> impl Iterator<Item = (Nexthop, Attributes<'b>)> {
    let mut rest = multipath.value;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let bytes = rest
            .get(..length.max(NEXTHOP))
            .filter(|_| length >= NEXTHOP)?;
        rest = rest.get(crate::wire::align(length)..).unwrap_or(&[]);
        let hop = Nexthop {
            index: u32_at(bytes, 4)?,
            gateway: None,
            flags: bytes[2].into(),
            weight: u16::from(bytes[3]) + 1,
            realm: realm_of(&Attributes::behind(bytes, NEXTHOP)),
        };
        Some((hop, Attributes::behind(bytes, NEXTHOP)))
    })
}

const _: () = assert!(NESTED == libc::NLA_F_NESTED as u16);
