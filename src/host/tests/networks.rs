//! Routes are found by their network in the time of a search in order: what is found is what
//! looking at all of them finds.

mod support;

use memtun_host::engine::place::Place;
use memtun_host::world::Own;
use memtun_host::World;
use memtun_stack::wire::network;
use memtun_stack::{Nexthop, Route};
use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use support::net::Net;
use support::requests::Random;

/// An address of a small world, so that networks are often in one another.
fn address(random: &mut Random, v4: bool) -> IpAddr {
    let bits = u128::from(random.below(16)) << 60 | u128::from(random.below(16)) << 4;
    let bits = bits | u128::from(random.below(4)) << 126;
    match v4 {
        true => Ipv4Addr::from((bits >> 96) as u32 | bits as u32).into(),
        false => Ipv6Addr::from(bits).into(),
    }
}

fn length(random: &mut Random, v4: bool) -> u8 {
    let of_v4 = [0, 1, 2, 8, 24, 25, 26, 28, 29, 31, 32];
    let of_v6 = [0, 1, 2, 3, 62, 63, 64, 65, 120, 122, 124, 127, 128];
    if v4 {
        random.of(&of_v4)
    } else {
        random.of(&of_v6)
    }
}

fn route(random: &mut Random) -> Route {
    let v4 = random.one_in(2);
    let prefix = length(random, v4);
    let senders = if v4 || random.one_in(2) {
        0
    } else {
        length(random, v4)
    };
    Route {
        to: network(address(random, v4), prefix),
        prefix,
        from: (network(address(random, v4), senders), senders),
        tos: 0,
        table: random.of(&[254, 255, 254 + 256]),
        protocol: 3,
        scope: 0,
        kind: 1,
        flags: 0,
        priority: random.below(3),
        source: None,
        metrics: Vec::new(),
        congestion: None,
        preference: 0,
        expires: None,
        object: 0,
        grouped: false,
        hops: vec![Nexthop {
            index: random.below(9),
            gateway: None,
            flags: 0,
            weight: 1,
            realm: 0,
        }],
    }
}

/// Looks at all routes of a family.
fn all(world: &World<'_>, v4: bool, is_wanted: impl Fn(&Route) -> bool) -> Vec<Place> {
    let mut places = world.route_places(v4);
    places.retain(|place| is_wanted(world.route(*place)));
    places
}

fn compare(world: &World<'_>, random: &mut Random) {
    let v4 = random.one_in(2);
    let (table, prefix) = (random.of(&[254, 255, 1]), length(random, v4));
    let to = network(address(random, v4), prefix);
    let wanted = |route: &Route| route.table == table && (route.to, route.prefix) == (to, prefix);
    let found = world.routes_to(table, to, prefix);
    assert_eq!(found, all(world, v4, wanted), "{to}/{prefix}");
    let to = address(random, v4);
    let leads = |route: &Route| route.table == table && network(to, route.prefix) == route.to;
    let mut wanted = all(world, v4, leads);
    wanted.sort_by_key(|place| Reverse(world.route(*place).prefix));
    assert_eq!(world.routes_towards(table, to), wanted, "{to}");
    let mut of_table = world.routes_of_table(table, v4);
    let mut wanted = all(world, v4, |route| route.table == table);
    of_table.sort_by_key(|place| format!("{place:?}"));
    wanted.sort_by_key(|place| format!("{place:?}"));
    assert_eq!(of_table, wanted);
}

#[test]
fn what_is_found_by_a_network_is_what_a_look_at_all_finds() {
    let mut random = Random(7);
    for machine in [0, 20] {
        let mut net = Net::new();
        net.with(|world| {
            for _ in 0..machine {
                let (item, message) = (route(&mut random), Vec::new());
                world.machine.routes.push(Own { item, message });
            }
            for round in 0..400 {
                let first = random.one_in(2);
                world.put_route(route(&mut random), first);
                if round % 3 == 0 {
                    let v4 = random.one_in(2);
                    let places = world.route_places(v4);
                    let Some(last) = places.len().checked_sub(1) else {
                        continue;
                    };
                    let place = places[random.below(last as u32 + 1) as usize];
                    let route = world.route(place).clone();
                    let found = world.place_of_route(&route);
                    assert_eq!(found.map(|place| world.route(place).clone()), Some(route));
                    world.take_route(place);
                }
                for _ in 0..20 {
                    compare(world, &mut random);
                }
            }
        });
    }
}
