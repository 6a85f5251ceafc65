//! The sockets of the net's programs: their names, ports and flows, and the table of them.
//!
//! | module | what it is |
//! |---|---|
//! | [`writer`] | the table as the host process writes it |
//! | [`native`], [`claim`] | the native ports of the host process; the slices that it has claimed |
//! | [`open`] | all of them, once the net has had an address |
//! | [`diag`], [`alive`] | what the machine's kernel knows of its sockets; which are still there |
//! | [`names`] | names in the net and natively |
//! | [`rules`], [`ports`], `ahead` | which sockets cannot have the same port; which one a socket gets, and the next one |
//! | [`unseen`] | sockets that no hook sees |
//! | [`ends`] | why a connection has ended |
//! | [`target`] | which socket gets what comes, and how it is reached |
//! | [`asker`], [`bind`], [`connect`], [`path`], [`verdict`] | what programs ask |
#![forbid(unsafe_code)]

mod ahead;
pub mod alive;
pub mod asker;
pub mod bind;
pub mod claim;
pub mod connect;
pub mod diag;
pub mod ends;
pub mod manner;
pub mod names;
pub mod native;
pub mod open;
pub mod path;
pub mod ports;
mod refresh;
pub mod rules;
pub mod target;
pub mod unseen;
pub mod verdict;
pub mod writer;

use crate::engine::route::lookup::LOOPBACK;
use crate::inet::view::is_of_loopback;
use crate::service::Service;
use alive::is_of;
use diag::{Native, LISTEN};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::sockets::pushing::Pushing;
use memtun_stack::sockets::question::SocketQuestion;
use memtun_stack::sockets::row::PortKind;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{Entry, Flow, Own, Ports, Protocol, Table};
use memtun_stack::state::View;
use memtun_stack::State;
use names::{native_protocol, own_of};
use open::Open;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

/// The sockets of the net's programs.
#[derive(Default)]
pub struct Sockets {
    /// None before the first address.
    open: Option<Open>,
    active: bool,
    /// Has a program asked about a socket?
    wanted: bool,
    /// Have the net's programs no other network?
    isolated: bool,
    /// Has it been said why there is no table?
    said: bool,
    /// The net's own addresses on interfaces of its own.
    own: Vec<Address>,
    /// Connections that have begun a moment ago, by the cookie of their socket.
    openings: VecDeque<(u64, Ipv4Addr)>,
}

/// An own address, as far as sockets ask for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The interface.
    pub index: u32,
    /// The address.
    pub local: IpAddr,
    /// The broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Length of the prefix.
    pub prefix: u8,
    /// May it not be used yet?
    pub tentative: bool,
}

/// Returns the net's own addresses: those on interfaces of its own, and those that were given to
/// its loopback.
fn own_addresses(state: &State) -> Vec<Address> {
    let own = |index: u32| {
        let mut links = state.links.iter();
        let link = links.find(|link| link.index == index);
        link.is_some_and(|link| !link.declared && link.notified.is_some())
    };
    let addresses = state.addresses.iter();
    let addresses = addresses.filter(|it| own(it.index) || is_of_loopback(it.index, it.local));
    addresses
        .map(|it| Address {
            index: it.index,
            local: it.local,
            broadcast: it.broadcast,
            prefix: it.prefix,
            tentative: it.flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) != 0
                && it.flags & libc::IFA_F_OPTIMISTIC == 0,
        })
        .collect()
}

impl Sockets {
    /// Called with a question about a socket. Returns whether that is new.
    pub fn want(&mut self) -> bool {
        !std::mem::replace(&mut self.wanted, true)
    }

    /// Follows the net's addresses: with the first one on an interface of the net the table becomes
    /// active, with the last one it is so no more. That of an isolated net is active from the first
    /// question on, and stays so: its programs must never reach the machine's networks.
    pub fn follow(&mut self, service: &Service<'_>) {
        self.own = own_addresses(service.state());
        let isolated = service.state().view == View::Isolated;
        self.isolated = isolated;
        let stays = isolated && (self.active || self.wanted || service.net().has_inet());
        let active = stays || self.own.iter().any(|own| own.index != LOOPBACK);
        if active && self.open.is_none() {
            match Open::new(service.net()) {
                Ok(open) => {
                    self.open = Some(open);
                    if native::is_loopback_down() {
                        log::warn!("the machine's loopback is down, over which sockets use the net's interfaces: `ip link set lo up`");
                    }
                }
                Err(e) => {
                    if !std::mem::replace(&mut self.said, true) {
                        log::warn!("sockets cannot use the net's interfaces: {e}");
                    }
                    return;
                }
            }
        }
        let Some(open) = &mut self.open else { return };
        for address in &self.own {
            let _ = open.writer.own_alias(address.as_own());
        }
        open.writer.bump();
        if active != self.active {
            self.active = active;
            open.writer.set_active(active);
        }
    }

    /// Is what came from this native name to a socket from a socket of the net?
    pub fn speaks(&mut self, hearer: &SocketQuestion, speaker: SocketAddr) -> bool {
        let Some(open) = self.open.as_mut() else {
            return false;
        };
        let unknown = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let own = hearer.native.map_or(unknown, names::plain);
        open.speaks(hearer.protocol, names::plain(speaker), own)
    }

    /// Has the net an address?
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Says that neighbours or ways have changed, so that programs ask again.
    pub fn bump(&self) {
        if let Some(open) = &self.open {
            open.writer.bump();
        }
    }

    /// Returns the generation that a way counts for that is found now.
    pub fn generation(&self, net: &NetDir) -> u32 {
        let open = self.open.as_ref();
        open.map_or(0, |open| open.writer.table().generation(net))
    }

    /// Gives an alias to a flow. None means that there is none left.
    pub fn new_flow(&mut self, flow: &Flow) -> Option<Ipv4Addr> {
        self.open.as_mut()?.new_flow(flow)
    }

    /// Says that a flow is over. Its alias is given again when no native socket uses it.
    pub fn end_flow(&mut self, alias: Ipv4Addr) {
        if let Some(open) = &mut self.open {
            open.writer.end_flow(alias);
        }
    }

    /// Takes back the alias of a flow that no native socket has had a part in.
    pub fn take_back_flow(&mut self, alias: Ipv4Addr) {
        if let Some(open) = &mut self.open {
            open.writer.take_back(alias);
        }
    }

    /// Returns what the program has said of when the bytes of a flow leave, if it has.
    pub fn pushing(&self, alias: Ipv4Addr) -> Option<Pushing> {
        self.open.as_ref()?.writer.table().pushing(alias)
    }

    /// Returns a flow.
    pub fn flow(&self, alias: Ipv4Addr) -> Option<Flow> {
        self.open.as_ref()?.writer.flow(alias)
    }

    /// Changes a flow, for example to set its error.
    pub fn set_flow(&mut self, alias: Ipv4Addr, flow: &Flow) {
        if let Some(open) = &mut self.open {
            open.writer.set_flow(alias, flow);
        }
    }

    /// May a native socket send in a flow?
    pub fn speaks_for(&self, native: &Native, flow: &Flow) -> bool {
        let Some(open) = &self.open else { return false };
        let rows = open.writer.of_port(flow.protocol, flow.local.port()).iter();
        let mut known = rows.filter_map(|row| open.writer.at(*row));
        known.any(|known| is_of(native, &known.entry))
    }

    /// Raises an error for a socket. Returns its number.
    pub fn raise(&mut self, row: usize, errno: Errno) -> u32 {
        let open = self.open.as_mut();
        open.map_or(0, |open| open.writer.raise(row, errno))
    }

    /// Returns the alias of the connection that a socket began last.
    pub fn take_opening(&mut self, cookie: u64) -> Option<Ipv4Addr> {
        let at = self.openings.iter().position(|it| it.0 == cookie)?;
        self.openings.remove(at).map(|it| it.1)
    }

    /// Remembers the alias of a connection that a socket begins.
    pub(super) fn note_opening(&mut self, cookie: u64, alias: Ipv4Addr) {
        /// Number of connections that may be put again.
        const MOST: usize = 64;
        self.openings.push_back((cookie, alias));
        if self.openings.len() > MOST {
            self.openings.pop_front();
        }
    }

    /// Returns the flow of a connection whose leg has this native name.
    pub fn flow_of_leg(&self, native: SocketAddr) -> Option<Flow> {
        let table = self.open.as_ref()?.writer.table();
        match memtun_stack::sockets::table::native_v4(native.ip()) {
            Some(alias) => table.flow(alias),
            None => table.flow_of_v6_port(Protocol::Tcp, native.port()),
        }
    }

    /// Says that the leg of a flow to a socket that hears nothing of IPv4 comes from this port of
    /// ::1. None takes it back.
    pub fn name_v6_leg(&mut self, protocol: Protocol, port: u16, alias: Option<Ipv4Addr>) {
        let kind = match protocol {
            Protocol::Tcp => PortKind::TcpFromLoopback,
            _ => PortKind::UdpFromLoopback,
        };
        if let Some(open) = &mut self.open {
            // Without room the program sees ::1 as the other end.
            let _ = open.writer.translate(kind, port, alias.map(u32::from));
        }
    }

    /// Does the native socket with this own name and this other end belong to the user whose net
    /// it is, or to root?
    pub fn is_ours(&mut self, protocol: Protocol, own: SocketAddr, other: SocketAddr) -> bool {
        self.native(protocol, own, other).is_some()
    }

    /// Has nobody a native socket with this own name and this other end?
    pub fn is_nobodys(&mut self, protocol: Protocol, own: SocketAddr, other: SocketAddr) -> bool {
        let open = self.open.as_mut();
        open.is_some_and(|open| {
            let found = open.diag.exact(native_protocol(protocol), own, other);
            // Without one the one that listens at the name is found.
            found.is_none_or(|found| found.state == LISTEN)
        })
    }

    /// Returns the native socket with this own name and this other end, if it belongs to the user
    /// whose net it is, or to root.
    pub fn native(
        &mut self,
        protocol: Protocol,
        own: SocketAddr,
        other: SocketAddr,
    ) -> Option<Native> {
        let open = self.open.as_mut()?;
        let found = open.diag.exact(native_protocol(protocol), own, other)?;
        (found.uid == open.owner || found.uid == 0).then_some(found)
    }

    /// Is there still a native socket of TCP with this name?
    pub fn is_there(&mut self, name: SocketAddr) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let found = open.diag.of_port(Protocol::Tcp, name.port());
        let same = |own: &Native| native_v4(own.own.ip()).map(IpAddr::V4) == Some(name.ip());
        found.iter().any(|own| {
            own.inode != 0 && (same(own) || own.own.ip().to_canonical().is_unspecified())
        })
    }

    /// Has the process a descriptor of the socket with this inode?
    pub fn is_held(&self, pid: u32, inode: u64) -> bool {
        alive::is_held(pid, inode)
    }

    /// Returns the alias of an own address.
    pub fn alias_of(&self, address: IpAddr, scope: u32) -> Option<Ipv4Addr> {
        self.open.as_ref()?.writer.table().alias_of(address, scope)
    }

    /// Writes what is known of a socket, so that its program finds it.
    pub fn remember(&mut self, entry: &Entry, asker: u32) {
        if let Some(open) = &mut self.open {
            // Without room the program sees what the native socket says.
            let _ = open.put(entry, asker);
        }
    }

    /// Returns the native ports.
    pub fn ports(&self) -> Ports {
        let open = self.open.as_ref();
        open.map_or(Ports::default(), |open| open.natives.ports)
    }

    /// Returns the listener of the port `open`, from which TCP accepts. It does not block.
    pub fn open_listener(&self) -> Option<BorrowedFd<'_>> {
        Some(self.open.as_ref()?.natives.open.as_fd())
    }

    /// Returns the socket of the port `datagram`.
    pub fn datagram_socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.open.as_ref()?.natives.datagram.as_fd())
    }

    /// Returns the table.
    pub fn table(&self) -> Option<&Table> {
        Some(self.open.as_ref()?.writer.table())
    }
}

impl Address {
    /// Returns how it stands in the table: an address of a link with its interface.
    fn as_own(&self) -> Own {
        own_of(self.local, self.index)
    }
}
