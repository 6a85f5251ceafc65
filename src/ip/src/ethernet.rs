//! Link headers of a tap.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A link-layer address.
pub type Mac = [u8; 6];

/// Length in bytes of an Ethernet header.
pub const HEADER: usize = 14;
/// The address of everybody.
pub const BROADCAST: Mac = [0xff; 6];
/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;

/// Returns the header of a frame.
pub fn header(destination: Mac, source: Mac, ethertype: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}

/// An Ethernet frame that has come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'p> {
    /// Whom it is for.
    pub destination: Mac,
    /// Whom it comes from.
    pub source: Mac,
    /// What it carries.
    pub ethertype: u16,
    /// What stands behind the header.
    pub payload: &'p [u8],
}

impl<'p> Frame<'p> {
    /// Reads a frame.
    pub fn parse(bytes: &'p [u8]) -> Option<Frame<'p>> {
        let (header, payload) = bytes.split_at_checked(HEADER)?;
        Some(Frame {
            destination: header[..6].try_into().ok()?,
            source: header[6..12].try_into().ok()?,
            ethertype: u16::from_be_bytes([header[12], header[13]]),
            payload,
        })
    }
}

/// Is it the address of a group or of everybody?
pub fn is_group(mac: Mac) -> bool {
    mac[0] & 1 != 0
}

/// Returns the link-layer address of a multicast group.
pub fn of_group(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [1, 0, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => {
            let octets = group.octets();
            [0x33, 0x33, octets[12], octets[13], octets[14], octets[15]]
        }
    }
}

/// Returns the group at which an address of IPv6 is asked for.
pub fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let octets = address.octets();
    let low = u16::from_be_bytes([octets[14], octets[15]]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(octets[13]), low)
}

/// The group of all hosts of a link.
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// The group of all nodes of a link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// The group of all routers of a link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
