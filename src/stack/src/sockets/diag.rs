//! Messages about sockets (sock_diag(7)): a request, and what the kernel tells of a socket
//! (`struct inet_diag_msg`).
#![forbid(unsafe_code)]

use super::shown::{Listed, Names};
use super::Protocol;
use crate::wire::{u32_at, HEADER};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// SOCK_DIAG_BY_FAMILY.
pub const BY_FAMILY: u16 = 20;
/// Length in bytes of `struct inet_diag_sockid`.
const ID: usize = 4 + 32 + 4 + 8;
/// Length in bytes of `struct inet_diag_req_v2`.
pub const REQUEST: usize = 8 + ID;
/// Where the names are in it.
pub const REQUEST_ID: usize = 8;
/// Length in bytes of `struct inet_diag_msg`.
pub const ANSWER: usize = 4 + ID + 20;
/// Where the names are in it.
pub const ANSWER_ID: usize = 4;

/// Returns the request for all sockets of a protocol and a family, as a whole message.
pub fn request(family: i32, protocol: Protocol) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    bytes[..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[HEADER] = family as u8;
    bytes[HEADER + 1] = protocol as u8;
    // All states.
    bytes[HEADER + 4..HEADER + 8].fill(0xff);
    bytes
}

/// What the kernel tells of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// AF_INET or AF_INET6.
    pub family: i32,
    /// TCP_ESTABLISHED and the others, which are used for other protocols too.
    pub state: u8,
    /// Its names.
    pub id: Id,
    /// Bytes that wait to be received, or connections to be accepted.
    pub receive_queue: u32,
    /// Bytes that wait to be sent, or the longest queue of connections.
    pub send_queue: u32,
    /// The user who has made it.
    pub uid: u32,
    /// Its inode, 0 for none.
    pub inode: u32,
}

impl Answer {
    /// Reads the body of a message.
    pub fn read(body: &[u8]) -> Option<Answer> {
        let body = body.get(..ANSWER)?;
        let word = |at: usize| u32_at(body, ANSWER_ID + ID + at);
        Some(Answer {
            family: body[0].into(),
            state: body[1],
            id: Id::read(&body[ANSWER_ID..])?,
            receive_queue: word(4)?,
            send_queue: word(8)?,
            uid: word(12)?,
            inode: word(16)?,
        })
    }

    /// Returns the socket as one of a list of this protocol.
    pub fn listed(&self, protocol: Protocol) -> Listed {
        let v6 = self.is_v6();
        Listed {
            protocol,
            local: self.id.name(0, v6),
            remote: self.id.name(1, v6),
            inode: self.inode.into(),
            cookie: self.id.cookie,
        }
    }

    /// Is it one of AF_INET6?
    pub fn is_v6(&self) -> bool {
        self.family == libc::AF_INET6
    }
}

/// The names of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Id {
    /// The own port and the other end's.
    pub ports: [u16; 2],
    /// The own address and the other end's, as bytes; an IPv4 address is followed by zeros.
    pub addresses: [[u8; 16]; 2],
    /// The interface that it is bound to.
    pub device: u32,
    /// Its cookie.
    pub cookie: u64,
}

impl Id {
    /// Reads the names.
    pub fn read(bytes: &[u8]) -> Option<Id> {
        let bytes = bytes.get(..ID)?;
        let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut addresses = [[0; 16]; 2];
        addresses[0].copy_from_slice(&bytes[4..20]);
        addresses[1].copy_from_slice(&bytes[20..36]);
        Some(Id {
            ports: [port(0), port(2)],
            addresses,
            device: word(36),
            cookie: u64::from(word(40)) | u64::from(word(44)) << 32,
        })
    }

    /// Writes the names.
    pub fn write(&self, bytes: &mut [u8]) {
        bytes[..2].copy_from_slice(&self.ports[0].to_be_bytes());
        bytes[2..4].copy_from_slice(&self.ports[1].to_be_bytes());
        bytes[4..20].copy_from_slice(&self.addresses[0]);
        bytes[20..36].copy_from_slice(&self.addresses[1]);
        bytes[36..40].copy_from_slice(&self.device.to_ne_bytes());
        bytes[40..44].copy_from_slice(&(self.cookie as u32).to_ne_bytes());
        bytes[44..48].copy_from_slice(&((self.cookie >> 32) as u32).to_ne_bytes());
    }

    fn name(&self, at: usize, v6: bool) -> SocketAddr {
        let bytes = self.addresses[at];
        let address: IpAddr = match v6 {
            true => Ipv6Addr::from(bytes).into(),
            false => Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into(),
        };
        SocketAddr::new(address, self.ports[at])
    }

    /// Returns the same socket with other names.
    pub fn with(&self, names: &Names, v6: bool) -> Id {
        let bytes = |name: SocketAddr| {
            let mut bytes = [0; 16];
            match name.ip() {
                IpAddr::V4(address) if v6 => bytes = address.to_ipv6_mapped().octets(),
                IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
                IpAddr::V6(address) => bytes = address.octets(),
            }
            bytes
        };
        Id {
            ports: [names.local.port(), names.remote.port()],
            addresses: [bytes(names.local), bytes(names.remote)],
            device: names.device,
            cookie: self.cookie,
        }
    }

    /// Are these the names of that socket, and its cookie if one is asked for?
    pub fn is_of(&self, socket: &Id) -> bool {
        /// INET_DIAG_NOCOOKIE.
        const NONE: u64 = u64::MAX;
        (self.cookie == NONE || self.cookie == socket.cookie)
            && self.ports == socket.ports
            && self.addresses == socket.addresses
    }

    /// Has that socket the ports, as far as they are given?
    pub fn has_ports_of(&self, socket: &Id) -> bool {
        let pairs = self.ports.iter().zip(&socket.ports);
        pairs.into_iter().all(|(own, its)| *own == 0 || own == its)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_kernels() {
        assert_eq!((ID, REQUEST, ANSWER), (48, 56, 72));
    }
}
