//! A packet in pieces, as `ip_do_fragment` and `ip6_fragment` make them.
#![forbid(unsafe_code)]

use crate::head::refresh_checksum;
use crate::NoRoom;

/// The pieces of a packet, one after the other. Whether it may be fragmented is the caller's to
/// say.
#[derive(Clone, Debug)]
pub struct Fragments<'p> {
    packet: &'p [u8],
    /// Length of the headers that every piece has.
    header: usize,
    /// Where the number of the next header stands, in IPv6.
    named_at: usize,
    mtu: usize,
    id: u32,
    /// How much of the payload has been given out.
    done: usize,
    v6: bool,
}

impl<'p> Fragments<'p> {
    /// Begins to take a whole packet to pieces of `mtu` bytes at most. `id` identifies the pieces
    /// of an IPv6 packet; one of IPv4 has its own.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when the MTU has no room for eight bytes of the payload, or the packet is none.
    pub fn of(packet: &'p [u8], mtu: usize, id: u32) -> Result<Fragments<'p>, NoRoom> {
        let v6 = match packet.first().map(|first| first >> 4) {
            Some(4) => false,
            Some(6) if packet.len() >= 40 => true,
            _ => return Err(NoRoom),
        };
        let (header, named_at) = match v6 {
            true => unfragmentable(packet).ok_or(NoRoom)?,
            false => (usize::from(packet[0] & 15) * 4, 0),
        };
        let extra = if v6 { 8 } else { 0 };
        if header < 20 || packet.len() < header || mtu < header + extra + 8 {
            return Err(NoRoom);
        }
        Ok(Fragments {
            packet,
            header,
            named_at,
            mtu,
            id,
            done: 0,
            v6,
        })
    }

    /// Writes the next piece into `room`, and returns its length; None behind the last one.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] when `room` is shorter than the piece.
    pub fn next(&mut self, room: &mut [u8]) -> Result<Option<usize>, NoRoom> {
        let payload = self.packet.len() - self.header;
        if self.done >= payload {
            return Ok(None);
        }
        let extra = if self.v6 { 8 } else { 0 };
        let mut length = (payload - self.done).min(self.mtu - self.header - extra);
        if self.done + length < payload {
            length &= !7;
        }
        let (front, total) = (self.header + extra, self.header + extra + length);
        let room = room.get_mut(..total).ok_or(NoRoom)?;
        room[..self.header].copy_from_slice(&self.packet[..self.header]);
        let from = self.header + self.done;
        room[front..].copy_from_slice(&self.packet[from..from + length]);
        let more = self.done + length < payload;
        match self.v6 {
            true => self.head_v6(room, more),
            false => self.head_v4(room, more),
        }
        self.done += length;
        Ok(Some(total))
    }

    fn head_v4(&self, room: &mut [u8], more: bool) {
        let total = room.len() as u16;
        // A packet that is itself a piece stays one.
        let before = u16::from_be_bytes([room[6], room[7]]);
        let offset = (before & 0x1fff) + (self.done / 8) as u16;
        let flag = if more { 0x2000 } else { before & 0x2000 };
        room[2..4].copy_from_slice(&total.to_be_bytes());
        room[6..8].copy_from_slice(&(offset | flag).to_be_bytes());
        if self.done > 0 {
            blank_options(&mut room[20..self.header]);
        }
        refresh_checksum(room);
    }

    fn head_v6(&self, room: &mut [u8], more: bool) {
        let payload = (room.len() - 40) as u16;
        let header = self.header;
        room[header] = self.packet[self.named_at];
        room[header + 1] = 0;
        let word = self.done as u16 | u16::from(more);
        room[header + 2..header + 4].copy_from_slice(&word.to_be_bytes());
        room[header + 4..header + 8].copy_from_slice(&self.id.to_be_bytes());
        room[self.named_at] = 44;
        room[4..6].copy_from_slice(&payload.to_be_bytes());
    }
}

/// Turns the options that only the first piece has into no-operations, as `ip_options_fragment`.
fn blank_options(options: &mut [u8]) {
    let mut at = 0;
    while at < options.len() {
        let length = match options[at] {
            0 => return,
            1 => 1,
            _ => usize::from(options.get(at + 1).copied().unwrap_or(0)),
        };
        if length == 0 || at + length > options.len() {
            return;
        }
        if length > 1 && options[at] & 0x80 == 0 {
            options[at..at + length].fill(1);
        }
        at += length;
    }
}

/// Returns the length of what every piece of an IPv6 packet has, and where the number of the header
/// behind it stands.
fn unfragmentable(packet: &[u8]) -> Option<(usize, usize)> {
    let (mut at, mut named_at, mut routed) = (40, 6, false);
    loop {
        match packet[named_at] {
            0 => {}
            43 => routed = true,
            60 if !routed => {}
            _ => return Some((at, named_at)),
        }
        let length = (usize::from(*packet.get(at + 1)?) + 1) * 8;
        if packet.len() < at + length {
            return None;
        }
        (named_at, at) = (at, at + length);
    }
}
