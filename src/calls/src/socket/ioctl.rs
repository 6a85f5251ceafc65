//! ioctl(2) on a socket. [`memtun_kernel::NetDir::interface_ioctl`] decides what an interface of
//! the net answers. Here it is decided whether it is asked: to whom the interface belongs,
//! permissions and faults, families, aliases, and what is left to the host.
#![forbid(unsafe_code)]

use super::addresses;
use super::call::{Socket, SocketCall};
use super::verdict::{After, Verdict};
use crate::host::{self, asked, links_changed, Host};
use crate::interfaces::{by_index, by_name, without_alias, Whose};
use crate::memory::Memory;
use memtun_abi::request::{self, Answer, Named, Need, Request};
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;
use memtun_stack::state;

const NO_DEVICE: Errno = Errno(libc::ENODEV);

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Answers a request that names an interface of the net; every other request is left to the
    /// host.
    ///
    /// # Errors
    ///
    /// - EPERM or the errno of a fault, as the net's policy says.
    /// - ENODEV when the interface is gone.
    /// - ENOTTY when the request is not for sockets of this family.
    /// - EADDRNOTAVAIL for the flags of an alias.
    /// - EFAULT when the argument cannot be read.
    /// - What [`memtun_kernel::NetDir::interface_ioctl`] or the host process of the net fails with.
    pub fn ioctl(&self) -> Result<Verdict, Errno> {
        let Self { net, local, .. } = *self;
        // A descriptor that is no socket has errors of its own, which the host gives.
        let Some(family) = self.socket.family()? else {
            return Ok(Verdict::Host(After::Nothing));
        };
        let row = request::on_socket(self.request, family);
        if row.number == SIOCIWFIRST && !self.socket.host_is_wireless(self.request) {
            return Err(Errno(libc::ENOTTY));
        }
        let host = || {
            Ok(Verdict::Host(match (row.interface, self.request) {
                (Named::Name(0), _) => After::Named,
                (_, SIOCGIFNAME) => After::Name,
                (_, SIOCGIFCONF) => {
                    After::Addresses(self.bytes(self.arg).map_or(0, i32::from_ne_bytes))
                }
                _ => After::Nothing,
            }))
        };
        if self.request == SIOCGIFCONF && self.host.is_isolated() {
            self.list_own()?;
            return Ok(Verdict::Done(0));
        }
        if row.interface == Named::Nowhere {
            return host();
        }
        match (self.can_be_read(row, family), row.need) {
            // These ask for the privilege before they read anything.
            (Err(_), Need::NetAdmin) if asks_first(self.request, family) => {
                net.permit_check(Permission::NetAdmin)?;
                return Err(Errno(libc::EFAULT));
            }
            // Before the host answers EFAULT it asks for a privilege that the program does not need
            // for interfaces of the net, so the answer is given here.
            (Err(e), Need::NetAdmin) => return Err(e),
            (Err(_), _) => return host(),
            (Ok(()), Need::NetAdmin) => net.permit_check(Permission::NetAdmin)?,
            (Ok(()), _) => {}
        }
        let of_stack = row.answer == Answer::Stack && row.is_of_family(family);
        if let (true, Some(net)) = (of_stack, asked(self.host)?) {
            if self.host.is_isolated() {
                host::need_state(self.host, net)?;
            }
            return self.stack(net, row, family);
        }
        let Some(named) = self.named(row) else {
            return host();
        };
        let lock = net.lock()?;
        let whose = match named {
            Ok(name) => by_name(net, &without_alias(&name), local)?,
            Err(index) => by_index(net, index, local)?,
        };
        let interface = match whose {
            Whose::Ours(interface) => interface,
            Whose::Gone if row.is_of_family(family) => return Err(NO_DEVICE),
            Whose::Gone => return Err(Errno(libc::ENOTTY)),
            Whose::Host => {
                drop(lock);
                return match self.machines(row, family, named)? {
                    Some(answer) => Ok(Verdict::Done(answer)),
                    None => host(),
                };
            }
        };
        net.socket_ioctl(self.request)?;
        if !row.is_of_family(family) {
            return Err(Errno(libc::ENOTTY));
        }
        let alias = named.is_ok_and(|name| name.as_bytes().contains(&b':'));
        if alias && self.request == SIOCSIFFLAGS && is_inet(family) {
            // Only the alias goes down.
            drop(lock);
            if !state::is_there(net) {
                return Err(Errno(libc::EADDRNOTAVAIL));
            }
            return self.ask(net, row, family).map(|()| Verdict::Done(0));
        }
        let mut arg = self.at(0);
        let answer = net.interface_ioctl(&interface, row, self.request, &mut arg, local)?;
        drop(lock);
        if row.need == Need::NetAdmin {
            links_changed(self.host, net);
        }
        Ok(Verdict::Done(answer))
    }

    /// Returns what the program gets after the host has been asked and has answered `answer`.
    ///
    /// # Errors
    ///
    /// - ENODEV when the host's answer is about an interface whose name belongs to the net, or when
    ///   the host has no such interface.
    /// - The host's own errno otherwise.
    pub fn after(&self, after: After, answer: Result<i32, Errno>) -> Result<i32, Errno> {
        match (after, answer) {
            (After::Addresses(room), Ok(_)) => addresses::correct(self, room),
            (After::Address, answer) => return self.address_of_machine(answer),
            (After::Neighbour, Err(Errno(libc::ENXIO))) if state::is_there(self.net) => {
                let row = request::on_socket(self.request, libc::AF_INET);
                return self.ask(self.net, row, libc::AF_INET).map(|()| 0);
            }
            (After::Name, Ok(_)) if self.name_at(0).is_some_and(|n| self.is_known(&n)) => {
                return Err(NO_DEVICE)
            }
            // In its net the program may do anything, so the host's EPERM only hides that there is
            // no such interface.
            (After::Named, Err(Errno(libc::EPERM)))
                if self.name_at(0).is_some_and(|n| !self.socket.host_has(&n)) =>
            {
                return Err(NO_DEVICE)
            }
            _ => {}
        }
        answer
    }

    /// Checks that the argument can be read. The kernel reads the whole of it before it looks at
    /// any part; on a socket that the request is not for, it reads an ifreq.
    fn can_be_read(&self, row: &Request, family: i32) -> Result<(), Errno> {
        use request::Argument::{In, InOut};
        let size = match row.argument {
            In(what) | InOut(what) if row.is_of_family(family) => what.size,
            _ => IfReq::SIZE,
        };
        self.memory
            .read(self.arg, &mut [0; request::LARGEST][..size])
    }

    /// Returns the name or the index that the request is about. None means that it names no
    /// interface, or that the memory cannot be read.
    pub(super) fn named(&self, row: &Request) -> Option<Result<Name, u32>> {
        match row.interface {
            Named::Nowhere | Named::Own => None,
            Named::Name(offset) => self.name_at(offset).map(Ok),
            Named::NameBehind(offset) => {
                let at = usize::from_ne_bytes(self.bytes(self.at(offset).at)?);
                if at == 0 {
                    return None;
                }
                // The kernel reads no more than 15 bytes of the name.
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

/// Does the kernel ask for CAP_NET_ADMIN before it reads the argument?
fn asks_first(request: u32, family: i32) -> bool {
    match request {
        SIOCSARP | SIOCDARP => is_inet(family),
        SIOCSIFADDR | SIOCDIFADDR => family == libc::AF_INET6,
        _ => false,
    }
}

/// Does this family hand requests about addresses to IPv4?
fn is_inet(family: i32) -> bool {
    family == libc::AF_INET || family == libc::AF_PACKET
}
