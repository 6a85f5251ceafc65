//! An object of next hops as it is asked for.
#![forbid(unsafe_code)]

use crate::engine::route::object::{find, member_of};
use crate::engine::route::{v4, v6};
use crate::failure::refuse;
use crate::{Failure, World};
use memtun_stack::nexthop::{Body, Resilient};
use memtun_stack::route::{rtf, rtnh, Nexthop};
use memtun_stack::HopObject;
use std::net::{IpAddr, Ipv6Addr};

/// Hundredths of a second after which a bucket is idle when nobody says it
/// (NH_RES_DEFAULT_IDLE_TIMER).
const IDLE: u32 = 120 * 100;

/// What a group is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Members {
    /// Numbers of the members with their weights, from 1.
    pub all: Vec<(u32, u16)>,
    /// How flows stay with their member; None for a group that chooses by weight alone.
    pub resilient: Option<Timers>,
}

/// What a group with buckets is asked for; None for what is not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Timers {
    /// Number of buckets.
    pub buckets: Option<u16>,
    /// Hundredths of a second after which a bucket is idle.
    pub idle: Option<u32>,
    /// Hundredths of a second that weights may be wrong.
    pub unbalanced: Option<u32>,
}

/// What an object is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// One that refuses packets.
    Blackhole,
    /// A next hop.
    One {
        /// Index of the interface, None where none is given.
        index: Option<u32>,
        /// The gateway.
        gateway: Option<IpAddr>,
    },
    /// A group.
    Group(Members),
}

/// An object as it is asked for (`struct nh_config`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Its number, 0 for any.
    pub id: u32,
    /// AF_INET or AF_INET6, AF_UNSPEC for a group.
    pub family: u8,
    /// RTPROT_*.
    pub protocol: u8,
    /// RTNH_F_* flags.
    pub flags: u32,
    /// Is it for tables of bridges?
    pub fdb: bool,
    /// What it is to be.
    pub wanted: Wanted,
    /// NLM_F_* flags.
    pub how: u16,
}

/// Checks members and interface, before a number is drawn (`rtm_to_nh_config_rtnl`).
pub(super) fn check(world: &World<'_>, c: &Config) -> Result<(), Failure> {
    match &c.wanted {
        Wanted::Blackhole | Wanted::One { index: None, .. } => Ok(()),
        Wanted::Group(members) => {
            let mut family = 0;
            for (id, _) in &members.all {
                let Some(it) = find(world.state, *id) else {
                    return refuse(libc::EINVAL, "Invalid nexthop id");
                };
                member_of(it, members.all.len(), c.fdb, &mut family)?;
            }
            Ok(())
        }
        Wanted::One {
            index: Some(index), ..
        } => {
            let Some(link) = world.link(*index) else {
                return refuse(libc::EINVAL, "Invalid device index");
            };
            if !link.is_up() {
                return refuse(libc::ENETDOWN, "Nexthop device is not up");
            }
            if !link.carrier {
                return refuse(libc::ENETDOWN, "Carrier for nexthop device is down");
            }
            Ok(())
        }
    }
}

/// Makes the object (`nexthop_create`, `nexthop_create_group`).
pub(super) fn create(world: &World<'_>, c: &Config) -> Result<Body, Failure> {
    let (index, gateway, blackhole) = match &c.wanted {
        Wanted::Group(members) => return Ok(group(world, c, members)),
        Wanted::Blackhole => (crate::engine::route::lookup::LOOPBACK, None, true),
        Wanted::One { index, gateway } => (index.unwrap_or(0), *gateway, false),
    };
    let mut hop = Nexthop {
        index,
        gateway: gateway.filter(|gateway| !gateway.is_unspecified()),
        flags: c.flags & 0xff & !rtnh::OWN,
        weight: 1,
        realm: 0,
    };
    let mut scope = libc::RT_SCOPE_LINK;
    let v4 = i32::from(c.family) == libc::AF_INET;
    if !c.fdb && v4 {
        let config = v4::Config::default();
        v4::check_hop(world, &mut hop, &config)?;
        if hop.gateway.is_none() || hop.flags & rtnh::OWN != 0 {
            scope = libc::RT_SCOPE_HOST;
        }
    } else if !c.fdb {
        let gateway = match hop.gateway {
            Some(IpAddr::V6(gateway)) => Some(gateway),
            _ => None,
        };
        let flag = gateway.map_or(0, |_| rtf::GATEWAY);
        hop = v6::create_hop(
            world,
            &v6::Config {
                table: 0,
                flags: flag,
                onlink: c.flags & rtnh::ONLINK != 0,
                index,
                gateway: gateway.unwrap_or(Ipv6Addr::UNSPECIFIED),
                ..v6::Config::default()
            },
        )?;
    }
    Ok(Body::One {
        family: c.family,
        scope,
        blackhole,
        fdb: c.fdb,
        hop,
    })
}

fn group(world: &World<'_>, c: &Config, members: &Members) -> Body {
    let resilient = members.resilient.map(|timers| Resilient {
        buckets: vec![0; timers.buckets.unwrap_or(0).into()],
        idle: timers.idle.unwrap_or(IDLE),
        unbalanced: timers.unbalanced.unwrap_or(0),
        since: world.now,
    });
    Body::Group {
        members: members.all.clone(),
        fdb: c.fdb,
        resilient,
        order: next_order(world),
    }
}

/// Returns the number of the next change of a group's members.
pub(super) fn next_order(world: &World<'_>) -> u32 {
    let order = |it: &HopObject| match it.body {
        Body::One { .. } => 0,
        Body::Group { order, .. } => order,
    };
    let all = world.state.objects.iter().map(order);
    all.max().unwrap_or(0).wrapping_add(1)
}
