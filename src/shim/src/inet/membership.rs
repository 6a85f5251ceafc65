//! Groups that a socket of the program joins.
#![forbid(unsafe_code)]
#![allow(
    improper_ctypes_definitions,
    reason = "extern \"C\" for what it says about unwinding; no C code calls these"
)]

use super::calls::{call, Descriptor};
use super::known::{self, Side};
use super::refusal;
use crate::asking::OwnHost;
use crate::errno::{self, fence};
use crate::uaccess;
use libc::{c_int, c_void, socklen_t};
use memtun_abi::request::option_of;
use memtun_abi::Errno;
use memtun_calls::host::Host as _;
use memtun_calls::socket::{joins_group, Joining, Left, LOOKED_AT};
use memtun_stack::sockets::filter::Sources;
use memtun_sys as sys;
use memtun_sys::quiet::{may, Extra};

/// Called before setsockopt(2) with an option that may name an interface: joining a group makes the
/// machine say so on its networks. `None` says that it is none, or is looked at.
#[cold]
#[inline(never)]
pub extern "C" fn refuse_membership(level: c_int, option: c_int) -> Option<c_int> {
    if !joins_group(level, option) || !known::may_concern() {
        return None;
    }
    let Side::Nobody(why) = known::side_that_leaves() else {
        return None;
    };
    let Errno(e) = refusal::of_membership(why)?;
    errno::set(e);
    Some(-1)
}

/// Called before the machine is asked to set an option that may name an interface, because the net
/// has none such. Where the net is the program's only network, the machine's links and addresses do
/// not exist: only the loopback's are left to it.
#[cold]
#[inline(never)]
pub extern "C" fn refuse_elsewhere(
    fd: c_int,
    level: c_int,
    option: c_int,
    value: *const c_void,
    length: socklen_t,
) -> Option<c_int> {
    if !OwnHost.is_isolated() {
        return None;
    }
    let option = option_of(level, option)?;
    let refused = || {
        let mut bytes = [0; LOOKED_AT];
        let bytes = &mut bytes[..(length as usize).min(LOOKED_AT)];
        // Memory that cannot be read is the machine's to refuse.
        uaccess::copy_in(value as usize, bytes)?;
        let left = Left {
            option,
            socket: kind_of(fd),
            length: length as usize,
            value: bytes,
        };
        Ok(left.refusal())
    };
    let Errno(e) = errno::keep(|| fence(refused)).ok()??;
    errno::set(e);
    Some(-1)
}

/// Returns the family and the type of a socket. Where nobody can tell it is one that may have every
/// option.
fn kind_of(fd: c_int) -> (c_int, c_int) {
    if !may(Extra::Sockets) {
        return (libc::AF_INET6, libc::SOCK_DGRAM);
    }
    let of_socket = |option, otherwise| match sys::int_option(fd, libc::SOL_SOCKET, option) {
        Err(Errno(libc::EBADF | libc::ENOTSOCK)) => 0,
        told => told.unwrap_or(otherwise),
    };
    (
        of_socket(libc::SO_DOMAIN, libc::AF_INET6),
        of_socket(libc::SO_TYPE, libc::SOCK_DGRAM),
    )
}

/// Returns what a program gets for what looking for the interface of a group has failed with. That
/// the net cannot be read is said once.
pub fn shown(e: Errno) -> Errno {
    if !matches!(e.0, libc::EACCES | libc::ENOENT | libc::ENOSYS) {
        return e;
    }
    known::say_unread(e);
    Errno(libc::ENODEV)
}

/// Called when a socket joins a group at an interface of the net, or leaves it. Returns whether it
/// has left the group.
///
/// # Errors
///
/// What is wrong with a source, and what asking fails with.
pub fn joined(fd: c_int, joining: &Joining) -> Result<bool, Errno> {
    match known::get() {
        Some(known) => call(known, &Descriptor(fd)).joined(joining),
        None => Ok(!joining.joins),
    }
}

/// Called when a socket sets all sources of a group at an interface of the net.
///
/// # Errors
///
/// EINVAL for a group that it has not joined, and what asking fails with.
pub fn filtered(fd: c_int, joining: &Joining, sources: &Sources) -> Result<(), Errno> {
    let known = known::get().ok_or(Errno(libc::EINVAL))?;
    call(known, &Descriptor(fd)).filtered(joining, sources)
}

/// Returns the sources of a group that a socket has joined at an interface of the net.
///
/// # Errors
///
/// EADDRNOTAVAIL for a group that it has not joined, and what asking fails with.
pub fn sources(fd: c_int, joining: &Joining) -> Result<Sources, Errno> {
    let known = known::get().ok_or(Errno(libc::EADDRNOTAVAIL))?;
    call(known, &Descriptor(fd)).sources(joining)
}
