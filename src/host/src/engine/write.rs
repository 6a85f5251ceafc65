//! Writing into a file under /proc/sys/net or /sys/class/net, and what follows from it
//! (net/ipv4/devinet.c, net/ipv6/addrconf.c, net/core/neighbour.c, net/core/net-sysfs.c).
#![forbid(unsafe_code)]

use crate::engine::{address, link, netconf};
use crate::message::conf;
use crate::{Failure, World};
use memtun_abi::Name;
use memtun_stack::view::place::{self, Place, Settings};
use memtun_stack::view::sysctl::{self, Entry, Kind};
use memtun_stack::view::wide;
use memtun_stack::view::write::number;
use memtun_stack::Link;

/// Whose a setting is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A link's of the net.
    Link(u32),
    /// A link's of the machine, or that of `all` or `default`.
    Named(Name),
}

/// Carries out a write of `value` at the beginning of a file, whose path below / is given.
///
/// # Errors
///
/// - ENOENT when there is no such file, or nothing that the host changes.
/// - ENODEV when its link is gone.
/// - EINVAL for what is no value, and what else write(2) fails with.
pub fn write(world: &mut World<'_>, path: &[u8], value: &[u8]) -> Result<(), Failure> {
    // The directory of all links has links to their own.
    let whole = match path.strip_prefix(b"sys/class/net/") {
        Some(below) => [place::VIRTUAL, b"/", below].concat(),
        None => [b"/", path].concat(),
    };
    match Place::of(&whole) {
        Place::Setting(settings, name, Some(entry)) => set(world, settings, &name, entry, value),
        Place::Device(name, attribute) | Place::Card(name, attribute) => {
            let link = world.link_named(name.as_bytes());
            let index = link.ok_or(Failure::new(libc::ENODEV))?.extra.index;
            describe(world, index, attribute, value)
        }
        Place::Setting(..) | Place::Wide(_) => keep(world, path, value),
        _ => Err(Failure::new(libc::ENOENT)),
    }
}

/// Keeps a setting of the network stack that is no link's.
fn keep(world: &mut World<'_>, path: &[u8], value: &[u8]) -> Result<(), Failure> {
    /// Most settings that a net keeps.
    const MOST: usize = 4096;
    let setting = path.strip_prefix(b"proc/sys/net/");
    let setting = setting.ok_or(Failure::new(libc::ENOENT))?;
    let odd = |part: &[u8]| part.is_empty() || part.starts_with(b".") || part.starts_with(b"#");
    if setting.split(|b| *b == b'/').any(odd) {
        return Err(Failure::new(libc::ENOENT));
    }
    let kind = wide::kind(setting).unwrap_or(Kind::Words);
    let Some(value) = sysctl::parse(kind, value)?.value else {
        return Err(Failure::new(libc::EINVAL));
    };
    let is_new = !world.state.sysctls.iter().any(|set| set.path == setting);
    if is_new && world.state.sysctls.len() >= MOST {
        return Err(Failure::new(libc::ENOSPC));
    }
    world.set(setting.to_vec(), value.bytes().to_vec());
    Ok(())
}

/// Changes what only the host knows of a link.
fn describe(
    world: &mut World<'_>,
    index: u32,
    attribute: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    let text = value.strip_suffix(b"\n").unwrap_or(value);
    match attribute {
        b"ifalias" => link::set_alias(world, index, text),
        b"mtu" => link::set_mtu(world, index, number(value)? as u32),
        b"flags" => link::set_flags(world, index, number(value)? as u32),
        b"tx_queue_len" => link::set_txqueuelen(world, index, number(value)? as u32),
        b"netdev_group" => link::set_group(world, index, number(value)? as u32),
        _ => Err(Failure::new(libc::ENOENT)),
    }
}

fn set(
    world: &mut World<'_>,
    settings: Settings,
    name: &Name,
    entry: Entry,
    value: &[u8],
) -> Result<(), Failure> {
    let Some(value) = sysctl::parse(entry.kind, value)?.value else {
        return Ok(());
    };
    let value = value.bytes().to_vec();
    let of = match world.links.iter().find(|link| link.extra.name == *name) {
        Some(link) => Of::Link(link.extra.index),
        None => Of::Named(*name),
    };
    let is = |named: &[u8]| matches!(of, Of::Named(name) if name.as_bytes() == named);
    if is(b"default") {
        keep_for_links(world, settings, entry);
    }
    if entry.kind == Kind::Secret && is(b"all") {
        return Err(Failure::new(libc::EIO));
    }
    let before = number_of(world, settings, of, entry);
    let heard = netconf::Heard::of(world, settings, entry.name);
    let indices = world.links.iter().map(|link| link.extra.index);
    let were_off: Vec<(u32, bool)> = indices
        .map(|index| {
            (
                index,
                world.own_setting_of("ipv6", index, "disable_ipv6") != 0,
            )
        })
        .collect();
    let links = world.links.iter();
    let modes: Vec<(u32, i32)> = links
        .map(|link| {
            let mode = conf::v6(world.state, conf::Of::Link(link), "addr_gen_mode");
            (link.extra.index, mode)
        })
        .collect();
    put(world, settings, of, entry.name, &value);
    // What is set to the number that it has already has no consequences.
    let same = before.is_some_and(|before| before.to_string().as_bytes() == value);
    match (settings, entry.name) {
        (Settings::Conf4, "forwarding") if same => {}
        (Settings::Conf4, "forwarding") if is(b"all") => {
            // A router does not believe redirects (`inet_forward_change`).
            let redirects: &[u8] = if value == b"0" { b"1" } else { b"0" };
            put(world, settings, of, "accept_redirects", redirects);
            for_all(world, settings, entry.name, &value);
        }
        (Settings::Conf6, "forwarding" | "ignore_routes_with_linkdown") if is(b"all") => {
            for_all(world, settings, entry.name, &value);
        }
        (Settings::Conf6, "force_forwarding") if is(b"all") => {
            for_links(world, settings, entry.name, &value);
        }
        // Who has a secret makes its addresses of it (`addrconf_sysctl_stable_secret`).
        (Settings::Conf6, "stable_secret") if is(b"default") => {
            for_links(world, settings, "addr_gen_mode", b"2");
        }
        (Settings::Conf6, "stable_secret") => put(world, settings, of, "addr_gen_mode", b"2"),
        (Settings::Conf6, "disable_ipv6") => {
            if is(b"all") {
                for_all(world, settings, entry.name, &value);
            }
            for (index, was_off) in were_off {
                if is(b"all") || of == Of::Link(index) {
                    switch(world, index, was_off, value != b"0");
                }
            }
        }
        // `addrconf_sysctl_addr_gen_mode`: whoever is told to make other addresses makes them at
        // once, also while the link is down.
        (Settings::Conf6, "addr_gen_mode") => match of {
            Of::Link(index) if !same => {
                make_addresses(world, index);
                // What is shown then is what was written, whatever was made of it.
                put(world, settings, of, entry.name, &value);
            }
            Of::Named(_) if is(b"all") => {
                for_all(world, settings, entry.name, &value);
                for (index, mode) in modes {
                    if mode.to_string().as_bytes() != value {
                        make_addresses(world, index);
                    }
                }
            }
            _ => {}
        },
        // These are one number in two units.
        (Settings::Neigh4 | Settings::Neigh6, "base_reachable_time") => {
            in_other_unit(world, settings, of, "base_reachable_time_ms", &value, |n| {
                n * 1000
            });
        }
        (Settings::Neigh4 | Settings::Neigh6, "base_reachable_time_ms") => {
            in_other_unit(world, settings, of, "base_reachable_time", &value, |n| {
                n / 1000
            });
        }
        (Settings::Neigh4, "retrans_time") => {
            in_other_unit(world, settings, of, "retrans_time_ms", &value, |n| n * 10);
        }
        (Settings::Neigh4, "retrans_time_ms") => {
            in_other_unit(world, settings, of, "retrans_time", &value, |n| n / 10);
        }
        (Settings::Neigh6, "retrans_time") => {
            let ticks = 1000 / sysctl::HZ;
            in_other_unit(world, settings, of, "retrans_time_ms", &value, |n| {
                n * ticks
            });
        }
        (Settings::Neigh6, "retrans_time_ms") => {
            let ticks = 1000 / sysctl::HZ;
            in_other_unit(world, settings, of, "retrans_time", &value, |n| n / ticks);
        }
        (Settings::Neigh4 | Settings::Neigh6, "unres_qlen") => {
            let bytes = sysctl::PACKET;
            in_other_unit(world, settings, of, "unres_qlen_bytes", &value, |n| {
                n * bytes
            });
        }
        (Settings::Neigh4 | Settings::Neigh6, "unres_qlen_bytes") => {
            let bytes = sysctl::PACKET;
            in_other_unit(world, settings, of, "unres_qlen", &value, |n| n / bytes);
        }
        _ => {}
    }
    if let Some(heard) = heard {
        heard.tell(world, is(b"all"));
    }
    Ok(())
}

/// Returns the number that a setting has. None where it is none.
fn number_of(world: &World<'_>, settings: Settings, of: Of, entry: Entry) -> Option<i64> {
    let own = world.setting(&path(settings, of, entry.name));
    own.or_else(|| match of {
        Of::Link(_) => world.setting(&path(
            settings,
            Of::Named(Name::new(b"default")?),
            entry.name,
        )),
        Of::Named(_) => None,
    })
    .or_else(|| entry.fresh.parse().ok())
}

/// Gives a link with IPv6 the addresses that it makes by itself.
fn make_addresses(world: &mut World<'_>, index: u32) {
    let disabled = world.own_setting_of("ipv6", index, "disable_ipv6") != 0;
    let link = world.link(index);
    if !disabled && link.is_some_and(|link| conf::has_inet6(world.state, link)) {
        address::v6::add_own_addresses(world, index);
    }
}

/// The path of a setting in the state.
fn path(settings: Settings, of: Of, name: &str) -> Vec<u8> {
    let directory = settings.directory();
    match of {
        Of::Link(index) => format!("{directory}/#{index}/{name}").into_bytes(),
        Of::Named(of) => [
            directory.as_bytes(),
            b"/",
            of.as_bytes(),
            b"/",
            name.as_bytes(),
        ]
        .concat(),
    }
}

fn put(world: &mut World<'_>, settings: Settings, of: Of, name: &str, value: &[u8]) {
    world.set(path(settings, of, name), value.to_vec());
}

/// Sets the same for new links and for every link.
fn for_all(world: &mut World<'_>, settings: Settings, name: &str, value: &[u8]) {
    if let Some(default) = Name::new(b"default") {
        put(world, settings, Of::Named(default), name, value);
    }
    for_links(world, settings, name, value);
}

/// Sets the same for every link. That of the machine's stays in the net, under their names.
fn for_links(world: &mut World<'_>, settings: Settings, name: &str, value: &[u8]) {
    let own = world.links.iter().map(|link| Of::Link(link.extra.index));
    let machine = world.machine.links.iter();
    let machine = machine.map(|link| Of::Named(link.item.extra.name));
    let links: Vec<Of> = own.chain(machine).collect();
    for of in links {
        put(world, settings, of, name, value);
    }
}

/// The settings of IPv4 that links do not take over when those of new links change: they have
/// handlers of their own (`devinet_sysctl_forward`, `ipv4_doint_and_flush`).
const NOT_COPIED: [&str; 6] = [
    "forwarding",
    "disable_xfrm",
    "disable_policy",
    "promote_secondaries",
    "route_localnet",
    "drop_unicast_in_l2_multicast",
];

/// Notes for each link what it has now, because what new links have is about to change. A link
/// that has its own settings does not follow that any more (`devinet_copy_dflt_conf`,
/// `neigh_copy_dflt_parms`).
fn keep_for_links(world: &mut World<'_>, settings: Settings, entry: Entry) {
    let Some(default) = Name::new(b"default").map(Of::Named) else {
        return;
    };
    let common = path(settings, default, entry.name);
    let set = world.state.sysctls.iter().find(|set| set.path == common);
    let now = set.map_or(entry.fresh.as_bytes().to_vec(), |set| set.value.clone());
    if now.is_empty() {
        return;
    }
    let keeps = |link: &&Link| match settings {
        Settings::Conf4 | Settings::Neigh4 => {
            let begins = conf::begins_with_default("ipv4", conf::Of::Link(link), entry.name);
            begins && (link.extra.settled || NOT_COPIED.contains(&entry.name))
        }
        Settings::Conf6 => conf::begins_with_default("ipv6", conf::Of::Link(link), entry.name),
        Settings::Neigh6 => false,
    };
    let links = world.links.iter().filter(keeps);
    let indices: Vec<u32> = links.map(|link| link.extra.index).collect();
    for index in indices {
        let own = path(settings, Of::Link(index), entry.name);
        if !world.state.sysctls.iter().any(|set| set.path == own) {
            world.set(own, now.clone());
        }
    }
}

/// Sets what is the same number in another unit.
fn in_other_unit(
    world: &mut World<'_>,
    settings: Settings,
    of: Of,
    name: &str,
    value: &[u8],
    convert: impl Fn(i64) -> i64,
) {
    let number = std::str::from_utf8(value).ok().and_then(|t| t.parse().ok());
    if let Some(number) = number {
        let other = convert(number).to_string();
        put(world, settings, of, name, other.as_bytes());
    }
}

/// Switches IPv6 of a link off or on (`addrconf_disable_ipv6`).
fn switch(world: &mut World<'_>, index: u32, was_off: bool, is_off: bool) {
    if was_off == is_off {
        return;
    }
    if is_off {
        address::v6::link_is_down(world, index);
        link::inet6_is_switched(world, index, false);
    } else if world.link(index).is_some_and(|link| link.is_up()) {
        address::v6::link_is_up(world, index);
        link::inet6_is_switched(world, index, true);
    }
}
