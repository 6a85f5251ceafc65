//! The messages that tell what there is, as answers and as events.
#![forbid(unsafe_code)]

pub mod conf;
pub mod link;
pub mod traffic;
