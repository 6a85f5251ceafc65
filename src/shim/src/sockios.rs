//! Requests for an interface on an ordinary socket (linux/sockios.h, net/core/dev_ioctl.c): a third of all tun programs
//! ask for the mtu, the flags or the index of their interface and exit without an answer.
//!
//! A name that the net knows, or knew, is never asked of the host, which may have another interface of that name.

use crate::errno::{self, fence};
use crate::missing;
use crate::net;
use crate::table::OwnTunnels;
use crate::uaccess;
use libc::{c_int, c_ulong, c_void};
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_kernel::link::Link;
use memtun_kernel::net::NetDir;
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;
use memtun_shm::layout::InterfaceState;
use memtun_shm::{load_name, Mapped};
use memtun_sys as sys;
use std::sync::atomic::Ordering::Relaxed;

/// May this request be about an interface?
#[inline]
pub fn concerns(request: c_ulong) -> bool {
    matches!(request as u32 >> 8, 0x89 | 0x8b)
}

/// Whose interface a name or index is.
pub enum Whose {
    /// The net's.
    Ours(Mapped<InterfaceState>),
    /// It was the net's.
    Gone,
    /// Only the host can know.
    Host,
}

/// Whose interface has this name? Wants the net's lock.
pub fn by_name(net: &NetDir, name: &Name) -> Whose {
    match net.find_interface(name, &OwnTunnels) {
        Ok(Some(interface)) => Whose::Ours(interface),
        _ if net.knows(name) => Whose::Gone,
        _ => Whose::Host,
    }
}

/// Whose interface has this index? Wants the net's lock.
pub fn by_index(net: &NetDir, index: u32) -> Result<Whose, Errno> {
    Ok(match net.find_by_index(index, &OwnTunnels)? {
        Some(interface) => Whose::Ours(interface),
        None if net.knows_index(index) => Whose::Gone,
        None => Whose::Host,
    })
}

/// The interface's name in one that may be of an alias of its address: up to the colon.
pub fn without_alias(name: &Name) -> Name {
    let bytes = name.as_bytes();
    let end = bytes.iter().position(|b| *b == b':');
    Name::new(&bytes[..end.unwrap_or(bytes.len())]).unwrap_or_default()
}

/// Where a request has its interface.
enum Place {
    /// `ifr_name`.
    Name,
    /// `ifr_ifindex`: SIOCGIFNAME.
    Index,
    /// An index of 32 bits elsewhere in what is pointed to.
    IndexAt(usize),
    /// A name elsewhere in what is pointed to.
    NameAt(usize),
    /// A pointer to a name, elsewhere.
    NameBehind(usize),
}

/// Where the interface is in a request of this number on a socket of this family.
fn place_of(request: u32, family: i32) -> Option<Place> {
    const SIOCADDRT: u32 = 0x890b;
    const SIOCDELRT: u32 = 0x890c;
    const SIOCDIFADDR: u32 = 0x8936;
    let inet6 = family == libc::AF_INET6;
    Some(match request {
        SIOCGIFNAME => Place::Index,
        // struct in6_rtmsg and struct rtentry.
        SIOCADDRT | SIOCDELRT if inet6 => Place::IndexAt(76),
        SIOCADDRT | SIOCDELRT => Place::NameBehind(88),
        // struct in6_ifreq.
        SIOCSIFADDR | SIOCDIFADDR | SIOCSIFDSTADDR if inet6 => Place::IndexAt(20),
        // struct arpreq: SIOCDARP, SIOCGARP, SIOCSARP.
        0x8953..=0x8955 => Place::NameAt(52),
        // Bridges and VLANs are named otherwise; SIOCGIFCONF, SIOCGIFCOUNT and process groups name nothing.
        0x8901..=0x890f | SIOCGIFCONF | 0x8938 | 0x894b | 0x894c | 0x8980..=0x8983 => return None,
        0x89a0 | 0x89a1 | 0x89e0..=0x89ef => return None,
        _ => Place::Name,
    })
}

/// The name or index that a request is about; None for one without, or where the memory cannot be read.
fn named(place: Place, arg: usize) -> Option<Result<Name, u32>> {
    let mut bytes = [0u8; 16];
    let name_at = |at: usize, bytes: &mut [u8; 16]| {
        // The last of its 16 bytes may lie where nothing is mapped.
        let end = uaccess::copy_in(at, &mut bytes[..]).or_else(|_| {
            let text = uaccess::c_string(at as *const libc::c_char)?;
            let n = text.len().min(15);
            bytes[..n].copy_from_slice(&text[..n]);
            Ok::<(), Errno>(())
        });
        end.ok().map(|()| Name::from_ifreq(bytes))
    };
    let index_at = |at: usize| {
        let mut index = [0u8; 4];
        uaccess::copy_in(at, &mut index).ok()?;
        Some(u32::from_ne_bytes(index))
    };
    match place {
        Place::Name => name_at(arg, &mut bytes).map(Ok),
        Place::NameAt(offset) => name_at(arg + offset, &mut bytes).map(Ok),
        Place::NameBehind(offset) => {
            let mut pointer = [0u8; 8];
            uaccess::copy_in(arg + offset, &mut pointer).ok()?;
            match usize::from_ne_bytes(pointer) {
                0 => None,
                at => name_at(at, &mut bytes).map(Ok),
            }
        }
        Place::Index => index_at(arg + 16).map(Err),
        Place::IndexAt(offset) => index_at(arg + offset).map(Err),
    }
}

/// Handles a request that names an interface of the net; everything else is the host's.
pub fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void, host: impl FnOnce() -> c_int) -> c_int {
    let request = request as u32;
    let mut by_name_of_host = false;
    let answer = fence(|| {
        let Some(net) = net::existing() else {
            return Ok(None);
        };
        // What is no socket has its own errors.
        if !sys::fstat(fd).is_ok_and(|st| st.st_mode & libc::S_IFMT == libc::S_IFSOCK) {
            return Ok(None);
        }
        if needs_net_admin(request) {
            net.permit_check(Permission::NetAdmin)?;
        }
        let family = sys::socket_family(fd)?;
        let Some(place) = place_of(request, family) else {
            return Ok(None);
        };
        let in_ifreq = matches!(place, Place::Name | Place::Index);
        by_name_of_host = matches!(place, Place::Name);
        let Some(named) = named(place, arg as usize) else {
            return Ok(None);
        };
        let _lock = net.lock()?;
        let whose = match named {
            Ok(name) => by_name(net, &without_alias(&name)),
            Err(index) => by_index(net, index)?,
        };
        let interface = match whose {
            Whose::Ours(interface) => interface,
            Whose::Gone if !asks_inet(request) || family == libc::AF_INET => {
                return Err(Errno(libc::ENODEV))
            }
            Whose::Gone => return Err(Errno(libc::ENOTTY)),
            Whose::Host => return Ok(None),
        };
        net.socket_ioctl(request)?;
        if !in_ifreq {
            return Err(missing::request(&interface, request));
        }
        let alias = named.is_ok_and(|name| name.as_bytes().contains(&b':'));
        let asked = Asked {
            request,
            family,
            alias,
            arg: arg as usize,
        };
        answer_for(net, &interface, asked).map(Some)
    });
    match answer {
        Ok(None) if request == SIOCGIFCONF => {
            let answer = host();
            if answer == 0 {
                errno::keep(|| crate::interfaces::drop_known_addresses(fd, arg as usize));
            }
            answer
        }
        Ok(None) if request == SIOCGIFNAME => {
            let answer = host();
            let given = uaccess::c_string(arg as *const libc::c_char);
            if answer == 0 && given.is_ok_and(crate::interfaces::is_known) {
                errno::set(libc::ENODEV);
                return -1;
            }
            answer
        }
        Ok(None) => {
            let answer = host();
            if answer < 0
                && errno::get() == libc::EPERM
                && by_name_of_host
                && !exists_on_host(fd, arg)
            {
                // In its own net the program may do anything; there is only no such interface.
                errno::set(libc::ENODEV);
            }
            answer
        }
        Ok(Some(())) => 0,
        Err(e) => errno::give::<c_int>(Err(e)) as c_int,
    }
}

/// Requests that IPv4 answers, and no other family knows.
fn asks_inet(request: u32) -> bool {
    matches!(
        request,
        SIOCGIFADDR..=SIOCSIFNETMASK | SIOCSIFPFLAGS | SIOCGIFPFLAGS
    ) && !matches!(request, SIOCGIFMETRIC | SIOCSIFMETRIC)
}

/// Requests that the kernel asks CAP_NET_ADMIN for, before it looks for the interface.
fn needs_net_admin(request: u32) -> bool {
    matches!(
        request,
        SIOCSIFFLAGS
            | SIOCSIFADDR
            | SIOCSIFDSTADDR
            | SIOCSIFBRDADDR
            | SIOCSIFNETMASK
            | SIOCSIFMETRIC
            | SIOCSIFMTU
            | SIOCSIFNAME
            | SIOCSIFHWADDR
            | SIOCSIFTXQLEN
            | SIOCGMIIPHY..=SIOCSMIIREG
    ) || matches!(
        request,
        0x890b | 0x890c | 0x8930..=0x8932 | 0x8936 | 0x8937 | 0x8971
    ) || matches!(
        request,
        0x8953 | 0x8955 | 0x8990..=0x8994 | 0x89a2 | 0x89a3 | 0x89b0
    )
}

/// A request for an interface of the net.
struct Asked {
    request: u32,
    family: i32,
    /// By the name of an alias.
    alias: bool,
    arg: usize,
}

fn answer_for(net: &NetDir, interface: &Mapped<InterfaceState>, asked: Asked) -> Result<(), Errno> {
    let Asked {
        request,
        family,
        alias,
        arg,
    } = asked;
    let inet = family == libc::AF_INET || family == libc::AF_PACKET;
    if asks_inet(request) && !inet {
        return Err(Errno(libc::ENOTTY));
    }
    let int = |value: u32| uaccess::copy_out(arg + 16, &(value as i32).to_ne_bytes());
    let given = || {
        let mut bytes = [0u8; 4];
        uaccess::copy_in(arg + 16, &mut bytes).map(|()| i32::from_ne_bytes(bytes))
    };
    match request {
        SIOCGIFNAME => uaccess::copy_out(arg, load_name(&interface.name).padded()),
        SIOCGIFFLAGS => uaccess::copy_out(arg + 16, &(interface.flags() as u16).to_ne_bytes()),
        // An alias goes down alone, and there are none.
        SIOCSIFFLAGS if alias && inet => Err(Errno(libc::EADDRNOTAVAIL)),
        SIOCSIFFLAGS => {
            net.set_flags(interface, given()? as u16 as u32, &OwnTunnels);
            Ok(())
        }
        SIOCGIFMTU => int(interface.mtu.load(Relaxed)),
        SIOCSIFMTU => interface.set_mtu(given()? as i64),
        SIOCGIFINDEX => int(interface.ifindex.load(Relaxed)),
        SIOCGIFTXQLEN => int(interface.txqueuelen.load(Relaxed)),
        SIOCSIFTXQLEN => match u32::try_from(given()?) {
            Ok(packets) => net.set_txqueuelen(interface, packets, &OwnTunnels),
            Err(_) => Err(Errno(libc::EINVAL)),
        },
        SIOCGIFHWADDR => {
            uaccess::copy_out(
                arg + 16,
                &(interface.link_type.load(Relaxed) as u16).to_ne_bytes(),
            )?;
            if interface.is_tap() {
                uaccess::copy_out(arg + 18, &interface.mac())
            } else {
                uaccess::copy_out(arg + 18, &[0; 14])
            }
        }
        SIOCSIFHWADDR => {
            let mut ifreq = IfReq([0; IfReq::SIZE]);
            uaccess::copy_in(arg, &mut ifreq.0[..32])?;
            if interface.is_tap() && ifreq.flags() as u32 != interface.link_type.load(Relaxed) {
                return Err(Errno(libc::EINVAL));
            }
            let mut mac = [0u8; 6];
            mac.copy_from_slice(&ifreq.0[18..24]);
            interface.set_mac(mac)
        }
        SIOCSIFNAME => {
            let mut name = [0u8; 16];
            uaccess::copy_in(arg + 16, &mut name)?;
            net.rename_interface(interface, &Name::from_ifreq(&name), &OwnTunnels)
        }
        // No interface of the net has an address.
        SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK => {
            Err(Errno(libc::EADDRNOTAVAIL))
        }
        SIOCGIFMETRIC => int(0),
        SIOCGIFMAP => uaccess::copy_out(arg + 16, &[0; 24]),
        // What a tun does not have in the kernel either.
        SIOCGIFPFLAGS | SIOCSIFPFLAGS | SIOCGIFSLAVE => Err(Errno(libc::EINVAL)),
        SIOCGIFMEM => Err(Errno(libc::ENOTTY)),
        SIOCSIFMETRIC | SIOCGMIIPHY..=SIOCSMIIREG | 0x89f0..=0x89ff | 0x8b00..=0x8bff => {
            Err(Errno(libc::EOPNOTSUPP))
        }
        _ => Err(missing::request(interface, request)),
    }
}

/// setsockopt(2): a socket cannot be bound to an interface of the net, and must not be bound to the host's of the same name.
/// None when it is about something else.
#[inline]
pub fn bind_to_device(
    level: c_int,
    option: c_int,
    value: *const c_void,
    length: libc::socklen_t,
) -> Option<Errno> {
    if level != libc::SOL_SOCKET
        || ![libc::SO_BINDTODEVICE, libc::SO_BINDTOIFINDEX].contains(&option)
    {
        return None;
    }
    refuse_binding(option, value as usize, length as usize)
}

#[cold]
fn refuse_binding(option: c_int, value: usize, length: usize) -> Option<Errno> {
    let found = errno::keep(|| {
        fence(|| {
            let Some(net) = net::existing() else {
                return Ok(None);
            };
            let mut bytes = [0u8; 16];
            let given = &mut bytes[..length.min(15)];
            uaccess::copy_in(value, given)?;
            let _lock = net.lock()?;
            let (whose, called) = if option == libc::SO_BINDTODEVICE {
                let whose = by_name(net, &Name::from_ifreq(&bytes));
                (whose, "SO_BINDTODEVICE")
            } else {
                let index = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                (by_index(net, index)?, "SO_BINDTOIFINDEX")
            };
            Ok(match whose {
                Whose::Ours(interface) => Some(missing::option(&interface, option, called)),
                Whose::Gone => Some(Errno(libc::ENODEV)),
                Whose::Host => None,
            })
        })
    });
    found.unwrap_or(None)
}

/// Does the host have the interface that a request names? Asked without changing the caller's ifreq.
fn exists_on_host(fd: c_int, arg: *mut c_void) -> bool {
    let mut ifreq = IfReq([0; IfReq::SIZE]);
    if uaccess::copy_in(arg as usize, &mut ifreq.0[..16]).is_err() {
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
