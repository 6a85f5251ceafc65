//! Ordinary sockets in a net that has addresses: whether this process is in one, and the calls of
//! the program on them, which `memtun_calls::inet` knows the meaning of.
//!
//! The functions that a hook calls are `extern "C"`: such a function never unwinds into its caller,
//! so the hook's frame has nothing to clean up when a thread is cancelled in the kernel's call.

pub mod calls;
pub mod deaf;
pub mod errors;
pub mod known;
pub mod membership;
pub mod notes;
pub mod parts;
pub mod pushing;
pub mod receiving;
mod refusal;
pub mod resolver;
pub mod sending;

pub use known::{is_active, looks_anew, may_concern};
