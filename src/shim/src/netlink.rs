//! The calls of this process on its sockets of rtnetlink. Each asks the kernel whether the
//! descriptor is still such a socket, and hands the call to `memtun_calls`, which knows what it
//! means.

use crate::asking::{self, OwnHost};
use crate::errno::{self, fence};
use crate::foreign::FOREIGN;
use crate::table;
use crate::uaccess::{self, OwnMemory};
use libc::{c_int, c_void, msghdr, sockaddr, socklen_t};
use memtun_abi::Errno;
use memtun_calls::buffer::Vector;
use memtun_calls::host::asked;
use memtun_calls::netlink::receive::Received;
use memtun_calls::netlink::{mark, Netlink, Outcome, SOL_NETLINK};
use memtun_kernel::tun::Source;
use memtun_sys as sys;

/// Makes a socket for NETLINK_ROUTE; `make` calls libc's function with a protocol.
#[cold]
pub fn socket(make: impl Fn(c_int) -> c_int) -> c_int {
    if !asking::is_there() {
        return make(libc::NETLINK_ROUTE);
    }
    let fd = make(libc::NETLINK_USERSOCK);
    if fd < 0 {
        return fd;
    }
    let marked = mark::set(fd, 0).and_then(|()| table::enter_netlink(fd));
    if marked.is_ok() {
        return fd;
    }
    // A sandbox forbids the mark, or the number cannot be tracked.
    // SAFETY: the descriptor was made by this call, and nobody else knows it.
    let _ = unsafe { sys::close(fd) };
    make(libc::NETLINK_ROUTE)
}

/// Called with a socket that came from another process.
pub fn adopt(fd: c_int) {
    if mark::is_marked(fd) {
        let _ = table::enter_netlink(fd);
    }
}

/// Called with a new descriptor of a netlink socket.
#[cold]
pub fn duplicated(new: c_int) {
    let _ = table::enter_netlink(new);
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

fn call(fd: c_int) -> Netlink<'static, OwnHost, OwnMemory> {
    Netlink {
        host: &OwnHost,
        memory: &OwnMemory,
        fd,
    }
}

/// Gives the program the answer of a call, or that of `host`, which makes the program's own call.
fn give(answer: Result<Outcome, Errno>, host: impl FnOnce() -> isize) -> isize {
    match answer {
        Ok(Outcome::Done(n)) => n as isize,
        Ok(Outcome::Kernel) | Err(FOREIGN) => host(),
        Err(e) => errno::give::<isize>(Err(e)),
    }
}

/// What a call on a netlink socket answers.
fn answer(
    fd: c_int,
    run: impl FnOnce(&Netlink<'_, OwnHost, OwnMemory>) -> Result<Outcome, Errno>,
) -> Result<Outcome, Errno> {
    errno::keep(|| {
        fence(|| {
            state(fd)?;
            run(&call(fd))
        })
    })
}

/// Sends a request.
#[cold]
pub fn send(
    fd: c_int,
    source: Result<impl Source, Errno>,
    name: (usize, usize),
    flags: c_int,
    host: impl FnOnce() -> isize,
) -> isize {
    give(answer(fd, |call| call.send(source, name, flags)), host)
}

/// sendmsg(2).
#[cold]
pub fn send_message(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
    host: impl FnOnce() -> isize,
) -> isize {
    // SAFETY: a message is a plain C struct.
    let Ok(header) = errno::fence(|| unsafe { uaccess::read(message) }) else {
        return host();
    };
    let buffers = errno::fence(|| {
        let count = c_int::try_from(header.msg_iovlen).map_err(|_| Errno(libc::EMSGSIZE))?;
        Vector::new(OwnMemory, header.msg_iov as usize, count)
    });
    let name = (header.msg_name as usize, header.msg_namelen as usize);
    send(fd, buffers, name, flags, host)
}

/// bind(2).
#[cold]
pub fn bind(
    fd: c_int,
    name: *const sockaddr,
    length: socklen_t,
    host: impl Fn() -> c_int,
) -> c_int {
    let before = sys::netlink_name(fd).map_or(0, |own| own.port);
    let bound = answer(fd, |call| call.bind(name as usize, length as usize));
    give(or_machine(fd, before, bound), || host() as isize) as c_int
}

/// connect(2).
#[cold]
pub fn connect(
    fd: c_int,
    name: *const sockaddr,
    length: socklen_t,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let connected = answer(fd, |call| call.connect(name as usize, length as usize));
    give(connected, || host() as isize) as c_int
}

/// setsockopt(2).
#[cold]
pub fn set_option(
    fd: c_int,
    (level, option): (c_int, c_int),
    (value, length): (*const c_void, socklen_t),
    host: impl Fn() -> c_int,
) -> c_int {
    let set = answer(fd, |call| {
        call.set_option(level, option, value as usize, length as usize)
    });
    let port = sys::netlink_name(fd).map_or(0, |own| own.port);
    give(or_machine(fd, port, set), || host() as isize) as c_int
}

/// getsockname(2).
#[cold]
pub fn own_name(
    fd: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
    host: impl FnOnce() -> c_int,
) -> c_int {
    let room = room(length);
    let answered = host();
    if answered == 0 {
        after(fd, |call| call.own_name(name as usize, room));
    }
    answered
}

/// getsockopt(2).
#[cold]
pub fn option(
    fd: c_int,
    (level, option): (c_int, c_int),
    (value, length): (*mut c_void, *mut socklen_t),
    host: impl FnOnce() -> c_int,
) -> c_int {
    let room = room(length);
    let answered = host();
    if answered == 0 {
        after(fd, |call| {
            call.got_option(level, option, value as usize, length as usize, room)
        });
    }
    answered
}

/// The length that the program has given for room of its own; 0 when it cannot be read.
fn room(length: *const socklen_t) -> usize {
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

/// Puts a socket of NETLINK_ROUTE in the place of the program's, with the same options.
#[cold]
fn become_real(fd: c_int, port: u32) -> Result<(), Errno> {
    let kind = sys::int_option(fd, libc::SOL_SOCKET, libc::SO_TYPE)?;
    let real = sys::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE)?;
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
    let flags = match sys::closes_on_exec(fd)? {
        true => libc::O_CLOEXEC,
        false => 0,
    };
    // SAFETY: the descriptor is the program's, which makes a call on it that needs this.
    unsafe { sys::duplicate_onto(real.raw(), fd, flags)? };
    table::forget_netlink(fd);
    Ok(())
}

/// Called before a receive. Returns false when the receive fails, with errno set.
#[cold]
pub fn before_receive(fd: c_int) -> bool {
    let before = errno::get();
    match fence(|| call(fd).before_receive(state(fd)?)) {
        Ok(()) | Err(FOREIGN) => {
            errno::set(before);
            true
        }
        Err(e) => {
            errno::set(e.0);
            false
        }
    }
}

/// Shows the kernel as the sender of a datagram that was just received, and so was received from a
/// netlink socket.
fn show(fd: c_int, at: &Received) {
    let _ = fence(|| {
        errno::keep(|| call(fd).received(at));
        Ok(())
    });
}

/// Called after recvfrom(2) has stored `n` bytes; `room` was the length of the room for the name.
pub fn received_from(
    fd: c_int,
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
    show(fd, &at);
}

/// The room that a program's message has for a name.
pub fn room_of(message: *const msghdr) -> usize {
    // SAFETY: a message is a plain C struct.
    errno::keep(|| unsafe { uaccess::read(message) }).map_or(0, |m| m.msg_namelen as usize)
}

/// Called after recvmsg(2) has filled a message with `n` bytes.
#[cold]
pub fn received_message(fd: c_int, message: *const msghdr, room: usize, n: usize) {
    errno::keep(|| {
        // SAFETY: a message and the elements of its array are plain C structs.
        let first = unsafe {
            uaccess::read(message).map(|m| match m.msg_iovlen {
                0 => (m, None),
                _ => (m, uaccess::read(m.msg_iov.cast_const()).ok()),
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
        show(fd, &at);
    });
}

/// The room for a name that recvfrom(2) is given.
pub fn name_room(name: *const sockaddr, length: *const socklen_t) -> usize {
    if name.is_null() {
        return 0;
    }
    room(length)
}
