//! The addresses that a link has by itself (`addrconf_init_auto_addrs`).
#![forbid(unsafe_code)]

use super::detection::{begin_detection, end_detection};
use super::entry::insert;
use super::routes::{add_multicast_route, add_prefix_route};
use super::wanted::{find, Wanted, PERMANENT};
use crate::engine::sysctl;
use crate::World;
use std::net::Ipv6Addr;

// IFAPROT_* of linux/if_addr.h.
const KERNEL_LO: u8 = 1;

const KERNEL_LL: u8 = 3;

// IN6_ADDR_GEN_MODE_*.
const EUI64: i64 = 0;

const NONE: i64 = 1;

const RANDOM: i64 = 3;

/// ARPHRD_NONE of linux/if_arp.h: a tun.
const ARPHRD_NONE: u16 = 0xfffe;

/// `addrconf_init_auto_addrs`.
pub fn add_own_addresses(world: &mut World<'_>, index: u32) {
    let Some(link) = world.link(index).cloned() else {
        return;
    };
    if link.is_loopback() {
        let wanted = Wanted {
            protocol: KERNEL_LO,
            ..Wanted::permanent(Ipv6Addr::LOCALHOST, 128)
        };
        if insert(world, index, &wanted).is_ok() {
            if let Some(place) = find(world, index, Ipv6Addr::LOCALHOST) {
                end_detection(world, place);
            }
        }
        return;
    }
    add_multicast_route(world, index);
    let mut mode = world.own_setting_of("ipv6", index, "addr_gen_mode");
    let is_tun = link.extra.link_type == ARPHRD_NONE;
    if !is_tun && link.extra.link_type != libc::ARPHRD_ETHER {
        return;
    }
    if is_tun && mode == EUI64 {
        // A tun has no link-layer address to make one of.
        mode = RANDOM;
        let path = sysctl::path("ipv6", "conf", Some(index), "addr_gen_mode");
        world.set(path, mode.to_string().into_bytes());
    }
    let (identifier, flags) = match (mode, link.extra.address.as_slice()) {
        (NONE, _) => return,
        (EUI64, &[a, b, c, d, e, f]) => ([a ^ 2, b, c, 0xff, 0xfe, d, e, f], 0),
        (EUI64, _) => return,
        _ => (stable(world, index), libc::IFA_F_STABLE_PRIVACY),
    };
    let local = (0xfe80_u128 << 112) | u128::from(u64::from_be_bytes(identifier));
    add_link_local(world, index, local.into(), flags);
}

/// `addrconf_add_linklocal`.
fn add_link_local(world: &mut World<'_>, index: u32, local: Ipv6Addr, flags: u32) {
    let wanted = Wanted {
        flags: PERMANENT | flags,
        protocol: KERNEL_LL,
        ..Wanted::permanent(local, 64)
    };
    if let Ok(address) = insert(world, index, &wanted) {
        add_prefix_route(world, (local, 64), &address, None);
        begin_detection(world, index, local);
    }
}

/// Returns the interface identifier that a link always gets, made of its secret, which is chosen
/// when it is wanted for the first time.
fn stable(world: &mut World<'_>, index: u32) -> [u8; 8] {
    let path = sysctl::path("ipv6", "conf", Some(index), "stable_secret");
    let set = world.state.sysctls.iter().find(|s| s.path == path);
    let text = set.and_then(|s| String::from_utf8(s.value.clone()).ok());
    let secret = match text.and_then(|text| text.trim().parse::<Ipv6Addr>().ok()) {
        Some(secret) => secret,
        None => {
            let random = || u128::from(memtun_sys::random());
            let secret = Ipv6Addr::from((random() << 64) | random());
            let groups = secret.segments().map(|group| format!("{group:04x}"));
            world.set(path, groups.join(":").into_bytes());
            secret
        }
    };
    let both = u128::from(secret);
    // Any function of the secret will do that does not show it.
    let mut mixed = (both >> 64) as u64 ^ (both as u64).rotate_left(29);
    mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).to_be_bytes()
}
