//! What is allowed, and what follows from it: the rules of the kernel's network stack for
//! addresses, routes, rules, neighbours and links, whoever asks and in whatever form.
#![forbid(unsafe_code)]

pub mod address;
pub mod kind;
pub mod link;
pub mod neighbour;
pub mod order;
pub mod place;
pub mod route;
pub mod rule;
pub mod sysctl;
pub mod write;
