//! Temporary addresses, which a link has beside one that is marked as their origin
//! (`manage_tempaddrs`, `ipv6_create_tempaddr`). That one is the address of the same network with
//! IFA_F_MANAGETEMPADDR.
#![forbid(unsafe_code)]

use super::detection::begin_detection;
use super::entry::{insert, remove};
use super::wanted::{v6, Wanted, TENTATIVE};
use crate::engine::address::told::tell;
use crate::engine::place::Place;
use crate::engine::route::Cause;
use crate::message::conf;
use crate::World;
use memtun_stack::wire::network;
use memtun_stack::Address;
use std::net::Ipv6Addr;

/// Bits of the network of a temporary address.
const PREFIX: u8 = 64;

/// Seconds before its end at which an address would be followed by another one
/// (`ipv6_get_regen_advance`).
const ADVANCE: u32 = 5;

fn setting(world: &World<'_>, index: u32, name: &str) -> i32 {
    let link = world.link(index);
    link.map_or(0, |link| conf::v6(world.state, conf::Of::Link(link), name))
}

/// Is this an address to which temporary ones belong?
pub(super) fn is_origin(flags: u32) -> bool {
    flags & libc::IFA_F_MANAGETEMPADDR != 0 && flags & libc::IFA_F_TEMPORARY == 0
}

/// Returns the temporary addresses that belong to one.
fn belonging(world: &World<'_>, origin: &Address) -> Vec<Ipv6Addr> {
    let of = |address: Ipv6Addr| network(address.into(), PREFIX);
    let same = |it: &&Address| {
        it.flags & libc::IFA_F_TEMPORARY != 0 && of(v6(it.local)) == of(v6(origin.local))
    };
    let all = world.addresses_of(origin.index, false).filter(same);
    all.map(|it| v6(it.local)).collect()
}

/// Makes a temporary address beside one, where the link has them.
pub(super) fn create(world: &mut World<'_>, origin: &Address) {
    let index = origin.index;
    if setting(world, index, "use_tempaddr") <= 0 {
        return;
    }
    let of = |name| setting(world, index, name).max(0) as u32;
    // The time of preference is shortened by a random part, so that not all change at once.
    let most = of("max_desync_factor").min(of("temp_prefered_lft").saturating_sub(ADVANCE));
    let random = memtun_sys::random();
    let shorter = match most {
        0 => 0,
        most => (random >> 32) as u32 % most,
    };
    let valid = origin.valid.min(of("temp_valid_lft"));
    let mut preferred = of("temp_prefered_lft").saturating_sub(shorter);
    preferred = preferred.min(origin.preferred);
    if preferred <= ADVANCE {
        preferred = ADVANCE + 1;
        if preferred > valid || preferred > origin.preferred {
            return;
        }
    }
    let high = u128::from(v6(origin.local)) >> PREFIX << PREFIX;
    let wanted = Wanted {
        local: Ipv6Addr::from(high | u128::from(memtun_sys::random())),
        peer: None,
        prefix: origin.prefix,
        flags: libc::IFA_F_TEMPORARY,
        valid,
        preferred,
        priority: 0,
        protocol: 0,
    };
    if insert(world, index, &wanted).is_ok() {
        begin_detection(world, index, wanted.local);
    }
}

/// Gives the temporary addresses of one the lifetimes that follow from its own.
pub(super) fn follow(world: &mut World<'_>, origin: &Address) {
    let of = |name| setting(world, origin.index, name).max(0) as u32;
    let (longest, preferred) = (of("temp_valid_lft"), of("temp_prefered_lft"));
    let now = world.now;
    for local in belonging(world, origin) {
        let Some(place) = super::wanted::find(world, origin.index, local) else {
            continue;
        };
        let place = world.change_address(place, |it| {
            let age = now.wrapping_sub(it.created) / 100;
            it.valid = origin.valid.min(longest.saturating_sub(age));
            it.preferred = origin.preferred.min(preferred.saturating_sub(age));
            it.updated = now;
            if it.preferred > 0 {
                it.flags &= !libc::IFA_F_DEPRECATED;
            }
        });
        let it = *world.address(place);
        if it.flags & TENTATIVE == 0 {
            tell(world, &it, libc::RTM_NEWADDR, Cause::default());
        }
    }
}

/// Removes the temporary addresses of one that goes, or is their origin no more
/// (`delete_tempaddrs`).
pub(super) fn delete(world: &mut World<'_>, origin: &Address) {
    for local in belonging(world, origin) {
        if let Some(place) = super::wanted::find(world, origin.index, local) {
            remove(world, place);
        }
    }
}

/// Does what follows for temporary addresses from a change of their origin, which was `before`.
pub(super) fn has_changed(world: &mut World<'_>, place: Place, before: &Address) {
    let origin = *world.address(place);
    match (is_origin(before.flags), is_origin(origin.flags)) {
        (true, false) => delete(world, before),
        (true, true) => follow(world, &origin),
        (false, true) => {
            follow(world, &origin);
            create(world, &origin);
        }
        (false, false) => {}
    }
}
