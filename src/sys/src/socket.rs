//! System calls on sockets of AF_UNIX and AF_NETLINK. Each socket is made close-on-exec and
//! non-blocking.

use super::fs::with_more_descriptors;
use super::{check, syscall, Fd};
use crate::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Longest path that an AF_UNIX address can have, in bytes, without the NUL.
pub const LONGEST_SOCKET_PATH: usize = 107;

/// Most parts that [`send`] takes.
pub const MOST_PARTS: usize = 8;

/// Makes a socket (socket(2)). The caller owns it.
///
/// # Errors
///
/// EMFILE when the process may not have another descriptor even for a moment.
pub fn socket(family: i32, kind: i32, protocol: i32) -> Result<Fd, Errno> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    with_more_descriptors(|| {
        let args = [family as usize, kind as usize, protocol as usize, 0, 0, 0];
        // SAFETY: socket(2) touches no memory.
        Fd::made(unsafe { syscall(libc::SYS_socket, args) })
    })
}

/// Makes the address of a path. ENAMETOOLONG says that it is longer than
/// [`LONGEST_SOCKET_PATH`].
fn unix_address(path: &[u8]) -> Result<(libc::sockaddr_un, usize), Errno> {
    if path.is_empty() || path.len() > LONGEST_SOCKET_PATH {
        return Err(Errno(libc::ENAMETOOLONG));
    }
    let mut address = libc::sockaddr_un {
        sun_family: libc::AF_UNIX as u16,
        sun_path: [0; 108],
    };
    for (to, byte) in address.sun_path.iter_mut().zip(path) {
        *to = *byte as libc::c_char;
    }
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + path.len() + 1;
    Ok((address, length))
}

/// Runs bind(2) or connect(2) with a path.
fn with_path(call: libc::c_long, fd: i32, path: &[u8]) -> Result<(), Errno> {
    let (address, length) = unix_address(path)?;
    let args = [fd as usize, &raw const address as usize, length, 0, 0, 0];
    // SAFETY: the kernel reads `length` bytes of the address, which is a local of this function.
    check(unsafe { syscall(call, args) }).map(drop)
}

/// Gives a socket of AF_UNIX a path (bind(2)).
///
/// # Errors
///
/// ENAMETOOLONG when the path is longer than [`LONGEST_SOCKET_PATH`].
pub fn bind_path(fd: BorrowedFd<'_>, path: &[u8]) -> Result<(), Errno> {
    with_path(libc::SYS_bind, fd.as_raw_fd(), path)
}

/// Connects a socket of AF_UNIX with the one at a path (connect(2)).
///
/// # Errors
///
/// - ENOENT or ECONNREFUSED when nobody listens there.
/// - EAGAIN when too many wait to be accepted.
/// - ENAMETOOLONG when the path is longer than [`LONGEST_SOCKET_PATH`].
pub fn connect_path(fd: BorrowedFd<'_>, path: &[u8]) -> Result<(), Errno> {
    with_path(libc::SYS_connect, fd.as_raw_fd(), path)
}

/// Does the same as [`connect_path`] for a descriptor of the program's, on which it makes a call.
///
/// # Errors
///
/// The same as [`connect_path`], and EBADF.
pub fn connect_descriptor_path(fd: i32, path: &[u8]) -> Result<(), Errno> {
    with_path(libc::SYS_connect, fd, path)
}

pub(crate) fn netlink_address(port: u32, groups: u32) -> libc::sockaddr_nl {
    // SAFETY: a sockaddr_nl consists of plain numbers, for which zero is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    address.nl_pid = port;
    address.nl_groups = groups;
    address
}

/// Gives a netlink socket a port of the kernel's choice, and the groups of these bits (bind(2)).
pub fn bind_netlink(fd: BorrowedFd<'_>, groups: u32) -> Result<(), Errno> {
    let address = netlink_address(0, groups);
    let args = [
        fd.as_raw_fd() as usize,
        &raw const address as usize,
        size_of::<libc::sockaddr_nl>(),
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads one sockaddr_nl, which is a local of this function.
    check(unsafe { syscall(libc::SYS_bind, args) }).map(drop)
}

/// Lets others connect (listen(2)).
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    let args = [fd.as_raw_fd() as usize, backlog as usize, 0, 0, 0, 0];
    // SAFETY: listen(2) touches no memory.
    check(unsafe { syscall(libc::SYS_listen, args) }).map(drop)
}

/// Takes the next connection (accept4(2)). The caller owns the socket.
///
/// # Errors
///
/// EAGAIN when nobody waits.
pub fn accept(fd: BorrowedFd<'_>) -> Result<Fd, Errno> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let args = [fd.as_raw_fd() as usize, 0, 0, flags as usize, 0, 0];
    // SAFETY: without room for an address accept4(2) touches no memory.
    Fd::made(unsafe { syscall(libc::SYS_accept4, args) })
}

/// Sends one packet that consists of these parts, at most [`MOST_PARTS`] (sendmsg(2)). It raises no
/// SIGPIPE.
///
/// # Errors
///
/// - EAGAIN when there is no room.
/// - EPIPE or ECONNRESET when the other end is closed.
/// - EMSGSIZE when there are too many parts.
pub fn send(fd: BorrowedFd<'_>, parts: &[&[u8]]) -> Result<usize, Errno> {
    send_message(fd.as_raw_fd(), None, parts)
}

pub(crate) fn send_message(
    fd: i32,
    to: Option<&mut libc::sockaddr_nl>,
    parts: &[&[u8]],
) -> Result<usize, Errno> {
    if parts.len() > MOST_PARTS {
        return Err(Errno(libc::EMSGSIZE));
    }
    let mut vector = [libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; MOST_PARTS];
    for (to, part) in vector.iter_mut().zip(parts) {
        to.iov_base = part.as_ptr() as *mut libc::c_void;
        to.iov_len = part.len();
    }
    // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vector.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    if let Some(to) = to {
        message.msg_name = (to as *mut libc::sockaddr_nl).cast();
        message.msg_namelen = size_of::<libc::sockaddr_nl>() as u32;
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let args = [
        fd as usize,
        &raw const message as usize,
        flags as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads the message, its address and its parts, which are borrowed for this
    // call.
    check(unsafe { syscall(libc::SYS_sendmsg, args) })
}

/// Receives one packet (recvfrom(2)) with flags such as MSG_PEEK and MSG_TRUNC. Returns its length,
/// which with MSG_TRUNC may be above that of `room`; 0 when the other end is closed.
///
/// # Errors
///
/// - EAGAIN when there is none.
/// - ENOBUFS when a netlink socket has lost messages.
pub fn receive(fd: BorrowedFd<'_>, room: &mut [u8], flags: i32) -> Result<usize, Errno> {
    let args = [
        fd.as_raw_fd() as usize,
        room.as_mut_ptr() as usize,
        room.len(),
        (flags | libc::MSG_DONTWAIT) as usize,
        0,
        0,
    ];
    // SAFETY: the kernel writes at most `len` bytes into the slice.
    check(unsafe { syscall(libc::SYS_recvfrom, args) })
}

/// Who is at the other end of a connected socket of AF_UNIX: who called listen(2) or connect(2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The process, 0 when it is not visible from here.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
}

/// Returns who is at the other end (SO_PEERCRED).
pub fn peer(fd: BorrowedFd<'_>) -> Result<Peer, Errno> {
    let mut found = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut length = size_of::<libc::ucred>() as u32;
    let args = [
        fd.as_raw_fd() as usize,
        libc::SOL_SOCKET as usize,
        libc::SO_PEERCRED as usize,
        &raw mut found as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel writes at most one ucred and its length, which are locals of this
    // function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) })?;
    Ok(Peer {
        pid: found.pid,
        uid: found.uid,
    })
}

/// Sets an option of a socket whose value is an int (setsockopt(2)).
pub fn set_socket_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: i32,
) -> Result<(), Errno> {
    let args = [
        fd.as_raw_fd() as usize,
        level as usize,
        name as usize,
        &raw const value as usize,
        size_of::<i32>(),
        0,
    ];
    // SAFETY: the kernel reads one int, which is a local of this function.
    check(unsafe { syscall(libc::SYS_setsockopt, args) }).map(drop)
}

/// Waits until one of the descriptors has what is waited for, for at most `timeout` (ppoll(2)).
/// Returns how many have.
///
/// # Errors
///
/// EINTR after a signal.
pub fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<usize, Errno> {
    let mut limit = timeout.map(|t| libc::timespec {
        tv_sec: t.as_secs().min(i64::MAX as u64 / 2) as libc::time_t,
        tv_nsec: t.subsec_nanos() as _,
    });
    let limit = limit.as_mut().map_or(0, |t| t as *mut _ as usize);
    let args = [fds.as_mut_ptr() as usize, fds.len(), limit, 0, 8, 0];
    // SAFETY: the kernel reads and writes `len` pollfds of the slice, and reads and writes the
    // time, which is NULL or a local of this function.
    check(unsafe { syscall(libc::SYS_ppoll, args) })
}
