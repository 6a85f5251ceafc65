//! Requests about a link that is not one of the tun driver's: one of the machine's, of which the
//! net may have recorded something, or one that the net declares.
#![forbid(unsafe_code)]

use super::call::{Socket, SocketCall};
use crate::host::{self, asked, Host};
use crate::memory::Memory;
use memtun_abi::request::{Answer, Need, Request};
use memtun_abi::uapi::*;
use memtun_abi::{Errno, Name};
use memtun_kernel::link::ethtool::Plain;
use memtun_kernel::net::NetDir;
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;
use memtun_stack::brief::{self, By, Link};

const NO_DEVICE: Errno = Errno(libc::ENODEV);

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Answers a request about an interface that the net's driver does not know, with what the
    /// call returns. None means that the machine has to be asked.
    pub(super) fn machines(
        &self,
        row: &Request,
        family: i32,
        named: Result<Name, u32>,
    ) -> Result<Option<i32>, Errno> {
        let Some(net) = asked(self.host)? else {
            return Ok(None);
        };
        if self.host.is_isolated() {
            host::need_state(self.host, net)?;
        }
        let whole = named.map(|name| crate::interfaces::without_alias(&name));
        let by = match &whole {
            Ok(name) => By::Name(name.as_bytes()),
            Err(index) => By::Index(*index),
        };
        let recorded = brief::link(net, by)?;
        if let (Some(link), true) = (&recorded, self.host.is_isolated()) {
            // What no link of the net answers, the one that it declares does not answer either.
            match row.answer {
                _ if !link.declared => {}
                _ if !row.is_of_family(family) => return Err(Errno(libc::ENOTTY)),
                Answer::Refused(errno, _) => return Err(Errno(errno)),
                _ => {}
            }
        }
        if row.need == Need::NetAdmin {
            let is_machines = |name: &Name| !self.host.is_isolated() && self.socket.host_has(name);
            if recorded.is_none() && whole.is_ok_and(|name| !is_machines(&name)) {
                return Err(match row.is_of_family(family) {
                    true => NO_DEVICE,
                    false => Errno(libc::ENOTTY),
                });
            }
            // A change to a link of the machine's stays in the net.
            return self.ask(net, row, family).map(|()| Some(0));
        }
        match recorded {
            Some(link) if self.is_of_driver(net, &link) => {
                self.by_other_name(net, row, &link).map(Some)
            }
            Some(link) if link.declared && self.request == SIOCETHTOOL => {
                self.ethtool(net, &link, family).map(Some)
            }
            Some(link) => Ok(self.get(row, &link)?.then_some(0)),
            None if !self.host.is_isolated() => Ok(None),
            // The kernel reads what is asked before it looks for the interface.
            None if self.request == SIOCETHTOOL && self.ethtool_command().is_none() => {
                Err(Errno(libc::EFAULT))
            }
            None if !row.is_of_family(family) => Err(Errno(libc::ENOTTY)),
            None => Err(match row.answer {
                // The kernel says so before it looks for the interface.
                Answer::Refused(errno, _)
                    if errno == libc::ENOTTY
                        || matches!(self.request, SIOCGIFPFLAGS | SIOCSIFPFLAGS) =>
                {
                    Errno(errno)
                }
                _ => NO_DEVICE,
            }),
        }
    }

    /// Returns what ethtool(8) asks, to which the argument points; None where it cannot be read.
    fn ethtool_command(&self) -> Option<u32> {
        let at = usize::from_ne_bytes(self.bytes(self.at(16).at)?);
        self.bytes(at).map(u32::from_ne_bytes)
    }

    fn is_of_driver(&self, net: &NetDir, link: &Link) -> bool {
        !link.declared && net.knows_index(link.index)
    }

    /// Answers about an interface of the net that the program names by another name.
    fn by_other_name(&self, net: &NetDir, row: &Request, link: &Link) -> Result<i32, Errno> {
        let _lock = net.lock()?;
        let Some(interface) = net.find_by_index(link.index, self.local)? else {
            return Err(NO_DEVICE);
        };
        let mut arg = self.at(0);
        net.interface_ioctl(&interface, row, self.request, &mut arg, self.local)
    }

    /// Answers ethtool(8) about a link that the net declares. What it changes, the host process
    /// notes.
    fn ethtool(&self, net: &NetDir, link: &Link, family: i32) -> Result<i32, Errno> {
        let ifreq = IfReq(self.bytes(self.arg).ok_or(Errno(libc::EFAULT))?);
        let mut device = Plain {
            wanted: link.features,
            link: link.flags & libc::IFF_RUNNING as u32 != 0,
            address_length: link.address_length as u32,
        };
        let permit = || net.permit_check(Permission::NetAdmin);
        let answer = device.answer(&ifreq, &mut self.at(0), permit)?;
        if device.wanted != link.features {
            let parts: [&[u8]; 2] = [&ifreq.0, &device.wanted.to_ne_bytes()];
            host::ioctl(self.host, net, family, SIOCETHTOOL, &parts, &mut [])?;
        }
        Ok(answer)
    }

    /// Answers what is asked about a link out of the state. Returns false for what the state does
    /// not hold.
    fn get(&self, row: &Request, link: &Link) -> Result<bool, Errno> {
        let mut ifreq = IfReq(self.bytes(self.arg).ok_or(Errno(libc::EFAULT))?);
        match self.request {
            SIOCGIFNAME => ifreq.set_name(&link.name),
            SIOCGIFFLAGS => ifreq.set_flags(link.flags as u16),
            SIOCGIFMTU => ifreq.set_int(link.mtu as i32),
            SIOCGIFINDEX => ifreq.set_int(link.index as i32),
            SIOCGIFTXQLEN => ifreq.set_int(link.txqueuelen as i32),
            SIOCGIFMETRIC => ifreq.set_int(0),
            SIOCGIFMAP => ifreq.0[16..37].fill(0),
            SIOCGIFHWADDR => {
                ifreq.set_flags(link.link_type);
                let n = link.address_length.min(14);
                ifreq.0[18..18 + n].copy_from_slice(&link.address[..n]);
            }
            // The machine knows more about its own links.
            _ if !link.declared => return Ok(false),
            _ => {
                return Err(match row.answer {
                    Answer::Refused(errno, _) => Errno(errno),
                    _ => Errno(libc::EOPNOTSUPP),
                })
            }
        }
        self.memory.write(self.arg, &ifreq.0).map(|()| true)
    }
}
