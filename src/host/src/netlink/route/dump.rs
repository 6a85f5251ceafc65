//! RTM_GETROUTE as a dump.
#![forbid(unsafe_code)]

use super::words::*;
use crate::engine::place::Place;
use crate::engine::route::refuse;
use crate::engine::route::told::shown;
use crate::engine::route::{tables, v6};
use crate::netlink::policy::Mode;
use crate::netlink::request::{Request, DUMP_FILTERED};
use crate::{Failure, World};
use memtun_stack::route::{rtf, HEADER};
use memtun_stack::wire::Writer;
use memtun_stack::Route;

/// Which routes are wanted (`struct fib_dump_filter`).
#[derive(Default)]
struct Filter {
    table: u32,
    protocol: u8,
    kind: u8,
    index: u32,
    flags: u32,
    strict: bool,
}

impl Filter {
    /// `ip_valid_fib_dump_req`.
    fn of(world: &World<'_>, request: &Request<'_>) -> Result<Filter, Failure> {
        let short = request.message.body.len() < HEADER;
        let head = head(request);
        if !request.is_strict() {
            let flags = if short { 0 } else { head.flags };
            return Ok(Filter {
                flags: flags & (RTM_F_PREFIX | RTM_F_CLONED),
                ..Filter::default()
            });
        }
        if short {
            return refuse("Invalid header for FIB dump request");
        }
        if head.to != 0 || head.from != 0 || head.tos != 0 || head.scope != 0 {
            return refuse("Invalid values in header for FIB dump request");
        }
        if head.flags & !(RTM_F_CLONED | RTM_F_PREFIX) != 0 {
            return refuse("Invalid flags for FIB dump request");
        }
        let mut filter = Filter {
            table: head.table.into(),
            protocol: head.protocol,
            kind: head.kind,
            index: 0,
            flags: head.flags,
            strict: true,
        };
        for attribute in request.parse(HEADER, &V4, Mode::Known)?.iter() {
            match attribute.kind {
                libc::RTA_TABLE => filter.table = attribute.u32().unwrap_or(0),
                libc::RTA_OIF => {
                    filter.index = attribute.u32().unwrap_or(0);
                    if world.link(filter.index).is_none() {
                        return Err(Failure::new(libc::ENODEV));
                    }
                }
                _ => return refuse("Unsupported attribute in dump request"),
            }
        }
        let set =
            filter.table | filter.index | filter.flags != 0 || filter.protocol | filter.kind != 0;
        if set {
            request.end_is_filtered();
        }
        Ok(filter)
    }

    fn wants(&self, route: &Route) -> bool {
        let prefix = self.flags & RTM_F_PREFIX == 0 || route.flags & rtf::PREFIX_RT != 0;
        // Cached routes are none of those in the tables.
        !(self.strict && self.flags & RTM_F_CLONED != 0)
            && prefix
            && (self.table == 0 || route.table == self.table)
            && (self.protocol == 0 || route.protocol == self.protocol)
            && (self.kind == 0 || route.kind == self.kind)
            && (self.index == 0 || route.hops.iter().any(|hop| hop.index == self.index))
    }
}

fn dump(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
    v4: bool,
) -> Result<(), Failure> {
    let filter = Filter::of(world, request)?;
    if v4 && filter.flags & RTM_F_PREFIX != 0 {
        return Ok(());
    }
    let has_table = match v4 {
        true => tables::has_v4(world, filter.table),
        false => tables::has_v6(world, filter.table),
    };
    if filter.table != 0 && !has_table {
        if request.message.body.first() == Some(&0) {
            return Ok(());
        }
        let module = if v4 { "ipv4" } else { "ipv6" };
        let text = format!("{module}: FIB table does not exist");
        return Err(Failure::said(libc::ENOENT, text));
    }
    let flags = if filter.strict { DUMP_FILTERED } else { 0 };
    let places = world.route_places(v4);
    let mut at = 0;
    while let Some(place) = places.get(at).copied() {
        at += 1;
        let mut route = std::borrow::Cow::Borrowed(world.route(place));
        let mut one = true;
        if !v4 {
            // The routes of a multipath one are told as one; what stands among them is not told.
            let siblings = v6::siblings(world, &route);
            let last = siblings.last().filter(|_| siblings.len() > 1);
            if let Some(last) = last {
                let last = places.iter().position(|place| place == last);
                at = last.map_or(at, |last| last + 1);
                route = std::borrow::Cow::Owned(v6::whole(world, &route));
                one = false;
            }
        }
        if !filter.wants(&route) {
            continue;
        }
        match place {
            Place::Machine(at) if one => {
                request.repeat(to, &world.machine.routes[at].message, flags);
            }
            _ => {
                let head = request.head(libc::RTM_NEWROUTE, flags);
                shown(world, &route).write(to, head, Some(world.now));
            }
        }
    }
    Ok(())
}

pub(super) fn dump_v4(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    dump(world, request, to, true)
}

pub(super) fn dump_v6(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    dump(world, request, to, false)
}

pub(super) fn dump_all(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    dump(world, request, to, true)?;
    dump(world, request, to, false)
}

/// The tables of multicast routing, of which there is one for each family, without routes: the
/// system call that would make some is for the root of the machine (net/ipv4/ipmr.c,
/// net/ipv6/ip6mr.c).
fn dump_multicast(
    world: &World<'_>,
    request: &Request<'_>,
    module: &str,
    there: u8,
) -> Result<(), Failure> {
    let filter = Filter::of(world, request)?;
    if filter.table == 0 || filter.table == there.into() {
        return Ok(());
    }
    let text = format!("{module}: MR table does not exist");
    Err(Failure::said(libc::ENOENT, text))
}

pub(super) fn dump_multicast_v4(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    dump_multicast(world, request, "ipv4", libc::RT_TABLE_DEFAULT)
}

pub(super) fn dump_multicast_v6(
    world: &mut World<'_>,
    request: &Request<'_>,
    _: &mut Writer,
) -> Result<(), Failure> {
    dump_multicast(world, request, "ipv6", libc::RT_TABLE_MAIN)
}
