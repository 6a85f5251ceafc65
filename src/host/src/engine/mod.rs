//! What is allowed, and what follows from it: the rules of the kernel's network stack for
//! addresses, routes, rules, neighbours and links, whoever asks and in whatever form.
//!
//! | module | what it is |
//! |---|---|
//! | [`link`] | links, and what follows from their changes for everything else |
//! | [`address`], [`route`], [`rule`], [`neighbour`] | one kind of object each |
//! | [`nexthop`] | objects of next hops, which routes refer to |
//! | [`traffic`] | queueing disciplines and their classes |
//! | [`place`] | the machine's objects and the net's as one list |
//! | [`sysctl`], [`mod@write`] | the settings that the others depend on; what follows when a file is written |
//! | `netconf` | what listeners are told of settings |
//! | [`kind`], [`order`] | of which kind an IPv6 address is; in which order routes are told |
#![forbid(unsafe_code)]

pub mod address;
pub mod kind;
pub mod link;
pub mod neighbour;
mod netconf;
pub mod nexthop;
pub mod order;
pub mod place;
pub mod route;
pub mod rule;
pub mod sysctl;
pub mod traffic;
pub mod write;
