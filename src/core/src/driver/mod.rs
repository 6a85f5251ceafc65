//! What a test holds: the outside of a net and of its interfaces.
#![forbid(unsafe_code)]

pub mod capture;
mod deadline;
pub mod interface;
pub mod json;
pub mod net;
