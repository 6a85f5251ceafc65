//! setsockopt(2) and getsockopt(2) about an interface of the net. The kernel does not know it, so
//! what was set is kept in the net; and a socket is not bound to the machine's interface of the
//! same name.
#![forbid(unsafe_code)]

use super::shape::{is_anycast, joins, of_source, Shape, GROUP, IN_NAME6, IPV6_JOIN_ANYCAST};
use crate::interfaces::{by_index, by_name, name_of, Answer, Whose};
use crate::memory::Memory;
use memtun_abi::request::{Designation, SocketOption};
use memtun_abi::{Errno, Name};
use memtun_kernel::net::{Kept, Local, NetDir};
use memtun_kernel::policy::Policy;
use memtun_kernel::Permission;
use memtun_stack::brief::{self, By};
use memtun_stack::sockets::filter::Sources;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering::Relaxed;

const EINVAL: Errno = Errno(libc::EINVAL);
/// How much of a value is looked at, in bytes: `struct group_source_req` up to the end of the
/// second IPv6 address.
const LONGEST: usize = GROUP + IN_NAME6 + 16;
const NO_DEVICE: Errno = Errno(libc::ENODEV);

/// A call about an option of a socket.
pub struct OptionCall<'c, M: Memory> {
    /// The net of the program.
    pub net: &'c NetDir,
    /// The tunnels that the program holds.
    pub local: &'c dyn Local,
    /// The memory of the program.
    pub memory: &'c M,
    /// The inode of the socket.
    pub inode: u64,
    /// Its family (AF_*) and its type (SOCK_*).
    pub socket: (i32, i32),
    /// The option.
    pub option: &'c SocketOption,
    /// Returns the index of the link by which a route leads to a group, see
    /// [`link_towards`](crate::host::link_towards).
    pub towards: &'c dyn Fn(IpAddr) -> Result<Option<u32>, Errno>,
    /// Called when the socket joins a group at an interface, or leaves it. Returns whether it has
    /// left the group.
    pub joined: &'c dyn Fn(&Joining) -> Result<bool, Errno>,
    /// Called when the socket sets all sources of a group that it has joined.
    pub filtered: &'c dyn Fn(&Joining, &Sources) -> Result<(), Errno>,
    /// Returns the sources of a group.
    pub sources: &'c dyn Fn(&Joining) -> Result<Sources, Errno>,
}

/// A socket joins a group, or leaves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    /// The group.
    pub group: IpAddr,
    /// The index of the interface.
    pub index: u32,
    /// Does it join, and not leave? A source that is blocked joins those that are.
    pub joins: bool,
    /// The one source that it is about, and whether that is to be blocked.
    pub source: Option<(IpAddr, bool)>,
}

/// What an option's value says of an interface.
pub(super) enum Named {
    /// It is an interface of the net, with this index, given by this address if by one.
    Ours(u32, Option<Ipv4Addr>),
    /// It was one.
    Gone,
    /// It is nothing of the net's.
    Other,
}

impl<M: Memory> OptionCall<'_, M> {
    /// Carries out setsockopt(2) with a value of `length` bytes at `value`. Returns false when the
    /// kernel has to be asked.
    ///
    /// # Errors
    ///
    /// - EFAULT when the value cannot be read.
    /// - ENODEV for an interface that is gone, EPERM where the net does not permit "net_admin".
    /// - EINVAL for a group that is none.
    /// - What locking the net or reading or writing its files fails with.
    pub fn set(&self, value: usize, length: usize) -> Result<bool, Errno> {
        // A negative length is refused by the kernel.
        if length > i32::MAX as usize {
            return Ok(false);
        }
        if !self.is_for_socket() || length < self.shape().least() {
            return Ok(false);
        }
        let mut bytes = [0; LONGEST];
        let most = match self.option.names {
            Designation::Name => 15,
            _ => bytes.len(),
        };
        let bytes = &mut bytes[..length.min(most)];
        self.memory.read(value, bytes)?;
        let lock = self.net.lock()?;
        let kept = self.kept();
        if self.option.number == libc::SO_BINDTOIFINDEX && self.option.level == libc::SOL_SOCKET {
            let index = bytes
                .first_chunk()
                .map_or(0, |index| i32::from_ne_bytes(*index));
            if index < 0 {
                return Err(EINVAL);
            }
        }
        let mut named = self.named(bytes)?;
        let lock = match self.group_without_interface(bytes) {
            Some(group) if matches!(named, Named::Other) => {
                drop(lock);
                // A route says by which interface (`ip_mc_find_dev`, `__ipv6_sock_mc_join`).
                let index = (self.towards)(group)?;
                let lock = self.net.lock()?;
                if let Some(index) = index {
                    named = self.by_index(index)?;
                }
                lock
            }
            _ => lock,
        };
        match named {
            Named::Other => {
                let Some(kept) = kept else { return Ok(false) };
                if self.option.names == Designation::Mark {
                    return Ok(false);
                }
                if kept == Kept::Device && self.net.kept_of(self.inode, kept)?.is_some() {
                    drop(lock);
                    return self.bind_anew(bytes);
                }
                if self.net.kept_of(self.inode, kept)?.is_none() || !self.names_nothing(bytes) {
                    return Ok(false);
                }
                self.net.keep(self.inode, kept, None).map(|()| true)
            }
            Named::Gone => Err(NO_DEVICE),
            Named::Ours(index, address) => {
                drop(lock);
                if is_anycast(self.option.level, self.option.number) {
                    // As for one that may not, and for one that never has.
                    return Err(match self.option.number {
                        IPV6_JOIN_ANYCAST => Errno(libc::EPERM),
                        _ => Errno(libc::ENOENT),
                    });
                }
                self.check_group(bytes)?;
                if let Some(form) = self.shape().filter() {
                    return self.filter(form, (value, length), bytes, index);
                }
                if let Some(joins) = joins(self.option.level, self.option.number) {
                    return self.join(bytes, index, joins).map(|()| true);
                }
                if let Some(of) = of_source(self.option.level, self.option.number) {
                    return self.join_source(bytes, index, of).map(|()| true);
                }
                if matches!(kept, Some(Kept::Device)) {
                    self.permit_another_device()?;
                }
                let number = match kept {
                    Some(Kept::Multicast) => address.map_or(0, u32::from),
                    _ => index,
                };
                if let Some(kept) = kept {
                    let _lock = self.net.lock()?;
                    self.net.keep(self.inode, kept, Some(number))?;
                    if kept == Kept::Multicast {
                        // The kernel tells the address only, but sends by the interface.
                        let with = Kept::MulticastIndex;
                        self.net.keep(self.inode, with, Some(index))?;
                    }
                }
                Ok(true)
            }
        }
    }

    /// May such a socket have the option? What it may not, the kernel refuses, whatever the value
    /// is.
    pub(super) fn is_for_socket(&self) -> bool {
        let (family, kind) = self.socket;
        let is_v6 = self.option.level == libc::IPPROTO_IPV6;
        // Neither groups nor an interface for them mean anything to a connection.
        let of_groups = self.option.level != libc::SOL_SOCKET
            && !matches!(self.kept(), Some(Kept::Unicast | Kept::Unicast6));
        !(is_v6 && family == libc::AF_INET || of_groups && kind == libc::SOCK_STREAM)
    }

    /// Asks for the permission that only a socket which is bound to a device needs
    /// (`sock_bindtoindex_locked`).
    fn permit_another_device(&self) -> Result<(), Errno> {
        match self.net.kept_of(self.inode, Kept::Device)? {
            Some(_) => self.net.permit_check(Permission::NetAdmin),
            None => Ok(()),
        }
    }

    /// Binds a socket that is bound to an interface of the net to something else, or to nothing.
    /// Returns false when the kernel has to be asked.
    fn bind_anew(&self, bytes: &[u8]) -> Result<bool, Errno> {
        let is_name = self.option.names == Designation::Name;
        let index = match bytes.first_chunk() {
            Some(index) if !is_name => i32::from_ne_bytes(*index),
            _ => 0,
        };
        let unbinds = self.names_nothing(bytes);
        if is_name && !unbinds {
            return Ok(false);
        }
        self.permit_another_device()?;
        if index < 0 {
            return Err(EINVAL);
        }
        // The kernel takes any index, also one of nobody.
        if !is_name && !unbinds && (index as u32) < self.net.first_ifindex() {
            return Ok(false);
        }
        let _lock = self.net.lock()?;
        let number = (!unbinds).then_some(index as u32);
        self.net.keep(self.inode, Kept::Device, number)?;
        Ok(true)
    }

    /// Called when the kernel has accepted what [`OptionCall::set`] has left to it: it takes the
    /// place of what was set before.
    ///
    /// # Errors
    ///
    /// What locking the net or reading or writing its files fails with.
    pub fn replaced(&self) -> Result<(), Errno> {
        let Some(kept) = self.kept() else {
            return Ok(());
        };
        if self.net.kept_of(self.inode, kept)?.is_none() {
            return Ok(());
        }
        let _lock = self.net.lock()?;
        self.net.keep(self.inode, kept, None)
    }

    /// Called when the kernel does not permit to set the option: its number is kept in the net,
    /// whose rules choose by a mark. Returns false when the kernel's answer holds.
    ///
    /// # Errors
    ///
    /// - EFAULT when the value cannot be read.
    /// - EPERM where the net does not permit "net_admin".
    /// - What locking the net or writing its files fails with.
    pub fn refused(&self, value: usize, length: usize) -> Result<bool, Errno> {
        let mut number = [0; 4];
        let Some(kept) = self.kept() else {
            return Ok(false);
        };
        if self.option.names != Designation::Mark || length < number.len() {
            return Ok(false);
        }
        self.memory.read(value, &mut number)?;
        self.net.permit_check(Permission::NetAdmin)?;
        let _lock = self.net.lock()?;
        let number = Some(u32::from_ne_bytes(number));
        self.net.keep(self.inode, kept, number).map(|()| true)
    }

    /// Carries out getsockopt(2) with room for the value at `value`; the length of the room stands
    /// at `length`. Returns false when the kernel has to be asked.
    ///
    /// # Errors
    ///
    /// - EFAULT when the memory cannot be used.
    /// - EINVAL when there is too little room for a name.
    /// - ENODEV when the interface is gone.
    /// - What locking the net or reading its files fails with.
    pub fn get(&self, value: usize, length: usize) -> Result<bool, Errno> {
        if let Some(form) = self.shape().filter() {
            return self.tell_sources(form, value, length);
        }
        let Some(kept) = self.kept() else {
            return Ok(false);
        };
        let Some(number) = self.net.kept_of(self.inode, kept)? else {
            return Ok(false);
        };
        let mut given = [0; 4];
        self.memory.read(length, &mut given)?;
        let room = i32::from_ne_bytes(given).max(0) as usize;
        let mut bytes = [0; 16];
        let n = match self.option.names {
            Designation::Name => {
                if room < bytes.len() {
                    return Err(EINVAL);
                }
                let Answer::Is(name) = name_of(self.net, number, self.local)? else {
                    return Err(NO_DEVICE);
                };
                bytes.copy_from_slice(name.padded());
                name.as_bytes().len() + 1
            }
            // An address, and an index of these, stands in network byte order.
            _ if matches!(kept, Kept::Multicast | Kept::Unicast | Kept::Unicast6) => {
                bytes[..4].copy_from_slice(&Ipv4Addr::from(number).octets());
                4.min(room)
            }
            _ => {
                bytes[..4].copy_from_slice(&number.to_ne_bytes());
                4.min(room)
            }
        };
        self.memory.write(value, &bytes[..n])?;
        self.memory
            .write(length, &(n as u32).to_ne_bytes())
            .map(|()| true)
    }

    pub(super) fn shape(&self) -> Shape<'_> {
        Shape(self.option)
    }

    /// Returns what is kept of the option; the groups of a socket are not.
    fn kept(&self) -> Option<Kept> {
        match (self.option.level, self.option.number) {
            (libc::SOL_SOCKET, libc::SO_MARK) => Some(Kept::Mark),
            (libc::SOL_SOCKET, libc::SO_PRIORITY) => Some(Kept::Priority),
            (libc::SOL_SOCKET, _) => Some(Kept::Device),
            (libc::IPPROTO_IP, libc::IP_MULTICAST_IF) => Some(Kept::Multicast),
            (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF) => Some(Kept::Multicast6),
            (libc::IPPROTO_IP, _) if self.option.names == Designation::NetworkIndex => {
                Some(Kept::Unicast)
            }
            (libc::IPPROTO_IPV6, _) if self.option.names == Designation::NetworkIndex => {
                Some(Kept::Unicast6)
            }
            _ => None,
        }
    }

    /// Says which interface the value names. The caller holds the net's lock.
    fn named(&self, bytes: &[u8]) -> Result<Named, Errno> {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 4)?;
            <[u8; 4]>::try_from(bytes).ok()
        };
        let by_number = |index: Option<u32>| match index {
            None | Some(0) => Ok(Named::Other),
            Some(index) => self.by_index(index),
        };
        match self.option.names {
            Designation::Name => {
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
                self.by_name(&bytes[..end])
            }
            Designation::Index(at) => by_number(word(at).map(u32::from_ne_bytes)),
            Designation::NetworkIndex => by_number(word(0).map(u32::from_be_bytes)),
            Designation::AddressOrIndex(at) => {
                let address = match bytes.len() {
                    4..8 => word(0),
                    _ => word(at),
                };
                let address = address.map(Ipv4Addr::from);
                match by_number(word(at + 4).map(u32::from_ne_bytes))? {
                    Named::Ours(index, _) => Ok(Named::Ours(index, address)),
                    Named::Other => self.by_address(address),
                    gone => Ok(gone),
                }
            }
            Designation::Address(at) => self.by_address(word(at).map(Ipv4Addr::from)),
            Designation::Mark => Ok(Named::Other),
        }
    }

    /// Does a value name no interface at all?
    fn names_nothing(&self, bytes: &[u8]) -> bool {
        match self.option.names {
            Designation::Name => matches!(bytes.first(), None | Some(0)),
            _ => bytes.iter().all(|byte| *byte == 0),
        }
    }

    fn by_name(&self, bytes: &[u8]) -> Result<Named, Errno> {
        let Some(name) = Name::new(bytes).filter(|name| !name.as_bytes().is_empty()) else {
            return Ok(Named::Other);
        };
        match by_name(self.net, &name, self.local)? {
            Whose::Ours(interface) => Ok(Named::Ours(interface.ifindex.load(Relaxed), None)),
            Whose::Gone => Ok(Named::Gone),
            Whose::Host => match brief::link(self.net, By::Name(bytes))? {
                Some(link) if link.declared || self.net.knows_index(link.index) => {
                    Ok(Named::Ours(link.index, None))
                }
                _ => Ok(Named::Other),
            },
        }
    }

    pub(super) fn by_index(&self, index: u32) -> Result<Named, Errno> {
        Ok(match by_index(self.net, index, self.local)? {
            Whose::Ours(_) => Named::Ours(index, None),
            Whose::Gone => Named::Gone,
            Whose::Host => match brief::link(self.net, By::Index(index))? {
                Some(link) if link.declared => Named::Ours(index, None),
                _ => Named::Other,
            },
        })
    }

    pub(super) fn by_address(&self, address: Option<Ipv4Addr>) -> Result<Named, Errno> {
        let Some(wanted) = address.filter(|address| !address.is_unspecified()) else {
            return Ok(Named::Other);
        };
        let mut found = Named::Other;
        brief::each_address(self.net, |address| {
            let is_it = address.local == IpAddr::V4(wanted);
            if is_it {
                found = Named::Ours(address.index, Some(wanted));
            }
            !is_it
        })?;
        Ok(found)
    }
}
