//! Addresses and routes of the machine and of the net as one list, which is changed in one way:
//! what the machine's kernel has is never changed there, but hidden, and stands in the net's state
//! as it was changed.
#![forbid(unsafe_code)]

use crate::World;
use memtun_stack::{Address, Route};

/// Where an address or a route is kept, by its place in the list there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In [`crate::world::Machine`].
    Machine(usize),
    /// In the net's state.
    Net(usize),
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
        let machine = self.machine.routes.iter().enumerate();
        let machine = machine.filter(|(_, own)| own.item.is_v4() == v4);
        let machine = machine.map(|(at, _)| Place::Machine(at));
        let net = self.state.routes.iter().enumerate();
        let net = net.filter(|(_, route)| route.is_v4() == v4);
        let net = net.map(|(at, _)| Place::Net(at));
        // Of equal routes the newer comes first for IPv4 and last for IPv6.
        let mut places: Vec<_> = match v4 {
            true => net.chain(machine).collect(),
            false => machine.chain(net).collect(),
        };
        let order = |a: &Place, b: &Place| super::order::order(self.route(*a), self.route(*b));
        // Those of the net are in order, see `put_route`.
        if !self.machine.routes.is_empty() {
            places.sort_by(order);
        }
        debug_assert!(places.is_sorted_by(|a, b| order(a, b).is_le()));
        places
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
            Place::Net(at) => *self.state.routes.change(at) = route,
            Place::Machine(_) => {
                self.take_route(place);
                self.put_route(route, true);
            }
        }
    }

    /// Changes all routes that `change` says it has changed.
    pub fn change_routes(&mut self, mut change: impl FnMut(&mut Route) -> bool) {
        for route in self.state.routes.change_all() {
            change(route);
        }
        let mut at = 0;
        while at < self.machine.routes.len() {
            let mut route = self.machine.routes[at].item.clone();
            if change(&mut route) {
                self.take_route(Place::Machine(at));
                self.put_route(route, false);
            } else {
                at += 1;
            }
        }
    }
}
