//! ioctl(2) and setsockopt(2) about an interface, on an ordinary socket: a third of all tun programs ask for the mtu, the
//! flags or the index of their interface and exit without an answer.
//!
//! What an interface of the net answers is decided by [`NetDir::interface_ioctl`]; here it is decided whether it is asked:
//! whose interface it is, permissions and faults, families, aliases, and what is left to the host.

mod addresses;
mod option;

pub use option::{option_of, refuse_option};

use crate::interfaces::{by_index, by_name, is_known, without_alias, Whose};
use crate::memory::{Memory, Place};
use memtun_abi::request::{self, Named, Need, Request};
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Local, NetDir};
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;

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

/// What becomes of a request on a socket.
pub enum Verdict {
    /// It was about an interface of the net, and is done.
    Done,
    /// The host has to be asked, with the program's own call.
    Host(After),
}

/// What is to be done with the host's answer, see [`SocketCall::after`].
pub enum After {
    /// Nothing.
    Nothing,
    /// It was about an interface by its name.
    Named,
    /// It told an interface's name.
    Name,
    /// It told a list of addresses.
    Addresses,
}

const NO_DEVICE: Errno = Errno(libc::ENODEV);

impl<S: Socket, M: Memory> SocketCall<'_, S, M> {
    /// Answers a request that names an interface of the net; everything else is the host's.
    pub fn ioctl(&self) -> Result<Verdict, Errno> {
        let Self { net, local, .. } = *self;
        // What is no socket has its own errors.
        let Some(family) = self.socket.family()? else {
            return Ok(Verdict::Host(After::Nothing));
        };
        let row = request::on_socket(self.request, family);
        if row.need == Need::NetAdmin {
            net.permit_check(Permission::NetAdmin)?;
        }
        let host = || {
            Ok(Verdict::Host(match (row.interface, self.request) {
                (Named::Name(0), _) => After::Named,
                (_, SIOCGIFNAME) => After::Name,
                (_, SIOCGIFCONF) => After::Addresses,
                _ => After::Nothing,
            }))
        };
        let Some(named) = self.named(row) else {
            return host();
        };
        let _lock = net.lock()?;
        let whose = match named {
            Ok(name) => by_name(net, &without_alias(&name), local),
            Err(index) => by_index(net, index, local)?,
        };
        let interface = match whose {
            Whose::Ours(interface) => interface,
            Whose::Gone if row.is_of_family(family) => return Err(NO_DEVICE),
            Whose::Gone => return Err(Errno(libc::ENOTTY)),
            Whose::Host => return host(),
        };
        net.socket_ioctl(self.request)?;
        if !row.is_of_family(family) {
            return Err(Errno(libc::ENOTTY));
        }
        let alias = named.is_ok_and(|name| name.as_bytes().contains(&b':'));
        if alias && self.request == SIOCSIFFLAGS && is_inet(family) {
            // An alias goes down alone, and there are none.
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        let mut arg = self.at(0);
        net.interface_ioctl(&interface, row, self.request, &mut arg, local)?;
        Ok(Verdict::Done)
    }

    /// The host has been asked and answered: what the program gets.
    pub fn after(&self, after: After, answer: Result<i32, Errno>) -> Result<i32, Errno> {
        match (after, answer) {
            (After::Addresses, Ok(_)) => addresses::drop_known(self),
            (After::Name, Ok(_)) if self.name_at(0).is_some_and(|n| self.is_known(&n)) => {
                return Err(NO_DEVICE)
            }
            // In its own net the program may do anything; there is only no such interface.
            (After::Named, Err(Errno(libc::EPERM)))
                if self.name_at(0).is_some_and(|n| !self.socket.host_has(&n)) =>
            {
                return Err(NO_DEVICE)
            }
            _ => {}
        }
        answer
    }

    fn is_known(&self, name: &Name) -> bool {
        is_known(self.net, name.as_bytes())
    }

    fn at(&self, offset: usize) -> Place<'_, M> {
        Place {
            memory: self.memory,
            at: self.arg.wrapping_add(offset),
        }
    }

    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.memory.read(at, &mut bytes).ok().map(|()| bytes)
    }

    fn name_at(&self, offset: usize) -> Option<Name> {
        let bytes = self.bytes::<16>(self.at(offset).at)?;
        Some(Name::from_ifreq(&bytes))
    }

    /// The name or index that the request is about; None for one without, or where the memory cannot be read.
    fn named(&self, row: &Request) -> Option<Result<Name, u32>> {
        match row.interface {
            Named::Nowhere | Named::Own => None,
            Named::Name(offset) => self.name_at(offset).map(Ok),
            Named::NameBehind(offset) => {
                let at = usize::from_ne_bytes(self.bytes(self.at(offset).at)?);
                if at == 0 {
                    return None;
                }
                // The kernel reads no more of it.
                let mut name = [0; 16];
                name[..15].copy_from_slice(&self.bytes::<15>(at)?);
                Some(Ok(Name::from_ifreq(&name)))
            }
            Named::Index(offset) => {
                let index = self.bytes(self.at(offset).at)?;
                Some(Err(u32::from_ne_bytes(index)))
            }
        }
    }
}

/// Families whose sockets hand requests about addresses to IPv4.
fn is_inet(family: i32) -> bool {
    family == libc::AF_INET || family == libc::AF_PACKET
}
