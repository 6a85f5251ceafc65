//! An address of an interface: `struct in_ifaddr`, `struct inet6_ifaddr`.
#![forbid(unsafe_code)]

use crate::wire::{family_of, u32_at, Attributes, Message, Writer};
use memtun_abi::Name;
use std::net::{IpAddr, Ipv4Addr};

/// Length in bytes of `struct ifaddrmsg`.
pub const HEADER: usize = 8;
/// A lifetime without an end, in seconds.
pub const FOREVER: u32 = u32::MAX;
/// IFA_RT_PRIORITY of linux/if_addr.h.
pub const IFA_RT_PRIORITY: u16 = 9;
/// IFA_PROTO of linux/if_addr.h.
pub const IFA_PROTO: u16 = 11;

/// An address of an interface. Times are in hundredths of a second of CLOCK_BOOTTIME, as the
/// kernel's are since the machine started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Index of the interface.
    pub index: u32,
    /// The address itself (IFA_LOCAL; for IPv6 the local one).
    pub local: IpAddr,
    /// The address at the other end, or the same as `local` where there is none (IFA_ADDRESS of
    /// IPv4, `peer_addr` of IPv6).
    pub peer: IpAddr,
    /// Length of the prefix in bits.
    pub prefix: u8,
    /// IPv4: the broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// IPv4: the label, as `ifa_label`.
    pub label: Name,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// IFA_F_* flags.
    pub flags: u32,
    /// Priority of the route to its network, 0 for the default.
    pub priority: u32,
    /// IFAPROT_*: who made it.
    pub protocol: u8,
    /// Seconds for which it is valid, counted from `updated`; [`FOREVER`] for no end.
    pub valid: u32,
    /// Seconds for which it is preferred, counted from `updated`; [`FOREVER`] for no end.
    pub preferred: u32,
    /// When it was made.
    pub created: u32,
    /// When it was last changed.
    pub updated: u32,
    /// IPv6: when the detection of a duplicate ends. None means that none is going on: it has
    /// ended, or the link is not ready for it.
    pub detection: Option<u32>,
}

/// Attribute of the state's file with [`Address::detection`].
const DETECTION: u16 = 0x3f00;

impl Address {
    /// Appends the address as a message RTM_NEWADDR or another `kind`, in the kernel's order of
    /// attributes. `now` is the time of the answer, from which on lifetimes are counted; None
    /// leaves them as they are, for the state's file.
    pub fn write(&self, to: &mut Writer, head: Head, now: Option<u32>) {
        let family = family_of(self.local);
        // The kernel counts down the time of validity only where that of preference has an end.
        let left = |seconds: u32| match now {
            Some(now) if seconds != FOREVER && self.preferred != FOREVER => {
                seconds.saturating_sub(now.wrapping_sub(self.updated) / 100)
            }
            _ => seconds,
        };
        let mut own = [
            family,
            self.prefix,
            self.flags as u8,
            self.scope,
            0,
            0,
            0,
            0,
        ];
        own[4..].copy_from_slice(&self.index.to_ne_bytes());
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&own);
        match self.local {
            IpAddr::V4(_) => {
                if now.is_none() || self.peer != IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
                    to.ip(libc::IFA_ADDRESS, self.peer);
                }
                to.ip(libc::IFA_LOCAL, self.local);
                if let Some(broadcast) = self.broadcast {
                    to.ip(libc::IFA_BROADCAST, broadcast.into());
                }
                if !self.label.as_bytes().is_empty() {
                    to.string(libc::IFA_LABEL, self.label.as_bytes());
                }
                if self.protocol != 0 {
                    to.u8(IFA_PROTO, self.protocol);
                }
                to.u32(libc::IFA_FLAGS, self.flags);
                if self.priority != 0 {
                    to.u32(IFA_RT_PRIORITY, self.priority);
                }
                self.cache_info(to, left(self.preferred), left(self.valid));
            }
            IpAddr::V6(_) => {
                if self.peer != self.local {
                    to.ip(libc::IFA_LOCAL, self.local)
                        .ip(libc::IFA_ADDRESS, self.peer);
                } else {
                    to.ip(libc::IFA_ADDRESS, self.local);
                }
                if self.priority != 0 {
                    to.u32(IFA_RT_PRIORITY, self.priority);
                }
                self.cache_info(to, left(self.preferred), left(self.valid));
                to.u32(libc::IFA_FLAGS, self.flags);
                if self.protocol != 0 {
                    to.u8(IFA_PROTO, self.protocol);
                }
            }
        }
        if let (None, Some(detection)) = (now, self.detection) {
            to.u32(DETECTION, detection);
        }
    }

    /// Appends `struct ifa_cacheinfo`.
    fn cache_info(&self, to: &mut Writer, preferred: u32, valid: u32) {
        let mut bytes = [0; 16];
        let words = [preferred, valid, self.created, self.updated];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        to.attribute(libc::IFA_CACHEINFO, &bytes);
    }

    /// Reads what [`Address::write`] wrote. None where something is missing or impossible.
    pub fn read(message: &Message<'_>) -> Option<Address> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let address = attributes.get(libc::IFA_ADDRESS).map(|a| a.ip());
        let local = match attributes.get(libc::IFA_LOCAL) {
            Some(local) => local.ip()?,
            None => address??,
        };
        let address = match address {
            Some(address) => address?,
            // An address whose other end was set to 0.0.0.0 is told without it.
            None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let times = attributes.get(libc::IFA_CACHEINFO)?.value;
        Some(Address {
            index: u32_at(body, 4)?,
            local,
            peer: address,
            prefix: body[1],
            broadcast: match attributes.get(libc::IFA_BROADCAST).map(|a| a.ip()) {
                Some(Some(IpAddr::V4(broadcast))) => Some(broadcast),
                Some(_) => return None,
                None => None,
            },
            label: match attributes.get(libc::IFA_LABEL) {
                Some(label) => Name::new(label.string())?,
                None => Name::default(),
            },
            scope: body[3],
            flags: attributes.get(libc::IFA_FLAGS)?.u32()?,
            priority: attributes
                .get(IFA_RT_PRIORITY)
                .map_or(Some(0), |a| a.u32())?,
            protocol: attributes.get(IFA_PROTO).map_or(Some(0), |a| a.u8())?,
            preferred: u32_at(times, 0)?,
            valid: u32_at(times, 4)?,
            created: u32_at(times, 8)?,
            updated: u32_at(times, 12)?,
            detection: attributes.get(DETECTION).and_then(|a| a.u32()),
        })
    }

    /// Is it secondary (IPv4, IFA_F_SECONDARY)?
    pub fn is_secondary(&self) -> bool {
        self.local.is_ipv4() && self.flags & libc::IFA_F_SECONDARY != 0
    }
}

/// What stands in the header of a message that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What it is (RTM_*).
    pub kind: u16,
    /// NLM_F_* flags.
    pub flags: u16,
    /// Number that the asker gave its question.
    pub sequence: u32,
    /// Port of the asker.
    pub port: u32,
}
