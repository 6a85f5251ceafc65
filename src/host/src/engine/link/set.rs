//! What is set on a link.
#![forbid(unsafe_code)]

use super::known::{change, get};
use super::known::{RUNNING, SETTABLE, UP};
use super::look::{address_is_set, change_and_tell, look, state_has_changed};
use super::tell::{tell_features, tell_inet6, tell_of};
use crate::message::link as message;
use crate::{Failure, World};
use memtun_kernel::link::ethtool::Plain;
use memtun_stack::link::oper;

/// Sets the mtu, in bytes (`netif_set_mtu_ext`).
///
/// # Errors
///
/// EINVAL when it is out of range, with a sentence.
pub fn set_mtu(world: &mut World<'_>, index: u32, mtu: u32) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.extra.mtu == mtu {
        return Ok(());
    }
    let (least, most) = message::mtu_range(link);
    if (mtu as i32) < 0 || mtu < least {
        let text = "mtu less than device minimum";
        return Err(Failure::said(libc::EINVAL, text));
    }
    if most > 0 && mtu > most {
        let text = "mtu greater than device maximum";
        return Err(Failure::said(libc::EINVAL, text));
    }
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| extra.mtu = mtu);
    }
    world.devices.set_mtu(index, mtu)?;
    Ok(look(world)?)
}

/// Number of packets for which the driver finds no room any more, less one (KMALLOC_MAX_SIZE).
const LONGEST_QUEUE: u32 = 1 << 19;

/// Sets how many packets the queue holds (`netif_change_tx_queue_len`).
///
/// # Errors
///
/// EPERM when the driver has no room for so many.
pub fn set_txqueuelen(world: &mut World<'_>, index: u32, packets: u32) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.extra.txqueuelen == packets {
        return Ok(());
    }
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| extra.txqueuelen = packets);
    }
    if packets > LONGEST_QUEUE {
        // Listeners hear of the new length before the driver refuses it.
        let mut refused = link.clone();
        refused.extra.txqueuelen = packets;
        tell_of(world, &refused, libc::RTM_NEWLINK, 0);
        return Err(Failure::new(libc::EPERM));
    }
    world.devices.set_txqueuelen(index, packets)?;
    Ok(look(world)?)
}

/// Sets the flags that can be set (`netif_change_flags`).
///
/// # Errors
///
/// What the driver fails with.
pub fn set_flags(world: &mut World<'_>, index: u32, flags: u32) -> Result<(), Failure> {
    let link = get(world, index)?;
    if link.driver.is_none() {
        return change_and_tell(world, index, |extra| {
            extra.flags = flags & SETTABLE | extra.flags & !SETTABLE & !RUNNING;
            if extra.flags & UP != 0 {
                extra.flags |= RUNNING;
            }
        });
    }
    world.devices.set_flags(index, flags)?;
    Ok(look(world)?)
}

/// Sets the link-layer address (`netif_set_mac_address`). `address` has at least the length of
/// the link's.
///
/// # Errors
///
/// EOPNOTSUPP where there is none, EADDRNOTAVAIL for an address that no card has.
pub fn set_address(world: &mut World<'_>, index: u32, address: &[u8]) -> Result<(), Failure> {
    let link = get(world, index)?;
    let Some(Ok(mac)) = address.get(..6).map(<[u8; 6]>::try_from) else {
        return Err(Failure::new(libc::EOPNOTSUPP));
    };
    if link.is_tun() || link.extra.address.len() != 6 {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    if link.extra.address == mac {
        address_is_set(world, index);
        return Ok(());
    }
    if link.driver.is_none() {
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(Failure::new(libc::EADDRNOTAVAIL));
        }
        return change_and_tell(world, index, |extra| extra.address = mac.to_vec());
    }
    world.devices.set_address(index, mac)?;
    Ok(look(world)?)
}

/// Sets the broadcast address; only as many bytes count as the link's addresses have.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_broadcast(world: &mut World<'_>, index: u32, address: &[u8]) -> Result<(), Failure> {
    let length = get(world, index)?.extra.address.len();
    let address = address.get(..length).unwrap_or_default().to_vec();
    change(world, index, |extra| extra.broadcast = address)?;
    address_is_set(world, index);
    Ok(())
}

/// Sets the group of links.
///
/// # Errors
///
/// ENODEV when there is no such link; the same for the functions that follow.
pub fn set_group(world: &mut World<'_>, index: u32, group: u32) -> Result<(), Failure> {
    change(world, index, |extra| extra.group = group)
}

/// Sets the features that are wanted of a link without a tun driver (`netdev_update_features`).
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_features(world: &mut World<'_>, index: u32, wanted: u64) -> Result<(), Failure> {
    let before = get(world, index)?.extra.features;
    change(world, index, |extra| extra.features = Some(wanted))?;
    if Plain::active(before.unwrap_or(Plain::WANTED)) != Plain::active(wanted) {
        let link = get(world, index)?.clone();
        tell_features(world, &link);
    }
    Ok(())
}

/// Sets the mode of the link (IF_LINK_MODE_*). Returns whether it has changed.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_link_mode(world: &mut World<'_>, index: u32, mode: u8) -> Result<bool, Failure> {
    let differs = get(world, index)?.extra.link_mode != mode;
    change(world, index, |extra| extra.link_mode = mode)?;
    Ok(differs)
}

/// Sets whether there is a carrier (`netif_change_carrier`).
///
/// # Errors
///
/// EOPNOTSUPP for a link that cannot, EPERM for a carrier where no queue is attached.
pub fn set_carrier(world: &mut World<'_>, index: u32, carrier: bool) -> Result<(), Failure> {
    if get(world, index)?.driver.is_none() {
        return Err(Failure::new(libc::EOPNOTSUPP));
    }
    world.devices.set_carrier(index, carrier)?;
    Ok(look(world)?)
}

/// Sets the state of operation as far as that may be (`set_operstate`).
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_operstate(world: &mut World<'_>, index: u32, wanted: u8) -> Result<(), Failure> {
    use oper::*;
    let before = get(world, index)?.extra.operstate;
    let after = match (wanted, before) {
        (UP, DORMANT | TESTING | UNKNOWN) => UP,
        (TESTING, UP | UNKNOWN) => TESTING,
        (DORMANT, UP | UNKNOWN) => DORMANT,
        _ => return Ok(()),
    };
    change(world, index, |extra| extra.operstate = after)?;
    state_has_changed(world, index);
    Ok(())
}

/// Sets a limit of segmentation, of whichever attribute `kind` is.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_limit(world: &mut World<'_>, index: u32, kind: u16, to: u32) -> Result<(), Failure> {
    use message::ifla::*;
    // The limit for IPv4 follows the other one unless it is larger than that of old protocols.
    const LEGACY: u32 = 65536;
    let extra = &get(world, index)?.extra;
    let now = match kind {
        GSO_MAX_SIZE => extra.gso_max_size,
        GRO_MAX_SIZE => extra.gro_max_size,
        _ => None,
    };
    if now.unwrap_or(LEGACY) == to && matches!(kind, GSO_MAX_SIZE | GRO_MAX_SIZE) {
        return Ok(());
    }
    change(world, index, |extra| match kind {
        GSO_MAX_SEGS => extra.gso_max_segs = Some(to),
        GSO_MAX_SIZE => {
            extra.gso_max_size = Some(to);
            if to <= LEGACY {
                extra.gso_ipv4_max_size = Some(to);
            }
        }
        GRO_MAX_SIZE => {
            extra.gro_max_size = Some(to);
            if to <= LEGACY {
                extra.gro_ipv4_max_size = Some(to);
            }
        }
        GSO_IPV4_MAX_SIZE => extra.gso_ipv4_max_size = Some(to),
        GRO_IPV4_MAX_SIZE => extra.gro_ipv4_max_size = Some(to),
        _ => {}
    })
}

/// Sets the host's part of IPv6 addresses that routers advertise.
///
/// # Errors
///
/// ENODEV when there is no such link.
pub fn set_token(world: &mut World<'_>, index: u32, token: [u8; 16]) -> Result<(), Failure> {
    change(world, index, |extra| extra.token = token)?;
    tell_inet6(world, index);
    Ok(())
}
