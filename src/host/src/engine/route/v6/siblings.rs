//! Routes of IPv6 with one destination: a node of the tree, and multipath routes.
#![forbid(unsafe_code)]

use super::config::v6;
use crate::engine::place::Place;
use crate::World;
use memtun_stack::route::rtf;
use memtun_stack::wire::network;
use memtun_stack::Route;

/// RTF_DYNAMIC.
const DYNAMIC: u32 = 0x10;

/// Do siblings of this route make a multipath one (`rt6_qualify_for_ecmp`)?
pub(super) fn may_have_siblings(route: &Route) -> bool {
    route.flags & (rtf::ADDRCONF | DYNAMIC) == 0
        && route.object == 0
        && route.hops.iter().any(|hop| hop.gateway.is_some())
}

/// Returns the places of the routes that are one multipath route with this one, itself among them;
/// nothing for a route that cannot be part of one.
pub fn siblings(world: &World<'_>, route: &Route) -> Vec<Place> {
    if !may_have_siblings(route) {
        return Vec::new();
    }
    let mut places = node(world, route);
    places.retain(|place| {
        let other = world.route(*place);
        other.priority == route.priority && may_have_siblings(other)
    });
    places
}

/// Returns the route as it is told: with the next hops of its siblings behind its own, as they
/// stand in a circle.
pub fn whole(world: &World<'_>, route: &Route) -> Route {
    let mut whole = route.clone();
    let siblings = siblings(world, route);
    let siblings: Vec<&Route> = siblings.iter().map(|place| world.route(*place)).collect();
    if let Some(own) = siblings.iter().position(|other| *other == route) {
        let (before, behind) = siblings.split_at(own);
        for other in behind[1..].iter().chain(before) {
            whole.hops.extend(&other.hops);
        }
    }
    whole
}

/// Returns the places of the routes with the same table, destination and senders, in order.
pub(super) fn node(world: &World<'_>, route: &Route) -> Vec<Place> {
    let mut places = world.routes_to(route.table, route.to, route.prefix);
    places.retain(|place| world.route(*place).from == route.from);
    places
}

/// Does the tree of a table have a node for the destination though no route leads there: the root,
/// or one where longer prefixes part?
pub(super) fn is_fork(world: &World<'_>, route: &Route) -> bool {
    if route.prefix == 0 {
        return true;
    }
    let mut sides = [false; 2];
    for other in world.routes() {
        let inside = !other.is_v4()
            && other.table == route.table
            && other.prefix > route.prefix
            && network(other.to, route.prefix) == route.to;
        if inside {
            let bit = u128::from(v6(other.to)) >> (127 - route.prefix) & 1;
            sides[bit as usize] = true;
        }
    }
    sides == [true; 2]
}
