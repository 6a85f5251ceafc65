//! Addresses of interfaces (net/ipv4/devinet.c, net/ipv6/addrconf.c).
//!
//! | module | what it is |
//! |---|---|
//! | [`v4`], [`v6`] | adding and removing addresses, and the routes that belong to them |
//! | `link` | what follows when a link comes up, goes down, is renamed or deleted |
//! | `expiry` | what follows from time |
//! | `told` | what listeners are told |
#![forbid(unsafe_code)]

mod expiry;
mod link;
mod told;
pub mod v4;
pub mod v6;

pub use expiry::{expire, next_expiry};
pub use link::{
    arp_is_switched, carrier_has_changed, inet6_is_ready, link_is_down, link_is_up,
    mtu_has_changed, name_has_changed,
};
