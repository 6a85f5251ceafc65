//! The calls of this process on its sockets of rtnetlink. Each asks the kernel whether the
//! descriptor is still such a socket, and hands the call to `memtun_calls`, which knows what it
//! means.
//!
//! The functions that a hook calls here are `extern "C"`: such a function never unwinds into its
//! caller, so the hook's frame has nothing to clean up when a thread is cancelled in the kernel's
//! call. `None` means that the kernel has to make the program's own call.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use crate::asking::{self, OwnHost};
use crate::errno::{self, fence};
use crate::foreign::FOREIGN;
use crate::uaccess::{self, OwnMemory, UsedMemory};
use crate::{listening, net, table};
use libc::{c_int, c_void, iovec, msghdr, sockaddr, socklen_t};
use memtun_abi::Errno;
use memtun_calls::buffer::{Buffer, Vector};
use memtun_calls::host::asked;
use memtun_calls::netlink::receive::Received;
use memtun_calls::netlink::{mark, seal, Netlink, Outcome, SOL_NETLINK};
use memtun_calls::Memory;
use memtun_stack::ask;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};
use std::os::fd::AsFd;

/// Is a socket for one of the protocols that are answered here to be one of this library's?
#[cold]
pub extern "C" fn is_wanted() -> bool {
    if !asking::is_there() {
        return false;
    }
    let may_ask = may(Extra::Host);
    if !may_ask {
        say_forbidden();
    }
    may_ask
}

/// Says that this program cannot ask, if it has joined a net. Joining one may be forbidden, too.
fn say_forbidden() {
    if let Some(net) = net::current() {
        ask::forbidden(net);
    }
}

/// Makes a socket of NETLINK_USERSOCK that the program has just got one for another protocol.
/// Returns false when that cannot be, and the descriptor is closed then.
#[cold]
pub extern "C" fn take(fd: c_int, protocol: c_int) -> bool {
    let state = match protocol {
        libc::NETLINK_GENERIC => mark::GENERIC,
        libc::NETLINK_SOCK_DIAG => mark::DIAG,
        _ => 0,
    };
    let marked = errno::keep(|| {
        seal::set(fd)?;
        mark::set(fd, state)?;
        table::enter_netlink(fd)
    });
    if marked.is_err() {
        // A sandbox forbids the mark, or the number cannot be tracked.
        // SAFETY: the descriptor was made by the program's call, and nobody knows it yet.
        let _ = unsafe { sys::close(fd) };
    }
    marked.is_ok()
}

/// Called with a socket that came from another process.
pub fn adopt(fd: c_int) {
    if mark::is_marked(fd) {
        let _ = table::enter_netlink(fd);
        note_listener(fd);
    }
}

/// Called with a new descriptor of a netlink socket.
#[cold]
pub extern "C" fn duplicated(new: c_int) {
    let _ = table::enter_netlink(new);
    errno::keep(|| note_listener(new));
}

/// Notes a socket that listens.
fn note_listener(fd: c_int) {
    if mark::of(fd).is_some_and(|state| state & mark::LISTENS != 0) {
        listening::note(fd);
    }
}

/// The state of the socket.
///
/// # Errors
/// - [`FOREIGN`]: the descriptor has become something else, and is forgotten.
fn state(fd: c_int) -> Result<i32, Errno> {
    mark::of(fd).ok_or_else(|| {
        table::forget_netlink(fd);
        FOREIGN
    })
}

fn call<M: Memory>(fd: c_int, state: i32, memory: &M) -> Netlink<'_, OwnHost, M> {
    Netlink {
        host: &OwnHost,
        memory,
        fd,
        state,
    }
}

/// What the program gets.
fn give(answer: Result<Outcome, Errno>) -> Option<isize> {
    match answer {
        Ok(Outcome::Done(n)) => Some(n as isize),
        Ok(Outcome::Kernel | Outcome::Machine) | Err(FOREIGN) => None,
        Err(e) => Some(errno::give::<isize>(Err(e))),
    }
}

/// What a call on a netlink socket answers.
fn answer(
    fd: c_int,
    run: impl FnOnce(&Netlink<'_, OwnHost, OwnMemory>) -> Result<Outcome, Errno>,
) -> Result<Outcome, Errno> {
    errno::keep(|| {
        fence(|| {
            if !may(Extra::Host) {
                say_forbidden();
                return Err(Errno(libc::EACCES));
            }
            let state = state(fd)?;
            match run(&call(fd, state, &OwnMemory))? {
                Outcome::Machine => {
                    become_real(fd, sys::netlink_name(fd)?.port).map(|()| Outcome::Kernel)
                }
                done => Ok(done),
            }
        })
    })
}

/// send(2), sendto(2) and write(2).
#[cold]
#[inline(never)]
pub extern "C" fn send(
    fd: c_int,
    buf: *const c_void,
    n: usize,
    name: *const sockaddr,
    length: socklen_t,
    flags: c_int,
) -> Option<isize> {
    let name = (name as usize, length as usize);
    let source = Buffer::new(OwnMemory, buf as usize, n);
    give(answer(fd, |call| call.send(source, name, flags)))
}

/// writev(2).
#[cold]
#[inline(never)]
pub extern "C" fn send_vector(fd: c_int, array: *const iovec, count: c_int) -> Option<isize> {
    give(answer(fd, |call| {
        let source = Vector::new(OwnMemory, array as usize, count);
        call.send(source, (0, 0), 0)
    }))
}

/// sendmsg(2).
#[cold]
#[inline(never)]
pub extern "C" fn send_message(fd: c_int, message: *const msghdr, flags: c_int) -> Option<isize> {
    give(answer(fd, |call| {
        // SAFETY: a message is a plain C struct.
        let Ok(header) = (unsafe { uaccess::read(message) }) else {
            return Ok(Outcome::Kernel);
        };
        let count = c_int::try_from(header.msg_iovlen).map_err(|_| Errno(libc::EMSGSIZE))?;
        if header.msg_controllen > 0 && header.msg_iovlen > 0 && flags & libc::MSG_OOB == 0 {
            permit_control(fd, &header)?;
        }
        let source = Vector::new(OwnMemory, header.msg_iov as usize, count);
        let name = (header.msg_name as usize, header.msg_namelen as usize);
        call.send(source, name, flags)
    }))
}

/// Lets the kernel check the control messages of a program's message (`scm_send`): they go with a
/// byte to the kernel's port, on which nobody of NETLINK_USERSOCK listens.
fn permit_control(fd: c_int, header: &msghdr) -> Result<(), Errno> {
    let mut byte = 0u8;
    let mut part = iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let probe = msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: &raw mut part,
        msg_iovlen: 1,
        ..*header
    };
    let flags = libc::MSG_DONTWAIT as usize;
    let args = [fd as usize, &raw const probe as usize, flags, 0, 0, 0];
    // SAFETY: the kernel reads the probe and its byte, locals of this function, and the control
    // messages of the program, which it checks as in the program's own call.
    let sent = unsafe { sys::syscall(libc::SYS_sendmsg, args) };
    match sent.min(0).unsigned_abs() as i32 {
        0 | libc::ECONNREFUSED => Ok(()),
        errno => Err(Errno(errno)),
    }
}

/// bind(2).
#[cold]
#[inline(never)]
pub extern "C" fn bind(fd: c_int, name: *const sockaddr, length: socklen_t) -> Option<isize> {
    let before = sys::netlink_name(fd).map_or(0, |own| own.port);
    let bound = answer(fd, |call| {
        let bound = call.bind(name as usize, length as usize);
        note_listener(fd);
        bound
    });
    give(or_machine(fd, before, bound))
}

/// connect(2).
#[cold]
#[inline(never)]
pub extern "C" fn connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> Option<isize> {
    give(answer(fd, |call| {
        call.connect(name as usize, length as usize)
    }))
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
) -> Option<isize> {
    let port = sys::netlink_name(fd).map_or(0, |own| own.port);
    let set = answer(fd, |call| {
        let set = call.set_option(level, option, value as usize, length as usize);
        if (level, option) == (SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP) {
            note_listener(fd);
        }
        set
    });
    give(or_machine(fd, port, set))
}

/// getsockopt(2), where the kernel's answer would be about something else.
#[cold]
#[inline(never)]
pub extern "C" fn get_option(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) -> Option<isize> {
    if (level, option) != (libc::SOL_SOCKET, libc::SO_GET_FILTER) {
        return None;
    }
    give(answer(fd, |call| {
        call.get_filter(value as usize, length as usize)
    }))
}

/// Corrects what getsockname(2) has stored; `room` was the length of the room for it.
#[cold]
#[inline(never)]
pub extern "C" fn own_name(fd: c_int, name: *mut sockaddr, room: usize) {
    after(fd, |call| call.own_name(name as usize, room));
}

/// Corrects what getsockopt(2) has stored; `room` was the length of the room for it.
#[cold]
#[inline(never)]
pub extern "C" fn got_option(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
    room: usize,
) {
    after(fd, |call| {
        call.got_option(level, option, value as usize, length as usize, room);
    });
}

/// The length that the program has given for room of its own; 0 when it cannot be read.
#[cold]
#[inline(never)]
pub extern "C" fn room(length: *const socklen_t) -> usize {
    // SAFETY: a length is a plain number.
    let read = || fence(|| unsafe { uaccess::read(length) });
    errno::keep(read).map_or(0, |length| (length as i32).max(0) as usize)
}

/// Runs what follows a call that the kernel has answered.
fn after(fd: c_int, run: impl FnOnce(&Netlink<'_, OwnHost, OwnMemory>)) {
    let _ = answer(fd, |call| {
        run(call);
        Ok(Outcome::Done(0))
    });
}

/// Where no host process can be had, and the machine knows all there is, the descriptor becomes a
/// socket of the machine's with this port, 0 for none yet, and the program hears of what it asked
/// for.
fn or_machine(fd: c_int, port: u32, answer: Result<Outcome, Errno>) -> Result<Outcome, Errno> {
    let Err(e) = answer else { return answer };
    let unasked = !matches!(
        e.0,
        libc::EINVAL | libc::EFAULT | libc::EPERM | libc::EADDRINUSE
    );
    if unasked
        && e != FOREIGN
        && matches!(asked(&OwnHost), Ok(None))
        && become_real(fd, port).is_ok()
    {
        log::warn!("descriptor {fd}: without a host process ({e}) it hears of the machine's links only, not of the net's");
        return Ok(Outcome::Kernel);
    }
    answer
}

/// Puts a socket of the machine's in the place of the program's, with the same options.
#[cold]
fn become_real(fd: c_int, port: u32) -> Result<(), Errno> {
    let kind = sys::int_option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?;
    let protocol = mark::protocol(mark::of(fd).unwrap_or(0));
    let real = sys::socket(libc::AF_NETLINK, kind, protocol)?;
    for name in [
        libc::NETLINK_EXT_ACK,
        libc::NETLINK_CAP_ACK,
        libc::NETLINK_GET_STRICT_CHK,
        libc::NETLINK_PKTINFO,
        libc::NETLINK_NO_ENOBUFS,
    ] {
        if sys::int_option(fd, SOL_NETLINK, name).is_ok_and(|v| v != 0) {
            sys::set_int_option(real.raw(), SOL_NETLINK, name, 1)?;
        }
    }
    for name in [libc::SO_RCVBUF, libc::SO_SNDBUF] {
        let size = sys::int_option(fd, libc::SOL_SOCKET, name)?;
        sys::set_int_option(real.raw(), libc::SOL_SOCKET, name, size / 2)?;
    }
    if port != 0 {
        sys::bind_port(real.raw(), port)?;
    }
    sys::set_status_flags(real.raw(), sys::status_flags(fd)?)?;
    // SAFETY: the descriptor is the program's, which makes a call on it that needs this.
    unsafe { sys::take_place(real.as_fd(), fd)? };
    table::forget_netlink(fd);
    Ok(())
}

/// Has an answer or an event of the socket been lost, so that poll(2) reports POLLERR?
#[cold]
#[inline(never)]
pub extern "C" fn has_lost(fd: c_int) -> bool {
    let ask = || Ok(call(fd, state(fd)?, &OwnMemory).has_lost());
    may(Extra::Host) && errno::keep(|| fence(ask)).unwrap_or(false)
}

/// A receive that fails, with errno set.
pub struct Refused;

/// Called before a receive. Returns the socket's state for [`received_from`] and its relatives;
/// `None` for a descriptor whose datagrams are not to be corrected.
#[cold]
#[inline(never)]
pub extern "C" fn before_receive(fd: c_int) -> Result<Option<i32>, Refused> {
    if !may(Extra::Host) {
        return Ok(None);
    }
    let before = errno::get();
    let ready = fence(|| {
        let state = state(fd)?;
        call(fd, state, &OwnMemory).before_receive()?;
        Ok(Some(state))
    });
    match ready {
        Ok(_) | Err(FOREIGN) => {
            errno::set(before);
            Ok(ready.unwrap_or(None))
        }
        Err(e) => {
            errno::set(e.0);
            Err(Refused)
        }
    }
}

/// Shows the kernel as the sender of a datagram that was just received, and so was received from a
/// netlink socket.
fn show(fd: c_int, state: i32, at: &Received) {
    let _ = fence(|| {
        errno::keep(|| call(fd, state, &UsedMemory).received(at));
        Ok(())
    });
}

/// Called after recvfrom(2) has stored `n` bytes; `room` was the length of the room for the name.
#[cold]
#[inline(never)]
pub extern "C" fn received_from(
    fd: c_int,
    state: i32,
    bytes: *const c_void,
    n: isize,
    name: *const sockaddr,
    room: usize,
) {
    let at = Received {
        name: name as usize,
        name_length: room,
        bytes: bytes as usize,
        length: n.max(0) as usize,
        ..Received::default()
    };
    show(fd, state, &at);
}

/// The room that a program's message has for a name.
#[cold]
#[inline(never)]
pub extern "C" fn room_of(message: *const msghdr) -> usize {
    // SAFETY: a message is a plain C struct.
    errno::keep(|| unsafe { uaccess::read(message) }).map_or(0, |m| m.msg_namelen as usize)
}

/// Called after recvmsg(2) has filled a message with `n` bytes.
#[cold]
#[inline(never)]
pub extern "C" fn received_message(
    fd: c_int,
    state: i32,
    message: *const msghdr,
    room: usize,
    n: usize,
) {
    errno::keep(|| {
        // SAFETY: a message and the elements of its array are plain C structs.
        let first = unsafe {
            uaccess::read_used(message).map(|m| match m.msg_iovlen {
                0 => (m, None),
                _ => (m, uaccess::read_used(m.msg_iov.cast_const()).ok()),
            })
        };
        let Ok((message, first)) = first else { return };
        let at = Received {
            name: message.msg_name as usize,
            name_length: room,
            control: message.msg_control as usize,
            control_length: message.msg_controllen,
            bytes: first.map_or(0, |first| first.iov_base as usize),
            length: first.map_or(0, |first| first.iov_len.min(n)),
        };
        show(fd, state, &at);
    });
}

/// The room for a name that recvfrom(2) is given.
#[cold]
#[inline(never)]
pub extern "C" fn name_room(name: *const sockaddr, length: *const socklen_t) -> usize {
    if name.is_null() {
        return 0;
    }
    room(length)
}
