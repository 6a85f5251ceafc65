//! What is wrong with a call on a socket, in words.
#![forbid(unsafe_code)]

use crate::driver::joined::Joined;
use crate::launch::host::obstacle;
use crate::{Errno, Error};
use memtun_stack::ask::Obstacle;
use std::fmt::Display;
use std::net::SocketAddr;

/// Why a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// No interface of the net has an address.
    NoAddress,
    /// The name is neither one of the net's nor one that its routes lead to.
    Elsewhere,
    /// What the net or the machine's kernel says.
    Errno(Errno),
}

impl From<Errno> for Why {
    fn from(errno: Errno) -> Why {
        Why::Errno(errno)
    }
}

/// Begins the sentence about bind(2).
pub(super) fn bind(name: SocketAddr) -> impl Display {
    format!("bind to {name}")
}

/// Begins the sentence about connect(2).
pub(super) fn connect(name: SocketAddr) -> impl Display {
    format!("connect to {name}")
}

/// Begins the sentence about sendto(2).
pub(super) fn send(name: SocketAddr) -> impl Display {
    format!("send to {name}")
}

impl Why {
    /// Makes the error; `what` says what was tried.
    pub(super) fn error(self, net: &Joined, what: &dyn Display) -> Error {
        let path = net.path().display();
        let is_bind = what.to_string().starts_with("bind");
        let errno = match self {
            Why::Errno(errno) => errno,
            _ if is_bind => Errno(libc::EADDRNOTAVAIL),
            _ => Errno(libc::ENETUNREACH),
        };
        let remedy = match self {
            Why::NoAddress => match obstacle() {
                Some(obstacle) => obstacle,
                None => "no interface of the net has an address: give it one \
                         (Interface::add_address, tun.addresses.add, memtun ip address add), or \
                         wait until the program has done so"
                    .into(),
            },
            Why::Elsewhere if is_bind => {
                "no interface of the net has this address; memtun ip address lists those that it has"
                    .into()
            }
            Why::Elsewhere => {
                "no route of the net leads there; memtun ip route lists those that it has".into()
            }
            Why::Errno(_) => said(errno),
        };
        let remedy = match remedy.strip_prefix(&errno.to_string()) {
            Some(rest) => rest.trim_start_matches(": ").to_owned(),
            None => remedy,
        };
        let colon = if remedy.is_empty() { "" } else { ": " };
        Error::new(
            errno.0,
            format!("net {path}: {what}: {errno}{colon}{remedy}"),
        )
    }
}

/// Says what an errno means for a socket of the net.
fn said(errno: Errno) -> String {
    let remedy = match errno.0 {
        libc::EADDRINUSE => "a socket of the net has this name; memtun show lists them",
        libc::EADDRNOTAVAIL => "memtun ip address lists the addresses of the net",
        libc::ECONNREFUSED => "nobody listens there",
        libc::ENETUNREACH => "memtun ip route lists the routes of the net",
        libc::EHOSTUNREACH => {
            "nobody has answered for the address, or something on the way says so"
        }
        libc::ENETDOWN => "the interface is down",
        libc::EPROTONOSUPPORT => {
            "give a socket of TCP or UDP that is bound to no interface of the machine"
        }
        _ => return Obstacle(errno).to_string(),
    };
    remedy.into()
}
