//! The calls of this process on packet sockets and raw sockets, of which `memtun_calls::packet`
//! knows the meaning. A stale word of the table is found by the socket's mark.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

mod receiving;

pub use receiving::{Next, Receiving};

use crate::asking::{self, OwnHost};
use crate::errno::{self, fence};
use crate::inet::parts::{Data, To};
use crate::table::{self, OwnTunnels};
use crate::uaccess::{self, OwnMemory, UsedMemory};
use libc::{c_int, c_void, sockaddr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::buffer::{Buffer, Vector};
use memtun_calls::host::Host as _;
use memtun_calls::packet::option::Outcome;
use memtun_calls::packet::send::{self, Transmits};
use memtun_calls::packet::{mark, open, Named, Packets};
use memtun_calls::Memory;
use memtun_kernel::link::transmit::{Few, FewLinks, Transmit};
use memtun_kernel::net::NetDir;
use memtun_kernel::policy::Policy;
use memtun_kernel::tun::room::Wait;
use memtun_kernel::Permission;
use memtun_shm::layout::InterfaceState;
use memtun_stack::sockets::raw::{Kind, HEAD};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::os::fd::{AsFd, BorrowedFd};

static QUEUES: Few = Few::new();
static LINKS: FewLinks = FewLinks::new();

/// The bits of a socket's type that are no type.
const FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// SOCK_PACKET.
const OLD: c_int = 10;

/// The protocol of a socket of IP that sends what it is given whole (IPPROTO_RAW).
const WHOLE: c_int = 255;

/// What a program asks for with socket(2), if it is a packet socket or a raw one.
#[inline]
pub fn wanted(domain: c_int, kind: c_int, protocol: c_int) -> Option<Kind> {
    let socket = kind & !FLAGS;
    let is_it = match domain {
        libc::AF_PACKET => true,
        libc::AF_INET | libc::AF_INET6 => {
            socket == libc::SOCK_RAW && (1..=WHOLE).contains(&protocol)
        }
        _ => false,
    };
    is_it.then_some(Kind {
        family: domain,
        kind: socket,
    })
}

/// Is such a socket to be one of this library's? In a net that has no interface what the machine
/// allows is the machine's, and so is what it refuses where it is seen. With interfaces a raw
/// socket that the machine allows is still the machine's where it is seen, because it reaches what
/// the machine reaches. `refused` says that the machine has not allowed it.
#[cold]
#[inline(never)]
pub extern "C" fn are_ours(kind: Kind, refused: bool) -> bool {
    if !asking::is_there() || !may(Extra::Host) {
        return false;
    }
    errno::keep(|| {
        let had_interfaces = crate::net::existing().is_some_and(NetDir::had_interfaces);
        let is_first = kind.family == libc::AF_PACKET || OwnHost.is_isolated();
        refused && OwnHost.is_isolated() || had_interfaces && (refused || is_first)
    })
}

/// What a packet socket of this type is refused with; 0 for none. Who may not administer the net
/// has no such sockets in it.
#[cold]
#[inline(never)]
pub extern "C" fn refused(kind: Kind) -> c_int {
    let denied = |net: &NetDir| net.permit_check(Permission::NetAdmin).is_err();
    match kind.kind {
        _ if errno::keep(crate::net::existing).is_some_and(denied) => libc::EPERM,
        libc::SOCK_RAW | libc::SOCK_DGRAM => 0,
        // The kind of old is not there.
        OLD => libc::EPERM,
        _ => libc::ESOCKTNOSUPPORT,
    }
}

/// Makes a datagram socket of AF_UNIX, which the program has just got, one of this kind. Returns
/// what the program gets: where it fails the descriptor is closed.
#[cold]
#[inline(never)]
pub extern "C" fn take(fd: c_int, kind: Kind, protocol: c_int) -> c_int {
    let protocol = match kind.family {
        libc::AF_PACKET => u16::from_be(protocol as u16),
        _ => protocol as u16,
    };
    let made = errno::keep(|| {
        fence(|| {
            // SAFETY: the descriptor was made by the program's call, and nobody knows it yet.
            let socket = unsafe { BorrowedFd::borrow_raw(fd) };
            open(&OwnHost, socket, fd, kind, protocol)?;
            table::enter_packets(fd)
        })
    });
    match made {
        Ok(()) => fd,
        Err(e) => {
            // SAFETY: as above.
            let _ = unsafe { sys::close(fd) };
            log::warn!("a packet socket or a raw one cannot be had: {e}");
            errno::set(libc::EPERM);
            -1
        }
    }
}

/// Called with a socket that came from another process, or a new descriptor. Returns whether it is
/// one of these.
pub fn adopt(fd: c_int) -> bool {
    let is_it = mark::is_marked(fd);
    if is_it {
        let _ = table::enter_packets(fd);
    }
    is_it
}

/// May a socket that came from another process be one of these?
pub fn may_be(fd: c_int) -> bool {
    mark::of(fd).is_some()
}

/// Is the descriptor still one of these? Otherwise it is forgotten.
#[cold]
#[inline(never)]
pub extern "C" fn is_still(fd: c_int) -> bool {
    let is_it = errno::keep(|| mark::of(fd).is_some());
    if !is_it {
        table::forget_datagrams(fd);
    }
    is_it
}

fn call<M: Memory>(fd: c_int, memory: &M) -> Option<Packets<'_, OwnHost, M>> {
    let Some(kind) = mark::of(fd) else {
        table::forget_datagrams(fd);
        return None;
    };
    Some(Packets {
        host: &OwnHost,
        memory,
        fd,
        kind,
    })
}

/// Runs a call; `None` says that the kernel has to make the program's own.
fn answer<T>(
    fd: c_int,
    run: impl FnOnce(&Packets<'_, OwnHost, OwnMemory>) -> Result<T, Errno>,
) -> Option<Result<T, Errno>> {
    errno::keep(|| {
        let call = call(fd, &OwnMemory)?;
        Some(fence(|| run(&call)))
    })
}

fn give(answer: Result<(), Errno>) -> c_int {
    errno::give(answer.map(|()| 0)) as c_int
}

/// bind(2).
#[cold]
#[inline(never)]
pub extern "C" fn bind(fd: c_int, name: *const sockaddr, length: socklen_t) -> Option<c_int> {
    let bound = answer(fd, |call| {
        let named = call.bind(name as usize, length as usize)?;
        Ok((named, call.kind))
    })?;
    Some(give(match bound {
        Ok((Named::Done, _)) => Ok(()),
        Ok((Named::Machine, kind)) => match errno::keep(|| become_real(fd, kind)) {
            Ok(()) => return None,
            Err(e) => {
                log::warn!(
                    "descriptor {fd}: a packet socket on an interface of the machine's: {e}"
                );
                Err(Errno(libc::EPERM))
            }
        },
        Err(e) => Err(e),
    }))
}

/// Puts a socket of the machine's in the place of the program's.
fn become_real(fd: c_int, kind: Kind) -> Result<(), Errno> {
    let protocol = mark::bound(fd).protocol.to_be();
    let real = sys::socket(kind.family, kind.kind, protocol.into())?;
    sys::set_status_flags(real.raw(), sys::status_flags(fd)?)?;
    // SAFETY: the descriptor is the program's, which makes a call on it that needs this.
    unsafe { sys::take_place(real.as_fd(), fd)? };
    table::forget_datagrams(fd);
    Ok(())
}

/// connect(2).
#[cold]
#[inline(never)]
pub extern "C" fn connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> Option<c_int> {
    answer(fd, |call| call.connect(name as usize, length as usize)).map(give)
}

/// getpeername(2), and shutdown(2), which says the same.
#[cold]
#[inline(never)]
pub extern "C" fn peer_name(fd: c_int) -> Option<c_int> {
    answer(fd, |call| call.peer_name()).map(give)
}

/// getsockname(2).
#[cold]
#[inline(never)]
pub extern "C" fn own_name(
    fd: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<c_int> {
    answer(fd, |call| {
        // SAFETY: a length is a plain number.
        let room = unsafe { uaccess::read(length.cast_const()) }?;
        let room = usize::try_from(room as i32).map_err(|_| Errno(libc::EINVAL))?;
        call.own_name(name as usize, room, length as usize)
    })
    .map(give)
}

/// setsockopt(2).
#[cold]
#[inline(never)]
pub extern "C" fn set_option(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    length: socklen_t,
) -> Option<c_int> {
    let set = answer(fd, |call| {
        call.set_option(level, option, value as usize, length as usize)
    })?;
    match set {
        Ok(Outcome::Kernel) => None,
        set => Some(give(set.map(drop))),
    }
}

/// getsockopt(2).
#[cold]
#[inline(never)]
pub extern "C" fn get_option(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> Option<c_int> {
    let got = answer(fd, |call| {
        let outcome = call.get_option(level, option, value as usize)?;
        let mut bytes = [0; 8];
        let whole = match outcome {
            Outcome::Kernel | Outcome::Done => return Ok(outcome),
            Outcome::Int(value) => {
                bytes[..4].copy_from_slice(&value.to_ne_bytes());
                4
            }
            Outcome::Two([a, b]) => {
                bytes[..4].copy_from_slice(&a.to_ne_bytes());
                bytes[4..].copy_from_slice(&b.to_ne_bytes());
                8
            }
        };
        // SAFETY: a length is a plain number.
        let room = unsafe { uaccess::read(length.cast_const()) }?;
        let some = usize::try_from(room as i32).map_err(|_| Errno(libc::EINVAL))?;
        let some = some.min(whole);
        OwnMemory.write(value as usize, &bytes[..some])?;
        OwnMemory.write(length as usize, &(some as u32).to_ne_bytes())?;
        Ok(outcome)
    })?;
    match got {
        Ok(Outcome::Kernel) => None,
        got => Some(give(got.map(drop))),
    }
}

/// ioctl(2) FIONREAD: the length of the next copy without what stands in front of it.
#[cold]
#[inline(never)]
pub extern "C" fn queued(fd: c_int, arg: *mut c_void) {
    let _ = answer(fd, |_| {
        // SAFETY: the kernel has just stored an int there.
        let stored = unsafe { uaccess::read_used(arg.cast::<c_int>().cast_const()) }?;
        let shown = stored.saturating_sub(HEAD as c_int).max(0);
        UsedMemory.write(arg as usize, &shown.to_ne_bytes())
    });
}

/// The queues of the net's interfaces.
struct Queues;

impl Transmits for Queues {
    fn with_link<T>(
        &self,
        ifindex: u32,
        run: impl FnOnce(&InterfaceState) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let gone = Errno(libc::ENXIO);
        let net = crate::net::existing().ok_or(gone)?;
        let link = LINKS.find(net, ifindex).map_err(|_| gone)?;
        run(&link)
    }

    fn transmit(&self, ifindex: u32, frame: &[u8], ethertype: Option<u16>) -> Result<(), Errno> {
        let net = crate::net::existing().ok_or(Errno(libc::ENXIO))?;
        let interface = LINKS.find(net, ifindex)?;
        let way = Transmit {
            net,
            local: &OwnTunnels,
            interface: &interface,
            queues: &&QUEUES,
        };
        let Err(refusal) = way.send(frame, ethertype, Wait::Never) else {
            return Ok(());
        };
        way.refused(frame, ethertype, refusal, Wait::Never);
        match refusal.errno.0 {
            // A device drops what its queue has no room for, and what it has no carrier for.
            libc::EAGAIN | libc::ENOTCONN => Ok(()),
            libc::ENETDOWN if interface.is_up() => Ok(()),
            _ => Err(refusal.errno),
        }
    }
}

/// Sends a packet. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn send(fd: c_int, data: Data, flags: c_int, to: &To) -> Option<ssize_t> {
    let sent = answer(fd, |call| {
        if flags & libc::MSG_OOB != 0 && call.kind.family != libc::AF_PACKET {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let to = send::To {
            name: (to.name as usize, to.length as usize),
            control: (to.control as usize, to.control_length),
        };
        match data {
            Data::Buffer(at, length) => {
                let buffer = Buffer::new(OwnMemory, at as usize, length)?;
                call.send(&buffer, &to, &Queues)
            }
            Data::Vector(array, count) => {
                let count = c_int::try_from(count).map_err(|_| Errno(libc::EMSGSIZE))?;
                let vector = Vector::new(OwnMemory, array as usize, count)?;
                call.send(&vector, &to, &Queues)
            }
        }
    })?;
    Some(errno::give(sent.map(|n| n as isize)))
}
