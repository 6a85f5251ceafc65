//! Of which sources a raw socket hears a group.
#![forbid(unsafe_code)]

use super::option::Outcome;
use super::{Packets, EINVAL};
use crate::host::Host;
use crate::memory::Memory;
use crate::socket::filter::Form;
use crate::socket::shape::{of_source, Shape};
use memtun_abi::request::{option_of, Designation};
use memtun_abi::Errno;
use memtun_stack::sockets::filter::{Sources, LONGEST};
use memtun_stack::sockets::raw::{octets_of, Action, Membership};
use memtun_stack::wire::{self, u32_at};
use std::net::{IpAddr, Ipv4Addr};

/// Bytes of the longest value about one source.
const VALUE: usize = 8 + 128 + 128;

impl<H: Host, M: Memory> Packets<'_, H, M> {
    /// Is the option about sources of a group?
    pub(super) fn is_of_sources(&self, level: i32, option: i32) -> bool {
        !self.kind.is_ping()
            && (of_source(level, option).is_some() || Form::of(level, option).is_some())
    }

    /// Sets such an option.
    pub(super) fn set_sources(
        &self,
        level: i32,
        option: i32,
        value: usize,
        length: usize,
    ) -> Result<(), Errno> {
        let option = option_of(level, option).ok_or(EINVAL)?;
        let shape = Shape(option);
        let least = shape.least();
        if length < least {
            return Err(EINVAL);
        }
        let mut bytes = [0; VALUE];
        let bytes = &mut bytes[..least];
        self.memory.read(value, bytes)?;
        let word = |at| u32_at(bytes, at).unwrap_or(0);
        let (index, at) = match option.names {
            Designation::Address(at) => (0, Ipv4Addr::from(u32::from_be(word(at)))),
            _ => (word(0), Ipv4Addr::UNSPECIFIED),
        };
        let of = |group| Membership {
            index,
            group,
            at: (!at.is_unspecified()).then_some(at.into()),
        };
        if let Some(form) = shape.filter() {
            let (group, sources) = form.given(self.memory, value, length)?;
            let parts = [&of(group).to_bytes()[..], sources.bytes()];
            return self.order(Action::Sources, &parts, &mut []).map(drop);
        }
        let group = shape.group(bytes).and_then(wire::ip_of);
        let group = group.filter(IpAddr::is_multicast).ok_or(EINVAL)?;
        let source = shape.source(bytes).ok_or(EINVAL)?;
        let (blocks, adds) = of_source(level, option.number).ok_or(EINVAL)?;
        let mut wish = [0; 18];
        (wish[0], wish[1]) = (adds.into(), blocks.into());
        wish[2..].copy_from_slice(&octets_of(Some(source)));
        let parts = [&of(group).to_bytes()[..], &wish];
        self.order(Action::Source, &parts, &mut []).map(drop)
    }

    /// Tells all sources of a group.
    pub(super) fn sources(
        &self,
        level: i32,
        option: i32,
        value: usize,
        room: usize,
    ) -> Result<Outcome, Errno> {
        let form = Form::of(level, option).ok_or(EINVAL)?;
        let asked = form.asked(self.memory, value, room)?;
        let of = Membership {
            index: asked.index,
            group: asked.group,
            at: asked.at.map(IpAddr::from),
        };
        let mut told = [0; LONGEST];
        let length = self.order(Action::GetSources, &[&of.to_bytes()], &mut told)?;
        let sources = Sources::of_bytes(&told[..length]).ok_or(EINVAL)?;
        form.tell(self.memory, value, &asked, &sources)
            .map(Outcome::Stored)
    }
}
