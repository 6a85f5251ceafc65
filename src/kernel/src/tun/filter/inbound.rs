//! What becomes of a frame on its way into a queue (`tun_net_xmit`).
#![forbid(unsafe_code)]

use super::addresses;
use crate::bpf::{self, Frame, Instruction};
use crate::net::NetDir;
use crate::shm::layout::{InterfaceState, TunnelState, BY_ADDRESS, BY_PROGRAM};
use crate::sys;
use crate::uapi::ETH_HLEN;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The program of a queue as an injector has read it.
#[derive(Default)]
pub struct KnownProgram(Mutex<Option<(u64, Arc<[Instruction]>)>>);

impl KnownProgram {
    /// Returns the program that the tunnel has now.
    fn of(&self, net: &NetDir, tunnel: &TunnelState) -> Option<Arc<[Instruction]>> {
        /// Number of attempts: the program may be replaced between two looks.
        const TRIES: usize = 8;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            let number = tunnel.filter.load(Acquire);
            if number == 0 {
                return None;
            }
            match &*known {
                Some((of, program)) if *of == number => return Some(program.clone()),
                _ => {}
            }
            if let Ok(program) = net.read_filter(number) {
                *known = Some((number, program.into()));
            }
        }
        None
    }
}

impl NetDir {
    /// Returns what is left of a frame behind the filters of an interface and of the queue `tunnel`
    /// that is to get it, which has the inode `inode`; None says that it is dropped, and counted.
    /// The ethertype is in host byte order. A caller needs this only
    /// where [`InterfaceState::filters`] is not 0.
    #[cold]
    #[inline(never)]
    pub fn filter_inbound<'f>(
        &self,
        interface: &InterfaceState,
        of: (u64, &TunnelState),
        known: &KnownProgram,
        frame: &'f [u8],
        ethertype: u16,
    ) -> Option<&'f [u8]> {
        let left = self.filter(interface, of, known, frame, ethertype);
        if left.is_none() {
            interface.stats.tx_dropped.fetch_add(1, Relaxed);
        }
        left
    }

    fn filter<'f>(
        &self,
        interface: &InterfaceState,
        (inode, tunnel): (u64, &TunnelState),
        known: &KnownProgram,
        frame: &'f [u8],
        ethertype: u16,
    ) -> Option<&'f [u8]> {
        let filters = interface.filters.load(Acquire);
        if filters & BY_ADDRESS != 0 && !addresses::take(&interface.addresses, frame) {
            return None;
        }
        if filters & BY_PROGRAM == 0 {
            return Some(frame);
        }
        let Some(program) = known.of(self, tunnel) else {
            return Some(frame);
        };
        let queue = interface.queue_inodes().position(|queue| queue == inode);
        let context = Frame {
            data: frame,
            network: network_header(interface, frame, ethertype),
            ethertype,
            ifindex: interface.ifindex.load(Relaxed),
            link_type: interface.link_type.load(Relaxed) as u16,
            packet_type: 0,
            queue: queue.unwrap_or_default() as u32,
            random: || sys::random() as u32,
            processor: sys::processor,
        };
        match bpf::run(&program, &context) as usize {
            0 => None,
            left => Some(&frame[..frame.len().min(left)]),
        }
    }
}

/// Returns the offset of the network header: behind the link header, and behind all VLAN tags, as a
/// packet socket sets it.
fn network_header(interface: &InterfaceState, frame: &[u8], ethertype: u16) -> usize {
    const VLAN: [u16; 2] = [0x8100, 0x88a8];
    const TAG: usize = 4;
    if !interface.is_tap() {
        return 0;
    }
    let (mut at, mut kind) = (ETH_HLEN, ethertype);
    while VLAN.contains(&kind) {
        let Some(tag) = frame.get(at..).and_then(<[u8]>::first_chunk::<TAG>) else {
            break;
        };
        kind = u16::from_be_bytes([tag[2], tag[3]]);
        at += TAG;
    }
    at
}
