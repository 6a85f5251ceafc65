//! What becomes of a call on a socket where this process cannot tell whose it is: what would leave
//! the machine's loopback is refused, because it may be meant for a net that is the program's only
//! network. See [`Side::Nobody`](super::known::Side).
#![forbid(unsafe_code)]

use memtun_abi::Errno;
use memtun_calls::inet::name::{is_any, is_loopback};
use memtun_calls::inet::Native;
use memtun_sys::quiet::{may, Extra};
use std::net::SocketAddr;

/// What a call does with a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It gives it to the socket.
    Binds,
    /// It connects or sends to it.
    Sends,
}

/// Returns what a call with this name fails with; None where it reaches the loopback only. `why`
/// is what has kept this process from looking.
pub fn of_name(how: How, name: &SocketAddr, why: Errno) -> Option<Errno> {
    let stays = is_loopback(name) || how == How::Sends && is_any(name);
    (!stays).then(|| errno(how, why))
}

/// Returns what listen(2) fails with; None where the socket is heard on the loopback only, or is
/// none of AF_INET and AF_INET6.
pub fn of_listener(socket: &impl Native, why: Errno) -> Option<Errno> {
    let heard = match may(Extra::Names) {
        true => socket.own_name().is_ok_and(|name| !is_loopback(&name)),
        false => true,
    };
    heard.then(|| errno(How::Binds, why))
}

/// Returns an errno that the call may have.
fn errno(how: How, why: Errno) -> Errno {
    Errno(match (why.0, how) {
        (libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EAGAIN, _) => {
            libc::ENOBUFS
        }
        (_, How::Binds) => libc::EADDRNOTAVAIL,
        (_, How::Sends) => libc::ENETUNREACH,
    })
}

/// Returns what the program gets for what asking the host process has failed with.
pub fn shown(how: How, e: Errno) -> Errno {
    match e.0 {
        // No call on a socket has these.
        libc::ENOENT | libc::ENOSYS => errno(how, e),
        _ => e,
    }
}
