//! Receiving on sockets. A descriptor that arrives in SCM_RIGHTS may be a tunnel or a netlink
//! socket; in a net that has addresses senders have its names.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::cancel::deferred;
use crate::inet::calls::{self as inet_calls, moving};
use crate::inet::receiving::{self, Next, Receiving};
use crate::real::{hooks, real};
use crate::table::{is_datagrams, is_netlink, is_packets};
use crate::{errno, gate, inet, netlink, packets, uaccess};
use libc::{
    c_int, c_uint, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t, timespec,
};
use memtun_sys::quiet::{may, Extra};

/// Enters the tunnels among the descriptors of a received message into the table. (`extern "C"`
/// never unwinds: a hook's frame has nothing to clean up when the thread is cancelled in its call.
/// For that such a function must not become a part of the hook, either.)
#[inline(never)]
extern "C" fn adopt(message: *const msghdr) {
    errno::keep(|| {
        // SAFETY: a message is a plain C struct, which the kernel has just filled.
        let Ok(header) = (unsafe { uaccess::read_used(message) }) else {
            return;
        };
        if header.msg_controllen < size_of::<libc::cmsghdr>() || header.msg_control.is_null() {
            return;
        }
        // SAFETY: the kernel filled the control buffer with well-formed headers of msg_controllen
        // bytes in all, and the CMSG macros stay within them.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(&header);
            while !control.is_null() {
                if (*control).cmsg_level == libc::SOL_SOCKET
                    && (*control).cmsg_type == libc::SCM_RIGHTS
                {
                    let bytes = (*control).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                    let fds = libc::CMSG_DATA(control).cast::<c_int>();
                    for i in 0..bytes / size_of::<c_int>() {
                        crate::adopt::adopt(fds.add(i).read_unaligned());
                    }
                }
                control = libc::CMSG_NXTHDR(&header, control);
            }
        }
    });
}

/// What a receive has to know of a netlink socket; `Ok(None)` for any other descriptor.
#[inline(always)]
fn before(fd: c_int) -> Result<Option<i32>, netlink::Refused> {
    match is_netlink(fd) {
        true => netlink::before_receive(fd),
        false => Ok(None),
    }
}

/// Receives from a socket of UDP in a net that has addresses. `None` says that the descriptor is
/// something else.
extern "C" fn receive(fd: c_int, call: &mut Receiving, flags: c_int) -> Option<ssize_t> {
    let mut next = call.before(fd);
    loop {
        match next {
            Some(Next::Give(answer)) => return Some(answer),
            Some(Next::Other) => return None,
            Some(Next::Again) | None => {}
        }
        let stored = real!(recvmsg(fd, call.prepare(), flags));
        next = Some(call.judge(fd, stored));
    }
}

/// Receives a copy on a packet socket or a raw one. `None` says that the descriptor has become
/// something else.
extern "C" fn receive_copy(
    fd: c_int,
    call: &mut packets::Receiving,
    flags: c_int,
) -> Option<ssize_t> {
    if !packets::is_still(fd) {
        return None;
    }
    loop {
        let stored = real!(recvmsg(fd, call.prepare(), flags));
        if let packets::Next::Give(answer) = call.judge(fd, stored) {
            return Some(answer);
        }
    }
}

/// recvfrom(2) on such a socket. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn receive_bytes(
    fd: c_int,
    buf: *mut c_void,
    n: size_t,
    flags: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> Option<ssize_t> {
    if !may(Extra::Sockets) {
        return None;
    }
    if flags & libc::MSG_ERRQUEUE != 0 {
        if is_packets(fd) && packets::is_still(fd) {
            return Some(packets::receive_error_bytes(fd, buf, n, name, length));
        }
        return inet::errors::receive_bytes(fd, (buf, n), name, length);
    }
    if is_packets(fd) {
        let room = netlink::room(length);
        let mut call = packets::Receiving::bytes(buf, n, flags, (name, room, length));
        return receive_copy(fd, &mut call, flags);
    }
    let room = netlink::name_room(name, length);
    let mut call = Receiving::bytes(buf, n, flags, (name, room, length));
    receive(fd, &mut call, flags)
}

/// readv(2) on such a socket. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
pub extern "C" fn receive_vector(fd: c_int, array: *const iovec, count: c_int) -> Option<ssize_t> {
    if !may(Extra::Sockets) || receiving::is_empty(array, count) {
        return None;
    }
    if is_packets(fd) {
        let mut call = packets::Receiving::vector(array, count);
        return receive_copy(fd, &mut call, 0);
    }
    let mut call = Receiving::vector(array, count);
    receive(fd, &mut call, 0)
}

/// recvmsg(2) on such a socket. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
extern "C" fn receive_message(fd: c_int, message: *mut msghdr, flags: c_int) -> Option<ssize_t> {
    if !may(Extra::Sockets) {
        return None;
    }
    if is_packets(fd) && flags & libc::MSG_ERRQUEUE == 0 {
        let mut call = packets::Receiving::message(message, flags)?;
        return receive_copy(fd, &mut call, flags);
    }
    if flags & libc::MSG_ERRQUEUE != 0 {
        if is_packets(fd) && packets::is_still(fd) {
            return Some(packets::receive_error(fd, message));
        }
        return inet::errors::receive(fd, message);
    }
    let mut call = Receiving::message(message, flags)?;
    receive(fd, &mut call, flags)
}

#[inline(never)]
extern "C" fn store_length(stored: *mut c_uint, length: c_uint) {
    errno::keep(|| uaccess::write(stored, &length).ok());
}

/// recvmmsg(2) on such a socket, one message at a time. `None` leaves the call to the kernel.
#[cold]
#[inline(never)]
extern "C" fn receive_messages(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> Option<c_int> {
    let end = inet_calls::deadline(timeout)?;
    let mut all = 0;
    let mut flags_now = flags & !libc::MSG_WAITFORONE;
    while all < count {
        // SAFETY: the caller's array has `count` elements, of which only addresses are taken.
        let (header, stored) = unsafe {
            let message = messages.add(all as usize);
            (&raw mut (*message).msg_hdr, &raw mut (*message).msg_len)
        };
        match receive_message(fd, header, flags_now) {
            None if all == 0 => return None,
            None => break,
            Some(answer) if answer < 0 => return Some(if all > 0 { all as c_int } else { -1 }),
            Some(answer) => {
                store_length(stored, answer as c_uint);
                all += 1;
                if flags & libc::MSG_WAITFORONE != 0 {
                    flags_now |= libc::MSG_DONTWAIT;
                }
                if inet_calls::is_over(&end, timeout) {
                    break;
                }
            }
        }
    }
    Some(all as c_int)
}

const NOBODY: *mut sockaddr = std::ptr::null_mut();
const NO_LENGTH: *mut socklen_t = std::ptr::null_mut();

/// recvfrom(2) in a process that has a netlink socket, or is in a net that has addresses. `host`
/// makes the kernel's call.
#[inline(always)]
fn receive_special(
    fd: c_int,
    (buf, n): (*mut c_void, size_t),
    flags: c_int,
    (name, length): (*mut sockaddr, *mut socklen_t),
    host: impl Fn() -> ssize_t,
) -> ssize_t {
    if is_netlink(fd) {
        let Ok(state) = netlink::before_receive(fd) else {
            return -1;
        };
        let room = netlink::name_room(name, length);
        let stored = host();
        if let (Some(state), 0.., 1..) = (state, stored, room) {
            netlink::received_from(fd, state, buf, stored.min(n as ssize_t), name, room);
        }
        return stored;
    }
    if is_datagrams(fd) {
        if let Some(stored) = receive_bytes(fd, buf, n, flags, name, length) {
            return stored;
        }
    }
    if !inet::may_concern() || name.is_null() {
        return moving(fd, host);
    }
    let room = netlink::room(length);
    let stored = moving(fd, host);
    if stored >= 0 {
        inet_calls::show_sender(fd, name, room, length);
    }
    stored
}

#[cold]
#[inline(never)]
extern "C" fn recvfrom_special(
    fd: c_int,
    buf: *mut c_void,
    n: size_t,
    flags: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    deferred(move || recvfrom_carried(fd, buf, n, flags, name, length))
}

#[inline(never)]
extern "C" fn recvfrom_carried(
    fd: c_int,
    buf: *mut c_void,
    n: size_t,
    flags: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    inet_calls::look();
    receive_special(fd, (buf, n), flags, (name, length), || {
        real!(recvfrom(fd, buf, n, flags, name, length))
    })
}

#[cold]
#[inline(never)]
extern "C" fn recvfrom_chk_special(
    fd: c_int,
    buf: *mut c_void,
    n: size_t,
    most: size_t,
    flags: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    // libc aborts when the caller asks for more than its buffer holds.
    if n > most {
        return real!(__recvfrom_chk(fd, buf, n, most, flags, name, length));
    }
    recvfrom_special(fd, buf, n, flags, name, length)
}

/// recvmsg(2) in a process that has a netlink socket, or is in a net that has addresses.
#[cold]
#[inline(never)]
extern "C" fn receive_message_special(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    if is_datagrams(fd) {
        if let Some(answer) = deferred(|| receive_message(fd, message, flags)) {
            return answer;
        }
    }
    let Ok(state) = deferred(|| before(fd)) else {
        return -1;
    };
    let room = if state.is_some() {
        netlink::room_of(message)
    } else {
        0
    };
    inet_calls::look();
    let n = moving(fd, || real!(recvmsg(fd, message, flags)));
    if n >= 0 {
        adopt(message);
        if let Some(state) = state {
            netlink::received_message(fd, state, message, room, n as usize);
        }
    }
    n
}

/// recvmmsg(2) in such a process.
#[cold]
#[inline(never)]
extern "C" fn receive_messages_special(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    if is_datagrams(fd) {
        if let Some(answer) = deferred(|| receive_messages(fd, messages, count, flags, timeout)) {
            return answer;
        }
    }
    let Ok(state) = deferred(|| before(fd)) else {
        return -1;
    };
    let room = if state.is_some() && count > 0 {
        // SAFETY: only the address is taken. The room of the first message stands for all.
        netlink::room_of(unsafe { &raw const (*messages).msg_hdr })
    } else {
        0
    };
    let n = real!(recvmmsg(fd, messages, count, flags, timeout));
    for i in 0..n.max(0) as usize {
        // SAFETY: the kernel filled `n` elements of the caller's array.
        let message = unsafe { &*messages.add(i) };
        adopt(&message.msg_hdr);
        if let Some(state) = state {
            netlink::received_message(fd, state, &message.msg_hdr, room, message.msg_len as usize);
        }
    }
    n
}

hooks! {
    fn recv(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int) -> ssize_t => my_recv {
        if gate::is_shut() { real!(recv(fd, buf, n, flags)) } else { recvfrom_special(fd, buf, n, flags, NOBODY, NO_LENGTH) }
    }
    fn __recv_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int) -> ssize_t => my_recv_chk {
        if gate::is_shut() || n > room { real!(__recv_chk(fd, buf, n, room, flags)) } else { recvfrom_special(fd, buf, n, flags, NOBODY, NO_LENGTH) }
    }
    fn recvfrom(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int, name: *mut sockaddr, length: *mut socklen_t) -> ssize_t => my_recvfrom {
        if gate::is_shut() { real!(recvfrom(fd, buf, n, flags, name, length)) } else { recvfrom_special(fd, buf, n, flags, name, length) }
    }
    fn __recvfrom_chk(fd: c_int, buf: *mut c_void, n: size_t, most: size_t, flags: c_int, name: *mut sockaddr, length: *mut socklen_t) -> ssize_t => my_recvfrom_chk {
        if gate::is_shut() { real!(__recvfrom_chk(fd, buf, n, most, flags, name, length)) } else { recvfrom_chk_special(fd, buf, n, most, flags, name, length) }
    }
    fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t => my_recvmsg {
        if !gate::is_shut() { return receive_message_special(fd, message, flags); }
        let n = real!(recvmsg(fd, message, flags));
        if n >= 0 { adopt(message); }
        n
    }
    fn recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int => my_recvmmsg {
        if !gate::is_shut() { return receive_messages_special(fd, messages, count, flags, timeout); }
        let n = real!(recvmmsg(fd, messages, count, flags, timeout));
        for i in 0..n.max(0) as usize {
            // SAFETY: the kernel filled `n` elements of the caller's array, of which the address is
            // taken.
            adopt(unsafe { &raw const (*messages.add(i)).msg_hdr });
        }
        n
    }
    fn pidfd_getfd(process: c_int, fd: c_int, flags: c_uint) -> c_int => my_pidfd_getfd {
        let new = real!(pidfd_getfd(process, fd, flags));
        if new >= 0 {
            errno::keep(|| crate::adopt::adopt(new));
        }
        new
    }
}
