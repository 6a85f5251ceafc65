//! What is sent, and the routes that lead there.
#![forbid(unsafe_code)]

use crate::World;
use memtun_stack::route::Nexthop;
use memtun_stack::wire::network;
use memtun_stack::Route;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Index of the loopback interface.
pub const LOOPBACK: u32 = 1;

/// The tables that the kernel's own rules search, in this order.
pub const TABLES: [u32; 3] = [
    libc::RT_TABLE_LOCAL as u32,
    libc::RT_TABLE_MAIN as u32,
    libc::RT_TABLE_DEFAULT as u32,
];

/// What is sent, and to whom (`struct flowi4`, `struct flowi6`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The destination.
    pub to: IpAddr,
    /// The source, unspecified for none yet.
    pub from: IpAddr,
    /// The interface that it must leave by, 0 for any.
    pub oif: u32,
    /// The interface that it came by; that of the loopback for what this host sends.
    pub iif: u32,
    /// Type of service.
    pub tos: u8,
    /// The widest scope of a route that is wanted.
    pub scope: u8,
    /// Mark of the packet.
    pub mark: u32,
    /// User who sends; None for a packet that came in.
    pub uid: Option<u32>,
    /// IPPROTO_*, and the ports of source and destination; 0 for none.
    pub protocol: u8,
    /// The ports.
    pub ports: (u16, u16),
    /// Are links without a carrier as good as others?
    pub ignore_linkstate: bool,
}

impl Flow {
    /// A flow of this host to a destination.
    pub fn to(to: IpAddr) -> Flow {
        Flow {
            to,
            from: match to {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            },
            oif: 0,
            iif: LOOPBACK,
            tos: 0,
            scope: 0,
            mark: 0,
            uid: Some(0),
            protocol: 0,
            ports: (0, 0),
            ignore_linkstate: false,
        }
    }
}

/// The route that was found (`struct fib_result`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The route.
    pub route: Route,
    /// Which of its next hops.
    pub at: usize,
}

impl Hit {
    /// Returns the next hop; None for a route that has none.
    pub fn hop(&self) -> Option<&Nexthop> {
        self.route.hops.get(self.at)
    }
}

/// Returns the routes of a family in these tables that lead to an address, the longest prefix
/// first, and of equal prefixes those of the later table.
pub(super) fn candidates<'w>(world: &'w World<'_>, flow: &Flow, tables: &[u32]) -> Vec<&'w Route> {
    let places = tables.iter();
    let places = places.flat_map(|table| world.routes_towards(*table, flow.to));
    let mut found: Vec<_> = places
        .map(|place| world.route(place))
        .filter(|route| {
            let (from, length) = route.from;
            length == 0 || network(flow.from, length) == from
        })
        .collect();
    let rank = |route: &Route| tables.iter().position(|table| *table == route.table);
    found.sort_by_key(|route| {
        let longest = |length: u8| std::cmp::Reverse(length);
        (longest(route.prefix), longest(route.from.1), rank(route))
    });
    found
}

pub(super) fn v4_of(address: IpAddr) -> Ipv4Addr {
    match address {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}
