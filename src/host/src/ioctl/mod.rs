//! Changes by ioctl(2) on a socket (net/core/dev_ioctl.c, net/ipv4/devinet.c, af_inet.c, arp.c,
//! net/ipv6/addrconf.c, route.c): bytes in, bytes out, by way of the same engine as rtnetlink.
#![forbid(unsafe_code)]

pub mod address;
pub mod arp;
mod head;
pub mod inet6;
pub mod link;
pub mod route;

use crate::{Failure, World};

/// Answers a request of ioctl(2) on a socket of `family`. `argument` holds what its argument points
/// to, and afterwards what is stored there.
///
/// # Errors
///
/// ENOTTY when nothing here implements the request, and what the request fails with.
pub fn answer(
    world: &mut World<'_>,
    family: u32,
    request: u32,
    argument: &mut [u8],
) -> Result<(), Failure> {
    (address::answer(world, family, request, argument))
        .or_else(|| route::answer(world, family, request, argument))
        .or_else(|| inet6::answer(world, family, request, argument))
        .or_else(|| arp::answer(world, family, request, argument))
        .or_else(|| link::answer(world, request, argument))
        .unwrap_or(Err(Failure::new(libc::ENOTTY)))
}
