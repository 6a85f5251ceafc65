//! The packet that an error quotes.
#![forbid(unsafe_code)]

use crate::extension;
use crate::protocol;
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::net::{IpAddr, SocketAddr};

/// The flow of a packet that this side had sent, as far as an error quotes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Embedded<'p> {
    /// What the packet carried.
    pub protocol: u8,
    /// Who had sent it. The port is the identifier of an ICMP echo request, and 0 of a protocol
    /// without ports.
    pub local: SocketAddr,
    /// Whom it was for.
    pub remote: SocketAddr,
    /// What is quoted of the packet's payload, its own header included.
    pub payload: &'p [u8],
    /// All that is quoted, from the packet's header on.
    pub quoted: &'p [u8],
}

impl<'p> Embedded<'p> {
    /// Reads what an error quotes. The quoted packet may end anywhere behind the first eight bytes
    /// of its payload.
    pub fn parse(quoted: &'p [u8]) -> Option<Embedded<'p>> {
        let (protocol, source, destination, at): (_, IpAddr, IpAddr, _);
        match quoted.first()? >> 4 {
            4 => {
                let header = Ipv4HeaderSlice::from_slice(quoted).ok()?;
                // Only the first piece of a packet says whose it is.
                if header.fragments_offset().value() != 0 {
                    return None;
                }
                protocol = header.protocol().0;
                (source, destination) = (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                );
                at = header.slice().len();
            }
            6 => {
                let header = Ipv6HeaderSlice::from_slice(quoted).ok()?;
                let upper = extension::walk(quoted);
                if upper.dropped || upper.fragment.is_some_and(|piece| piece.offset != 0) {
                    return None;
                }
                protocol = upper.protocol;
                (source, destination) = (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                );
                at = upper.at;
            }
            _ => return None,
        }
        let payload = quoted.get(at..)?;
        let word = |at: usize| {
            let bytes = payload.get(at..at + 2)?;
            Some(u16::from_be_bytes([bytes[0], bytes[1]]))
        };
        let (local, remote) = match protocol {
            protocol::TCP | protocol::UDP => (word(0)?, word(2)?),
            protocol::ICMP | protocol::ICMP6 => (word(4)?, 0),
            _ => (0, 0),
        };
        Some(Embedded {
            protocol,
            local: SocketAddr::new(source, local),
            remote: SocketAddr::new(destination, remote),
            payload,
            quoted,
        })
    }

    /// Returns the sequence number of a TCP segment.
    pub fn sequence(&self) -> Option<u32> {
        let bytes = self.payload.get(4..8)?;
        Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Returns what the datagram or message carried behind its own header of eight bytes.
    pub fn data(&self) -> &'p [u8] {
        self.payload.get(8..).unwrap_or_default()
    }
}
