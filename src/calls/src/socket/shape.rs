//! How the value of an option of sockets that names an interface is laid out, and what the option
//! does.
#![forbid(unsafe_code)]

use super::filter::{Form, IN_NAME, MCAST_MSFILTER};
pub use super::filter::{GROUP, IN_NAME6};
use memtun_abi::request::{Designation, SocketOption};
use memtun_stack::wire;
use std::net::IpAddr;

pub const MCAST_JOIN_GROUP: i32 = 42;
pub const MCAST_LEAVE_GROUP: i32 = 45;
pub const MCAST_BLOCK_SOURCE: i32 = 43;
pub const MCAST_UNBLOCK_SOURCE: i32 = 44;
pub const MCAST_JOIN_SOURCE_GROUP: i32 = 46;
pub const MCAST_LEAVE_SOURCE_GROUP: i32 = 47;
pub const IPV6_JOIN_ANYCAST: i32 = 27;
pub const IPV6_LEAVE_ANYCAST: i32 = 28;
pub const IP_UNBLOCK_SOURCE: i32 = 37;
pub const IP_BLOCK_SOURCE: i32 = 38;
/// Bytes of `struct group_source_req`.
pub const GROUP_SOURCE: usize = GROUP + 128;

/// The value of an option.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'o>(pub &'o SocketOption);

impl Shape<'_> {
    /// How many bytes the value has at least. Whatever names an interface in fewer, the kernel
    /// refuses it.
    pub fn least(&self) -> usize {
        if let Some(form) = self.filter() {
            return form.head();
        }
        match self.0.number {
            MCAST_JOIN_GROUP | MCAST_LEAVE_GROUP if self.has_names() => GROUP,
            _ if self.has_names() => GROUP_SOURCE,
            _ => match self.0.names {
                Designation::Name => 0,
                Designation::Mark | Designation::NetworkIndex => 4,
                Designation::Index(at) => at + 4,
                Designation::Address(at) => at + 8,
                Designation::AddressOrIndex(_) if !self.is_of_group() => 4,
                Designation::AddressOrIndex(at) => at + 4,
            },
        }
    }

    /// Is the value one of the structs in which addresses stand as names of sockets?
    pub fn has_names(&self) -> bool {
        self.0.level != libc::SOL_SOCKET
            && (MCAST_JOIN_GROUP..=MCAST_MSFILTER).contains(&self.0.number)
    }

    /// Returns how the value is laid out where it is about all sources of a group.
    pub fn filter(&self) -> Option<Form> {
        Form::of(self.0.level, self.0.number)
    }

    pub fn is_v6(&self) -> bool {
        self.0.level == libc::IPPROTO_IPV6
    }

    /// Returns the bytes of the group's address in the value.
    pub fn group<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        // A name stands behind the index there.
        let (at, length) = match (self.has_names(), self.is_v6()) {
            (false, false) => (0, 4),
            (false, true) => (0, 16),
            (true, false) => (8 + IN_NAME, 4),
            (true, true) => (8 + IN_NAME6, 16),
        };
        bytes.get(at..at + length)
    }

    /// Returns the source in the value.
    pub fn source(&self, bytes: &[u8]) -> Option<IpAddr> {
        // `struct ip_mreq_source` has it behind the interface.
        let (at, length) = match (self.has_names(), self.is_v6()) {
            (false, _) => (8, 4),
            (true, false) => (GROUP + IN_NAME, 4),
            (true, true) => (GROUP + IN_NAME6, 16),
        };
        wire::ip_of(bytes.get(at..at + length)?)
    }

    /// Is it about a group that is joined or left, or one of its sources?
    pub fn is_of_group(&self) -> bool {
        let (level, number) = (self.0.level, self.0.number);
        joins(level, number).is_some()
            || of_source(level, number).is_some()
            || self.filter().is_some()
    }
}

/// Does this option join a group, or leave one? None for others.
pub fn joins(level: i32, number: i32) -> Option<bool> {
    match (level, number) {
        (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP)
        | (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP)
        | (_, MCAST_JOIN_GROUP) => Some(true),
        (libc::IPPROTO_IP, libc::IP_DROP_MEMBERSHIP)
        | (libc::IPPROTO_IPV6, libc::IPV6_DROP_MEMBERSHIP)
        | (_, MCAST_LEAVE_GROUP) => Some(false),
        _ => None,
    }
}

/// Is this option about one source of a group? Says whether that is to be blocked, and whether the
/// source is put to the others.
pub fn of_source(level: i32, number: i32) -> Option<(bool, bool)> {
    match (level, number) {
        (libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP) => Some((false, true)),
        (libc::IPPROTO_IP, libc::IP_DROP_SOURCE_MEMBERSHIP) => Some((false, false)),
        (libc::IPPROTO_IP, IP_BLOCK_SOURCE) => Some((true, true)),
        (libc::IPPROTO_IP, IP_UNBLOCK_SOURCE) => Some((true, false)),
        (libc::SOL_SOCKET, _) => None,
        (_, MCAST_JOIN_SOURCE_GROUP) => Some((false, true)),
        (_, MCAST_LEAVE_SOURCE_GROUP) => Some((false, false)),
        (_, MCAST_BLOCK_SOURCE) => Some((true, true)),
        (_, MCAST_UNBLOCK_SOURCE) => Some((true, false)),
        _ => None,
    }
}

/// Does the machine tell its networks of this option, because a socket joins a group by it, or
/// takes an anycast address, to which a group belongs?
pub fn joins_group(level: i32, number: i32) -> bool {
    level != libc::SOL_SOCKET
        && (joins(level, number) == Some(true)
            || of_source(level, number) == Some((false, true))
            || (level, number) == (libc::IPPROTO_IPV6, IPV6_JOIN_ANYCAST))
}

/// Is the option about an anycast address?
pub fn is_anycast(level: i32, number: i32) -> bool {
    level == libc::IPPROTO_IPV6 && matches!(number, IPV6_JOIN_ANYCAST | IPV6_LEAVE_ANYCAST)
}
