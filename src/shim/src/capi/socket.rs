//! Sockets of a net for a process that is not under the shim.

use super::net::{net_of, NetHandle};
use super::{bad_memory, bytes, length, status, Answer};
use crate::uaccess::{OwnMemory, UsedMemory};
use libc::{c_int, c_void, size_t, sockaddr, socklen_t, ssize_t};
use memtun_abi::{Errno, Error};
use memtun_calls::inet::name;
use memtun_calls::Memory;
use memtun_core::sockets::Sockets;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, IntoRawFd};

fn sockets_of(net: *const NetHandle) -> Answer<Sockets> {
    Ok(net_of(net)?.socket_calls())
}

/// The caller's descriptor.
fn descriptor<'a>(fd: c_int) -> Answer<BorrowedFd<'a>> {
    if fd < 0 {
        let sentence = format!("descriptor {fd}: give an open socket");
        return Err(Error::new(libc::EBADF, sentence));
    }
    // SAFETY: the number is not -1, and the descriptor is the caller's, who has it open for this
    // call, as memtun.h demands.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// The name that a caller gave.
fn given(name: *const sockaddr, length: socklen_t) -> Answer<SocketAddr> {
    if name.is_null() {
        return Err(bad_memory(Errno(libc::EFAULT)));
    }
    name::read(&OwnMemory, name as usize, length as usize).ok_or_else(|| {
        let sentence = "the name is none of AF_INET or AF_INET6, or it is cut short";
        Error::new(libc::EAFNOSUPPORT, sentence)
    })
}

/// How much room a caller has for a name; none where the caller does not want it.
fn room(name: *mut sockaddr, length: *mut socklen_t) -> Answer<Option<usize>> {
    if name.is_null() || length.is_null() {
        return Ok(None);
    }
    let mut stored = [0; 4];
    UsedMemory
        .read(length as usize, &mut stored)
        .map_err(bad_memory)?;
    Ok(Some(u32::from_ne_bytes(stored) as usize))
}

/// Stores a name for a caller who wants it.
fn give_name(
    shown: &SocketAddr,
    name: *mut sockaddr,
    room: Option<usize>,
    length: *mut socklen_t,
) -> Answer<()> {
    let Some(room) = room else { return Ok(()) };
    name::write(&UsedMemory, shown, name as usize, room, length as usize).map_err(bad_memory)
}

/// Gives a socket (of AF_INET or AF_INET6, SOCK_STREAM or SOCK_DGRAM, made by socket(2)) a name of
/// the net's, as bind(2) does: an address of an interface, or any (0.0.0.0, ::), and a port, 0 for
/// any that is free in the net. -EADDRINUSE: a socket of the net has the name. -EADDRNOTAVAIL: no
/// interface of the net has the address. -EINVAL: the socket has a name. -ENOSYS: no host process
/// can be started (see memtun_error_text).
#[no_mangle]
pub extern "C" fn memtun_net_bind(
    net: *const NetHandle,
    fd: c_int,
    name: *const sockaddr,
    name_len: socklen_t,
) -> c_int {
    status(|| sockets_of(net)?.bind(descriptor(fd)?, given(name, name_len)?))
}

/// Connects a socket with an end that the net reaches, as connect(2) does. -EINPROGRESS: the
/// socket has O_NONBLOCK; when it is writable, memtun_net_socket_error says what has become of it.
/// -ECONNREFUSED: nobody listens there. -ENETUNREACH: no route of the net leads there. Otherwise
/// this is as memtun_net_bind.
#[no_mangle]
pub extern "C" fn memtun_net_connect(
    net: *const NetHandle,
    fd: c_int,
    name: *const sockaddr,
    name_len: socklen_t,
) -> c_int {
    status(|| sockets_of(net)?.connect(descriptor(fd)?, given(name, name_len)?))
}

/// For a caller who makes connect(2) himself, because his language does more in it: stores the
/// name of the machine's to make it with. When that has failed with ECONNREFUSED or ECONNRESET,
/// memtun_net_connect_refused says why. Otherwise this is as memtun_net_connect.
#[no_mangle]
pub extern "C" fn memtun_net_connect_name(
    net: *const NetHandle,
    fd: c_int,
    name: *const sockaddr,
    name_len: socklen_t,
    native: *mut sockaddr,
    native_len: *mut socklen_t,
) -> c_int {
    status(|| {
        let room = room(native, native_len)?;
        let to = sockets_of(net)?.native_target(descriptor(fd)?, given(name, name_len)?)?;
        give_name(&to, native, room, native_len)
    })
}

/// The errno with which a connection has ended in the net whose connect(2) the caller has made and
/// which has failed; 0 when it is the one that he has got.
#[no_mangle]
pub extern "C" fn memtun_net_connect_refused(net: *const NetHandle, fd: c_int) -> c_int {
    let mut refused = 0;
    let done = status(|| {
        let refusal = sockets_of(net)?.refusal(descriptor(fd)?);
        refused = refusal.map_or(0, |e| e.0);
        Ok(())
    });
    if done < 0 {
        done
    } else {
        refused
    }
}

/// Lets others connect to a socket, as listen(2) does. -EADDRINUSE: another socket of the net
/// listens there. Otherwise this is as memtun_net_bind.
#[no_mangle]
pub extern "C" fn memtun_net_listen(net: *const NetHandle, fd: c_int, backlog: c_int) -> c_int {
    status(|| sockets_of(net)?.listen(descriptor(fd)?, backlog))
}

/// Takes the next connection, as accept4(2) does with SOCK_CLOEXEC, and returns its descriptor.
/// name, unless it is NULL, gets the name of the other end in the net; *name_len is the room
/// there, and then the length. Connections of processes of the machine that are not in the net, to
/// an address of the net's, are closed and passed over. -EAGAIN: nobody waits, and the socket has
/// O_NONBLOCK.
#[no_mangle]
pub extern "C" fn memtun_net_accept(
    net: *const NetHandle,
    fd: c_int,
    name: *mut sockaddr,
    name_len: *mut socklen_t,
) -> c_int {
    let mut new = -1;
    let done = status(|| {
        let room = room(name, name_len)?;
        let (socket, from) = sockets_of(net)?.accept(descriptor(fd)?)?;
        give_name(&from, name, room, name_len)?;
        new = socket.into_raw_fd();
        Ok(())
    });
    if done < 0 {
        done
    } else {
        new
    }
}

/// The own name of a socket in the net, as getsockname(2) gives it. It works for sockets that have
/// no name of the net's as well.
#[no_mangle]
pub extern "C" fn memtun_net_getsockname(
    net: *const NetHandle,
    fd: c_int,
    name: *mut sockaddr,
    name_len: *mut socklen_t,
) -> c_int {
    status(|| {
        let room = room(name, name_len)?;
        let shown = sockets_of(net)?.local_addr(descriptor(fd)?)?;
        give_name(&shown, name, room, name_len)
    })
}

/// The name of the other end in the net, as getpeername(2) gives it. -ENOTCONN: there is none.
#[no_mangle]
pub extern "C" fn memtun_net_getpeername(
    net: *const NetHandle,
    fd: c_int,
    name: *mut sockaddr,
    name_len: *mut socklen_t,
) -> c_int {
    status(|| {
        let room = room(name, name_len)?;
        let shown = sockets_of(net)?.peer_addr(descriptor(fd)?)?;
        give_name(&shown, name, room, name_len)
    })
}

/// Sends a datagram of len bytes, as sendto(2) does; returns how many bytes were sent. A socket
/// without a name gets one. Of flags, MSG_DONTWAIT counts. -ENETUNREACH: no route of the net leads
/// there. -EACCES: it is a broadcast address, and SO_BROADCAST is not set. -ECONNREFUSED and
/// others: an earlier datagram was refused. Otherwise this is as memtun_net_bind.
// Contract: `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_net_sendto(
    net: *const NetHandle,
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    name: *const sockaddr,
    name_len: socklen_t,
) -> ssize_t {
    length(|| {
        // SAFETY: the caller's contract.
        let data = unsafe { bytes(data, len) }?;
        sockets_of(net)?.send_to(descriptor(fd)?, data, given(name, name_len)?, flags)
    })
}

/// Receives a datagram into buf, which has room for len bytes, as recvfrom(2) does; returns its
/// length, cut to len unless flags have MSG_TRUNC. name, unless it is NULL, gets the sender's name
/// in the net, as of memtun_net_accept. -EAGAIN: there is none, and the socket or flags say not to
/// wait, or SO_RCVTIMEO is over. -ECONNREFUSED and others: an earlier datagram was refused.
// Contract: `buf` points to `len` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_net_recvfrom(
    net: *const NetHandle,
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    name: *mut sockaddr,
    name_len: *mut socklen_t,
) -> ssize_t {
    length(|| {
        let stored = room(name, name_len)?;
        let buffer: &mut [u8] = match (buf.is_null(), len) {
            (_, 0) => &mut [],
            (true, _) => return Err(bad_memory(Errno(libc::EFAULT))),
            // SAFETY: the caller's contract.
            _ => unsafe { std::slice::from_raw_parts_mut(buf.cast(), len) },
        };
        let (received, from) = sockets_of(net)?.recv_from(descriptor(fd)?, buffer, flags)?;
        if let Some(from) = from {
            give_name(&from, name, stored, name_len)?;
        }
        Ok(received)
    })
}

/// For a caller who makes accept(2) or recvmsg(2) himself, because his language does more in it:
/// replaces the name that the call has stored by that of the net. fd is the new connection, or the
/// socket that has received; data is what was received, of which the first len bytes are looked
/// at. -EAGAIN: nobody of the net has sent it, so it counts as not received, and a connection is
/// to be closed. -ECONNREFUSED and others: it was no datagram, but an earlier one was refused.
// Contract: `data` points to `len` readable bytes.
#[no_mangle]
pub unsafe extern "C" fn memtun_net_sender_name(
    net: *const NetHandle,
    fd: c_int,
    data: *const c_void,
    len: size_t,
    name: *mut sockaddr,
    name_len: *mut socklen_t,
) -> c_int {
    status(|| {
        let Some(stored) = room(name, name_len)? else {
            return Err(bad_memory(Errno(libc::EFAULT)));
        };
        let native = given(name, stored as socklen_t)?;
        // SAFETY: the caller's contract.
        let data = unsafe { bytes(data, len) }?;
        let (sockets, fd) = (sockets_of(net)?, descriptor(fd)?);
        let shown = match sockets.is_stream(fd)? {
            true => sockets.accepted(fd, native)?,
            false => sockets.sender(fd, native, data)?,
        };
        let nobody = || Error::new(libc::EAGAIN, "nobody of the net has sent it");
        // A name of either family has the length that it had.
        give_name(&shown.ok_or_else(nobody)?, name, Some(stored), name_len)
    })
}

/// The errno of what has gone wrong on a socket, once, as getsockopt(2) gives it for SO_ERROR; 0
/// when nothing has.
#[no_mangle]
pub extern "C" fn memtun_net_socket_error(net: *const NetHandle, fd: c_int) -> c_int {
    let mut errno = 0;
    let done = status(|| {
        let found = sockets_of(net)?.take_error(descriptor(fd)?)?;
        errno = found.map_or(0, |e| e.0);
        Ok(())
    });
    if done < 0 {
        done
    } else {
        errno
    }
}
