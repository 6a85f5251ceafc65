//! What requests of several kinds check first.
#![forbid(unsafe_code)]

use crate::{Failure, World};

/// Do the functions of IPv4 answer a request on a socket of `family` (`inet_ioctl`, which
/// `packet_ioctl` hands its own to)?
pub fn is_inet(family: u32) -> bool {
    [libc::AF_INET, libc::AF_PACKET]
        .map(|family| family as u32)
        .contains(&family)
}

/// Checks that an argument is as long as it has to be, in bytes.
///
/// # Errors
///
/// EFAULT when it is shorter.
pub fn has_length(argument: &[u8], length: usize) -> Result<(), Failure> {
    match argument.len() >= length {
        true => Ok(()),
        false => Err(Failure::new(libc::EFAULT)),
    }
}

/// Checks that the programs of the net may change something; a request that only `asks` may
/// always.
///
/// # Errors
///
/// EPERM when they may not.
pub fn may(world: &World<'_>, asks: bool) -> Result<(), Failure> {
    match asks || world.devices.may_configure() {
        true => Ok(()),
        false => Err(Failure::new(libc::EPERM)),
    }
}
