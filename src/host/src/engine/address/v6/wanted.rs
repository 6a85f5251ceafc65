//! Addresses of IPv6 that a link has, or shall have.
#![forbid(unsafe_code)]

use crate::engine::place::Place;
pub(super) use crate::engine::route::v6::v6;
use crate::World;
use memtun_stack::address::FOREVER;
use std::net::{IpAddr, Ipv6Addr};

pub(super) const TENTATIVE: u32 = libc::IFA_F_TENTATIVE;

pub(super) const NODAD: u32 = libc::IFA_F_NODAD;

pub(super) const OPTIMISTIC: u32 = libc::IFA_F_OPTIMISTIC;

pub(super) const PERMANENT: u32 = libc::IFA_F_PERMANENT;

pub(super) const NOPREFIXROUTE: u32 = libc::IFA_F_NOPREFIXROUTE;

/// An address as it is asked for (`struct ifa6_config`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The address.
    pub local: Ipv6Addr,
    /// The address at the other end, if it is another.
    pub peer: Option<Ipv6Addr>,
    /// Length of the prefix in bits.
    pub prefix: u8,
    /// IFA_F_* flags.
    pub flags: u32,
    /// Seconds for which it is valid.
    pub valid: u32,
    /// Seconds for which it is preferred.
    pub preferred: u32,
    /// Priority of the route to its network, 0 for the default.
    pub priority: u32,
    /// IFAPROT_*.
    pub protocol: u8,
}

impl Wanted {
    /// Returns the address at the other end, if one is given. The unspecified one takes back what
    /// was there: it is the address itself.
    pub(super) fn other_end(&self) -> Option<Ipv6Addr> {
        let peer = self.peer?;
        Some(if peer.is_unspecified() {
            self.local
        } else {
            peer
        })
    }

    /// A permanent address.
    pub fn permanent(local: Ipv6Addr, prefix: u8) -> Wanted {
        Wanted {
            local,
            peer: None,
            prefix,
            flags: PERMANENT,
            valid: FOREVER,
            preferred: FOREVER,
            priority: 0,
            protocol: 0,
        }
    }
}

/// Is a link ready to carry IPv6: up, and with a carrier (`addrconf_link_ready`)?
pub(super) fn is_ready(world: &World<'_>, index: u32) -> bool {
    let link = world.link(index);
    link.is_some_and(|link| crate::message::link::flags(link) & libc::IFF_RUNNING as u32 != 0)
}

/// Is IPv6 switched off on a link?
pub fn is_disabled(world: &World<'_>, index: u32) -> bool {
    world.own_setting_of("ipv6", index, "disable_ipv6") != 0
}

/// Returns the place of an address on a link.
pub fn find(world: &World<'_>, index: u32, local: Ipv6Addr) -> Option<Place> {
    let mut places = world.address_places(index, false).into_iter();
    places.find(|place| world.address(*place).local == IpAddr::V6(local))
}

/// Returns a lifetime in hundredths of a second; None for one without an end.
pub(super) fn ends(valid: u32) -> Option<u32> {
    (valid != FOREVER).then(|| valid.saturating_mul(100))
}
