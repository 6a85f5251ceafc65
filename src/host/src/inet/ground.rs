//! What IP stands on: the net's links, addresses and routes, the way into the interfaces, a clock.
#![forbid(unsafe_code)]

use crate::World;
use memtun_abi::Errno;
use std::time::Duration;

/// The net below IP. The host process has one of the service; tests have one of values.
pub trait Ground {
    /// Returns a number that changes whenever a link, an address, a route, a setting or a neighbour
    /// may have.
    fn generation(&self) -> u64;
    /// Runs `run` with the net as it is now. What it changes is published, and told to those who
    /// listen, before this returns.
    fn with_world(&mut self, run: &mut dyn FnMut(&mut World<'_>));
    /// Puts a frame into the queue of an interface.
    ///
    /// # Errors
    ///
    /// What sending fails with: EAGAIN for a full queue, ENETDOWN, EMSGSIZE, ENOTCONN, ENODEV.
    fn transmit(&mut self, index: u32, frame: &[u8], ethertype: u16) -> Result<(), Errno>;
    /// Returns the time of a clock that goes forward.
    fn now(&self) -> Duration;
}
