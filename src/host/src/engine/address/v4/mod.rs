//! Addresses of IPv4: their order on a link, and the routes that belong to them.
#![forbid(unsafe_code)]

mod change;
mod link;
mod list;
mod routes;

pub use change::{add, insert, remove};
pub use link::{addresses_are_gone, expire, link_is_gone, link_is_up, name_has_changed};
pub use list::{find, matches, plain, set_lifetimes};
