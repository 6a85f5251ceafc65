//! The calls of this process that concern an interface but not a tunnel: requests about interfaces
//! on ordinary sockets, and socket options that name an interface.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use crate::asking::OwnHost;
use crate::errno::{self, fence};
use crate::inet;
use crate::net;
use crate::table::{is_packets, OwnTunnels};
use crate::uaccess::OwnMemory;
use libc::{c_int, c_ulong, c_void, sockaddr, socklen_t};
use memtun_abi::request::{self, Named};
use memtun_abi::uapi::{IfReq, SIOCGIFCONF, SIOCGIFINDEX};
use memtun_abi::{Errno, Name};
use memtun_calls::host::{asked, link_towards, Host};
use memtun_calls::packet::mark;
use memtun_calls::socket::{bind, joins_group, OptionCall, Socket, SocketCall, Verdict};
use memtun_calls::Memory;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::raw::Kind;
use memtun_sys as sys;
use memtun_sys::privilege::{self, Call};

/// May this request be about an interface?
#[inline]
pub fn concerns(request: c_ulong) -> bool {
    request::is_of_socket(request as u32)
}

/// A descriptor that may be a socket.
struct Descriptor(c_int);

impl Descriptor {
    /// What it is where it is a packet socket or a raw one, which is one of AF_UNIX natively.
    fn carried(&self) -> Option<Kind> {
        mark::of(self.0).filter(|_| is_packets(self.0))
    }

    /// Makes a request of the program's on a socket of the family that its own one stands for.
    fn in_its_place(&self, kind: Kind, request: u32, arg: usize) -> Result<(), Errno> {
        let family = match kind.family {
            libc::AF_INET6 => libc::AF_INET6,
            _ => libc::AF_INET,
        };
        let socket = sys::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)?;
        // SAFETY: the argument is the program's own, for a request that it makes itself; the kernel
        // looks at it as at that of any other process.
        unsafe { Descriptor(socket.raw()).ask(request, arg) }
    }

    /// # Safety
    /// `arg` points to memory of our own that the request takes.
    unsafe fn ask(&self, request: u32, arg: usize) -> Result<(), Errno> {
        let args = [self.0 as usize, request as usize, arg, 0, 0, 0];
        // SAFETY: the memory is what the request takes, which the caller promises.
        match unsafe { sys::syscall(libc::SYS_ioctl, args) } {
            0 => Ok(()),
            failed => Err(Errno(-failed as i32)),
        }
    }
}

impl Socket for Descriptor {
    fn family(&self) -> Result<Option<i32>, Errno> {
        match sys::fstat(self.0) {
            Ok(st) if st.st_mode & libc::S_IFMT == libc::S_IFSOCK => match self.carried() {
                Some(kind) => Ok(Some(kind.family)),
                None => sys::socket_family(self.0).map(Some),
            },
            _ => Ok(None),
        }
    }

    fn host_has(&self, name: &Name) -> bool {
        let mut ifreq = IfReq::default();
        ifreq.set_name(name);
        // SAFETY: the ifreq is our own.
        unsafe { self.ask(SIOCGIFINDEX, ifreq.0.as_mut_ptr() as usize) }.is_ok()
    }

    fn host_is_wireless(&self, request: u32) -> bool {
        // An argument that names no interface.
        let mut nothing = IfReq::default();
        // SAFETY: a request of wireless extensions takes no more than an ifreq.
        let asked = unsafe { self.ask(request, nothing.0.as_mut_ptr() as usize) };
        asked != Err(Errno(libc::ENOTTY))
    }

    fn host_addresses(&self, list: &mut [IfReq]) -> Result<usize, Errno> {
        let mut conf = libc::ifconf {
            ifc_len: size_of_val(list) as i32,
            ifc_ifcu: libc::__c_anonymous_ifc_ifcu {
                ifcu_buf: list.as_mut_ptr().cast(),
            },
        };
        // SAFETY: the ifconf and its list are our own, and it says the length of the list.
        unsafe { self.ask(SIOCGIFCONF, &raw mut conf as usize) }?;
        Ok(conf.ifc_len.max(0) as usize / IfReq::SIZE)
    }
}

fn call<'c>(
    net: &'c NetDir,
    socket: &'c Descriptor,
    request: c_ulong,
    arg: *mut c_void,
) -> SocketCall<'c, Descriptor, OwnMemory, OwnHost> {
    SocketCall {
        net,
        host: &OwnHost,
        local: &OwnTunnels,
        socket,
        memory: &OwnMemory,
        request: request as u32,
        arg: arg as usize,
    }
}

/// Handles a request that names an interface of the net; `host` makes every other one.
#[cold]
#[inline(never)]
pub fn ioctl(fd: c_int, request: c_ulong, arg: *mut c_void, host: impl FnOnce() -> c_int) -> c_int {
    let socket = Descriptor(fd);
    let kind = errno::keep(|| socket.carried());
    let is_of = |family| request::on_socket(request as u32, family).is_of_family(family);
    let kind = kind.filter(|kind| is_of(kind.family) && !is_of(libc::AF_UNIX));
    let host = || match kind {
        Some(kind) => {
            let asked = fence(|| socket.in_its_place(kind, request as u32, arg as usize));
            errno::give(asked.map(|()| 0)) as c_int
        }
        None => host(),
    };
    let verdict = fence(|| {
        let net = match net::existing() {
            // The machine's interfaces are none of an isolated program's.
            None if OwnHost.is_isolated() => OwnHost.make().map(Some),
            net => Ok(net),
        };
        let Some(net) = net? else {
            return Ok(None);
        };
        let verdict = call(net, &socket, request, arg).ioctl()?;
        Ok(Some((net, verdict)))
    });
    let (net, after) = match verdict {
        Ok(None) => return host(),
        Ok(Some((net, Verdict::Host(after)))) => (net, after),
        Ok(Some((_, Verdict::Done(answer)))) => return answer,
        Err(e) => return errno::give::<c_int>(Err(e)) as c_int,
    };
    let answer = match guarded(request) {
        Ok(false) => host(),
        Ok(true) => without_privilege(&Described(request as u32, arg as usize), host),
        Err(e) => return errno::give::<c_int>(Err(e)) as c_int,
    };
    let given = if answer < 0 {
        Err(Errno(errno::get()))
    } else {
        Ok(answer)
    };
    let before = errno::get();
    let given = fence(|| call(net, &socket, request, arg).after(after, given));
    errno::set(before);
    errno::give::<c_int>(given) as c_int
}

/// Could the machine change one of its interfaces for this request, where what programs change
/// stays in the net?
fn guarded(request: c_ulong) -> Result<bool, Errno> {
    Ok(request::may_change_machine(request as u32) && asked(&OwnHost)?.is_some())
}

/// Makes a call of the machine's as a program without privileges makes it, and logs what was
/// refused for that. Returns -1 with errno set when it fails.
fn without_privilege(what: &dyn std::fmt::Display, host: impl FnOnce() -> c_int) -> c_int {
    let refused = || {
        errno::keep(|| {
            log::warn!(
                "{what}: refused, because what is the machine's is changed by nobody in a net"
            );
        });
        errno::set(libc::EPERM);
    };
    match privilege::without_net_admin(host) {
        Call::Made(answer) => answer,
        Call::Without(answer) => {
            if answer < 0 && matches!(errno::get(), libc::EPERM | libc::EACCES) {
                refused();
            }
            answer
        }
        Call::Not => {
            refused();
            -1
        }
    }
}

/// A request and its interface, for people.
struct Described(u32, usize);

impl std::fmt::Display for Described {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match request::name_of(self.0) {
            Some(name) => to.write_str(name)?,
            None => write!(to, "request {:#x}", self.0)?,
        }
        let mut name = [0; 16];
        match request::on_socket(self.0, libc::AF_INET).interface {
            Named::Name(at) if OwnMemory.read(self.1 + at, &mut name).is_ok() => {
                let name = Name::from_ifreq(&name);
                write!(to, " of {}", String::from_utf8_lossy(name.as_bytes()))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses an option that makes the machine route multicasts over its interfaces, where what
/// programs change stays in the net. `None` leaves the call to the host.
#[cold]
#[inline(never)]
pub extern "C" fn route_multicasts(fd: c_int, level: c_int, number: c_int) -> Option<c_int> {
    errno::keep(|| {
        let is_asked = fence(|| asked(&OwnHost)).is_ok_and(|net| net.is_some());
        let is_raw = || sys::int_option(fd, libc::SOL_SOCKET, libc::SO_TYPE) == Ok(libc::SOCK_RAW);
        if !is_asked || !is_raw() {
            return None;
        }
        log::warn!("option {number} of level {level}: refused, because the machine's interfaces are made to route multicasts by nobody in a net");
        Some(())
    })?;
    errno::set(libc::EPERM);
    Some(-1)
}

// The four functions that follow are `extern "C"`: they never unwind into the hook, which costs an
// ordinary option nothing then. `None` leaves the call to the host.

/// setsockopt(2) with an option that may name an interface: carries the call out if it is about one
/// of the net's.
#[cold]
#[inline(never)]
pub extern "C" fn set_option(
    fd: c_int,
    level: c_int,
    number: c_int,
    value: *const c_void,
    length: libc::socklen_t,
) -> Option<c_int> {
    option(fd, level, number, |call| {
        let set = call.set(value as usize, length as usize);
        set.map_err(|e| match joins_group(level, number) {
            true => inet::membership::shown(e),
            false => e,
        })
    })
}

/// Called when the host has set such an option.
#[cold]
#[inline(never)]
pub extern "C" fn option_replaced(fd: c_int, level: c_int, number: c_int) {
    errno::keep(|| option(fd, level, number, |call| call.replaced().map(|()| true)));
}

/// Called when the host does not permit such an option.
#[cold]
#[inline(never)]
pub extern "C" fn option_refused(
    fd: c_int,
    level: c_int,
    number: c_int,
    value: *const c_void,
    length: libc::socklen_t,
) -> Option<c_int> {
    option(fd, level, number, |call| {
        call.refused(value as usize, length as usize)
    })
}

/// getsockopt(2) with such an option.
#[cold]
#[inline(never)]
pub extern "C" fn get_option(
    fd: c_int,
    level: c_int,
    number: c_int,
    value: *mut c_void,
    length: *mut libc::socklen_t,
) -> Option<c_int> {
    option(fd, level, number, |call| {
        call.get(value as usize, length as usize)
    })
}

fn option(
    fd: c_int,
    level: c_int,
    option: c_int,
    run: impl FnOnce(&OptionCall<'_, OwnMemory>) -> Result<bool, Errno>,
) -> Option<c_int> {
    let option = request::option_of(level, option)?;
    let answer = errno::keep(|| {
        fence(|| {
            let (Some(net), Ok(st)) = (net::existing(), sys::fstat(fd)) else {
                return Ok(false);
            };
            if !sys::is_kind(&st, libc::S_IFSOCK) || !net.had_interfaces() {
                return Ok(false);
            }
            let of_socket = |option| sys::int_option(fd, libc::SOL_SOCKET, option).unwrap_or(0);
            run(&OptionCall {
                net,
                local: &OwnTunnels,
                memory: &OwnMemory,
                inode: st.st_ino,
                socket: (of_socket(libc::SO_DOMAIN), of_socket(libc::SO_TYPE)),
                option,
                towards: &|group| link_towards(&OwnHost, group).map_err(|_| Errno(libc::ENODEV)),
                joined: &|joining| inet::membership::joined(fd, joining),
                filtered: &|joining, sources| inet::membership::filtered(fd, joining, sources),
                sources: &|joining| inet::membership::sources(fd, joining),
            })
        })
    });
    match answer {
        Ok(true) => Some(0),
        Ok(false) => None,
        Err(e) => Some(errno::give::<c_int>(Err(e)) as c_int),
    }
}

/// Called before bind(2). Some is the option that was set for that call, or what it fails with.
#[cold]
#[inline(never)]
pub extern "C" fn before_bind(
    fd: c_int,
    name: *const sockaddr,
    length: socklen_t,
) -> Option<Result<bind::Free, c_int>> {
    let answer = errno::keep(|| {
        fence(|| {
            let Some(net) = net::existing().filter(|net| net.had_interfaces()) else {
                return Ok(None);
            };
            let free = bind::before(net, &OwnMemory, name as usize, length as usize)?;
            // A socket that has the option already keeps it.
            let lacks = |free: &bind::Free| sys::int_option(fd, free.0, free.1) == Ok(0);
            let free = free.filter(lacks);
            if let Some((level, option)) = free {
                sys::set_int_option(fd, level, option, 1)?;
            }
            Ok(free)
        })
    });
    match answer {
        Ok(free) => free.map(Ok),
        Err(e) => Some(Err(errno::give::<c_int>(Err(e)) as c_int)),
    }
}

/// Called after a bind(2) for which an option was set.
#[cold]
#[inline(never)]
pub extern "C" fn after_bind(fd: c_int, (level, option): bind::Free) {
    errno::keep(|| {
        let _ = sys::set_int_option(fd, level, option, 0);
    });
}
