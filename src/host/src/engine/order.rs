//! The order in which the kernel tells routes.
#![forbid(unsafe_code)]

use memtun_stack::Route;
use std::cmp::Ordering;
use std::net::IpAddr;

/// The order of tables, which lie in 256 buckets.
fn table(v4: bool, table: u32) -> (bool, u32, u32) {
    (!v4, table & 0xff, table)
}

/// Compares two routes by the order in which the kernel tells them. Equal are those that lie in
/// one table, lead to one destination and have one priority (and type of service).
pub fn order(a: &Route, b: &Route) -> Ordering {
    (table(a.is_v4(), a.table).cmp(&table(b.is_v4(), b.table))).then_with(|| match (a.to, b.to) {
        (IpAddr::V4(x), IpAddr::V4(y)) => (u32::from(x).cmp(&u32::from(y)))
            .then(b.prefix.cmp(&a.prefix))
            .then(b.tos.cmp(&a.tos))
            .then(a.priority.cmp(&b.priority)),
        (IpAddr::V6(x), IpAddr::V6(y)) => {
            let to = ((x.into(), a.prefix), (y.into(), b.prefix));
            destinations(to, a.from.1 > 0, b.from.1 > 0)
                .then_with(|| sources(a, b))
                .then(a.priority.cmp(&b.priority))
        }
        _ => Ordering::Equal,
    })
}

/// Which routes lead to one network, as they lie together in the order of [`order`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// The table.
    pub table: u32,
    /// The network.
    pub to: IpAddr,
    /// The length of its prefix in bits.
    pub prefix: u8,
    /// Routes for the networks of senders, which lie apart from the others.
    pub senders: bool,
}

impl Network {
    /// Compares a route with those of the network.
    pub fn order(&self, route: &Route) -> Ordering {
        self.order_of_table(route)
            .then_with(|| match (route.to, self.to) {
                (IpAddr::V4(x), IpAddr::V4(y)) => {
                    (u32::from(x).cmp(&u32::from(y))).then(self.prefix.cmp(&route.prefix))
                }
                (IpAddr::V6(x), IpAddr::V6(y)) => {
                    let to = ((x.into(), route.prefix), (y.into(), self.prefix));
                    destinations(to, route.from.1 > 0, self.senders)
                        .then(self.senders.cmp(&(route.from.1 > 0)))
                }
                _ => Ordering::Equal,
            })
    }

    /// Compares a route with those of the table.
    pub fn order_of_table(&self, route: &Route) -> Ordering {
        table(route.is_v4(), route.table).cmp(&table(self.to.is_ipv4(), self.table))
    }
}

/// Compares two networks in a tree that is walked from the leaves: a narrower one comes before the
/// one that contains it, unless that one has networks of senders, which come first.
fn destinations(
    ((a, a_length), (b, b_length)): ((u128, u8), (u128, u8)),
    a_from: bool,
    b_from: bool,
) -> Ordering {
    let common = (a ^ b).leading_zeros();
    if common < u32::from(a_length.min(b_length)) {
        return a.cmp(&b);
    }
    match a_length.cmp(&b_length) {
        Ordering::Less if a_from => Ordering::Less,
        Ordering::Greater if b_from => Ordering::Greater,
        order => order.reverse(),
    }
}

/// Compares the networks of senders of two routes to one destination.
fn sources(a: &Route, b: &Route) -> Ordering {
    match (a.from, b.from) {
        ((_, 0), (_, 0)) => Ordering::Equal,
        ((_, 0), _) => Ordering::Greater,
        (_, (_, 0)) => Ordering::Less,
        ((IpAddr::V6(x), x_length), (IpAddr::V6(y), y_length)) => {
            destinations(((x.into(), x_length), (y.into(), y_length)), false, false)
        }
        _ => Ordering::Equal,
    }
}
