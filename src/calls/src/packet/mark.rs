//! How packet sockets and raw sockets are recognised: by the value of SO_RCVLOWAT, which means
//! nothing on a datagram socket of AF_UNIX. What they are bound to stands in SO_MAX_PACING_RATE,
//! which means nothing there either. Both go with the socket over fork, exec, dup and SCM_RIGHTS.
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_stack::sockets::raw::{Bound, Kind};
use memtun_sys as sys;

const MAGIC: i32 = 0x6d75 << 12;
const BITS: i32 = 0xfff;

/// Returns what a socket stands for. None means that it is something else.
pub fn of(fd: i32) -> Option<Kind> {
    let value = sys::int_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT).ok()?;
    (value & !BITS == MAGIC).then(|| Kind::of_bits(value & BITS))
}

/// Does the same for a descriptor that came from another process.
pub fn is_marked(fd: i32) -> bool {
    of(fd).is_some() && sys::socket_family(fd) == Ok(libc::AF_UNIX)
}

/// Marks a socket.
///
/// # Errors
///
/// What setsockopt(2) fails with.
pub fn set(fd: i32, kind: Kind) -> Result<(), Errno> {
    let value = MAGIC | kind.bits();
    sys::set_int_option(fd, libc::SOL_SOCKET, libc::SO_RCVLOWAT, value)
}

/// Returns what a socket is bound to.
pub fn bound(fd: i32) -> Bound {
    let word = sys::long_option(fd, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE);
    Bound::of_word(word.unwrap_or(0))
}

/// Keeps what a socket is bound to.
///
/// # Errors
///
/// What setsockopt(2) fails with.
pub fn bind(fd: i32, bound: Bound) -> Result<(), Errno> {
    let word = bound.to_word();
    sys::set_long_option(fd, libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE, word)
}
