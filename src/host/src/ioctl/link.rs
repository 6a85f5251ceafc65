//! Links by ioctl(2) (`dev_ifsioc`): those that no tun driver stands behind, of which what is
//! changed stays in the net. The others' are answered by the tun driver, in the calling process.
#![forbid(unsafe_code)]

use crate::engine::link as engine;
use crate::{Failure, World};
use memtun_abi::uapi::*;
use memtun_abi::Name;
use memtun_stack::Link;

/// SIOCGIFTXQLEN and its relatives, which libc does not name.
const SIOCSIFLINK: u32 = 0x8911;
const SIOCGIFMEM: u32 = 0x891f;
const SIOCSIFMEM: u32 = 0x8920;
const SIOCGIFSLAVE: u32 = 0x8929;
const SIOCSIFSLAVE: u32 = 0x8930;
const SIOCADDMULTI: u32 = 0x8931;
const SIOCDELMULTI: u32 = 0x8932;
const SIOCSIFHWBROADCAST: u32 = 0x8937;
const SIOCSIFMETRIC: u32 = 0x891e;
const SIOCSIFMAP: u32 = 0x8971;

/// Answers a request about a link on a socket; None for any other request.
pub fn answer(
    world: &mut World<'_>,
    request: u32,
    argument: &mut [u8],
) -> Option<Result<(), Failure>> {
    let gets = matches!(
        request,
        SIOCGIFNAME
            | SIOCGIFFLAGS
            | SIOCGIFMETRIC
            | SIOCGIFMTU
            | SIOCGIFMAP
            | SIOCGIFINDEX
            | SIOCGIFTXQLEN
            | SIOCGIFHWADDR
            | SIOCGIFSLAVE
    );
    let sets = matches!(
        request,
        SIOCETHTOOL
            | SIOCSIFFLAGS
            | SIOCSIFMETRIC
            | SIOCSIFMTU
            | SIOCSIFMAP
            | SIOCSIFTXQLEN
            | SIOCSIFHWADDR
            | SIOCSIFHWBROADCAST
            | SIOCSIFNAME
            | SIOCSIFSLAVE
            | SIOCADDMULTI
            | SIOCDELMULTI
    );
    if matches!(request, SIOCSIFLINK | SIOCGIFMEM | SIOCSIFMEM) || !gets && !sets {
        return None;
    }
    let Some(bytes) = argument.get(..IfReq::SIZE) else {
        return Some(Err(Failure::new(libc::EFAULT)));
    };
    if sets && !world.devices.may_configure() {
        return Some(Err(Failure::new(libc::EPERM)));
    }
    let mut ifreq = IfReq::default();
    ifreq.0.copy_from_slice(bytes);
    let done = if gets {
        get(world, request, &mut ifreq)
    } else {
        set(world, request, &ifreq, &argument[IfReq::SIZE..])
    };
    argument[..IfReq::SIZE].copy_from_slice(&ifreq.0);
    Some(done)
}

/// Finds the link of an ifreq; an alias (`tun0:1`) is its link.
fn named(world: &World<'_>, ifreq: &IfReq) -> Result<Link, Failure> {
    let name = name_at(ifreq, 0);
    let bytes = name.as_bytes();
    let end = bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len());
    let link = world.link_named(&bytes[..end]).cloned();
    link.ok_or(Failure::new(libc::ENODEV))
}

fn name_at(ifreq: &IfReq, at: usize) -> Name {
    let bytes: [u8; 16] = ifreq.0[at..at + 16].try_into().unwrap_or_default();
    Name::from_ifreq(&bytes)
}

fn get(world: &World<'_>, request: u32, ifreq: &mut IfReq) -> Result<(), Failure> {
    if request == SIOCGIFNAME {
        let link = world.link(ifreq.int() as u32);
        let link = link.ok_or(Failure::new(libc::ENODEV))?;
        ifreq.set_name(&link.extra.name);
        return Ok(());
    }
    let link = named(world, ifreq)?;
    let extra = &link.extra;
    match request {
        SIOCGIFFLAGS => ifreq.set_flags(extra.flags as u16),
        SIOCGIFMTU => ifreq.set_int(extra.mtu as i32),
        SIOCGIFINDEX => ifreq.set_int(extra.index as i32),
        SIOCGIFTXQLEN => ifreq.set_int(extra.txqueuelen as i32),
        SIOCGIFMETRIC => ifreq.set_int(0),
        // The last bytes of struct ifmap are padding.
        SIOCGIFMAP => ifreq.0[16..37].fill(0),
        SIOCGIFHWADDR => {
            ifreq.set_flags(extra.link_type);
            let address = &extra.address;
            if address.is_empty() {
                ifreq.0[18..32].fill(0);
            } else {
                let length = address.len().min(14);
                ifreq.0[18..18 + length].copy_from_slice(&address[..length]);
            }
        }
        _ => return Err(Failure::new(libc::EINVAL)),
    }
    Ok(())
}

/// Carries out what is set. `behind` is what follows the ifreq: for ethtool(8), the features that
/// are wanted.
fn set(world: &mut World<'_>, request: u32, ifreq: &IfReq, behind: &[u8]) -> Result<(), Failure> {
    let link = named(world, ifreq)?;
    let index = link.extra.index;
    let invalid = || Err(Failure::new(libc::EINVAL));
    let of_its_type = ifreq.flags() == link.extra.link_type;
    match request {
        SIOCETHTOOL if link.driver.is_none() => {
            let wanted = behind.try_into().map_err(|_| Failure::new(libc::EFAULT))?;
            engine::set_features(world, index, u64::from_ne_bytes(wanted))
        }
        SIOCSIFFLAGS => engine::set_flags(world, index, u32::from(ifreq.flags())),
        SIOCSIFMTU if ifreq.int() < 0 => invalid(),
        SIOCSIFMTU => engine::set_mtu(world, index, ifreq.int() as u32),
        SIOCSIFTXQLEN if ifreq.int() < 0 => invalid(),
        SIOCSIFTXQLEN => engine::set_txqueuelen(world, index, ifreq.int() as u32),
        SIOCSIFHWADDR if link.is_tun() => Err(Failure::new(libc::EOPNOTSUPP)),
        SIOCSIFHWADDR | SIOCSIFHWBROADCAST if !of_its_type => invalid(),
        SIOCSIFHWADDR => engine::set_address(world, index, &ifreq.0[18..32]),
        SIOCSIFHWBROADCAST => engine::set_broadcast(world, index, &ifreq.0[18..32]),
        SIOCSIFNAME => engine::rename(world, index, name_at(ifreq, 16).as_bytes()),
        SIOCADDMULTI | SIOCDELMULTI => {
            // AF_UNSPEC is the family of a group.
            if link.is_tun() || link.is_loopback() || ifreq.flags() != 0 {
                return invalid();
            }
            let mut group = [0; 6];
            group.copy_from_slice(&ifreq.0[18..24]);
            if request == SIOCADDMULTI {
                engine::add_group(world, index, group)
            } else {
                engine::remove_group(world, index, group)
            }
        }
        SIOCSIFSLAVE => invalid(),
        _ => Err(Failure::new(libc::EOPNOTSUPP)),
    }
}
