//! Sending on sockets: those of rtnetlink are answered by this library, and datagrams of a net that
//! has addresses are put into its interfaces' queues. A call of a process that has neither costs
//! one look at a word.
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::cancel::deferred;
use crate::hooks::socket::connect_to_send;
use crate::inet::calls::{look, moving, sent};
use crate::inet::parts::{length_of, parts_of, Data, To};
use crate::inet::pushing::{has_sent, sends_more, More};
use crate::inet::sending;
use crate::real::{hooks, real};
use crate::table::{is_datagrams, is_netlink, is_packets};
use crate::waiting::stale;
use crate::{gate, inet, netlink, packets};
use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};

const NO_NAME: *const sockaddr = std::ptr::null();

/// sendmmsg(2) on a netlink socket or one of UDP in a net: an error is told only if it is the first
/// message's.
#[cold]
#[inline(never)]
extern "C" fn send_messages(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    let mut sent = 0;
    while sent < count as usize {
        // SAFETY: the caller's array has `count` elements.
        let message = unsafe { messages.add(sent) };
        // SAFETY: the call is the caller's own for this one message.
        let n = unsafe { my_sendmsg(fd, &raw const (*message).msg_hdr, flags) };
        if n < 0 {
            return if sent > 0 { sent as c_int } else { -1 };
        }
        // SAFETY: as above.
        unsafe { (*message).msg_len = n as c_uint };
        sent += 1;
    }
    sent as c_int
}

/// sendmmsg(2) in a process that has a netlink socket, or is in a net that has addresses.
#[cold]
#[inline(never)]
extern "C" fn send_messages_special(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
) -> c_int {
    if !is_netlink(fd) && !inet::may_concern() {
        return real!(sendmmsg(fd, messages, count, flags));
    }
    deferred(move || send_messages(fd, messages, count, flags))
}

/// Sends on a socket of UDP, a packet socket or a raw one. `None` leaves the call to the kernel.
pub extern "C" fn send_datagram(fd: c_int, data: Data, flags: c_int, to: &To) -> Option<ssize_t> {
    match is_packets(fd) {
        true => packets::send(fd, data, flags, to),
        false => sending::send(fd, data, flags, to),
    }
}

/// sendto(2) in a process that has a netlink socket, or is in a net that has addresses. It
/// stands apart from the hook, which then keeps nothing for it.
#[cold]
#[inline(never)]
extern "C" fn send_special(
    fd: c_int,
    buf: *const c_void,
    n: size_t,
    flags: c_int,
    name: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    deferred(move || send_carried(fd, buf, n, flags, name, length))
}

#[inline(never)]
extern "C" fn send_carried(
    fd: c_int,
    buf: *const c_void,
    n: size_t,
    flags: c_int,
    name: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    let sent_specially = if is_netlink(fd) {
        netlink::send(fd, buf, n, name, length, flags)
    } else {
        if !name.is_null() {
            inet::may_concern();
            if flags & libc::MSG_FASTOPEN != 0 && !is_datagrams(fd) {
                return send_early(fd, buf, n, flags, name, length);
            }
        }
        let (data, to) = (Data::Buffer(buf, n), To::new(name, length));
        match is_datagrams(fd) {
            true => send_datagram(fd, data, flags, &to),
            false if name.is_null() => None,
            false => sending::send_unknown(fd, data, flags, &to),
        }
    };
    if let Some(answer) = sent_specially {
        return answer;
    }
    look();
    let (flags, more) = without_more(fd, flags, || n);
    let answer = moving(fd, || real!(sendto(fd, buf, n, flags, name, length)));
    sent(fd, more.map_or(answer, |more| has_sent(fd, more, answer)))
}

/// What a call of TCP over an interface has in place of MSG_MORE and MSG_EOR.
#[inline]
fn without_more(fd: c_int, flags: c_int, n: impl FnOnce() -> usize) -> (c_int, Option<More>) {
    const SAID: c_int = libc::MSG_MORE | libc::MSG_EOR;
    if flags & SAID == 0 || is_datagrams(fd) {
        return (flags, None);
    }
    match sends_more(fd, n(), flags & libc::MSG_MORE == 0) {
        None => (flags, None),
        more => (flags & !SAID, more),
    }
}

/// sendto(2) that connects first (MSG_FASTOPEN).
#[cold]
#[inline(never)]
extern "C" fn send_early(
    fd: c_int,
    buf: *const c_void,
    n: size_t,
    flags: c_int,
    name: *const sockaddr,
    length: socklen_t,
) -> ssize_t {
    match connect_to_send(fd, name, length) {
        None => real!(sendto(fd, buf, n, flags, name, length)),
        Some(0) => {
            let flags = flags & !libc::MSG_FASTOPEN;
            sent(
                fd,
                moving(fd, || real!(sendto(fd, buf, n, flags, NO_NAME, 0))),
            )
        }
        Some(failed) => failed as ssize_t,
    }
}

/// The same for sendmsg(2). `None` leaves the call to the kernel, with these flags: who is
/// connected does not look at the name.
#[cold]
#[inline(never)]
extern "C" fn connect_to_send_message(
    fd: c_int,
    message: *const msghdr,
    flags: &mut c_int,
) -> Option<ssize_t> {
    let (_, to) = parts_of(message)?;
    if to.name.is_null() {
        return None;
    }
    match connect_to_send(fd, to.name, to.length)? {
        0 => {
            *flags &= !libc::MSG_FASTOPEN;
            None
        }
        failed => Some(failed as ssize_t),
    }
}

/// sendmsg(2) in such a process.
#[cold]
#[inline(never)]
extern "C" fn send_message_special(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    deferred(move || send_message_carried(fd, message, flags))
}

#[inline(never)]
extern "C" fn send_message_carried(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    let mut flags = flags;
    let sent_specially = if is_netlink(fd) {
        netlink::send_message(fd, message, flags)
    } else {
        inet::may_concern();
        match is_datagrams(fd) {
            true => match parts_of(message) {
                Some((data, to)) => send_datagram(fd, data, flags, &to),
                None => None,
            },
            false if flags & libc::MSG_FASTOPEN != 0 => {
                connect_to_send_message(fd, message, &mut flags)
            }
            false => match parts_of(message) {
                Some((data, to)) if !to.name.is_null() => {
                    sending::send_unknown(fd, data, flags, &to)
                }
                _ => None,
            },
        }
    };
    if let Some(answer) = sent_specially {
        return answer;
    }
    look();
    let (flags, more) = without_more(fd, flags, || length_of(message));
    let answer = moving(fd, || real!(sendmsg(fd, message, flags)));
    sent(fd, more.map_or(answer, |more| has_sent(fd, more, answer)))
}

hooks! {
    fn send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t => my_send {
        if gate::is_shut() { real!(send(fd, buf, n, flags)) } else { send_special(fd, buf, n, flags, NO_NAME, 0) }
    }
    fn __send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t => my_send_alias {
        if gate::is_shut() { real!(__send(fd, buf, n, flags)) } else { send_special(fd, buf, n, flags, NO_NAME, 0) }
    }
    fn sendto(fd: c_int, buf: *const c_void, n: size_t, flags: c_int, name: *const sockaddr, length: socklen_t) -> ssize_t => my_sendto {
        if gate::is_shut() { real!(sendto(fd, buf, n, flags, name, length)) } else { send_special(fd, buf, n, flags, name, length) }
    }
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t => my_sendmsg {
        stale::settle();
        if gate::is_shut() { real!(sendmsg(fd, message, flags)) } else { send_message_special(fd, message, flags) }
    }
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int => my_sendmmsg {
        stale::settle();
        if gate::is_shut() { real!(sendmmsg(fd, messages, count, flags)) } else { send_messages_special(fd, messages, count, flags) }
    }
}
