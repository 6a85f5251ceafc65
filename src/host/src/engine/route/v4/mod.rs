//! Routes of IPv4: what may be added and what is found to be deleted, and what becomes of them when
//! a link or an address goes.
#![forbid(unsafe_code)]

mod change;
mod config;
mod create;
mod down;

pub use change::{add, delete};
pub use config::{check_prefix, via, Config};
pub use create::check_hop;
pub use down::{address_is_gone, link_is_down, link_is_up, Down};
