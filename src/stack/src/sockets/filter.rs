//! Of which sources a socket hears a group: what MCAST_MSFILTER sets and tells.
#![forbid(unsafe_code)]

use super::raw::{octets_of, of_octets};
use crate::wire::u32_at;
use std::net::IpAddr;

/// Most sources that a socket names of a group of IPv6 (`mld_max_msf`).
const MOST: usize = 64;
/// Most of one of IPv4 (`igmp_max_msf`).
const MOST_V4: usize = 10;
/// Length in bytes of the longest filter.
pub const LONGEST: usize = 4 + 16 * MOST;

/// Returns how many sources a socket may name of this group.
pub fn most(group: IpAddr) -> usize {
    match group {
        IpAddr::V4(_) => MOST_V4,
        IpAddr::V6(_) => MOST,
    }
}

/// Of which sources a socket hears a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sources {
    /// Is everything heard but of these? Otherwise only these are.
    pub excludes: bool,
    bytes: [u8; LONGEST],
    length: usize,
}

impl Sources {
    /// Returns a filter that names no source.
    pub fn new(excludes: bool) -> Sources {
        let mut bytes = [0; LONGEST];
        bytes[..4].copy_from_slice(&u32::from(excludes).to_ne_bytes());
        Sources {
            excludes,
            bytes,
            length: 4,
        }
    }

    /// Puts a source to the others. Returns false where there is no room.
    pub fn push(&mut self, source: IpAddr) -> bool {
        let Some(room) = self.bytes.get_mut(self.length..self.length + 16) else {
            return false;
        };
        room.copy_from_slice(&octets_of(Some(source)));
        self.length += 16;
        true
    }

    /// Returns the bytes, as questions and answers have them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Reads a filter; bytes behind it do not count. None means that it is none.
    pub fn of_bytes(given: &[u8]) -> Option<Sources> {
        let mut sources = Sources::new(u32_at(given, 0)? != 0);
        let octets = given.get(4..)?.as_chunks::<16>().0;
        for octets in octets.iter().take(MOST) {
            // An address of zeros is one like each other here.
            sources.bytes[sources.length..][..16].copy_from_slice(octets);
            sources.length += 16;
        }
        Some(sources)
    }

    /// Returns the sources in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let octets = self.bytes()[4..].as_chunks::<16>().0;
        octets.iter().copied().filter_map(of_octets)
    }
}

#[cfg(test)]
mod tests {
    use super::{Sources, LONGEST, MOST};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let mut sources = Sources::new(true);
        let named: [IpAddr; 2] = [
            Ipv4Addr::new(10, 0, 0, 9).into(),
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
        ];
        assert!(named.iter().all(|it| sources.push(*it)));
        let read = Sources::of_bytes(sources.bytes()).unwrap();
        assert_eq!(read, sources);
        assert!(read.iter().eq(named));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut sources = Sources::new(false);
        for number in 0..MOST {
            assert!(sources.push(Ipv4Addr::from(1 + number as u32).into()));
        }
        assert!(!sources.push(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(sources.bytes().len(), LONGEST);
        let longer = [sources.bytes(), &[1; 40]].concat();
        assert_eq!(Sources::of_bytes(&longer), Some(sources));
        assert_eq!(Sources::of_bytes(&[0; 3]), None);
    }
}
