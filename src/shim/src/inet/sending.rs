//! Datagrams that this process sends.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::calls::{call, Descriptor};
use super::known::Side;
use super::parts::{Data, To};
use super::refusal::{self, How};
use super::{errors, known, notes};
use crate::errno::{self, fence};
use crate::table::OwnTunnels;
use crate::uaccess::OwnMemory;
use libc::{c_int, iovec, msghdr, socklen_t, ssize_t};
use memtun_abi::Errno;
use memtun_calls::buffer::{Buffer, Vector};
use memtun_calls::inet::datagram::{control, Given, Natively, Sent, Transmits, Ways};
use memtun_calls::inet::{name, Native};
use memtun_kernel::link::transmit::{Few, FewLinks, Transmit};
use memtun_kernel::tun::room::Wait;
use memtun_stack::sockets::Protocol;
use memtun_sys::inet::{Control, SocketName};
use memtun_sys::quiet::{may, Extra};
use memtun_sys::{self as sys};
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};

/// UDP_SEGMENT of linux/udp.h.
const UDP_SEGMENT: i32 = 103;

/// MSG_PROBE of linux/socket.h.
const MSG_PROBE: c_int = 0x10;

static QUEUES: Few = Few::new();
static LINKS: FewLinks = FewLinks::new();
static WAYS: Ways = Ways::new();

/// The queues of the net's interfaces, as this process sends into them.
struct Queues;

impl Transmits for Queues {
    fn transmit(&self, ifindex: u32, frame: &[u8]) -> Result<(), Errno> {
        let known = known::get().ok_or(Errno(libc::ENODEV))?;
        if !may(Extra::Files) {
            return Err(Errno(libc::EACCES));
        }
        let interface = LINKS.find(known.net, ifindex)?;
        let way = Transmit {
            net: known.net,
            local: &OwnTunnels,
            interface: &interface,
            queues: &&QUEUES,
        };
        let _quiet = sys::hold_signals();
        let Err(refusal) = way.send(frame, None, Wait::Never) else {
            return Ok(());
        };
        if refusal.errno == Errno(libc::EOPNOTSUPP) {
            return Err(refusal.errno);
        }
        way.refused(frame, None, refusal, Wait::Never);
        match refusal.errno.0 {
            // A device drops what its queue has no room for, and what it has no carrier for.
            libc::EAGAIN | libc::ENOTCONN => Ok(()),
            libc::ENETDOWN if interface.is_up() => Ok(()),
            _ => Err(refusal.errno),
        }
    }
    fn too_long(&self, cookie: u64, to: SocketAddr, mtu: u32) {
        if let Some(known) = known::get() {
            errors::too_long(known, cookie, to, mtu);
        }
    }
    fn ways(&self) -> &Ways {
        &WAYS
    }
}

/// Called when an option of a socket was set, or a socket got a name.
#[inline]
pub fn forget_options() {
    WAYS.forget_options();
}

/// Called after shutdown(2).
#[cold]
#[inline(never)]
pub extern "C" fn shut_down(fd: c_int, how: c_int) {
    if how != libc::SHUT_RD && may(Extra::Sockets) {
        let _ = errno::keep(|| Descriptor(fd).cookie().map(|cookie| WAYS.shut_down(cookie)));
    }
}

/// Sends a datagram. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn send(fd: c_int, data: Data, flags: c_int, to: &To) -> Option<ssize_t> {
    sent(fd, || try_send(fd, data, flags, to))
}

fn sent(fd: c_int, send: impl FnOnce() -> Result<Option<usize>, Errno>) -> Option<ssize_t> {
    match errno::keep(|| fence(send)) {
        Ok(None) => None,
        Ok(Some(sent)) => Some(sent as ssize_t),
        Err(e) => {
            errors::given(fd);
            let e = refusal::shown(How::Sends, e);
            Some(errno::give::<isize>(Err(e)))
        }
    }
}

/// Sends to a name, on a descriptor that is not known as a socket of datagrams: one whose making
/// this library has not seen, or that the net does not carry. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn send_unknown(fd: c_int, data: Data, flags: c_int, to: &To) -> Option<ssize_t> {
    sent(fd, || {
        let Some(name) = name::read(&OwnMemory, to.name as usize, to.length as usize) else {
            return Ok(None);
        };
        let known = match known::side_of(&name, How::Sends) {
            Side::Machine => return Ok(None),
            Side::Nobody(why) => {
                return refusal::of_name(How::Sends, &name, why).map_or(Ok(None), Err);
            }
            Side::Net(known) => known,
        };
        let socket = Descriptor(fd);
        let call = call(known, &socket);
        match call.told_kind()? {
            Some(kind) if kind.protocol == Protocol::Udp => {
                notes::note(fd);
                try_send(fd, data, flags, to)
            }
            // Who is connected does not look at the name.
            Some(_) => Ok(None),
            None => call.uncarried(&name).map(|()| None),
        }
    })
}

fn try_send(fd: c_int, data: Data, flags: c_int, to: &To) -> Result<Option<usize>, Errno> {
    let name = match to.name.is_null() {
        true => None,
        false => match name::read(&OwnMemory, to.name as usize, to.length as usize) {
            Some(name) => Some(name),
            None => return Ok(None),
        },
    };
    let side = match &name {
        Some(name) => known::side_of(name, How::Sends),
        None => known::side(),
    };
    let known = match side {
        Side::Net(known) => known,
        Side::Nobody(why) => {
            let refused = name.and_then(|name| refusal::of_name(How::Sends, &name, why));
            return refused.map_or(Ok(None), Err);
        }
        Side::Machine => return Ok(None),
    };
    // The kernel refuses urgent data, of IPv4.
    let by_v6 = |name: SocketAddr| name.ip().to_canonical().is_ipv6();
    if flags & libc::MSG_OOB != 0 && !name.is_some_and(by_v6) {
        return Ok(None);
    }
    let socket = Descriptor(fd);
    let call = call(known, &socket);
    let says = !to.control.is_null() && to.control_length > 0;
    // That it has no other end comes before what goes with the datagram.
    if says && name.is_none() && socket.peer_name().is_err() {
        call.named_before_it_failed();
        return Ok(None);
    }
    let said = match says {
        false => Ok(Given::default()),
        true => call.rules(name).and_then(|rules| {
            control::given(&OwnMemory, to.control as usize, to.control_length, rules)
        }),
    };
    let said = said.inspect_err(|_| call.named_before_it_failed())?;
    let given = Given {
        more: flags & libc::MSG_MORE != 0,
        probes: flags & MSG_PROBE != 0,
        ..said
    };
    let sent = match data {
        Data::Buffer(at, length) => {
            let buffer = Buffer::new(OwnMemory, at as usize, length)?;
            call.send(name, &buffer, &given, &Queues)
        }
        Data::Vector(array, count) => {
            let count = c_int::try_from(count).map_err(|_| Errno(libc::EMSGSIZE))?;
            let vector = Vector::new(OwnMemory, array as usize, count)?;
            call.send(name, &vector, &given, &Queues)
        }
    };
    match sent.inspect_err(|_| call.named_before_it_failed())? {
        Sent::Machine => Ok(None),
        Sent::Done(length) => Ok(Some(length)),
        Sent::Natively(natively) => send_natively(fd, data, flags, &natively).map(Some),
    }
}

/// Sends a datagram to a socket of this net, from the alias of an own address.
fn send_natively(fd: c_int, data: Data, flags: c_int, natively: &Natively) -> Result<usize, Errno> {
    let to = natively.to.map(|to| SocketName::new(&to));
    let mut one = match data {
        Data::Buffer(at, length) => iovec {
            iov_base: at.cast_mut(),
            iov_len: length,
        },
        Data::Vector(..) => iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        },
    };
    // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
    let mut message: msghdr = unsafe { zeroed() };
    if let Some(to) = &to {
        message.msg_name = to.bytes().as_ptr().cast_mut().cast();
        message.msg_namelen = to.bytes().len() as socklen_t;
    }
    (message.msg_iov, message.msg_iovlen) = match data {
        Data::Buffer(..) => (&raw mut one, 1),
        Data::Vector(array, count) => (array.cast_mut(), count as _),
    };
    let mut control = control_of(natively);
    let used = control.used();
    if used > 0 {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = used as _;
    }
    let args = [
        fd as usize,
        &raw const message as usize,
        flags as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads the message, whose name and control messages are locals of this
    // function, and whose buffers are the program's for this very call.
    match unsafe { sys::syscall(libc::SYS_sendmsg, args) } {
        failed @ -4095..=-1 => Err(Errno(-failed as c_int)),
        sent => Ok(sent as usize),
    }
}

/// Returns the control messages that go with a datagram, which is natively nearly always one of
/// IPv4.
fn control_of(natively: &Natively) -> Control {
    let mut control = Control::new();
    let of_v6 = natively.to.is_some_and(|to| to.is_ipv6());
    if let Some(source) = natively.source {
        // struct in_pktinfo and struct in6_pktinfo; the interface stays 0.
        let mut data = [0u8; 20];
        match (source, of_v6) {
            (IpAddr::V4(v4), false) => data[4..8].copy_from_slice(&v4.octets()),
            (IpAddr::V4(v4), true) => data[..16].copy_from_slice(&v4.to_ipv6_mapped().octets()),
            (IpAddr::V6(v6), _) => data[..16].copy_from_slice(&v6.octets()),
        }
        match of_v6 {
            true => control.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data),
            false => control.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &data[..12]),
        }
    }
    let by_v6 = natively
        .to
        .is_some_and(|to| to.ip().to_canonical().is_ipv6());
    let (level, hops, class) = match by_v6 {
        true => (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, libc::IPV6_TCLASS),
        false => (libc::IPPROTO_IP, libc::IP_TTL, libc::IP_TOS),
    };
    for (kind, value) in [(hops, natively.hops), (class, natively.class)] {
        if let Some(value) = value {
            control.put(level, kind, &i32::from(value).to_ne_bytes());
        }
    }
    if let Some(segment) = natively.segment {
        control.put(libc::IPPROTO_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
    }
    control
}
