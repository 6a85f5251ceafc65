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
use libc::c_int;
use memtun_abi::Errno;
use memtun_calls::host::{link_towards, Host as _};
use memtun_calls::inet::Native as _;
use memtun_calls::socket::{is_anycast, joins_group, Joining};
use std::net::Ipv4Addr;

/// Called before setsockopt(2) with an option that may name an interface: joining a group makes the
/// machine say so on its networks. `None` says that it is none, or is looked at.
#[cold]
#[inline(never)]
pub extern "C" fn refuse_membership(level: c_int, option: c_int) -> Option<c_int> {
    if !joins_group(level, option) || !known::may_concern() {
        return None;
    }
    let Side::Nobody(why) = known::side() else {
        return None;
    };
    let Errno(e) = refusal::of_membership(why)?;
    errno::set(e);
    Some(-1)
}

/// Called before the machine joins a group for a program, because no interface of the net was
/// named. In an isolated net the host process must be there, so that it was asked.
#[cold]
#[inline(never)]
pub extern "C" fn refuse_unasked(
    fd: c_int,
    level: c_int,
    option: c_int,
    length: libc::socklen_t,
) -> Option<c_int> {
    if !joins_group(level, option) || !OwnHost.is_isolated() || !known::is_active() {
        return None;
    }
    if is_anycast(level, option) {
        // The kernel refuses what is no such call, and says why.
        let whole = length as usize >= size_of::<libc::ipv6_mreq>();
        if !whole || Descriptor(fd).option(libc::SOL_SOCKET, libc::SO_DOMAIN) != Ok(libc::AF_INET6)
        {
            return None;
        }
        // No address of the machine's is taken for an isolated program.
        errno::set(libc::EPERM);
        return Some(-1);
    }
    let asked = || link_towards(&OwnHost, Ipv4Addr::LOCALHOST.into());
    // That there is no such route is an answer.
    if matches!(
        errno::keep(|| fence(asked)),
        Ok(Some(_)) | Err(Errno(libc::ENODEV))
    ) {
        return None;
    }
    errno::set(libc::ENODEV);
    Some(-1)
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
