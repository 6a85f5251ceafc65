//! The host process of a net: what a kernel's network stack does for its interfaces.
//!
//! | module | kernel's counterpart |
//! |---|---|
//! | [`world`] | a network namespace as one question finds it |
//! | [`engine`] | net/ipv4 (devinet, fib), net/ipv6 (addrconf, route), net/core (dev, neighbour, fib_rules): what is allowed, and what follows from it |
//! | [`netlink`] | net/core/rtnetlink.c and net/netlink: bytes in, bytes out |
//! | [`message`] | the messages that tell what there is |
//! | [`ioctl`] | the same changes by ioctl(2) on a socket |
//! | [`failure`] | why a change is refused, with the kernel's sentence |
//!
//! All of these are functions of values, which are tested and fuzzed without a process or a net.
//! Around them stands the process:
//!
//! | module | what it is |
//! |---|---|
//! | [`process`] | how it takes its place in the net, how long it stays, what wakes it |
//! | [`standby`] | who sees to it that another one follows when it is killed |
//! | [`first`] | what the first one of a net begins with |
//! | [`inet`] | packets and sockets, once there is an address |
//! | [`reply`] | answers that come later |
//! | `server` | who connects and asks |
//! | `service` | one question after another: the answer, and what is published and told of it |
//! | [`machine`] | what the machine's own kernel says of itself |
//! | `listeners` | how programs that listen are told |
//! | [`devices`] | the interfaces, in the net's shared memory |
#![forbid(unsafe_code)]

pub mod devices;
pub mod engine;
pub mod failure;
pub mod first;
pub mod generic;
pub mod inet;
pub mod ioctl;
mod listeners;
pub mod machine;
pub mod message;
pub mod netlink;
pub mod process;
pub mod raw;
pub mod reply;
mod server;
mod service;
pub mod standby;
pub mod world;

pub use failure::Failure;
pub use world::World;
