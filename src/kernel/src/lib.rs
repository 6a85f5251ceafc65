//! What Linux's tun driver and its interfaces do, in the shared memory of a net.
//!
//! | module | kernel's counterpart |
//! |---|---|
//! | [`net`] | a network namespace: the directory, its files, lifetimes |
//! | [`link`] | `struct net_device` and net/core/dev.c: flags, mtu, queues |
//! | [`tun`] | drivers/net/tun.c: open, attach, read, write, requests, readiness |
//! | [`bpf`] | net/core/filter.c: classic BPF |
//! | [`policy`] | what a test takes away: permissions and faults |
//! | [`settings`] | none: the variables of a program's environment that memtun reads |
//! | [`missing`] | none: what memtun does not support, logged once for each interface |
//!
//! Nothing here knows of hooks, of a test's driver, or of the program's memory. A program's buffers
//! appear as a [`Source`](tun::Source), a [`Sink`](tun::Sink) or an [`Argument`],
//! and its descriptors as a [`Local`](net::Local).

mod argument;
pub mod bpf;
pub mod busy;
mod cause;
pub mod link;
pub mod missing;
pub mod net;
pub mod policy;
mod seldom;
pub mod settings;
pub mod tun;

pub use argument::Argument;
pub use cause::Cause;
pub use net::NetDir;
pub use policy::{Fault, Operation, Permission};

use memtun_abi::{request, uapi, Errno, Error, Name};
use memtun_shm as shm;
use memtun_sys as sys;
