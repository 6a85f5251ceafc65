//! The words of messages about routes: `struct rtmsg`, and what attributes may be.
#![forbid(unsafe_code)]

use crate::netlink::policy::{Kind, Parsed, Policy, Table, NEST, U16, U32, U8};
use crate::netlink::request::Request;
use memtun_stack::route::{NEXTHOP, RTA_PREF};
use memtun_stack::wire::{u32_at, Attribute};
use std::net::{Ipv4Addr, Ipv6Addr};

// Attributes of linux/rtnetlink.h.
pub(super) const RTA_MARK: u16 = 16;

pub(super) const RTA_ENCAP_TYPE: u16 = 21;

pub(super) const RTA_ENCAP: u16 = 22;

pub(super) const RTA_EXPIRES: u16 = 23;

pub(super) const RTA_UID: u16 = 25;

pub(super) const RTA_IP_PROTO: u16 = 27;

pub(super) const RTA_SPORT: u16 = 28;

pub(super) const RTA_DPORT: u16 = 29;

pub(super) const RTA_NH_ID: u16 = 30;

pub(super) const RTA_FLOWLABEL: u16 = 31;

// Flags of struct rtmsg.
pub(super) const RTM_F_NOTIFY: u32 = 0x100;
pub(super) const RTCF_NOTIFY: u32 = 0x1_0000;

pub(super) const RTM_F_CLONED: u32 = 0x200;

pub(super) const RTM_F_PREFIX: u32 = 0x800;

pub(super) const RTM_F_LOOKUP_TABLE: u32 = 0x1000;

pub(super) const RTM_F_FIB_MATCH: u32 = 0x2000;

/// RTA_MAX.
const LAST: u16 = RTA_FLOWLABEL;

/// What attributes of an IPv4 route may be (`rtm_ipv4_policy`).
pub(super) static V4: Table = Table {
    max: LAST,
    strict_from: RTA_DPORT + 1,
    entries: &[
        (libc::RTA_DST, U32),
        (libc::RTA_SRC, U32),
        (libc::RTA_IIF, U32),
        (libc::RTA_OIF, U32),
        (libc::RTA_GATEWAY, U32),
        (libc::RTA_PRIORITY, U32),
        (libc::RTA_PREFSRC, U32),
        (libc::RTA_METRICS, NEST),
        (
            libc::RTA_MULTIPATH,
            Policy::of(Kind::Unspec, NEXTHOP as u16),
        ),
        (libc::RTA_FLOW, U32),
        (RTA_ENCAP_TYPE, U16),
        (RTA_ENCAP, NEST),
        (RTA_UID, U32),
        (RTA_MARK, U32),
        (libc::RTA_TABLE, U32),
        (RTA_IP_PROTO, U8),
        (RTA_SPORT, U16),
        (RTA_DPORT, U16),
        (RTA_NH_ID, U32),
    ],
};

/// What attributes of an IPv6 route may be (`rtm_ipv6_policy`).
pub(super) static V6: Table = Table {
    max: LAST,
    strict_from: RTA_DPORT + 1,
    entries: &[
        (libc::RTA_GATEWAY, Policy::of(Kind::Unspec, 16)),
        (libc::RTA_PREFSRC, Policy::of(Kind::Unspec, 16)),
        (libc::RTA_OIF, U32),
        (libc::RTA_IIF, U32),
        (libc::RTA_PRIORITY, U32),
        (libc::RTA_METRICS, NEST),
        (
            libc::RTA_MULTIPATH,
            Policy::of(Kind::Unspec, NEXTHOP as u16),
        ),
        (RTA_PREF, U8),
        (RTA_ENCAP_TYPE, U16),
        (RTA_ENCAP, NEST),
        (RTA_EXPIRES, U32),
        (RTA_UID, U32),
        (RTA_MARK, U32),
        (libc::RTA_TABLE, U32),
        (RTA_IP_PROTO, U8),
        (RTA_SPORT, U16),
        (RTA_DPORT, U16),
        (RTA_NH_ID, U32),
        (RTA_FLOWLABEL, Policy::of(Kind::Be32, 0)),
    ],
};

/// `struct rtmsg`.
pub(super) struct Head {
    pub(super) to: u8,
    pub(super) from: u8,
    pub(super) tos: u8,
    pub(super) table: u8,
    pub(super) protocol: u8,
    pub(super) scope: u8,
    pub(super) kind: u8,
    pub(super) flags: u32,
}

pub(super) fn head(request: &Request<'_>) -> Head {
    let byte = |at: usize| request.message.body.get(at).copied().unwrap_or(0);
    Head {
        to: byte(1),
        from: byte(2),
        tos: byte(3),
        table: byte(4),
        protocol: byte(5),
        scope: byte(6),
        kind: byte(7),
        flags: u32_at(request.message.body, 8).unwrap_or(0),
    }
}

pub(super) fn word(attributes: &Parsed<'_>, kind: u16) -> Option<u32> {
    attributes.get(kind)?.u32()
}

pub(super) fn v4_of(attribute: Option<Attribute<'_>>) -> Ipv4Addr {
    let value = attribute.and_then(|a| <[u8; 4]>::try_from(a.value.get(..4)?).ok());
    value.unwrap_or_default().into()
}

pub(super) fn v6_of(attribute: Option<Attribute<'_>>) -> Option<Ipv6Addr> {
    let value = attribute?.value.get(..16)?;
    Some(<[u8; 16]>::try_from(value).ok()?.into())
}
