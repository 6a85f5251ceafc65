//! Addresses of interfaces (net/ipv4/devinet.c, net/ipv6/addrconf.c).
#![forbid(unsafe_code)]

use crate::World;
use memtun_stack::Link;

/// Carries out what follows from a link that has come up: the addresses that every link of its kind
/// has, and the routes to the networks of its addresses.
pub fn link_is_up(world: &mut World<'_>, index: u32) {
    let _ = (world, index);
}

/// Carries out what follows from a link that has gone down.
pub fn link_is_down(world: &mut World<'_>, index: u32) {
    let _ = (world, index);
}

/// Carries out what follows from a link that is gone; `link` is what it was.
pub fn link_is_gone(world: &mut World<'_>, link: &Link) {
    let _ = (world, link);
}

/// Carries out what follows from another mtu of a link, which was `before`.
pub fn mtu_has_changed(world: &mut World<'_>, index: u32, before: u32) {
    let _ = (world, index, before);
}

/// Carries out what follows from another name of a link: the labels of its addresses.
pub fn name_has_changed(world: &mut World<'_>, index: u32, before: &[u8]) {
    let _ = (world, index, before);
}
