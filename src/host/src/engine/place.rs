//! Addresses and routes of the machine and of the net as one list, which is changed in one way:
//! what the machine's kernel has is never changed there, but hidden, and stands in the net's state
//! as it was changed.
#![forbid(unsafe_code)]

use super::order::Network;
use crate::World;
use memtun_stack::wire::network;
use memtun_stack::{Address, Route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where an address or a route is kept, by its place in the list there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In [`crate::world::Machine`].
    Machine(usize),
    /// In the net's state.
    Net(usize),
}

/// Whether the routes to a network that are looked at are for senders: only those of IPv6 may be.
fn kinds(to: IpAddr) -> &'static [bool] {
    match to {
        IpAddr::V4(_) => &[false],
        IpAddr::V6(_) => &[true, false],
    }
}

/// Returns how many bits two addresses have in common at their beginning.
fn common(a: IpAddr, b: IpAddr) -> u8 {
    let zeros = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(a) ^ u32::from(b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a) ^ u128::from(b)).leading_zeros(),
        _ => 0,
    };
    zeros as u8
}

impl World<'_> {
    /// Returns the places of the addresses of a link and a family, in the kernel's order.
    pub fn address_places(&self, index: u32, v4: bool) -> Vec<Place> {
        let is = |a: &Address| a.index == index && a.local.is_ipv4() == v4;
        let machine = self.machine.addresses.iter().enumerate();
        let machine = machine.filter(|(_, own)| is(&own.item));
        let net = self.state.addresses.iter().enumerate();
        let net = net.filter(|(_, address)| is(address));
        machine
            .map(|(at, _)| Place::Machine(at))
            .chain(net.map(|(at, _)| Place::Net(at)))
            .collect()
    }

    /// Returns the addresses of a link and a family, in the kernel's order.
    pub fn addresses_of(&self, index: u32, v4: bool) -> impl Iterator<Item = &Address> {
        let all = self.addresses();
        all.filter(move |a| a.index == index && a.local.is_ipv4() == v4)
    }

    /// Returns the address at a place.
    pub fn address(&self, place: Place) -> &Address {
        match place {
            Place::Machine(at) => &self.machine.addresses[at].item,
            Place::Net(at) => &self.state.addresses[at],
        }
    }

    /// Takes the address at a place out. Other places change with this.
    pub fn take_address(&mut self, place: Place) -> Address {
        match place {
            Place::Machine(at) => {
                let own = self.machine.addresses.remove(at);
                self.state.hidden.push(own.message);
                own.item
            }
            Place::Net(at) => self.state.addresses.remove(at),
        }
    }

    /// Puts an address in behind `before` others of its link and family.
    pub fn put_address(&mut self, address: Address, before: usize) {
        let list = self.address_places(address.index, address.local.is_ipv4());
        let net = |place: &Place| match place {
            Place::Net(at) => Some(*at),
            Place::Machine(_) => None,
        };
        let at = match list.iter().skip(before).find_map(net) {
            Some(at) => at,
            None => match list.iter().rev().find_map(net) {
                Some(last) => last + 1,
                None => self.state.addresses.len(),
            },
        };
        self.state.addresses.insert(at, address);
    }

    /// Changes the address at a place, and returns the place where it is afterwards.
    pub fn change_address(&mut self, place: Place, change: impl FnOnce(&mut Address)) -> Place {
        match place {
            Place::Net(at) => {
                change(&mut self.state.addresses[at]);
                place
            }
            Place::Machine(_) => {
                let mut address = self.take_address(place);
                change(&mut address);
                self.put_address(address, 0);
                let list = self.address_places(address.index, address.local.is_ipv4());
                let mut net = list.into_iter().filter(|p| matches!(p, Place::Net(_)));
                net.next().unwrap_or(place)
            }
        }
    }

    /// Returns the places of the routes of a family, in the order in which the kernel tells them.
    pub fn route_places(&self, v4: bool) -> Vec<Place> {
        let net = self.state.routes.iter().enumerate();
        let net = net.filter(|(_, route)| route.is_v4() == v4);
        let net = net.map(|(at, _)| Place::Net(at)).collect();
        // Those of the net are in order, see `put_route`.
        let places = self.with_machine(net, v4, |_| true);
        let order = |a: &Place, b: &Place| super::order::order(self.route(*a), self.route(*b));
        debug_assert!(places.is_sorted_by(|a, b| order(a, b).is_le()));
        places
    }

    /// Returns the places of the routes to one network, from any senders, in the order in which the
    /// kernel tells them. It takes as long as a search in order does.
    pub fn routes_to(&self, table: u32, to: IpAddr, prefix: u8) -> Vec<Place> {
        let mut places: Vec<Place> = Vec::new();
        for senders in kinds(to) {
            let (from, end) = self.range(&Network {
                table,
                to,
                prefix,
                senders: *senders,
            });
            places.extend((from..end).map(Place::Net));
        }
        self.with_machine(places, to.is_ipv4(), |route| {
            route.table == table && (route.to, route.prefix) == (to, prefix)
        })
    }

    /// Returns the places of the routes of a table that lead to an address, from any senders: those
    /// of the longest prefix first.
    pub fn routes_towards(&self, table: u32, address: IpAddr) -> Vec<Place> {
        let routes = &self.state.routes;
        let mut places: Vec<Place> = Vec::new();
        let mut longest = Some(if address.is_ipv4() { 32 } else { 128 });
        while let Some(prefix) = longest {
            longest = None;
            for senders in kinds(address) {
                let network = Network {
                    table,
                    to: network(address, prefix),
                    prefix,
                    senders: *senders,
                };
                let (from, end) = self.range(&network);
                places.extend((from..end).map(Place::Net));
                // Between these and a route to a wider network that has the address, all lie in
                // that network: so it is no narrower than what one of these two has in common with
                // the address.
                let beside = [from.checked_sub(1), Some(end)].into_iter().flatten();
                let beside = beside.filter_map(|at| routes.get(at));
                let beside = beside.filter(|route| network.order_of_table(route).is_eq());
                let common = beside.map(|route| common(route.to, address)).max();
                let next = common.and_then(|common| Some(common.min(prefix.checked_sub(1)?)));
                longest = longest.max(next);
            }
        }
        let leads =
            |route: &Route| route.table == table && network(address, route.prefix) == route.to;
        let mut places = self.with_machine(places, address.is_ipv4(), leads);
        places.sort_by_key(|place| std::cmp::Reverse(self.route(*place).prefix));
        places
    }

    /// Returns the places of the routes of a table, in no order.
    pub fn routes_of_table(&self, table: u32, v4: bool) -> Vec<Place> {
        let any = Network {
            table,
            to: match v4 {
                true => Ipv4Addr::UNSPECIFIED.into(),
                false => Ipv6Addr::UNSPECIFIED.into(),
            },
            prefix: 0,
            senders: false,
        };
        let routes = &self.state.routes;
        let from = routes.partition_point(|route| any.order_of_table(route).is_lt());
        let end = routes.partition_point(|route| any.order_of_table(route).is_le());
        let places = (from..end).map(Place::Net).collect();
        self.with_machine(places, v4, |route| route.table == table)
    }

    /// Returns where in the net's state the routes of a network are.
    fn range(&self, network: &Network) -> (usize, usize) {
        let routes = &self.state.routes;
        let from = routes.partition_point(|route| network.order(route).is_lt());
        let rest = &routes[from..];
        let count = rest.iter().take_while(|route| network.order(route).is_eq());
        (from, from + count.count())
    }

    /// Adds the places of those routes of the machine that are wanted to those of the net, which
    /// are in order.
    fn with_machine(
        &self,
        net: Vec<Place>,
        v4: bool,
        is_wanted: impl Fn(&Route) -> bool,
    ) -> Vec<Place> {
        let machine = self.machine.routes.iter().enumerate();
        let machine = machine.filter(|(_, own)| own.item.is_v4() == v4 && is_wanted(&own.item));
        let machine: Vec<_> = machine.map(|(at, _)| Place::Machine(at)).collect();
        if machine.is_empty() {
            return net;
        }
        // Of equal routes the newer comes first for IPv4 and last for IPv6.
        let mut places = match v4 {
            true => [net, machine].concat(),
            false => [machine, net].concat(),
        };
        places.sort_by(|a, b| super::order::order(self.route(*a), self.route(*b)));
        places
    }

    /// Returns the place of a route that is the same as this one.
    pub fn place_of_route(&self, route: &Route) -> Option<Place> {
        let places = self.routes_to(route.table, route.to, route.prefix);
        let mut places = places.into_iter();
        places.find(|place| self.route(*place) == route)
    }

    /// Returns the route at a place.
    pub fn route(&self, place: Place) -> &Route {
        match place {
            Place::Machine(at) => &self.machine.routes[at].item,
            Place::Net(at) => &self.state.routes[at],
        }
    }

    /// Takes the route at a place out. Other places change with this.
    pub fn take_route(&mut self, place: Place) -> Route {
        match place {
            Place::Machine(at) => {
                let own = self.machine.routes.remove(at);
                self.state.hidden.push(own.message);
                own.item
            }
            Place::Net(at) => self.state.routes.remove(at),
        }
    }

    /// Puts a route in: before or behind those that are its equals in order.
    pub fn put_route(&mut self, route: Route, first: bool) {
        use std::cmp::Ordering::{Greater, Less};
        let at = self.state.routes.partition_point(|other| {
            let order = super::order::order(other, &route);
            if first {
                order == Less
            } else {
                order != Greater
            }
        });
        self.state.routes.insert(at, route);
    }

    /// Puts another route in the place of one.
    pub fn replace_route(&mut self, place: Place, route: Route) {
        match place {
            Place::Net(at) => self.state.routes.replace(at, route),
            Place::Machine(_) => {
                self.take_route(place);
                self.put_route(route, true);
            }
        }
    }

    /// Changes those routes that a change `concerns`, if `change` says that it has.
    pub fn change_routes(
        &mut self,
        concerns: impl Fn(&Route) -> bool,
        mut change: impl FnMut(&mut Route) -> bool,
    ) {
        self.state.routes.change_each(&concerns, &mut change);
        let mut at = 0;
        while let Some(own) = self.machine.routes.get(at) {
            let mut route = own.item.clone();
            if concerns(&route) && change(&mut route) {
                self.take_route(Place::Machine(at));
                self.put_route(route, false);
            } else {
                at += 1;
            }
        }
    }
}
