//! The names of a socket in messages about sockets (`struct inet_diag_sockid`).
#![forbid(unsafe_code)]

use memtun_stack::sockets::shown::Names;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Length in bytes of `struct inet_diag_sockid`.
pub(super) const ID: usize = 4 + 32 + 4 + 8;

/// The names of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id {
    /// The own port and the other end's.
    pub(super) ports: [u16; 2],
    /// The own address and the other end's, as bytes; an IPv4 address is followed by zeros.
    pub(super) addresses: [[u8; 16]; 2],
    /// The interface that it is bound to.
    pub(super) device: u32,
    /// Its cookie.
    pub(super) cookie: u64,
}

impl Id {
    /// Reads the names.
    pub(super) fn read(bytes: &[u8]) -> Option<Id> {
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
    pub(super) fn write(&self, bytes: &mut [u8]) {
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

    /// Returns the own name.
    pub(super) fn local(&self, v6: bool) -> SocketAddr {
        self.name(0, v6)
    }

    /// Returns the name of the other end.
    pub(super) fn remote(&self, v6: bool) -> SocketAddr {
        self.name(1, v6)
    }

    /// Returns the same socket with other names.
    pub(super) fn with(&self, names: &Names, v6: bool) -> Id {
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
    pub(super) fn is_of(&self, socket: &Id) -> bool {
        /// INET_DIAG_NOCOOKIE.
        const NONE: u64 = u64::MAX;
        (self.cookie == NONE || self.cookie == socket.cookie)
            && self.ports == socket.ports
            && self.addresses == socket.addresses
    }

    /// Has that socket the ports, as far as they are given?
    pub(super) fn has_ports_of(&self, socket: &Id) -> bool {
        let pairs = self.ports.iter().zip(&socket.ports);
        pairs.into_iter().all(|(own, its)| *own == 0 || own == its)
    }
}
