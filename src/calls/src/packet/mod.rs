//! Packet sockets and raw sockets on the net's interfaces: what the calls of a program on them
//! mean. How they are carried stands in [`memtun_stack::sockets::raw`].
//!
//! | module | what it is |
//! |---|---|
//! | [`known`] | which options of IP there are |
//! | [`mark`] | how such a socket is recognised, wherever it came from |
//! | [`name`] | `struct sockaddr_ll` |
//! | [`option`], [`told`] | options that are set, and that are asked for |
//! | [`send`] | what becomes of a packet that is sent |
//! | [`receive`] | what a receive shows beside the bytes |
#![forbid(unsafe_code)]

pub mod known;
pub mod mark;
pub mod name;
pub mod option;
pub mod receive;
pub mod send;
mod sources;
pub mod told;

use crate::host::{self, Host};
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_kernel::policy::Policy as _;
use memtun_kernel::Permission;
use memtun_stack::ask::{self, place, What};
use memtun_stack::sockets::raw::{octets_of, of_octets, set, Action, Bound, Kind, Order};
use memtun_stack::wire::u32_at;
use memtun_sys as sys;
use name::LinkName;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

/// SOL_PACKET.
pub const SOL_PACKET: i32 = 263;

/// IPPROTO_RAW: packets that are sent with their header.
const WHOLE: u16 = 255;

const EINVAL: Errno = Errno(libc::EINVAL);

/// A packet socket or a raw one on which the program makes a call.
pub struct Packets<'c, H: Host, M: Memory> {
    /// The host of the program's net.
    pub host: &'c H,
    /// The memory of the program.
    pub memory: &'c M,
    /// The socket, which [`mark::of`] knows.
    pub fd: i32,
    /// What it is.
    pub kind: Kind,
}

/// What getsockname(2) and getpeername(2) are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Names {
    own: Option<IpAddr>,
    peer: Option<IpAddr>,
    /// The identifier or protocol, and the port of the other end.
    ports: [u16; 2],
}

/// What becomes of a bind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// It is done.
    Done,
    /// The interface is the machine's: the descriptor has to become the machine's socket.
    Machine,
}

/// Makes a socket of AF_UNIX that the program has just got one of this kind.
///
/// # Errors
///
/// - EACCES where the net lets nobody of the program's groups send echo requests.
/// - What making its name and asking the host process fails with.
pub fn open(
    host: &impl Host,
    socket: BorrowedFd<'_>,
    fd: i32,
    kind: Kind,
    protocol: u16,
) -> Result<(), Errno> {
    let net = host.make()?;
    let whole = kind.family == libc::AF_INET && protocol == WHOLE;
    let bound = Bound {
        protocol,
        set: if whole { set::HEADER_INCLUDED } else { 0 },
        ..Bound::default()
    };
    mark::set(fd, kind)?;
    mark::bind(fd, bound)?;
    let inode = sys::fstat(fd)?.st_ino;
    let name = NetDir::packet_socket(inode)?;
    let dir = net.open_dir()?;
    // The inode of a socket that is gone may come again.
    let _ = dir.unlink(name.cstr());
    place::in_directory(dir.raw(), net.path(), &name, |path| {
        sys::bind_path(socket, path)
    })?;
    dir.adopt_socket(name.cstr())?;
    let order = Order {
        action: Action::Bind,
        inode,
        kind,
        bound,
    };
    let mut groups = [0; 8];
    let asked = order_to(host, net, &order, &[], &mut groups);
    let opened = asked.and_then(|length| match kind.is_ping() {
        true if !may_ping(net, &groups[..length]) => Err(Errno(libc::EACCES)),
        true => hear_errors(host, net, fd, &order),
        false => Ok(()),
    });
    if opened.is_err() {
        let _ = dir.unlink(name.cstr());
    }
    opened
}

/// May the program send echo requests? `groups` are the first and the last group of users that may
/// (`ping_init_sock`). Where nobody has written them, and for group 0, that is whoever administers
/// the net.
fn may_ping(net: &NetDir, groups: &[u8]) -> bool {
    let administers = || net.permit_check(Permission::NetAdmin).is_ok();
    match (u32_at(groups, 0), u32_at(groups, 4)) {
        (Some(first), Some(last)) => {
            sys::is_in_groups(first, last) || first == 0 && first <= last && administers()
        }
        _ => administers(),
    }
}

/// Lets a socket hear of errors: see [`Action::Errors`].
fn hear_errors(host: &impl Host, net: &NetDir, fd: i32, order: &Order) -> Result<(), Errno> {
    let mut bound = order.bound;
    bound.set |= set::ERRORS;
    let order = Order {
        action: Action::Errors,
        bound,
        ..*order
    };
    // The one that it is connected to may be that of a host process that has ended.
    sys::disconnect(fd)?;
    order_to(host, net, &order, &[], &mut [])?;
    let name = NetDir::errors_socket(order.inode)?;
    let dir = net.open_dir()?;
    let connected = place::in_directory(dir.raw(), net.path(), &name, |path| {
        sys::connect_descriptor_path(fd, path)
    });
    let _ = dir.unlink(name.cstr());
    connected?;
    mark::bind(fd, bound)
}

/// Returns the link that a name of IPv6 is about, 0 for none given; None for one that means the
/// same on each (`__ipv6_addr_needs_scope_id`).
fn scope_of(name: &SocketAddr) -> Option<u32> {
    let SocketAddr::V6(name) = name else {
        return None;
    };
    let first = name.ip().segments()[0];
    let needs = name.ip().is_unicast_link_local() || [0xff01, 0xff02].contains(&(first & 0xff0f));
    needs.then(|| name.scope_id())
}

/// Gives an order to the host process. Returns how many bytes of the answer stand in `room`.
fn order_to(
    host: &impl Host,
    net: &NetDir,
    order: &Order,
    rest: &[&[u8]],
    room: &mut [u8],
) -> Result<usize, Errno> {
    let question = host::question(host, What::Raw);
    let bytes = order.to_bytes();
    let mut parts = [&bytes[..], &[], &[]];
    for (to, part) in parts[1..].iter_mut().zip(rest) {
        *to = part;
    }
    let mut length = 0;
    ask::ask(net, host.start(), &question, &parts, &mut |answer| {
        length = answer.len().min(room.len());
        room[..length].copy_from_slice(&answer[..length]);
    })?;
    Ok(length)
}

impl<H: Host, M: Memory> Packets<'_, H, M> {
    fn net(&self) -> Result<&NetDir, Errno> {
        self.host.existing().ok_or(Errno(libc::ENODEV))
    }

    fn bound(&self) -> Bound {
        mark::bound(self.fd)
    }

    fn is_packet(&self) -> bool {
        self.kind.is_packet()
    }

    fn order(&self, action: Action, rest: &[&[u8]], room: &mut [u8]) -> Result<usize, Errno> {
        self.order_as(action, self.bound(), rest, room)
    }

    fn order_as(
        &self,
        action: Action,
        bound: Bound,
        rest: &[&[u8]],
        room: &mut [u8],
    ) -> Result<usize, Errno> {
        let order = Order {
            action,
            inode: sys::fstat(self.fd)?.st_ino,
            kind: self.kind,
            bound,
        };
        let net = self.net()?;
        match order_to(self.host, net, &order, rest, room) {
            // Another host process has come, which the machine's kernel lets nothing send to a
            // socket that is connected to that of the last one.
            Err(Errno(libc::ESTALE | libc::ENOENT)) => {
                let again = Order {
                    action: Action::Bind,
                    bound: self.bound(),
                    ..order
                };
                if again.bound.set & set::ERRORS != 0 {
                    sys::disconnect(self.fd)?;
                }
                order_to(self.host, net, &again, &[], &mut [])?;
                if again.bound.set & set::ERRORS != 0 {
                    hear_errors(self.host, net, self.fd, &again)?;
                }
                order_to(self.host, net, &order, rest, room)
            }
            answer => answer,
        }
    }

    /// Lets the socket hear of errors, if it does not yet.
    fn hear_errors(&self) -> Result<(), Errno> {
        let bound = self.bound();
        if bound.set & set::ERRORS != 0 {
            return Ok(());
        }
        let order = Order {
            action: Action::Errors,
            inode: sys::fstat(self.fd)?.st_ino,
            kind: self.kind,
            bound,
        };
        hear_errors(self.host, self.net()?, self.fd, &order)
    }

    fn rebind(&self, bound: Bound) -> Result<(), Errno> {
        self.order_as(Action::Bind, bound, &[], &mut [])?;
        mark::bind(self.fd, bound)
    }

    /// bind(2): to an interface and a protocol (`packet_bind`), or to an address.
    ///
    /// # Errors
    ///
    /// - EINVAL for a name of another family.
    /// - ENODEV for an interface that is nobody's.
    /// - EADDRNOTAVAIL for an address that is not the net's.
    pub fn bind(&self, name: usize, length: usize) -> Result<Named, Errno> {
        let mut bound = self.bound();
        if self.is_packet() {
            let name = LinkName::read(self.memory, name, length)?.ok_or(EINVAL)?;
            let index = name.ifindex;
            if index != 0 && !self.net()?.knows_index(index) {
                return match sys::interface_name(index) {
                    Ok(_) => Ok(Named::Machine),
                    Err(_) => Err(Errno(libc::ENODEV)),
                };
            }
            bound.ifindex = index;
            if name.protocol != 0 {
                bound.protocol = name.protocol;
            }
            bound.set |= set::BOUND;
            return self.rebind(bound).map(|()| Named::Done);
        }
        let own = crate::inet::name::read(self.memory, name, length).ok_or(EINVAL)?;
        if own.is_ipv6() != (self.kind.family == libc::AF_INET6) {
            return Err(Errno(match own.is_ipv6() || self.kind.is_ping() {
                true => libc::EAFNOSUPPORT,
                false => libc::EINVAL,
            }));
        }
        // One of a group needs no interface to be heard.
        if !own.ip().is_multicast() {
            self.bind_to_link_of(&own)?;
        }
        self.order_name(Action::Own, Some(own))?;
        Ok(Named::Done)
    }

    /// connect(2) of a raw socket: it hears that end only, and sends to it.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for a packet socket.
    pub fn connect(&self, name: usize, length: usize) -> Result<(), Errno> {
        if self.is_packet() {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        let peer = crate::inet::name::read(self.memory, name, length);
        if peer.is_none() {
            let mut family = [0; 2];
            if length < family.len() {
                return Err(EINVAL);
            }
            self.memory.read(name, &mut family)?;
            if i32::from(u16::from_ne_bytes(family)) != libc::AF_UNSPEC {
                return Err(EINVAL);
            }
        }
        if peer.is_some_and(|peer| peer.is_ipv6() != (self.kind.family == libc::AF_INET6)) {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        if let Some(peer) = peer {
            self.bind_to_link_of(&peer)?;
        }
        // From now on it hears of errors that it has not asked for.
        self.hear_errors()?;
        self.order_name(Action::Connect, peer)
    }

    /// Binds the socket to the link of a name which means nothing on others
    /// (`rawv6_bind`, `__ip6_datagram_connect`).
    fn bind_to_link_of(&self, name: &SocketAddr) -> Result<(), Errno> {
        let Some(scope) = scope_of(name) else {
            return Ok(());
        };
        let bound = self.bound();
        let index = match (scope, bound.ifindex) {
            (0, 0) => return Err(EINVAL),
            (0, index) => index,
            (index, bound) if bound != 0 && bound != index => return Err(EINVAL),
            (index, _) => index,
        };
        if index != 1 && !self.net()?.knows_index(index) {
            return Err(Errno(libc::ENODEV));
        }
        self.rebind(Bound {
            ifindex: index,
            ..bound
        })
    }

    fn order_name(&self, action: Action, name: Option<SocketAddr>) -> Result<(), Errno> {
        let octets = octets_of(name.map(|name| name.ip()).filter(|ip| !ip.is_unspecified()));
        let port = name.map_or(0, |name| name.port()).to_ne_bytes();
        self.order(action, &[&octets, &port], &mut []).map(drop)
    }

    fn names(&self) -> Result<Names, Errno> {
        let mut bytes = [0; 36];
        self.order(Action::Names, &[], &mut bytes)?;
        let octets = |at: usize| bytes[at..at + 16].try_into().unwrap_or([0; 16]);
        let port = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Ok(Names {
            own: of_octets(octets(0)),
            peer: of_octets(octets(16)),
            ports: [port(32), port(34)],
        })
    }

    /// getpeername(2): a socket tells its other end only where it was connected to a port. Stores
    /// the name for `room` bytes at `name`, and its length at `length`.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for a packet socket, ENOTCONN for one that has no other end.
    pub fn peer_name(&self, name: usize, room: usize, length: usize) -> Result<(), Errno> {
        if self.is_packet() {
            return Err(Errno(libc::EOPNOTSUPP));
        }
        crate::inet::name::write(self.memory, &self.peer()?, name, room, length)
    }

    /// Returns the name of the other end.
    fn peer(&self) -> Result<SocketAddr, Errno> {
        let names = self.names()?;
        let peer = names.peer.filter(|_| names.ports[1] != 0);
        let peer = peer.ok_or(Errno(libc::ENOTCONN))?;
        Ok(SocketAddr::new(peer, names.ports[1]))
    }

    /// shutdown(2), if it fails.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for a packet socket, ENOTCONN for one that has no other end.
    pub fn shut_down(&self) -> Result<(), Errno> {
        match self.is_packet() {
            true => Err(Errno(libc::EOPNOTSUPP)),
            false => self.names()?.peer.map(drop).ok_or(Errno(libc::ENOTCONN)),
        }
    }

    /// Takes the error that waits, of which the machine's kernel has told. Returns 0 where nothing
    /// but the queue of errors has grown, and whether there is something in that.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn take_error(&self) -> Result<(i32, bool), Errno> {
        let mut bytes = [0; 8];
        self.order(Action::Error, &[], &mut bytes)?;
        let errno = u32_at(&bytes, 0).unwrap_or(0) as i32;
        Ok((errno, bytes[4] != 0))
    }

    /// Has what is in the queue of errors told again.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn tell_again(&self) -> Result<(), Errno> {
        self.order(Action::Again, &[], &mut []).map(drop)
    }

    /// Does the socket hear of errors?
    pub fn hears_errors(&self) -> bool {
        self.bound().set & set::ERRORS != 0
    }

    /// Returns the error that the program's next call fails with, if it waits.
    ///
    /// # Errors
    ///
    /// What asking fails with.
    pub fn waiting_error(&self) -> Result<Option<Errno>, Errno> {
        if !self.hears_errors() {
            return Ok(None);
        }
        let told = sys::int_option(self.fd, libc::SOL_SOCKET, libc::SO_ERROR);
        if told != Ok(libc::ECONNRESET) {
            return Ok(None);
        }
        let (errno, more) = self.take_error()?;
        if more {
            self.tell_again()?;
        }
        Ok((errno != 0).then_some(Errno(errno)))
    }

    /// Takes the oldest element of the queue of errors. Returns how many bytes of `room` it has.
    ///
    /// # Errors
    ///
    /// EAGAIN when there is none.
    pub fn take_element(&self, room: &mut [u8]) -> Result<usize, Errno> {
        if !self.hears_errors() {
            return Err(Errno(libc::EAGAIN));
        }
        let length = self.order(Action::Queued, &[], room)?;
        let _ = sys::int_option(self.fd, libc::SOL_SOCKET, libc::SO_ERROR);
        self.tell_again()?;
        Ok(length)
    }

    /// getsockname(2): stores the name for `room` bytes at `name`, and its length at `length`.
    ///
    /// # Errors
    ///
    /// EFAULT where that cannot be written.
    pub fn own_name(&self, name: usize, room: usize, length: usize) -> Result<(), Errno> {
        let bound = self.bound();
        if !self.is_packet() {
            let names = self.names()?;
            let own = names.own.unwrap_or(match self.kind.family {
                libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
                _ => Ipv6Addr::UNSPECIFIED.into(),
            });
            let own = SocketAddr::new(own, names.ports[0]);
            return crate::inet::name::write(self.memory, &own, name, room, length);
        }
        let link = self.net()?.links_of(bound.ifindex);
        let own = LinkName {
            protocol: bound.protocol,
            ifindex: bound.ifindex,
            link_type: link.map_or(0, |link| link.0),
            packet_type: 0,
            address: link.and_then(|link| link.1),
        };
        let bytes = own.to_bytes();
        // The kernel tells as many bytes as the address needs.
        let whole = 12 + own.address.map_or(0, |_| 6);
        self.memory.write(name, &bytes[..whole.min(room)])?;
        self.memory.write(length, &(whole as u32).to_ne_bytes())
    }
}

/// What packet sockets need to know of an interface.
trait Links {
    /// Returns ARPHRD_* and the link-layer address of an interface.
    fn links_of(&self, ifindex: u32) -> Option<(u16, Option<[u8; 6]>)>;
}

impl Links for NetDir {
    fn links_of(&self, ifindex: u32) -> Option<(u16, Option<[u8; 6]>)> {
        use std::sync::atomic::Ordering::Relaxed;
        let mut found = None;
        let _ = self.each_name(|name| {
            if let Ok(Some(link)) = self.look_up(&name) {
                if link.ifindex.load(Relaxed) == ifindex {
                    let kind = link.link_type.load(Relaxed) as u16;
                    found = Some((kind, link.is_tap().then(|| link.mac())));
                }
            }
            found.is_none()
        });
        found
    }
}
