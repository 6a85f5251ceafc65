//! What leaves the engine, made what Linux would send.
#![forbid(unsafe_code)]

use crate::buffers;
use crate::ecn::{Ecn, CWR, ECE};
use crate::engine::WAITING;
use crate::fastopen::Place;
use crate::offer::Offer;
use crate::segment::{before, head, options, seal, Plain, ACK, HEADER, RST, SYN, URG};
use crate::sender::Piece;
use crate::stamps::{self, Stamps};
use crate::Emit;
use std::time::Duration;

/// What is known of the packets that have left.
pub(crate) struct Wire {
    /// The first sequence number, once a SYN has left.
    pub(crate) first: Option<u32>,
    /// The number after the last byte that has left.
    pub(crate) next: u32,
    /// The last window, as it stood there.
    pub(crate) window: u16,
    /// The SYN, or SYN and ACK, to be sent again.
    pub(crate) syn: Vec<u8>,
    /// Packets that have left.
    pub(crate) count: u64,
    /// No packet may be longer. The engine's own measure is that of the beginning.
    pub(crate) mtu: usize,
    /// The largest segment that we say we take.
    pub(crate) maximum: u16,
    /// What our SYN says beside that.
    pub(crate) says: Offer,
    pub(crate) stamps: Stamps,
    pub(crate) ecn: Ecn,
    /// The number of a RST that acknowledges nothing.
    pub(crate) bare_reset: Option<u32>,
    /// The option of the blocks beyond a gap that stands in the RST by which this side gives up.
    pub(crate) blocks: Vec<u8>,
    /// No RST leaves: the other end knows of no connection.
    pub(crate) silent: bool,
    pub(crate) hop_limit: u8,
    pub(crate) service: u8,
    /// What the SYN, or its answer, says beside what the engine knows: a cookie, and so many bytes
    /// that came with the SYN.
    pub(crate) cookie: Option<Place>,
    pub(crate) taken: u32,
    /// The number that the engine does not take any more, and by how much its windows are scaled;
    /// ours.
    pub(crate) edge: u32,
    engines_shift: u8,
    shift: u8,
    /// The same number as it was last told.
    pub(crate) told: u32,
    /// The largest window that is said, whatever the engine takes, and from where on it counts.
    limit: u32,
    limit_from: u32,
    /// Bytes that came beyond a gap.
    pub(crate) ahead: u32,
    identification: u16,
}

impl Wire {
    pub(crate) fn new(mtu: usize, maximum: u16, says: Offer, seed: u64) -> Wire {
        Wire {
            first: None,
            next: 0,
            window: 0,
            syn: Vec::new(),
            count: 0,
            mtu,
            maximum,
            says,
            stamps: Stamps::default(),
            ecn: Ecn::asking(says.asks_ecn),
            silent: false,
            bare_reset: None,
            blocks: Vec::new(),
            hop_limit: 64,
            service: 0,
            cookie: None,
            taken: 0,
            edge: 0,
            engines_shift: 0,
            shift: 0,
            told: 0,
            limit: says.window,
            limit_from: 0,
            ahead: 0,
            identification: (seed >> 32) as u16,
        }
    }

    /// One packet of the engine's. Its SYNs and RSTs leave; of its acknowledgements only what they
    /// allow is taken, because those that leave are ours.
    pub(crate) fn leave(&mut self, packet: &mut Vec<u8>, now: Duration, emit: &mut Emit<'_>) {
        let four = packet[0] >> 4 == 4;
        let at = if four { 20 } else { 40 };
        let Some(tcp) = packet.get(at..).filter(|tcp| tcp.len() >= HEADER) else {
            return;
        };
        let flags = tcp[13];
        if flags & RST != 0 {
            if self.silent {
                return;
            }
            // The engine's own end of a connection: as tcp_send_active_reset numbers it.
            if flags & ACK != 0 && self.first.is_some() {
                packet[at + 4..at + 8].copy_from_slice(&self.next.to_be_bytes());
                if let Some(number) = self.bare_reset {
                    packet[at + 4..at + 8].copy_from_slice(&number.to_be_bytes());
                    packet[at + 8..at + 12].fill(0);
                    packet[at + 13] = RST;
                    packet[at + 14..at + 16].fill(0);
                } else {
                    packet.truncate(at + HEADER);
                    self.stamps.option(now, packet);
                    packet.extend_from_slice(&self.blocks);
                    packet[at + 12] = ((packet.len() - at) as u8 / 4) << 4;
                    set_length(packet, at);
                }
            }
        } else if flags & SYN != 0 {
            let sequence = word(&tcp[4..]);
            self.first.get_or_insert(sequence);
            self.next = sequence.wrapping_add(1);
            self.options_of_syn(packet, at, now);
            packet[at + 13] |= self.ecn.of_syn(flags & ACK != 0);
            if flags & ACK != 0 && self.taken > 0 {
                let number = word(&packet[at + 8..]).wrapping_add(self.taken);
                packet[at + 8..at + 12].copy_from_slice(&number.to_be_bytes());
            }
        } else {
            let window = u32::from(u16::from_be_bytes([tcp[14], tcp[15]]));
            self.edge = word(&tcp[8..]).wrapping_add(window << self.engines_shift);
            return;
        }
        self.finish(packet, at, flags);
        seal(packet, at);
        if flags & SYN != 0 {
            self.syn.clear();
            self.syn.extend_from_slice(packet);
        }
        self.count += 1;
        emit(packet);
    }

    /// The other side scales no windows, so that nobody does.
    pub(crate) fn unscaled(&mut self) {
        (self.engines_shift, self.shift) = (0, 0);
    }

    /// By how much windows are scaled: the other side's, which are scaled by this, and ours. None
    /// where they are not.
    pub(crate) fn scales(&self, theirs: u8) -> Option<(u8, u8)> {
        let scaled = self.says.scale.is_some() && (self.shift, theirs) != (0, 0);
        scaled.then_some((theirs, self.shift))
    }

    /// The SYN and ACK is answered: what its window has allowed counts.
    pub(crate) fn begin(&mut self, expected: u32) {
        self.edge = expected.wrapping_add(self.window.into());
    }

    /// The connection is open, and the other side knows the window that our SYN has said.
    pub(crate) fn open(&mut self, expected: u32) {
        self.told = expected.wrapping_add(self.window.into());
        self.limit_from = expected;
    }

    /// Whether the window has become so much larger that the other side should know
    /// (tcp_cleanup_rbuf).
    pub(crate) fn has_opened(&self, expected: u32) -> bool {
        let told = self.told.wrapping_sub(expected);
        let told = if (told as i32) < 0 { 0 } else { told };
        let said = u32::from(self.window_at(expected)) << self.shift;
        said > 0 && said / 2 >= told
    }

    /// The window that the SYN has said, as a segment says it that is none (tcp_reqsk_send_ack).
    pub(crate) fn window_of_syn(&self) -> u16 {
        self.window >> self.shift
    }

    /// The window that is said with this acknowledgement.
    pub(crate) fn window_at(&self, expected: u32) -> u16 {
        let positive = |room: u32| if (room as i32) < 0 { 0 } else { room };
        let room = positive(self.edge.wrapping_sub(expected));
        let limit = self.limit_from.wrapping_add(self.limit + self.ahead);
        // Linux rounds its own measure up; what there is no room for is not said.
        let limit = positive(limit.wrapping_sub(expected)).div_ceil(1 << self.shift);
        // What was allowed once stays allowed.
        let told = positive(self.told.wrapping_sub(expected)) >> self.shift;
        let limit = limit.max(told);
        u16::try_from(limit.min(room >> self.shift)).unwrap_or(u16::MAX)
    }

    /// So much data has come in one piece: the window is no longer that of the beginning
    /// (tcp_grow_window).
    pub(crate) fn came(&mut self, size: usize) {
        const LEAST: usize = 128;
        if size >= LEAST {
            self.limit = self.limit.max(self.says.window);
        }
    }

    /// The program has read up to here; what it has is no burden any more. A window that grows has
    /// become larger by what has come.
    pub(crate) fn read(&mut self, read: u32) {
        let count = read.wrapping_sub(self.limit_from);
        self.limit_from = read;
        if self.says.grows {
            self.limit = self
                .limit
                .saturating_add(count.saturating_mul(2))
                .min(WAITING);
        }
    }

    /// A packet of an open connection leaves, with data or without.
    pub(crate) fn send(&mut self, plain: &Plain<'_>, piece: &Piece<'_>, emit: &mut Emit<'_>) {
        let data = piece.data;
        let mut packet = buffers::take();
        head(plain, data.0.len() + data.1.len(), &mut packet);
        packet.extend_from_slice(data.0);
        packet.extend_from_slice(data.1);
        let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
        self.window = plain.window;
        self.told = plain
            .acknowledgement
            .wrapping_add(u32::from(plain.window) << self.shift);
        if piece.urgent > 0 {
            packet[at + 13] |= URG;
            packet[at + 18..at + 20].copy_from_slice(&piece.urgent.to_be_bytes());
        }
        // What was sent before stands before `next`.
        let fresh = piece.len() > 0 && !before(plain.sequence, self.next);
        let (flags, mark) = self.ecn.of_segment(fresh);
        packet[at + 13] |= flags;
        self.finish(&mut packet, at, plain.flags);
        packet[1] |= if at == 20 { mark } else { mark << 4 };
        seal(&mut packet, at);
        self.count += 1;
        emit(&packet);
        buffers::put(packet);
    }

    /// The fields of IP that are ours.
    fn finish(&mut self, packet: &mut [u8], at: usize, flags: u8) {
        if at == 20 {
            packet[1] = self.service;
            packet[8] = self.hop_limit;
            // A SYN and ACK has none, as Linux's has not.
            if flags & (SYN | ACK) != SYN | ACK {
                packet[4..6].copy_from_slice(&self.identification.to_be_bytes());
                self.identification = self.identification.wrapping_add(1);
            }
        } else {
            packet[0] = 0x60 | self.service >> 4;
            packet[1] = (packet[1] & 15) | self.service << 4;
            packet[7] = self.hop_limit;
        }
    }

    /// The options of a SYN in Linux's order, and Linux's first window.
    fn options_of_syn(&mut self, packet: &mut Vec<u8>, at: usize, now: Duration) {
        let old = packet[at + HEADER..].to_vec();
        let scales = options(&old).find_map(|option| match option {
            (3, &[shift]) => Some(shift),
            _ => None,
        });
        packet.truncate(at + HEADER);
        packet.extend([2, 4]);
        packet.extend(self.maximum.to_be_bytes());
        let says = self.says;
        if says.timestamps {
            packet.extend(match says.selective {
                true => [4, 2],
                false => [1, 1],
            });
            packet.extend(self.stamps.bare(now));
        } else if says.selective {
            packet.extend([1, 1, 4, 2]);
        }
        // The engine has a scale of its own, by which what it says is read.
        (self.engines_shift, self.shift) = (0, 0);
        if let (Some(shift), Some(engines)) = (says.scale, scales) {
            packet.extend([1, 3, 3, shift]);
            (self.engines_shift, self.shift) = (engines, shift);
        }
        if let Some(cookie) = self.cookie {
            cookie.option(packet);
        }
        let length = packet.len() - at;
        packet[at + 12] = (length as u8 / 4) << 4;
        let stamps = match says.timestamps && packet[at + 13] & ACK != 0 {
            true => stamps::LENGTH as u32,
            false => 0,
        };
        let window = says.first_window(u32::from(self.maximum).saturating_sub(stamps));
        self.window = u16::try_from(window).unwrap_or(u16::MAX);
        self.limit = self.says.window.min(window);
        packet[at + 14..at + 16].copy_from_slice(&self.window.to_be_bytes());
        set_length(packet, at);
    }

    /// The SYN leaves again.
    pub(crate) fn again(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let at = match self.syn.first() {
            Some(first) if first >> 4 == 6 => 40,
            _ => 20,
        };
        // Somebody on the way may not like it (tcp_ecn_clear_syn).
        let flags = at + 13;
        if self
            .syn
            .get(flags)
            .is_some_and(|&it| it & (ACK | CWR) == CWR)
        {
            self.syn[flags] &= !(ECE | CWR);
            seal(&mut self.syn, at);
        }
        // Its timestamp lies behind the largest segment.
        let place = at + HEADER + 8;
        if self.says.timestamps && self.syn.len() >= place + 4 {
            let value = self.stamps.clock(now);
            self.syn[place..place + 4].copy_from_slice(&value.to_be_bytes());
            seal(&mut self.syn, at);
        }
        self.count += 1;
        emit(&self.syn);
    }
}

/// Writes into the header of IP how long the packet is.
fn set_length(packet: &mut [u8], at: usize) {
    if at == 20 {
        let total = packet.len() as u16;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
    } else {
        let length = packet.len() as u16 - 40;
        packet[4..6].copy_from_slice(&length.to_be_bytes());
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
