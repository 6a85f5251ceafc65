//! What the host of a net knows above the tun driver: the addresses, routes, rules and neighbours
//! of its links, as a kernel's network stack has them.
//!
//! One process of the net, the host process (crate `memtun-host`), changes it; everybody reads it
//! without a lock and without a question, and asks the host process for a change.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | messages and attributes of netlink(7), in bytes |
//! | [`address`], [`route`], [`nexthop`], [`rule`], [`neighbour`], [`traffic`], [`link`] | one object each, and its message of rtnetlink(7) |
//! | [`state`] | all of them, and the file in the net that holds them |
//! | [`brief`] | links and addresses out of that file, for a call of a program |
//! | [`family`] | the family "ethtool" of generic netlink |
//! | [`view`] | all of it as files under /sys and /proc |
//! | [`sockets`] | the table of the net's sockets, and the questions about them |
//! | [`ask`] | the questions that are put to the host process, and its answers |
#![forbid(unsafe_code)]

pub mod address;
pub mod ask;
pub mod brief;
pub mod counters;
pub mod family;
pub mod link;
pub mod neighbour;
pub mod nexthop;
pub mod route;
pub mod rule;
pub mod sockets;
pub mod state;
pub mod traffic;
pub mod view;
pub mod wire;

pub use address::Address;
pub use link::{Extra, Link};
pub use neighbour::Neighbour;
pub use nexthop::HopObject;
pub use route::{Nexthop, Route};
pub use rule::Rule;
pub use state::State;
pub use traffic::Traffic;
