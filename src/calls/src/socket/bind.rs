//! bind(2) to an address of the net. The machine's kernel does not know it; with IP_FREEBIND it
//! takes it all the same.
#![forbid(unsafe_code)]

use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::brief::{self, By};
use memtun_stack::state;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length in bytes of the part of `struct sockaddr_in6` that is looked at: all of it.
const LONGEST: usize = 28;

/// Level and number of the option that lets a socket be bound to any address.
pub type Free = (i32, i32);

/// IPV6_FREEBIND of linux/in6.h.
const IPV6_FREEBIND: i32 = 78;

/// Says what has to be done before a socket is bound to the address at `name`, which is `length`
/// bytes long: None for nothing, or the option that has to be set for that call.
///
/// # Errors
///
/// - EADDRNOTAVAIL for an address that its interface of the net does not have.
/// - What reading the state fails with.
pub fn before(
    net: &NetDir,
    memory: &impl Memory,
    name: usize,
    length: usize,
) -> Result<Option<Free>, Errno> {
    if !state::is_there(net) {
        return Ok(None);
    }
    let mut bytes = [0; LONGEST];
    if memory
        .read(name, &mut bytes[..length.min(LONGEST)])
        .is_err()
    {
        return Ok(None);
    }
    match i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
        libc::AF_INET if length >= 16 => {
            let address = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
            let free = (libc::IPPROTO_IP, libc::IP_FREEBIND);
            Ok(is_own_v4(net, address)?.then_some(free))
        }
        libc::AF_INET6 if length >= 24 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[8..24]);
            let address = Ipv6Addr::from(octets);
            let scope = u32::from_ne_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
            before_v6(net, address, scope)
        }
        _ => Ok(None),
    }
}

/// Is this an address of an interface, or the broadcast address of one that is up?
fn is_own_v4(net: &NetDir, wanted: Ipv4Addr) -> Result<bool, Errno> {
    let (mut own, mut broadcasts_on) = (false, None);
    brief::each_address(net, |address| {
        let IpAddr::V4(local) = address.local else {
            return true;
        };
        let mask = u32::from(crate::socket::address::mask(address.prefix));
        let last = u32::from(local) | !mask;
        own |= local == wanted;
        if address.broadcast == Some(wanted) || address.prefix < 31 && last == u32::from(wanted) {
            broadcasts_on = Some(address.index);
        }
        !own
    })?;
    if own {
        return Ok(!wanted.is_loopback());
    }
    let Some(index) = broadcasts_on else {
        return Ok(false);
    };
    let flags = match net.find_by_index(index, &memtun_kernel::net::NoTunnels)? {
        Some(interface) => interface.flags(),
        None => brief::link(net, By::Index(index))?.map_or(0, |link| link.flags),
    };
    Ok(flags & libc::IFF_UP as u32 != 0)
}

fn before_v6(net: &NetDir, wanted: Ipv6Addr, scope: u32) -> Result<Option<Free>, Errno> {
    let is_local = wanted.segments()[0] & 0xffc0 == 0xfe80;
    let is_ours = is_local && net.knows_index(scope);
    let mut own = false;
    brief::each_address(net, |address| {
        own = address.local == IpAddr::V6(wanted) && (!is_local || address.index == scope);
        !own
    })?;
    match own {
        // The machine's kernel looks for the interface of a link-local address in any case.
        true if !is_local && !wanted.is_loopback() => Ok(Some((libc::IPPROTO_IPV6, IPV6_FREEBIND))),
        false if is_ours => Err(Errno(libc::EADDRNOTAVAIL)),
        _ => Ok(None),
    }
}
