//! What senders leave to their hardware.
#![forbid(unsafe_code)]

use crate::{checksum, protocol, Packet};

/// Completes a checksum of which only that of the pseudo header is there (NEEDS_CSUM of a vnet
/// header). Returns the packet as it is then; None of one whose checksum is complete, right or
/// wrong.
pub fn completed(packet: &Packet<'_>) -> Option<Vec<u8>> {
    let at = match packet.protocol {
        protocol::TCP => 16,
        protocol::UDP => 6,
        _ => return None,
    };
    let (source, destination) = (packet.source, packet.destination);
    let (bytes, carried) = (packet.payload(), packet.protocol);
    let begun = checksum::of_pseudo_header(source, destination, carried, bytes.len());
    if packet.fragment.is_some() || bytes.get(at..at + 2)? != begun.to_be_bytes() {
        return None;
    }
    let mut whole = packet.bytes().to_vec();
    let pseudo = Some((source, destination, carried));
    checksum::fill(&mut whole[packet.header_length()..], at, pseudo);
    Some(whole)
}
