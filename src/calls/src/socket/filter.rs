//! All sources of a group at once: `struct group_filter` of MCAST_MSFILTER, and of old `struct
//! ip_msfilter` of IP_MSFILTER.
#![forbid(unsafe_code)]

use crate::memory::Memory;
use memtun_abi::Errno;
use memtun_stack::sockets::filter::{most, Sources};
use memtun_stack::wire::{self, u16_at, u32_at};
use std::net::{IpAddr, Ipv4Addr};

const EINVAL: Errno = Errno(libc::EINVAL);
/// IP_MSFILTER of linux/in.h.
pub const IP_MSFILTER: i32 = 41;
/// MCAST_MSFILTER of linux/in.h.
pub const MCAST_MSFILTER: i32 = 48;
/// Bytes of `struct group_req`.
pub const GROUP: usize = 8 + 128;
/// Where an address stands in `struct sockaddr_in` and `struct sockaddr_in6`.
pub const IN_NAME: usize = 4;
pub const IN_NAME6: usize = 8;
/// MCAST_EXCLUDE and MCAST_INCLUDE.
const EXCLUDE: u32 = 0;
const INCLUDE: u32 = 1;
/// Bytes of the longest head.
const HEAD: usize = GROUP + 8;
/// Bytes of `struct sockaddr_storage`.
const STORAGE: usize = 128;

/// How the value is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form {
    /// Is it `struct ip_msfilter`?
    is_old: bool,
    /// Is the group one of IPv6?
    is_v6: bool,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// The group.
    pub group: IpAddr,
    /// The index of the interface, 0 for none.
    pub index: u32,
    /// An address of it, in place of the index.
    pub at: Option<Ipv4Addr>,
    /// For how many sources there is room.
    room: usize,
}

impl Form {
    /// Returns the form of an option's value; None for an option of another kind.
    pub fn of(level: i32, number: i32) -> Option<Form> {
        let is_v6 = level == libc::IPPROTO_IPV6;
        let is_old = match (level, number) {
            (libc::IPPROTO_IP, IP_MSFILTER) => true,
            (libc::IPPROTO_IP | libc::IPPROTO_IPV6, MCAST_MSFILTER) => false,
            _ => return None,
        };
        Some(Form { is_old, is_v6 })
    }

    /// How many bytes stand in front of the sources.
    pub fn head(self) -> usize {
        match self.is_old {
            true => 16,
            false => HEAD,
        }
    }

    /// How many bytes a source has.
    fn each(self) -> usize {
        match self.is_old {
            true => 4,
            false => STORAGE,
        }
    }

    /// Reads the head. Returns it, the group, the mode and the number of sources.
    fn read(
        self,
        memory: &impl Memory,
        value: usize,
        length: usize,
    ) -> Result<([u8; HEAD], IpAddr, u32, usize), Errno> {
        let mut head = [0; HEAD];
        if length < self.head() {
            return Err(EINVAL);
        }
        memory.read(value, &mut head[..self.head()])?;
        let (group, mode) = match self.is_old {
            true => (0, 8),
            false => (8, GROUP),
        };
        let group = self.address(&head, group).ok_or(EINVAL)?;
        let word = |at| u32_at(&head, at).unwrap_or(0);
        Ok((head, group, word(mode), word(mode + 4) as usize))
    }

    /// Returns the address that stands there, by itself or as the name of a socket.
    fn address(self, bytes: &[u8], at: usize) -> Option<IpAddr> {
        let (at, length) = match (self.is_old, self.is_v6) {
            (true, _) => (at, 4),
            (false, false) => (at + IN_NAME, 4),
            (false, true) => (at + IN_NAME6, 16),
        };
        wire::ip_of(bytes.get(at..at + length)?)
    }

    /// Is what stands there a name of IPv4? Of IPv6 the kernel does not look.
    fn is_named(self, bytes: &[u8], at: usize) -> bool {
        let family = || u16_at(bytes, at).map(i32::from);
        self.is_old || self.is_v6 || family() == Some(libc::AF_INET)
    }

    /// Reads what setsockopt(2) is given: a group, and of which sources it is heard. Nothing that
    /// is heard means that the group is left.
    ///
    /// # Errors
    ///
    /// - EINVAL for what is too short, or no group, or no mode.
    /// - ENOBUFS for too many sources.
    /// - EADDRNOTAVAIL for names of another family.
    /// - EFAULT where the value cannot be read.
    pub fn given(
        self,
        memory: &impl Memory,
        value: usize,
        length: usize,
    ) -> Result<(IpAddr, Sources), Errno> {
        let (head, group, mode, count) = self.read(memory, value, length)?;
        if count > most(group) {
            return Err(Errno(libc::ENOBUFS));
        }
        if self.head() + count * self.each() > length {
            return Err(EINVAL);
        }
        let mut sources = Sources::new(mode == EXCLUDE);
        let mut are_named = self.is_named(&head, 8);
        let mut room = [0; STORAGE];
        let room = &mut room[..self.each()];
        for number in 0..count {
            memory.read(value + self.head() + number * self.each(), room)?;
            are_named &= self.is_named(room, 0);
            sources.push(self.address(room, 0).ok_or(EINVAL)?);
        }
        if !are_named {
            return Err(Errno(libc::EADDRNOTAVAIL));
        }
        if !group.is_multicast() || ![EXCLUDE, INCLUDE].contains(&mode) {
            return Err(EINVAL);
        }
        Ok((group, sources))
    }

    /// Reads what getsockopt(2) is given.
    ///
    /// # Errors
    ///
    /// - EINVAL for what is too short, or no group.
    /// - EFAULT where the value cannot be read.
    pub fn asked(self, memory: &impl Memory, value: usize, length: usize) -> Result<Asked, Errno> {
        let (head, group, _, room) = self.read(memory, value, length)?;
        if !group.is_multicast() || !self.is_named(&head, 8) {
            return Err(EINVAL);
        }
        let at = self.is_old.then(|| head[4..8].try_into().unwrap_or([0; 4]));
        Ok(Asked {
            group,
            index: match self.is_old {
                true => 0,
                false => u32_at(&head, 0).unwrap_or(0),
            },
            at: at.map(Ipv4Addr::from).filter(|at| !at.is_unspecified()),
            room,
        })
    }

    /// Stores the sources of a group. Returns the length of the value.
    ///
    /// # Errors
    ///
    /// EFAULT where it cannot be written.
    pub fn tell(
        self,
        memory: &impl Memory,
        value: usize,
        asked: &Asked,
        sources: &Sources,
    ) -> Result<usize, Errno> {
        let count = sources.iter().count();
        let told = count.min(asked.room);
        for (number, source) in sources.iter().take(told).enumerate() {
            let mut room = [0; STORAGE];
            let (at, family) = match (self.is_old, self.is_v6) {
                (true, _) => (0, None),
                (false, false) => (IN_NAME, Some(libc::AF_INET)),
                (false, true) => (IN_NAME6, Some(libc::AF_INET6)),
            };
            if let Some(family) = family {
                room[..2].copy_from_slice(&(family as u16).to_ne_bytes());
            }
            match source {
                IpAddr::V4(it) => room[at..at + 4].copy_from_slice(&it.octets()),
                IpAddr::V6(it) => room[at..at + 16].copy_from_slice(&it.octets()),
            }
            let to = value + self.head() + number * self.each();
            memory.write(to, &room[..self.each()])?;
        }
        let mode = if sources.excludes { EXCLUDE } else { INCLUDE };
        let words = [mode, count as u32].map(u32::to_ne_bytes);
        memory.write(value + self.head() - 8, words.as_flattened())?;
        Ok(self.head() + told * self.each())
    }
}
