//! The flow of a packet that has nothing unusual in front of its ports, told without looking at
//! each header, and what an interface was last taught of such a flow.
#![forbid(unsafe_code)]

use crate::shm::layout::InterfaceState;
use crate::shm::{Lesson, SharedBytes};
use crate::uapi::{ETH_HLEN, ETH_P_IP, ETH_P_IPV6};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Bytes up to the end of the ports behind a header of IPv6.
const HEADERS: usize = 44;

/// What tells a flow of TCP or UDP over IP from others: equal for two packets only if they are of
/// one flow and go the same way.
#[derive(Clone, Copy)]
struct Brief([u64; 5]);

impl Brief {
    /// Returns None for fragments, and where there are options or extension headers.
    #[inline(always)]
    fn of(packet: SharedBytes<'_>, ethernet: bool) -> Option<Brief> {
        let network = if ethernet { ETH_HLEN } else { 0 };
        let ethertype = match ethernet {
            true => Some(u16::from_be_bytes([packet.get(12)?, packet.get(13)?])),
            false => None,
        };
        let packet = packet.part(network..network + HEADERS);
        match packet.get(0)? {
            0x45 if ethertype.is_none_or(|it| it == ETH_P_IP) => {
                let headers: [u8; 24] = beginning(packet)?;
                let is_whole = headers[6] & 0x3f == 0 && headers[7] == 0;
                // Time to live and checksum differ from packet to packet.
                let unlike = u64::from_ne_bytes([0xff, 0, 0xff, 0xff, 0, 0, 0, 0]);
                (is_whole && carries_ports(headers[9]))
                    .then(|| Brief([word(&headers, 1) & !unlike, word(&headers, 2), 0, 0, 0]))
            }
            0x60..=0x6f if ethertype.is_none_or(|it| it == ETH_P_IPV6) => {
                let headers: [u8; 44] = beginning(packet)?;
                let ports =
                    u32::from_ne_bytes([headers[40], headers[41], headers[42], headers[43]]);
                let kind = u64::from(headers[6]) << 32 | 6 << 40;
                let [a, b, c, d] = [1, 2, 3, 4].map(|at| word(&headers, at));
                carries_ports(headers[6]).then(|| Brief([u64::from(ports) | kind, a, b, c, d]))
            }
            _ => None,
        }
    }
    /// Do these cells say the same?
    #[inline(always)]
    fn is_in(&self, cells: &[AtomicU64; 5]) -> bool {
        let unlike = |(word, cell): (&u64, &AtomicU64)| word ^ cell.load(Relaxed);
        let all = self.0.iter().zip(cells).map(unlike);
        all.fold(0, |some, more| some | more) == 0
    }
}

/// The first bytes of a packet that has so many.
#[inline(always)]
fn beginning<const N: usize>(packet: SharedBytes<'_>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (packet.first(N).copy_to(&mut bytes) == N).then_some(bytes)
}

/// A word of eight bytes of a header.
#[inline(always)]
fn word(header: &[u8], at: usize) -> u64 {
    let (words, _) = header.as_chunks::<8>();
    u64::from_ne_bytes(words[at])
}

fn carries_ports(protocol: u8) -> bool {
    [libc::IPPROTO_TCP, libc::IPPROTO_UDP].contains(&i32::from(protocol))
}

/// What a tunnel has last taught its interface. It is used under the interface's lock.
#[derive(Default)]
pub struct Taught {
    flow: [AtomicU64; 5],
    queue: AtomicU32,
    place: AtomicU32,
    word: AtomicU32,
}

impl Taught {
    /// Teaches the interface that the program wrote this packet through the queue with this inode,
    /// so that answers go there. A flow that was taught last, and is still known, costs little.
    #[inline(never)]
    pub fn teach(&self, interface: &InterfaceState, inode: u64, packet: SharedBytes<'_>) {
        let brief = Brief::of(packet, interface.is_tap());
        let lesson = Lesson {
            queue: self.queue.load(Relaxed) as usize,
            place: self.place.load(Relaxed) as usize,
            word: self.word.load(Relaxed),
        };
        let is_last = brief.as_ref().is_some_and(|brief| brief.is_in(&self.flow));
        if is_last && interface.knows(lesson, inode) {
            return;
        }
        self.teach_anew(interface, inode, packet, brief);
    }

    #[inline(never)]
    fn teach_anew(
        &self,
        interface: &InterfaceState,
        inode: u64,
        packet: SharedBytes<'_>,
        brief: Option<Brief>,
    ) {
        let hash = super::flow_hash(|at| packet.get(at), interface.is_tap());
        let (Some(lesson), Some(brief)) = (interface.learn_flow(hash, inode), brief) else {
            return;
        };
        for (cell, word) in self.flow.iter().zip(brief.0) {
            cell.store(word, Relaxed);
        }
        self.queue.store(lesson.queue as u32, Relaxed);
        self.place.store(lesson.place as u32, Relaxed);
        self.word.store(lesson.word, Relaxed);
    }
}
