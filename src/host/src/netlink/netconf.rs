//! Settings: RTM_GETNETCONF (net/ipv4/devinet.c, net/ipv6/addrconf.c).
#![forbid(unsafe_code)]

use super::link::indexes;
use super::policy::{Kind, Mode, Policy, Table};
use super::request::{invalid, Request};
use super::row::{row, Row};
use crate::message::conf::{self, EVERYTHING, GETNETCONF, NEWNETCONF};
use crate::{Failure, World};
use memtun_stack::wire::Writer;
use memtun_stack::Link;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const INET: u8 = libc::AF_INET as u8;
const INET6: u8 = libc::AF_INET6 as u8;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(GETNETCONF, UNSPEC, None, Some(dump_conf)),
    row(GETNETCONF, INET, Some(get_conf), Some(dump_conf)).joined(),
    row(GETNETCONF, INET6, Some(get_conf), Some(dump_conf)).joined(),
];

static CONF: Table = Table {
    max: 9,
    strict_from: 0,
    entries: &[
        (1, Policy::of(Kind::Unspec, 4)),
        (2, Policy::of(Kind::Unspec, 4)),
    ],
};

fn check_conf<'b>(request: &Request<'b>) -> Result<super::policy::Parsed<'b>, Failure> {
    let body = request.message.body;
    if body.is_empty() {
        return invalid("ipv4: Invalid header for netconf get request");
    }
    if !request.is_strict() {
        return request.parse(1, &CONF, Mode::Liberal);
    }
    let tb = request.parse(1, &CONF, Mode::Known)?;
    if tb.iter().any(|a| a.kind != 1) {
        return invalid(if body[0] == INET6 {
            "ipv6: Unsupported attribute in netconf get request"
        } else {
            "ipv4: Unsupported attribute in netconf get request"
        });
    }
    Ok(tb)
}

/// Has a link this family?
fn has(world: &World<'_>, family: u8, link: &Link) -> bool {
    match family {
        INET => conf::has_inet4(link),
        _ => conf::has_inet6(world.state, link),
    }
}

fn get_conf(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let family = request.message.body[0];
    let tb = check_conf(request)?;
    let Some(index) = tb.get(1).and_then(|a| a.u32()) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let of = match index as i32 {
        -1 => conf::Of::All,
        -2 => conf::Of::Default,
        _ => match world.link(index) {
            Some(link) if has(world, family, link) => conf::Of::Link(link),
            _ if family == INET => return Err(Failure::new(libc::ENODEV)),
            _ => return Err(Failure::new(libc::EINVAL)),
        },
    };
    let head = request.head(NEWNETCONF, 0);
    conf::write_netconf(world.state, family, of, to, head, EVERYTHING);
    Ok(())
}

fn dump_conf(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let family = request.message.body[0];
    if request.is_strict() {
        let six = family == INET6;
        if request.message.body.len() != 4 {
            return invalid(if six {
                "ipv6: Invalid data after header in netconf dump request"
            } else {
                "ipv4: Invalid data after header in netconf dump request"
            });
        }
    }
    let families: &[u8] = match family {
        INET => &[INET],
        INET6 => &[INET6],
        _ => &[INET, INET6],
    };
    for family in families {
        let head = request.head(NEWNETCONF, 0);
        for index in indexes(world) {
            let Some(link) = world.link(index) else {
                continue;
            };
            if has(world, *family, link) {
                conf::write_netconf(
                    world.state,
                    *family,
                    conf::Of::Link(link),
                    to,
                    head,
                    EVERYTHING,
                );
            }
        }
        conf::write_netconf(world.state, *family, conf::Of::All, to, head, EVERYTHING);
        conf::write_netconf(
            world.state,
            *family,
            conf::Of::Default,
            to,
            head,
            EVERYTHING,
        );
    }
    Ok(())
}
