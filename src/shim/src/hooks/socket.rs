//! Sockets: those of rtnetlink are answered by this library. A call on any other descriptor costs
//! one look at the table.

use super::receive;
use crate::inet::calls::{self as inet_calls, AnyName, Before, End};
use crate::inet::datagrams::{self, Data, To};
use crate::real::{hooks, real};
use crate::table::{is_datagrams, is_netlink};
use crate::{errno, inet, netlink, sockios};
use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use memtun_abi::request::may_name_interface;
use memtun_sys::inet::SocketName;

/// sendmmsg(2) on a netlink socket or one of UDP in a net: an error is told only if it is the first message's.
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

/// bind(2) in a net that has addresses. The machine may refuse a native name, and then another one
/// is asked for.
#[cold]
#[inline(never)]
extern "C" fn bind_carried(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    let (mut to, mut failed) = (SocketName::room(), 0);
    loop {
        match inet_calls::before_bind(fd, name, length, failed, &mut to) {
            Before::Machine => return real!(bind(fd, name, length)),
            Before::Done(answer) => return answer,
            Before::To => {
                let native = to.bytes();
                let answer = real!(bind(fd, native.as_ptr().cast(), native.len() as socklen_t));
                datagrams::forget_options();
                // Whoever is told a refusal says in the end what the program gets.
                if answer == 0 || !inet_calls::is_refused_by_machine() {
                    return answer;
                }
                failed = errno::get();
            }
        }
    }
}

/// connect(2) in a net that has addresses.
#[cold]
#[inline(never)]
extern "C" fn connect_carried(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    let mut to = SocketName::room();
    match inet_calls::before_connect(fd, name, length, &mut to) {
        Before::Machine => real!(connect(fd, name, length)),
        Before::Done(answer) => answer,
        Before::To => {
            let native = to.bytes();
            let answer = real!(connect(
                fd,
                native.as_ptr().cast(),
                native.len() as socklen_t
            ));
            datagrams::forget_options();
            inet_calls::after_connect(fd, &to, answer)
        }
    }
}

/// listen(2) in a net that has addresses.
#[cold]
#[inline(never)]
extern "C" fn listen_carried(fd: c_int, backlog: c_int) -> c_int {
    if let Some(answer) = inet_calls::before_listen(fd) {
        return answer;
    }
    let answer = real!(listen(fd, backlog));
    if answer != 0 {
        return answer;
    }
    inet_calls::after_listen(fd).unwrap_or(answer)
}

/// accept4(2) in a net that has addresses. A connection that nobody may have made is passed over.
#[cold]
#[inline(never)]
extern "C" fn accept_carried(
    fd: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    let mut room = 0;
    if !name.is_null() {
        room = netlink::room(length);
        if room == 0 {
            // There is no room, or it cannot be read, which the kernel says.
            return real!(accept4(fd, name, length, flags));
        }
    }
    loop {
        let mut from = AnyName::room();
        let place = (&raw mut from.bytes).cast();
        let new = real!(accept4(fd, place, &raw mut from.length, flags));
        if new < 0 || inet_calls::accepted(new, &from, name, room, length) {
            return new;
        }
    }
}

const NO_NAME: *const sockaddr = std::ptr::null();
const NOBODY: *mut sockaddr = std::ptr::null_mut();
const NO_LENGTH: *mut socklen_t = std::ptr::null_mut();

hooks! {
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int => my_socket {
        let is_wanted = domain == libc::AF_NETLINK
            && matches!(protocol, libc::NETLINK_ROUTE | libc::NETLINK_GENERIC | libc::NETLINK_SOCK_DIAG)
            && netlink::is_wanted();
        if is_wanted {
            let fd = real!(socket(domain, kind, libc::NETLINK_USERSOCK));
            if fd < 0 || netlink::take(fd, protocol) {
                return fd;
            }
        } else if matches!(domain, libc::AF_INET | libc::AF_INET6) {
            // A process that has not joined its net looks for it.
            if inet::may_concern() {
                let fd = real!(socket(domain, kind, protocol));
                if fd >= 0 { datagrams::note(fd); }
                return fd;
            }
        }
        real!(socket(domain, kind, protocol))
    }
    fn bind(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_bind {
        if is_netlink(fd) {
            if let Some(answer) = netlink::bind(fd, name, length) { return answer as c_int; }
        }
        if inet::may_concern() { return bind_carried(fd, name, length); }
        if let Some(before) = sockios::before_bind(fd, name, length) {
            let free = match before { Ok(free) => free, Err(answer) => return answer };
            let answer = real!(bind(fd, name, length));
            sockios::after_bind(fd, free);
            return answer;
        }
        real!(bind(fd, name, length))
    }
    fn connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_connect {
        if is_netlink(fd) {
            if let Some(answer) = netlink::connect(fd, name, length) { return answer as c_int; }
        }
        if inet::may_concern() { return connect_carried(fd, name, length); }
        real!(connect(fd, name, length))
    }
    fn __connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_connect_alias {
        if is_netlink(fd) {
            if let Some(answer) = netlink::connect(fd, name, length) { return answer as c_int; }
        }
        if inet::may_concern() { return connect_carried(fd, name, length); }
        real!(__connect(fd, name, length))
    }
    fn listen(fd: c_int, backlog: c_int) -> c_int => my_listen {
        if inet::may_concern() { return listen_carried(fd, backlog); }
        real!(listen(fd, backlog))
    }
    fn accept(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_accept {
        if inet::may_concern() { return accept_carried(fd, name, length, 0); }
        real!(accept(fd, name, length))
    }
    fn accept4(fd: c_int, name: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int => my_accept4 {
        if inet::may_concern() { return accept_carried(fd, name, length, flags); }
        real!(accept4(fd, name, length, flags))
    }
    fn getpeername(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_getpeername {
        if !inet::may_concern() { return real!(getpeername(fd, name, length)); }
        let room = netlink::room(length);
        let answer = real!(getpeername(fd, name, length));
        if answer == 0 { inet_calls::show_name(fd, End::Remote, name, room, length); }
        answer
    }
    fn getsockname(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_getsockname {
        let is_netlink = is_netlink(fd);
        if !is_netlink && !inet::may_concern() { return real!(getsockname(fd, name, length)); }
        let room = netlink::room(length);
        let answer = real!(getsockname(fd, name, length));
        if answer == 0 {
            match is_netlink {
                true => netlink::own_name(fd, name, room),
                false => inet_calls::show_name(fd, End::Own, name, room, length),
            }
        }
        answer
    }
    fn getsockopt(fd: c_int, level: c_int, option: c_int, value: *mut c_void, length: *mut socklen_t) -> c_int => my_getsockopt {
        if is_netlink(fd) {
            if let Some(answer) = netlink::get_option(fd, level, option, value, length) { return answer as c_int; }
            let room = netlink::room(length);
            let answer = real!(getsockopt(fd, level, option, value, length));
            if answer == 0 { netlink::got_option(fd, level, option, value, length, room); }
            return answer;
        }
        if may_name_interface(level, option) {
            if let Some(answer) = sockios::get_option(fd, level, option, value, length) {
                return answer;
            }
        }
        let answer = real!(getsockopt(fd, level, option, value, length));
        if answer == 0 && inet::is_active() { inet_calls::got_option(fd, level, option, value, length); }
        answer
    }
    fn send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t => my_send {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send(fd, buf, n, NO_NAME, 0, flags) { return sent; }
        }
        if is_datagrams(fd) {
            if let Some(sent) = datagrams::send(fd, Data::Buffer(buf, n), flags, &To::new(NO_NAME, 0)) { return sent; }
        }
        real!(send(fd, buf, n, flags))
    }
    fn __send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t => my_send_alias {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send(fd, buf, n, NO_NAME, 0, flags) { return sent; }
        }
        if is_datagrams(fd) {
            if let Some(sent) = datagrams::send(fd, Data::Buffer(buf, n), flags, &To::new(NO_NAME, 0)) { return sent; }
        }
        real!(__send(fd, buf, n, flags))
    }
    fn sendto(fd: c_int, buf: *const c_void, n: size_t, flags: c_int, name: *const sockaddr, length: socklen_t) -> ssize_t => my_sendto {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send(fd, buf, n, name, length, flags) { return sent; }
        }
        if is_datagrams(fd) || !name.is_null() && inet::may_concern() {
            if let Some(sent) = datagrams::send(fd, Data::Buffer(buf, n), flags, &To::new(name, length)) { return sent; }
        }
        real!(sendto(fd, buf, n, flags, name, length))
    }
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t => my_sendmsg {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send_message(fd, message, flags) { return sent; }
        }
        if is_datagrams(fd) {
            if let Some(sent) = datagrams::send_message(fd, message, flags) { return sent; }
        }
        real!(sendmsg(fd, message, flags))
    }
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int => my_sendmmsg {
        if is_netlink(fd) || is_datagrams(fd) { send_messages(fd, messages, count, flags) } else { real!(sendmmsg(fd, messages, count, flags)) }
    }
    fn recv(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int) -> ssize_t => my_recv {
        if is_datagrams(fd) {
            if let Some(stored) = receive::receive_bytes(fd, buf, n, flags, NOBODY, NO_LENGTH) { return stored; }
        }
        if is_netlink(fd) && netlink::before_receive(fd).is_err() { -1 } else { real!(recv(fd, buf, n, flags)) }
    }
    fn __recv_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int) -> ssize_t => my_recv_chk {
        if is_datagrams(fd) && n <= room {
            if let Some(stored) = receive::receive_bytes(fd, buf, n, flags, NOBODY, NO_LENGTH) { return stored; }
        }
        if is_netlink(fd) && netlink::before_receive(fd).is_err() { -1 } else { real!(__recv_chk(fd, buf, n, room, flags)) }
    }
    fn recvfrom(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int, name: *mut sockaddr, length: *mut socklen_t) -> ssize_t => my_recvfrom {
        if is_datagrams(fd) {
            if let Some(stored) = receive::receive_bytes(fd, buf, n, flags, name, length) { return stored; }
        }
        if !is_netlink(fd) {
            if !inet::is_active() || name.is_null() { return real!(recvfrom(fd, buf, n, flags, name, length)); }
            let room = netlink::room(length);
            let stored = real!(recvfrom(fd, buf, n, flags, name, length));
            if stored >= 0 { inet_calls::show_sender(fd, name, room, length); }
            return stored;
        }
        let Ok(state) = netlink::before_receive(fd) else { return -1 };
        let room = netlink::name_room(name, length);
        let stored = real!(recvfrom(fd, buf, n, flags, name, length));
        if let (Some(state), 0.., 1..) = (state, stored, room) { netlink::received_from(fd, state, buf, stored.min(n as ssize_t), name, room); }
        stored
    }
    fn __recvfrom_chk(fd: c_int, buf: *mut c_void, n: size_t, most: size_t, flags: c_int, name: *mut sockaddr, length: *mut socklen_t) -> ssize_t => my_recvfrom_chk {
        if is_datagrams(fd) && n <= most {
            if let Some(stored) = receive::receive_bytes(fd, buf, n, flags, name, length) { return stored; }
        }
        if !is_netlink(fd) {
            if !inet::is_active() || name.is_null() { return real!(__recvfrom_chk(fd, buf, n, most, flags, name, length)); }
            let room = netlink::room(length);
            let stored = real!(__recvfrom_chk(fd, buf, n, most, flags, name, length));
            if stored >= 0 { inet_calls::show_sender(fd, name, room, length); }
            return stored;
        }
        let Ok(state) = netlink::before_receive(fd) else { return -1 };
        let room = netlink::name_room(name, length);
        let stored = real!(__recvfrom_chk(fd, buf, n, most, flags, name, length));
        if let (Some(state), 0.., 1..) = (state, stored, room) { netlink::received_from(fd, state, buf, stored.min(n as ssize_t), name, room); }
        stored
    }
}
