//! A request on a socket, as it comes from a back end.
#![forbid(unsafe_code)]

use crate::interfaces::is_known;
use crate::memory::{Memory, Place};
use memtun_abi::uapi::IfReq;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Local, NetDir};

/// What only the back end knows of the program's socket, and can ask the host on it.
pub trait Socket {
    /// The address family (AF_*); None when the descriptor is no socket.
    fn family(&self) -> Result<Option<i32>, Errno>;
    /// Does the host have an interface of this name? The program's memory is left alone.
    fn host_has(&self, name: &Name) -> bool;
    /// The host's SIOCGIFCONF, into a list of ours. How many of its elements were filled.
    fn host_addresses(&self, list: &mut [IfReq]) -> Result<usize, Errno>;
}

/// A request on a socket.
pub struct SocketCall<'c, S: Socket, M: Memory> {
    /// The net of the program.
    pub net: &'c NetDir,
    /// The program's tunnels.
    pub local: &'c dyn Local,
    /// The descriptor.
    pub socket: &'c S,
    /// The program's memory.
    pub memory: &'c M,
    /// The request's number.
    pub request: u32,
    /// The third argument.
    pub arg: usize,
}

impl<S: Socket, M: Memory> SocketCall<'_, S, M> {
    /// Is this name the net's?
    pub(super) fn is_known(&self, name: &Name) -> bool {
        is_known(self.net, name.as_bytes())
    }

    /// A place in what the argument points to.
    pub(super) fn at(&self, offset: usize) -> Place<'_, M> {
        Place {
            memory: self.memory,
            at: self.arg.wrapping_add(offset),
        }
    }

    /// Bytes at an address; None where it cannot be read.
    pub(super) fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.memory.read(at, &mut bytes).ok().map(|()| bytes)
    }

    /// A name in what the argument points to.
    pub(super) fn name_at(&self, offset: usize) -> Option<Name> {
        let bytes = self.bytes::<16>(self.at(offset).at)?;
        Some(Name::from_ifreq(&bytes))
    }
}
