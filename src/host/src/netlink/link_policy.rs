//! The header of messages about links, and what their attributes may be (`ifla_policy` and its
//! relatives in net/core/rtnetlink.c).
#![forbid(unsafe_code)]

use super::policy::{Check, Kind, Policy, Table, NEST, U16, U32, U8};
use super::request::Request;

/// `struct ifinfomsg` of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// ifi_index.
    pub index: i32,
    /// ifi_flags.
    pub flags: u32,
    /// ifi_change.
    pub change: u32,
    /// Is anything beside the family and these set?
    rest: bool,
}

impl Header {
    pub(super) fn of(request: &Request<'_>) -> Header {
        let word = |at| memtun_stack::wire::u32_at(request.message.body, at).unwrap_or(0);
        Header {
            index: word(4) as i32,
            flags: word(8),
            change: word(12),
            rest: word(0) & !0xff != 0,
        }
    }

    /// Is nothing set beside the family and the index?
    pub(super) fn is_plain(&self) -> bool {
        !self.rest && self.flags == 0 && self.change == 0
    }
}

const BINARY_32: Policy = Policy::of(Kind::Binary, 32);
const REJECT: Policy = Policy::of(Kind::Reject, 0);
const S32: Policy = Policy::of(Kind::S32, 0);
/// One more than the room that headers may take (MAX_TCP_HEADER).
const SIZE: Policy = Policy::range(Kind::U32, 193, u32::MAX as u64);

/// Attributes of a link.
pub(super) static LINK: Table = Table {
    max: crate::message::link::ifla::MAX,
    strict_from: crate::message::link::ifla::DPLL_PIN,
    entries: &[
        (libc::IFLA_ADDRESS, BINARY_32),
        (libc::IFLA_BROADCAST, BINARY_32),
        (libc::IFLA_IFNAME, Policy::of(Kind::String, 15)),
        (libc::IFLA_MTU, U32),
        (libc::IFLA_LINK, U32),
        (libc::IFLA_MASTER, U32),
        (libc::IFLA_TXQLEN, U32),
        (libc::IFLA_MAP, Policy::of(Kind::Unspec, 32)),
        (libc::IFLA_WEIGHT, U32),
        (libc::IFLA_OPERSTATE, U8),
        (libc::IFLA_LINKMODE, U8),
        (libc::IFLA_LINKINFO, NEST),
        (libc::IFLA_NET_NS_PID, U32),
        (libc::IFLA_IFALIAS, Policy::of(Kind::Binary, 255)),
        (libc::IFLA_VFINFO_LIST, NEST),
        (libc::IFLA_VF_PORTS, NEST),
        (libc::IFLA_PORT_SELF, NEST),
        (libc::IFLA_AF_SPEC, NEST),
        (libc::IFLA_GROUP, U32),
        (libc::IFLA_NET_NS_FD, U32),
        (libc::IFLA_EXT_MASK, U32),
        (libc::IFLA_PROMISCUITY, U32),
        (libc::IFLA_NUM_TX_QUEUES, U32),
        (libc::IFLA_NUM_RX_QUEUES, U32),
        (33, U8),        // IFLA_CARRIER
        (34, BINARY_32), // IFLA_PHYS_PORT_ID
        (35, U32),       // IFLA_CARRIER_CHANGES
        (36, BINARY_32), // IFLA_PHYS_SWITCH_ID
        (37, S32),       // IFLA_LINK_NETNSID
        (39, U8),        // IFLA_PROTO_DOWN
        (40, U32),       // IFLA_GSO_MAX_SEGS
        (41, SIZE),      // IFLA_GSO_MAX_SIZE
        (43, NEST),      // IFLA_XDP
        (44, U32),       // IFLA_EVENT
        (46, S32),       // IFLA_TARGET_NETNSID
        (47, U32),       // IFLA_CARRIER_UP_COUNT
        (48, U32),       // IFLA_CARRIER_DOWN_COUNT
        // IFLA_NEW_IFINDEX
        (49, Policy::range(Kind::S32, 1, i32::MAX as u64)),
        (50, U32),  // IFLA_MIN_MTU
        (51, U32),  // IFLA_MAX_MTU
        (52, NEST), // IFLA_PROP_LIST
        // IFLA_ALT_IFNAME
        (53, Policy::of(Kind::String, 127)),
        (54, REJECT), // IFLA_PERM_ADDRESS
        (55, NEST),   // IFLA_PROTO_DOWN_REASON
        // IFLA_PARENT_DEV_NAME
        (56, Policy::of(Kind::NulString, 0)),
        (58, U32),    // IFLA_GRO_MAX_SIZE
        (59, REJECT), // IFLA_TSO_MAX_SIZE
        (60, REJECT), // IFLA_TSO_MAX_SEGS
        (61, REJECT), // IFLA_ALLMULTI
        (63, SIZE),   // IFLA_GSO_IPV4_MAX_SIZE
        (64, U32),    // IFLA_GRO_IPV4_MAX_SIZE
        (67, REJECT), // IFLA_NETNS_IMMUTABLE
        (68, REJECT), // IFLA_HEADROOM
        (69, REJECT), // IFLA_TAILROOM
    ],
};

/// Attributes of IFLA_LINKINFO.
pub(super) static INFO: Table = Table {
    max: 5,
    strict_from: 0,
    entries: &[
        (libc::IFLA_INFO_KIND, Policy::of(Kind::String, 0)),
        (libc::IFLA_INFO_DATA, NEST),
        (libc::IFLA_INFO_SLAVE_KIND, Policy::of(Kind::String, 0)),
        (libc::IFLA_INFO_SLAVE_DATA, NEST),
    ],
};

/// Attributes of IFLA_INFO_DATA of a tun: it has no policy.
pub(super) static TUN: Table = Table {
    max: 0,
    strict_from: 0,
    entries: &[],
};

/// Attributes of IFLA_AF_SPEC for AF_INET.
pub(super) static INET: Table = Table {
    max: 1,
    strict_from: 0,
    entries: &[(1, NEST)],
};

/// Attributes of IFLA_AF_SPEC for AF_INET6.
pub(super) static INET6: Table = Table {
    max: 9,
    strict_from: 0,
    entries: &[(7, Policy::of(Kind::Unspec, 16)), (8, U8), (9, REJECT)],
};

/// Attributes of IFLA_PROTO_DOWN_REASON, IFLA_XDP and the like, which are read but mean nothing
/// here.
pub(super) static XDP: Table = Table {
    max: 8,
    strict_from: 8,
    entries: &[(1, S32), (2, U8), (3, U32), (4, U32), (8, S32)],
};

/// Attributes of IFLA_PORT_SELF.
pub(super) static PORT: Table = Table {
    max: 7,
    strict_from: 0,
    entries: &[
        (1, U32),
        (2, Policy::of(Kind::String, 40)),
        (3, Policy::of(Kind::Binary, 16)),
        (4, Policy::of(Kind::Binary, 16)),
        (5, Policy::of(Kind::String, 16)),
        (6, U8),
        (7, U16),
    ],
};

/// Attributes of RTM_GETSTATS.
pub(super) static STATS: Table = Table {
    max: 2,
    strict_from: 0,
    entries: &[(1, Policy::nest(&STATS_FILTERS))],
};

/// Attributes of IFLA_STATS_GET_FILTERS.
pub(super) static STATS_FILTERS: Table = Table {
    max: 5,
    strict_from: 0,
    entries: &[(
        4,
        Policy {
            check: Check::Mask(0xf),
            ..U32
        },
    )],
};

/// Attributes of RTM_SETSTATS.
pub(super) static STATS_SET: Table = Table {
    max: 2,
    strict_from: 0,
    entries: &[(2, Policy::range(Kind::U8, 0, 1))],
};

/// Attributes of queueing disciplines, classes and filters (`rtm_tca_policy`).
pub(super) static TRAFFIC: Table = Table {
    max: 18,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Kind::String, 0)),
        (5, Policy::of(Kind::Binary, 2)),
        (8, NEST),
        (10, Policy::of(Kind::Flag, 0)),
        (11, U32),
        (13, U32),
        (14, U32),
    ],
};
