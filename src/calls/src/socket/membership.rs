//! Groups that a socket joins at an interface of the net, and their sources.
#![forbid(unsafe_code)]

use super::filter::{Form, IP_MSFILTER};
use super::option::{Joining, Named, OptionCall};
use crate::memory::Memory;
use memtun_abi::request::Designation;
use memtun_abi::Errno;
use memtun_stack::wire;
use std::net::IpAddr;

const EINVAL: Errno = Errno(libc::EINVAL);

impl<M: Memory> OptionCall<'_, M> {
    /// Returns the group that is joined or left where the value names no interface for that.
    pub(super) fn group_without_interface(&self, bytes: &[u8]) -> Option<IpAddr> {
        if !self.shape().is_of_group() {
            return None;
        }
        let is_zero = |at: usize| {
            bytes
                .get(at..)
                .is_none_or(|rest| rest.iter().take(4).all(|byte| *byte == 0))
        };
        let without = match self.option.names {
            Designation::Index(at) => is_zero(at),
            Designation::AddressOrIndex(at) => is_zero(at) && is_zero(at + 4),
            Designation::Address(at) => is_zero(at),
            _ => false,
        };
        let group = self.shape().group(bytes).filter(|_| without)?;
        wire::ip_of(group).filter(IpAddr::is_multicast)
    }

    /// Returns the group that the value names, and the number under which the net keeps that the
    /// socket has joined it at an interface.
    fn named_group(&self, bytes: &[u8], index: u32) -> Result<(IpAddr, u64), Errno> {
        let group = self.shape().group(bytes).ok_or(EINVAL)?;
        let start = u64::from(index) << 1 | u64::from(self.shape().is_v6());
        let number = group.iter().fold(start, |number, byte| {
            (number ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
        Ok((wire::ip_of(group).ok_or(EINVAL)?, number))
    }

    /// Notes in the net that the socket has joined a group, or has left it. Returns whether that
    /// is new.
    fn note(&self, number: u64, joins: bool) -> Result<bool, Errno> {
        let _lock = self.net.lock()?;
        self.net.join_group(self.inode, number, joins)
    }

    /// Joins the group that the value names on an interface, or leaves it (`ip_mc_join_group`,
    /// `ip_mc_leave_group`).
    pub(super) fn join(&self, bytes: &[u8], index: u32, joins: bool) -> Result<(), Errno> {
        let (group, number) = self.named_group(bytes, index)?;
        match self.note(number, joins)? {
            true => {
                // It is noted, whatever the host process says.
                let _ = (self.joined)(&Joining {
                    group,
                    index,
                    joins,
                    source: None,
                });
                Ok(())
            }
            false if joins => Err(Errno(libc::EADDRINUSE)),
            false => Err(Errno(libc::EADDRNOTAVAIL)),
        }
    }

    /// Does the same for one source of the group (`ip_mc_source`).
    pub(super) fn join_source(
        &self,
        bytes: &[u8],
        index: u32,
        (blocks, adds): (bool, bool),
    ) -> Result<(), Errno> {
        let (group, number) = self.named_group(bytes, index)?;
        let source = self.shape().source(bytes).ok_or(EINVAL)?;
        if !group.is_multicast() {
            return Err(EINVAL);
        }
        let is_new = adds && !blocks && self.note(number, true)?;
        let left = (self.joined)(&Joining {
            group,
            index,
            joins: adds,
            source: Some((source, blocks)),
        });
        if is_new && left.is_err() || left == Ok(true) {
            self.note(number, false)?;
        }
        left.map(drop)
    }

    /// Sets all sources of the group that the value names (`ip_mc_msfilter`).
    pub(super) fn filter(
        &self,
        form: Form,
        (value, length): (usize, usize),
        bytes: &[u8],
        index: u32,
    ) -> Result<bool, Errno> {
        let (group, sources) = form.given(self.memory, value, length)?;
        if !sources.excludes && sources.iter().next().is_none() {
            return self.join(bytes, index, false).map(|()| true);
        }
        let joining = Joining {
            group,
            index,
            joins: true,
            source: None,
        };
        (self.filtered)(&joining, &sources).map(|()| true)
    }

    /// Tells all sources of a group (`ip_mc_gsfget`, `ip_mc_msfget`).
    pub(super) fn tell_sources(
        &self,
        form: Form,
        value: usize,
        length: usize,
    ) -> Result<bool, Errno> {
        let mut given = [0; 4];
        self.memory.read(length, &mut given)?;
        let room = i32::from_ne_bytes(given);
        // A length that is none is the kernel's to refuse.
        let Some(room) = usize::try_from(room).ok().filter(|_| self.is_for_socket()) else {
            return Ok(false);
        };
        let asked = form.asked(self.memory, value, room)?;
        let named = match (asked.index, asked.at) {
            (0, None) => {
                let index = (self.towards)(asked.group)?;
                let of_old = index.filter(|_| self.option.number == IP_MSFILTER);
                of_old.map_or(Ok(Named::Other), |index| self.by_index(index))
            }
            (0, at) => self.by_address(at),
            (index, _) => self.by_index(index),
        };
        let Named::Ours(index, _) = named? else {
            return Ok(false);
        };
        let joining = Joining {
            group: asked.group,
            index,
            joins: true,
            source: None,
        };
        let sources = (self.sources)(&joining)?;
        let told = form.tell(self.memory, value, &asked, &sources)?;
        self.memory
            .write(length, &(told as u32).to_ne_bytes())
            .map(|()| true)
    }

    /// Checks the group that the value names, where it names one.
    pub(super) fn check_group(&self, bytes: &[u8]) -> Result<(), Errno> {
        let is_group = match (self.option.level, self.option.names) {
            (libc::IPPROTO_IP, Designation::AddressOrIndex(_) | Designation::Address(_))
                if self.option.number != libc::IP_MULTICAST_IF =>
            {
                bytes.first().is_some_and(|first| first & 0xf0 == 0xe0)
            }
            (libc::IPPROTO_IPV6, Designation::Index(16)) => bytes.first() == Some(&0xff),
            _ => true,
        };
        if is_group {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }
}
