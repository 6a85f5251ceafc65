//! What is changed on a link, in the kernel's order (`do_setlink`).
#![forbid(unsafe_code)]

use super::link_policy::{self as policy, Header};
use super::policy::{Mode, Parsed};
use super::request::Request;
use crate::engine::link as engine;
use crate::message::conf;
use crate::message::link::{self as message, ifla};
use crate::{Failure, World};
use memtun_stack::wire::Attribute;

/// Which event follows in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    /// Listeners are told, if the link is up.
    Notify,
}

/// Carries out what the attributes and the header of a request change on the link.
pub(super) fn set(
    world: &mut World<'_>,
    request: &Request<'_>,
    header: Header,
    tb: &Parsed<'_>,
    index: u32,
) -> Result<(), Failure> {
    validate(world, request, tb, index)?;
    let mut result = Ok(());
    // Whatever waits for the lock of rtnetlink comes behind the whole request.
    world.with_work_queue(|world| {
        let mut after = After::Nothing;
        result = change(world, request, header, tb, index, &mut after);
        if after == After::Notify {
            engine::state_has_changed(world, index);
        }
    });
    result
}

/// Checks what is checked before anything changes (`validate_linkmsg`).
fn validate(
    world: &World<'_>,
    request: &Request<'_>,
    tb: &Parsed<'_>,
    index: u32,
) -> Result<(), Failure> {
    let link = engine::get(world, index)?;
    let length = link.extra.address.len();
    for kind in [libc::IFLA_ADDRESS, libc::IFLA_BROADCAST] {
        if tb.get(kind).is_some_and(|a| a.value.len() < length) {
            return Err(Failure::new(libc::EINVAL));
        }
    }
    /// GRO_MAX_SIZE.
    const GRO: u32 = 8 * 65535;
    let tso = message::tso_max_size(link);
    let limits = [
        (ifla::GSO_MAX_SIZE, tso, "too big gso_max_size"),
        (
            ifla::GSO_MAX_SEGS,
            message::MAX_SEGS,
            "too big gso_max_segs",
        ),
        (ifla::GRO_MAX_SIZE, GRO, "too big gro_max_size"),
        (ifla::GSO_IPV4_MAX_SIZE, tso, "too big gso_ipv4_max_size"),
        (ifla::GRO_IPV4_MAX_SIZE, GRO, "too big gro_ipv4_max_size"),
    ];
    for (kind, most, text) in limits {
        if tb.get(kind).and_then(|a| a.u32()).is_some_and(|n| n > most) {
            return Err(Failure::said(libc::EINVAL, text));
        }
    }
    let Some(families) = tb.get(libc::IFLA_AF_SPEC) else {
        return Ok(());
    };
    for family in request.each_nested(families) {
        match i32::from(family.kind) {
            libc::AF_INET if !conf::has_inet4(link) => {
                return Err(Failure::new(libc::EAFNOSUPPORT));
            }
            libc::AF_INET => validate_inet(request, family)?,
            libc::AF_INET6 => {
                if !conf::has_inet6(world.state, link) {
                    return Err(Failure::new(libc::EAFNOSUPPORT));
                }
                let tb = request.parse_nested(family, &policy::INET6, Mode::Liberal)?;
                if !tb.has(7) && !tb.has(8) {
                    return Err(Failure::new(libc::EINVAL));
                }
                let of = conf::Of::Link(link);
                // Addresses that stay the same need a secret, which random ones have made.
                let secret = conf::is_set_v6(world.state, of, "stable_secret");
                match tb.get(8).and_then(|a| a.u8()) {
                    Some(4..) => return Err(Failure::new(libc::EINVAL)),
                    Some(2) if !secret => return Err(Failure::new(libc::EINVAL)),
                    _ => {}
                }
            }
            // Bridges tell something in this attribute, but let nothing be set.
            libc::AF_BRIDGE => return Err(Failure::new(libc::EOPNOTSUPP)),
            _ => return Err(Failure::new(libc::EAFNOSUPPORT)),
        }
    }
    Ok(())
}

fn validate_inet(request: &Request<'_>, family: Attribute<'_>) -> Result<(), Failure> {
    let within = request.at(family.at);
    let Some(family) = within else {
        return Err(Failure::new(libc::EINVAL));
    };
    let tb = request.parse_nested(family, &policy::INET, Mode::Liberal)?;
    let Some(settings) = tb.get(1) else {
        return Ok(());
    };
    for setting in request.each_nested(settings) {
        if setting.value.len() < 4 || !(1..=33).contains(&setting.kind) {
            return Err(Failure::new(libc::EINVAL));
        }
    }
    Ok(())
}

fn change(
    world: &mut World<'_>,
    request: &Request<'_>,
    header: Header,
    tb: &Parsed<'_>,
    index: u32,
    after: &mut After,
) -> Result<(), Failure> {
    let unsupported = || Err(Failure::new(libc::EOPNOTSUPP));
    let number = |kind| tb.get(kind).and_then(|a| a.u32());
    if tb.has(libc::IFLA_MAP) {
        return unsupported();
    }
    if let Some(address) = tb.get(libc::IFLA_ADDRESS) {
        engine::set_address(world, index, address.value)?;
    }
    if let Some(mtu) = number(libc::IFLA_MTU) {
        engine::set_mtu(world, index, mtu)?;
    }
    if let Some(group) = number(libc::IFLA_GROUP) {
        engine::set_group(world, index, group)?;
        *after = After::Notify;
    }
    // A link that was found by its index gets the name.
    let name = tb.get(libc::IFLA_IFNAME).map_or(&[][..], |a| a.string());
    if header.index > 0 && !name.is_empty() {
        engine::rename(world, index, name)?;
    }
    if let Some(alias) = tb.get(libc::IFLA_IFALIAS) {
        engine::set_alias(world, index, alias.value)?;
        *after = After::Notify;
    }
    if let Some(address) = tb.get(libc::IFLA_BROADCAST) {
        engine::set_broadcast(world, index, address.value)?;
    }
    if header.flags != 0 || header.change != 0 {
        let now = engine::get(world, index)?.extra.flags;
        let flags = match header.change {
            0 => header.flags,
            mask => header.flags & mask | now & !mask,
        };
        engine::set_flags(world, index, flags)?;
    }
    match number(libc::IFLA_MASTER) {
        Some(0) | None => {}
        Some(master) if world.link(master).is_none() => {
            return Err(Failure::new(libc::EINVAL));
        }
        Some(_) => return unsupported(),
    }
    if let Some(carrier) = tb.get(ifla::CARRIER).and_then(|a| a.u8()) {
        engine::set_carrier(world, index, carrier != 0)?;
    }
    if let Some(packets) = number(libc::IFLA_TXQLEN) {
        engine::set_txqueuelen(world, index, packets)?;
    }
    let limits = [
        ifla::GSO_MAX_SIZE,
        ifla::GSO_MAX_SEGS,
        ifla::GRO_MAX_SIZE,
        ifla::GSO_IPV4_MAX_SIZE,
        ifla::GRO_IPV4_MAX_SIZE,
    ];
    for kind in limits {
        if let Some(limit) = number(kind) {
            engine::set_limit(world, index, kind, limit)?;
        }
    }
    if let Some(state) = tb.get(libc::IFLA_OPERSTATE).and_then(|a| a.u8()) {
        engine::set_operstate(world, index, state)?;
    }
    if let Some(mode) = tb.get(libc::IFLA_LINKMODE).and_then(|a| a.u8()) {
        if engine::set_link_mode(world, index, mode)? {
            *after = After::Notify;
        }
    }
    if let Some(list) = tb.get(libc::IFLA_VFINFO_LIST) {
        // No link has virtual functions. An empty description of one is invalid.
        if let Some(one) = request.each_nested(list).next() {
            if one.kind != 1 {
                return Err(Failure::new(libc::EINVAL));
            }
            let mut about = request.each_nested(one).map(|a| a.kind);
            let known = about.any(|kind| (1..=13).contains(&kind));
            let errno = if known {
                libc::EOPNOTSUPP
            } else {
                libc::EINVAL
            };
            return Err(Failure::new(errno));
        }
    }
    if tb.has(libc::IFLA_VF_PORTS) {
        return unsupported();
    }
    if let Some(port) = tb.get(libc::IFLA_PORT_SELF) {
        request.parse_silently(port, &policy::PORT)?;
        return unsupported();
    }
    if let Some(families) = tb.get(libc::IFLA_AF_SPEC) {
        for family in request.each_nested(families) {
            set_family(world, request, family, index)?;
            *after = After::Notify;
        }
    }
    if tb.has(ifla::PROTO_DOWN) || tb.has(ifla::PROTO_DOWN_REASON) {
        let text = "Protodown not supported by device";
        return Err(Failure::said(libc::EOPNOTSUPP, text));
    }
    if let Some(xdp) = tb.get(ifla::XDP) {
        set_xdp(request, xdp, after)?;
    }
    Ok(())
}

/// Sets what a family of addresses lets be set (`inet_set_link_af`, `inet6_set_link_af`).
fn set_family(
    world: &mut World<'_>,
    request: &Request<'_>,
    family: Attribute<'_>,
    index: u32,
) -> Result<(), Failure> {
    let Some(family) = request.at(family.at) else {
        return Err(Failure::new(libc::EINVAL));
    };
    // An mtu that the same request has set can have ended IPv4 or IPv6.
    let link = engine::get(world, index)?;
    let has = match i32::from(family.kind) {
        libc::AF_INET => conf::has_inet4(link),
        _ => conf::has_inet6(world.state, link),
    };
    if !has {
        return Err(Failure::new(libc::EAFNOSUPPORT));
    }
    if i32::from(family.kind) == libc::AF_INET {
        let tb = request.parse_nested(family, &policy::INET, Mode::Liberal)?;
        if let Some(settings) = tb.get(1) {
            for setting in request.each_nested(settings) {
                let value = setting.u32().unwrap_or(0) as i32;
                conf::set_v4(world.state, index, setting.kind, value);
            }
        }
        return Ok(());
    }
    let tb = request.parse_nested(family, &policy::INET6, Mode::Liberal)?;
    if let Some(token) = tb.get(7) {
        let link = engine::get(world, index)?;
        let has = |flag: i32| link.extra.flags & flag as u32 != 0;
        let of = conf::Of::Link(link);
        let accepts = match conf::v6(world.state, of, "accept_ra") {
            2 => true,
            0 => false,
            _ => conf::v6(world.state, of, "forwarding") == 0,
        };
        let refuse = |text| Err(Failure::said(libc::EINVAL, text));
        if has(libc::IFF_LOOPBACK) {
            return refuse("ipv6: Device is loopback");
        }
        if has(libc::IFF_NOARP) {
            return refuse("ipv6: Device does not do neighbour discovery");
        }
        if !accepts {
            return refuse("ipv6: Router advertisement is disabled on device");
        }
        if conf::v6(world.state, of, "router_solicitations") == 0 {
            return refuse("Router solicitation is disabled on device");
        }
        // Only the half that tells hosts apart counts.
        let mut kept = [0; 16];
        if let Some(half) = token.value.get(8..16) {
            kept[8..].copy_from_slice(half);
        }
        engine::set_token(world, index, kept)?;
    }
    if let Some(mode) = tb.get(8).and_then(|a| a.u8()) {
        conf::set_v6(world.state, index, "addr_gen_mode", mode.into());
    }
    Ok(())
}

/// Refuses programs of XDP: taking away the one that is not there succeeds.
fn set_xdp(request: &Request<'_>, xdp: Attribute<'_>, after: &mut After) -> Result<(), Failure> {
    const MODES: u32 = 0xe;
    const REPLACE: u32 = 0x10;
    let Some(xdp) = request.at(xdp.at) else {
        return Err(Failure::new(libc::EINVAL));
    };
    let tb = request.parse_silently(xdp, &policy::XDP)?;
    let flags = tb.get(3).and_then(|a| a.u32()).unwrap_or(0);
    let invalid = tb.has(2)
        || tb.has(4)
        || flags & !0x1f != 0
        || (flags & MODES).count_ones() > 1
        || tb.has(1) && flags & REPLACE != 0 && !tb.has(8);
    if invalid {
        return Err(Failure::new(libc::EINVAL));
    }
    match tb.get(1).and_then(|a| a.u32()) {
        Some(fd) if fd as i32 >= 0 => Err(Failure::new(libc::EBADF)),
        Some(_) => {
            *after = After::Notify;
            Ok(())
        }
        None => Ok(()),
    }
}
