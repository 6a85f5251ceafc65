//! Addresses of IPv6: how they begin and end, and the routes that belong to them.
#![forbid(unsafe_code)]

mod anycast;
mod change;
mod detection;
mod entry;
mod link;
mod own;
mod routes;
mod temporary;
mod wanted;

pub use anycast::{anycasts, forwarding_has_changed};
pub use change::{add, delete, modify};
pub use link::{
    carrier_is_back, detect_again, expire, is_switched, link_begins, link_is_down, link_is_gone,
    link_is_up,
};
pub use own::add_own_addresses;
pub use wanted::{find, is_disabled, Wanted};
