//! The Internet checksum, with and without the pseudo header.
#![forbid(unsafe_code)]

use crate::protocol;
use etherparse::checksum::Sum16BitWords;
use std::net::IpAddr;

/// Returns the checksum of `bytes`: 0 if they contain their own, right one.
pub fn of(bytes: &[u8]) -> u16 {
    Sum16BitWords::new()
        .add_slice(bytes)
        .ones_complement()
        .to_be()
}

/// Returns the checksum of `bytes` with the pseudo header of `protocol` between two addresses of
/// one family; 0 if the bytes contain their own, right one. Of addresses of two families it is the
/// checksum of something that nobody sends.
pub fn with_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, bytes: &[u8]) -> u16 {
    of_covered((source, destination, protocol), bytes, bytes.len())
}

/// The same where the checksum covers these bytes of a message of that length.
pub(crate) fn of_covered(pseudo: (IpAddr, IpAddr, u8), bytes: &[u8], length: usize) -> u16 {
    let (source, destination, protocol) = pseudo;
    let length = (length as u32).to_be_bytes();
    let mut sum = add_address(add_address(Sum16BitWords::new(), source), destination);
    sum = sum.add_4bytes(length).add_2bytes([0, protocol]);
    sum.add_slice(bytes).ones_complement().to_be()
}

/// Returns the sum of the pseudo header alone, which is what a sender leaves in the place of a
/// checksum that its hardware is to complete.
pub(crate) fn of_pseudo_header(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    length: usize,
) -> u16 {
    let sum = add_address(add_address(Sum16BitWords::new(), source), destination);
    let mut sum = sum.add_2bytes([0, protocol]);
    let length = (length as u32).to_be_bytes();
    !sum.add_4bytes(length).ones_complement().to_be()
}

fn add_address(mut sum: Sum16BitWords, address: IpAddr) -> Sum16BitWords {
    match address {
        IpAddr::V4(address) => sum.add_4bytes(address.octets()),
        IpAddr::V6(address) => sum.add_16bytes(address.octets()),
    }
}

/// Writes the checksum of the bytes from `start` on at `start + at`, where there is room for it.
/// `pseudo` has source, destination and protocol of the pseudo header. UDP's zero becomes ones.
pub(crate) fn fill(bytes: &mut [u8], at: usize, pseudo: Option<(IpAddr, IpAddr, u8)>) {
    let Some(place) = bytes.get_mut(at..at + 2) else {
        return;
    };
    place.copy_from_slice(&[0, 0]);
    let sum = match pseudo {
        Some((source, destination, protocol)) => {
            with_pseudo_header(source, destination, protocol, bytes)
        }
        None => of(bytes),
    };
    let zero = pseudo.is_some_and(|(_, _, carried)| carried == protocol::UDP);
    let sum = if sum == 0 && zero { 0xffff } else { sum };
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
