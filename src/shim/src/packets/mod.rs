//! The calls of this process on packet sockets and raw sockets, of which `memtun_calls::packet`
//! knows the meaning. A stale word of the table is found by the socket's mark.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

mod receiving;

pub use receiving::{Next, Receiving};

use crate::told::{self, Told};

use crate::asking::{self, OwnHost};
use crate::errno::{self, fence};
use crate::inet::parts::{Data, To};
use crate::table::{self, OwnTunnels};
use crate::uaccess::{self, OwnMemory, UsedMemory};
use libc::{c_int, c_ulong, c_void, msghdr, sockaddr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::buffer::{Buffer, Vector};
use memtun_calls::host::Host as _;
use memtun_calls::packet::option::Outcome;
use memtun_calls::packet::receive::show;
use memtun_calls::packet::send::{self, Transmits};
use memtun_calls::packet::{mark, open, Named, Packets};
use memtun_calls::Memory;
use memtun_kernel::link::transmit::{Few, FewLinks, Transmit};
use memtun_kernel::net::NetDir;
use memtun_kernel::policy::Policy;
use memtun_kernel::tun::room::Wait;
use memtun_kernel::Permission;
use memtun_shm::layout::InterfaceState;
use memtun_stack::sockets::raw::{octets_of, Element, Head, Kind, HEAD};
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

static QUEUES: Few = Few::new();
static LINKS: FewLinks = FewLinks::new();

/// The bits of a socket's type that are no type.
const FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

/// Bytes of what was sent that an error may quote.
const LONGEST: usize = 1480;

/// SOCK_PACKET.
const OLD: c_int = 10;

/// The protocol of a socket of IP that sends what it is given whole (IPPROTO_RAW).
const WHOLE: c_int = 255;

/// What a program asks for with socket(2), if it is a packet socket, a raw one or one of echo
/// requests.
#[inline]
pub fn wanted(domain: c_int, kind: c_int, protocol: c_int) -> Option<Kind> {
    let socket = kind & !FLAGS;
    let is_it = match domain {
        libc::AF_PACKET => true,
        libc::AF_INET | libc::AF_INET6 => match socket {
            libc::SOCK_RAW => (1..=WHOLE).contains(&protocol),
            libc::SOCK_DGRAM => {
                let of_v4 = domain == libc::AF_INET;
                let echo = if of_v4 {
                    libc::IPPROTO_ICMP
                } else {
                    libc::IPPROTO_ICMPV6
                };
                protocol == echo
            }
            _ => false,
        },
        _ => false,
    };
    is_it.then_some(Kind {
        family: domain,
        kind: socket,
    })
}

/// Returns what such a socket is refused with where an isolated program cannot tell whether its net
/// has addresses, or can reach them no more: the machine's would reach the machine's networks. It
/// is called where a look has said that the net may be concerned.
#[cold]
#[inline(never)]
pub extern "C" fn unseen(kind: Kind) -> Option<c_int> {
    if !asking::is_there() || !OwnHost.is_isolated() {
        return None;
    }
    let is_unseen = !may(Extra::Host) || errno::keep(crate::net::look).is_err();
    if is_unseen && !may(Extra::Host) {
        let _ = errno::keep(|| crate::net::current().map(memtun_stack::ask::forbidden));
    }
    is_unseen.then_some(if kind.is_ping() {
        libc::EACCES
    } else {
        libc::EPERM
    })
}

/// Is such a socket to be one of this library's? In a net that has no interface what the machine
/// allows is the machine's, and so is what it refuses where it is seen. With interfaces a raw
/// socket that the machine allows is still the machine's where it is seen, because it reaches what
/// the machine reaches; one of echo requests becomes the machine's when it sends there. `refused`
/// says that the machine has not allowed it.
#[cold]
#[inline(never)]
pub extern "C" fn are_ours(kind: Kind, refused: bool) -> bool {
    if !asking::is_there() || !may(Extra::Host) {
        return false;
    }
    errno::keep(|| {
        let had_interfaces = crate::net::existing().is_some_and(NetDir::had_interfaces);
        let is_first = kind.is_packet() || kind.is_ping() || OwnHost.is_isolated();
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
        // Whoever may send echo requests is found out when the socket is made.
        _ if kind.is_ping() => 0,
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
    stamp(fd, 0);
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
            let is_denied = kind.is_ping() && e == Errno(libc::EACCES);
            let sees = || crate::net::current().is_none_or(|net| net.open_dir().is_ok());
            if !is_denied || !errno::keep(sees) {
                log::warn!("a packet socket or a raw one cannot be had: {e}");
            }
            errno::set(if is_denied { libc::EACCES } else { libc::EPERM });
            -1
        }
    }
}

/// Called with a socket that came from another process, or a new descriptor. Returns whether it is
/// one of these.
pub fn adopt(fd: c_int) -> bool {
    let is_it = may(Extra::Host) && mark::is_marked(fd);
    if is_it {
        let _ = table::enter_packets(fd);
    }
    is_it
}

/// May a socket that came from another process be one of these?
pub fn may_be(fd: c_int) -> bool {
    may(Extra::Host) && mark::of(fd).is_some()
}

/// Is the descriptor still one of these? Otherwise it is forgotten.
#[cold]
#[inline(never)]
pub extern "C" fn is_still(fd: c_int) -> bool {
    if !may(Extra::Host) {
        // Nobody can tell any more.
        return false;
    }
    let is_it = errno::keep(|| mark::of(fd).is_some());
    if !is_it {
        table::forget_datagrams(fd);
    }
    is_it
}

fn call<M: Memory>(fd: c_int, memory: &M) -> Option<Packets<'_, OwnHost, M>> {
    if !may(Extra::Host) {
        return None;
    }
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
    let protocol = mark::bound(fd).protocol;
    let protocol = if kind.is_packet() {
        protocol.to_be()
    } else {
        protocol
    };
    let real = sys::socket(kind.family, kind.kind, protocol.into())?;
    sys::set_status_flags(real.raw(), sys::status_flags(fd)?)?;
    if !kind.is_packet() {
        take_options_over(fd, kind, &real);
    }
    // SAFETY: the descriptor is the program's, which makes a call on it that needs this.
    unsafe { sys::take_place(real.as_fd(), fd)? };
    table::forget_datagrams(fd);
    Ok(())
}

/// Sets on the machine's socket what the program has set on its own.
fn take_options_over(fd: c_int, kind: Kind, real: &sys::Fd) {
    const OF_ALL: [c_int; 4] = [
        libc::SO_TIMESTAMP,
        libc::SO_TIMESTAMPNS,
        libc::SO_BROADCAST,
        libc::SO_MARK,
    ];
    const OF_V4: [c_int; 6] = [
        libc::IP_RECVERR,
        libc::IP_RECVTTL,
        libc::IP_PKTINFO,
        libc::IP_MTU_DISCOVER,
        libc::IP_TTL,
        libc::IP_TOS,
    ];
    const OF_V6: [c_int; 6] = [
        libc::IPV6_RECVERR,
        libc::IPV6_RECVHOPLIMIT,
        libc::IPV6_RECVPKTINFO,
        libc::IPV6_MTU_DISCOVER,
        libc::IPV6_UNICAST_HOPS,
        libc::IPV6_TCLASS,
    ];
    let (level, of_ip) = match kind.family {
        libc::AF_INET => (libc::IPPROTO_IP, OF_V4),
        _ => (libc::IPPROTO_IPV6, OF_V6),
    };
    let Some(call) = call(fd, &OwnMemory) else {
        return;
    };
    for option in of_ip {
        if let Ok(Outcome::Int(value)) = call.get_option(level, option, 0, 4) {
            let _ = sys::set_int_option(real.raw(), level, option, value);
        }
    }
    for option in OF_ALL {
        if let Ok(value @ 1..) = sys::int_option(fd, libc::SOL_SOCKET, option) {
            let _ = sys::set_int_option(real.raw(), libc::SOL_SOCKET, option, value);
        }
    }
    for option in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
        let mut time = [0; size_of::<libc::timeval>()];
        if sys::inet::option_bytes(fd, libc::SOL_SOCKET, option, &mut time) == Ok(time.len()) {
            let _ = sys::inet::set_option(real.as_fd(), libc::SOL_SOCKET, option, &time);
        }
    }
}

/// connect(2).
#[cold]
#[inline(never)]
pub extern "C" fn connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> Option<c_int> {
    answer(fd, |call| call.connect(name as usize, length as usize)).map(give)
}

/// How much room a program has for a name.
fn room_of(length: *mut socklen_t) -> Result<usize, Errno> {
    // SAFETY: a length is a plain number.
    let room = unsafe { uaccess::read(length.cast_const()) }?;
    usize::try_from(room as i32).map_err(|_| Errno(libc::EINVAL))
}

/// getpeername(2).
#[cold]
#[inline(never)]
pub extern "C" fn peer_name(
    fd: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<c_int> {
    answer(fd, |call| {
        call.peer_name(name as usize, room_of(length)?, length as usize)
    })
    .map(give)
}

/// shutdown(2).
#[cold]
#[inline(never)]
pub extern "C" fn shut_down(fd: c_int, how: c_int) -> Option<c_int> {
    let shut = answer(fd, |call| match how {
        libc::SHUT_RD..=libc::SHUT_RDWR => call.shut_down(),
        _ if call.kind.family != libc::AF_PACKET => Err(Errno(libc::EINVAL)),
        _ => call.shut_down(),
    });
    match shut? {
        Ok(()) => None,
        refused => Some(give(refused)),
    }
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
        call.own_name(name as usize, room_of(length)?, length as usize)
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
        // SAFETY: a length is a plain number.
        let room = unsafe { uaccess::read(length.cast_const()) }? as i32;
        // A negative length is a large one where IPv6 is asked.
        let is_v6 = call.kind.family == libc::AF_INET6
            && matches!(level, libc::IPPROTO_IPV6 | libc::SOL_RAW);
        let room = match usize::try_from(room) {
            Ok(room) => room,
            Err(_) if is_v6 => usize::MAX,
            // Of a level that is not its own a socket of IPv4 says so, whatever the length.
            Err(_) if level == libc::IPPROTO_ICMPV6 && call.kind.family == libc::AF_INET => 0,
            Err(_) => return Err(Errno(libc::EINVAL)),
        };
        let outcome = call.get_option(level, option, value as usize, room)?;
        let mut bytes = [0; 40];
        let whole = match outcome {
            Outcome::Kernel | Outcome::Done => return Ok(outcome),
            Outcome::Stored(whole) => {
                OwnMemory.write(length as usize, &(whole as u32).to_ne_bytes())?;
                return Ok(outcome);
            }
            Outcome::Int(value) => {
                bytes[..4].copy_from_slice(&value.to_ne_bytes());
                4
            }
            Outcome::Two([a, b]) => {
                bytes[..4].copy_from_slice(&a.to_ne_bytes());
                bytes[4..8].copy_from_slice(&b.to_ne_bytes());
                8
            }
            Outcome::Bytes(all, length) => {
                bytes = all;
                length
            }
        };
        let some = match (outcome, room.min(whole)) {
            // A small number of this level is one byte where there is no room for an int. An
            // address is none.
            (Outcome::Int(0..=255), 1..4)
                if level == libc::IPPROTO_IP && option != libc::IP_MULTICAST_IF =>
            {
                1
            }
            (_, some) => some,
        };
        OwnMemory.write(value as usize, &bytes[..some])?;
        OwnMemory.write(length as usize, &(some as u32).to_ne_bytes())?;
        Ok(outcome)
    })?;
    match got {
        Ok(Outcome::Kernel) => None,
        got => Some(give(got.map(drop))),
    }
}

/// When the last packet came that each descriptor has received; 0 for none.
static STAMPS: [AtomicU64; 1024] = [const { AtomicU64::new(0) }; 1024];

/// Remembers when a packet came.
fn stamp(fd: c_int, time: u64) {
    if let Some(place) = usize::try_from(fd).ok().and_then(|fd| STAMPS.get(fd)) {
        place.store(time, Relaxed);
    }
}

/// Does a request ask for that time (SIOCGSTAMP, SIOCGSTAMPNS)?
#[inline]
pub fn asks_for_stamp(request: c_ulong) -> bool {
    matches!(request, 0x8906 | 0x8907 | 0x8010_8906 | 0x8010_8907)
}

/// ioctl(2) SIOCGSTAMP and SIOCGSTAMPNS.
#[cold]
#[inline(never)]
pub extern "C" fn stamped(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int {
    let place = usize::try_from(fd).ok().and_then(|fd| STAMPS.get(fd));
    let time = place.map_or(0, |place| place.load(Relaxed));
    let told = match time {
        0 => Err(Errno(libc::ENOENT)),
        _ => {
            let (seconds, rest) = (time / 1_000_000_000, time % 1_000_000_000);
            let rest = match request & 1 {
                0 => rest / 1000,
                _ => rest,
            };
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&seconds.to_ne_bytes());
            bytes[8..].copy_from_slice(&rest.to_ne_bytes());
            uaccess::copy_out(arg as usize, &bytes)
        }
    };
    errno::give(told.map(|()| 0)) as c_int
}

const SIOCATMARK: c_ulong = 0x8905;
/// A request of the protocol's own, and of AF_UNIX.
const SIOCPROTOPRIVATE: c_ulong = 0x89e0;

/// Does the carrier, a socket of AF_UNIX, answer this request otherwise than such a socket?
#[inline]
pub fn asks_otherwise(request: c_ulong) -> bool {
    matches!(
        request,
        libc::FIONREAD | libc::TIOCOUTQ | SIOCATMARK | SIOCPROTOPRIVATE
    )
}

/// What a request of [`asks_otherwise`] fails with; `None` where the carrier is right.
#[cold]
#[inline(never)]
pub extern "C" fn refuses_request(fd: c_int, request: c_ulong) -> Option<c_int> {
    let is_of_queue = matches!(request, libc::FIONREAD | libc::TIOCOUTQ);
    let refused = answer(fd, |call| {
        let is_raw = call.kind.family != libc::AF_PACKET && !call.kind.is_ping();
        Err::<(), _>(Errno(match request {
            SIOCPROTOPRIVATE if is_raw => libc::EINVAL,
            _ if is_of_queue && !call.kind.is_ping() => 0,
            _ => libc::ENOTTY,
        }))
    });
    match refused {
        Some(Err(Errno(0))) | None => None,
        Some(refused) => Some(give(refused)),
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

/// Receives from the queue of errors (`ip_recv_error`, `ipv6_recv_error`).
#[cold]
#[inline(never)]
pub extern "C" fn receive_error(fd: c_int, message: *mut msghdr) -> ssize_t {
    let received = answer(fd, |call| {
        let mut room = [0; Element::LENGTH + LONGEST];
        let length = call.take_element(&mut room)?;
        let read = Element::of_bytes(&room[..length]);
        let (element, payload) = read.ok_or(Errno(libc::EAGAIN))?;
        let is_v6 = call.kind.family == libc::AF_INET6;
        let told = Told {
            report: &element.report,
            to: element.to,
            payload,
            is_v6,
        };
        let head = Head {
            ifindex: element.ifindex,
            addresses: [[0; 16], octets_of(Some(element.at))],
            hops: [element.report.hops, 0],
            ..Head::default()
        };
        let of = (call.kind, mark::bound(fd));
        let is_local = element.report.is_local();
        told.give(message, |control| match is_local {
            true => Ok((0, false)),
            false => show(&OwnMemory, of, &head, control),
        })
    });
    errno::give(match received {
        Some(received) => received.map(|length| length as isize),
        None => Err(Errno(libc::EAGAIN)),
    })
}

/// recvfrom(2) from the queue of errors.
#[cold]
#[inline(never)]
pub extern "C" fn receive_error_bytes(
    fd: c_int,
    buf: *mut c_void,
    n: usize,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    let receive = |message| Some(receive_error(fd, message));
    told::in_bytes((buf, n), name, length, receive).unwrap_or(-1)
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
        if !may(Extra::Files) {
            return Err(Errno(libc::EACCES));
        }
        let link = LINKS.find(net, ifindex);
        let link = link.map_err(|e| e.if_lack_or(gone))?;
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
        let _quiet = memtun_sys::hold_signals();
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
    Some(errno::give(match sent {
        Ok(Some(sent)) => Ok(sent as isize),
        Ok(None) => match errno::keep(|| become_real(fd, kind_of(fd))) {
            Ok(()) => return None,
            Err(_) => Err(Errno(libc::ENETUNREACH)),
        },
        Err(e) => Err(e),
    }))
}

fn kind_of(fd: c_int) -> Kind {
    mark::of(fd).unwrap_or(Kind {
        family: libc::AF_PACKET,
        kind: libc::SOCK_RAW,
    })
}
