//! Requests for an interface of the net that memtun does not have: one line each at level `warn`, so that whoever sees his
//! program fail sees why. They are not passed on: the host has no such interface, or another one.
#![forbid(unsafe_code)]

use crate::table::ProcessTunnel;
use memtun_abi::Errno;
use memtun_shm::layout::InterfaceState;
use memtun_shm::load_name;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the program gets.
const REFUSED: Errno = Errno(libc::EOPNOTSUPP);

/// Names of linux/sockios.h.
const NAMES: &[(u32, &str)] = &[
    (0x890b, "SIOCADDRT"),
    (0x890c, "SIOCDELRT"),
    (0x8916, "SIOCSIFADDR"),
    (0x8918, "SIOCSIFDSTADDR"),
    (0x891a, "SIOCSIFBRDADDR"),
    (0x891c, "SIOCSIFNETMASK"),
    (0x8926, "SIOCSIFENCAP"),
    (0x8930, "SIOCSIFSLAVE"),
    (0x8931, "SIOCADDMULTI"),
    (0x8932, "SIOCDELMULTI"),
    (0x8936, "SIOCDIFADDR"),
    (0x8937, "SIOCSIFHWBROADCAST"),
    (0x8946, "SIOCETHTOOL"),
    (0x894a, "SIOCWANDEV"),
    (0x8953, "SIOCDARP"),
    (0x8954, "SIOCGARP"),
    (0x8955, "SIOCSARP"),
    (0x8971, "SIOCSIFMAP"),
    (0x8990, "SIOCBONDENSLAVE"),
    (0x8991, "SIOCBONDRELEASE"),
    (0x89a2, "SIOCBRADDIF"),
    (0x89a3, "SIOCBRDELIF"),
    (0x89b0, "SIOCSHWTSTAMP"),
    (0x89b1, "SIOCGHWTSTAMP"),
];

/// What has been said: what was asked and the interface's index. When it is full, the rest is not said.
static SAID: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

fn is_new(what: u32, interface: &InterfaceState) -> bool {
    let key = (what as u64) << 32 | interface.ifindex.load(Relaxed) as u64;
    for place in &SAID {
        match place.compare_exchange(0, key, Relaxed, Relaxed) {
            Ok(_) => return true,
            Err(said) if said == key => return false,
            Err(_) => {}
        }
    }
    false
}

fn say(interface: &InterfaceState, what: std::fmt::Arguments<'_>, answer: &str) {
    let name = load_name(&interface.name);
    log::warn!("{name}: {what} is not supported, answered {answer}");
}

/// A request on a socket.
#[cold]
pub fn request(interface: &InterfaceState, request: u32) -> Errno {
    if is_new(request, interface) {
        match NAMES.iter().find(|(number, _)| *number == request) {
            Some((_, name)) => say(interface, format_args!("{name}"), "EOPNOTSUPP"),
            None => say(
                interface,
                format_args!("request {request:#x}"),
                "EOPNOTSUPP",
            ),
        }
    }
    REFUSED
}

/// A request on the tunnel itself got the driver's answer to an unknown one. There are few that the driver knows and memtun
/// does not.
#[cold]
pub fn on_tunnel(tunnel: &ProcessTunnel, request: u32) {
    let (name, for_tap) = match request {
        0x4004_54d1 => ("TUNSETTXFILTER", true),
        0x4010_54d5 => ("TUNATTACHFILTER", true),
        0x4010_54d6 => ("TUNDETACHFILTER", true),
        0x8010_54db => ("TUNGETFILTER", true),
        0x8004_54e0 => ("TUNSETSTEERINGEBPF", false),
        0x8004_54e1 => ("TUNSETFILTEREBPF", false),
        _ => return,
    };
    let found = tunnel.name().map(|name| tunnel.net().look_up(&name));
    if let Some(Ok(Some(interface))) = found {
        if (interface.is_tap() || !for_tap) && is_new(request, &interface) {
            say(&interface, format_args!("{name}"), "EINVAL");
        }
    }
}

/// A socket option.
#[cold]
pub fn option(interface: &InterfaceState, option: i32, name: &str) -> Errno {
    if is_new(1 << 31 | option as u32, interface) {
        say(interface, format_args!("{name}"), "EOPNOTSUPP");
    }
    REFUSED
}
