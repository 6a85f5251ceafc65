//! A request on a socket, as it comes from a back end.
#![forbid(unsafe_code)]

use crate::host::Host;
use crate::interfaces::is_known;
use crate::memory::{Memory, Place};
use memtun_abi::uapi::IfReq;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Local, NetDir};

/// What only the back end knows about the program's socket, and what it can ask the host on it.
pub trait Socket {
    /// Returns the address family (AF_*), or None when the descriptor is no socket.
    ///
    /// # Errors
    ///
    /// What asking for the family fails with, for example EBADF.
    fn family(&self) -> Result<Option<i32>, Errno>;
    /// Does the host have an interface of this name? This leaves the program's memory alone.
    fn host_has(&self, name: &Name) -> bool;
    /// Does the host know requests of wireless extensions, of which this is one? A kernel without
    /// them has none.
    fn host_is_wireless(&self, _request: u32) -> bool {
        true
    }
    /// Makes the host's SIOCGIFCONF into `list`, and returns how many of its elements were filled.
    ///
    /// # Errors
    ///
    /// What the host's ioctl(2) fails with.
    fn host_addresses(&self, list: &mut [IfReq]) -> Result<usize, Errno>;
}

/// A request of a program on a socket.
pub struct SocketCall<'c, S: Socket, M: Memory, H: Host> {
    /// The net of the program.
    pub net: &'c NetDir,
    /// The host of that net.
    pub host: &'c H,
    /// The tunnels that the program holds.
    pub local: &'c dyn Local,
    /// The descriptor on which the request is made.
    pub socket: &'c S,
    /// The memory of the program.
    pub memory: &'c M,
    /// The number of the request.
    pub request: u32,
    /// The third argument of ioctl(2).
    pub arg: usize,
}

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Does this name belong to the net?
    pub(super) fn is_known(&self, name: &Name) -> bool {
        is_known(self.net, name.as_bytes())
    }

    /// Returns the place at `offset` bytes from where the argument points.
    pub(super) fn at(&self, offset: usize) -> Place<'_, M> {
        Place {
            memory: self.memory,
            at: self.arg.wrapping_add(offset),
        }
    }

    /// Reads bytes at an address; None where they cannot be read.
    pub(super) fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.memory.read(at, &mut bytes).ok().map(|()| bytes)
    }

    /// Reads the name at `offset` bytes from where the argument points; None where it cannot be
    /// read.
    pub(super) fn name_at(&self, offset: usize) -> Option<Name> {
        let bytes = self.bytes::<16>(self.at(offset).at)?;
        Some(Name::from_ifreq(&bytes))
    }
}
