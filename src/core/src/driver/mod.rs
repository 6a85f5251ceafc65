//! What a test holds: the outside of a net and of its interfaces.
#![forbid(unsafe_code)]

pub mod capture;
pub mod interface;
mod joined;
pub mod json;
pub mod net;
