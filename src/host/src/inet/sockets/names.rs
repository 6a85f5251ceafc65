//! Names of sockets, in the net and natively.
#![forbid(unsafe_code)]

use memtun_stack::sockets::row::PortKind;
use memtun_stack::sockets::{flag, Entry, Own, Protocol};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};

/// Returns the protocol of the native socket.
pub fn native_protocol(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Tcp => Protocol::Tcp,
        _ => Protocol::Udp,
    }
}

/// Returns the kind of a moved port.
pub fn port_kind(protocol: Protocol) -> PortKind {
    match protocol {
        Protocol::Tcp => PortKind::Tcp,
        _ => PortKind::Udp,
    }
}

/// Returns how an address stands in the table.
pub fn own_of(address: IpAddr, index: u32) -> Own {
    let of_link = match address {
        IpAddr::V6(address) => {
            let of_interface_or_link = matches!(address.segments()[0] & 0xff0f, 0xff01 | 0xff02);
            address.is_unicast_link_local() || of_interface_or_link
        }
        IpAddr::V4(_) => false,
    };
    Own {
        address,
        scope: if of_link { index } else { 0 },
    }
}

/// Returns the interface by which a socket that is bound to this one, or to none (0), talks to a
/// name: that of the name, if its address is one of a link.
pub fn talks_by(device: u32, to: SocketAddr) -> u32 {
    match own_of(to.ip(), scope_of(to)).scope {
        0 => device,
        scope => scope,
    }
}

/// Returns the address without the mapping of IPv4 into IPv6.
pub fn plain(name: SocketAddr) -> SocketAddr {
    match name.ip().to_canonical() {
        address @ IpAddr::V4(_) => SocketAddr::new(address, name.port()),
        IpAddr::V6(_) => name,
    }
}

/// Does a native address stand for any?
pub fn is_any(address: IpAddr) -> bool {
    address.to_canonical().is_unspecified()
}

/// Returns a name with another port, and the interface of an IPv6 address of a link.
pub fn with_port(name: SocketAddr, port: u16, device: u32) -> SocketAddr {
    match name.ip() {
        IpAddr::V4(address) => (address, port).into(),
        IpAddr::V6(address) => {
            let own = own_of(address.into(), device);
            SocketAddrV6::new(address, port, 0, own.scope).into()
        }
    }
}

/// Returns the native name of an alias for a socket of this family.
pub fn native(alias: Ipv4Addr, port: u16, v6: bool) -> SocketAddr {
    let address: IpAddr = match v6 {
        true => alias.to_ipv6_mapped().into(),
        false => alias.into(),
    };
    SocketAddr::new(address, port)
}

/// How well a socket suits a packet, the better the larger; None when it is not for it
/// (`compute_score`).
pub fn score(entry: &Entry, to: SocketAddr, from: Option<SocketAddr>, ifindex: u32) -> Option<u32> {
    if entry.local.port() != to.port() {
        return None;
    }
    let v6_socket = i32::from(entry.family) == libc::AF_INET6;
    let local = entry.local.ip();
    let any = local.is_unspecified();
    let hears = match (local, to.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => any || local == to.ip(),
        (IpAddr::V6(_), IpAddr::V4(_)) => any && entry.flags & flag::V6ONLY == 0,
        (IpAddr::V4(_), IpAddr::V6(_)) => false,
    };
    let of_link = scope_of(entry.local);
    if !hears || of_link != 0 && of_link != ifindex {
        return None;
    }
    let mut score = if v6_socket { 1 } else { 2 };
    if !any {
        score += 64;
    }
    if let Some(remote) = entry.remote {
        let from = from?;
        let same = remote.ip() == from.ip() && (remote.port() == from.port() || remote.port() == 0);
        if !same {
            return None;
        }
        score += 8;
    }
    if entry.device != 0 {
        if entry.device != ifindex {
            return None;
        }
        score += 4;
    }
    Some(score)
}

/// Returns the interface of an IPv6 address of a link.
pub fn scope_of(name: SocketAddr) -> u32 {
    match name {
        SocketAddr::V6(name) => name.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}
