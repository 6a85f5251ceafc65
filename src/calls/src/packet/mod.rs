//! Packet sockets and raw sockets on the net's interfaces: what the calls of a program on them
//! mean. How they are carried stands in [`memtun_stack::sockets::raw`].
//!
//! | module | what it is |
//! |---|---|
//! | [`mark`] | how such a socket is recognised, wherever it came from |
//! | [`name`] | `struct sockaddr_ll` |
//! | [`option`] | options |
//! | [`send`] | what becomes of a packet that is sent |
//! | [`receive`] | what a receive shows beside the bytes |
#![forbid(unsafe_code)]

pub mod mark;
pub mod name;
pub mod option;
pub mod receive;
pub mod send;

use crate::host::{self, Host};
use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_kernel::net::NetDir;
use memtun_stack::ask::{self, place, What};
use memtun_stack::sockets::raw::{octets_of, of_octets, set, Action, Bound, Kind, Order};
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
/// What making its name and asking the host process fails with.
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
    let asked = order_to(host, net, &order, &[], &mut []);
    if asked.is_err() {
        let _ = dir.unlink(name.cstr());
    }
    asked.map(drop)
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
        self.kind.family == libc::AF_PACKET
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
        order_to(self.host, self.net()?, &order, rest, room)
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
            return Err(Errno(match own.is_ipv6() {
                true => libc::EAFNOSUPPORT,
                false => libc::EINVAL,
            }));
        }
        let octets = octets_of(Some(own.ip()).filter(|own| !own.is_unspecified()));
        self.order(Action::Own, &[&octets], &mut [])?;
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
        let octets = octets_of(peer.map(|peer| peer.ip()));
        self.order(Action::Connect, &[&octets], &mut []).map(drop)
    }

    fn names(&self) -> Result<[Option<IpAddr>; 2], Errno> {
        let mut bytes = [[0; 16]; 2];
        self.order(Action::Names, &[], bytes.as_flattened_mut())?;
        Ok(bytes.map(of_octets))
    }

    /// getpeername(2): a raw socket tells its other end only where it was connected to a port.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP for a packet socket, ENOTCONN for a raw one.
    pub fn peer_name(&self) -> Result<(), Errno> {
        Err(Errno(match self.is_packet() {
            true => libc::EOPNOTSUPP,
            false => libc::ENOTCONN,
        }))
    }

    /// getsockname(2): stores the name for `room` bytes at `name`, and its length at `length`.
    ///
    /// # Errors
    ///
    /// EFAULT where that cannot be written.
    pub fn own_name(&self, name: usize, room: usize, length: usize) -> Result<(), Errno> {
        let bound = self.bound();
        if !self.is_packet() {
            let [own, _] = self.names()?;
            let own = own.unwrap_or(match self.kind.family {
                libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
                _ => Ipv6Addr::UNSPECIFIED.into(),
            });
            let own = SocketAddr::new(own, bound.protocol);
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
