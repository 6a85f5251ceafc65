//! Links: RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK, RTM_GETLINK and their other names
//! (net/core/rtnetlink.c).
#![forbid(unsafe_code)]

use super::link_policy::{self as policy, Header};
use super::link_set;
use super::policy::{Mode, Parsed};
use super::request::{Request, DUMP_FILTERED};
use super::row::{row, Row};
use crate::engine::link as engine;
use crate::message::conf;
use crate::message::link::{self as message, ifla};
use crate::{Failure, World};
use memtun_stack::link::HEADER;
use memtun_stack::wire::{Attributes, Messages, Writer};
use memtun_stack::Link;

const UNSPEC: u8 = libc::AF_UNSPEC as u8;
const BRIDGE: u8 = libc::AF_BRIDGE as u8;
const INET6: u8 = libc::AF_INET6 as u8;
/// RTM_NEWLINKPROP and RTM_DELLINKPROP.
const NEWLINKPROP: u16 = 108;
const DELLINKPROP: u16 = 109;

/// Who handles these messages, see [`super::table`].
pub(super) const ROWS: &[Row] = &[
    row(libc::RTM_NEWLINK, UNSPEC, Some(new), None),
    row(libc::RTM_SETLINK, UNSPEC, Some(set), None),
    row(libc::RTM_DELLINK, UNSPEC, Some(delete), None),
    row(libc::RTM_GETLINK, UNSPEC, Some(get), Some(dump)),
    row(libc::RTM_GETLINK, BRIDGE, None, Some(dump_bridge)),
    row(libc::RTM_SETLINK, BRIDGE, Some(set_bridge), None),
    row(libc::RTM_DELLINK, BRIDGE, Some(set_bridge), None),
    row(libc::RTM_GETLINK, INET6, None, Some(dump_inet6)).joined(),
    row(NEWLINKPROP, UNSPEC, Some(properties), None),
    row(DELLINKPROP, UNSPEC, Some(properties), None),
];

/// A name of a request: IFLA_IFNAME, or else IFLA_ALT_IFNAME.
fn name_in<'b>(tb: &Parsed<'b>) -> Option<&'b [u8]> {
    let name = tb.get(libc::IFLA_IFNAME).or(tb.get(ifla::ALT_IFNAME))?;
    Some(name.string())
}

/// Finds the link that a request is about (`__dev_get_by_index`, `rtnl_dev_get`). None means that
/// it names none.
fn find(world: &World<'_>, header: Header, tb: &Parsed<'_>) -> Option<Option<u32>> {
    let index = |link: &Link| link.extra.index;
    if header.index > 0 {
        return Some(world.link(header.index as u32).map(index));
    }
    // Nothing is called by an empty name unless it has been given that as another name.
    name_in(tb).map(|name| world.link_named(name).map(index))
}

/// Checks that at most one attribute names a network namespace (`rtnl_ensure_unique_netns`).
fn one_namespace(tb: &Parsed<'_>, only_number: bool) -> Result<(), Failure> {
    let by_process = tb.has(libc::IFLA_NET_NS_PID);
    let by_descriptor = tb.has(libc::IFLA_NET_NS_FD);
    if only_number && (by_process || by_descriptor) {
        let text = "specified netns attribute not supported";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    let named = [by_process, by_descriptor, tb.has(ifla::TARGET_NETNSID)];
    if !only_number && named.into_iter().filter(|named| *named).count() > 1 {
        let text = "multiple netns identifying attributes specified";
        return Err(Failure::said(libc::EINVAL, text));
    }
    Ok(())
}

/// Finds the namespace into which a link shall go (`rtnl_link_get_net_capable`). Only the one in
/// which it is can be given: into another, a program has no permission.
fn namespace(tb: &Parsed<'_>) -> Result<(), Failure> {
    let number = |kind| tb.get(kind).and_then(|a| a.u32());
    if let Some(pid) = number(libc::IFLA_NET_NS_PID) {
        let exists = pid as i32 > 0 && memtun_sys::process_exists(pid as i32);
        return if exists {
            Ok(())
        } else {
            Err(Failure::new(libc::ESRCH))
        };
    }
    if let Some(fd) = number(libc::IFLA_NET_NS_FD) {
        let errno = if (fd as i32) < 0 {
            libc::EBADF
        } else {
            libc::EPERM
        };
        return Err(Failure::new(errno));
    }
    target(tb)
}

/// No namespace has a number here, so none can be named by it.
fn target(tb: &Parsed<'_>) -> Result<(), Failure> {
    match tb.get(ifla::TARGET_NETNSID) {
        Some(_) => Err(Failure::new(libc::EINVAL)),
        None => Ok(()),
    }
}

fn set(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::LINK, Mode::Liberal)?;
    one_namespace(&tb, false)?;
    namespace(&tb)?;
    let header = Header::of(request);
    let found = find(world, header, &tb).ok_or(Failure::new(libc::EINVAL))?;
    let index = found.ok_or(Failure::new(libc::ENODEV))?;
    link_set::set(world, request, header, &tb, index)
}

fn new(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::LINK, Mode::Liberal)?;
    one_namespace(&tb, false)?;
    let info = match tb.get(libc::IFLA_LINKINFO) {
        Some(info) => Some(request.parse_silently(info, &policy::INFO)?),
        None => None,
    };
    let in_info = |kind| info.as_ref().and_then(|info| info.get(kind));
    if in_info(libc::IFLA_INFO_KIND).is_some_and(|kind| kind.string() == b"tun") {
        if let Some(data) = in_info(libc::IFLA_INFO_DATA) {
            request.parse_nested(data, &policy::TUN, Mode::Liberal)?;
        }
        let text = "tun/tap creation via rtnetlink is not supported.";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    namespace(&tb)?;
    if tb.has(libc::IFLA_LINK_NETNSID) {
        let text = "Unknown network namespace id";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let header = Header::of(request);
    if header.index < 0 {
        return Err(Failure::said(libc::EINVAL, "ifindex can't be negative"));
    }
    let found = find(world, header, &tb);
    if let Some(Some(index)) = found {
        if request.has(libc::NLM_F_EXCL) {
            return Err(Failure::new(libc::EEXIST));
        }
        if request.has(libc::NLM_F_REPLACE) {
            return Err(Failure::new(libc::EOPNOTSUPP));
        }
        let data = in_info(libc::IFLA_INFO_DATA).or(in_info(libc::IFLA_INFO_SLAVE_DATA));
        if data.is_some() {
            return Err(Failure::new(libc::EOPNOTSUPP));
        }
        return link_set::set(world, request, header, &tb, index);
    }
    if !request.has(libc::NLM_F_CREATE) {
        let group = tb.get(libc::IFLA_GROUP).and_then(|a| a.u32());
        return match (found, group) {
            (None, Some(group)) => {
                for index in of_group(world, group) {
                    link_set::set(world, request, header, &tb, index)?;
                }
                Ok(())
            }
            _ => Err(Failure::new(libc::ENODEV)),
        };
    }
    if tb.has(libc::IFLA_MAP) || tb.has(libc::IFLA_PROTINFO) {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    Err(Failure::said(libc::EOPNOTSUPP, "Unknown device type"))
}

/// Returns the links of a group, by ascending index.
fn of_group(world: &World<'_>, group: u32) -> Vec<u32> {
    let machine = world.machine.links.iter().map(|own| &own.item);
    let all = machine.chain(&world.links);
    let found = all.filter(|link| link.extra.group == group);
    let mut found: Vec<u32> = found.map(|link| link.extra.index).collect();
    found.sort_unstable();
    found
}

fn delete(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::LINK, Mode::Liberal)?;
    one_namespace(&tb, true)?;
    target(&tb)?;
    let gone = match find(world, Header::of(request), &tb) {
        Some(Some(index)) => vec![index],
        Some(None) => return Err(Failure::new(libc::ENODEV)),
        None => {
            let group = tb.get(libc::IFLA_GROUP).and_then(|a| a.u32());
            let group = group.ok_or(Failure::new(libc::EINVAL))?;
            if group == 0 {
                return Err(Failure::new(libc::EPERM));
            }
            let found = of_group(world, group);
            if found.is_empty() {
                return Err(Failure::new(libc::ENODEV));
            }
            found
        }
    };
    if !gone.iter().all(|index| engine::is_deletable(world, *index)) {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    for index in gone {
        let before = world.events.len();
        engine::delete(world, index)?;
        if !request.has(libc::NLM_F_ECHO) {
            continue;
        }
        // Who wants an echo gets its own number in it.
        for event in world.events.iter_mut().skip(before) {
            let kind = memtun_stack::wire::u16_at(&event.message, 4);
            if kind == Some(libc::RTM_DELLINK) {
                event.message[8..12].copy_from_slice(&world.sequence.to_ne_bytes());
                event.message[12..16].copy_from_slice(&world.port.to_ne_bytes());
            }
        }
    }
    Ok(())
}

fn get(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    if request.message.body.len() < HEADER {
        return Err(Failure::said(libc::EINVAL, "Invalid header for get link"));
    }
    let header = Header::of(request);
    if request.is_strict() && !header.is_plain() {
        let text = "Invalid values in header for get link request";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let mode = if request.is_strict() {
        Mode::Known
    } else {
        Mode::Liberal
    };
    let tb = request.parse(HEADER, &policy::LINK, mode)?;
    let wanted = [
        libc::IFLA_IFNAME,
        ifla::ALT_IFNAME,
        libc::IFLA_EXT_MASK,
        ifla::TARGET_NETNSID,
    ];
    if request.is_strict() && tb.iter().any(|a| !wanted.contains(&a.kind)) {
        let text = "Unsupported attribute in get link request";
        return Err(Failure::said(libc::EINVAL, text));
    }
    one_namespace(&tb, true)?;
    target(&tb)?;
    let mask = tb.get(libc::IFLA_EXT_MASK).and_then(|a| a.u32());
    let found = find(world, header, &tb).ok_or(Failure::new(libc::EINVAL))?;
    let index = found.ok_or(Failure::new(libc::ENODEV))?;
    write(world, request, index, mask.unwrap_or(0), 0, to);
    Ok(())
}

/// Appends one link as an answer.
fn write(
    world: &World<'_>,
    request: &Request<'_>,
    index: u32,
    mask: u32,
    flags: u16,
    to: &mut Writer,
) {
    let own = world.links.iter().find(|link| link.extra.index == index);
    if let Some(link) = own {
        let head = request.head(libc::RTM_NEWLINK, flags);
        let why = message::Why {
            mask,
            ..message::Why::default()
        };
        message::write(world.state, link, to, head, why);
        return;
    }
    let mut machine = world.machine.links.iter();
    if let Some(own) = machine.find(|own| own.item.extra.index == index) {
        request.repeat(to, &own.message, flags);
    }
}

/// Returns the indexes of all links, ascending.
pub(super) fn indexes(world: &World<'_>) -> Vec<u32> {
    let machine = world.machine.links.iter().map(|own| &own.item);
    let mut all: Vec<u32> = machine
        .chain(&world.links)
        .map(|link| link.extra.index)
        .collect();
    all.sort_unstable();
    all
}

/// Returns what the machine's kernel said in an attribute of one of its links.
fn said(world: &World<'_>, index: u32, kind: u16) -> Option<Vec<u8>> {
    let mut machine = world.machine.links.iter();
    let own = machine.find(|own| own.item.extra.index == index)?;
    let whole = Messages(&own.message).next()?;
    let value = Attributes::behind(whole.body, HEADER).get(kind)?.value;
    Some(value.to_vec())
}

/// Returns the kind of a link (IFLA_INFO_KIND).
fn kind_of(world: &World<'_>, index: u32) -> Option<Vec<u8>> {
    if world.link(index)?.driver.is_some() {
        return Some(b"tun".to_vec());
    }
    let info = said(world, index, libc::IFLA_LINKINFO)?;
    let kind = Attributes::new(&info).get(libc::IFLA_INFO_KIND)?;
    Some(kind.string().to_vec())
}

fn dump(world: &mut World<'_>, request: &Request<'_>, to: &mut Writer) -> Result<(), Failure> {
    let length = request.message.body.len();
    let parsed = if request.is_strict() {
        if length < HEADER {
            let text = "Invalid header for link dump";
            return Err(Failure::said(libc::EINVAL, text));
        }
        let header = Header::of(request);
        if !header.is_plain() {
            let text = "Invalid values in header for link dump request";
            return Err(Failure::said(libc::EINVAL, text));
        }
        if header.index != 0 {
            let text = "Filter by device index not supported for link dumps";
            return Err(Failure::said(libc::EINVAL, text));
        }
        Some(request.parse(HEADER, &policy::LINK, Mode::Known)?)
    } else {
        // Old programs send a header of one byte.
        let header = if length < HEADER { 1 } else { HEADER };
        request.try_parse(header, &policy::LINK)
    };
    let (mut mask, mut master, mut kind) = (0, 0, None);
    for a in parsed.iter().flat_map(Parsed::iter) {
        match a.kind {
            ifla::TARGET_NETNSID => {
                let text = "Invalid target network namespace id";
                return Err(Failure::said(libc::EINVAL, text));
            }
            libc::IFLA_EXT_MASK => mask = a.u32().unwrap_or(0),
            libc::IFLA_MASTER => master = a.u32().unwrap_or(0),
            libc::IFLA_LINKINFO => {
                let info = request.parse_silently(a, &policy::INFO);
                let wanted = info.ok().and_then(|info| info.get(libc::IFLA_INFO_KIND));
                let wanted = wanted.map(|kind| kind.string().to_vec());
                // A kind that nobody knows filters nothing.
                kind = wanted.filter(|wanted| {
                    wanted == b"tun" || {
                        let mut all = indexes(world).into_iter();
                        all.any(|index| kind_of(world, index).as_ref() == Some(wanted))
                    }
                });
            }
            _ if request.is_strict() => {
                let text = "Unsupported attribute in link dump request";
                return Err(Failure::said(libc::EINVAL, text));
            }
            _ => {}
        }
    }
    let filtered = if master != 0 || kind.is_some() {
        DUMP_FILTERED
    } else {
        0
    };
    for index in indexes(world) {
        if master != 0 {
            let its = said(world, index, libc::IFLA_MASTER);
            let its = its.and_then(|its| memtun_stack::wire::u32_at(&its, 0));
            if its.unwrap_or(u32::MAX) != master {
                continue;
            }
        }
        if kind.is_some() && kind_of(world, index) != kind {
            continue;
        }
        write(world, request, index, mask, filtered, to);
    }
    Ok(())
}

/// Answers `bridge link`: no link of the net belongs to a bridge.
fn dump_bridge(_: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    if !request.is_strict() {
        request.try_parse(HEADER, &policy::LINK);
        return Ok(());
    }
    if request.message.body.len() < HEADER {
        let text = "Invalid header for bridge link dump";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let header = Header::of(request);
    if !header.is_plain() || header.index != 0 {
        let text = "Invalid values in header for bridge link dump request";
        return Err(Failure::said(libc::EINVAL, text));
    }
    let tb = request.parse(HEADER, &policy::LINK, Mode::Known)?;
    if tb.iter().any(|a| a.kind != libc::IFLA_EXT_MASK) {
        let text = "Unsupported attribute in bridge link dump request";
        return Err(Failure::said(libc::EINVAL, text));
    }
    Ok(())
}

/// Refuses what is set on a port of a bridge (`rtnl_bridge_setlink`, `rtnl_bridge_dellink`): there
/// are none.
fn set_bridge(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    const FLAGS: u16 = 0;
    const MODE: u16 = 1;
    if request.message.body.len() < HEADER {
        return Err(Failure::new(libc::EINVAL));
    }
    if world.link(Header::of(request).index as u32).is_none() {
        return Err(Failure::said(libc::ENODEV, "unknown ifindex"));
    }
    let mut all = Attributes::behind(request.message.body, HEADER);
    if let Some(all) = all.find(|a| a.kind == libc::IFLA_AF_SPEC) {
        let deletes = request.message.kind == libc::RTM_DELLINK;
        for a in all.attributes() {
            let looked = a.kind == FLAGS || a.kind == MODE && !deletes;
            if looked && a.value.len() < 2 {
                return Err(Failure::new(libc::EINVAL));
            }
            if deletes && a.kind == FLAGS {
                break;
            }
        }
    }
    Err(Failure::new(libc::EOPNOTSUPP))
}

fn dump_inet6(
    world: &mut World<'_>,
    request: &Request<'_>,
    to: &mut Writer,
) -> Result<(), Failure> {
    let length = request.message.body.len();
    if request.is_strict() {
        let refuse = |text| Err(Failure::said(libc::EINVAL, text));
        if length < HEADER {
            return refuse("ipv6: Invalid header for link dump request");
        }
        if length > HEADER {
            return refuse("ipv6: Invalid data after header");
        }
        let header = Header::of(request);
        if !header.is_plain() || header.index != 0 {
            return refuse("ipv6: Invalid values in header for dump request");
        }
    }
    for index in indexes(world) {
        let Some(link) = world
            .link(index)
            .filter(|link| conf::has_inet6(world.state, link))
        else {
            continue;
        };
        message::write_inet6(world.state, link, to, request.head(libc::RTM_NEWLINK, 0));
    }
    Ok(())
}

/// Carries out RTM_NEWLINKPROP and RTM_DELLINKPROP (`rtnl_linkprop`).
fn properties(world: &mut World<'_>, request: &Request<'_>, _: &mut Writer) -> Result<(), Failure> {
    let tb = request.parse(HEADER, &policy::LINK, Mode::Strict)?;
    one_namespace(&tb, true)?;
    let found = find(world, Header::of(request), &tb).ok_or(Failure::new(libc::EINVAL))?;
    let index = found.ok_or(Failure::new(libc::ENODEV))?;
    let Some(list) = tb.get(ifla::PROP_LIST) else {
        return Ok(());
    };
    let mut changed = false;
    for a in request.each_nested(list) {
        if a.kind != ifla::ALT_IFNAME {
            continue;
        }
        request.validate(&a, policy::LINK.policy(ifla::ALT_IFNAME), Mode::Strict)?;
        if request.message.kind == NEWLINKPROP {
            engine::add_name(world, index, a.string())?;
        } else {
            engine::remove_name(world, index, a.string())?;
        }
        changed = true;
    }
    if changed {
        engine::state_has_changed(world, index);
    }
    Ok(())
}
