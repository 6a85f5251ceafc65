//! What is remembered of ways is asked anew when a way may be another one, and not before.

mod support;

use memtun_host::engine::route::lookup::Flow;
use memtun_host::inet::ground::Ground;
use memtun_host::inet::route::Routes;
use memtun_host::World;
use memtun_stack::state::Sysctl;
use std::net::IpAddr;
use std::time::Duration;
use support::net::Net;

struct Place {
    net: Net,
    /// How often it has changed, and how often more than a neighbour has.
    all: u64,
    ways: u64,
    looked: usize,
}

impl Ground for Place {
    fn generation(&self) -> u64 {
        self.all
    }

    fn ways_generation(&self) -> u64 {
        self.ways
    }

    fn consult(&mut self, run: &mut dyn FnMut(&mut World<'_>)) {
        self.looked += 1;
        self.net.with(run);
    }
}

impl Place {
    /// Asks for a way. Returns whether the net was looked at for that.
    fn looks(&mut self, routes: &mut Routes) -> bool {
        let before = self.looked;
        let to: IpAddr = [10, 9, 0, 2].into();
        let _ = routes.output(self, Duration::ZERO, &Flow::to(to));
        self.looked > before
    }

    fn neighbour_changes(&mut self) {
        self.all += 1;
    }

    fn route_changes(&mut self) {
        (self.all, self.ways) = (self.all + 1, self.ways + 1);
    }
}

#[test]
fn a_neighbour_that_is_learned_makes_no_way_be_asked_for_anew() {
    let (mut routes, mut place) = (
        Routes::default(),
        Place {
            net: Net::new(),
            all: 1,
            ways: 1,
            looked: 0,
        },
    );
    assert!(place.looks(&mut routes));
    assert!(!place.looks(&mut routes));
    place.neighbour_changes();
    assert!(!place.looks(&mut routes));
    place.route_changes();
    assert!(place.looks(&mut routes));
    assert!(!place.looks(&mut routes));

    // Of several next hops the one is taken that is there, if the net says so.
    let careful = Sysctl {
        path: b"ipv4/fib_multipath_use_neigh".to_vec(),
        value: b"1".to_vec(),
    };
    place.net.state.sysctls.push(careful);
    place.route_changes();
    assert!(place.looks(&mut routes));
    assert!(!place.looks(&mut routes));
    place.neighbour_changes();
    assert!(place.looks(&mut routes));
}
