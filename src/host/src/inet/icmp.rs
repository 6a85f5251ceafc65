//! ICMP and ICMPv6: echoes, errors both ways (net/ipv4/icmp.c, net/ipv6/icmp.c).
#![forbid(unsafe_code)]

use super::local::Local;
use super::meta::{Cast, Meta};
use super::neighbour::discovery;
use super::route::Way;
use super::stack::{clock, Output};
use crate::engine::route::lookup::{Flow, LOOPBACK};
use memtun_ip::icmp::echo::Echo;
use memtun_ip::icmp::{self, v4, v6};
use memtun_ip::{options, protocol, Embedded, Head, IcmpError, Options, Packet};
use memtun_stack::counters::{self, Counter};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Most bytes that an error of ICMP quotes where it has no options.
const MOST_QUOTED: usize = 576 - 20 - icmp::HEADER;
/// Types of messages of neighbour discovery.
const DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
/// Types of queries and reports of MLD.
const LISTENERS: [u8; 4] = [130, 131, 132, 143];

/// Takes a message of ICMP or ICMPv6 that is for this host.
pub(super) fn receive(
    out: &mut Output<'_, '_>,
    local: &mut dyn Local,
    meta: &Meta,
    packet: &Packet<'_>,
) {
    let v6 = packet.is_v6();
    out.count(v6, Counter::IcmpInMsgs, Counter::Icmp6InMsgs);
    if !icmp::is_right(packet) {
        out.count(v6, Counter::IcmpInCsumErrors, Counter::Icmp6InCsumErrors);
        return out.count(v6, Counter::IcmpInErrors, Counter::Icmp6InErrors);
    }
    let kind = packet.payload().first().copied().unwrap_or_default();
    out.counted(|table| counters::count_type(table, v6, false, kind));
    if packet.is_v6() && DISCOVERY.contains(&kind) {
        let view = out.view();
        if let Some(interface) = view.interface(meta.ifindex) {
            discovery::receive(out, interface, meta, packet);
        }
        return;
    }
    if packet.is_v6() && LISTENERS.contains(&kind) {
        return out.queried(meta.ifindex, packet);
    }
    if let Some(echo) = Echo::parse(packet) {
        if echo.reply {
            return local.echo_reply(out, meta, packet);
        }
        if out.view().settings.ignores_echo[usize::from(v6)] {
            return;
        }
        let mut message = packet.payload().to_vec();
        message[0] = if v6 { v6::ECHO_REPLY } else { v4::ECHO_REPLY };
        return reply(out, meta, packet, &message);
    }
    if !v6 && kind == v4::TIMESTAMP {
        if let Some(message) = timestamps(packet.payload()) {
            reply(out, meta, packet, &message);
        }
        return;
    }
    if let Some((error, quoted)) = IcmpError::parse(packet) {
        if meta.cast == Cast::Unicast {
            failed(out, local, meta, packet.source, quoted, error);
        }
    }
}

/// Lets a socket hear of an error about a packet that it has sent.
pub(super) fn failed(
    out: &mut Output<'_, '_>,
    local: &mut dyn Local,
    meta: &Meta,
    offender: IpAddr,
    quoted: &[u8],
    mut error: IcmpError,
) {
    let Some(of) = Embedded::parse(quoted) else {
        return;
    };
    let view = out.view();
    let is_own = view.owns(of.local.ip(), meta.ifindex)
        || meta.ifindex == LOOPBACK && of.local.ip().is_loopback();
    if !is_own {
        return;
    }
    if let Some(mtu) = error.mtu() {
        let smallest = match error.v6 {
            true => 1280,
            false => view.settings.smallest_mtu,
        };
        if !error.v6 && view.settings.ignores_mtu {
            return;
        }
        let mtu = mtu.max(smallest);
        error.info = mtu;
        out.stack.routes.set_path_mtu(of.remote.ip(), mtu, clock());
    }
    local.error(out, meta, offender, &of, &error);
}

/// Shows raw sockets the error that this host sends itself about a packet of its own.
pub(super) fn show(
    out: &mut Output<'_, '_>,
    local: &mut dyn Local,
    packet: &Packet<'_>,
    error: IcmpError,
) {
    if !error.may_answer(packet, false) {
        return;
    }
    let mut head = error.head(packet, packet.source);
    head.id = out.next_id() as u16;
    let mut room = [0; 1280];
    let length = error.write(&mut room, &head, packet.bytes());
    let message = length.map(|length| Packet::parse(&room[..length]));
    if let Ok(Ok(message)) = message {
        local.raw(out, &Meta::new(LOOPBACK, Cast::Unicast), &message);
    }
}

/// Returns the answer to a request for the time (`icmp_timestamp`): when it was asked, when that
/// came, and when this is sent.
fn timestamps(request: &[u8]) -> Option<[u8; 20]> {
    let asked = request.get(..12)?;
    let now = options::time_of_day(memtun_sys::now_ns(libc::CLOCK_REALTIME)).to_be_bytes();
    let mut message = [0; 20];
    message[..12].copy_from_slice(asked);
    message[..2].copy_from_slice(&[v4::TIMESTAMP_REPLY, 0]);
    message[12..16].copy_from_slice(&now);
    message[16..].copy_from_slice(&now);
    Some(message)
}

/// Answers a request (`icmp_reply`, `icmpv6_echo_reply`) with a message whose checksum is still to
/// come.
fn reply(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>, message: &[u8]) {
    let settings = out.view().settings.clone();
    let v6 = packet.is_v6();
    let group = matches!(meta.cast, Cast::Broadcast | Cast::Multicast);
    if group && (!v6 && settings.ignores_broadcast_echo || v6 && settings.ignores_multicast_echo) {
        return;
    }
    let from = match group || meta.cast == Cast::Anycast {
        true => match packet.destination {
            IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        },
        false => packet.destination,
    };
    let Ok(way) = back(out, meta, packet, from) else {
        return;
    };
    let protocol = if v6 { protocol::ICMP6 } else { protocol::ICMP };
    let mut head = Head::new(way.source, packet.source, protocol);
    (head.hop_limit, head.traffic_class) = (way.hops, packet.traffic_class);
    (head.dont_fragment, head.id) = (false, out.next_id() as u16);
    let mut room = vec![0; head.length()];
    room.extend_from_slice(message);
    if let Ok(length) = icmp::finish(&mut room, &head, message.len()) {
        if let Some(options) = options_of_answer(out, meta) {
            let _ = out.send_with(&room[..length], options, packet.source, &way);
        }
    }
}

/// Returns the options of an answer, if there are any. None where there is to be no answer.
fn options_of_answer(out: &mut Output<'_, '_>, meta: &Meta) -> Option<Option<Options>> {
    let Some(options) = meta.options else {
        return Some(None);
    };
    let view = out.view();
    let is_own = |address: Ipv4Addr| view.owns(address.into(), meta.ifindex);
    let echo = options.echo(&is_own)?;
    Some(Some(echo).filter(|echo| !echo.bytes().is_empty()))
}

/// Finds the way back to the sender of a packet.
fn back(
    out: &mut Output<'_, '_>,
    meta: &Meta,
    packet: &Packet<'_>,
    from: IpAddr,
) -> Result<Way, memtun_abi::Errno> {
    let of_link = |address: IpAddr| match address {
        IpAddr::V6(address) => address.is_unicast_link_local(),
        IpAddr::V4(_) => false,
    };
    let bound = of_link(packet.source) || packet.is_v6() && packet.destination.is_multicast();
    out.find(&Flow {
        from,
        oif: if bound { meta.ifindex } else { 0 },
        protocol: if packet.is_v6() {
            protocol::ICMP6
        } else {
            protocol::ICMP
        },
        ..Flow::to(packet.source)
    })
}

/// Answers a packet that has come in with an error, if it may have one (`icmp_send`,
/// `icmp6_send`).
pub(super) fn answer(
    out: &mut Output<'_, '_>,
    meta: &Meta,
    packet: &Packet<'_>,
    error: IcmpError,
    even_for_groups: bool,
) {
    // In IPv6 two errors are of use to the sender of a packet for a group.
    let group = meta.group_frame && meta.cast != Cast::Multicast;
    if group || meta.cast == Cast::Broadcast || !error.may_answer(packet, even_for_groups) {
        return;
    }
    let view = out.view();
    let own = meta.cast == Cast::Anycast || view.owns(packet.destination, meta.ifindex);
    let from = match (own, packet.destination) {
        (true, own) => own,
        (false, IpAddr::V4(_)) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        (false, IpAddr::V6(_)) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    };
    let Ok(way) = back(out, meta, packet, from) else {
        return;
    };
    if is_anycast(packet.source, &way) || !may_send(out, packet.source, &error, &way) {
        return;
    }
    let mut head = error.head(packet, way.source);
    (head.hop_limit, head.id) = (way.hops, out.next_id() as u16);
    let Some(options) = options_of_answer(out, meta) else {
        return;
    };
    // Those of the answer take the place of what it quotes.
    let taken = options.map_or(0, |options| options.bytes().len());
    let quoted = match packet.is_v6() {
        true => packet.bytes(),
        false => &packet.bytes()[..packet.bytes().len().min(MOST_QUOTED - taken)],
    };
    let mut room = [0; 1280];
    if let Ok(length) = error.write(&mut room, &head, quoted) {
        let _ = out.send_with(&room[..length], options, packet.source, &way);
    }
}

/// Does the address stand for the routers of the network that the way leads to
/// (`ipv6_anycast_destination`)?
fn is_anycast(address: IpAddr, way: &Way) -> bool {
    let IpAddr::V6(address) = address else {
        return false;
    };
    let behind = u128::MAX.checked_shr(way.prefix.into()).unwrap_or(0);
    let is_on_link = !way.gateway && way.prefix < 127;
    way.kind == libc::RTN_ANYCAST || is_on_link && address.to_bits() & behind == 0
}

/// Are there not too many errors (`icmpv4_xrlim_allow`, `icmpv6_xrlim_allow`)?
fn may_send(out: &mut Output<'_, '_>, to: IpAddr, error: &IcmpError, way: &Way) -> bool {
    let (view, now) = (out.view(), clock());
    let settings = &view.settings;
    let limited = match error.v6 {
        true => error.kind != v6::TOO_BIG,
        false => settings.rate_mask & 1 << error.kind != 0,
    };
    if !limited {
        return true;
    }
    let mut time = Duration::from_millis(settings.rate_limit[usize::from(error.v6)]);
    if error.v6 && way.prefix < 128 {
        // Those of a wide network get more.
        time /= 1 << ((128 - u32::from(way.prefix)) >> 5);
    }
    out.stack.limit.allows(settings.per_second, now) && out.stack.limit.allows_for(to, time, now)
}
