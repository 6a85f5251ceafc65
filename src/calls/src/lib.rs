//! What a system call on a tunnel, a device path, an interface or a socket means, for any back end.
//!
//! A back end is whoever has the program's call in its hands: the preloaded library, in whose process the program's memory
//! is plain memory, or a supervisor of system calls, which reads it from outside. What differs between them is behind
//! [`Memory`] and `Local` (the program's descriptors that are tunnels); nothing here knows of libc's hooks or of its errno.

#![forbid(unsafe_code)]

pub mod interfaces;
mod memory;
pub mod socket;

pub use memory::{Memory, Place};
