//! Packets that programs have written to their tunnels (`ip_rcv`, `ipv6_rcv`).
#![forbid(unsafe_code)]

use super::icmp::{self, answer};
use super::local::Local;
use super::meta::{Cast, Meta, Taken};
use super::neighbour::{self, arp};
use super::route::Verdict;
use super::stack::{clock, Output, Waiting};
use super::{forward, fragment};
use crate::engine::route::lookup::Flow;
use memtun_ip::ethernet::{self, Frame};
use memtun_ip::icmp::{v4, v6};
use memtun_ip::udp::{self, Datagram};
use memtun_ip::{group, offload, options, protocol, tcp, IcmpError, Options, Packet};
use memtun_stack::counters::{self, Counter};
use std::net::{IpAddr, Ipv4Addr};

/// How deep packets of this host to itself may follow from one another.
const MOST_TURNS: usize = 64;

/// Takes a frame that a program has written to the tunnel of an interface.
pub(super) fn frame(out: &mut Output<'_, '_>, local: &mut dyn Local, index: u32, bytes: &[u8]) {
    take(out, local, index, bytes);
    settle(out, local);
}

/// Hands up what has become due to be handed up, and tells the net's state what was learned.
pub(super) fn settle(out: &mut Output<'_, '_>, local: &mut dyn Local) {
    for _ in 0..MOST_TURNS {
        let Some(waiting) = out.stack.waiting.pop_front() else {
            break;
        };
        match waiting {
            Waiting::Error(meta, packet, error) => refused(out, local, &meta, &packet, error),
            Waiting::Packet(packet) => {
                let meta = Meta::new(crate::engine::route::lookup::LOOPBACK, Cast::Unicast);
                if let Ok(packet) = Packet::parse(&packet) {
                    out.counted(|table| counters::received(table, packet.bytes()));
                    let mut room = Vec::new();
                    if let Some((meta, packet)) = with_options(out, meta, packet, &mut room) {
                        deliver(out, local, &meta, &packet);
                    }
                }
            }
        }
    }
    neighbour::publish(out);
}

/// Tells whoever has sent a packet that it could not be sent.
fn refused(
    out: &mut Output<'_, '_>,
    local: &mut dyn Local,
    meta: &Meta,
    bytes: &[u8],
    error: IcmpError,
) {
    let Ok(packet) = Packet::parse(bytes) else {
        return;
    };
    match out.view().owns(packet.source, meta.ifindex) {
        true => {
            icmp::show(out, local, &packet, error);
            icmp::failed(out, local, meta, packet.source, bytes, error);
        }
        false => answer(out, meta, &packet, error, false),
    }
}

fn take(out: &mut Output<'_, '_>, local: &mut dyn Local, index: u32, bytes: &[u8]) {
    let view = out.view();
    let Some(interface) = view.interface(index).filter(|it| it.up) else {
        return;
    };
    let Some(own) = interface.mac else {
        return packet(out, local, index, bytes, false);
    };
    let Some(frame) = Frame::parse(bytes) else {
        return;
    };
    let for_us = frame.destination == own;
    let group = ethernet::is_group(frame.destination);
    if !for_us && !group {
        return;
    }
    match frame.ethertype {
        ethernet::ARP => arp::receive(out, interface, frame.payload, for_us),
        ethernet::IPV4 | ethernet::IPV6 => {
            let version = frame.payload.first().map(|first| first >> 4);
            let right = match frame.ethertype {
                ethernet::IPV4 => 4,
                _ => 6,
            };
            if version == Some(right) {
                packet(out, local, index, frame.payload, group);
            }
        }
        _ => {}
    }
}

/// Takes an IP packet. `group` says that its frame was not for this host alone.
fn packet(out: &mut Output<'_, '_>, local: &mut dyn Local, index: u32, bytes: &[u8], group: bool) {
    let Ok(packet) = Packet::parse(bytes) else {
        let v6 = bytes.first().is_some_and(|first| first >> 4 == 6);
        out.counted(|table| counters::received(table, bytes));
        return out.count(v6, Counter::InHdrErrors, Counter::V6InHdrErrors);
    };
    out.counted(|table| counters::received(table, packet.bytes()));
    let completed = offload::completed(&packet);
    let completed = completed.as_deref().map(Packet::parse);
    let packet = completed.and_then(Result::ok).unwrap_or(packet);
    let (view, mut room) = (out.view(), Vec::new());
    let has_v6 = view.interface(index).is_some_and(|it| it.mtu_v6.is_some());
    if !is_plausible(&packet) || packet.is_v6() && !has_v6 {
        return;
    }
    if packet.early && (packet.dropped || packet.problem.is_some()) {
        out.count(true, Counter::InHdrErrors, Counter::V6InHdrErrors);
        let cast = match packet.destination.is_multicast() {
            true => Cast::Multicast,
            false => Cast::Unicast,
        };
        let meta = Meta {
            group_frame: group,
            ..Meta::new(index, cast)
        };
        return wrong(out, &meta, &packet);
    }
    let cast = |cast: Cast| Meta {
        group_frame: group,
        hops: [packet.hop_limit, packet.traffic_class],
        ..Meta::new(index, cast)
    };
    if packet.destination.is_multicast() {
        let broadcast_source = packet.source.is_unspecified() && !packet.is_v6();
        let local_group =
            matches!(packet.destination, IpAddr::V4(to) if to.octets()[..3] == [224, 0, 0]);
        if broadcast_source && !local_group && packet.protocol != protocol::IGMP {
            return;
        }
        let joined = out
            .stack
            .groups
            .has(&view, index, packet.destination, packet.source);
        if joined || packet.protocol == protocol::IGMP {
            if let Some((meta, packet)) =
                with_options(out, cast(Cast::Multicast), packet, &mut room)
            {
                for_us(out, local, &meta, &packet);
            }
        }
        return;
    }
    let verdict = out.verdict(&Flow {
        from: packet.source,
        iif: index,
        tos: packet.traffic_class,
        uid: None,
        ..Flow::to(packet.destination)
    });
    let kind = match verdict {
        Verdict::Broadcast => Cast::Broadcast,
        Verdict::Anycast => Cast::Anycast,
        _ => Cast::Unicast,
    };
    let goes_on = match verdict {
        // Addresses that no packet has are looked at first.
        Verdict::Refused(libc::EINVAL | libc::EXDEV) => Some((cast(kind), packet)),
        _ => with_options(out, cast(kind), packet, &mut room),
    };
    let Some((meta, packet)) = goes_on else {
        return;
    };
    match verdict {
        Verdict::Local if view.owns(packet.destination, index) => {
            for_us(out, local, &meta, &packet);
        }
        Verdict::Local => {
            let v6 = packet.is_v6();
            out.count(v6, Counter::InAddrErrors, Counter::V6InAddrErrors);
        }
        Verdict::Broadcast | Verdict::Anycast => for_us(out, local, &meta, &packet),
        Verdict::Forward(_) if group => {}
        Verdict::Forward(way) => forward::forward(out, &meta, &packet, &way),
        Verdict::Refused(errno) => refuse(out, &meta, &packet, errno),
    }
}

/// Fills in what options of IPv4 ask of whoever gets the packet, and answers those that are wrong
/// (`ip_rcv_options`). `room` is for the packet that it is then. None where it goes no further.
fn with_options<'p>(
    out: &mut Output<'_, '_>,
    meta: Meta,
    packet: Packet<'p>,
    room: &'p mut Vec<u8>,
) -> Option<(Meta, Packet<'p>)> {
    if packet.options().is_empty() {
        return Some((meta, packet));
    }
    let view = out.view();
    let own = match packet.destination {
        IpAddr::V4(to) if view.owns(to.into(), meta.ifindex) => Some(to),
        _ => view.first_v4(meta.ifindex),
    };
    let now = options::time_of_day(memtun_sys::now_ns(libc::CLOCK_REALTIME));
    let is_own = |address: Ipv4Addr| view.owns(address.into(), meta.ifindex);
    let own = own.unwrap_or(Ipv4Addr::UNSPECIFIED);
    match Options::received(packet.options(), own, now, &is_own) {
        Err((at, before)) => {
            out.count(false, Counter::InHdrErrors, Counter::InHdrErrors);
            let pointer = (packet.header_length() - packet.options().len() + at) as u32;
            let error = IcmpError::v4(v4::PARAMETER_PROBLEM, 0, pointer << 24);
            room.extend_from_slice(packet.bytes());
            before.replace(room);
            let meta = Meta {
                options: Some(before),
                ..meta
            };
            answer(out, &meta, &packet.changed(room), error, false);
            None
        }
        // Nobody takes these (accept_source_route).
        Ok(options) if options.is_routed() => None,
        Ok(options) => {
            room.extend_from_slice(packet.bytes());
            options.replace(room);
            let meta = Meta {
                options: Some(options),
                ..meta
            };
            Some((meta, packet.changed(room)))
        }
    }
}

/// Can the addresses of a packet be those of one that came over a network?
fn is_plausible(packet: &Packet<'_>) -> bool {
    match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(_)) => !source.is_multicast() && !source.is_broadcast(),
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let octets = destination.octets();
            let narrow = destination.is_multicast() && octets[1] & 15 < 2;
            !source.is_multicast() && !source.is_loopback() && !destination.is_loopback() && !narrow
        }
        _ => false,
    }
}

/// Answers a packet that no way leads on (`ip_error`, `ip6_pkt_discard`).
fn refuse(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>, errno: i32) {
    let error = match (packet.is_v6(), errno) {
        (false, _) => {
            let view = out.view();
            if !view.interface(meta.ifindex).is_some_and(|it| it.forwards) {
                return;
            }
            let code = match errno {
                libc::EHOSTUNREACH => v4::HOST,
                libc::ENETUNREACH => 0,
                libc::EACCES => 13,
                _ => return,
            };
            if !out.stack.limit.allows_unreachable(packet.source, clock()) {
                return;
            }
            IcmpError::v4(v4::UNREACHABLE, code, 0)
        }
        (true, libc::EACCES) => IcmpError::v6(v6::UNREACHABLE, v6::PROHIBITED, 0),
        (true, libc::EINVAL) => return,
        (true, _) => IcmpError::v6(v6::UNREACHABLE, v6::NO_ROUTE, 0),
    };
    answer(out, meta, packet, error, false);
}

/// Takes a packet that is for this host, whole or in pieces.
fn for_us(out: &mut Output<'_, '_>, local: &mut dyn Local, meta: &Meta, packet: &Packet<'_>) {
    // A socket would take such a sender for one of IPv4.
    if matches!(packet.source, IpAddr::V6(source) if source.to_ipv4_mapped().is_some()) {
        return;
    }
    if packet.fragment.is_none() {
        return deliver(out, local, meta, packet);
    }
    let v6 = packet.is_v6();
    out.count(v6, Counter::ReasmReqds, Counter::V6ReasmReqds);
    if let Some(whole) = fragment::receive(out, meta, packet) {
        out.count(v6, Counter::ReasmOks, Counter::V6ReasmOks);
        if let Ok(packet) = Packet::parse(&whole) {
            deliver(out, local, meta, &packet);
        }
    }
}

/// Takes a packet whose headers are wrong, of which its sender may hear.
fn wrong(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) {
    if let Some(problem) = packet.problem.filter(|_| !packet.dropped) {
        let error = IcmpError::v6(v6::PARAMETER_PROBLEM, problem.code, problem.pointer);
        answer(out, meta, packet, error, problem.even_for_groups);
    }
}

/// Gives a whole packet to its protocol (`ip_local_deliver_finish`, `ip6_protocol_deliver_rcu`).
fn deliver(out: &mut Output<'_, '_>, local: &mut dyn Local, meta: &Meta, packet: &Packet<'_>) {
    let misled = packet.has_routing && meta.group_frame;
    if misled || packet.dropped || packet.problem.is_some() {
        return wrong(out, meta, packet);
    }
    let v6 = packet.is_v6();
    out.count(v6, Counter::InDelivers, Counter::V6InDelivers);
    // Who hears of an error and of its message too, hears of the error before it can look at the
    // message.
    let is_error = IcmpError::parse(packet).is_some();
    let raw = !is_error && local.raw(out, meta, packet);
    let heard = out
        .stack
        .groups
        .lets(meta.ifindex, packet.destination, packet.source);
    match packet.protocol {
        protocol::ICMP6 if v6 && (heard || group::Query::parse(packet).is_some()) => {
            icmp::receive(out, local, meta, packet);
        }
        _ if !heard => {}
        protocol::ICMP if !v6 => icmp::receive(out, local, meta, packet),
        protocol::IGMP if !v6 => out.queried(meta.ifindex, packet),
        protocol::UDP => {
            let Some(datagram) = Datagram::parse(packet) else {
                out.count(v6, Counter::UdpInErrors, Counter::Udp6InErrors);
                return out.count(v6, Counter::UdpInCsumErrors, Counter::Udp6InCsumErrors);
            };
            if local.udp(out, meta, packet) == Taken::Yes {
                out.count(v6, Counter::UdpIn, Counter::Udp6In);
            } else {
                out.count(v6, Counter::UdpNoPorts, Counter::Udp6NoPorts);
                // What stands behind the datagram is no part of it.
                let whole = packet.cut(udp::HEADER + datagram.payload.len());
                no_port(out, meta, &whole);
            }
        }
        protocol::UDP_LITE if udp::is_lite(packet) => no_port(out, meta, packet),
        protocol::UDP_LITE => {}
        protocol::TCP => {
            let for_us = meta.cast == Cast::Unicast && !meta.group_frame;
            out.count(v6, Counter::TcpInSegs, Counter::TcpInSegs);
            if for_us && tcp::Segment::parse(packet).is_some() {
                local.tcp(out, meta, packet);
            }
        }
        protocol::NONE if v6 => {}
        _ if raw => {}
        _ => {
            out.count(v6, Counter::InUnknownProtos, Counter::V6InUnknownProtos);
            let error = match v6 {
                false => IcmpError::v4(v4::UNREACHABLE, v4::PROTOCOL, 0),
                true => IcmpError::v6(
                    v6::PARAMETER_PROBLEM,
                    v6::NEXT_HEADER,
                    packet.protocol_at as u32,
                ),
            };
            answer(out, meta, packet, error, false);
        }
    }
    if is_error {
        local.raw(out, meta, packet);
    }
}

/// Answers a datagram for a port that nobody has.
fn no_port(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>) {
    let error = match packet.is_v6() {
        false => IcmpError::v4(v4::UNREACHABLE, v4::PORT, 0),
        true => IcmpError::v6(v6::UNREACHABLE, v6::PORT, 0),
    };
    answer(out, meta, packet, error, false);
}

/// Does what is due: neighbours that do not answer, packets that are not whole in time.
pub(super) fn run_timers(out: &mut Output<'_, '_>, local: &mut dyn Local) {
    neighbour::run_timers(out);
    fragment::run_timers(out);
    settle(out, local);
}
