//! What listeners are told of addresses, and when those end.
#![forbid(unsafe_code)]

use crate::engine::route::{group, Cause};
use crate::World;
use memtun_stack::address::{Head, FOREVER};
use memtun_stack::wire::Writer;
use memtun_stack::Address;

/// Least mtu with which a link has IPv4 (IPV4_MIN_MTU).
pub(super) const LEAST_V4: u32 = 68;

/// Least mtu with which a link has IPv6 (IPV6_MIN_MTU).
pub(super) const LEAST_V6: u32 = 1280;

/// Tells listeners of an address.
pub(super) fn tell(world: &mut World<'_>, address: &Address, kind: u16, cause: Cause) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        flags: 0,
        sequence: cause.sequence,
        port: cause.port,
    };
    address.write(&mut to, head, Some(world.now));
    let group = group(
        libc::RTNLGRP_IPV4_IFADDR,
        libc::RTNLGRP_IPV6_IFADDR,
        address.local.is_ipv4(),
    );
    world.tell(group, to.take());
}

/// Returns when an address is not preferred any more, if it still is, and when it is not valid any
/// more.
pub(super) fn lifetimes(address: &Address) -> [Option<u32>; 2] {
    let end = |seconds: u32| {
        let hundredths = seconds.saturating_mul(100).min(i32::MAX as u32);
        (seconds != FOREVER).then(|| address.updated.wrapping_add(hundredths))
    };
    let deprecated = address.flags & libc::IFA_F_DEPRECATED != 0;
    [
        end(address.preferred).filter(|_| !deprecated),
        end(address.valid),
    ]
}

/// Has a time come?
pub(super) fn is_due(world: &World<'_>, at: Option<u32>) -> bool {
    at.is_some_and(|at| (at.wrapping_sub(world.now) as i32) <= 0)
}
