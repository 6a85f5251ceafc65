//! What an object of next hops is, and whether a route may refer to it (`fib_check_nexthop`,
//! `fib6_check_nexthop`).
#![forbid(unsafe_code)]

use super::refuse;
use crate::Failure;
use memtun_stack::nexthop::Body;
use memtun_stack::route::{rtnh, Nexthop};
use memtun_stack::{HopObject, State};

/// What is said where a route refers to an object that is not there.
pub const NOTHING: &str = "Nexthop id does not exist";

/// Returns the object of a number.
pub fn find(state: &State, id: u32) -> Option<&HopObject> {
    let at = state.objects.binary_search_by_key(&id, |it| it.id);
    at.ok().map(|at| &state.objects[at])
}

/// Returns the objects of one next hop each that an object is made of, with their weights.
fn members<'s>(state: &'s State, it: &'s HopObject) -> Vec<(&'s HopObject, u16)> {
    match &it.body {
        Body::One { .. } => vec![(it, 1)],
        Body::Group { members, .. } => {
            let all = members.iter();
            all.filter_map(|(id, weight)| Some((find(state, *id)?, *weight)))
                .collect()
        }
    }
}

/// Returns the next hops that an object stands for.
pub fn hops(state: &State, it: &HopObject) -> Vec<Nexthop> {
    let all = members(state, it).into_iter();
    let hop = |(it, weight): (&HopObject, u16)| match it.body {
        Body::One { hop, .. } => Some(Nexthop { weight, ..hop }),
        Body::Group { .. } => None,
    };
    all.filter_map(hop).collect()
}

/// Does an object refuse packets (`nexthop_is_blackhole`)?
pub fn is_blackhole(state: &State, it: &HopObject) -> bool {
    match members(state, it).as_slice() {
        [(one, _)] => matches!(one.body, Body::One { blackhole, .. } if blackhole),
        _ => false,
    }
}

/// Is an object a group?
pub fn is_group(it: &HopObject) -> bool {
    matches!(it.body, Body::Group { .. })
}

fn is_fdb(it: &HopObject) -> bool {
    match it.body {
        Body::One { fdb, .. } | Body::Group { fdb, .. } => fdb,
    }
}

/// Is there a next hop of IPv4 among those of an object?
fn has_v4(state: &State, it: &HopObject) -> bool {
    let v4 = |family: u8| i32::from(family) == libc::AF_INET;
    let mut all = members(state, it).into_iter();
    all.any(|(it, _)| matches!(it.body, Body::One { family, .. } if v4(family)))
}

const FDB: &str = "Route cannot point to a fdb nexthop";

/// May a route of IPv4 with this scope refer to the object?
///
/// # Errors
///
/// EINVAL when it may not.
pub fn check_v4(state: &State, it: &HopObject, scope: u8) -> Result<(), Failure> {
    if is_fdb(it) {
        return refuse(FDB);
    }
    if is_group(it) && scope == libc::RT_SCOPE_HOST {
        return refuse("Route with host scope can not have multiple nexthops");
    }
    let Some(first) = hops(state, it).first().copied() else {
        return Ok(());
    };
    if scope == libc::RT_SCOPE_HOST && first.gateway.is_some() {
        return refuse("Route with host scope can not have a gateway");
    }
    if first.flags & rtnh::ONLINK != 0 && scope >= libc::RT_SCOPE_LINK {
        return refuse("Scope mismatch with nexthop");
    }
    Ok(())
}

/// May a route of IPv6 refer to the object? `for_all` says that the route is for all senders.
///
/// # Errors
///
/// EINVAL when it may not.
pub fn check_v6(state: &State, it: &HopObject, for_all: bool) -> Result<(), Failure> {
    if !for_all {
        return refuse("IPv6 routes using source address can not use nexthop objects");
    }
    if has_v4(state, it) {
        return refuse("IPv6 routes can not use an IPv4 nexthop");
    }
    if is_fdb(it) {
        return refuse(FDB);
    }
    Ok(())
}

/// Checks that an object may be a member of a group of `count` (`nh_check_attr_group_rtnl`). `of`
/// is the family of the members before it, where they have to have one: of tables of bridges.
///
/// # Errors
///
/// EINVAL when it may not.
pub fn member_of(it: &HopObject, count: usize, fdb: bool, of: &mut u8) -> Result<(), Failure> {
    let (family, is_fdb) = match &it.body {
        Body::Group {
            resilient: None, ..
        } => return refuse("Hash-threshold group can not be a nexthop within a group"),
        Body::Group { .. } => return refuse("Resilient group can not be a nexthop within a group"),
        Body::One { blackhole, .. } if *blackhole && count > 1 => {
            let text = "Blackhole nexthop can not be used in a group with more than 1 path";
            return refuse(text);
        }
        Body::One { family, fdb, .. } => (*family, *fdb),
    };
    if fdb && !is_fdb {
        return refuse("FDB nexthop group can only have fdb nexthops");
    }
    if fdb && *of != 0 && *of != family {
        return refuse("FDB nexthop group cannot have mixed family nexthops");
    }
    if !fdb && is_fdb {
        return refuse("Non FDB nexthop group cannot have fdb nexthops");
    }
    *of = family;
    Ok(())
}

/// Returns the type of a route to an object that refuses packets, or does not.
pub fn kind(kind: u8, refuses: bool) -> u8 {
    match kind {
        libc::RTN_UNICAST if refuses => libc::RTN_BLACKHOLE,
        libc::RTN_BLACKHOLE if !refuses => libc::RTN_UNICAST,
        kind => kind,
    }
}
