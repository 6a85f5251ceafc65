//! How a socket is made.
#![forbid(unsafe_code)]

use crate::{sys, Errno};
use std::net::SocketAddr;
use sys::Fd;

/// Makes a socket that can have such a name, of SOCK_STREAM or SOCK_DGRAM. It does not wait in its
/// calls.
pub(super) fn make(name: &SocketAddr, kind: i32) -> Result<Fd, Errno> {
    let family = match name {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    sys::socket(family, kind, 0)
}

/// Makes a socket wait in its calls.
pub(super) fn let_wait(socket: &Fd) -> Result<(), Errno> {
    let flags = sys::status_flags(socket.raw())?;
    sys::set_status_flags(socket.raw(), flags & !libc::O_NONBLOCK)
}
