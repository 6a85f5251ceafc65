//! rtnetlink(7): bytes in, bytes out (net/netlink/af_netlink.c, net/core/rtnetlink.c).
#![forbid(unsafe_code)]

use crate::World;

/// A netlink socket that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Port of the socket, which stands in the answers.
    pub port: u32,
    /// Options of the socket, see [`memtun_stack::ask::option`].
    pub options: u16,
}

/// Answers what a program sent on a netlink socket in one call: the datagrams for that socket, in
/// order.
pub fn answer(world: &mut World<'_>, asker: Asker, request: &[u8]) -> Vec<Vec<u8>> {
    let _ = (world, asker, request);
    Vec::new()
}
