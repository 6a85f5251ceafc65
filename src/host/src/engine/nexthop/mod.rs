//! Objects of next hops, which routes refer to (net/ipv4/nexthop.c).
//!
//! A route holds a copy of the next hops of its object, which follows each change of the object.
//! What an object is for a route stands in [`crate::engine::route::object`].
//!
//! | module | what it is |
//! |---|---|
//! | `buckets` | which member of a group the flows of a bucket have |
//! | `create` | an object as it is asked for |
//! | [`change`] | adding, replacing and deleting |
#![forbid(unsafe_code)]

mod buckets;
pub mod change;
mod create;

pub use create::{Config, Members, Timers, Wanted};
