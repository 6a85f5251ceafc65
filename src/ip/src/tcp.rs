//! What is said of a TCP segment without a connection.
#![forbid(unsafe_code)]

use crate::{checksum, protocol, Head, NoRoom, Packet};
use etherparse::{TcpHeader, TcpHeaderSlice};

/// A TCP segment that has come in.
#[derive(Clone, Debug)]
pub struct Segment<'p> {
    /// Its header.
    pub header: TcpHeaderSlice<'p>,
    /// What it carries.
    pub payload: &'p [u8],
}

impl<'p> Segment<'p> {
    /// Reads the segment of a packet, and looks at its checksum.
    pub fn parse(packet: &Packet<'p>) -> Option<Segment<'p>> {
        let bytes = packet.payload();
        let header = TcpHeaderSlice::from_slice(bytes).ok()?;
        let (source, destination) = (packet.source, packet.destination);
        if checksum::with_pseudo_header(source, destination, protocol::TCP, bytes) != 0 {
            return None;
        }
        let payload = bytes.get(header.slice().len()..)?;
        Some(Segment { header, payload })
    }
}

/// Writes what a closed port answers to the segment of `packet`, as `tcp_v4_send_reset` and
/// `tcp_v6_send_reset` do. Returns its length, or None where nothing is said: a reset is not
/// answered, nor is what was sent to a group.
///
/// # Errors
///
/// [`NoRoom`] when `room` is too small.
pub fn reset(room: &mut [u8], packet: &Packet<'_>) -> Result<Option<usize>, NoRoom> {
    let Some(segment) = Segment::parse(packet) else {
        return Ok(None);
    };
    let (to, length) = (&segment.header, segment.payload.len() as u32);
    if to.rst() || packet.destination.is_multicast() {
        return Ok(None);
    }
    let mut answer = TcpHeader::new(to.destination_port(), to.source_port(), 0, 0);
    answer.rst = true;
    if to.ack() {
        answer.sequence_number = to.acknowledgment_number();
    } else {
        let flags = u32::from(to.syn()) + u32::from(to.fin());
        answer.ack = true;
        answer.acknowledgment_number = to
            .sequence_number()
            .wrapping_add(flags)
            .wrapping_add(length);
    }
    let mut head = Head::new(packet.destination, packet.source, protocol::TCP);
    // Without what belongs to congestion.
    head.traffic_class = packet.traffic_class & !3;
    let bytes = answer.to_bytes();
    let at = head.length();
    let place = room.get_mut(at..at + bytes.len()).ok_or(NoRoom)?;
    place.copy_from_slice(&bytes);
    let total = head.write(room, bytes.len())?;
    let pseudo = (head.source, head.destination, protocol::TCP);
    checksum::fill(&mut room[at..total], 16, Some(pseudo));
    Ok(Some(total))
}
