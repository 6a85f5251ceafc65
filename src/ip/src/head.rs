//! The IP header of a packet that is built.
#![forbid(unsafe_code)]

use etherparse::{IpDscp, IpEcn, IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header};
use std::net::IpAddr;

/// The caller's buffer is too small, or the packet is longer than any IP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// What the header of a packet says. Both addresses are of one family; it has no options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Whom the packet comes from.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What it carries.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// Flow label, of IPv6 alone; its lower 20 bits.
    pub flow_label: u32,
    /// Identification, of IPv4 alone.
    pub id: u16,
    /// Forbids fragments, of IPv4 alone.
    pub dont_fragment: bool,
}

impl Head {
    /// Returns a header as Linux sends by default: 64 hops, no class, no label, DF without an
    /// identification.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Head {
        Head {
            source,
            destination,
            protocol,
            hop_limit: 64,
            traffic_class: 0,
            flow_label: 0,
            id: 0,
            dont_fragment: true,
        }
    }

    /// Returns the length of the header in bytes.
    pub fn length(&self) -> usize {
        match self.destination {
            IpAddr::V4(_) => 20,
            IpAddr::V6(_) => 40,
        }
    }

    /// Writes the header in front of `payload` bytes, which stand or will stand behind it in
    /// `room`. Returns the length of the whole packet.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when `room` does not hold the packet, when it is longer than 65,535 bytes, or
    /// when the addresses are of two families.
    pub fn write(&self, room: &mut [u8], payload: usize) -> Result<usize, NoRoom> {
        let (header, length) = (self.length(), self.length() + payload);
        if room.len() < length {
            return Err(NoRoom);
        }
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut head = Ipv4Header {
                    total_len: u16::try_from(length).map_err(|_| NoRoom)?,
                    identification: self.id,
                    dont_fragment: self.dont_fragment,
                    time_to_live: self.hop_limit,
                    protocol: IpNumber(self.protocol),
                    source: source.octets(),
                    destination: destination.octets(),
                    dscp: dscp(self.traffic_class),
                    ecn: ecn(self.traffic_class),
                    ..Ipv4Header::default()
                };
                head.header_checksum = head.calc_header_checksum();
                room[..header].copy_from_slice(&head.to_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let head = Ipv6Header {
                    traffic_class: self.traffic_class,
                    flow_label: Ipv6FlowLabel::try_new(self.flow_label & 0xf_ffff)
                        .unwrap_or_default(),
                    payload_length: u16::try_from(payload).map_err(|_| NoRoom)?,
                    next_header: IpNumber(self.protocol),
                    hop_limit: self.hop_limit,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                room[..header].copy_from_slice(&head.to_bytes());
            }
            _ => return Err(NoRoom),
        }
        Ok(length)
    }
}

fn dscp(traffic_class: u8) -> IpDscp {
    IpDscp::try_new(traffic_class >> 2).unwrap_or_default()
}

fn ecn(traffic_class: u8) -> IpEcn {
    IpEcn::try_new(traffic_class & 3).unwrap_or_default()
}

/// Writes the checksum of the IPv4 header at the start of `packet` anew.
pub fn refresh_checksum(packet: &mut [u8]) {
    let Some(length) = packet.first().map(|first| usize::from(first & 15) * 4) else {
        return;
    };
    if let Some(header) = packet.get_mut(..length) {
        crate::checksum::fill(header, 10, None);
    }
}
