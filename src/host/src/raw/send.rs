//! What raw sockets send.
#![forbid(unsafe_code)]

use super::socket::Socket;
use super::sockets::Raw;
use crate::engine::route::lookup::Flow;
use crate::inet::route::Way;
use crate::inet::stack::Output;
use memtun_abi::Errno;
use memtun_ip::head::Head;
use memtun_ip::{checksum, icmp, protocol, Options, Packet};
use memtun_stack::sockets::raw::{set, Order, Sending, MACHINES_WAY};
use memtun_stack::state::View;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IPPROTO_RAW.
const RAW: u16 = 255;
const EINVAL: Errno = Errno(libc::EINVAL);

/// What a socket's packets are made by.
struct Facts {
    own: Option<IpAddr>,
    peer: Option<IpAddr>,
    id: u16,
    tos: u8,
    mark: u32,
    hops: [Option<u8>; 2],
    out: [u32; 2],
    discovery: i32,
    keeps_whole: bool,
    checksum: Option<usize>,
    options: Vec<u8>,
}

impl Facts {
    fn of(socket: &Socket) -> Facts {
        Facts {
            own: socket.own.filter(|own| !own.is_multicast()),
            peer: socket.peer,
            id: socket.id,
            tos: socket.tos(),
            mark: socket.mark(),
            hops: [socket.hops(false), socket.hops(true)],
            out: [socket.out(false), socket.out(true)],
            discovery: socket.discovery(),
            keeps_whole: socket.keeps_whole(),
            checksum: socket.checksum(),
            options: socket.ip_options(),
        }
    }
}

impl Raw {
    /// Sends a packet of a raw socket or an echo request (`raw_sendmsg`, `rawv6_sendmsg`,
    /// `ping_v4_sendmsg`, `ping_v6_sendmsg`). Returns what is answered.
    pub(super) fn send(
        &self,
        out: &mut Output<'_, '_>,
        order: &Order,
        rest: &[u8],
    ) -> Result<Vec<u8>, Errno> {
        let (sending, bytes) = Sending::of_bytes(rest).ok_or(EINVAL)?;
        let is_ping = order.kind.is_ping();
        if is_ping {
            self.identify(out.service.net(), order)?;
        }
        let facts = self.with(order, |socket| Facts::of(socket))?;
        let v6 = order.kind.family == libc::AF_INET6;
        let included = !is_ping
            && (order.bound.set & set::HEADER_INCLUDED != 0 || order.bound.protocol == RAW);
        let to = sending.to.or(facts.peer).ok_or(Errno(libc::EDESTADDRREQ))?;
        if to.is_ipv6() != v6 {
            return Err(EINVAL);
        }
        let group = usize::from(to.is_multicast());
        let carried = match order.bound.protocol {
            RAW if v6 && !included && sending.port != 0 => sending.port as u8,
            protocol => protocol as u8,
        };
        let any: IpAddr = match v6 {
            true => Ipv6Addr::UNSPECIFIED.into(),
            false => Ipv4Addr::UNSPECIFIED.into(),
        };
        let given = sending.from.or(facts.own);
        let (from, of) = match included {
            true if !v6 => source_of(bytes)?,
            true => (any, carried),
            false => (given.unwrap_or(any), carried),
        };
        let tos = sending.tos.unwrap_or(facts.tos);
        let view = out.view();
        let is_own = |address: Ipv4Addr| view.owns(address.into(), 0);
        let options = match facts.options.is_empty() || included {
            true => None,
            false => Options::set(&facts.options, &is_own).ok(),
        };
        let last = to;
        let hop = options.and_then(|options| options.first_hop());
        let to = hop.map_or(to, IpAddr::V4);
        let way = out.find(&Flow {
            from,
            oif: match sending.scope {
                0 => facts.out[group],
                index => index,
            },
            tos,
            mark: facts.mark,
            protocol: of,
            ..Flow::to(to)
        });
        if is_ping && goes_by_machine(out, &way) {
            return Ok(vec![MACHINES_WAY]);
        }
        let way = way.inspect_err(|e| out.count_no_route(*e, v6))?;
        if way.is_broadcast() && order.bound.set & set::BROADCAST == 0 {
            return Err(Errno(libc::EACCES));
        }
        let net = out.service.net();
        let too_long = |mtu: u32| {
            // In place of the port stand type and code of a message of ICMPv6 (`struct flowi6`).
            let kind = bytes.first_chunk().filter(|_| of == protocol::ICMP6 && v6);
            let port = kind.map_or(sending.port, |kind| u16::from_be_bytes(*kind));
            let to = SocketAddr::new(to, port);
            let _ = self.with(order, |socket| socket.too_long(net, to, mtu));
            Err(Errno(libc::EMSGSIZE))
        };
        if included {
            let mut packet = bytes.to_vec();
            if packet.len() > way.link_mtu as usize {
                return too_long(way.link_mtu);
            }
            if !v6 {
                complete(&mut packet, way.source, out.next_id() as u16)?;
            }
            return out.send(&packet, Some(&way)).map(|()| Vec::new());
        }
        let source = given.unwrap_or(way.source);
        let mut head = Head::new(source, to, carried);
        head.traffic_class = tos;
        let hops = match sending.hops {
            0 => facts.hops[group],
            hops => Some(hops),
        };
        head.hop_limit = hops.unwrap_or(way.hops);
        if !v6 {
            head.id = out.next_id() as u16;
        }
        let front = head.length();
        let more = options.map_or(0, |options| options.bytes().len());
        let whole = front + more + bytes.len();
        let never = matches!(
            facts.discovery,
            libc::IP_PMTUDISC_DO | libc::IP_PMTUDISC_PROBE
        );
        let mtu = match facts.discovery {
            libc::IP_PMTUDISC_PROBE.. => way.link_mtu,
            _ => way.mtu,
        };
        let fits = whole <= mtu as usize;
        // INTERFACE does not go in pieces either, unless a router makes them.
        let kept_whole = never || facts.discovery == libc::IP_PMTUDISC_INTERFACE;
        if !fits && (kept_whole || facts.keeps_whole) {
            return too_long(mtu);
        }
        // What goes in pieces has no mark against it (`__ip_make_skb`).
        head.dont_fragment = never || fits && facts.discovery == libc::IP_PMTUDISC_WANT;
        let mut packet = vec![0; front];
        packet.extend_from_slice(bytes);
        if is_ping {
            let message = &mut packet[front..];
            message[2..4].fill(0);
            message[4..6].copy_from_slice(&facts.id.to_be_bytes());
            let finished = icmp::finish(&mut packet, &head, bytes.len());
            finished.map_err(|_| Errno(libc::EMSGSIZE))?;
        } else {
            let written = head.write(&mut packet, bytes.len());
            written.map_err(|_| Errno(libc::EMSGSIZE))?;
        }
        if let (true, false, Some(at)) = (v6, is_ping, facts.checksum) {
            let payload = &mut packet[front..];
            payload.get_mut(at..at + 2).ok_or(EINVAL)?.fill(0);
            let sum = checksum::with_pseudo_header(source, to, carried, payload);
            let sum = if sum == 0 { 0xffff } else { sum };
            payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        let sent = out.send_with(&packet, options, last, &way);
        sent.map(|()| Vec::new())
    }
}

/// Is it the machine that knows the way?
fn goes_by_machine(out: &mut Output<'_, '_>, way: &Result<Way, Errno>) -> bool {
    if out.service.state().view != View::Merged {
        return false;
    }
    let view = out.view();
    match way {
        Err(_) => true,
        Ok(way) if way.is_local() => {
            let mut own = view.addresses.iter();
            !own.any(|own| own.local == way.next_hop || own.local == way.source)
        }
        Ok(way) => view.interface(way.ifindex).is_none(),
    }
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
