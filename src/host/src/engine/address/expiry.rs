//! What follows from time for addresses and routes.
#![forbid(unsafe_code)]

use super::told::lifetimes;
use super::{v4, v6};
use crate::engine::route;
use crate::World;

/// Carries out what has become due: lifetimes of addresses and routes, and the detection of
/// duplicates.
pub fn expire(world: &mut World<'_>) {
    v4::expire(world);
    v6::expire(world);
    route::v6::expire(world);
}

/// Returns when [`expire`] has something to do next, in hundredths of a second of CLOCK_BOOTTIME.
pub fn next_expiry(world: &World<'_>) -> Option<u32> {
    let addresses = world.state.addresses.iter().filter_map(|address| {
        let lives = lifetimes(address).into_iter().flatten();
        lives
            .chain(address.detection)
            .min_by_key(|at| at.wrapping_sub(world.now) as i32)
    });
    let routes = Some(&world.state.routes).filter(|routes| routes.is_any_ending());
    let routes = routes.into_iter().flat_map(|routes| routes.iter());
    let routes = routes.filter_map(|route| route.expires);
    addresses
        .chain(routes)
        .min_by_key(|at| at.wrapping_sub(world.now) as i32)
}
