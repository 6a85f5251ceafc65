//! The flow of a packet that has nothing unusual in front of its ports, told without looking at
//! each header, and what an interface was last taught of such a flow.
#![forbid(unsafe_code)]

use crate::shm::layout::InterfaceState;
use crate::shm::{Lesson, SharedBytes};
use crate::uapi::{ETH_HLEN, ETH_P_IP, ETH_P_IPV6};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What tells a flow of TCP or UDP over IP from others: equal for two packets only if they are of
/// one flow and go the same way. The lowest byte of the first word is the version.
#[derive(Clone, Copy)]
enum Brief {
    V4([u64; 2]),
    V6([u64; 5]),
}

impl Brief {
    /// Returns None for fragments, and where there are options or extension headers.
    #[inline(always)]
    fn of(packet: SharedBytes<'_>, ethernet: bool) -> Option<Brief> {
        let ethertype = match ethernet {
            true => {
                let [words] = packet.words(ETH_HLEN - 6)?;
                let [.., high, low, _, _] = words.to_le_bytes();
                Some(u16::from_be_bytes([high, low]))
            }
            false => None,
        };
        let is = |wanted| ethertype.is_none_or(|it| it == wanted);
        let words = network_words(packet, ethernet)?;
        let [version, .., sixth, _] = words[0].to_le_bytes();
        if version == 0x45 && is(ETH_P_IP) {
            return v4(words).map(Brief::V4);
        }
        if version >> 4 == 6 && is(ETH_P_IPV6) {
            let [_, a, b, c, d, ports] = network_words(packet, ethernet)?;
            let [e, f, g, h, ..] = ports.to_le_bytes();
            let way = u64::from_le_bytes([6, sixth, 0, 0, e, f, g, h]);
            return carries_ports(sixth).then_some(Brief::V6([way, a, b, c, d]));
        }
        None
    }

    fn words(&self) -> &[u64] {
        match self {
            Brief::V4(words) => words,
            Brief::V6(words) => words,
        }
    }

    /// Do these cells say the same?
    #[inline(always)]
    fn is_in(&self, cells: &[AtomicU64; 5]) -> bool {
        match self {
            Brief::V4(words) => are_in(words, cells),
            Brief::V6(words) => are_in(words, cells),
        }
    }
}

/// What tells a flow by the first words of an IPv4 header without options.
#[inline(always)]
fn v4([first, second, third]: [u64; 3]) -> Option<[u64; 2]> {
    // Time to live and checksum differ from packet to packet.
    let [_, protocol, _, _, a, b, c, d] = second.to_le_bytes();
    let way = u64::from_le_bytes([4, protocol, 0, 0, a, b, c, d]);
    let [version, .., sixth, seventh] = first.to_le_bytes();
    let is_whole = version == 0x45 && sixth & 0x3f == 0 && seventh == 0;
    (is_whole && carries_ports(protocol)).then_some([way, third])
}

/// Do the first of these cells have these words?
#[inline(always)]
fn are_in<const N: usize>(words: &[u64; N], cells: &[AtomicU64; 5]) -> bool {
    let same = |(word, cell): (&u64, &AtomicU64)| *word == cell.load(Relaxed);
    words.iter().zip(cells).all(same)
}

/// The first words of the network header. That behind an Ethernet header does not begin with a word
/// of memory.
#[inline(always)]
fn network_words<const N: usize>(packet: SharedBytes<'_>, ethernet: bool) -> Option<[u64; N]> {
    if !ethernet {
        return packet.words(0);
    }
    let (low, high): ([u64; N], [u64; N]) = (packet.words(8)?, packet.words(16)?);
    const _: () = assert!(ETH_HLEN == 8 + 6);
    Some(std::array::from_fn(|at| low[at] >> 48 | high[at] << 16))
}

#[inline(always)]
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
        let is_last = !interface.is_tap()
            && packet
                .words(0)
                .and_then(v4)
                .is_some_and(|words| are_in(&words, &self.flow))
            && interface.knows(self.lesson(), inode);
        if !is_last {
            self.teach_late(interface, inode, packet);
        }
    }

    /// The same where the packet is not of the last flow, or none of IPv4 on a TUN, which are told
    /// first.
    #[inline(never)]
    fn teach_late(&self, interface: &InterfaceState, inode: u64, packet: SharedBytes<'_>) {
        let brief = Brief::of(packet, interface.is_tap());
        let is_last = brief.as_ref().is_some_and(|brief| brief.is_in(&self.flow));
        if !is_last || !interface.knows(self.lesson(), inode) {
            self.teach_anew(interface, inode, packet, brief);
        }
    }

    #[inline(always)]
    fn lesson(&self) -> Lesson {
        Lesson {
            queue: self.queue.load(Relaxed) as usize,
            place: self.place.load(Relaxed) as usize,
            word: self.word.load(Relaxed),
        }
    }

    #[cold]
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
        for (cell, word) in self.flow.iter().zip(brief.words()) {
            cell.store(*word, Relaxed);
        }
        self.queue.store(lesson.queue as u32, Relaxed);
        self.place.store(lesson.place as u32, Relaxed);
        self.word.store(lesson.word, Relaxed);
    }
}
