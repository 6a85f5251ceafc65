//! What the listeners are told of links.
#![forbid(unsafe_code)]

use crate::message::{conf, link as message};
use crate::World;
use memtun_stack::address::Head;
use memtun_stack::wire::{Messages, Writer};
use memtun_stack::Link;

/// Tells the listeners about a link as it is now. `changed` are the flags that have changed.
pub(super) fn tell(world: &mut World<'_>, index: u32, changed: u32) {
    if let Some(link) = world.link(index).cloned() {
        tell_of(world, &link, libc::RTM_NEWLINK, changed);
    }
}

pub(super) fn tell_of(world: &mut World<'_>, link: &Link, kind: u16, changed: u32) {
    let head = Head {
        kind,
        ..Head::default()
    };
    let machine = world.machine.links.iter();
    let mut own = machine.filter(|own| own.item.extra.index == link.extra.index);
    let message = match own.next().and_then(|own| Messages(&own.message).next()) {
        // What the machine's kernel said of it, as an event.
        Some(whole) => {
            let mut body = whole.body.to_vec();
            if let Some(change) = body.get_mut(12..16) {
                change.copy_from_slice(&changed.to_ne_bytes());
            }
            let mut to = Writer::default();
            to.message(kind, 0, 0, 0).raw(&body);
            to.take()
        }
        None => {
            let mut to = Writer::default();
            let why = message::Why {
                changed,
                ..message::Why::default()
            };
            message::write(world.state, link, &mut to, head, why);
            to.take()
        }
    };
    world.tell(libc::RTNLGRP_LINK, message);
}

/// Tells the listeners that other work is left to the program behind a link
/// (`netdev_features_change`).
pub(super) fn tell_features(world: &mut World<'_>, link: &Link) {
    let mut to = Writer::default();
    let head = Head {
        kind: libc::RTM_NEWLINK,
        ..Head::default()
    };
    let why = message::Why {
        event: message::Why::FEATURES,
        ..message::Why::default()
    };
    message::write(world.state, link, &mut to, head, why);
    world.tell(libc::RTNLGRP_LINK, to.take());
}

/// Tells the listeners about the settings of a link (`inet_netconf_notify_devconf`): messages of
/// these types for IPv4, and then for IPv6.
pub(super) fn tell_conf(world: &mut World<'_>, link: &Link, kinds: &[u16]) {
    let families = [
        (libc::AF_INET, conf::V4_GROUP),
        (libc::AF_INET6, conf::V6_GROUP),
    ];
    for (family, group) in families {
        if family == libc::AF_INET6 && !conf::has_inet6(world.state, link) {
            continue;
        }
        for kind in kinds {
            tell_conf_of(world, link, family, group, *kind);
        }
    }
}

pub(super) fn tell_conf6(world: &mut World<'_>, link: &Link, kind: u16) {
    tell_conf_of(world, link, libc::AF_INET6, conf::V6_GROUP, kind);
}

/// Tells the listeners that IPv4 has begun or ended on a link, with a message of this type.
pub fn tell_conf4(world: &mut World<'_>, index: u32, kind: u16) {
    if let Some(link) = world.link(index).cloned() {
        tell_conf_of(world, &link, libc::AF_INET, conf::V4_GROUP, kind);
    }
}

/// Tells the listeners of `group` about the settings of one family.
pub(super) fn tell_conf_of(world: &mut World<'_>, link: &Link, family: i32, group: u32, kind: u16) {
    let mut to = Writer::default();
    let head = Head {
        kind,
        ..Head::default()
    };
    let of = conf::Of::Link(link);
    conf::write_netconf(
        world.state,
        family as u8,
        of,
        &mut to,
        head,
        conf::EVERYTHING,
    );
    world.tell(group, to.take());
}

/// Tells the listeners what IPv6 says of a link (`inet6_ifinfo_notify`).
pub(super) fn tell_inet6(world: &mut World<'_>, index: u32) {
    let link = world.link(index).cloned();
    if let Some(link) = link.filter(|link| conf::has_inet6(world.state, link)) {
        let mut to = Writer::default();
        let head = Head {
            kind: libc::RTM_NEWLINK,
            ..Head::default()
        };
        message::write_inet6(world.state, &link, &mut to, head);
        world.tell(libc::RTNLGRP_IPV6_IFINFO, to.take());
    }
}
