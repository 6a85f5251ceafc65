//! The host process of a net: what a kernel's network stack does for its interfaces.
//!
//! | module | kernel's counterpart |
//! |---|---|
//! | [`world`] | a network namespace as one question finds it |
//! | [`engine`] | net/ipv4 (devinet, fib), net/ipv6 (addrconf, route), net/core (dev, neighbour, fib_rules): what is allowed, and what follows from it |
//! | [`netlink`] | net/core/rtnetlink.c and net/netlink: bytes in, bytes out |
//! | [`message`] | the messages that tell what there is |
//! | [`ioctl`] | the same changes by ioctl(2) on a socket |
//!
//! All of these are functions of values, which are tested and fuzzed without a process or a net.
#![forbid(unsafe_code)]

pub mod devices;
pub mod engine;
pub mod failure;
pub mod ioctl;
pub mod message;
pub mod netlink;
pub mod world;

pub use failure::Failure;
pub use world::World;
