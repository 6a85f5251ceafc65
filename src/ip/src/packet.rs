//! An IP packet that has come in.
#![forbid(unsafe_code)]

use crate::checksum;
use crate::extension::{self, Fragment, Problem};
use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};
use std::net::IpAddr;

/// Why bytes are no packet, by the counter that the kernel counts them under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// The header is wrong: `InHdrErrors`.
    Header,
    /// The checksum of the header is wrong: `InCsumErrors` and `InHdrErrors`.
    Checksum,
    /// The packet is shorter than its header says: `InTruncatedPkts`.
    Truncated,
}

/// An IP packet whose header is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'p> {
    bytes: &'p [u8],
    payload: usize,
    /// Whom it comes from.
    pub source: IpAddr,
    /// Whom it is for.
    pub destination: IpAddr,
    /// What it carries, behind all headers of IPv6.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// TOS or traffic class.
    pub traffic_class: u8,
    /// Flow label of IPv6.
    pub flow_label: u32,
    /// Does it forbid fragments?
    pub dont_fragment: bool,
    /// Which piece it is, where it is one.
    pub fragment: Option<Fragment>,
    /// Are there options of IPv4, or headers between that of IPv6 and the payload?
    pub has_options: bool,
    /// Does it ask routers to look at it?
    pub router_alert: bool,
    /// Why it must be refused, where its receiver must do so.
    pub problem: Option<Problem>,
    /// Must its receiver drop it without a word?
    pub dropped: bool,
    /// Is one of these because of options that whoever gets it looks at, whomever it is for?
    pub early: bool,
    /// Is there a routing header?
    pub has_routing: bool,
    /// Where the number stands that names the protocol, from the start of the packet.
    pub protocol_at: usize,
}

impl<'p> Packet<'p> {
    /// Reads a packet as `ip_rcv_core` and `ip6_rcv_core` do. What stands behind its end, such as
    /// the padding of a short Ethernet frame, is not part of it.
    ///
    /// # Errors
    ///
    /// Which counter counts it.
    pub fn parse(bytes: &'p [u8]) -> Result<Packet<'p>, Malformed> {
        match bytes.first().map(|first| first >> 4) {
            Some(4) => Packet::parse_v4(bytes),
            Some(6) => Packet::parse_v6(bytes),
            _ => Err(Malformed::Header),
        }
    }

    fn parse_v4(bytes: &'p [u8]) -> Result<Packet<'p>, Malformed> {
        let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|_| Malformed::Header)?;
        if checksum::of(header.slice()) != 0 {
            return Err(Malformed::Checksum);
        }
        let total = usize::from(header.total_len());
        if bytes.len() < total {
            return Err(Malformed::Truncated);
        }
        if total < header.slice().len() {
            return Err(Malformed::Header);
        }
        let offset = usize::from(header.fragments_offset().value()) * 8;
        let more = header.more_fragments();
        Ok(Packet {
            bytes: &bytes[..total],
            payload: header.slice().len(),
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            protocol: header.protocol().0,
            hop_limit: header.ttl(),
            traffic_class: bytes[1],
            flow_label: 0,
            dont_fragment: header.dont_fragment(),
            fragment: (offset != 0 || more).then(|| Fragment {
                id: header.identification().into(),
                offset,
                more,
            }),
            has_options: !header.options().is_empty(),
            router_alert: header.options().starts_with(&[0x94, 4, 0, 0]),
            problem: None,
            dropped: false,
            early: false,
            has_routing: false,
            protocol_at: 9,
        })
    }

    fn parse_v6(bytes: &'p [u8]) -> Result<Packet<'p>, Malformed> {
        let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|_| Malformed::Header)?;
        let total = 40 + usize::from(header.payload_length());
        let bytes = bytes.get(..total).ok_or(Malformed::Truncated)?;
        let upper = extension::walk(bytes);
        Ok(Packet {
            bytes,
            payload: upper.at.min(bytes.len()),
            source: header.source_addr().into(),
            destination: header.destination_addr().into(),
            protocol: upper.protocol,
            hop_limit: header.hop_limit(),
            traffic_class: header.traffic_class(),
            flow_label: header.flow_label().value(),
            dont_fragment: true,
            // One piece that is all of a packet is no piece.
            fragment: upper
                .fragment
                .filter(|piece| piece.offset != 0 || piece.more),
            has_options: upper.at > 40,
            router_alert: upper.router_alert,
            problem: upper.problem,
            dropped: upper.dropped,
            early: upper.early,
            has_routing: upper.has_routing,
            protocol_at: upper.named_at,
        })
    }

    /// Returns the whole packet.
    pub fn bytes(&self) -> &'p [u8] {
        self.bytes
    }

    /// Returns what it carries.
    pub fn payload(&self) -> &'p [u8] {
        &self.bytes[self.payload..]
    }

    /// Returns the length of all headers in front of the payload.
    pub fn header_length(&self) -> usize {
        self.payload
    }

    /// Returns the packet with other bytes, which differ from its own in options of IPv4 only. The
    /// checksum of its header is what it was.
    pub fn changed<'c>(&self, bytes: &'c [u8]) -> Packet<'c> {
        Packet { bytes, ..*self }
    }

    /// Returns the packet without what stands behind so many bytes of its payload.
    pub fn cut(&self, length: usize) -> Packet<'p> {
        let end = (self.payload + length).min(self.bytes.len());
        Packet {
            bytes: &self.bytes[..end],
            ..*self
        }
    }

    /// Returns the options of IPv4.
    pub fn options(&self) -> &'p [u8] {
        match self.is_v6() {
            true => &[],
            false => &self.bytes[20..self.payload],
        }
    }

    /// Is it a packet of IPv6?
    pub fn is_v6(&self) -> bool {
        self.destination.is_ipv6()
    }
}
