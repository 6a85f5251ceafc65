//! The links as they are now, with what the host knows of each beside what its driver says.
#![forbid(unsafe_code)]

use crate::message::{conf, link as message};
use crate::{Failure, World};
use memtun_abi::Errno;
use memtun_stack::wire::{Messages, Writer, NESTED};
use memtun_stack::{Extra, Link};

pub(super) use memtun_kernel::link::SETTABLE;

pub(super) const UP: u32 = libc::IFF_UP as u32;
pub(super) const RUNNING: u32 = libc::IFF_RUNNING as u32;

/// Takes the links as they are now, with what the host knows of each.
pub(super) fn arrange(world: &mut World<'_>) -> Result<(), Errno> {
    let mut links = world.devices.links()?;
    for link in &mut links {
        if let Some(known) = known(world, link.extra.index) {
            let now = std::mem::take(&mut link.extra);
            link.extra = Extra {
                name: now.name,
                flags: now.flags,
                mtu: now.mtu,
                txqueuelen: now.txqueuelen,
                link_type: now.link_type,
                broadcast: if known.broadcast.len() == now.address.len() {
                    known.broadcast.clone()
                } else {
                    now.broadcast
                },
                address: now.address,
                carrier_ups: now.carrier_ups,
                carrier_downs: now.carrier_downs,
                notified: now.notified,
                ..known
            };
        }
    }
    for extra in world.state.links.iter().filter(|extra| extra.declared) {
        let mut extra = extra.clone();
        extra.flags &= !RUNNING;
        if extra.flags & UP != 0 {
            extra.flags |= RUNNING;
        }
        links.push(Link {
            extra,
            carrier: true,
            counters: Default::default(),
            driver: None,
        });
    }
    links.sort_by_key(|link| link.extra.index);
    world.links = links;
    let state = &world.state.links;
    for own in &mut world.machine.links {
        let index = own.item.extra.index;
        if let Some(extra) = state.iter().find(|e| e.index == index && !e.declared) {
            own.item.extra = extra.clone();
            if let Some(message) = overlaid(&own.message, &own.item) {
                own.message = message;
            }
        }
    }
    Ok(())
}

/// Returns the message of the machine's kernel with what was changed in the net.
fn overlaid(message: &[u8], link: &Link) -> Option<Vec<u8>> {
    use memtun_stack::wire::Attributes;
    let whole = Messages(message).next()?;
    let extra = &link.extra;
    let header = memtun_stack::link::HEADER;
    let mut own = whole.body.get(..header)?.to_vec();
    let kept = u32::from_ne_bytes(own[8..12].try_into().ok()?);
    let shown = extra.flags & 0xffff | kept & !0xffff;
    own[8..12].copy_from_slice(&shown.to_ne_bytes());
    let mut to = Writer::default();
    to.message(whole.kind, whole.flags, whole.sequence, whole.port)
        .raw(&own);
    let mut names = !extra.other_names.is_empty();
    let list = |to: &mut Writer| {
        let open = to.begin(message::ifla::PROP_LIST | NESTED);
        for name in &extra.other_names {
            to.string(message::ifla::ALT_IFNAME, name);
        }
        to.end(open);
    };
    for a in Attributes::behind(whole.body, header) {
        let kind = a.kind | if a.nested { NESTED } else { 0 };
        match a.kind {
            libc::IFLA_IFNAME => to.string(kind, extra.name.as_bytes()),
            libc::IFLA_MTU => to.u32(kind, extra.mtu),
            libc::IFLA_TXQLEN => to.u32(kind, extra.txqueuelen),
            libc::IFLA_GROUP => to.u32(kind, extra.group),
            libc::IFLA_LINKMODE => to.u8(kind, extra.link_mode),
            libc::IFLA_ADDRESS => to.attribute(kind, &extra.address),
            libc::IFLA_BROADCAST => to.attribute(kind, &extra.broadcast),
            // What the machine's driver said holds as long as nobody has set the link up or down.
            libc::IFLA_OPERSTATE if (kept ^ shown) & libc::IFF_UP as u32 != 0 => {
                to.u8(kind, message::operstate(link))
            }
            libc::IFLA_CARRIER => {
                to.attribute(kind, a.value);
                if !extra.alias.is_empty() {
                    to.string(libc::IFLA_IFALIAS, &extra.alias);
                }
                &mut to
            }
            libc::IFLA_IFALIAS => &mut to,
            message::ifla::PROP_LIST => {
                if names {
                    list(&mut to);
                }
                names = false;
                &mut to
            }
            _ => to.attribute(kind, a.value),
        };
    }
    if names {
        list(&mut to);
    }
    Some(to.take())
}

/// Returns what the host knew of a link when it last looked. Of the machine's links it knows
/// those on which something was changed.
pub(super) fn known(world: &World<'_>, index: u32) -> Option<Extra> {
    let mut known = world.state.links.iter();
    known.find(|extra| extra.index == index).cloned()
}

/// Notes what is known of a link.
pub(super) fn note(world: &mut World<'_>, extra: Extra) {
    if world.state.links.contains(&extra) {
        return;
    }
    let mut known = world.state.links.iter_mut();
    match known.find(|known| known.index == extra.index) {
        Some(known) => *known = extra,
        None => world.state.links.push(extra),
    }
}

/// Changes what is known of a link, and takes the links anew.
pub(super) fn change(
    world: &mut World<'_>,
    index: u32,
    run: impl FnOnce(&mut Extra),
) -> Result<(), Failure> {
    let Some(link) = world.link(index) else {
        return Err(Failure::new(libc::ENODEV));
    };
    let mut extra = link.extra.clone();
    run(&mut extra);
    note(world, extra);
    Ok(arrange(world)?)
}

/// Returns a link.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn get<'w>(world: &'w World<'_>, index: u32) -> Result<&'w Link, Failure> {
    world.link(index).ok_or(Failure::new(libc::ENODEV))
}

/// Returns the place among the links of a family for one on which it begins now, see
/// [`Extra::ip_since`].
pub(super) fn newest(world: &World<'_>, family: usize) -> u32 {
    let all = world.state.links.iter().map(|extra| extra.ip_since[family]);
    all.max().unwrap_or(0).wrapping_add(1)
}

/// IPv4 has begun anew on a link, or ended there, because of its mtu.
pub fn inet4_is_switched(world: &mut World<'_>, index: u32, on: bool) {
    let place = newest(world, 0);
    let _ = change(world, index, |extra| {
        extra.without_inet4 = !on;
        extra.ip_since[0] = place;
        extra.settled = false;
    });
    if on {
        conf::begin_v4(world.state, index);
    }
}

/// Notes that a link has asked for routers.
pub fn routers_are_asked(world: &mut World<'_>, index: u32) {
    if !world.is_of_machine(index) {
        let _ = change(world, index, |extra| extra.asked = true);
    }
}

/// Notes that a link has got all of its settings of IPv4, because somebody gives it an address
/// (`ipv4_devconf_setall`).
pub fn is_settled(world: &mut World<'_>, index: u32) {
    if !world.is_of_machine(index) {
        let _ = change(world, index, |extra| extra.settled = true);
    }
}

/// Notes the addresses of all routers of a link's networks, which nobody is told of. Of a link that
/// is gone nothing is noted.
pub fn set_anycasts(world: &mut World<'_>, index: u32, all: Vec<[u8; 16]>) {
    let _ = change(world, index, |extra| extra.anycasts = all);
}
