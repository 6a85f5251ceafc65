//! An interface that is read, and how packet sockets see what goes over it.
#![forbid(unsafe_code)]

use super::socket::Seen;
use memtun_shm::layout::{InterfaceState, SNIFFED};
use memtun_shm::log::Record;
use memtun_shm::Mapped;
use memtun_stack::sockets::raw::{Head, Shown};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Length in bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Least number that is an ethertype and no length.
const LEAST_ETHERTYPE: u16 = 0x600;

// PACKET_*.
const HOST: u8 = 0;
const BROADCAST: u8 = 1;
const MULTICAST: u8 = 2;
const OTHERHOST: u8 = 3;
const OUTGOING: u8 = 4;

/// An interface that is read.
pub(super) struct Reading {
    pub(super) index: u32,
    pub(super) interface: Mapped<InterfaceState>,
    pub(super) over: AtomicBool,
}

impl Reading {
    /// Ends it.
    pub(super) fn end(&self) {
        self.over.store(true, SeqCst);
        self.interface.filters.fetch_and(!SNIFFED, SeqCst);
        self.interface.log.announce();
        self.interface.log.ring();
    }

    /// Has it ended, or the interface?
    pub(super) fn is_over(&self) -> bool {
        self.over.load(SeqCst) || self.interface.is_gone()
    }

    /// Says how packet sockets see a packet; None for one that was refused.
    pub(super) fn seen<'p>(&self, bytes: &'p [u8], record: &Record) -> Option<Seen<'p>> {
        if record.refused.is_some() || self.interface.ifindex.load(Relaxed) != self.index {
            return None;
        }
        let mut head = Head {
            ifindex: self.index,
            link_type: self.interface.link_type.load(Relaxed) as u16,
            packet_type: HOST,
            protocol: record.ethertype,
            address: None,
            length: bytes.len() as u32,
            kept: bytes.len() as u32,
            network: 0,
            addresses: [[0; 16]; 2],
            hops: [0; 2],
            time: record.time_ns,
            options: Shown::default(),
        };
        if self.interface.is_tap() {
            let link = bytes.first_chunk::<ETHERNET>()?;
            let (to, own) = (&link[..6], self.interface.mac());
            head.packet_type = match to {
                to if to == own => HOST,
                to if to == [0xff; 6] => BROADCAST,
                to if to[0] & 1 != 0 => MULTICAST,
                _ => OTHERHOST,
            };
            head.protocol = ethertype(link, &bytes[ETHERNET..]);
            head.address = link[6..12].try_into().ok();
            head.network = ETHERNET as u16;
        }
        if record.inbound {
            head.packet_type = OUTGOING;
        }
        Some(Seen { bytes, head })
    }
}

/// Returns the protocol of a frame (`eth_type_trans`).
fn ethertype(link: &[u8; ETHERNET], payload: &[u8]) -> u16 {
    const ETH_P_802_3: u16 = 1;
    const ETH_P_802_2: u16 = 4;
    match u16::from_be_bytes([link[12], link[13]]) {
        number if number >= LEAST_ETHERTYPE => number,
        _ if payload.starts_with(&[0xff, 0xff]) => ETH_P_802_3,
        _ => ETH_P_802_2,
    }
}
