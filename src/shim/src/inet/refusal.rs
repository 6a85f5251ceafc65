//! What becomes of a call on a socket where this process cannot tell whose it is. Where the net is
//! the program's only network, what would leave the machine's loopback is refused; where the
//! machine is seen, what a route of the net may lead to. See [`Side::Nobody`](super::known::Side).
#![forbid(unsafe_code)]

use crate::asking::OwnHost;
use crate::net;
use memtun_abi::Errno;
use memtun_calls::host::Host as _;
use memtun_calls::inet::name::{is_any, is_loopback};
use memtun_calls::inet::Native;
use memtun_stack::brief;
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

/// Does a call with this name stay on the machine's loopback?
pub fn stays(name: &SocketAddr, how: How) -> bool {
    is_loopback(name) || is_any(name) && (how == How::Sends || !is_alone())
}

/// Returns what a call with this name fails with; None leaves it to the machine. `why` is what has
/// kept this process from looking.
pub fn of_name(how: How, name: &SocketAddr, why: Errno) -> Option<Errno> {
    (!stays(name, how) && (is_alone() || may_be_of_net(name))).then(|| errno(how, why))
}

/// Returns what listen(2) fails with; None where the socket is heard on the loopback only, is none
/// of AF_INET and AF_INET6, or where the machine is seen.
pub fn of_listener(socket: &impl Native, why: Errno) -> Option<Errno> {
    let heard = || match may(Extra::Names) {
        true => socket.own_name().is_ok_and(|name| !is_loopback(&name)),
        false => true,
    };
    (is_alone() && heard()).then(|| errno(How::Binds, why))
}

/// Returns what joining a group fails with; None where the machine is seen.
pub fn of_membership(why: Errno) -> Option<Errno> {
    let errno = |why| match errno(How::Sends, why) {
        Errno(libc::ENOBUFS) => Errno(libc::ENOBUFS),
        _ => Errno(libc::ENODEV),
    };
    is_alone().then(|| errno(why))
}

/// Has the program no other network than the net?
fn is_alone() -> bool {
    OwnHost.is_isolated()
}

/// Does a route of the net lead there, or can nobody tell?
fn may_be_of_net(name: &SocketAddr) -> bool {
    match net::current() {
        Some(net) if may(Extra::Files) => {
            brief::may_lead(net, name.ip().to_canonical()).unwrap_or(true)
        }
        _ => true,
    }
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
