//! A packet socket or a raw one in the file by which the next host process knows of it, and by
//! which the files of /proc/net list it.
#![forbid(unsafe_code)]

use super::{octets_of, of_octets, Order, Setting, ORDER};
use crate::wire::{u16_at, u32_at};
use std::net::IpAddr;

/// A socket as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// What it is, and what it is bound to.
    pub order: Order,
    /// The own address.
    pub own: Option<IpAddr>,
    /// The other end.
    pub peer: Option<IpAddr>,
    /// A bit for each type of ICMP that is not wanted.
    pub unwanted: [u32; 8],
    /// The identifier of a socket of echo requests, 0 for none.
    pub id: u16,
    /// The port of the other end.
    pub port: u16,
    /// What the program has chosen itself.
    pub chosen: u8,
}

/// What follows a socket: options, groups, and instructions of its filter.
pub type Rest<'b> = [&'b [u8]; 3];

/// Where the types of ICMP stand, the identifier, and how much follows.
const UNWANTED: usize = ORDER + 32;
const ID: usize = UNWANTED + 32;
const COUNTS: usize = ID + 8;
/// Length in bytes of a socket without what follows it.
const HEAD: usize = COUNTS + 12;

/// Length in bytes of a group: the interface, and the address.
pub const GROUP: usize = 20;

impl Kept {
    /// Returns the bytes, without what follows: so many options, groups and bytes of instructions.
    pub fn to_bytes(&self, counts: [usize; 3]) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..ORDER].copy_from_slice(&self.order.to_bytes());
        bytes[ORDER..ORDER + 16].copy_from_slice(&octets_of(self.own));
        bytes[ORDER + 16..UNWANTED].copy_from_slice(&octets_of(self.peer));
        let unwanted = self.unwanted.map(u32::to_ne_bytes);
        bytes[UNWANTED..ID].copy_from_slice(unwanted.as_flattened());
        let halves = [self.id, self.port, self.chosen.into(), 0].map(u16::to_ne_bytes);
        bytes[ID..COUNTS].copy_from_slice(halves.as_flattened());
        let counts = counts.map(|count| (count as u32).to_ne_bytes());
        bytes[COUNTS..].copy_from_slice(counts.as_flattened());
        bytes
    }

    /// Reads a socket, what follows it, and the bytes of the next one.
    pub fn of_bytes(bytes: &[u8]) -> Option<(Kept, Rest<'_>, &[u8])> {
        let (order, _) = Order::of_bytes(bytes)?;
        let octets = |at: usize| bytes.get(at..at + 16)?.try_into().ok();
        let mut unwanted = [0; 8];
        for (at, word) in unwanted.iter_mut().enumerate() {
            *word = u32_at(bytes, UNWANTED + 4 * at)?;
        }
        let half = |at: usize| u16_at(bytes, ID + 2 * at);
        let kept = Kept {
            order,
            own: of_octets(octets(ORDER)?),
            peer: of_octets(octets(ORDER + 16)?),
            unwanted,
            id: half(0)?,
            port: half(1)?,
            chosen: half(2)? as u8,
        };
        let length = |at: usize, size: usize| {
            let count = u32_at(bytes, COUNTS + 4 * at)?;
            (count as usize).checked_mul(size)
        };
        let rest = bytes.get(HEAD..)?;
        let (options, rest) = rest.split_at_checked(length(0, Setting::LENGTH)?)?;
        let (groups, rest) = rest.split_at_checked(length(1, GROUP)?)?;
        let (program, rest) = rest.split_at_checked(length(2, 1)?)?;
        Some((kept, [options, groups, program], rest))
    }

    /// The own port, as lists of sockets show it.
    pub fn own_port(&self) -> u16 {
        match self.order.kind.is_ping() {
            true => self.id,
            false => self.order.bound.protocol,
        }
    }
}
