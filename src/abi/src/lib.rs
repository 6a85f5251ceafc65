//! The words of Linux that memtun speaks: error numbers, interface names, `struct ifreq`, the requests of the tun driver and
//! of sockets about interfaces. Plain values without system calls and without memory of others.

#![forbid(unsafe_code)]

pub mod errno;
pub mod error;
mod kind;
mod name;
pub mod uapi;

pub use errno::Errno;
pub use error::{Error, Result};
pub use kind::ErrorKind;
pub use name::Name;
