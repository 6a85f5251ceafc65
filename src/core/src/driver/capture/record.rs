//! What a capture gives: packets, and the interfaces that they belong to.
#![forbid(unsafe_code)]

use crate::{Errno, Name};

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// The packet goes toward the program.
    Inbound,
    /// The packet comes from the program.
    Outbound,
}

/// A packet that was captured.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Captured {
    /// Name of the packet's interface.
    pub interface: Name,
    /// Index of the packet's interface.
    pub index: u32,
    /// Is the interface a TAP, which carries Ethernet frames?
    pub tap: bool,
    /// Hardware address of a TAP; `None` for a TUN.
    pub mac: Option<[u8; 6]>,
    /// MTU of the interface in bytes.
    pub mtu: u32,
    /// When the packet was recorded, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// Ethertype in host byte order; 0 where a refused packet does not have one.
    pub ethertype: u16,
    /// Which way the packet goes.
    pub direction: Direction,
    /// The error that the sender got when the packet was refused and went nowhere; `None` for a
    /// packet that was accepted.
    pub refused: Option<Errno>,
    /// The packet as the network sees it: without packet information and vnet header, and for a
    /// TAP the whole Ethernet frame.
    pub data: Vec<u8>,
}

/// An interface that is captured, whether or not it has had a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CapturedLink {
    /// Name of the interface now.
    pub interface: Name,
    /// Index of the interface.
    pub index: u32,
    /// Is the interface a TAP, which carries Ethernet frames?
    pub tap: bool,
    /// Hardware address of a TAP; `None` for a TUN.
    pub mac: Option<[u8; 6]>,
}

impl Captured {
    /// The packet's interface, as it was when the packet was recorded.
    pub fn link(&self) -> CapturedLink {
        CapturedLink {
            interface: self.interface,
            index: self.index,
            tap: self.tap,
            mac: self.mac,
        }
    }
}
