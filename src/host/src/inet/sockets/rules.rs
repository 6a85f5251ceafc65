//! Which sockets cannot have the same port (`inet_csk_bind_conflict`, `udp_lib_lport_inuse`).
#![forbid(unsafe_code)]

use memtun_stack::sockets::{flag, Entry, Protocol};
use std::net::IpAddr;

/// The own name of a socket, with what decides who else may have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name {
    /// The protocol.
    pub protocol: Protocol,
    /// Is it a socket of AF_INET6?
    pub v6: bool,
    /// IPV6_V6ONLY.
    pub v6_only: bool,
    /// The address; an IPv4 address of a socket of AF_INET6 is not mapped here.
    pub address: IpAddr,
    /// The interface that it is bound to, or that an IPv6 address of a link belongs to; 0 for none.
    pub device: u32,
    /// SO_REUSEADDR.
    pub reuse: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// The user.
    pub uid: u32,
    /// Does it listen?
    pub listens: bool,
}

impl Name {
    /// Returns the name of an entry.
    pub fn of(entry: &Entry) -> Name {
        let set = |bit| entry.flags & bit != 0;
        Name {
            protocol: entry.protocol,
            v6: i32::from(entry.family) == libc::AF_INET6,
            v6_only: set(flag::V6ONLY),
            address: entry.local.ip(),
            device: entry.device,
            reuse: set(flag::REUSE_ADDRESS),
            reuse_port: set(flag::REUSE_PORT),
            uid: entry.uid,
            listens: set(flag::LISTENS),
        }
    }

    /// Is the address that of any, as the kernel looks at it?
    fn is_any(&self) -> bool {
        self.address.is_unspecified()
    }

    /// Is the address one of IPv6, and not one of IPv4 in a socket of AF_INET6?
    fn has_v6_address(&self) -> bool {
        self.address.is_ipv6()
    }
}

/// May the addresses be those of the same packet (`inet_rcv_saddr_equal`)?
fn same_address(one: &Name, other: &Name) -> bool {
    match (one.has_v6_address(), other.has_v6_address()) {
        (false, false) => {
            // A socket of AF_INET6 hears nothing of IPv4 if it says so.
            let deaf = |it: &Name| it.v6 && it.v6_only;
            let hears = !deaf(other) && !deaf(one);
            hears && (one.is_any() || other.is_any() || one.address == other.address)
        }
        (true, true) => one.is_any() || other.is_any() || one.address == other.address,
        (true, false) => one.is_any() && !one.v6_only,
        (false, true) => other.is_any() && !other.v6_only,
    }
}

/// What a socket that has a name says to another one that wants one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// The name can be had, as far as it is concerned.
    Nothing,
    /// The name can be had, whatever sockets that are older say.
    Yes,
    /// The name is taken.
    No,
}

/// What another socket says to one that wants a name. `chosen` says that the port is the net's
/// choice. The first of several sockets that says something is believed.
pub fn says(new: &Name, other: &Name, chosen: bool) -> Says {
    let apart = new.device != 0 && other.device != 0 && new.device != other.device;
    if new.protocol != other.protocol || apart || !same_address(new, other) {
        return Says::Nothing;
    }
    let both_ports = new.reuse_port && other.reuse_port && new.uid == other.uid;
    let both = new.reuse && other.reuse;
    match new.protocol {
        Protocol::Tcp if both && !other.listens => match chosen {
            true => Says::No,
            false => Says::Nothing,
        },
        Protocol::Tcp => match both_ports {
            true => Says::Nothing,
            false => Says::No,
        },
        _ if both => Says::Nothing,
        _ => match both_ports {
            true => Says::Yes,
            false => Says::No,
        },
    }
}
