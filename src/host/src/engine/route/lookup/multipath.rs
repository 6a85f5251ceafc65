//! Which of several next hops a packet takes (`fib_select_multipath`, `fib6_select_path`).
//!
//! The kernel's choice follows from a number that it draws when it starts; here the same packet
//! always takes the same way, and many packets share the next hops by their weights.
#![forbid(unsafe_code)]

use super::flow::{v4_of, Flow, Hit};
use super::source::select_v4;
use crate::engine::route::v6;
use crate::World;
use memtun_stack::neighbour::NUD_VALID;
use memtun_stack::route::{rtnh, Nexthop};
use std::net::{IpAddr, Ipv4Addr};

/// Returns the number of 31 bits by which a packet chooses (`fib_multipath_hash`): of its
/// addresses, or of its ports as well.
fn number(world: &World<'_>, flow: &Flow) -> u64 {
    let (mut bytes, setting) = (
        Vec::new(),
        match flow.to {
            IpAddr::V4(_) => &b"ipv4/fib_multipath_hash_policy"[..],
            IpAddr::V6(_) => b"ipv6/fib_multipath_hash_policy",
        },
    );
    for address in [flow.from, flow.to] {
        match address {
            IpAddr::V4(a) => bytes.extend(a.octets()),
            IpAddr::V6(a) => bytes.extend(a.octets()),
        }
    }
    if world.setting(setting).unwrap_or(0) != 0 {
        bytes.push(flow.protocol);
        bytes.extend(flow.ports.0.to_be_bytes());
        bytes.extend(flow.ports.1.to_be_bytes());
    }
    // FNV-1a, mixed once more so that the upper bits follow from all bytes.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

/// Returns up to which number each next hop is chosen (`fib_rebalance`); None for one that does not
/// count.
fn bounds(hops: &[Nexthop], counts: impl Fn(&Nexthop) -> bool) -> Vec<Option<u64>> {
    let weight = |hop: &Nexthop| if counts(hop) { hop.weight.into() } else { 0 };
    let total: u64 = hops.iter().map(weight).sum();
    let mut sum = 0;
    let bound = |hop: &Nexthop| {
        sum += weight(hop);
        let bound = ((sum << 31) + total / 2) / total.max(1);
        counts(hop).then(|| bound.saturating_sub(1))
    };
    hops.iter().map(bound).collect()
}

/// Is a gateway not known to be missing (`fib_good_nh`)?
fn is_good(world: &World<'_>, hop: &Nexthop) -> bool {
    let machine = world.machine.neighbours.iter().map(|own| &own.item);
    let mut all = machine.chain(&world.state.neighbours);
    let known = all.find(|it| it.index == hop.index && Some(it.address) == hop.gateway);
    known.is_none_or(|it| it.state & NUD_VALID != 0)
}

/// Chooses among the next hops of an object (`nexthop_select_path_hthr`).
fn of_object(world: &World<'_>, hops: &[Nexthop], number: u64) -> usize {
    let all = bounds(hops, |_| true).into_iter().enumerate();
    let mut good = all.filter(|(at, _)| is_good(world, &hops[*at])).peekable();
    let first = good.peek().map_or(0, |(at, _)| *at);
    good.find(|(_, bound)| bound.is_some_and(|bound| number <= bound))
        .map_or(first, |(at, _)| at)
}

/// Chooses the next hop of an IPv4 packet.
pub(super) fn choose_v4(world: &World<'_>, flow: &Flow, hit: &mut Hit) {
    let route = &hit.route;
    if flow.oif != 0 || route.hops.len() < 2 || route.kind != libc::RTN_UNICAST {
        return;
    }
    let number = number(world, flow);
    if route.object != 0 {
        hit.at = of_object(world, &route.hops, number);
        return;
    }
    let ignores = |index| world.setting_of("ipv4", index, "ignore_routes_with_linkdown") != 0;
    let counts = |hop: &Nexthop| {
        hop.flags & rtnh::DEAD == 0 && (hop.flags & rtnh::LINKDOWN == 0 || !ignores(hop.index))
    };
    let careful = world.setting(b"ipv4/fib_multipath_use_neigh").unwrap_or(0) != 0;
    let source = v4_of(flow.from);
    let own = |hop: &Nexthop| {
        let gateway = hop.gateway.map_or(Ipv4Addr::UNSPECIFIED, v4_of);
        !source.is_unspecified() && select_v4(world, hop.index, gateway, route.scope) == source
    };
    // One that the packet's source belongs to is better than one that its number chooses.
    let mut best = None;
    for (at, bound) in bounds(&route.hops, counts).into_iter().enumerate() {
        let hop = &route.hops[at];
        let Some(bound) = bound.filter(|_| !careful || is_good(world, hop)) else {
            continue;
        };
        let score = 2 * u32::from(own(hop)) + u32::from(number <= bound);
        if best.is_none_or(|(_, before)| score > before) {
            best = Some((at, score));
        }
    }
    if let Some((at, _)) = best {
        hit.at = at;
    }
}

/// Chooses the next hop of an IPv6 packet: of a route with an object, or among the routes that are
/// one multipath route.
pub(super) fn choose_v6(world: &World<'_>, flow: &Flow, hit: &mut Hit) {
    if flow.oif != 0 {
        return;
    }
    let route = &hit.route;
    if route.object != 0 {
        if route.hops.len() > 1 {
            hit.at = of_object(world, &route.hops, number(world, flow));
        }
        return;
    }
    let siblings = v6::siblings(world, route);
    if siblings.len() < 2 {
        return;
    }
    let routes: Vec<_> = siblings.iter().map(|place| world.route(*place)).collect();
    let hops: Vec<Nexthop> = routes
        .iter()
        .filter_map(|it| it.hops.first().copied())
        .collect();
    let number = number(world, flow);
    let bounds = bounds(&hops, |hop| hop.flags & rtnh::DEAD == 0);
    let chosen = bounds
        .iter()
        .position(|bound| bound.is_some_and(|bound| number <= bound));
    if let Some(chosen) = chosen.and_then(|at| routes.get(at)) {
        let route = (*chosen).clone();
        *hit = Hit { route, at: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_share_the_numbers_by_their_weights() {
        let hop = |weight, flags| Nexthop {
            index: 1,
            gateway: None,
            flags,
            weight,
            realm: 0,
        };
        let hops = [hop(1, 0), hop(7, rtnh::DEAD), hop(3, 0)];
        let all = bounds(&hops, |hop| hop.flags & rtnh::DEAD == 0);
        assert_eq!(all, [Some((1 << 29) - 1), None, Some((1 << 31) - 1)]);
    }
}
