//! Sockets: those of rtnetlink are answered by this library. A call on any other descriptor costs
//! one look at the table.

use crate::real::{hooks, real};
use crate::table::is_netlink;
use crate::{netlink, sockios};
use libc::{c_int, c_uint, c_void, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use memtun_abi::request::may_name_interface;

/// sendmmsg(2) on a netlink socket: an error is told only if it is the first message's.
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

const NO_NAME: *const sockaddr = std::ptr::null();

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
        }
        real!(socket(domain, kind, protocol))
    }
    fn bind(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_bind {
        if is_netlink(fd) {
            if let Some(answer) = netlink::bind(fd, name, length) { return answer as c_int; }
        }
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
        real!(connect(fd, name, length))
    }
    fn __connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_connect_alias {
        if is_netlink(fd) {
            if let Some(answer) = netlink::connect(fd, name, length) { return answer as c_int; }
        }
        real!(__connect(fd, name, length))
    }
    fn getsockname(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_getsockname {
        if !is_netlink(fd) { return real!(getsockname(fd, name, length)); }
        let room = netlink::room(length);
        let answer = real!(getsockname(fd, name, length));
        if answer == 0 { netlink::own_name(fd, name, room); }
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
        real!(getsockopt(fd, level, option, value, length))
    }
    fn send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t => my_send {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send(fd, buf, n, NO_NAME, 0, flags) { return sent; }
        }
        real!(send(fd, buf, n, flags))
    }
    fn __send(fd: c_int, buf: *const c_void, n: size_t, flags: c_int) -> ssize_t => my_send_alias {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send(fd, buf, n, NO_NAME, 0, flags) { return sent; }
        }
        real!(__send(fd, buf, n, flags))
    }
    fn sendto(fd: c_int, buf: *const c_void, n: size_t, flags: c_int, name: *const sockaddr, length: socklen_t) -> ssize_t => my_sendto {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send(fd, buf, n, name, length, flags) { return sent; }
        }
        real!(sendto(fd, buf, n, flags, name, length))
    }
    fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t => my_sendmsg {
        if is_netlink(fd) {
            if let Some(sent) = netlink::send_message(fd, message, flags) { return sent; }
        }
        real!(sendmsg(fd, message, flags))
    }
    fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int => my_sendmmsg {
        if is_netlink(fd) { send_messages(fd, messages, count, flags) } else { real!(sendmmsg(fd, messages, count, flags)) }
    }
    fn recv(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int) -> ssize_t => my_recv {
        if is_netlink(fd) && netlink::before_receive(fd).is_err() { -1 } else { real!(recv(fd, buf, n, flags)) }
    }
    fn __recv_chk(fd: c_int, buf: *mut c_void, n: size_t, room: size_t, flags: c_int) -> ssize_t => my_recv_chk {
        if is_netlink(fd) && netlink::before_receive(fd).is_err() { -1 } else { real!(__recv_chk(fd, buf, n, room, flags)) }
    }
    fn recvfrom(fd: c_int, buf: *mut c_void, n: size_t, flags: c_int, name: *mut sockaddr, length: *mut socklen_t) -> ssize_t => my_recvfrom {
        if !is_netlink(fd) { return real!(recvfrom(fd, buf, n, flags, name, length)); }
        let Ok(state) = netlink::before_receive(fd) else { return -1 };
        let room = netlink::name_room(name, length);
        let stored = real!(recvfrom(fd, buf, n, flags, name, length));
        if let (Some(state), 0.., 1..) = (state, stored, room) { netlink::received_from(fd, state, buf, stored.min(n as ssize_t), name, room); }
        stored
    }
    fn __recvfrom_chk(fd: c_int, buf: *mut c_void, n: size_t, most: size_t, flags: c_int, name: *mut sockaddr, length: *mut socklen_t) -> ssize_t => my_recvfrom_chk {
        if !is_netlink(fd) { return real!(__recvfrom_chk(fd, buf, n, most, flags, name, length)); }
        let Ok(state) = netlink::before_receive(fd) else { return -1 };
        let room = netlink::name_room(name, length);
        let stored = real!(__recvfrom_chk(fd, buf, n, most, flags, name, length));
        if let (Some(state), 0.., 1..) = (state, stored, room) { netlink::received_from(fd, state, buf, stored.min(n as ssize_t), name, room); }
        stored
    }
}
