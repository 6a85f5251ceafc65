//! Requests for an interface on an ordinary socket (linux/sockios.h, net/core/dev_ioctl.c): a third of all tun programs
//! ask for the mtu, the flags or the index of their interface and exit without an answer.

use crate::errno::{self, fence};
use crate::net;
use crate::table::OwnTunnels;
use crate::user;
use libc::{c_int, c_ulong, c_void};
use memtun_core::netdir::NetDir;
use memtun_core::shm::layout::InterfaceState;
use memtun_core::shm::{load_name, Mapped};
use memtun_core::uapi::*;
use memtun_core::{sys, Errno, Name};
use std::sync::atomic::Ordering::Relaxed;

const HANDLED: &[u32] = &[
    SIOCGIFNAME,
    SIOCGIFFLAGS,
    SIOCSIFFLAGS,
    SIOCGIFMTU,
    SIOCSIFMTU,
    SIOCGIFHWADDR,
    SIOCSIFHWADDR,
    SIOCGIFINDEX,
    SIOCGIFTXQLEN,
    SIOCSIFTXQLEN,
];

/// May this request be ours? One that is not handled may still be made to fail.
#[inline]
pub fn concerns(request: c_ulong) -> bool {
    request as u32 >> 8 == 0x89 && names_interface(request as u32)
}

/// Is the argument a `struct ifreq` (or begins as one does)? linux/sockios.h has others from 0x8910 on, too.
fn names_interface(request: u32) -> bool {
    const SIOCGIFCONF: u32 = 0x8912;
    const BRIDGES: std::ops::RangeInclusive<u32> = 0x8940..=0x8941;
    const ARP: std::ops::RangeInclusive<u32> = 0x8953..=0x8962;
    (SIOCGIFNAME..=0x89ff).contains(&request)
        && request != SIOCGIFCONF
        && !BRIDGES.contains(&request)
        && !ARP.contains(&request)
}

/// Handles a request that names an interface of the net; everything else is the host's.
pub fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void, host: impl FnOnce() -> c_int) -> c_int {
    let answer = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(None);
        };
        if !HANDLED.contains(&(request as u32)) && !net.some_ioctl_fails() {
            return Ok(None);
        }
        // What is no socket has its own errors.
        if !sys::fstat(fd).is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFSOCK) {
            return Ok(None);
        }
        // Programs give as little as name and value: 20 bytes.
        let mut ifreq = IfReq([0; IfReq::SIZE]);
        let Ok(()) = user::copy_in(arg as usize, &mut ifreq.0[..20]) else {
            return Ok(None);
        };
        let _lock = net.lock()?;
        let request = request as u32;
        let found = match request {
            SIOCGIFNAME => net.find_by_index(ifreq.int() as u32, &OwnTunnels)?,
            _ => net
                .find_interface(&ifreq.name(), &OwnTunnels)
                .unwrap_or(None),
        };
        let Some(interface) = found else {
            return Ok(None);
        };
        net.socket_ioctl(request)?;
        if !HANDLED.contains(&request) {
            return Ok(None);
        }
        answer_for(net, &interface, request, ifreq, arg as usize).map(Some)
    });
    match answer {
        Ok(None) => {
            let answer = host();
            let handled = HANDLED.contains(&(request as u32));
            if handled && answer < 0 && errno::get() == libc::EPERM && !exists_on_host(fd, arg) {
                // In its own net the program may do anything; there is only no such interface.
                errno::set(libc::ENODEV);
            }
            answer
        }
        Ok(Some(())) => 0,
        Err(e) => errno::give::<c_int>(Err(e)) as c_int,
    }
}

fn answer_for(
    net: &NetDir,
    interface: &Mapped<InterfaceState>,
    request: u32,
    mut ifreq: IfReq,
    arg: usize,
) -> Result<(), Errno> {
    let int = |value: u32| user::copy_out(arg + 16, &(value as i32).to_ne_bytes());
    match request {
        SIOCGIFNAME => user::copy_out(arg, load_name(&interface.name).padded()),
        SIOCGIFFLAGS => user::copy_out(arg + 16, &(interface.flags() as u16).to_ne_bytes()),
        SIOCSIFFLAGS => {
            net.set_flags(interface, ifreq.flags() as u32, &OwnTunnels);
            Ok(())
        }
        SIOCGIFMTU => int(interface.mtu.load(Relaxed)),
        SIOCSIFMTU => interface.set_mtu(ifreq.int() as i64),
        SIOCGIFINDEX => int(interface.ifindex.load(Relaxed)),
        SIOCGIFTXQLEN => int(interface.txqueuelen.load(Relaxed)),
        SIOCSIFTXQLEN => match u32::try_from(ifreq.int()) {
            Ok(packets) => net.set_txqueuelen(interface, packets, &OwnTunnels),
            Err(_) => Err(Errno(libc::EINVAL)),
        },
        SIOCGIFHWADDR => {
            user::copy_out(
                arg + 16,
                &(interface.link_type.load(Relaxed) as u16).to_ne_bytes(),
            )?;
            if interface.is_tap() {
                user::copy_out(arg + 18, &interface.mac())
            } else {
                user::copy_out(arg + 18, &[0; 14])
            }
        }
        SIOCSIFHWADDR => {
            user::copy_in(arg, &mut ifreq.0[..32])?;
            if interface.is_tap() && ifreq.flags() as u32 != interface.link_type.load(Relaxed) {
                return Err(Errno(libc::EINVAL));
            }
            let mut mac = [0u8; 6];
            mac.copy_from_slice(&ifreq.0[18..24]);
            interface.set_mac(mac)
        }
        _ => Err(Errno(libc::ENOTTY)),
    }
}

/// Does the host have the interface that a request names? Asked without changing the caller's ifreq.
fn exists_on_host(fd: c_int, arg: *mut c_void) -> bool {
    let mut ifreq = IfReq([0; IfReq::SIZE]);
    if user::copy_in(arg as usize, &mut ifreq.0[..16]).is_err() {
        return true;
    }
    let request = SIOCGIFINDEX as usize;
    // SAFETY: an ifreq of our own.
    unsafe {
        sys::syscall(
            libc::SYS_ioctl,
            [fd as usize, request, ifreq.0.as_mut_ptr() as usize, 0, 0, 0],
        ) == 0
    }
}

/// The interfaces of the net, by index.
pub fn all() -> Vec<(u32, Name)> {
    let mut found = Vec::new();
    let _ = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(());
        };
        let _lock = net.lock()?;
        let mut names = Vec::new();
        net.each_name(|name| {
            names.push(name);
            true
        })?;
        for name in names {
            if let Ok(Some(interface)) = net.find_interface(&name, &OwnTunnels) {
                found.push((interface.ifindex.load(Relaxed), name));
            }
        }
        Ok(())
    });
    found.sort_unstable_by_key(|(index, _)| *index);
    found
}

/// if_nametoindex(3): 0 when the net has no such interface.
pub fn index_of(name: &[u8]) -> u32 {
    let Some(name) = Name::new(name) else {
        return 0;
    };
    let found = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(0);
        };
        let _lock = net.lock()?;
        Ok(net
            .find_interface(&name, &OwnTunnels)?
            .map_or(0, |i| i.ifindex.load(Relaxed)))
    });
    found.unwrap_or(0)
}

/// if_indextoname(3), None when the net has no such interface.
pub fn name_of(index: u32) -> Option<Name> {
    let found = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(None);
        };
        let _lock = net.lock()?;
        Ok(net
            .find_by_index(index, &OwnTunnels)?
            .map(|i| load_name(&i.name)))
    });
    found.unwrap_or(None)
}
