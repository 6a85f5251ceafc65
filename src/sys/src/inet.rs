//! Sockets of AF_INET and AF_INET6: their names, and datagrams with the addresses of both ends.

use super::{check, syscall};
use crate::{Errno, Fd};
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// An address as the kernel has it: `struct sockaddr_in` or `struct sockaddr_in6`.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct SocketName {
    bytes: [u8; 28],
    length: u32,
}

impl SocketName {
    /// Length in bytes of the longest one.
    pub const LONGEST: usize = 28;

    /// Returns the name of an address.
    pub fn new(name: &SocketAddr) -> SocketName {
        let mut bytes = [0; 28];
        bytes[2..4].copy_from_slice(&name.port().to_be_bytes());
        let length = match name {
            SocketAddr::V4(name) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&name.ip().octets());
                16
            }
            SocketAddr::V6(name) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                bytes[8..24].copy_from_slice(&name.ip().octets());
                bytes[24..].copy_from_slice(&name.scope_id().to_ne_bytes());
                28
            }
        };
        SocketName { bytes, length }
    }

    /// Reads a name. None means that it is longer than [`SocketName::LONGEST`].
    pub fn of_bytes(from: &[u8]) -> Option<SocketName> {
        let mut name = SocketName::room();
        name.bytes.get_mut(..from.len())?.copy_from_slice(from);
        name.length = from.len() as u32;
        Some(name)
    }

    /// Returns room for a name.
    pub fn room() -> SocketName {
        SocketName {
            bytes: [0; 28],
            length: 28,
        }
    }

    /// Returns the bytes of the name.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..(self.length as usize).min(28)]
    }

    /// Returns where the kernel stores a name, and its length.
    pub fn parts(&mut self) -> (*mut u8, *mut u32) {
        (self.bytes.as_mut_ptr(), &raw mut self.length)
    }

    /// Returns the address; None where it is of another family.
    pub fn address(&self) -> Option<SocketAddr> {
        let bytes = &self.bytes;
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        match i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
            libc::AF_INET if self.length >= 16 => {
                Some((Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]), port).into())
            }
            libc::AF_INET6 if self.length >= 24 => {
                let mut octets = [0; 16];
                octets.copy_from_slice(&bytes[8..24]);
                let scope = u32::from_ne_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
                Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
            }
            _ => None,
        }
    }
}

fn with_name(call: libc::c_long, fd: BorrowedFd<'_>, name: &SocketAddr) -> Result<(), Errno> {
    let raw = SocketName::new(name);
    let args = [
        fd.as_raw_fd() as usize,
        raw.bytes.as_ptr() as usize,
        raw.length as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads `length` bytes of the address, which is a local of this function.
    check(unsafe { syscall(call, args) }).map(drop)
}

/// Binds a socket to a name (bind(2)).
pub fn bind_name(fd: BorrowedFd<'_>, name: &SocketAddr) -> Result<(), Errno> {
    with_name(libc::SYS_bind, fd, name)
}

/// Has a socket of this kind (SOCK_STREAM, SOCK_DGRAM), whosoever it is, this name, or one that
/// contains it? Where none can be made to find out, nobody has.
pub fn is_held(kind: i32, name: &SocketAddr) -> bool {
    let family = match name {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let socket = crate::socket(family, kind, 0);
    socket.is_ok_and(|socket| bind_name(socket.as_fd(), name).is_err())
}

/// Returns a socket that listens on a port of 127.0.0.1 that the kernel has chosen, and its name.
/// The caller owns it.
pub fn listener() -> Result<(Fd, SocketAddr), Errno> {
    let socket = crate::socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    bind_name(socket.as_fd(), &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    crate::listen(socket.as_fd(), 0)?;
    let name = own_name(socket.raw())?;
    Ok((socket, name))
}

/// Connects a socket with the one of a name (connect(2)).
///
/// # Errors
///
/// EINPROGRESS when that takes a while.
pub fn connect_name(fd: BorrowedFd<'_>, name: &SocketAddr) -> Result<(), Errno> {
    with_name(libc::SYS_connect, fd, name)
}

fn name_by(call: libc::c_long, fd: i32) -> Result<SocketAddr, Errno> {
    let mut raw = SocketName::room();
    let args = [
        fd as usize,
        raw.bytes.as_mut_ptr() as usize,
        &raw mut raw.length as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes at most `length` bytes and the length, which are locals of this
    // function.
    check(unsafe { syscall(call, args) })?;
    raw.address().ok_or(Errno(libc::EAFNOSUPPORT))
}

/// Returns the own name of a socket (getsockname(2)).
pub fn own_name(fd: i32) -> Result<SocketAddr, Errno> {
    name_by(libc::SYS_getsockname, fd)
}

/// Returns the name of the other end of a socket (getpeername(2)).
pub fn peer_name(fd: i32) -> Result<SocketAddr, Errno> {
    name_by(libc::SYS_getpeername, fd)
}

/// Returns the number of segments that a socket of TCP has got for the connection that it has or
/// had last (`tcpi_segs_in` of `struct tcp_info`). It is 0 again once the socket can begin another
/// one.
///
/// # Errors
///
/// What getsockopt(2) fails with, ENOPROTOOPT where the kernel does not tell.
pub fn segments_received(fd: i32) -> Result<u32, Errno> {
    tcp_words::<{ 144 / 4 }>(fd).map(|words| words[140 / 4])
}

/// Returns how many bytes a program has written to a socket of TCP: those that were sent and those
/// that were not (`tcpi_bytes_sent`, `tcpi_bytes_retrans` and `tcpi_notsent_bytes` of `struct
/// tcp_info`).
///
/// # Errors
///
/// What getsockopt(2) fails with, ENOPROTOOPT where the kernel does not tell.
pub fn bytes_written(fd: i32) -> Result<u64, Errno> {
    let words = tcp_words::<{ 216 / 4 }>(fd)?;
    let long = |at: usize| u64::from(words[at / 4]) | u64::from(words[at / 4 + 1]) << 32;
    let sent = long(200).wrapping_sub(long(208));
    Ok(sent.wrapping_add(words[144 / 4].into()))
}

/// Returns so many words of TCP_INFO.
fn tcp_words<const WORDS: usize>(fd: i32) -> Result<[u32; WORDS], Errno> {
    let mut words = [[0; 4]; WORDS];
    let room = words.as_flattened_mut();
    match option_bytes(fd, libc::IPPROTO_TCP, libc::TCP_INFO, room)? >= WORDS * 4 {
        true => Ok(words.map(u32::from_ne_bytes)),
        false => Err(Errno(libc::ENOPROTOOPT)),
    }
}

/// Sets an option of a socket whose value is these bytes (setsockopt(2)).
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let args = [
        fd.as_raw_fd() as usize,
        level as usize,
        name as usize,
        value.as_ptr() as usize,
        value.len(),
        0,
    ];
    // SAFETY: the kernel reads the bytes, which are borrowed for the call.
    check(unsafe { syscall(libc::SYS_setsockopt, args) }).map(drop)
}

/// Reads an option of a socket into `room` (getsockopt(2)). Returns how many bytes it has.
///
/// # Errors
///
/// ENOPROTOOPT, EBADF, ENOTSOCK.
pub fn option_bytes(fd: i32, level: i32, name: i32, room: &mut [u8]) -> Result<usize, Errno> {
    let mut length = room.len() as u32;
    let args = [
        fd as usize,
        level as usize,
        name as usize,
        room.as_mut_ptr() as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel writes at most `length` bytes into the slice, and the length into a local
    // of this function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) })?;
    Ok(length as usize)
}

/// A datagram that is sent with more than its destination.
#[derive(Clone, Copy, Debug)]
pub struct Datagram {
    /// Where to.
    pub to: SocketAddr,
    /// The IPv4 source address (IP_PKTINFO).
    pub from: Option<Ipv4Addr>,
    /// Hop limit, 0 for the socket's.
    pub hops: u8,
    /// Type of service; None for the socket's.
    pub tos: Option<u8>,
}

/// Control messages (cmsg(3)), aligned as they have to be.
#[repr(align(8))]
pub struct Control {
    room: [u8; 256],
    used: usize,
}

impl Control {
    /// Returns none yet.
    #[allow(clippy::new_without_default, reason = "there is one way to make one")]
    pub fn new() -> Control {
        Control {
            room: [0; 256],
            used: 0,
        }
    }
    /// Appends one. What the room does not hold is left out.
    pub fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        let length = 16 + data.len();
        let Some(room) = self.room.get_mut(self.used..self.used + length) else {
            return;
        };
        room[..8].copy_from_slice(&length.to_ne_bytes());
        room[8..12].copy_from_slice(&level.to_ne_bytes());
        room[12..16].copy_from_slice(&kind.to_ne_bytes());
        room[16..].copy_from_slice(data);
        self.used += length.next_multiple_of(8);
    }
    /// Returns how many bytes those are that were appended.
    pub fn used(&self) -> usize {
        self.used
    }
    /// Returns where they stand, for a call of the kernel's.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.room.as_mut_ptr()
    }

    /// Calls `each` with the level, the kind and the data of each message of the first `used`
    /// bytes.
    fn each(&self, used: usize, mut each: impl FnMut(i32, i32, &[u8])) {
        let mut rest = &self.room[..used.min(self.room.len())];
        while let Some((head, _)) = rest.split_at_checked(16) {
            let int = |at: usize| {
                i32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
            };
            let length = int(0) as usize;
            let Some(data) = rest.get(16..length) else {
                return;
            };
            each(int(8), int(12), data);
            rest = rest.get(length.next_multiple_of(8)..).unwrap_or_default();
        }
    }
}

/// Sends a datagram of these parts without waiting (sendmsg(2)).
///
/// # Errors
///
/// - EAGAIN when the receiver or the socket has no room.
/// - ECONNREFUSED, where the socket hears of errors, of an earlier datagram.
pub fn send_datagram(
    fd: BorrowedFd<'_>,
    datagram: &Datagram,
    parts: &[&[u8]],
) -> Result<usize, Errno> {
    let mut raw = SocketName::new(&datagram.to);
    let mut vector = [libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    }; super::MOST_PARTS];
    if parts.len() > vector.len() {
        return Err(Errno(libc::EMSGSIZE));
    }
    for (to, part) in vector.iter_mut().zip(parts) {
        to.iov_base = part.as_ptr() as *mut libc::c_void;
        to.iov_len = part.len();
    }
    let mut control = Control::new();
    if let Some(from) = datagram.from {
        // struct in_pktinfo: the interface, the source address, and a field for receivers.
        let mut info = [0; 12];
        info[4..8].copy_from_slice(&from.octets());
        control.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
    }
    if datagram.hops != 0 {
        let hops = i32::from(datagram.hops).to_ne_bytes();
        control.put(libc::IPPROTO_IP, libc::IP_TTL, &hops);
    }
    if let Some(tos) = datagram.tos {
        let tos = i32::from(tos).to_ne_bytes();
        control.put(libc::IPPROTO_IP, libc::IP_TOS, &tos);
    }
    // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = raw.bytes.as_mut_ptr().cast();
    message.msg_namelen = raw.length;
    message.msg_iov = vector.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    if control.used > 0 {
        message.msg_controllen = control.used as _;
        message.msg_control = control.as_mut_ptr().cast();
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    let args = [
        fd.as_raw_fd() as usize,
        &raw const message as usize,
        flags as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads the message, its address, its parts and its control messages, which
    // are borrowed or locals of this function.
    check(unsafe { syscall(libc::SYS_sendmsg, args) })
}

/// What came with a datagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Number of bytes, which may be above that of the room.
    pub length: usize,
    /// Who has sent it; in an error queue, to whom it went.
    pub from: Option<SocketAddr>,
    /// The address that it was sent to (IP_PKTINFO).
    pub to: Option<IpAddr>,
    /// In an error queue: the errno (`ee_errno`).
    pub error: u32,
}

/// Receives a datagram into `room` without waiting (recvmsg(2)), with flags such as MSG_ERRQUEUE.
///
/// # Errors
///
/// EAGAIN when there is none.
pub fn receive_datagram(
    fd: BorrowedFd<'_>,
    room: &mut [u8],
    flags: i32,
) -> Result<Received, Errno> {
    let mut raw = SocketName::room();
    let mut vector = libc::iovec {
        iov_base: room.as_mut_ptr().cast(),
        iov_len: room.len(),
    };
    let mut control = Control::new();
    // SAFETY: a msghdr consists of numbers and pointers, for which zero is valid.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = raw.bytes.as_mut_ptr().cast();
    message.msg_namelen = raw.length;
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.room.as_mut_ptr().cast();
    message.msg_controllen = control.room.len() as _;
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    let args = [
        fd.as_raw_fd() as usize,
        &raw mut message as usize,
        flags as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes at most as many bytes as the room, the address and the control
    // messages have, which are borrowed or locals of this function.
    let length = check(unsafe { syscall(libc::SYS_recvmsg, args) })?;
    raw.length = message.msg_namelen;
    let mut received = Received {
        length,
        from: raw.address(),
        ..Received::default()
    };
    let used = message.msg_controllen as usize;
    control.each(used, |level, kind, data| match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) if data.len() >= 12 => {
            // The last field is the header's destination.
            let to = Ipv4Addr::new(data[8], data[9], data[10], data[11]);
            received.to = Some(to.into());
        }
        (libc::IPPROTO_IP, libc::IP_RECVERR) if data.len() >= 4 => {
            received.error = u32::from_ne_bytes([data[0], data[1], data[2], data[3]]);
        }
        _ => {}
    });
    Ok(received)
}

/// Returns the number that no other socket of the machine has had since it was started
/// (SO_COOKIE).
pub fn cookie(fd: i32) -> Result<u64, Errno> {
    let (mut value, mut length) = (0u64, size_of::<u64>() as u32);
    let args = [
        fd as usize,
        libc::SOL_SOCKET as usize,
        libc::SO_COOKIE as usize,
        &raw mut value as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel writes at most eight bytes and their length, which are locals of this
    // function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) }).map(|_| value)
}

/// Takes the next connection (accept4(2)), with the name of its other end; None where that is of
/// another family. `flags` are those of accept4. The caller owns the socket.
///
/// # Errors
///
/// EAGAIN when nobody waits, and the socket does not wait either.
pub fn accept_from(
    fd: BorrowedFd<'_>,
    flags: i32,
) -> Result<(super::Fd, Option<SocketAddr>), Errno> {
    let mut raw = SocketName::room();
    let args = [
        fd.as_raw_fd() as usize,
        raw.bytes.as_mut_ptr() as usize,
        &raw mut raw.length as usize,
        flags as usize,
        0,
        0,
    ];
    // SAFETY: the kernel writes at most `length` bytes and the length, which are locals of this
    // function.
    let new = super::Fd::made(unsafe { syscall(libc::SYS_accept4, args) })?;
    Ok((new, raw.address()))
}

/// Receives into `room` (recvfrom(2)), and says who has sent it; None where that is of another
/// family, or not known. With MSG_TRUNC among the flags the number of bytes may be above that of
/// the room.
///
/// # Errors
///
/// EAGAIN when there is nothing, and the socket does not wait or not any longer.
pub fn receive_from(
    fd: BorrowedFd<'_>,
    room: &mut [u8],
    flags: i32,
) -> Result<(usize, Option<SocketAddr>), Errno> {
    let mut raw = SocketName::room();
    let args = [
        fd.as_raw_fd() as usize,
        room.as_mut_ptr() as usize,
        room.len(),
        flags as usize,
        raw.bytes.as_mut_ptr() as usize,
        &raw mut raw.length as usize,
    ];
    // SAFETY: the kernel writes at most as many bytes as the room and the name have, and the name's
    // length, which are borrowed or locals of this function.
    let n = check(unsafe { syscall(libc::SYS_recvfrom, args) })?;
    Ok((n, raw.address()))
}
