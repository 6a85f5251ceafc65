//! Netlink sockets of a program, their addresses (`struct sockaddr_nl`), and options of sockets
//! that are an int.

use super::socket::{netlink_address, send_message};
use super::{check, syscall};
use crate::Errno;

/// Returns an option whose value is an int (getsockopt(2)).
///
/// # Errors
///
/// ENOTSOCK when the descriptor is not a socket.
#[inline]
pub fn int_option(fd: i32, level: i32, name: i32) -> Result<i32, Errno> {
    let (mut value, mut length) = (0i32, size_of::<i32>() as u32);
    let args = [
        fd as usize,
        level as usize,
        name as usize,
        &raw mut value as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel reads and writes an int and its length, which are locals of this function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) }).map(|_| value)
}

/// Returns the address family of a socket (SO_DOMAIN).
///
/// # Errors
///
/// ENOTSOCK when the descriptor is not a socket.
pub fn socket_family(fd: i32) -> Result<i32, Errno> {
    int_option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)
}

/// Is the next byte that is read from the socket an urgent one (SIOCATMARK)?
///
/// # Errors
///
/// ENOTTY, EINVAL of what is no socket of a stream.
pub fn is_at_mark(fd: i32) -> Result<bool, Errno> {
    const SIOCATMARK: usize = 0x8905;
    let mut mark = 0_i32;
    let args = [fd as usize, SIOCATMARK, &raw mut mark as usize, 0, 0, 0];
    // SAFETY: the kernel stores an int, which is a local of this function.
    check(unsafe { syscall(libc::SYS_ioctl, args) })?;
    Ok(mark != 0)
}

/// Sets an option whose value is an int (setsockopt(2)).
pub fn set_int_option(fd: i32, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    let args = [
        fd as usize,
        level as usize,
        name as usize,
        &raw const value as usize,
        size_of::<i32>(),
        0,
    ];
    // SAFETY: the kernel reads an int, which is a local of this function.
    check(unsafe { syscall(libc::SYS_setsockopt, args) }).map(drop)
}

/// Returns an option whose value is a number of 64 bits (getsockopt(2)).
pub fn long_option(fd: i32, level: i32, name: i32) -> Result<u64, Errno> {
    let (mut value, mut length) = (0u64, size_of::<u64>() as u32);
    let args = [
        fd as usize,
        level as usize,
        name as usize,
        &raw mut value as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel reads and writes a number and its length, which are locals of this
    // function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) }).map(|_| value)
}

/// Sets an option whose value is a number of 64 bits (setsockopt(2)).
pub fn set_long_option(fd: i32, level: i32, name: i32, value: u64) -> Result<(), Errno> {
    let args = [
        fd as usize,
        level as usize,
        name as usize,
        &raw const value as usize,
        size_of::<u64>(),
        0,
    ];
    // SAFETY: the kernel reads a number, which is a local of this function.
    check(unsafe { syscall(libc::SYS_setsockopt, args) }).map(drop)
}

/// An address of netlink(7): the port, and the mask of the first 32 groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetlinkName {
    /// nl_pid.
    pub port: u32,
    /// nl_groups.
    pub groups: u32,
}

/// Length in bytes of `struct sockaddr_nl`.
pub const NETLINK_NAME: usize = 12;

impl NetlinkName {
    /// Returns the address as `struct sockaddr_nl`.
    pub fn to_bytes(self) -> [u8; NETLINK_NAME] {
        let mut bytes = [0; NETLINK_NAME];
        bytes[..2].copy_from_slice(&(libc::AF_NETLINK as u16).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.port.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.groups.to_ne_bytes());
        bytes
    }

    /// Reads a `struct sockaddr_nl`, whatever its family.
    pub fn of_bytes(bytes: &[u8; NETLINK_NAME]) -> NetlinkName {
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        NetlinkName {
            port: word(4),
            groups: word(8),
        }
    }
}

/// Gives a netlink socket a port (bind(2)); port 0 lets the kernel choose one.
pub fn bind_port(fd: i32, port: u32) -> Result<(), Errno> {
    let name = NetlinkName { port, groups: 0 }.to_bytes();
    let args = [fd as usize, name.as_ptr() as usize, name.len(), 0, 0, 0];
    // SAFETY: the kernel reads the address, which is a local of this function.
    check(unsafe { syscall(libc::SYS_bind, args) }).map(drop)
}

/// Ends the connection of a netlink socket, or of a datagram socket, to another one (connect(2)
/// with AF_UNSPEC).
///
/// # Errors
///
/// What connect(2) fails with.
pub fn disconnect(fd: i32) -> Result<(), Errno> {
    let none = [0u8; NETLINK_NAME];
    let args = [fd as usize, none.as_ptr() as usize, none.len(), 0, 0, 0];
    // SAFETY: the kernel reads the address, which is a local of this function.
    check(unsafe { syscall(libc::SYS_connect, args) }).map(drop)
}

/// Returns the own address of a netlink socket (getsockname(2)).
pub fn netlink_name(fd: i32) -> Result<NetlinkName, Errno> {
    let (mut name, mut length) = ([0; NETLINK_NAME], NETLINK_NAME as u32);
    let args = [
        fd as usize,
        name.as_mut_ptr() as usize,
        &raw mut length as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel writes no more than `length` bytes, which are locals of this function.
    check(unsafe { syscall(libc::SYS_getsockname, args) }).map(|_| NetlinkName::of_bytes(&name))
}

/// Sends a datagram of these parts to a port of netlink, without waiting (sendmsg(2)).
///
/// # Errors
///
/// - EAGAIN when the receiver has no room for it.
/// - ECONNREFUSED when there is none.
pub fn send_netlink(fd: i32, port: u32, parts: &[&[u8]]) -> Result<(), Errno> {
    let mut to = netlink_address(port, 0);
    send_message(fd, Some(&mut to), parts).map(drop)
}

/// Attaches a filter to a socket (SO_ATTACH_FILTER): instructions of 8 bytes each.
///
/// # Errors
///
/// - EINVAL for what the kernel does not take.
/// - EPERM when the filter of the socket is locked.
pub fn set_socket_filter(fd: i32, code: &[u8]) -> Result<(), Errno> {
    let count = u16::try_from(code.len() / size_of::<libc::sock_filter>());
    let program = libc::sock_fprog {
        len: count.map_err(|_| Errno(libc::EINVAL))?,
        filter: code.as_ptr() as *mut libc::sock_filter,
    };
    let args = [
        fd as usize,
        libc::SOL_SOCKET as usize,
        libc::SO_ATTACH_FILTER as usize,
        &raw const program as usize,
        size_of::<libc::sock_fprog>(),
        0,
    ];
    // SAFETY: the kernel reads the program, a local of this function, and its instructions, which
    // are borrowed and at least as many.
    check(unsafe { syscall(libc::SYS_setsockopt, args) }).map(drop)
}

/// Stores the filter of a socket in `room` (SO_GET_FILTER). Returns its number of instructions of 8
/// bytes each, 0 when there is none.
///
/// # Errors
///
/// EINVAL when there is no room for it.
pub fn socket_filter(fd: i32, room: &mut [u8]) -> Result<usize, Errno> {
    // The kernel counts in instructions here.
    let mut length = (room.len() / size_of::<libc::sock_filter>()) as u32;
    let args = [
        fd as usize,
        libc::SOL_SOCKET as usize,
        libc::SO_GET_FILTER as usize,
        room.as_mut_ptr() as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel writes no more than that many instructions, for which there is room, and
    // their number, a local of this function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) }).map(|_| length as usize)
}

/// Receives a datagram of netlink into `room`, without waiting (recvfrom(2)). Returns its length in
/// bytes, of which no more than the room's are stored, and who sent it.
///
/// # Errors
///
/// EAGAIN when there is none.
pub fn receive_netlink(
    fd: i32,
    room: &mut [u8],
    flags: i32,
) -> Result<(usize, NetlinkName), Errno> {
    let (mut name, mut length) = ([0; NETLINK_NAME], NETLINK_NAME as u32);
    let args = [
        fd as usize,
        room.as_mut_ptr() as usize,
        room.len(),
        (flags | libc::MSG_DONTWAIT | libc::MSG_TRUNC) as usize,
        name.as_mut_ptr() as usize,
        &raw mut length as usize,
    ];
    // SAFETY: the kernel writes no more bytes than the room has, and an address, which are borrowed
    // or locals of this function.
    let n = check(unsafe { syscall(libc::SYS_recvfrom, args) })?;
    Ok((n, NetlinkName::of_bytes(&name)))
}

/// Returns how many bytes the queue of received datagrams takes, and how many it may take
/// (SO_MEMINFO). Both count the kernel's own bytes for a datagram.
pub fn receive_queue(fd: i32) -> Result<(u32, u32), Errno> {
    /// SK_MEMINFO_VARS of linux/sock_diag.h.
    const VARIABLES: usize = 9;
    let mut values = [0u32; VARIABLES];
    let mut length = size_of_val(&values) as u32;
    let args = [
        fd as usize,
        libc::SOL_SOCKET as usize,
        libc::SO_MEMINFO as usize,
        values.as_mut_ptr() as usize,
        &raw mut length as usize,
        0,
    ];
    // SAFETY: the kernel writes no more than `length` bytes, which are locals of this function.
    check(unsafe { syscall(libc::SYS_getsockopt, args) }).map(|_| (values[0], values[1]))
}
