//! Requests that the network stack of the net answers: about addresses, routes and neighbours. What
//! only asks for an address is read from the state; everything else is a question to the host
//! process.
#![forbid(unsafe_code)]

use super::call::{Socket, SocketCall};
use super::owner::Owner;
use super::verdict::{After, Verdict};
use crate::host::{self, Host};
use crate::memory::Memory;
use memtun_abi::request::{self, Argument, Named, Request};
use memtun_abi::uapi::*;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_kernel::policy::Policy;

/// Length in bytes of a name behind the argument of a request.
const NAME: usize = 16;

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Answers a request whose row says that the stack answers it.
    pub(super) fn stack(&self, net: &NetDir, row: &Request, family: i32) -> Result<Verdict, Errno> {
        let named = self.named(row);
        let owner = match named {
            None => Owner::Machine,
            Some(named) => self.owner(net, named)?,
        };
        if matches!(owner, Owner::Net(_)) {
            net.socket_ioctl(self.request)?;
        }
        match (self.request, owner, named) {
            (
                SIOCGIFADDR | SIOCGIFDSTADDR | SIOCGIFBRDADDR | SIOCGIFNETMASK,
                owner,
                Some(Ok(label)),
            ) => self.get_address(net, owner, &label),
            (SIOCGARP, Owner::Machine, Some(_)) => Ok(Verdict::Host(After::Neighbour)),
            _ => self.ask(net, row, family).map(|()| Verdict::Done(0)),
        }
    }

    /// Puts the program's request to the host process, and stores what it answers. The name to
    /// which a pointer leads follows the argument.
    pub(super) fn ask(&self, net: &NetDir, row: &Request, family: i32) -> Result<(), Errno> {
        let size = match row.argument {
            Argument::In(what) | Argument::Out(what) | Argument::InOut(what) => what.size,
            Argument::Unused | Argument::Value => 0,
        };
        let mut room = [0; request::LARGEST];
        self.memory.read(self.arg, &mut room[..size])?;
        let mut name = [0; NAME];
        let mut behind: &[u8] = &[];
        if let Named::NameBehind(offset) = row.interface {
            let at = self
                .bytes(self.at(offset).at)
                .map_or(0, usize::from_ne_bytes);
            // The kernel reads no more than 15 bytes. It says that they cannot be read only where
            // it needs them, so the host process finds that they are missing.
            if at != 0 && self.memory.read(at, &mut name[..NAME - 1]).is_ok() {
                behind = &name;
            }
        }
        let mut answer = [0; request::LARGEST];
        let parts = [&room[..size], behind];
        let n = host::ioctl(self.host, net, family, self.request, &parts, &mut answer)?;
        match row.argument {
            Argument::InOut(_) | Argument::Out(_) if n > 0 => {
                self.memory.write(self.arg, &answer[..n.min(size)])
            }
            _ => Ok(()),
        }
    }
}
