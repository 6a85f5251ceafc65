//! What leaves the engine, made what Linux would send.
#![forbid(unsafe_code)]

use std::time::Duration;

use crate::loss::Loss;
use crate::offer::Offer;
use crate::segment::{before, options, seal, ACK, FIN, HEADER, PSH, RST, SYN};
use crate::stamps::{self, Stamps};
use crate::Emit;

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
    /// When data last left.
    pub(crate) data_at: Option<Duration>,
    /// No packet may be longer. The engine's own measure is that of the beginning.
    pub(crate) mtu: usize,
    /// The largest segment that we say we take.
    pub(crate) maximum: u16,
    /// What our SYN says beside that.
    pub(crate) says: Offer,
    pub(crate) stamps: Stamps,
    /// By how much the engine scales its window, and by how much it is said to be.
    engines: u8,
    shift: u8,
    /// The number of a RST that acknowledges nothing.
    pub(crate) bare_reset: Option<u32>,
    /// No RST leaves: the other end knows of no connection.
    pub(crate) silent: bool,
    pub(crate) hop_limit: u8,
    pub(crate) service: u8,
    identification: u16,
    part: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(mtu: usize, maximum: u16, says: Offer, seed: u64) -> Wire {
        Wire {
            first: None,
            next: 0,
            window: 0,
            syn: Vec::new(),
            count: 0,
            data_at: None,
            mtu,
            maximum,
            says,
            stamps: Stamps::new((seed >> 16) as u32),
            engines: 0,
            shift: 0,
            silent: false,
            bare_reset: None,
            hop_limit: 64,
            service: 0,
            identification: (seed >> 32) as u16,
            part: Vec::new(),
        }
    }

    /// One packet of the engine's.
    pub(crate) fn leave(
        &mut self,
        packet: &mut Vec<u8>,
        loss: &mut Loss,
        now: Duration,
        emit: &mut Emit<'_>,
    ) {
        let four = packet[0] >> 4 == 4;
        let at = if four { 20 } else { 40 };
        let Some(tcp) = packet.get(at..).filter(|tcp| tcp.len() >= HEADER) else {
            return;
        };
        let flags = tcp[13];
        let header = usize::from(tcp[12] >> 4) * 4;
        let mut sequence = word(&tcp[4..]);
        if flags & RST != 0 && self.silent {
            return;
        }
        if flags & RST != 0 && flags & ACK != 0 && self.first.is_some() {
            // The engine's own end of a connection: as tcp_send_active_reset numbers it.
            sequence = self.next;
            packet[at + 4..at + 8].copy_from_slice(&sequence.to_be_bytes());
            if let Some(number) = self.bare_reset {
                packet[at + 4..at + 8].copy_from_slice(&number.to_be_bytes());
                packet[at + 8..at + 12].fill(0);
                packet[at + 13] = RST;
                packet[at + 14..at + 16].fill(0);
            }
        }
        let data = packet.len().saturating_sub(at + header) as u32;
        let taken = data + u32::from(flags & (SYN | FIN) != 0);
        let end = sequence.wrapping_add(taken);
        if flags & SYN != 0 {
            self.first.get_or_insert(sequence);
            self.next = end;
            self.options_of_syn(packet, at, now);
        } else if flags & RST == 0 {
            self.options_of_segment(packet, at, now);
            self.window = u16::from_be_bytes([packet[at + 14], packet[at + 15]]);
            if taken > 0 {
                loss.on_sent(sequence, end, now);
                self.data_at = Some(now);
            }
            if before(self.next, end) {
                self.next = end;
            }
        }
        if packet.len() > self.mtu && data > 0 {
            let header = usize::from(packet[at + 12] >> 4) * 4;
            self.cut(packet, at, header, emit);
        } else {
            self.finish(packet, at, flags);
            if flags & SYN != 0 {
                self.syn.clear();
                self.syn.extend_from_slice(packet);
            }
            self.count += 1;
            emit(packet);
        }
    }

    /// The fields of IP that are ours, and the checksums.
    fn finish(&mut self, packet: &mut [u8], at: usize, flags: u8) {
        if at == 20 {
            packet[1] = self.service;
            packet[8] = self.hop_limit;
            // A SYN and ACK has none, as Linux's has not.
            if flags & (SYN | ACK) != SYN | ACK {
                packet[4..6].copy_from_slice(&self.identification.to_be_bytes());
                self.identification = self.identification.wrapping_add(1);
            }
            let mut view = smoltcp::wire::Ipv4Packet::new_unchecked(&mut packet[..]);
            view.fill_checksum();
        } else {
            packet[0] = 0x60 | self.service >> 4;
            packet[1] = (packet[1] & 15) | self.service << 4;
            packet[7] = self.hop_limit;
        }
        if flags & (SYN | RST) != 0 || self.stamps.agreed || self.engines != self.shift {
            seal(packet, at);
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
        (self.engines, self.shift) = (0, 0);
        if let (Some(shift), Some(engines)) = (says.scale, scales) {
            packet.extend([1, 3, 3, shift]);
            (self.engines, self.shift) = (engines, shift);
        }
        let length = packet.len() - at;
        packet[at + 12] = (length as u8 / 4) << 4;
        let stamps = match says.timestamps && packet[at + 13] & ACK != 0 {
            true => stamps::LENGTH as u32,
            false => 0,
        };
        let window = says.first_window(u32::from(self.maximum).saturating_sub(stamps));
        self.window = u16::try_from(window).unwrap_or(u16::MAX);
        packet[at + 14..at + 16].copy_from_slice(&self.window.to_be_bytes());
        set_length(packet, at);
    }

    /// The SYN leaves again.
    pub(crate) fn again(&mut self, now: Duration, emit: &mut Emit<'_>) {
        let at = self.syn.first().map_or(20, |first| match first >> 4 {
            4 => 20,
            _ => 40,
        });
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

    /// The options of a segment in Linux's order, and the window in the scale that was said.
    fn options_of_segment(&mut self, packet: &mut Vec<u8>, at: usize, now: Duration) {
        let header = usize::from(packet[at + 12] >> 4) * 4;
        let window = u32::from(u16::from_be_bytes([packet[at + 14], packet[at + 15]]));
        let window = (window << self.engines) >> self.shift;
        let window = u16::try_from(window).unwrap_or(u16::MAX);
        packet[at + 14..at + 16].copy_from_slice(&window.to_be_bytes());
        if header == HEADER && !self.stamps.agreed {
            return;
        }
        let mut new = Vec::with_capacity(40);
        self.stamps.option(now, &mut new);
        for (kind, data) in options(&packet[at + HEADER..at + header]) {
            if kind == 5 {
                new.extend([1, 1, 5, data.len() as u8 + 2]);
                new.extend(data);
            }
        }
        packet[at + 12] = ((HEADER + new.len()) as u8 / 4) << 4;
        packet.splice(at + HEADER..at + header, new);
        set_length(packet, at);
    }

    /// A segment that is longer than the path takes now becomes several.
    fn cut(&mut self, packet: &[u8], at: usize, header: usize, emit: &mut Emit<'_>) {
        let head = at + header;
        let (sequence, flags) = (word(&packet[at + 4..]), packet[at + 13]);
        let size = self.mtu.saturating_sub(head).max(8);
        let mut part = std::mem::take(&mut self.part);
        let count = (packet.len() - head).div_ceil(size);
        for (index, data) in packet[head..].chunks(size).enumerate() {
            part.clear();
            part.extend_from_slice(&packet[..head]);
            part.extend_from_slice(data);
            let length = part.len() as u16;
            if at == 20 {
                part[2..4].copy_from_slice(&length.to_be_bytes());
            } else {
                part[4..6].copy_from_slice(&(length - 40).to_be_bytes());
            }
            let offset = (index * size) as u32;
            part[at + 4..at + 8].copy_from_slice(&sequence.wrapping_add(offset).to_be_bytes());
            if index + 1 < count {
                part[at + 13] = flags & !(PSH | FIN);
            }
            self.finish(&mut part, at, flags & !SYN);
            seal(&mut part, at);
            self.count += 1;
            emit(&part);
        }
        self.part = part;
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
