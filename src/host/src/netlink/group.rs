//! Groups that links with IP belong to: RTM_GETMULTICAST, RTM_GETANYCAST (net/ipv4/igmp.c,
//! net/ipv6/addrconf.c).
#![forbid(unsafe_code)]

use super::link::indexes;
use super::policy::{Mode, Table};
use super::request::{invalid, Request};
use super::row::{row, Row};
use crate::message::conf::{self};
use crate::{Failure, World};
use memtun_stack::wire::Writer;
use std::net::{IpAddr, Ipv6Addr};

const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_GETMULTICAST, INET, None, Some(dump_groups)).joined(),
    row(libc::RTM_GETMULTICAST, INET6, None, Some(dump_groups)).joined(),
    row(libc::RTM_GETANYCAST, INET6, None, Some(dump_anycast)).joined(),
];

static ADDRESS: Table = Table {
    max: 11,
    strict_from: 0,
    entries: &[],
};

/// Appends the groups that every link with IP belongs to.
fn dump_groups(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let family = request.message.body[0];
    if request.is_strict() {
        let body = request.message.body;
        if body.len() < 8 {
            return invalid(if body[0] == INET {
                "ipv4: Invalid header for address dump request"
            } else {
                "ipv6: Invalid header for address dump request"
            });
        }
        request.parse(8, &ADDRESS, Mode::Known)?;
    }
    for index in indexes(world) {
        let Some(link) = world.link(index) else {
            continue;
        };
        let groups: Vec<IpAddr> = if family == INET {
            match link.is_up() {
                true => vec![IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 1))],
                false => Vec::new(),
            }
        } else if conf::has_inet6(world.state, link) {
            let all = |scope: u16| IpAddr::V6(Ipv6Addr::new(0xff00 | scope, 0, 0, 0, 0, 0, 0, 1));
            vec![all(2), all(1)]
        } else {
            Vec::new()
        };
        for group in groups {
            // Of IPv6 only the groups of a site are said to have a scope.
            let (length, scope) = match family {
                INET => (32, libc::RT_SCOPE_LINK),
                _ => (128, libc::RT_SCOPE_UNIVERSE),
            };
            let mut own = [family, length, 0x80, scope, 0, 0, 0, 0];
            own[4..8].copy_from_slice(&index.to_ne_bytes());
            // struct ifa_cacheinfo: no end of lifetimes, and when it was made.
            let times = [u32::MAX, u32::MAX, world.now, world.now].map(u32::to_ne_bytes);
            let head = request.head(58, 0);
            to.message(head.kind, head.flags, head.sequence, head.port)
                .raw(&own)
                .ip(7, group)
                .attribute(libc::IFA_CACHEINFO, &times.concat());
        }
    }
    Ok(())
}

/// Dumps the anycast addresses, of which there are none.
fn dump_anycast(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if request.is_strict() {
        let body = request.message.body;
        if body.len() < 8 {
            return invalid("ipv6: Invalid header for address dump request");
        }
        request.parse(8, &ADDRESS, Mode::Known)?;
    }
    Ok(())
}
