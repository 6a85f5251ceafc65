//! What a capture gives: packets, and the interfaces that they are of.
#![forbid(unsafe_code)]

use crate::{Errno, Name};

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Toward the program.
    Inbound,
    /// From the program.
    Outbound,
}

/// A packet that was captured.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// Name of its interface.
    pub interface: Name,
    /// Index of its interface.
    pub index: u32,
    /// Layer 2?
    pub tap: bool,
    /// Hardware address of a tap.
    pub mac: Option<[u8; 6]>,
    /// Largest packet of its interface.
    pub mtu: u32,
    /// Nanoseconds since the epoch.
    pub time_ns: u64,
    /// Host byte order; 0 where a refused packet does not say.
    pub ethertype: u16,
    /// Toward the program or from it.
    pub direction: Direction,
    /// The error that whoever sent it got: it went nowhere.
    pub refused: Option<Errno>,
    /// As the network sees it: no packet information, no vnet header; a TAP's frame whole.
    pub data: Vec<u8>,
}

/// An interface that is captured, whether or not it has had a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CapturedLink {
    /// Its name now.
    pub interface: Name,
    /// Its index.
    pub index: u32,
    /// Layer 2?
    pub tap: bool,
    /// Hardware address of a tap.
    pub mac: Option<[u8; 6]>,
}

impl Captured {
    /// The interface that the packet is of, as it was then.
    pub fn link(&self) -> CapturedLink {
        CapturedLink {
            interface: self.interface,
            index: self.index,
            tap: self.tap,
            mac: self.mac,
        }
    }
}
