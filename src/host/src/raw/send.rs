//! What raw sockets send.
#![forbid(unsafe_code)]

use crate::engine::route::lookup::Flow;
use crate::inet::stack::Output;
use memtun_abi::Errno;
use memtun_ip::head::Head;
use memtun_ip::{checksum, protocol, Packet};
use memtun_stack::sockets::raw::{set, Order, Sending};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPPROTO_RAW.
const RAW: u16 = 255;
const EINVAL: Errno = Errno(libc::EINVAL);

/// Sends a packet of a raw socket (`raw_sendmsg`, `rawv6_sendmsg`).
pub(super) fn send(
    out: &mut Output<'_, '_>,
    order: &Order,
    [own, peer]: [Option<IpAddr>; 2],
    rest: &[u8],
) -> Result<(), Errno> {
    let (sending, bytes) = Sending::of_bytes(rest).ok_or(EINVAL)?;
    let v6 = order.kind.family == libc::AF_INET6;
    let included = order.bound.set & set::HEADER_INCLUDED != 0 || order.bound.protocol == RAW;
    let to = sending.to.or(peer).ok_or(Errno(libc::EDESTADDRREQ))?;
    if to.is_ipv6() != v6 {
        return Err(EINVAL);
    }
    let mut packet;
    let (from, carried) = match included {
        true => {
            packet = bytes.to_vec();
            match v6 {
                false => source_of(&packet)?,
                true => (Ipv6Addr::UNSPECIFIED.into(), order.bound.protocol as u8),
            }
        }
        false => {
            packet = Vec::new();
            let any = match v6 {
                true => Ipv6Addr::UNSPECIFIED.into(),
                false => Ipv4Addr::UNSPECIFIED.into(),
            };
            (
                sending.from.or(own).unwrap_or(any),
                order.bound.protocol as u8,
            )
        }
    };
    let way = out.find(&Flow {
        from,
        oif: match sending.scope {
            0 => order.bound.ifindex,
            index => index,
        },
        tos: sending.tos,
        protocol: carried,
        ..Flow::to(to)
    })?;
    if way.is_broadcast() && order.bound.set & set::BROADCAST == 0 {
        return Err(Errno(libc::EACCES));
    }
    if included {
        if !v6 {
            complete(&mut packet, way.source, out.next_id() as u16)?;
        }
    } else {
        let source = sending.from.or(own).unwrap_or(way.source);
        let mut head = Head::new(source, to, carried);
        head.traffic_class = sending.tos;
        head.hop_limit = match sending.hops {
            0 if to.is_multicast() => 1,
            0 => way.hops,
            hops => hops,
        };
        if !v6 {
            head.id = out.next_id() as u16;
        }
        let length = head.length();
        // What goes in pieces has no mark against it (`__ip_make_skb`).
        head.dont_fragment &= length + bytes.len() <= way.mtu as usize;
        packet = vec![0; length];
        packet.extend_from_slice(bytes);
        let written = head.write(&mut packet, bytes.len());
        written.map_err(|_| Errno(libc::EMSGSIZE))?;
        let at = match (v6, carried) {
            (true, protocol::ICMP6) => Some(2),
            _ => usize::try_from(sending.checksum).ok(),
        };
        if let (true, Some(at)) = (v6, at) {
            let payload = &mut packet[length..];
            payload.get_mut(at..at + 2).ok_or(EINVAL)?.fill(0);
            let sum = checksum::with_pseudo_header(source, to, carried, payload);
            let sum = if sum == 0 { 0xffff } else { sum };
            payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
    }
    out.send(&packet, Some(&way))
}

/// Returns the source and the protocol in a header that the program has made.
fn source_of(packet: &[u8]) -> Result<(IpAddr, u8), Errno> {
    let header = packet.first_chunk::<20>().ok_or(EINVAL)?;
    if usize::from(header[0] & 15) * 4 > packet.len() {
        return Err(EINVAL);
    }
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    Ok((source.into(), header[9]))
}

/// Completes the header of IPv4 that a program has made (`raw_send_hdrinc`): the source and the
/// identification where they are 0, the length and the checksum always.
fn complete(packet: &mut [u8], source: IpAddr, id: u16) -> Result<(), Errno> {
    let length = u16::try_from(packet.len()).map_err(|_| Errno(libc::EMSGSIZE))?;
    let header = usize::from(packet[0] & 15) * 4;
    if header < 20 {
        return Err(EINVAL);
    }
    if let (IpAddr::V4(source), [0, 0, 0, 0]) = (source, &packet[12..16]) {
        packet[12..16].copy_from_slice(&source.octets());
    }
    if packet[4..6] == [0, 0] {
        packet[4..6].copy_from_slice(&id.to_be_bytes());
    }
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[10..12].fill(0);
    let sum = checksum::of(&packet[..header]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    Packet::parse(packet).map(drop).map_err(|_| EINVAL)
}
