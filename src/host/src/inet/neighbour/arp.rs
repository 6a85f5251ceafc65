//! ARP on taps (net/ipv4/arp.c).
#![forbid(unsafe_code)]

use super::learn::learn;
use super::table::Heard;
use crate::engine::route::lookup::{self, Flow};
use crate::inet::ground::Ground;
use crate::inet::route::Verdict;
use crate::inet::stack::{clock, Output};
use crate::inet::view::Interface;
use memtun_ip::arp::Arp;
use memtun_ip::ethernet::{Mac, BROADCAST};
use memtun_ip::Packet;
use std::net::{IpAddr, Ipv4Addr};

/// Asks for an address (`arp_solicit`).
pub(super) fn ask(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    address: Ipv4Addr,
    whom: Option<Mac>,
    packet: Option<&[u8]>,
) {
    let Some(own) = interface.mac else {
        return;
    };
    let announce = interface.arp[1];
    let view = out.view();
    let of_packet = packet.and_then(|bytes| match Packet::parse(bytes).ok()?.source {
        IpAddr::V4(source) if view.owns(source.into(), interface.index) => Some(source),
        _ => None,
    });
    let mut source = of_packet.filter(|source| match announce {
        0 => true,
        // Only an address of the network in which the other one is.
        1 => view.addresses.iter().any(|it| {
            it.local == IpAddr::V4(*source)
                && it.index == interface.index
                && memtun_stack::wire::network(address.into(), it.prefix) == lookup::net_of(it)
        }),
        _ => false,
    });
    if source.is_none() {
        let scope = libc::RT_SCOPE_LINK;
        out.service.consult(&mut |world| {
            source = Some(lookup::select_v4(world, interface.index, address, scope));
        });
    }
    let request = Arp {
        reply: false,
        sender: (own, source.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        target: (whom.unwrap_or_default(), address),
    };
    send(out, interface, &request, whom.unwrap_or(BROADCAST));
}

fn send(out: &mut Output<'_, '_>, interface: &Interface, message: &Arp, to: Mac) {
    let frame = message.frame(to);
    let _ = out.transmit(interface.index, &frame);
}

/// Takes a message that has come in (`arp_process`). `for_us` says that its frame was for this
/// link's own address.
pub(in crate::inet) fn receive(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    payload: &[u8],
    for_us: bool,
) {
    let (Some(own), Some(message)) = (interface.mac, Arp::parse(payload)) else {
        return;
    };
    if interface.no_arp {
        return;
    }
    let ((mac, sender), (_, target)) = (message.sender, message.target);
    if target.is_multicast() || target.is_loopback() {
        return;
    }
    let gratuitous = sender == target;
    if gratuitous && interface.arp[3] != 0 {
        return;
    }
    let now = clock();
    let answer = Arp {
        reply: true,
        sender: (own, target),
        target: (mac, sender),
    };
    // Somebody looks whether an address is free.
    if sender.is_unspecified() {
        let is_own = out.view().owns(target.into(), interface.index);
        if !message.reply && is_own && !ignores(out, interface, sender, target) {
            send(out, interface, &answer, mac);
        }
        return;
    }
    if !message.reply {
        let verdict = whose(out, interface, sender, target);
        let answers = match &verdict {
            Verdict::Local => {
                let is_own = out.view().owns(target.into(), interface.index);
                is_own && !ignores(out, interface, sender, target)
            }
            Verdict::Forward(way) => answers_for(out, interface, target, way.ifindex),
            _ => false,
        };
        if answers {
            let heard = Heard {
                state: libc::NUD_STALE,
                mac: Some(mac),
                replaces: true,
                creates: true,
                ..Heard::default()
            };
            learn(out, interface, sender.into(), heard);
            send(out, interface, &answer, mac);
        }
        if answers || verdict == Verdict::Local {
            return;
        }
    }
    let accepts = interface.arp[2] != 0 && (gratuitous || message.reply);
    let replaces = gratuitous
        || out
            .stack
            .neighbours
            .may_replace(interface.index, sender.into(), now);
    let heard = Heard {
        // Only an answer to this host says that the neighbour hears it, too.
        state: match message.reply && for_us {
            true => libc::NUD_REACHABLE,
            false => libc::NUD_STALE,
        },
        mac: Some(mac),
        replaces,
        creates: accepts,
        ..Heard::default()
    };
    learn(out, interface, sender.into(), heard);
}

fn whose(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    sender: Ipv4Addr,
    target: Ipv4Addr,
) -> Verdict {
    let flow = Flow {
        from: sender.into(),
        iif: interface.index,
        uid: None,
        ..Flow::to(target.into())
    };
    out.verdict(&flow)
}

/// Is a request left without an answer (`arp_ignore`)?
fn ignores(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    sender: Ipv4Addr,
    target: Ipv4Addr,
) -> bool {
    let view = out.view();
    let here = view.address_of(target.into(), interface.index);
    match interface.arp[0] {
        0 => false,
        1 => here.is_none(),
        2 => here.is_none_or(|own| {
            memtun_stack::wire::network(sender.into(), own.prefix) != lookup::net_of(own)
        }),
        3 => here.is_some_and(|own| own.scope >= libc::RT_SCOPE_LINK),
        8 => true,
        _ => false,
    }
}

/// Does this host answer for somebody whom a way through another interface leads to (`proxy_arp`,
/// or an address that it was told to answer for)?
fn answers_for(
    out: &mut Output<'_, '_>,
    interface: &Interface,
    target: Ipv4Addr,
    way: u32,
) -> bool {
    let view = out.view();
    let told = view.neighbours.iter().any(|it| {
        it.is_proxy()
            && it.address == IpAddr::V4(target)
            && (it.index == interface.index || it.index == 0)
    });
    interface.forwards && way != interface.index && (interface.proxy_arp || told)
}
