//! What Linux's tun driver and its interfaces do, in the shared memory of a net.
//!
//! | module | kernel's counterpart |
//! |---|---|
//! | [`net`] | a network namespace: the directory, its files, lifetimes |
//! | [`link`] | `struct net_device` and net/core/dev.c: flags, mtu, queues |
//! | [`tun`] | drivers/net/tun.c: open, attach, read, write, requests, readiness |
//! | [`policy`] | what a test takes away: permissions and faults |
//! | [`settings`] | nothing: the variables of a program's environment that memtun reads |
//! | [`missing`] | nothing: what memtun does not have, said once for each interface |
//!
//! Nothing here knows of hooks, of a test's driver, or of the program's memory: a program's buffers
//! are a [`Source`](tun::Source), a [`Sink`](tun::Sink) or an [`Argument`](tun::Argument), its
//! descriptors a [`Local`](net::Local).

mod cause;
pub mod link;
pub mod missing;
pub mod net;
pub mod policy;
mod seldom;
pub mod settings;
pub mod tun;

pub use cause::Cause;
pub use net::NetDir;
pub use policy::{Fault, Operation, Permission};

use memtun_abi::{request, uapi, Errno, Error, Name};
use memtun_shm as shm;
use memtun_sys as sys;
