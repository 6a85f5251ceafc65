//! Adding, replacing and deleting objects of next hops, and what follows for routes and groups.
#![forbid(unsafe_code)]

use super::buckets::balance;
use super::create::{check, create, next_order, Config, Timers, Wanted};
use crate::engine::route::object::{check_v4, check_v6, find, hops, is_blackhole, kind};
use crate::engine::route::{told, v6, Cause};
use crate::failure::refuse;
use crate::{Failure, World};
use memtun_stack::nexthop::{Body, Resilient, DELNEXTHOP, NEWNEXTHOP};
use memtun_stack::wire::Writer;
use memtun_stack::{HopObject, Route};
use std::sync::Arc;

/// RTNLGRP_NEXTHOP.
const GROUP: u32 = 32;

/// Tells the listeners about an object (`nexthop_notify`). The event has the flags of the request.
fn tell(world: &mut World<'_>, kind: u16, it: &HopObject, how: u16) {
    let mut to = Writer::default();
    it.write(&mut to, world.caused(kind, how), Some(0));
    world.tell(GROUP, to.take());
}

/// Adds an object, or replaces one (`nexthop_add`, `insert_nexthop`).
///
/// # Errors
///
/// EEXIST when it is there, ENOENT when it is to be replaced and is not, and what its next hop
/// fails with.
pub fn add(world: &mut World<'_>, c: &Config) -> Result<(), Failure> {
    check(world, c)?;
    let mut id = c.id;
    if id == 0 {
        let start = world.state.last_object;
        id = start.wrapping_add(1);
        while id == 0 || find(world.state, id).is_some() {
            id = id.wrapping_add(1);
            if id == start {
                return refuse(libc::EINVAL, "No unused id");
            }
        }
        world.state.last_object = id;
    }
    let mut new = HopObject {
        id,
        protocol: c.protocol,
        body: create(world, c)?,
    };
    let has = |flag: i32| i32::from(c.how) & flag != 0;
    match find(world.state, id).cloned() {
        Some(_) if !has(libc::NLM_F_REPLACE) => return Err(Failure::new(libc::EEXIST)),
        Some(old) => replace(world, &old, &mut new, c)?,
        None => {
            if has(libc::NLM_F_REPLACE) && !has(libc::NLM_F_CREATE) {
                let text = "Replace specified without create and no entry exists";
                return refuse(libc::ENOENT, text);
            }
            if let (Some(resilient), members) = parts(&mut new.body) {
                if resilient.buckets.is_empty() {
                    let text = "Number of buckets not specified for nexthop group insertion";
                    return refuse(libc::EINVAL, text);
                }
                balance(&mut resilient.buckets, members);
            }
            let at = world.state.objects.partition_point(|it| it.id < id);
            world.state.objects.insert(at, new.clone());
            tell(world, NEWNEXTHOP, &new, c.how);
        }
    }
    Ok(())
}

/// Returns the buckets of a group, if it has some, and its members.
fn parts(body: &mut Body) -> (Option<&mut Resilient>, &[(u32, u16)]) {
    match body {
        Body::One { .. } => (None, &[]),
        Body::Group {
            resilient, members, ..
        } => (resilient.as_mut(), members),
    }
}

/// Returns the numbers of the groups that an object is a member of, the newest first.
fn groups_of(world: &World<'_>, id: u32) -> Vec<u32> {
    let order = |it: &HopObject| match &it.body {
        Body::Group { members, order, .. } if members.iter().any(|member| member.0 == id) => {
            Some((*order, it.id))
        }
        _ => None,
    };
    let mut all: Vec<_> = world.state.objects.iter().filter_map(order).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.into_iter().map(|(_, id)| id).collect()
}

/// Checks that routes may refer to `new` as they do to the object of a number.
fn check_routes(world: &World<'_>, id: u32, new: &HopObject) -> Result<(), Failure> {
    let own = || world.state.routes.iter().filter(|route| route.object == id);
    for route in own().filter(|route| route.is_v4()) {
        check_v4(world.state, new, route.scope)?;
    }
    for route in own().filter(|route| !route.is_v4()) {
        check_v6(world.state, new, route.from.1 == 0)?;
    }
    Ok(())
}

/// Puts an object in the place of one (`replace_nexthop`).
fn replace(
    world: &mut World<'_>,
    old: &HopObject,
    new: &mut HopObject,
    c: &Config,
) -> Result<(), Failure> {
    check_routes(world, old.id, new)?;
    let groups = groups_of(world, old.id);
    for group in &groups {
        let count = find(world.state, *group).map_or(0, |it| hops(world.state, it).len());
        if count > 1 && matches!(new.body, Body::One { blackhole, .. } if blackhole) {
            let text = "Blackhole nexthop can not be a member of a group with more than one path";
            return refuse(libc::EINVAL, text);
        }
        check_routes(world, *group, new)?;
    }
    let timers = match &c.wanted {
        Wanted::Group(members) => members.resilient.unwrap_or_default(),
        _ => Timers::default(),
    };
    match (&old.body, &mut new.body) {
        (Body::One { .. }, Body::One { .. }) => {}
        (Body::One { .. }, Body::Group { .. }) => {
            let text = "Can not replace a nexthop with a nexthop group.";
            return refuse(libc::EINVAL, text);
        }
        (Body::Group { .. }, Body::One { .. }) => {
            let text = "Can not replace a nexthop group with a nexthop.";
            return refuse(libc::EINVAL, text);
        }
        (
            Body::Group { resilient, .. },
            Body::Group {
                resilient: wanted,
                members,
                ..
            },
        ) => {
            if resilient.is_some() != wanted.is_some() {
                let text = "Can not replace a nexthop group with one of a different type.";
                return refuse(libc::EINVAL, text);
            }
            if let (Some(before), Some(wanted)) = (resilient, wanted) {
                let given = timers.buckets.map(usize::from);
                if given.is_some_and(|given| given != before.buckets.len()) {
                    let text = "Can not change number of buckets of a resilient nexthop group.";
                    return refuse(libc::EINVAL, text);
                }
                *wanted = Resilient {
                    idle: timers.idle.unwrap_or(before.idle),
                    unbalanced: timers.unbalanced.unwrap_or(before.unbalanced),
                    ..before.clone()
                };
                balance(&mut wanted.buckets, members);
            }
        }
    }
    put(world, new.clone());
    tell(world, NEWNEXTHOP, new, c.how);
    for id in [old.id].into_iter().chain(groups) {
        follow(world, id);
        tell_routes(world, id);
    }
    Ok(())
}

/// Puts an object in its place.
fn put(world: &mut World<'_>, it: HopObject) {
    let mut all = world.state.objects.iter_mut();
    if let Some(kept) = all.find(|kept| kept.id == it.id) {
        *kept = it;
    }
}

/// Gives the routes of an object its next hops.
fn follow(world: &mut World<'_>, id: u32) {
    let Some(it) = find(world.state, id) else {
        return;
    };
    let (hops, refuses) = (hops(world.state, it), is_blackhole(world.state, it));
    let concerns = |route: &Route| route.object == id;
    world.change_routes(concerns, |route| {
        route.hops = hops.clone();
        route.kind = kind(route.kind, refuses);
        true
    });
}

fn routes_of(world: &World<'_>, id: u32) -> Vec<Arc<Route>> {
    let all = world.state.routes.iter();
    all.filter(|route| route.object == id).cloned().collect()
}

/// Tells the listeners that the routes of an object lead elsewhere (`nexthop_replace_notify`).
fn tell_routes(world: &mut World<'_>, id: u32) {
    let cause = Cause {
        port: world.port,
        sequence: world.sequence,
    };
    for route in routes_of(world, id) {
        let (kind, flags) = (libc::RTM_NEWROUTE, libc::NLM_F_REPLACE);
        told::tell(world, &route, kind, flags, cause);
    }
}

/// Deletes an object (`rtm_del_nexthop`). `how` are the NLM_F_* flags of the request.
///
/// # Errors
///
/// ENOENT when there is none.
pub fn delete(world: &mut World<'_>, id: u32, how: u16) -> Result<(), Failure> {
    if find(world.state, id).is_none() {
        return Err(Failure::new(libc::ENOENT));
    }
    remove(world, id, Some(how));
    Ok(())
}

/// Removes an object with the routes that refer to it, and takes it out of its groups
/// (`remove_nexthop`). Tells of it where there are flags of a request.
fn remove(world: &mut World<'_>, id: u32, how: Option<u16>) {
    let Some(at) = world.state.objects.iter().position(|it| it.id == id) else {
        return;
    };
    if let Some(how) = how {
        let it = world.state.objects[at].clone();
        tell(world, DELNEXTHOP, &it, how);
    }
    remove_routes(world, id);
    for group in groups_of(world, id) {
        let Some(mut it) = find(world.state, group).cloned() else {
            continue;
        };
        let next = next_order(world);
        if let Body::Group {
            members,
            resilient,
            order,
            ..
        } = &mut it.body
        {
            if members.len() == 1 {
                remove(world, group, how);
                continue;
            }
            members.retain(|member| member.0 != id);
            *order = next;
            if let Some(resilient) = resilient {
                balance(&mut resilient.buckets, members);
            }
        }
        put(world, it.clone());
        follow(world, group);
        if let Some(how) = how {
            tell(world, NEWNEXTHOP, &it, how);
        }
    }
    world.state.objects.retain(|it| it.id != id);
}

/// Removes the routes of an object: those of IPv4 without a word (`__remove_nexthop_fib`).
fn remove_routes(world: &mut World<'_>, id: u32) {
    for route in routes_of(world, id) {
        match world.place_of_route(&route) {
            Some(place) if route.is_v4() => {
                world.take_route(place);
            }
            Some(place) => v6::remove_whole(world, place),
            None => {}
        }
    }
}

/// Removes the objects that lead over a link that is down, has no carrier, or is gone
/// (`nexthop_flush_dev`). Those that refuse packets stay until it is `gone`.
pub fn link_is_down(world: &mut World<'_>, index: u32, gone: bool) {
    let over = |it: &&HopObject| match it.body {
        Body::One {
            blackhole,
            fdb,
            hop,
            ..
        } => !fdb && hop.index == index && (gone || !blackhole),
        Body::Group { .. } => false,
    };
    let all = world.state.objects.iter().rev().filter(over);
    for id in all.map(|it| it.id).collect::<Vec<_>>() {
        remove(world, id, None);
    }
}
