//! How the netlink sockets are recognised that stand for one of NETLINK_ROUTE, NETLINK_GENERIC or
//! NETLINK_SOCK_DIAG. The mark is the value of SO_RCVLOWAT, which means nothing on a netlink
//! socket, may be set by anybody, and goes with the socket over fork, exec, dup and SCM_RIGHTS. A
//! few bits of it belong to the socket's state. The program sees the value that it would have
//! otherwise.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_sys as sys;

/// The bits of the value that are the same for all marked sockets.
const MAGIC: i32 = 0x6d74 << 12;
/// The other bits.
const STATE: i32 = 0xfff;

/// In the queue stands a datagram that says how an answer goes on.
pub const GOES_ON: i32 = 1;
/// An answer was lost, which the next receive says.
pub const LOST: i32 = 2;
/// The socket has asked for groups once.
pub const LISTENS: i32 = 4;

/// The socket has a port only so that it can be told of what its groups hear; for the program it
/// has none yet.
pub const UNBOUND: i32 = 8;

/// The socket stands for one of NETLINK_GENERIC.
pub const GENERIC: i32 = 16;

/// The socket stands for one of NETLINK_SOCK_DIAG.
pub const DIAG: i32 = 64;

/// The program has connected the socket to the port of another one.
pub const CONNECTED: i32 = 32;

/// Returns the state bits of a socket that stands for another one. None means that the
/// descriptor is something else.
#[inline]
pub fn of(fd: i32) -> Option<i32> {
    let value = sys::int_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT).ok()?;
    (value & !STATE == MAGIC).then_some(value & STATE)
}

/// Returns the protocol of the socket that one with these state bits stands for.
pub fn protocol(state: i32) -> i32 {
    match state & (GENERIC | DIAG) {
        0 => libc::NETLINK_ROUTE,
        DIAG => libc::NETLINK_SOCK_DIAG,
        _ => libc::NETLINK_GENERIC,
    }
}

/// Does the same as [`of`] for a descriptor that came from another process. The socket of another
/// protocol could have the same value by chance.
pub fn is_marked(fd: i32) -> bool {
    of(fd).is_some()
        && sys::socket_family(fd) == Ok(libc::AF_NETLINK)
        && sys::int_option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL) == Ok(libc::NETLINK_USERSOCK)
}

/// Sets the state bits of a socket, which is marked with that.
///
/// # Errors
///
/// What setsockopt(2) fails with.
pub fn set(fd: i32, state: i32) -> Result<(), Errno> {
    sys::set_int_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, MAGIC | state)
}

/// Sets and clears state bits of a marked socket.
pub(super) fn change(fd: i32, set_bits: i32, clear: i32) {
    if let Some(now) = of(fd) {
        let _ = set(fd, now & !clear | set_bits);
    }
}
