//! What the host process tells a socket of an error that came by ICMP: a datagram from the flow's
//! alias, which no other end has sent. A hook that receives it takes it out.
//!
//! It begins with the table's secret ([`Table::secret`](super::Table::secret)); behind it stand the
//! numbers of `struct sock_extended_err`, who has sent the error, and the packet that caused it, as
//! much of its payload as came back.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes in front of the payload.
pub const HEAD: usize = 16 + 8 + 8 + 20 + 4;

/// One error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// The errno.
    pub errno: u32,
    /// SO_EE_ORIGIN_*.
    pub origin: u8,
    /// The type of the ICMP message.
    pub kind: u8,
    /// Its code.
    pub code: u8,
    /// Hop limit of the message.
    pub hops: u8,
    /// `ee_info`: the MTU.
    pub info: u32,
    /// Who has sent it.
    pub offender: IpAddr,
    /// The interface of the offender's IPv6 address of a link.
    pub scope: u32,
    /// Number of the error, which rises with each of the socket.
    pub number: u32,
}

/// SO_EE_ORIGIN_LOCAL.
pub const LOCAL: u8 = 1;

impl Report {
    /// Has this host found out the error by itself?
    pub fn is_local(&self) -> bool {
        self.origin == LOCAL
    }

    /// Returns the bytes in front of the payload.
    pub fn to_bytes(&self, secret: [u8; 16]) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..16].copy_from_slice(&secret);
        bytes[16..20].copy_from_slice(&self.errno.to_ne_bytes());
        bytes[20..24].copy_from_slice(&[self.origin, self.kind, self.code, self.hops]);
        bytes[24..28].copy_from_slice(&self.info.to_ne_bytes());
        bytes[28..32].copy_from_slice(&self.scope.to_ne_bytes());
        match self.offender {
            IpAddr::V4(address) => {
                bytes[32] = 4;
                bytes[36..40].copy_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                bytes[32] = 6;
                bytes[36..52].copy_from_slice(&address.octets());
            }
        }
        bytes[52..56].copy_from_slice(&self.number.to_ne_bytes());
        bytes
    }

    /// Reads a datagram. None means that it is none of the host process's.
    pub fn of_bytes(secret: [u8; 16], bytes: &[u8]) -> Option<(Report, &[u8])> {
        let (head, payload) = bytes.split_at_checked(HEAD)?;
        if head[..16] != secret || secret == [0; 16] {
            return None;
        }
        let word =
            |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut address = [0; 16];
        address.copy_from_slice(&head[36..52]);
        let report = Report {
            errno: word(16),
            origin: head[20],
            kind: head[21],
            code: head[22],
            hops: head[23],
            info: word(24),
            scope: word(28),
            offender: match head[32] {
                4 => Ipv4Addr::new(address[0], address[1], address[2], address[3]).into(),
                _ => Ipv6Addr::from(address).into(),
            },
            number: word(52),
        };
        Some((report, payload))
    }
}
