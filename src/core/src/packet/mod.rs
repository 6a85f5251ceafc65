//! Builds and parses UDP datagrams over IPv4, IPv6 and Ethernet, with etherparse.
#![forbid(unsafe_code)]

use crate::Error;
use etherparse::{
    IpNumber, Ipv4Header, Ipv6Header, LaxNetSlice, LaxSlicedPacket, TransportSlice, UdpHeader,
    UdpSlice,
};
use memtun_abi::error::Result;
use memtun_abi::uapi::{ETH_HLEN, ETH_P_IP, ETH_P_IPV6};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Source address of IPv4 datagrams for which the caller names none, as in Twisted's
/// `MemoryIOSystem.sendUDP`.
pub const SOURCE_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
/// Source address of IPv6 datagrams for which the caller names none.
pub const SOURCE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 2, 0, 0, 0, 0, 3);
/// Source port of datagrams for which the caller names none.
pub const SOURCE_PORT: u16 = 21345;

/// The source address to use for a destination. It is `source` with port 0 replaced by
/// [`SOURCE_PORT`]; without `source` it is the default address of the destination's family.
pub fn source_for(destination: SocketAddr, source: Option<SocketAddr>) -> SocketAddr {
    let default = match destination {
        SocketAddr::V4(_) => SocketAddr::from((SOURCE_V4, SOURCE_PORT)),
        SocketAddr::V6(_) => SocketAddr::from((SOURCE_V6, SOURCE_PORT)),
    };
    match source {
        Some(source) if source.port() == 0 => SocketAddr::new(source.ip(), SOURCE_PORT),
        Some(source) => source,
        None => default,
    }
}

/// An IP packet that carries this datagram, with right checksums and a time to live of 64.
///
/// # Errors
/// - EINVAL: the address families differ, or the payload does not fit into one datagram.
pub fn build(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Result<Vec<u8>> {
    let too_long = || {
        Error::new(
            libc::EINVAL,
            format!("{} bytes do not fit into one UDP datagram", payload.len()),
        )
    };
    let length = payload.len() + UdpHeader::LEN;
    let mut packet = Vec::with_capacity(Ipv6Header::LEN + length);
    let (from, to) = (source.port(), destination.port());
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            let payload_length = u16::try_from(length).map_err(|_| too_long())?;
            let mut ip = Ipv4Header::new(payload_length, 64, IpNumber::UDP, s.octets(), d.octets())
                .map_err(|_| too_long())?;
            ip.identification = 1;
            ip.dont_fragment = false;
            ip.header_checksum = ip.calc_header_checksum();
            let udp =
                UdpHeader::with_ipv4_checksum(from, to, &ip, payload).map_err(|_| too_long())?;
            packet.extend_from_slice(&ip.to_bytes());
            packet.extend_from_slice(&udp.to_bytes());
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let ip = Ipv6Header {
                payload_length: u16::try_from(length).map_err(|_| too_long())?,
                next_header: IpNumber::UDP,
                hop_limit: 64,
                source: s.octets(),
                destination: d.octets(),
                ..Default::default()
            };
            let udp =
                UdpHeader::with_ipv6_checksum(from, to, &ip, payload).map_err(|_| too_long())?;
            packet.extend_from_slice(&ip.to_bytes());
            packet.extend_from_slice(&udp.to_bytes());
        }
        (s, d) => {
            return Err(Error::new(
                libc::EINVAL,
                format!("no datagram goes from {s} to {d}: use two addresses of one family"),
            ));
        }
    }
    packet.extend_from_slice(payload);
    Ok(packet)
}

/// The ethertype of a packet in host byte order: that of the frame for a TAP, else the one that the
/// IP version stands for (0 when the version is neither 4 nor 6).
pub fn ethertype(packet: &[u8], tap: bool) -> u16 {
    memtun_kernel::link::transmit::ethertype(packet, tap)
}

/// An Ethernet frame around an IP packet, from 00:00:00:00:00:00 to ff:ff:ff:ff:ff:ff.
pub fn ethernet(ip_packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(ETH_HLEN + ip_packet.len());
    frame.extend_from_slice(&[0xff; 6]);
    frame.extend_from_slice(&[0; 6]);
    frame.extend_from_slice(&ethertype(ip_packet, false).to_be_bytes());
    frame.extend_from_slice(ip_packet);
    frame
}

/// A datagram that was found in a packet.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// Address that the datagram comes from.
    pub source: SocketAddr,
    /// Address that the datagram goes to.
    pub destination: SocketAddr,
    /// Bytes that the datagram carries.
    pub payload: &'a [u8],
}

/// Why the kernel drops a datagram on its way to the socket, in the order in which the kernel
/// looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// The checksum of the IPv4 header is wrong.
    IpChecksum,
    /// The IP length is longer than the packet, or shorter than its own header.
    IpLength,
    /// The UDP length is longer than the IP packet, or shorter than its own header.
    UdpLength,
    /// The UDP checksum is wrong.
    UdpChecksum,
}

/// What a packet is to somebody who receives datagrams.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found<'a> {
    /// It is a datagram.
    Datagram(Datagram<'a>),
    /// It is a datagram that a socket would not get, for this reason.
    Flawed(Flaw, Datagram<'a>),
    /// It is a fragment of a packet to this host.
    Fragment(IpAddr),
    /// It is of another protocol, or nothing that can be understood.
    Other,
}

/// The datagram in a packet; `None` for anything else, such as another protocol, a fragment, or a
/// wrong length or checksum.
pub fn parse(packet: &[u8], ethertype: u16, tap: bool) -> Option<Datagram<'_>> {
    match find(packet, ethertype, tap) {
        Found::Datagram(datagram) => Some(datagram),
        _ => None,
    }
}

/// Classifies a packet for somebody who receives datagrams.
pub fn find(packet: &[u8], ethertype: u16, tap: bool) -> Found<'_> {
    // The packet is parsed laxly, because a length that does not fit is to be named.
    let sliced = match (tap, ethertype) {
        (true, _) => LaxSlicedPacket::from_ethernet(packet).ok(),
        (false, ETH_P_IP | ETH_P_IPV6) => LaxSlicedPacket::from_ip(packet).ok(),
        _ => None,
    };
    sliced
        .and_then(|sliced| look_inside(&sliced))
        .unwrap_or(Found::Other)
}

fn look_inside<'a>(sliced: &LaxSlicedPacket<'a>) -> Option<Found<'a>> {
    let (from, to, payload, ip_flaw) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let known = header.to_header();
            let flaw = if known.calc_header_checksum() != known.header_checksum {
                Some(Flaw::IpChecksum)
            } else if usize::from(known.total_len) < known.header_len() {
                Some(Flaw::IpLength)
            } else {
                None
            };
            let from = IpAddr::V4(header.source_addr());
            let to = IpAddr::V4(header.destination_addr());
            (from, to, ip.payload(), flaw)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let from = IpAddr::V6(header.source_addr());
            let to = IpAddr::V6(header.destination_addr());
            (from, to, ip.payload(), None)
        }
        _ => return None,
    };
    let ip_flaw = ip_flaw.or(payload.incomplete.then_some(Flaw::IpLength));
    if payload.fragmented && payload.ip_number == IpNumber::UDP {
        return Some(Found::Fragment(to));
    }
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else {
        return None;
    };
    let flaw = ip_flaw.or_else(|| udp_flaw(udp, from, to, payload.payload.len()));
    let datagram = Datagram {
        source: SocketAddr::new(from, udp.source_port()),
        destination: SocketAddr::new(to, udp.destination_port()),
        payload: udp.payload(),
    };
    Some(match flaw {
        Some(flaw) => Found::Flawed(flaw, datagram),
        None => Found::Datagram(datagram),
    })
}

/// What is wrong with a datagram for which the IP packet has `room` bytes; `None` if nothing is.
fn udp_flaw(udp: &UdpSlice<'_>, from: IpAddr, to: IpAddr, room: usize) -> Option<Flaw> {
    let (header, payload) = (udp.to_header(), udp.payload());
    let length = usize::from(header.length);
    // A length of zero means the whole packet, over IPv6 only (RFC 2675).
    let whole = length == 0 && from.is_ipv6();
    if !whole && !(UdpHeader::LEN..=room).contains(&length) {
        return Some(Flaw::UdpLength);
    }
    let sum = match (from, to) {
        // A checksum of zero means that the sender made none (RFC 768).
        (IpAddr::V4(_), IpAddr::V4(_)) if header.checksum == 0 => Ok(0),
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            header.calc_checksum_ipv4_raw(s.octets(), d.octets(), payload)
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            header.calc_checksum_ipv6_raw(s.octets(), d.octets(), payload)
        }
        _ => return None,
    };
    (sum.ok() != Some(header.checksum)).then_some(Flaw::UdpChecksum)
}

/// One line of text about a packet, as far as it can be understood, such as `IPv4 10.1.2.3:21345 >
/// 10.0.0.1:7 UDP 5 bytes`.
pub fn describe(packet: &[u8], ethertype: u16, tap: bool) -> String {
    let sliced = match (tap, ethertype) {
        (true, _) => LaxSlicedPacket::from_ethernet(packet).ok(),
        (false, ETH_P_IP | ETH_P_IPV6) => LaxSlicedPacket::from_ip(packet).ok(),
        _ => None,
    };
    let plain = || format!("ethertype {ethertype:#06x} {} bytes", packet.len());
    let Some(sliced) = sliced else { return plain() };
    let (version, from, to, protocol) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let h = ip.header();
            (
                4,
                IpAddr::V4(h.source_addr()),
                IpAddr::V4(h.destination_addr()),
                h.protocol(),
            )
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let h = ip.header();
            (
                6,
                IpAddr::V6(h.source_addr()),
                IpAddr::V6(h.destination_addr()),
                ip.payload().ip_number,
            )
        }
        _ => return plain(),
    };
    let (ports, name, length) = match &sliced.transport {
        Some(TransportSlice::Udp(u)) => (
            Some((u.source_port(), u.destination_port())),
            "UDP".into(),
            u.payload().len(),
        ),
        Some(TransportSlice::Tcp(t)) => (
            Some((t.source_port(), t.destination_port())),
            "TCP".into(),
            t.payload().len(),
        ),
        Some(TransportSlice::Icmpv4(i)) => (None, "ICMP".into(), i.payload().len()),
        Some(TransportSlice::Icmpv6(i)) => (None, "ICMPv6".into(), i.payload().len()),
        _ => (None, format!("protocol {}", protocol.0), packet.len()),
    };
    match ports {
        Some((s, d)) => {
            let (from, to) = (SocketAddr::new(from, s), SocketAddr::new(to, d));
            format!("IPv{version} {from} > {to} {name} {length} bytes")
        }
        None => format!("IPv{version} {from} > {to} {name} {length} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flaw of a datagram of two bytes that `change` has changed; its IP checksum is made right
    /// again if `mend` is true.
    fn found(version: u8, mend: bool, change: impl Fn(&mut Vec<u8>)) -> Option<Flaw> {
        let (from, to) = match version {
            4 => ("10.0.0.1:1", "10.0.0.9:7"),
            _ => ("[fd00::1]:1", "[fd00::9]:7"),
        };
        let address = |text: &str| text.parse().expect("an address");
        let mut packet = build(address(from), address(to), b"hi").expect("a packet");
        change(&mut packet);
        if mend {
            let (header, _) = Ipv4Header::from_slice(&packet).expect("a header");
            packet[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
        }
        let of = |packet: &[u8], tap| match find(packet, ethertype(packet, tap), tap) {
            Found::Datagram(d) if d.payload == b"hi" => None,
            Found::Flawed(flaw, d) if d.destination == address(to) => Some(flaw),
            other => panic!("{other:?}"),
        };
        let flaw = of(&packet, false);
        assert_eq!(of(&ethernet(&packet), true), flaw, "in a frame");
        flaw
    }

    #[test]
    fn what_the_kernel_drops_is_no_datagram() {
        assert_eq!(found(4, false, |_| ()), None);
        assert_eq!(found(6, false, |_| ()), None);
        // The bytes behind the end of the IP packet are padding.
        assert_eq!(found(4, false, |p| p.extend([0; 20])), None);
        assert_eq!(found(6, false, |p| p.extend([0; 20])), None);
        assert_eq!(found(4, false, |p| p[10] ^= 1), Some(Flaw::IpChecksum));
        assert_eq!(found(4, false, |p| p[8] -= 1), Some(Flaw::IpChecksum));
        assert_eq!(found(4, true, |p| p[3] += 1), Some(Flaw::IpLength));
        assert_eq!(found(4, true, |p| p[3] = 19), Some(Flaw::IpLength));
        assert_eq!(found(6, false, |p| p[5] += 1), Some(Flaw::IpLength));
        for length in [0, 7, 11, 63] {
            assert_eq!(found(4, false, |p| p[25] = length), Some(Flaw::UdpLength));
        }
        for length in [7, 11, 63] {
            assert_eq!(found(6, false, |p| p[45] = length), Some(Flaw::UdpLength));
        }
        assert_eq!(found(4, false, |p| p[28] ^= 1), Some(Flaw::UdpChecksum));
        assert_eq!(found(6, false, |p| p[48] ^= 1), Some(Flaw::UdpChecksum));
        assert_eq!(found(4, false, |p| p[26..28].fill(0)), None);
        assert_eq!(
            found(6, false, |p| p[46..48].fill(0)),
            Some(Flaw::UdpChecksum)
        );
    }
}
