//! Options of sockets that name an interface which is neither the net's nor the loopback. To a
//! program whose only network is the net there is none, whatever links and addresses the machine
//! has: a group that is joined there is told to the machine's networks.
#![forbid(unsafe_code)]

use super::shape::{is_anycast, joins_group, Shape, IN_NAME6};
use memtun_abi::request::{Designation, SocketOption};
use memtun_abi::Errno;
use memtun_stack::wire::{self, u32_at};
use std::net::Ipv4Addr;

/// The loopback has this index in every net.
const LOOPBACK: u32 = 1;
/// How much of a value is looked at, in bytes: a struct with the name of a group.
pub const LOOKED_AT: usize = 8 + IN_NAME6 + 16;

/// What a value says of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Where {
    Nowhere,
    Loopback,
    Elsewhere,
}

/// A call of setsockopt(2) that is left to the machine, because it is about no interface of the
/// net.
#[derive(Clone, Copy, Debug)]
pub struct Left<'v> {
    /// The option.
    pub option: &'v SocketOption,
    /// The family of the socket (AF_*) and its type (SOCK_*).
    pub socket: (i32, i32),
    /// How many bytes the value has.
    pub length: usize,
    /// The first ones of them, at most [`LOOKED_AT`].
    pub value: &'v [u8],
}

impl Left<'_> {
    /// Returns what the call fails with in a net that is the program's only network. None where the
    /// machine says what is wrong with the call, or where it is about the loopback.
    pub fn refusal(&self) -> Option<Errno> {
        let (level, number) = (self.option.level, self.option.number);
        if self.is_refused_anyway() {
            return None;
        }
        if is_anycast(level, number) {
            // No address of the machine's is taken for an isolated program.
            return joins_group(level, number).then_some(Errno(libc::EPERM));
        }
        let joins = joins_group(level, number);
        match self.names()? {
            Where::Loopback => None,
            Where::Nowhere if !joins => None,
            _ if joins => Some(Errno(libc::ENODEV)),
            _ => match (level, number) {
                (libc::SOL_SOCKET, _) | (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF) => {
                    Some(Errno(libc::ENODEV))
                }
                (_, libc::IP_MULTICAST_IF | libc::IP_UNICAST_IF | libc::IPV6_UNICAST_IF) => {
                    Some(Errno(libc::EADDRNOTAVAIL))
                }
                // Leaving what was never joined, or a source of it.
                _ => None,
            },
        }
    }

    /// Does the kernel refuse the call before it looks for the interface? Only what is certain
    /// counts.
    fn is_refused_anyway(&self) -> bool {
        let (level, number) = (self.option.level, self.option.number);
        let (family, kind) = self.socket;
        let is_stream = kind == libc::SOCK_STREAM;
        // The joins of structs with names, and of one source, are not forbidden to connections.
        let forbids_streams = matches!(
            (level, number),
            (
                libc::IPPROTO_IP,
                libc::IP_MULTICAST_IF | libc::IP_ADD_MEMBERSHIP
            ) | (
                libc::IPPROTO_IPV6,
                libc::IPV6_MULTICAST_IF | libc::IPV6_ADD_MEMBERSHIP
            )
        );
        let is_other =
            level != libc::SOL_SOCKET && ![libc::AF_INET, libc::AF_INET6].contains(&family);
        let is_short = self.length < Shape(self.option).least() || self.length > i32::MAX as usize;
        is_other
            || Shape(self.option).is_v6() && family == libc::AF_INET
            || is_stream && forbids_streams
            || is_short
            || joins_group(level, number) && !is_anycast(level, number) && !self.has_group()
    }

    /// Does the value name a group?
    fn has_group(&self) -> bool {
        let group = Shape(self.option).group(self.value).and_then(wire::ip_of);
        group.is_some_and(|group| group.is_multicast())
    }

    /// Says which interface the value names. None where it names none at all.
    fn names(&self) -> Option<Where> {
        let of_index = |index| match index {
            0 => Where::Nowhere,
            LOOPBACK => Where::Loopback,
            _ => Where::Elsewhere,
        };
        let of_address = |address: u32| match Ipv4Addr::from(u32::from_be(address)) {
            address if address.is_unspecified() => Where::Nowhere,
            address if address.is_loopback() => Where::Loopback,
            _ => Where::Elsewhere,
        };
        let word = |at| u32_at(self.value, at).unwrap_or(0);
        Some(match self.option.names {
            Designation::Name => match self.value.split(|byte| *byte == 0).next() {
                None | Some(b"") => Where::Nowhere,
                Some(b"lo") => Where::Loopback,
                Some(_) => Where::Elsewhere,
            },
            Designation::Index(at) => of_index(word(at)),
            Designation::NetworkIndex => of_index(u32::from_be(word(0))),
            Designation::AddressOrIndex(_) if self.length < 8 => of_address(word(0)),
            Designation::AddressOrIndex(at) => match of_index(word(at + 4)) {
                Where::Nowhere => of_address(word(at)),
                named => named,
            },
            Designation::Address(at) => of_address(word(at)),
            Designation::Mark => return None,
        })
    }
}
