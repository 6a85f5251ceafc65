//! What a test holds: the outside of a net and of its interfaces.

pub mod capture;
mod deadline;
pub mod interface;
mod joined;
pub mod json;
pub mod net;
