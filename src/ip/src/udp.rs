//! UDP datagrams.
#![forbid(unsafe_code)]

use crate::checksum;
use crate::{protocol, Head, NoRoom, Packet};

/// Length in bytes of a UDP header.
pub const HEADER: usize = 8;

/// Writes the headers of a datagram whose `payload` bytes the caller has put into `room` already,
/// behind `head.length() + HEADER` bytes. Returns the length of the packet.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small or the datagram is too long.
pub fn finish(
    room: &mut [u8],
    head: &Head,
    ports: (u16, u16),
    payload: usize,
) -> Result<usize, NoRoom> {
    let length = head.write(room, HEADER + payload)?;
    let datagram = &mut room[head.length()..length];
    datagram[..2].copy_from_slice(&ports.0.to_be_bytes());
    datagram[2..4].copy_from_slice(&ports.1.to_be_bytes());
    datagram[4..6].copy_from_slice(&((HEADER + payload) as u16).to_be_bytes());
    let pseudo = (head.source, head.destination, protocol::UDP);
    checksum::fill(datagram, 6, Some(pseudo));
    Ok(length)
}

/// Writes a whole datagram into `room`; `ports` are source and destination. Returns its length.
///
/// # Errors
///
/// The same as [`finish`].
pub fn write(
    room: &mut [u8],
    head: &Head,
    ports: (u16, u16),
    payload: &[u8],
) -> Result<usize, NoRoom> {
    let at = head.length() + HEADER;
    let place = room.get_mut(at..at + payload.len()).ok_or(NoRoom)?;
    place.copy_from_slice(payload);
    finish(room, head, ports, payload.len())
}

/// A datagram that has come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram<'p> {
    /// Port of the sender.
    pub source: u16,
    /// Port that it is for.
    pub destination: u16,
    /// What it carries.
    pub payload: &'p [u8],
}

/// Is this a datagram of UDP-Lite, of which the checksum covers as much as its length says?
pub fn is_lite(packet: &Packet<'_>) -> bool {
    let bytes = packet.payload();
    let Some(header) = bytes.get(..HEADER) else {
        return false;
    };
    let covered = match u16::from_be_bytes([header[4], header[5]]) {
        0 => bytes.len(),
        length => length.into(),
    };
    let pseudo = (packet.source, packet.destination, protocol::UDP_LITE);
    let sum = |covered: &[u8]| checksum::of_covered(pseudo, covered, bytes.len());
    covered >= HEADER && header[6..8] != [0, 0] && bytes.get(..covered).map(sum) == Some(0)
}

impl<'p> Datagram<'p> {
    /// Reads the datagram of a packet, and looks at its checksum, as `__udp4_lib_rcv` and
    /// `__udp6_lib_rcv` do. Without a checksum only IPv4 takes it.
    pub fn parse(packet: &Packet<'p>) -> Option<Datagram<'p>> {
        let bytes = packet.payload();
        let header = bytes.get(..HEADER)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let length = match usize::from(word(4)) {
            0 if packet.is_v6() => bytes.len(),
            length => length,
        };
        let bytes = bytes.get(..length).filter(|_| length >= HEADER)?;
        let unchecked = word(6) == 0;
        let right = match unchecked {
            true => !packet.is_v6(),
            false => {
                let (source, destination) = (packet.source, packet.destination);
                checksum::with_pseudo_header(source, destination, protocol::UDP, bytes) == 0
            }
        };
        right.then_some(Datagram {
            source: word(0),
            destination: word(2),
            payload: &bytes[HEADER..],
        })
    }
}
