//! To whom the interface belongs that a request of the network stack is about.
#![forbid(unsafe_code)]

use super::call::{Socket, SocketCall};
use crate::host::Host;
use crate::interfaces::{by_index, by_name, without_alias, Whose};
use crate::memory::Memory;
use memtun_abi::{Errno, Name};
use memtun_kernel::net::NetDir;
use memtun_stack::brief::{self, By};
use std::sync::atomic::Ordering::Relaxed;

/// Whose interface a request is about, as far as its name says.
pub(super) enum Owner {
    /// The net's own, or one that it declares, with this index.
    Net(u32),
    /// The machine's.
    Machine,
    /// Nobody's.
    Nobody,
}

impl<S: Socket, M: Memory, H: Host> SocketCall<'_, S, M, H> {
    /// Says whose interface has this name or index.
    pub(super) fn owner(&self, net: &NetDir, named: Result<Name, u32>) -> Result<Owner, Errno> {
        let whole = named.map(|name| without_alias(&name));
        let whose = {
            let _lock = net.lock()?;
            match whole {
                Ok(name) => by_name(net, &name, self.local)?,
                Err(index) => by_index(net, index, self.local)?,
            }
        };
        let by = match &whole {
            Ok(name) => By::Name(name.as_bytes()),
            Err(index) => By::Index(*index),
        };
        Ok(match whose {
            Whose::Ours(interface) => Owner::Net(interface.ifindex.load(Relaxed)),
            Whose::Gone => Owner::Nobody,
            Whose::Host => match brief::link(net, by)? {
                Some(link) if link.declared => Owner::Net(link.index),
                // Another name of an interface of the net.
                Some(link) if net.knows_index(link.index) => Owner::Net(link.index),
                _ if self.host.is_isolated() => Owner::Nobody,
                _ => Owner::Machine,
            },
        })
    }
}
