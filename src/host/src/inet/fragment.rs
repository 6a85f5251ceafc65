//! Pieces that are kept until their packet is whole (net/ipv4/ip_fragment.c,
//! net/ipv6/reassembly.c).
#![forbid(unsafe_code)]

use super::meta::{Cast, Meta};
use super::stack::{clock, Output};
use memtun_ip::icmp::{v4, v6};
use memtun_ip::reassembly::Outcome;
use memtun_ip::{IcmpError, Packet};
use std::time::Duration;

/// Takes a piece of a packet for this host. Returns the packet when it is whole.
pub(super) fn receive(
    out: &mut Output<'_, '_>,
    meta: &Meta,
    packet: &Packet<'_>,
) -> Option<Vec<u8>> {
    let seconds = out.view().settings.piece_time[usize::from(packet.is_v6())];
    let (now, time) = (clock(), Duration::from_secs(seconds));
    match out.stack.pieces.add(packet, meta.ifindex, now, time) {
        Outcome::Whole(whole) => Some(whole),
        Outcome::Problem(problem) => {
            let error = IcmpError::v6(v6::PARAMETER_PROBLEM, problem.code, problem.pointer);
            super::icmp::answer(out, meta, packet, error, problem.even_for_groups);
            None
        }
        Outcome::Kept | Outcome::Dropped => None,
    }
}

/// Gives up packets that are not whole in time. The sender hears of it if the first piece is there.
pub(super) fn run_timers(out: &mut Output<'_, '_>) {
    let now = clock();
    while let Some(expired) = out.stack.pieces.expire(now) {
        let Some(first) = expired.first else {
            continue;
        };
        let Ok(packet) = Packet::parse(&first) else {
            continue;
        };
        let meta = Meta::new(expired.interface, Cast::Unicast);
        let error = match packet.is_v6() {
            false => IcmpError::v4(v4::TIME_EXCEEDED, 1, 0),
            true => IcmpError::v6(v6::TIME_EXCEEDED, 1, 0),
        };
        super::icmp::answer(out, &meta, &packet, error, false);
    }
}
