//! An object of next hops: `struct nexthop`, which routes refer to by its number.
#![forbid(unsafe_code)]

use crate::address::Head;
use crate::route::Nexthop;
use crate::wire::{ip_of, u32_at, Attributes, Message, Writer, LONG, NESTED};

/// Length in bytes of `struct nhmsg`.
pub const HEADER: usize = 8;
/// RTM_NEWNEXTHOP of linux/rtnetlink.h.
pub const NEWNEXTHOP: u16 = 104;
/// RTM_DELNEXTHOP of linux/rtnetlink.h.
pub const DELNEXTHOP: u16 = 105;
/// RTM_NEWNEXTHOPBUCKET of linux/rtnetlink.h.
pub const NEWNEXTHOPBUCKET: u16 = 116;

/// Attributes of linux/nexthop.h (NHA_*).
pub mod nha {
    #![allow(missing_docs)]
    pub const ID: u16 = 1;
    pub const GROUP: u16 = 2;
    pub const GROUP_TYPE: u16 = 3;
    pub const BLACKHOLE: u16 = 4;
    pub const OIF: u16 = 5;
    pub const GATEWAY: u16 = 6;
    pub const ENCAP_TYPE: u16 = 7;
    pub const ENCAP: u16 = 8;
    pub const GROUPS: u16 = 9;
    pub const MASTER: u16 = 10;
    pub const FDB: u16 = 11;
    pub const RES_GROUP: u16 = 12;
    pub const RES_BUCKET: u16 = 13;
    pub const OP_FLAGS: u16 = 14;
    pub const GROUP_STATS: u16 = 15;
    pub const HW_STATS_ENABLE: u16 = 16;
}

/// Bits of NHA_OP_FLAGS (NHA_OP_FLAG_*).
pub mod op {
    /// The counters are wanted.
    pub const STATS: u32 = 1;
    /// Those of hardware, too.
    pub const HARDWARE_STATS: u32 = 2;
    /// Weights have 16 bits: what a group is answered with.
    pub const LONG_WEIGHTS: u32 = 1 << 31;
}

/// Attributes of the state's file: the buckets, the next hop's flags, and its index or a group's
/// order.
const BUCKETS: u16 = 0x3f00;
const HOP_FLAGS: u16 = 0x3f01;
const INDEX: u16 = 0x3f02;

/// What an object is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// One next hop.
    One {
        /// AF_INET or AF_INET6.
        family: u8,
        /// RT_SCOPE_* of the gateway.
        scope: u8,
        /// Does it refuse packets?
        blackhole: bool,
        /// Is it for tables of bridges, and not for routes?
        fdb: bool,
        /// Where it leads; over the loopback if it refuses.
        hop: Nexthop,
    },
    /// Several, among which one is chosen for each packet.
    Group {
        /// Numbers of the members with their weights, from 1.
        members: Vec<(u32, u16)>,
        /// Are the members for tables of bridges?
        fdb: bool,
        /// How flows stay with their member; None for a group that chooses by weight alone.
        resilient: Option<Resilient>,
        /// A number that rises with each change of the members of any group.
        order: u32,
    },
}

/// How the flows of a group stay with their member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resilient {
    /// Number of the member of each bucket.
    pub buckets: Vec<u32>,
    /// Hundredths of a second after which a bucket is idle.
    pub idle: u32,
    /// Hundredths of a second that weights may be wrong, 0 for any time.
    pub unbalanced: u32,
    /// When the buckets were given to their members, in hundredths of a second of CLOCK_BOOTTIME.
    pub since: u32,
}

/// An object of next hops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HopObject {
    /// Its number.
    pub id: u32,
    /// RTPROT_*: who made it.
    pub protocol: u8,
    /// What it is.
    pub body: Body,
}

impl HopObject {
    /// Appends the object as a message RTM_NEWNEXTHOP or another `kind`, in the kernel's order of
    /// attributes (`nh_fill_node`). `wanted` are bits of [`op`]; None writes all that there is, for
    /// the state's file.
    pub fn write(&self, to: &mut Writer, head: Head, wanted: Option<u32>) {
        let mut own = [0; HEADER];
        own[2] = self.protocol;
        if let Body::One {
            family,
            scope,
            blackhole,
            hop,
            ..
        } = &self.body
        {
            own[0] = *family;
            own[1] = if *blackhole && wanted.is_some() {
                0
            } else {
                *scope
            };
            let flags = hop.flags & !crate::route::rtnh::OWN;
            own[4..].copy_from_slice(&flags.to_ne_bytes());
        }
        to.message(head.kind, head.flags, head.sequence, head.port)
            .raw(&own)
            .u32(nha::ID, self.id);
        match &self.body {
            Body::One {
                blackhole,
                fdb,
                hop,
                ..
            } => {
                if wanted.is_none() {
                    to.u32(HOP_FLAGS, hop.flags).u32(INDEX, hop.index);
                }
                if *blackhole {
                    to.attribute(nha::BLACKHOLE, &[]);
                    return;
                }
                if *fdb {
                    to.attribute(nha::FDB, &[]);
                } else {
                    to.u32(nha::OIF, hop.index);
                }
                if let Some(gateway) = hop.gateway {
                    to.ip(nha::GATEWAY, gateway);
                }
            }
            Body::Group {
                members,
                fdb,
                resilient,
                order,
            } => {
                if wanted.is_none() {
                    to.u32(INDEX, *order);
                }
                if *fdb {
                    to.attribute(nha::FDB, &[]);
                }
                let list = members.iter().flat_map(|(id, weight)| {
                    // struct nexthop_grp: the weight is one less.
                    let [low, high] = weight.wrapping_sub(1).to_le_bytes();
                    let [a, b, c, d] = id.to_ne_bytes();
                    [a, b, c, d, low, high, 0, 0]
                });
                to.u16(nha::GROUP_TYPE, resilient.is_some().into())
                    .attribute(nha::GROUP, &list.collect::<Vec<u8>>());
                if let Some(resilient) = resilient {
                    let open = to.begin(nha::RES_GROUP | NESTED);
                    to.u16(1, resilient.buckets.len() as u16)
                        .u32(2, resilient.idle)
                        .u32(3, resilient.unbalanced)
                        .u64(
                            4,
                            if wanted.is_some() {
                                0
                            } else {
                                resilient.since.into()
                            },
                        );
                    to.end(open);
                }
                write_counters(to, members, wanted.unwrap_or(0));
                if wanted.is_some() {
                    to.u32(nha::OP_FLAGS, op::LONG_WEIGHTS);
                } else if let Some(resilient) = resilient {
                    for some in resilient.buckets.chunks(LONG / 4) {
                        let ids = some.iter().flat_map(|id| id.to_ne_bytes());
                        to.attribute(BUCKETS, &ids.collect::<Vec<u8>>());
                    }
                }
            }
        }
    }

    /// Reads what [`HopObject::write`] wrote for the state's file. None where something is missing
    /// or impossible.
    pub fn read(message: &Message<'_>) -> Option<HopObject> {
        let body = message.body;
        let attributes = Attributes::behind(body.get(..HEADER).map(|_| body)?, HEADER);
        let number = |kind| attributes.get(kind)?.u32();
        let fdb = attributes.get(nha::FDB).is_some();
        let what = match attributes.get(nha::GROUP) {
            Some(group) => {
                let member = |bytes: &[u8]| {
                    let weight = u16::from_le_bytes([*bytes.get(4)?, *bytes.get(5)?]);
                    Some((u32_at(bytes, 0)?, weight.wrapping_add(1)))
                };
                let resilient = match attributes.get(nha::RES_GROUP) {
                    None => None,
                    Some(nest) => {
                        let inner = nest.attributes();
                        let all = attributes.each(BUCKETS);
                        let buckets = all.flat_map(|some| some.value.chunks_exact(4));
                        Some(Resilient {
                            buckets: buckets.filter_map(|bytes| u32_at(bytes, 0)).collect(),
                            idle: inner.get(2)?.u32()?,
                            unbalanced: inner.get(3)?.u32()?,
                            since: inner.get(4)?.u64()? as u32,
                        })
                    }
                };
                Body::Group {
                    members: group.value.chunks(8).map(member).collect::<Option<_>>()?,
                    fdb,
                    resilient,
                    order: number(INDEX)?,
                }
            }
            None => Body::One {
                family: body[0],
                scope: body[1],
                blackhole: attributes.get(nha::BLACKHOLE).is_some(),
                fdb,
                hop: Nexthop {
                    index: number(INDEX)?,
                    gateway: match attributes.get(nha::GATEWAY) {
                        Some(a) => Some(ip_of(a.value)?),
                        None => None,
                    },
                    flags: number(HOP_FLAGS)?,
                    weight: 1,
                    realm: 0,
                },
            },
        };
        Some(HopObject {
            id: number(nha::ID)?,
            protocol: body[2],
            body: what,
        })
    }
}

/// Appends what a group has counted, as far as that is wanted: nothing.
fn write_counters(to: &mut Writer, members: &[(u32, u16)], wanted: u32) {
    if wanted & op::STATS == 0 {
        return;
    }
    to.u32(nha::HW_STATS_ENABLE, 0);
    let all = to.begin(nha::GROUP_STATS | NESTED);
    for (id, _) in members {
        let one = to.begin(1 | NESTED);
        to.u32(1, *id).u32(2, 0);
        if wanted & op::HARDWARE_STATS != 0 {
            to.u32(3, 0);
        }
        to.end(one);
    }
    to.end(all);
}
