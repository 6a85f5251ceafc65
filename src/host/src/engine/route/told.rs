//! What listeners are told of routes.
#![forbid(unsafe_code)]

use crate::World;
use memtun_stack::address::Head;
use memtun_stack::wire::Writer;
use memtun_stack::Route;

/// Who caused a change: it stands in the events that tell of it. Port and number are 0 for the
/// kernel itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cause {
    /// Port of the asker.
    pub port: u32,
    /// Number of the asker's message.
    pub sequence: u32,
}

/// What an address or a group of messages is called for each family.
pub(crate) const fn group(v4: u32, v6: u32, is_v4: bool) -> u32 {
    if is_v4 {
        v4
    } else {
        v6
    }
}

/// Tells listeners of a route (`rtmsg_fib`).
pub fn tell(world: &mut World<'_>, route: &Route, kind: u16, flags: i32, cause: Cause) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        flags: flags as u16,
        sequence: cause.sequence,
        port: cause.port,
    };
    route.write(&mut to, head, Some(world.now));
    let group = group(
        libc::RTNLGRP_IPV4_ROUTE,
        libc::RTNLGRP_IPV6_ROUTE,
        route.is_v4(),
    );
    world.tell(group, to.take());
}
