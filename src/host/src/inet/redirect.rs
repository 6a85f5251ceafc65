//! Packets that leave by the interface by which they came: their sender hears of a shorter way
//! (`ip_rt_send_redirect`, `ndisc_send_redirect`).
#![forbid(unsafe_code)]

use super::icmp::answer;
use super::meta::Meta;
use super::route::Way;
use super::stack::{clock, Output};
use crate::engine::route::lookup::Flow;
use memtun_ip::discovery;
use memtun_ip::icmp::v4;
use memtun_ip::{IcmpError, Packet};
use std::net::IpAddr;
use std::time::Duration;

/// Tells the sender of a packet that is passed on by `way`, if the way leads back where it came
/// from.
pub(super) fn tell(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>, way: &Way) {
    if way.ifindex != meta.ifindex || packet.has_options && !packet.is_v6() {
        return;
    }
    // The sender must be a neighbour itself.
    let back = out.find(&Flow::to(packet.source));
    if !back.is_ok_and(|back| back.ifindex == meta.ifindex && !back.gateway) {
        return;
    }
    match packet.is_v6() {
        true => tell_v6(out, meta, packet, way),
        false => tell_v4(out, meta, packet, way),
    }
}

/// `packet` is as it is sent on, with one hop less.
fn tell_v4(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>, way: &Way) {
    const HOST: u8 = 1;
    let view = out.view();
    let interface = view.interface(meta.ifindex);
    let IpAddr::V4(next_hop) = way.next_hop else {
        return;
    };
    if interface.is_some_and(|it| it.sends_redirects)
        && out.stack.redirects.allows(packet.source, clock())
    {
        let error = IcmpError::v4(v4::REDIRECT, HOST, next_hop.into());
        answer(out, meta, packet, error, false);
    }
}

/// `packet` is as it came.
fn tell_v6(out: &mut Output<'_, '_>, meta: &Meta, packet: &Packet<'_>, way: &Way) {
    let (IpAddr::V6(sender), IpAddr::V6(receiver), IpAddr::V6(target)) =
        (packet.source, packet.destination, way.next_hop)
    else {
        return;
    };
    let (now, second) = (clock(), Duration::from_secs(1));
    if !out.stack.limit.allows_for(receiver.into(), second, now) {
        return;
    }
    let own = out.view().link_local(meta.ifindex);
    let Some(own) = own.filter(|_| receiver == target || target.is_unicast_link_local()) else {
        return;
    };
    if !out.stack.limit.allows_for(sender.into(), second, now) {
        return;
    }
    let link = out.stack.neighbours.known(meta.ifindex, target.into());
    let mut room = [0; 1280];
    let written = discovery::redirect(&mut room, (own, sender), target, link, packet);
    if let Ok(length) = written {
        let way = Way::on_link(meta.ifindex, own.into(), sender.into());
        let _ = out.give(&room[..length], &way);
    }
}
