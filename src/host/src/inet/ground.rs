//! What IP stands on: the net's links, addresses and routes.
#![forbid(unsafe_code)]

use crate::World;

/// The net below IP: the service of a host process, or values of a test.
pub trait Ground {
    /// Returns a number that changes whenever a link, an address, a route, a setting or a neighbour
    /// may have.
    fn generation(&self) -> u64;
    /// Returns a number that changes with all of these but a neighbour.
    fn ways_generation(&self) -> u64;
    /// Runs `run` with the net as it is now. What it changes is published, and told to those who
    /// listen, before this returns. Where the net cannot be looked at, `run` does not run.
    fn consult(&mut self, run: &mut dyn FnMut(&mut World<'_>));
}
