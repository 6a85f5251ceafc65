//! What follows orders about packet sockets and raw ones, and answers to them.
#![forbid(unsafe_code)]

use crate::sockets::report::{self, Report};
use crate::wire::{u16_at, u32_at};
use std::net::{IpAddr, SocketAddr};

/// Returns an address as orders have it; zeros for none.
pub fn octets_of(address: Option<IpAddr>) -> [u8; 16] {
    match address {
        None => [0; 16],
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(address)) => address.octets(),
    }
}

/// Reads an address of an order. None means none, or the one that stands for any.
pub fn of_octets(octets: [u8; 16]) -> Option<IpAddr> {
    let address = IpAddr::V6(octets.into()).to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// Bit of the number of an option whose value is the address of an interface in place of its index.
pub const BY_ADDRESS: i32 = 1 << 16;

/// An option of IP, as orders have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Setting {
    /// Its level.
    pub level: i32,
    /// Its number.
    pub option: i32,
    /// Its value.
    pub value: i32,
}

impl Setting {
    /// Length in bytes of it.
    pub const LENGTH: usize = 12;

    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let words = [self.level, self.option, self.value].map(i32::to_ne_bytes);
        bytes.copy_from_slice(words.as_flattened());
        bytes
    }

    /// Reads it. Bytes that are missing are zeros.
    pub fn of_bytes(bytes: &[u8]) -> Setting {
        let word = |at: usize| u32_at(bytes, at).unwrap_or(0) as i32;
        Setting {
            level: word(0),
            option: word(4),
            value: word(8),
        }
    }
}

/// A group at an interface, as orders have it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership {
    /// The interface; 0 for that of the way to the group.
    pub index: u32,
    /// The group.
    pub group: IpAddr,
    /// The address of the interface, of IPv4, in place of its index.
    pub at: Option<IpAddr>,
}

impl Membership {
    /// Length in bytes of it.
    pub const LENGTH: usize = 36;

    /// Returns the bytes.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..4].copy_from_slice(&self.index.to_ne_bytes());
        bytes[4..20].copy_from_slice(&octets_of(Some(self.group)));
        bytes[20..].copy_from_slice(&octets_of(self.at));
        bytes
    }

    /// Reads it.
    pub fn of_bytes(bytes: &[u8]) -> Option<Membership> {
        let octets = |at: usize| bytes.get(at..at + 16)?.try_into().ok();
        Some(Membership {
            index: u32_at(bytes, 0)?,
            group: of_octets(octets(4)?)?,
            at: of_octets(octets(20)?),
        })
    }
}

/// An element of a socket's queue of errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Element {
    /// What has happened.
    pub report: Report,
    /// Whom the packet was for.
    pub to: SocketAddr,
    /// Where the error came to.
    pub at: IpAddr,
    /// By which interface.
    pub ifindex: u32,
}

/// Stands in place of the table's secret, which these reports need not have.
const NO_SECRET: [u8; 16] = [0x45; 16];

impl Element {
    /// Length in bytes of what stands in front of the payload.
    pub const LENGTH: usize = report::HEAD + 44;

    /// Returns the bytes in front of the payload.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let (head, rest) = bytes.split_at_mut(report::HEAD);
        head.copy_from_slice(&self.report.to_bytes(NO_SECRET));
        rest[..16].copy_from_slice(&octets_of(Some(self.to.ip())));
        rest[16..32].copy_from_slice(&octets_of(Some(self.at)));
        rest[32..34].copy_from_slice(&self.to.port().to_ne_bytes());
        rest[36..40].copy_from_slice(&self.ifindex.to_ne_bytes());
        bytes
    }

    /// Reads it, and the payload behind it.
    pub fn of_bytes(bytes: &[u8]) -> Option<(Element, &[u8])> {
        let (report, rest) = Report::of_bytes(NO_SECRET, bytes)?;
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = rest.get(at..at + 16)?.try_into().ok()?;
            Some(IpAddr::V6(octets.into()).to_canonical())
        };
        let element = Element {
            report,
            to: SocketAddr::new(address(0)?, u16_at(rest, 32)?),
            at: address(16)?,
            ifindex: u32_at(rest, 36)?,
        };
        Some((element, &rest[44..]))
    }
}
