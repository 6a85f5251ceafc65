//! What a test holds: a net and its interfaces, seen from the outside.
#![forbid(unsafe_code)]

pub mod capture;
pub mod host;
pub mod interface;
mod joined;
pub mod json;
pub mod listed;
pub mod net;
mod outward;
pub mod sockets;
