//! Routes of IPv6: what may be added and what is found to be deleted, and what becomes of them when
//! a link or an address goes.
#![forbid(unsafe_code)]

mod change;
mod config;
mod create;
mod down;
mod siblings;

pub use change::{add, delete, expire, of_prefix, remove, remove_whole};
pub(crate) use config::v6;
pub use config::{has_v6, Config, PRIORITY, PRIORITY_OF_ADDRESS};
pub use create::{check_gateway_of_v4, create_hop};
pub use down::{address_is_gone, carrier_is_lost, link_is_down, link_is_up};
pub use siblings::{siblings, whole};
