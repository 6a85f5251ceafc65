//! Packets for the wire, and what a test wants to know about one that came back.

use std::net::{IpAddr, SocketAddr};

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};

/// The ethertype for the version of an IP packet. It panics when the bytes are no IP packet.
pub fn ethertype_of_ip(packet: &[u8]) -> u16 {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => 0x0800,
        Some(6) => 0x86dd,
        other => panic!("not an IP packet: version {other:?}"),
    }
}

/// An IPv4 or IPv6 packet with a UDP datagram in it, checksums included.
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), 64)
            .udp(from.port(), to.port())
            .write(&mut packet, payload),
        (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), 64)
            .udp(from.port(), to.port())
            .write(&mut packet, payload),
        _ => panic!("{from} and {to} are of different families"),
    }
    .expect("a packet fits into memory");
    packet
}

/// An ICMP or ICMPv6 echo request.
pub fn ping(from: IpAddr, to: IpAddr, seq: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    match (from, to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => PacketBuilder::ipv4(a.octets(), b.octets(), 64)
            .icmpv4_echo_request(0x6d74, seq)
            .write(&mut packet, payload),
        (IpAddr::V6(a), IpAddr::V6(b)) => PacketBuilder::ipv6(a.octets(), b.octets(), 64)
            .icmpv6_echo_request(0x6d74, seq)
            .write(&mut packet, payload),
        _ => panic!("{from} and {to} are of different families"),
    }
    .expect("a packet fits into memory");
    packet
}

/// The packet in an Ethernet frame to the broadcast address, which a bridge floods.
pub fn frame(source: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend_from_slice(&source);
    frame.extend_from_slice(&ethertype_of_ip(packet).to_be_bytes());
    frame.extend_from_slice(packet);
    frame
}

/// `len` bytes that differ from packet to packet and from byte to byte.
pub fn payload(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + number * 13) as u8).collect()
}

/// Source, destination and payload of a UDP packet whose checksums are right; `None` for anything
/// else.
pub fn read_udp(packet: &[u8]) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let (from, to): (IpAddr, IpAddr) = match &sliced.net {
        Some(etherparse::NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let right = header.to_header().calc_header_checksum() == header.header_checksum();
            assert!(right, "IPv4 header checksum of {packet:02x?}");
            (
                header.source_addr().into(),
                header.destination_addr().into(),
            )
        }
        Some(etherparse::NetSlice::Ipv6(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        _ => return None,
    };
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else {
        return None;
    };
    let header = udp.to_header();
    let sum = match (from, to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            header.calc_checksum_ipv4_raw(a.octets(), b.octets(), udp.payload())
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            header.calc_checksum_ipv6_raw(a.octets(), b.octets(), udp.payload())
        }
        _ => return None,
    };
    assert_eq!(sum.ok(), Some(header.checksum), "UDP checksum");
    Some((
        SocketAddr::new(from, udp.source_port()),
        SocketAddr::new(to, udp.destination_port()),
        udp.payload().to_vec(),
    ))
}

/// Addresses, type, sequence number and payload of an ICMP or ICMPv6 echo packet.
pub fn read_echo(packet: &[u8]) -> Option<(IpAddr, IpAddr, u8, u16, Vec<u8>)> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let (from, to): (IpAddr, IpAddr) = match &sliced.net {
        Some(etherparse::NetSlice::Ipv4(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        Some(etherparse::NetSlice::Ipv6(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        _ => return None,
    };
    let message = match &sliced.transport {
        Some(TransportSlice::Icmpv4(icmp)) => icmp.slice(),
        Some(TransportSlice::Icmpv6(icmp)) => icmp.slice(),
        _ => return None,
    };
    let seq = u16::from_be_bytes([message[6], message[7]]);
    Some((from, to, message[0], seq, message[8..].to_vec()))
}
