//! Packets that are for somebody else (`ip_forward`, `ip6_forward`).
#![forbid(unsafe_code)]

use super::icmp::answer;
use super::meta::Meta;
use super::redirect;
use super::route::Way;
use super::stack::Output;
use memtun_ip::icmp::{v4, v6};
use memtun_ip::{IcmpError, Packet};
use memtun_stack::counters::Counter;
use std::net::{IpAddr, Ipv4Addr};

/// Passes a packet on by `way`.
pub(super) fn forward(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>, way: &Way) {
    let view = out.view();
    let allowed = match packet.is_v6() {
        true => view.settings.forwards_v6,
        false => view.interface(meta.ifindex).is_some_and(|it| it.forwards),
    };
    // Only between the net's own interfaces: the machine's are not memtun's.
    if !allowed || view.interface(way.ifindex).is_none() {
        return;
    }
    if packet.hop_limit <= 1 {
        let error = match packet.is_v6() {
            false => IcmpError::v4(v4::TIME_EXCEEDED, 0, 0),
            true => IcmpError::v6(v6::TIME_EXCEEDED, 0, 0),
        };
        return answer(out, meta, packet, error, false);
    }
    let beyond = meta.ifindex != way.ifindex;
    if let (IpAddr::V6(source), true) = (packet.source, beyond) {
        if source.is_unspecified() || source.is_loopback() {
            return;
        }
        if source.is_unicast_link_local() {
            const BEYOND_SCOPE: u8 = 2;
            let error = IcmpError::v6(v6::UNREACHABLE, BEYOND_SCOPE, 0);
            return answer(out, meta, packet, error, false);
        }
    }
    let mtu = match packet.is_v6() {
        true => way.link_mtu.max(1280),
        false => way.link_mtu,
    };
    let too_long = packet.bytes().len() > mtu as usize;
    if too_long && packet.dont_fragment {
        let error = match packet.is_v6() {
            false => IcmpError::v4(v4::UNREACHABLE, v4::FRAGMENTS_NEEDED, mtu),
            true => IcmpError::v6(v6::TOO_BIG, 0, mtu),
        };
        return answer(out, meta, packet, error, false);
    }
    let mut bytes = packet.bytes().to_vec();
    match packet.is_v6() {
        true => {
            redirect::tell(out, meta, packet, way);
            bytes[7] -= 1;
        }
        false => {
            if let Some(mut options) = meta.options {
                let source = view.first_v4(way.ifindex);
                options.pass(source.unwrap_or(Ipv4Addr::UNSPECIFIED));
                options.replace(&mut bytes);
            }
            bytes[8] -= 1;
            memtun_ip::head::refresh_checksum(&mut bytes);
            if let Ok(packet) = Packet::parse(&bytes) {
                redirect::tell(out, meta, &packet, way);
            }
        }
    }
    let v6 = packet.is_v6();
    out.count(v6, Counter::ForwDatagrams, Counter::V6ForwDatagrams);
    let way = Way { mtu, ..*way };
    let _ = match too_long {
        true => out.in_pieces(&bytes, &way),
        false => out.give(&bytes, &way),
    };
}
