//! Neighbour discovery (net/ipv6/ndisc.c).
#![forbid(unsafe_code)]

use super::learn::learn;
use super::table::{Heard, Resolved};
use crate::inet::meta::{Cast, Meta};
use crate::inet::stack::{clock, Output};
use crate::inet::view::{Interface, View};
use memtun_ip::discovery::{self, Discovery, Flags};
use memtun_ip::ethernet::{self, solicited_node, Mac, ALL_NODES};
use memtun_ip::Packet;
use memtun_stack::counters;
use std::net::{IpAddr, Ipv6Addr};

/// Asks for an address (`ndisc_solicit`).
pub(super) fn ask(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    address: Ipv6Addr,
    whom: Option<Mac>,
    packet: Option<&[u8]>,
) {
    let Some(own) = interface.mac else {
        return;
    };
    let view = out.view();
    let of_packet = packet.and_then(|bytes| match Packet::parse(bytes).ok()?.source {
        IpAddr::V6(source) => {
            let here = view.address_of(source.into(), interface.index)?;
            (!View::is_tentative(here)).then_some(source)
        }
        IpAddr::V4(_) => None,
    });
    let Some(source) = of_packet.or_else(|| view.link_local(interface.index)) else {
        return;
    };
    let to = match whom {
        Some(_) => address,
        None => solicited_node(address),
    };
    let mut room = [0; 128];
    let written = discovery::solicitation(&mut room, (source, to), address, Some(own));
    if let Ok(length) = written {
        let mac = whom.unwrap_or_else(|| ethernet::of_group(to.into()));
        let header = ethernet::header(mac, own, ethernet::IPV6);
        let packet = &room[..length];
        out.counted(|table| counters::requested(table, packet));
        out.counted(|table| counters::transmitted(table, packet));
        let _ = out.frame(interface.index, header, packet);
    }
}

/// Takes a message that has come in (`ndisc_rcv`).
pub(in crate::inet) fn receive(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    meta: &Meta,
    packet: &Packet<'_>,
) {
    let Some(message) = Discovery::parse(packet) else {
        return;
    };
    let IpAddr::V6(source) = packet.source else {
        return;
    };
    match message {
        Discovery::Solicitation { target, link, .. } => {
            solicited(out, interface, meta, packet, (source, target, link));
        }
        Discovery::Advertisement {
            target,
            router,
            solicited,
            replaces,
            link,
        } => {
            // Somebody says that it has an address of this host. The kernel only logs that.
            let own = out
                .view()
                .address_of(target.into(), interface.index)
                .is_some();
            if own
                || out
                    .stack
                    .neighbours
                    .has_failed(interface.index, target.into())
            {
                return;
            }
            let heard = Heard {
                state: match solicited {
                    true => libc::NUD_REACHABLE,
                    false => libc::NUD_STALE,
                },
                mac: link,
                replaces,
                weak: true,
                router: Some(router),
                creates: false,
            };
            learn(out, interface, target.into(), heard);
        }
        Discovery::RouterSolicitation { link } if interface.router && !source.is_unspecified() => {
            learn(out, interface, source.into(), by_the_way(link, Some(false)));
        }
        Discovery::RouterAdvertisement { link } if source.is_unicast_link_local() => {
            learn(out, interface, source.into(), by_the_way(link, Some(true)));
        }
        _ => {}
    }
}

/// What a message says of its sender by the way.
fn by_the_way(link: Option<Mac>, router: Option<bool>) -> Heard {
    Heard {
        state: libc::NUD_STALE,
        mac: link,
        replaces: true,
        weak: true,
        router,
        creates: link.is_some(),
    }
}

/// Answers who asks for an address of this host (`ndisc_recv_ns`).
fn solicited(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    meta: &Meta,
    packet: &Packet<'_>,
    (source, target, link): (Ipv6Addr, Ipv6Addr, Option<Mac>),
) {
    let view = out.view();
    let here = view.address_of(target.into(), interface.index);
    if here.is_some_and(View::is_tentative) {
        return;
    }
    let own = here.is_some();
    if !own && !answers_for(&view, interface, target) {
        return;
    }
    let mut flags = Flags {
        router: interface.router,
        solicited: false,
        replaces: own,
    };
    if source.is_unspecified() {
        return answer(out, interface, (target, ALL_NODES), flags, None, true);
    }
    let group = meta.cast == Cast::Multicast;
    let (index, from) = (interface.index, IpAddr::V6(source));
    // Who asks is noted when it says where it is, or when it has asked this host alone: then it
    // knows it, and is known or can be asked for.
    let heard = Heard {
        creates: link.is_some(),
        ..by_the_way(link, None)
    };
    if interface.mac.is_some() {
        learn(out, interface, source.into(), heard);
        if !out.stack.neighbours.is_there(index, from) && group {
            return;
        }
    }
    flags.solicited = true;
    flags.replaces = own && group;
    let _ = packet;
    answer(out, interface, (target, source), flags, link, group);
}

/// Says that an address is here.
fn answer(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    (target, to): (Ipv6Addr, Ipv6Addr),
    flags: Flags,
    mac: Option<Mac>,
    says_where: bool,
) {
    let mut room = [0; 128];
    let link = interface.mac.filter(|_| says_where);
    let source = match out.view().address_of(target.into(), interface.index) {
        Some(_) => target,
        None => match out.view().link_local(interface.index) {
            Some(local) => local,
            None => return,
        },
    };
    let written = discovery::advertisement(&mut room, (source, to), target, link, flags);
    let Ok(length) = written else {
        return;
    };
    let packet = &room[..length];
    let Some(own) = interface.mac else {
        let _ = out.transmit(interface.index, packet);
        return;
    };
    let mac = match to.is_multicast() {
        true => Some(ethernet::of_group(to.into())),
        false => mac.or_else(|| out.stack.neighbours.known(interface.index, to.into())),
    };
    match mac {
        Some(mac) => {
            let header = ethernet::header(mac, own, ethernet::IPV6);
            let _ = out.frame(interface.index, header, packet);
        }
        None => {
            let neighbours = &mut out.stack.neighbours;
            let resolved = neighbours.resolve(interface.index, to.into(), packet, clock());
            if resolved == Resolved::Asked {
                ask(out, interface, to, None, Some(packet));
            }
        }
    }
}

/// Was this host told to answer for somebody (`ip neigh add proxy`)?
fn answers_for(view: &View, interface: &Interface, target: Ipv6Addr) -> bool {
    interface.router
        && view.neighbours.iter().any(|it| {
            it.is_proxy() && it.address == IpAddr::V6(target) && it.index == interface.index
        })
}
