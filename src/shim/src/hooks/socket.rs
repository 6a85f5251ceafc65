//! Sockets and their names: those of rtnetlink are answered by this library, and those of a net
//! that has addresses have its names. A call of a process that has neither costs one look at a
//! word.

use super::cancel::deferred;
use crate::inet::calls::{self as inet_calls, AnyName, Before, End};
use crate::inet::known::plays_both;
use crate::inet::{notes, sending};
use crate::real::{hooks, real};
use crate::table::{is_datagrams, is_netlink, is_packets};
use crate::{errno, gate, inet, netlink, packets, sockios};
use libc::{c_int, c_void, sockaddr, socklen_t};
use memtun_abi::request::may_name_interface;
use memtun_sys::inet::SocketName;

/// bind(2) in a net that has addresses. The machine may refuse a native name, and then another one
/// is asked for.
#[cold]
#[inline(never)]
extern "C" fn bind_carried(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    let (mut to, mut failed) = (SocketName::room(), 0);
    loop {
        match inet_calls::before_bind(fd, name, length, failed, &mut to) {
            Before::Machine => return real!(bind(fd, name, length)),
            Before::Done(answer) => {
                sending::forget_options();
                return answer;
            }
            Before::To => {
                let native = to.bytes();
                let answer = real!(bind(fd, native.as_ptr().cast(), native.len() as socklen_t));
                sending::forget_options();
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
    inet_calls::look();
    if inet_calls::is_disconnect(name, length) {
        let answer = real!(connect(fd, name, length));
        if answer == 0 {
            sending::forget_options();
            inet_calls::disconnected(fd);
        }
        return answer;
    }
    match inet_calls::before_connect(fd, name, length, &mut to) {
        Before::Machine => {
            let answer = real!(connect(fd, name, length));
            inet_calls::after_connect(fd, answer)
        }
        Before::Done(answer) => answer,
        Before::To => connect_natively(fd, &to),
    }
}

/// The connect(2) that is in sending with MSG_FASTOPEN. `None` where the name is none of the net's.
#[cold]
#[inline(never)]
#[allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls this"
)]
pub extern "C" fn connect_to_send(
    fd: c_int,
    name: *const sockaddr,
    length: socklen_t,
) -> Option<c_int> {
    let mut to = SocketName::room();
    let was = inet_calls::begins_early(fd)?;
    let before = inet_calls::before_connect(fd, name, length, &mut to);
    inet_calls::has_begun_early(fd, was);
    match before {
        Before::Machine => None,
        Before::Done(answer) => Some(answer),
        Before::To => Some(connect_natively(fd, &to)),
    }
}

/// connect(2) to a name that was stored.
fn connect_natively(fd: c_int, to: &SocketName) -> c_int {
    let native = to.bytes();
    let answer = real!(connect(
        fd,
        native.as_ptr().cast(),
        native.len() as socklen_t
    ));
    sending::forget_options();
    inet_calls::after_connect(fd, answer)
}

/// connect(2) in a process that has a netlink socket, or is in a net that has addresses.
#[cold]
#[inline(never)]
extern "C" fn connect_special(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    deferred(move || connect_of_net(fd, name, length))
}

#[inline(never)]
extern "C" fn connect_of_net(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int {
    if is_netlink(fd) {
        if let Some(answer) = netlink::connect(fd, name, length) {
            return answer as c_int;
        }
    }
    if is_packets(fd) {
        if let Some(answer) = packets::connect(fd, name, length) {
            return answer;
        }
    }
    match inet::may_concern() {
        true => connect_carried(fd, name, length),
        false => real!(connect(fd, name, length)),
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
        let before = errno::get();
        let new = real!(accept4(fd, place, &raw mut from.length, flags));
        if new < 0 {
            if errno::get() == libc::EAGAIN && inet_calls::is_early() {
                errno::set(before);
                continue;
            }
            return new;
        }
        if let Some(answer) = inet_calls::accepted(new, &from, name, room, length) {
            return answer;
        }
    }
}

/// The same in a function apart from the hook, which then keeps nothing for it.
#[cold]
#[inline(never)]
extern "C" fn accept_special(
    fd: c_int,
    name: *mut sockaddr,
    length: *mut socklen_t,
    flags: c_int,
) -> c_int {
    deferred(move || accept_carried(fd, name, length, flags))
}

/// socket(2) for a packet socket or a raw one.
#[cold]
#[inline(never)]
extern "C" fn packet_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let Some(wanted) = packets::wanted(domain, kind, protocol) else {
        return real!(socket(domain, kind, protocol));
    };
    if inet::looks_anew() {
        if let Some(refused) = packets::unseen(wanted) {
            errno::set(refused);
            return -1;
        }
    }
    if !packets::are_ours(wanted, false) {
        let before = errno::get();
        let fd = real!(socket(domain, kind, protocol));
        if fd >= 0
            || !matches!(errno::get(), libc::EPERM | libc::EACCES)
            || !packets::are_ours(wanted, true)
        {
            return fd;
        }
        errno::set(before);
    }
    let refused = packets::refused(wanted);
    if refused != 0 {
        errno::set(refused);
        return -1;
    }
    let flags = kind & (libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    let fd = real!(socket(libc::AF_UNIX, libc::SOCK_DGRAM | flags, 0));
    if fd < 0 {
        return fd;
    }
    packets::take(fd, wanted, protocol)
}

/// socket(2) of AF_INET or AF_INET6 in a net that has addresses.
#[cold]
#[inline(never)]
extern "C" fn inet_socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let protocol = inet_calls::carried(kind, protocol);
    if protocol < 0 {
        return -1;
    }
    let fd = real!(socket(domain, kind, protocol));
    if fd >= 0 {
        notes::note(fd);
    }
    fd
}

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
        } else if packets::wanted(domain, kind, protocol).is_some() {
            return packet_socket(domain, kind, protocol);
        } else if matches!(domain, libc::AF_INET | libc::AF_INET6) && inet::looks_anew() {
            // A process that has not joined its net looks for it.
            return inet_socket(domain, kind, protocol);
        }
        real!(socket(domain, kind, protocol))
    }
    fn bind(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_bind {
        if is_netlink(fd) {
            if let Some(answer) = netlink::bind(fd, name, length) { return answer as c_int; }
        }
        if is_packets(fd) {
            if let Some(answer) = packets::bind(fd, name, length) { return answer; }
        }
        if inet::looks_anew() { return bind_carried(fd, name, length); }
        if let Some(before) = sockios::before_bind(fd, name, length) {
            let free = match before { Ok(free) => free, Err(answer) => return answer };
            let answer = real!(bind(fd, name, length));
            sockios::after_bind(fd, free);
            return answer;
        }
        real!(bind(fd, name, length))
    }
    fn connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_connect {
        if gate::is_shut() { real!(connect(fd, name, length)) } else { connect_special(fd, name, length) }
    }
    fn __connect(fd: c_int, name: *const sockaddr, length: socklen_t) -> c_int => my_connect_alias {
        if gate::is_shut() { real!(__connect(fd, name, length)) } else { connect_special(fd, name, length) }
    }
    fn listen(fd: c_int, backlog: c_int) -> c_int => my_listen {
        if inet::may_concern() { return listen_carried(fd, backlog); }
        real!(listen(fd, backlog))
    }
    fn accept(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_accept {
        if gate::is_shut() || !inet::may_concern() { real!(accept(fd, name, length)) } else { accept_special(fd, name, length, 0) }
    }
    fn accept4(fd: c_int, name: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int => my_accept4 {
        if gate::is_shut() || !inet::may_concern() { real!(accept4(fd, name, length, flags)) } else { accept_special(fd, name, length, flags) }
    }
    fn shutdown(fd: c_int, how: c_int) -> c_int => my_shutdown {
        if is_packets(fd) {
            if let Some(answer) = packets::shut_down(fd, how) { return answer; }
        }
        inet_calls::look();
        let answer = real!(shutdown(fd, how));
        // A socket of datagrams that is not connected is shut down as well, whatever it is told.
        if is_datagrams(fd) && (answer == 0 || errno::get() == libc::ENOTCONN) { sending::shut_down(fd, how); }
        if answer == 0 && inet::is_active() {
            inet_calls::shut_down(fd);
            if plays_both() { inet_calls::deliver(fd); }
        }
        answer
    }
    fn getpeername(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_getpeername {
        if is_packets(fd) {
            if let Some(answer) = packets::peer_name(fd, name, length) { return answer; }
        }
        if !inet::may_concern() { return real!(getpeername(fd, name, length)); }
        let room = netlink::room(length);
        let answer = real!(getpeername(fd, name, length));
        if answer == 0 { return inet_calls::show_name(fd, End::Remote, name, room, length); }
        answer
    }
    fn getsockname(fd: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int => my_getsockname {
        if is_packets(fd) {
            if let Some(answer) = packets::own_name(fd, name, length) { return answer; }
        }
        let is_netlink = is_netlink(fd);
        if !is_netlink && !inet::may_concern() { return real!(getsockname(fd, name, length)); }
        let room = netlink::room(length);
        let answer = real!(getsockname(fd, name, length));
        if answer == 0 {
            match is_netlink {
                true => netlink::own_name(fd, name, room),
                false => { inet_calls::show_name(fd, End::Own, name, room, length); }
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
        if is_packets(fd) {
            let got = packets::get_option(fd, level, option, value, length);
            return got.unwrap_or_else(|| real!(getsockopt(fd, level, option, value, length)));
        }
        if may_name_interface(level, option) {
            if let Some(answer) = sockios::get_option(fd, level, option, value, length) {
                return answer;
            }
        }
        if option == libc::SO_ERROR && level == libc::SOL_SOCKET { inet_calls::look(); }
        let answer = real!(getsockopt(fd, level, option, value, length));
        if answer == 0 && inet::is_active() {
            inet_calls::got_option(fd, level, option, value, length);
            if option == libc::SO_ERROR && level == libc::SOL_SOCKET && is_datagrams(fd) { inet::errors::given(fd); }
        }
        answer
    }
}
