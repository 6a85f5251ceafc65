//! The calls that give a socket a name, or ask for one.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::known::{self, Known, Side};
use super::refusal::{self, How};
use crate::asking::OwnHost;
use crate::errno::{self, fence};
use crate::uaccess::{self, OwnMemory, UsedMemory};
use crate::waiting::deadline::Deadline;
use libc::{c_int, c_ulong, c_void, sockaddr, socklen_t, ssize_t, timespec};
use memtun_abi::Errno;
use memtun_calls::host::Host as _;
use memtun_calls::inet::bind::is_refusal_of_machine;
use memtun_calls::inet::call::{carrier, told_with_v4, Step};
use memtun_calls::inet::connect::is_replaced;
use memtun_calls::inet::names::Accepted;
use memtun_calls::inet::option::{is_noted, is_translated};
use memtun_calls::inet::pending::Pending;
use memtun_calls::inet::tuning::is_shown;
use memtun_calls::inet::{name, Inet, Native};
use memtun_calls::Memory;
use memtun_stack::sockets::Protocol;
use memtun_sys::inet::{self, SocketName};
use memtun_sys::quiet::{may, Extra};
use memtun_sys::{self as sys};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static PENDING: Pending = Pending::new();

/// A descriptor of this process that may be a socket.
pub struct Descriptor(pub c_int);

impl Descriptor {
    fn borrow(&self) -> Result<BorrowedFd<'_>, Errno> {
        if self.0 < 0 {
            return Err(Errno(libc::EBADF));
        }
        // SAFETY: the descriptor is the program's, which has it open for this call of its own.
        Ok(unsafe { BorrowedFd::borrow_raw(self.0) })
    }
}

impl Native for Descriptor {
    fn own_name(&self) -> Result<SocketAddr, Errno> {
        inet::own_name(self.0)
    }
    fn peer_name(&self) -> Result<SocketAddr, Errno> {
        inet::peer_name(self.0)
    }
    fn option(&self, level: i32, option: i32) -> Result<i32, Errno> {
        sys::int_option(self.0, level, option)
    }
    fn set_option(&self, level: i32, option: i32, value: i32) -> Result<(), Errno> {
        if !may(Extra::Options) {
            return Err(Errno(libc::EPERM));
        }
        sys::set_int_option(self.0, level, option, value)
    }
    fn cookie(&self) -> Result<u64, Errno> {
        inet::cookie(self.0)
    }
    fn inode(&self) -> Result<u64, Errno> {
        sys::fstat(self.0).map(|st| st.st_ino)
    }
    fn segments_received(&self) -> Result<u32, Errno> {
        inet::segments_received(self.0)
    }
    fn bytes_written(&self) -> Result<u64, Errno> {
        inet::bytes_written(self.0)
    }
    fn ip_options(&self, room: &mut [u8; 40]) -> Result<usize, Errno> {
        inet::option_bytes(self.0, libc::IPPROTO_IP, libc::IP_OPTIONS, room)
    }
    fn is_nonblocking(&self) -> bool {
        sys::status_flags(self.0).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
    }
    fn bind(&self, name: &SocketAddr) -> Result<(), Errno> {
        inet::bind_name(self.borrow()?, name)
    }
}

/// A call on a socket of this process.
pub(super) fn call<'c>(known: &'c Known, socket: &'c Descriptor) -> Inet<'c, Descriptor, OwnHost> {
    Inet {
        net: known.net,
        table: &known.table,
        host: &OwnHost,
        socket,
    }
}

/// What a hook does with a call that gives a socket a name.
pub enum Before {
    /// It makes the program's call.
    Machine,
    /// It makes the call with the name that was stored.
    To,
    /// The program gets this.
    Done(c_int),
}

fn before(step: Result<Step, Errno>, to: &mut SocketName) -> Before {
    match step {
        Ok(Step::Machine) => Before::Machine,
        Ok(Step::To(name)) => {
            known::carries();
            *to = SocketName::new(&name);
            Before::To
        }
        Ok(Step::Done) => {
            known::carries();
            Before::Done(0)
        }
        Err(e) => Before::Done(errno::give::<c_int>(Err(e)) as c_int),
    }
}

/// Runs something about a socket without changing errno; None where the process is in no net that
/// has addresses, or it fails.
pub(super) fn quietly<T>(
    fd: c_int,
    run: impl FnOnce(&Inet<'_, Descriptor, OwnHost>) -> Option<T>,
) -> Option<T> {
    errno::keep(|| {
        let done = fence(|| {
            let socket = Descriptor(fd);
            Ok(known::get().and_then(|known| run(&call(known, &socket))))
        });
        done.ok().flatten()
    })
}

fn step(
    fd: c_int,
    how: How,
    read: impl FnOnce(&OwnMemory) -> Option<SocketAddr>,
    run: impl FnOnce(&Inet<'_, Descriptor, OwnHost>, SocketAddr) -> Result<Step, Errno>,
) -> Result<Step, Errno> {
    errno::keep(|| {
        fence(|| {
            let Some(name) = read(&OwnMemory) else {
                return Ok(Step::Machine);
            };
            match known::side_of(&name, how) {
                Side::Net(known) => {
                    let step = run(&call(known, &Descriptor(fd)), name);
                    step.map_err(|e| refusal::shown(how, e))
                }
                Side::Nobody(why) => {
                    refusal::of_name(how, &name, why).map_or(Ok(Step::Machine), Err)
                }
                Side::Machine => Ok(Step::Machine),
            }
        })
    })
}

/// Called before bind(2). `failed` is the errno of the attempt before, or 0.
#[cold]
#[inline(never)]
pub extern "C" fn before_bind(
    fd: c_int,
    name: *const sockaddr,
    length: socklen_t,
    failed: c_int,
    to: &mut SocketName,
) -> Before {
    let bind = |call: &Inet<'_, Descriptor, OwnHost>, name| call.bind(name, failed);
    let read = |memory: &OwnMemory| name::read_own(memory, name as usize, length as usize);
    before(step(fd, How::Binds, read, bind), to)
}

/// May another native name do, after bind(2) has failed?
#[inline(never)]
pub extern "C" fn is_refused_by_machine() -> bool {
    is_refusal_of_machine(Errno(errno::get()))
}

/// Called before connect(2).
#[cold]
#[inline(never)]
pub extern "C" fn before_connect(
    fd: c_int,
    name: *const sockaddr,
    length: socklen_t,
    to: &mut SocketName,
) -> Before {
    let connect = |call: &Inet<'_, Descriptor, OwnHost>, name| call.connect(name, &PENDING);
    let read = |memory: &OwnMemory| name::read(memory, name as usize, length as usize);
    before(step(fd, How::Sends, read, connect), to)
}

/// Called before connect(2) where data is sent by the same call (MSG_FASTOPEN). Returns whether it
/// is a socket of TCP, and if so what TCP_FASTOPEN_CONNECT was if that could be set: of others the
/// kernel says what is wrong with that.
#[cold]
#[inline(never)]
pub extern "C" fn begins_early(fd: c_int) -> Option<Option<c_int>> {
    let Side::Net(_) = known::side() else {
        // Nothing is told to anybody.
        return Some(None);
    };
    let socket = Descriptor(fd);
    errno::keep(|| {
        match socket.option(libc::SOL_SOCKET, libc::SO_PROTOCOL) {
            Ok(libc::IPPROTO_TCP) => {}
            Ok(_) | Err(Errno(libc::EBADF | libc::ENOTSOCK)) => return None,
            Err(_) => return Some(None),
        }
        let was = socket.option(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT);
        // The host process is told of it with what else is set.
        let set = socket.set_option(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
        Some(was.ok().filter(|_| set.is_ok()))
    })
}

/// Called when the host process was told.
#[cold]
#[inline(never)]
pub extern "C" fn has_begun_early(fd: c_int, was: Option<c_int>) {
    let Some(was) = was else { return };
    let socket = Descriptor(fd);
    let _ = errno::keep(|| socket.set_option(libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, was));
}

/// Does connect(2) end a connection (AF_UNSPEC)?
#[cold]
#[inline(never)]
pub extern "C" fn is_disconnect(name: *const sockaddr, length: socklen_t) -> bool {
    let mut family = [0; 2];
    length >= 2
        && errno::keep(|| OwnMemory.read(name as usize, &mut family)).is_ok()
        && i32::from(u16::from_ne_bytes(family)) == libc::AF_UNSPEC
}

/// Called after a connection has ended so.
#[cold]
#[inline(never)]
pub extern "C" fn disconnected(fd: c_int) {
    quietly(fd, |call| call.disconnected(&PENDING).ok());
}

/// Called after connect(2) to a name that was stored, with its answer. Returns the program's.
#[cold]
#[inline(never)]
pub extern "C" fn after_connect(fd: c_int, answer: c_int) -> c_int {
    if answer < 0 && matches!(errno::get(), libc::EINPROGRESS | libc::EINTR) {
        quietly(fd, |call| {
            call.is_pending(&PENDING);
            Some(())
        });
        return answer;
    }
    let refused = answer < 0 && is_replaced(Errno(errno::get()));
    match refused
        .then(|| quietly(fd, |call| call.end(true)))
        .flatten()
    {
        Some(e) => errno::give::<c_int>(Err(e)) as c_int,
        None => answer,
    }
}

/// Makes a call of the kernel's that moves bytes, in which a native connection can say that it was
/// reset where it has ended in the net for another reason.
#[inline(always)]
pub fn moving(fd: c_int, host: impl FnOnce() -> ssize_t) -> ssize_t {
    if !super::is_active() {
        return host();
    }
    moved(fd, host())
}

/// Does the same for what the call has answered, where the net has addresses.
#[inline(always)]
pub fn moved(fd: c_int, answer: ssize_t) -> ssize_t {
    if answer < 0 {
        ended(fd);
    }
    answer
}

#[cold]
#[inline(never)]
extern "C" fn ended(fd: c_int) {
    if is_replaced(Errno(errno::get())) {
        if let Some(e) = quietly(fd, |call| call.end(true)) {
            errno::set(e.0);
        }
    }
}

/// Called after shutdown(2): a socket that hung in connect(2) does so no more.
#[cold]
#[inline(never)]
pub extern "C" fn shut_down(fd: c_int) {
    if !PENDING.is_empty() {
        quietly(fd, |call| {
            let ended = call.kind()?.protocol == Protocol::Tcp && call.is_disconnected();
            ended.then(|| call.disconnected(&PENDING).ok()).flatten()
        });
    }
}

/// Called before listen(2). Some is what it fails with.
#[cold]
#[inline(never)]
pub extern "C" fn before_listen(fd: c_int) -> Option<c_int> {
    listens(fd, |call| call.before_listen(&PENDING))
}

/// Called after listen(2). Some is what it fails with.
#[cold]
#[inline(never)]
pub extern "C" fn after_listen(fd: c_int) -> Option<c_int> {
    listens(fd, |call| call.after_listen())
}

/// Says whose a listener is: one without a name is about to get one of any address.
fn side_of_listener(fd: c_int) -> Side {
    match Descriptor(fd).own_name() {
        Ok(name) if name.port() == 0 => known::side_that_leaves(),
        Ok(name) => known::side_of(&name, How::Binds),
        Err(_) => known::side(),
    }
}

fn listens(
    fd: c_int,
    run: impl FnOnce(&Inet<'_, Descriptor, OwnHost>) -> Result<(), Errno>,
) -> Option<c_int> {
    let answer = errno::keep(|| {
        fence(|| match side_of_listener(fd) {
            Side::Net(known) => {
                let done = run(&call(known, &Descriptor(fd)));
                done.map_err(|e| refusal::shown(How::Binds, e))
            }
            Side::Machine => Ok(()),
            Side::Nobody(why) => refusal::of_listener(&Descriptor(fd), why).map_or(Ok(()), Err),
        })
    });
    answer.err().map(|e| errno::give::<c_int>(Err(e)) as c_int)
}

/// Which end's name a call asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The socket's own.
    Own,
    /// The other one's.
    Remote,
}

/// Called after getsockname(2) or getpeername(2), for whose name the program had `room`. Returns
/// what the call returns.
#[cold]
#[inline(never)]
pub extern "C" fn show_name(
    fd: c_int,
    end: End,
    name: *mut sockaddr,
    room: usize,
    length: *mut socklen_t,
) -> c_int {
    let mut has_port = true;
    quietly(fd, |call| {
        let shown = match end {
            End::Own => call.own_name(&call.socket.own_name().ok()?),
            End::Remote => call.peer_name(&call.socket.peer_name().ok()?),
        }?;
        // Who is connected to no port has no other end (`inet_getname`).
        has_port = matches!(end, End::Own) || shown.port() != 0;
        name::write(&UsedMemory, &shown, name as usize, room, length as usize).ok()
    });
    if has_port {
        return 0;
    }
    errno::give::<isize>(Err(Errno(libc::ENOTCONN))) as c_int
}

/// Called after recvfrom(2) has stored a name.
#[cold]
#[inline(never)]
pub extern "C" fn show_sender(fd: c_int, name: *mut sockaddr, room: usize, length: *mut socklen_t) {
    quietly(fd, |call| {
        let mut stored = [0; 4];
        UsedMemory.read(length as usize, &mut stored).ok()?;
        let stored = u32::from_ne_bytes(stored) as usize;
        let native = name::read(&UsedMemory, name as usize, stored.min(room))?;
        let shown = call.remote_name(&native)?;
        name::write(&UsedMemory, &shown, name as usize, room, length as usize).ok()
    });
}

/// Room for the name that accept(2) stores, of any family.
#[repr(C, align(8))]
pub struct AnyName {
    /// The name.
    pub bytes: [u8; 128],
    /// Its length.
    pub length: socklen_t,
}

impl AnyName {
    /// Returns room for a name.
    pub const fn room() -> AnyName {
        AnyName {
            bytes: [0; 128],
            length: 128,
        }
    }
}

/// Called after accept(2) has given a socket. Stores the name of its other end where the program
/// wants it, in `room` bytes. Returns what the program gets; `None` when nobody may have connected:
/// the socket is closed then, and the next one is waited for.
#[cold]
#[inline(never)]
pub extern "C" fn accepted(
    new: c_int,
    from: &AnyName,
    name: *mut sockaddr,
    room: usize,
    length: *mut socklen_t,
) -> Option<c_int> {
    let stored = (from.length as usize).min(from.bytes.len());
    let native = SocketName::of_bytes(&from.bytes[..stored.min(SocketName::LONGEST)])
        .filter(|_| stored <= SocketName::LONGEST)
        .and_then(|name| name.address());
    let whose = native.and_then(|native| quietly(new, |call| Some(call.accepted(&native))));
    if whose == Some(Accepted::Foreign) {
        errno::keep(|| {
            // Anybody can do so as often as he likes.
            static SAID: AtomicBool = AtomicBool::new(false);
            if !SAID.swap(true, Relaxed) {
                log::warn!(
                    "a process of the machine has connected to an address of the net, and is refused, as every other one will be"
                );
            }
            // SAFETY: the descriptor was made by the program's call, and nobody knows it yet.
            let _ = unsafe { sys::close(new) };
        });
        return None;
    }
    if !name.is_null() {
        // The kernel has not seen these places.
        let written = errno::keep(|| match whose {
            // Who comes from no port has no name, and without one there is no connection.
            Some(Accepted::Net(shown)) if shown.port() == 0 => Err(Errno(libc::ECONNABORTED)),
            Some(Accepted::Net(shown)) => {
                name::write(&OwnMemory, &shown, name as usize, room, length as usize)
            }
            _ => OwnMemory
                .write(name as usize, &from.bytes[..stored.min(room)])
                .and_then(|()| OwnMemory.write(length as usize, &from.length.to_ne_bytes())),
        });
        if let Err(e) = written {
            // SAFETY: the descriptor was made by the program's call, which does not return it.
            let _ = unsafe { sys::close(new) };
            return Some(errno::give::<c_int>(Err(e)) as c_int);
        }
    }
    Some(new)
}

/// Called after getsockopt(2) has stored a value.
#[inline]
pub fn got_option(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) {
    if is_translated(level, option) {
        show_option(fd, level, option, value, length);
    } else if level == libc::IPPROTO_TCP && option == libc::TCP_INFO {
        show_info(fd, value, length);
    }
}

/// Called where a call says that nothing has come. Returns whether it is to be made again: this
/// process has written to a tunnel, and the host process has taken that now.
#[inline]
pub fn is_early() -> bool {
    known::may_be_early() && settled()
}

/// Called after a call that has written so many bytes to a socket.
#[inline]
pub fn sent(fd: c_int, answer: ssize_t) -> ssize_t {
    if answer > 0 && known::plays_both() {
        deliver(fd);
    }
    answer
}

/// Lets the host process take what was written to a socket, or that it was shut, now.
#[cold]
#[inline(never)]
pub extern "C" fn deliver(fd: c_int) {
    quietly(fd, |call| call.deliver(call.far_end()?).ok());
}

/// Closes a descriptor where this process plays both ends.
#[cold]
#[inline(never)]
pub extern "C" fn close_of_both(fd: c_int, close: impl FnOnce() -> c_int) -> c_int {
    look();
    let end = quietly(fd, |call| call.far_end());
    let answer = close();
    if let Some(end) = end.filter(|_| answer == 0) {
        quietly(-1, |call| call.deliver(end).ok());
    }
    answer
}

/// Called before a call that looks what has come and does not wait.
#[inline]
pub fn look() {
    if known::may_be_early() {
        settled();
    }
}

#[cold]
#[inline(never)]
extern "C" fn settled() -> bool {
    quietly(-1, |call| call.settle().ok()).is_some()
}

/// Shows the connection in the net where the kernel has shown that on the loopback.
#[cold]
#[inline(never)]
extern "C" fn show_info(fd: c_int, value: *mut c_void, length: *mut socklen_t) {
    /// Room for more than the struct of any kernel.
    const ROOM: usize = 512;
    quietly(fd, |call| {
        let mut stored = [0; 4];
        UsedMemory.read(length as usize, &mut stored).ok()?;
        let stored = u32::from_ne_bytes(stored) as usize;
        let mut info = [0; ROOM];
        let filled = call.info(&mut info)?;
        UsedMemory
            .write(value as usize, &info[..filled.min(stored)])
            .ok()
    });
}

/// SIOCOUTQNSD of linux/sockios.h.
const SIOCOUTQNSD: c_ulong = 0x894b;

/// Does a request ask how much was not acknowledged or not sent, in a net that has addresses?
#[inline]
pub fn asks_for_rest(request: c_ulong) -> bool {
    matches!(request, libc::TIOCOUTQ | SIOCOUTQNSD) && super::is_active()
}

/// Called after such a request: what is with the host process is added.
#[cold]
#[inline(never)]
pub extern "C" fn add_rest(fd: c_int, request: c_ulong, value: *mut c_void) -> c_int {
    look();
    quietly(fd, |call| {
        let rest = call.rest(request == SIOCOUTQNSD)?;
        let mut native = [0; 4];
        UsedMemory.read(value as usize, &mut native).ok()?;
        let sum = i32::from_ne_bytes(native).wrapping_add(rest);
        UsedMemory.write(value as usize, &sum.to_ne_bytes()).ok()
    });
    0
}

#[cold]
#[inline(never)]
extern "C" fn show_option(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *mut c_void,
    length: *mut socklen_t,
) {
    quietly(fd, |call| {
        let about = (level, option);
        call.show_option(&UsedMemory, about, value as usize, length as usize)
            .ok()
    });
}

/// Returns when recvmmsg(2) gives up; None where the kernel has to say that the time is wrong.
#[inline(never)]
pub extern "C" fn deadline(timeout: *const timespec) -> Option<Deadline> {
    if timeout.is_null() {
        return Some(Deadline::after(None));
    }
    // SAFETY: the time is plain numbers.
    let time = errno::keep(|| unsafe { uaccess::read(timeout) }).ok()?;
    let is_right = time.tv_sec >= 0 && (0..1_000_000_000).contains(&time.tv_nsec);
    is_right.then(|| Deadline::after(Some(time)))
}

/// Has the time of recvmmsg(2) passed? What is left is stored, as the kernel does.
#[inline(never)]
pub extern "C" fn is_over(end: &Deadline, timeout: *mut timespec) -> bool {
    let Some(left) = end.left() else { return false };
    errno::keep(|| uaccess::write(timeout, &left).ok());
    left.tv_sec == 0 && left.tv_nsec == 0
}

/// Returns the protocol of the machine's socket that stands for one of this type and protocol, or
/// -1 with errno.
pub extern "C" fn carried(kind: c_int, protocol: c_int) -> c_int {
    let carrier = errno::keep(|| carrier(kind, protocol, OwnHost.is_isolated()));
    errno::give(carrier) as c_int
}

/// Called after setsockopt(2) has set an option.
#[inline]
pub fn option_set(fd: c_int, level: c_int, option: c_int) {
    if is_noted(level, option) {
        note_option(fd);
    } else if is_shown(level, option) {
        note_tuning(fd, level, option);
    }
    if level == libc::IPPROTO_IPV6 && told_with_v4(option).is_some() {
        tell_too(fd, option);
    }
}

#[cold]
#[inline(never)]
extern "C" fn note_option(fd: c_int) {
    quietly(fd, |call| call.changed().ok());
}

#[cold]
#[inline(never)]
extern "C" fn note_tuning(fd: c_int, level: c_int, option: c_int) {
    quietly(fd, |call| call.tuned(level, option).ok());
}

#[cold]
#[inline(never)]
extern "C" fn tell_too(fd: c_int, option: c_int) {
    quietly(fd, |call| {
        call.tell_too(option);
        Some(())
    });
}
