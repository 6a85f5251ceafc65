//! The sockets of the net's programs: their names, ports and flows, and the table of them.
//!
//! | module | what it is |
//! |---|---|
//! | [`writer`] | the table as the host process writes it |
//! | [`native`] | the native ports of the host process, and the slices that it has claimed |
//! | [`diag`] | what the machine's kernel knows of its sockets |
//! | [`rules`] | which sockets cannot have the same port |
//! | [`ports`] | which port a socket gets, in the net and natively |
//! | [`bind`], [`connect`], [`path`] | what programs ask |
#![forbid(unsafe_code)]

pub mod bind;
pub mod connect;
pub mod diag;
pub mod native;
pub mod path;
pub mod ports;
pub mod rules;
pub mod writer;

use crate::service::Service;
use diag::{Diag, Native};
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_shm::layout::SLICES;
use memtun_stack::sockets::row::PortKind;
use memtun_stack::sockets::table::native_v4;
use memtun_stack::sockets::{flag, Entry, Flow, Own, Ports, Protocol, Table};
use memtun_stack::State;
use memtun_sys as sys;
use native::{Claim, Natives};
use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use writer::{Known, Writer};

/// For so long a socket that was asked for may not be bound yet.
const BIRTH: Duration = Duration::from_secs(2);
/// For so long a socket that was seen is taken to be there.
const FRESH: Duration = Duration::from_millis(20);

/// The sockets of the net's programs.
#[derive(Default)]
pub struct Sockets {
    /// None before the first address.
    open: Option<Open>,
    active: bool,
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

/// What there is once the net has had an address.
pub(super) struct Open {
    pub writer: Writer,
    pub natives: Natives,
    pub claims: Vec<Claim>,
    pub diag: Diag,
    /// Does the machine tell of sockets of TCP that are bound and do nothing yet?
    pub tells_all: bool,
    /// The user whose net it is.
    pub owner: u32,
}

/// A socket that listens, and where a leg connects to reach it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    /// What the net knows of it.
    pub entry: Entry,
    /// Where a leg connects to.
    pub native: SocketAddr,
    /// Must the leg come from ::1, because the socket hears nothing of IPv4? Its port is told by
    /// [`Sockets::name_v6_leg`] before it connects.
    pub from_loopback: bool,
}

/// Returns the net's own addresses that stand on interfaces of its own.
fn own_addresses(state: &State) -> Vec<Address> {
    let own = |index: u32| {
        let mut links = state.links.iter();
        let link = links.find(|link| link.index == index);
        link.is_some_and(|link| !link.declared && link.notified.is_some())
    };
    let addresses = state.addresses.iter().filter(|it| own(it.index));
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

impl Open {
    fn new(net: &NetDir) -> Result<Open, Errno> {
        let owner = net.open_dir()?.id().uid;
        let natives = Natives::open()?;
        let table = net.make_inet()?;
        let writer = Writer::new(Table::of(table));
        let mut open = Open {
            writer,
            natives,
            claims: Vec::new(),
            diag: Diag::default(),
            tells_all: false,
            owner,
        };
        // The port `shut` is bound and does nothing.
        let shut = open.natives.ports.shut;
        open.tells_all = !open.diag.of_port(Protocol::Tcp, shut).is_empty();
        open.claim_again()?;
        let secret = [sys::random(), sys::random()];
        open.writer.set_ports(&open.natives.ports, secret);
        Ok(open)
    }

    /// Claims the slices of the host process before, or new ones where others have them now.
    fn claim_again(&mut self) -> Result<(), Errno> {
        let before: Vec<u32> = self.writer.slices().into_iter().collect();
        for base in before.into_iter().take_while(|base| *base != 0) {
            let claimed = match native::claim(base) {
                // Whoever claimed it for this net may be stopped, or be ending.
                Err(Errno(libc::EADDRINUSE)) if self.is_own_claim(base) => {
                    Claim { base, socket: None }
                }
                Ok(claimed) => claimed,
                Err(_) => {
                    self.lose_slices();
                    break;
                }
            };
            self.note_claim(self.claims.len(), &claimed);
            self.claims.push(claimed);
        }
        match self.claims.is_empty() {
            true => self.claim_another(),
            false => Ok(()),
        }
    }

    /// Was this slice claimed by a host process of this net?
    fn is_own_claim(&mut self, base: u32) -> bool {
        let at = self.claims.len();
        let cookie = self.writer.claim(at);
        let name = native::claim_name(base);
        let found = self.diag.of_port(Protocol::Udp, name.port());
        let mut found = found.iter().filter(|native| native.own == name);
        found.any(|native| native.cookie == cookie && cookie != 0)
    }

    fn note_claim(&mut self, at: usize, claim: &Claim) {
        let Some(socket) = &claim.socket else { return };
        let cookie = sys::inet::cookie(socket.raw()).unwrap_or(0);
        self.writer.set_claim(at, cookie);
    }

    fn lose_slices(&mut self) {
        log::warn!("the net's part of the loopback's addresses was taken by others: its sockets lose their names");
        self.claims.clear();
        self.writer.forget();
        for at in 0..SLICES {
            self.writer.set_slice(at, 0);
        }
    }

    /// Claims one slice more.
    fn claim_another(&mut self) -> Result<(), Errno> {
        let at = self.claims.len();
        if at >= SLICES {
            return Err(Errno(libc::ENOBUFS));
        }
        let claim = native::claim_any()?;
        self.note_claim(at, &claim);
        self.writer.set_slice(at, claim.base);
        self.claims.push(claim);
        Ok(())
    }

    /// Gives an alias to a flow, and makes room for it if there is none.
    pub fn new_flow(&mut self, flow: &Flow) -> Option<Ipv4Addr> {
        if let Some(alias) = self.writer.new_flow(flow) {
            return Some(alias);
        }
        let used = self.used_aliases();
        let few = self.writer.reclaim(|alias| used.contains(&alias)) < 1024;
        if few {
            // What there is must do where no slice is free.
            let _ = self.claim_another();
        }
        self.writer.new_flow(flow)
    }

    /// Returns the addresses that native sockets have as one of their ends.
    fn used_aliases(&mut self) -> HashSet<Ipv4Addr> {
        let mut all = self.diag.of_port(Protocol::Tcp, 0);
        all.extend(self.diag.of_port(Protocol::Udp, 0));
        let ends = all.iter().flat_map(|native| [native.own, native.other]);
        ends.filter_map(|end| native_v4(end.ip())).collect()
    }

    /// Is the socket of a row there? One that is gone is removed.
    pub fn is_alive(&mut self, row: usize, fresh: Duration) -> bool {
        let Some(known) = self.writer.at(row).copied() else {
            return false;
        };
        if known.seen.elapsed() < fresh {
            return true;
        }
        let alive = self.is_where_it_was(&known.entry) || self.is_there(row);
        match alive {
            true => self.writer.seen(row),
            false => self.writer.remove(row),
        }
        alive
    }

    /// Does the kernel find a socket quickly, by its name?
    fn is_where_it_was(&mut self, entry: &Entry) -> bool {
        let protocol = native_protocol(entry.protocol);
        let listens = entry.flags & flag::LISTENS != 0;
        if protocol == Protocol::Tcp && !listens {
            return false;
        }
        let any = entry.native.ip().is_unspecified();
        let address: IpAddr = match (any, native_v4(entry.native.ip())) {
            (false, Some(address)) => address.into(),
            (_, _) if entry.native.is_ipv6() => Ipv6Addr::LOCALHOST.into(),
            (_, _) => Ipv4Addr::LOCALHOST.into(),
        };
        let datagram = self.natives.ports.datagram;
        let other: IpAddr = match (entry.flow, address) {
            (Some(alias), _) => alias.into(),
            (None, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
            (None, address) => address,
        };
        let (own, other) = (
            SocketAddr::new(address, entry.native.port()),
            SocketAddr::new(other, datagram),
        );
        let found = self.diag.exact(protocol, own, other);
        found.is_some_and(|found| is_of(&found, entry))
    }

    /// Is the socket of a row anywhere?
    fn is_there(&mut self, row: usize) -> bool {
        let Some(known) = self.writer.at(row).copied() else {
            return false;
        };
        let entry = &known.entry;
        let protocol = native_protocol(entry.protocol);
        let natives = self.diag.of_port(protocol, entry.native.port());
        let found = natives.iter().any(|native| is_of(native, entry));
        found
            || protocol == Protocol::Tcp && self.may_be_silent(&known)
            || known.since.elapsed() < BIRTH && is_held(known.asker, entry.inode)
    }

    /// May this be a socket of TCP that is bound and does nothing yet, of which nobody tells before
    /// Linux 6.8?
    fn may_be_silent(&self, known: &Known) -> bool {
        let entry = &known.entry;
        !self.tells_all && is_taken(&entry.native) && is_held(known.asker, entry.inode)
    }

    /// Removes all sockets that are gone.
    pub fn sweep(&mut self) {
        let mut natives = self.diag.of_port(Protocol::Tcp, 0);
        natives.extend(self.diag.of_port(Protocol::Udp, 0));
        let cookies: HashSet<u64> = natives.iter().map(|native| native.cookie).collect();
        let inodes: HashSet<u64> = natives.iter().map(|native| native.inode).collect();
        let is_there = |entry: &Entry| match cookies.len() > 1 {
            true => cookies.contains(&entry.cookie),
            false => inodes.contains(&entry.inode),
        };
        let gone = self.writer.all().filter(|(_, known)| {
            let unseen =
                native_protocol(known.entry.protocol) == Protocol::Tcp && self.may_be_silent(known);
            known.since.elapsed() > BIRTH && !is_there(&known.entry) && !unseen
        });
        let gone: Vec<usize> = gone.map(|(row, _)| row).collect();
        for row in gone {
            self.writer.remove(row);
        }
    }

    /// Writes an entry; where there is no room, those of sockets that are gone are removed first.
    pub fn put(&mut self, entry: &Entry, asker: u32) -> Result<(), Errno> {
        match self.writer.put(entry, asker) {
            Err(Errno(libc::ENOBUFS)) => {
                self.sweep();
                self.writer.put(entry, asker)
            }
            put => put,
        }
    }
}

/// Returns the protocol of the native socket.
pub(super) fn native_protocol(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Tcp => Protocol::Tcp,
        _ => Protocol::Udp,
    }
}

/// Returns the kind of a moved port.
pub(super) fn port_kind(protocol: Protocol) -> PortKind {
    match protocol {
        Protocol::Tcp => PortKind::Tcp,
        _ => PortKind::Udp,
    }
}

fn is_of(native: &Native, entry: &Entry) -> bool {
    match native.cookie {
        0 => native.inode == entry.inode && native.inode != 0,
        cookie => cookie == entry.cookie,
    }
}

/// Has a process a descriptor of the socket of an inode, which it is about to bind?
fn is_held(pid: u32, inode: u64) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    let mut links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| link.as_os_str() == wanted.as_str())
}

/// Has somebody a socket of TCP bound there?
fn is_taken(name: &SocketAddr) -> bool {
    let family = if name.is_ipv6() {
        libc::AF_INET6
    } else {
        libc::AF_INET
    };
    let socket = sys::socket(family, libc::SOCK_STREAM, 0);
    socket.is_ok_and(|socket| sys::inet::bind_name(socket.as_fd(), name).is_err())
}

impl Sockets {
    /// Follows the net's addresses: with the first one on an interface of the net the table becomes
    /// active, with the last one it is so no more.
    pub fn follow(&mut self, service: &Service<'_>) {
        self.own = own_addresses(service.state());
        let active = !self.own.is_empty();
        if active && self.open.is_none() {
            match Open::new(service.net()) {
                Ok(open) => self.open = Some(open),
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

    /// Returns the socket of TCP that listens at a name and hears of what comes by an interface:
    /// that of the address before that of any, and that of the interface before that of any.
    pub fn listener(&mut self, to: SocketAddr, ifindex: u32) -> Option<Listener> {
        let open = self.open.as_mut()?;
        loop {
            let rows = open.writer.of_port(Protocol::Tcp, to.port()).iter();
            let known = rows.filter_map(|row| Some((*row, open.writer.at(*row)?)));
            let best = known
                .filter(|(_, known)| known.entry.flags & flag::LISTENS != 0)
                .filter_map(|(row, known)| {
                    Some((ports::score(&known.entry, to, None, ifindex)?, row))
                })
                .max()?;
            if open.is_alive(best.1, FRESH) {
                let entry = open.writer.at(best.1)?.entry;
                return open.reach(&entry, to, ifindex);
            }
        }
    }

    /// Returns the socket of datagrams that suits a flow best, with its row; of several that share
    /// a port, the one that the number chooses.
    pub fn receiver(&mut self, flow: &Flow, number: u64) -> Option<(usize, Listener)> {
        let open = self.open.as_mut()?;
        let rows = open.writer.of_port(flow.protocol, flow.local.port()).iter();
        let known = rows.filter_map(|row| Some((*row, open.writer.at(*row)?)));
        let scored = known.filter_map(|(row, known)| {
            let entry = &known.entry;
            let score = ports::score(entry, flow.local, Some(flow.remote), flow.ifindex)?;
            let shares = entry.flags & flag::REUSE_PORT != 0;
            Some((score, known.since, row, shares))
        });
        let mut scored: Vec<_> = scored.collect();
        let best = scored.iter().map(|it| it.0).max()?;
        scored.retain(|it| it.0 == best);
        scored.sort_by_key(|it| it.1);
        let last = *scored.last()?;
        let row = match last.3 {
            true => {
                scored.retain(|it| it.3);
                // As `reciprocal_scale`.
                let at = u64::from(number as u32) * scored.len() as u64 >> 32;
                scored.get(at as usize)?.2
            }
            false => last.2,
        };
        let entry = open.writer.at(row)?.entry;
        Some((row, open.reach(&entry, flow.local, flow.ifindex)?))
    }

    /// Returns all sockets of datagrams that hear a flow to a group or to all, with their rows.
    pub fn receivers(&mut self, flow: &Flow) -> Vec<(usize, Listener)> {
        let Some(open) = self.open.as_mut() else {
            return Vec::new();
        };
        let rows = open
            .writer
            .of_port(flow.protocol, flow.local.port())
            .to_vec();
        let heard = rows.into_iter().filter_map(|row| {
            let entry = open.writer.at(row)?.entry;
            ports::score(&entry, flow.local, Some(flow.remote), flow.ifindex)?;
            Some((row, open.reach(&entry, flow.local, flow.ifindex)?))
        });
        heard.collect()
    }

    /// Would the socket of a row get what is sent to its native name from an alias? It was looked
    /// at a moment ago, or is looked at now.
    pub fn gets(&mut self, row: usize, native: SocketAddr, from: (Ipv4Addr, u16)) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let Some(known) = open.writer.at(row).copied() else {
            return false;
        };
        if known.seen.elapsed() < FRESH {
            return true;
        }
        let from = SocketAddr::new(from.0.into(), from.1);
        let found = open.diag.exact(Protocol::Udp, native, from);
        let gets = found.is_some_and(|found| is_of(&found, &known.entry));
        if gets {
            open.writer.seen(row);
        }
        gets
    }

    /// Looks whether a socket is still there that did not get something.
    pub fn gone(&mut self, row: usize) {
        if let Some(open) = &mut self.open {
            if !open.is_there(row) {
                open.writer.remove(row);
            }
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

    /// Returns the alias of an own address.
    pub fn alias_of(&self, address: IpAddr, scope: u32) -> Option<Ipv4Addr> {
        self.open.as_ref()?.writer.table().alias_of(address, scope)
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

    /// Looks for sockets that are gone, now and then.
    pub fn tick(&mut self) {
        /// Number of sockets below which nobody looks.
        const FEW: usize = 64;
        if let Some(open) = &mut self.open {
            if open.writer.count() > FEW {
                open.sweep();
            }
        }
    }
}

impl Address {
    /// Returns how it stands in the table: an address of a link with its interface.
    fn as_own(&self) -> Own {
        own_of(self.local, self.index)
    }
}

/// Returns how an address stands in the table.
pub(super) fn own_of(address: IpAddr, index: u32) -> Own {
    let of_link = match address {
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address.segments()[0] & 0xff0f == 0xff02
        }
        IpAddr::V4(_) => false,
    };
    Own {
        address,
        scope: if of_link { index } else { 0 },
    }
}

impl Open {
    /// Returns where a leg connects to, to reach a socket by one of the net's addresses.
    pub fn reach(&mut self, entry: &Entry, to: SocketAddr, ifindex: u32) -> Option<Listener> {
        let any = entry.native.ip().is_unspecified();
        let from_loopback = any && entry.native.is_ipv6() && entry.flags & flag::V6ONLY != 0;
        let port = entry.native.port();
        let native = match (any, from_loopback) {
            (true, true) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
            (true, false) => {
                let alias = self.writer.own_alias(own_of(to.ip(), ifindex)).ok()?;
                SocketAddr::new(alias.into(), port)
            }
            (false, _) => SocketAddr::new(native_v4(entry.native.ip())?.into(), port),
        };
        Some(Listener {
            entry: *entry,
            native,
            from_loopback,
        })
    }
}
