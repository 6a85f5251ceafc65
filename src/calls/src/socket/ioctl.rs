//! ioctl(2): what an interface of the net answers is decided by
//! [`memtun_kernel::NetDir::interface_ioctl`]; here it is decided whether it is asked: whose
//! interface it is, permissions and faults, families, aliases, and what is left to the host.
#![forbid(unsafe_code)]

use super::addresses;
use super::call::{Socket, SocketCall};
use crate::interfaces::{by_index, by_name, without_alias, Whose};
use crate::memory::Memory;
use memtun_abi::request::{self, Named, Need, Request};
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;

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
        let host = || {
            Ok(Verdict::Host(match (row.interface, self.request) {
                (Named::Name(0), _) => After::Named,
                (_, SIOCGIFNAME) => After::Name,
                (_, SIOCGIFCONF) => After::Addresses,
                _ => After::Nothing,
            }))
        };
        if row.interface == Named::Nowhere {
            return host();
        }
        match (self.can_be_read(row, family), row.need) {
            // Before it says EFAULT the host asks for a privilege that the program needs for its
            // own interfaces only.
            (Err(e), Need::NetAdmin) => return Err(e),
            (Err(_), _) => return host(),
            (Ok(()), Need::NetAdmin) => net.permit_check(Permission::NetAdmin)?,
            (Ok(()), _) => {}
        }
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

    /// The kernel reads the whole of an argument before it looks at any of it; on a socket that the
    /// request is not for, an ifreq.
    fn can_be_read(&self, row: &Request, family: i32) -> Result<(), Errno> {
        use request::Argument::{In, InOut};
        let size = match row.argument {
            In(what) | InOut(what) if row.is_of_family(family) => what.size,
            _ => IfReq::SIZE,
        };
        self.memory
            .read(self.arg, &mut [0; request::LARGEST][..size])
    }

    /// The name or index that the request is about; None for one without, or where the memory
    /// cannot be read.
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
