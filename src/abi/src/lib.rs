//! The words of Linux that memtun speaks: error numbers, interface names, `struct ifreq`, and the
//! requests of the tun driver and of sockets about interfaces. They are plain values, which make no
//! system calls and use nobody's memory.

#![forbid(unsafe_code)]

mod decimal;
pub mod errno;
pub mod error;
mod flags;
mod ifreq;
mod kind;
mod label;
mod name;
pub mod request;

pub use decimal::Decimal;
pub use errno::Errno;
pub use error::{Error, Result};
pub use kind::ErrorKind;
pub use label::Label;
pub use name::Name;

/// Numbers and structs of linux/if_tun.h, linux/if.h and linux/sockios.h.
pub mod uapi {
    pub use crate::flags::*;
    pub use crate::ifreq::IfReq;
    pub use crate::request::number::*;
}
