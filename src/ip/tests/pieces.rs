//! Packets in pieces: what one side takes to pieces the other puts together, in any order.

use memtun_ip::fragment::Fragments;
use memtun_ip::reassembly::{Outcome, Reassembly, TIME_V4};
use memtun_ip::{protocol, udp, Head, Packet};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

const NOW: Duration = Duration::from_secs(5);

fn packet(v6: bool, payload: &[u8]) -> Vec<u8> {
    let (from, to): (IpAddr, IpAddr) = match v6 {
        false => (
            Ipv4Addr::new(10, 0, 0, 1).into(),
            Ipv4Addr::new(10, 0, 0, 2).into(),
        ),
        true => (
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).into(),
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
        ),
    };
    let mut head = Head::new(from, to, protocol::UDP);
    (head.dont_fragment, head.id) = (false, 0x1234);
    let mut room = vec![0; payload.len() + 48];
    let length = udp::write(&mut room, &head, (1, 2), payload).unwrap();
    room.truncate(length);
    room
}

fn pieces(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let mut all = Fragments::of(packet, mtu, 99).unwrap();
    let (mut found, mut room) = (Vec::new(), vec![0; mtu]);
    while let Some(length) = all.next(&mut room).unwrap() {
        found.push(room[..length].to_vec());
    }
    found
}

fn add(reassembly: &mut Reassembly, piece: &[u8]) -> Outcome {
    let packet = Packet::parse(piece).unwrap();
    reassembly.add(&packet, 1, NOW, TIME_V4)
}

#[test]
fn pieces_are_as_long_as_the_kernels() {
    for (v6, mtu, lengths) in [
        (false, 1500, vec![1500, 1500, 68]),
        (false, 577, vec![572, 572, 572, 572, 572, 268]),
        (true, 1500, vec![1496, 1496, 160]),
        (true, 1280, vec![1280, 1280, 592]),
    ] {
        let whole = packet(v6, &[1; 3000]);
        let found: Vec<usize> = pieces(&whole, mtu).iter().map(Vec::len).collect();
        assert_eq!(found, lengths, "{v6} {mtu}");
    }
    assert!(Fragments::of(&packet(false, &[1; 100]), 27, 0).is_err());
}

#[test]
fn pieces_that_overlap_are_dropped_with_all() {
    for v6 in [false, true] {
        let whole = packet(v6, &[1; 3000]);
        let (some, others) = (pieces(&whole, 1280), pieces(&whole, 1272));
        let mut reassembly = Reassembly::default();
        assert_eq!(add(&mut reassembly, &some[0]), Outcome::Kept);
        assert_eq!(
            add(&mut reassembly, &some[0]),
            Outcome::Kept,
            "twice the same"
        );
        assert_eq!(add(&mut reassembly, &others[1]), Outcome::Dropped);
        assert!(reassembly.is_empty());
    }
}

#[test]
fn what_does_not_come_in_time_expires_with_its_first_piece() {
    let whole = packet(false, &[1; 3000]);
    let some = pieces(&whole, 1280);
    let mut reassembly = Reassembly::default();
    add(&mut reassembly, &some[1]);
    add(&mut reassembly, &some[0]);
    assert_eq!(reassembly.next_expiry(), Some(NOW + TIME_V4));
    assert_eq!(
        reassembly.expire(NOW + TIME_V4 - Duration::from_nanos(1)),
        None
    );
    let expired = reassembly.expire(NOW + TIME_V4).unwrap();
    assert_eq!(expired.first.as_ref(), Some(&some[0]));
    assert!(reassembly.is_empty());
}

#[test]
fn what_came_first_expires_first_and_what_is_whole_not_at_all() {
    let whole = packet(true, &[1; 3000]);
    let mut reassembly = Reassembly::default();
    let mut at = |id: u32, from: usize, now: Duration| {
        let mut fragments = Fragments::of(&whole, 1280, id).unwrap();
        let mut outcome = Outcome::Kept;
        for piece in 0.. {
            let mut room = [0; 1500];
            let Some(length) = fragments.next(&mut room).unwrap() else {
                break;
            };
            if piece >= from {
                let packet = Packet::parse(&room[..length]).unwrap();
                outcome = reassembly.add(&packet, 1, now, TIME_V4);
            }
        }
        outcome
    };
    let second = Duration::from_secs(1);
    assert_eq!(at(9, 1, NOW), Outcome::Kept);
    assert!(matches!(at(5, 0, NOW), Outcome::Whole(_)));
    assert_eq!(at(1, 1, NOW + second), Outcome::Kept);
    let end = NOW + TIME_V4;
    assert_eq!(reassembly.next_expiry(), Some(end));
    assert!(reassembly.expire(end).is_some());
    assert_eq!(reassembly.next_expiry(), Some(end + second));
    assert_eq!(reassembly.expire(end), None);
    assert!(reassembly.expire(end + second).is_some());
    assert!(reassembly.is_empty());
    assert_eq!(reassembly.next_expiry(), None);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut reassembly = Reassembly::default();
    let whole = packet(true, &[1; 3000]);
    for id in 0..10_000_u32 {
        let mut room = [0; 1500];
        let length = Fragments::of(&whole, 1500, id).unwrap().next(&mut room);
        let length = length.unwrap().unwrap();
        let outcome = add(&mut reassembly, &room[..length]);
        if outcome == Outcome::Dropped {
            assert!(id > 1000, "{id}");
            return;
        }
    }
    panic!("every piece was kept");
}

#[test]
fn a_piece_in_the_middle_of_an_octet_group_is_refused_in_ipv6() {
    let whole = packet(true, &[1; 3000]);
    let mut piece = pieces(&whole, 1280).remove(0);
    piece.truncate(1279);
    let payload = (piece.len() - 40) as u16;
    piece[4..6].copy_from_slice(&payload.to_be_bytes());
    let mut reassembly = Reassembly::default();
    let Outcome::Problem(problem) = add(&mut reassembly, &piece) else {
        panic!("it was taken");
    };
    assert_eq!((problem.code, problem.pointer), (0, 4));
    assert!(reassembly.is_empty());
}

proptest! {
    #[test]
    fn pieces_in_any_order_are_the_packet_again(
        payload in proptest::collection::vec(any::<u8>(), 1..5000),
        mtu in 100usize..2000,
        v6 in any::<bool>(),
        order in any::<u64>(),
    ) {
        let whole = packet(v6, &payload);
        let mut some = pieces(&whole, mtu);
        let mut seed = order;
        for i in (1..some.len()).rev() {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            some.swap(i, (seed >> 33) as usize % (i + 1));
        }
        if some.len() == 1 && !v6 {
            return Ok(());
        }
        let mut reassembly = Reassembly::default();
        let mut outcome = Outcome::Kept;
        for piece in &some {
            prop_assert!(piece.len() <= mtu);
            if Packet::parse(piece).unwrap().fragment.is_none() {
                return Ok(());
            }
            prop_assert_eq!(&outcome, &Outcome::Kept);
            outcome = add(&mut reassembly, piece);
        }
        prop_assert_eq!(outcome, Outcome::Whole(whole));
        prop_assert!(reassembly.is_empty());
    }

    #[test]
    fn any_pieces_are_put_together_without_a_panic(
        pieces in proptest::collection::vec(
            (0u16..40, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60), any::<bool>()),
            0..40,
        ),
    ) {
        let mut reassembly = Reassembly::default();
        for (offset, more, payload, v6) in pieces {
            let mut bytes = packet(v6, &payload);
            if v6 {
                let word = ((offset * 8) | u16::from(more)).to_be_bytes();
                bytes.splice(40..40, [17, 0, word[0], word[1], 0, 0, 0, 1]);
                let payload = (bytes.len() - 40) as u16;
                bytes[4..6].copy_from_slice(&payload.to_be_bytes());
                bytes[6] = 44;
            } else {
                let word = offset | u16::from(more) << 13;
                bytes[6..8].copy_from_slice(&word.to_be_bytes());
                memtun_ip::head::refresh_checksum(&mut bytes);
            }
            if let Outcome::Whole(whole) = add(&mut reassembly, &bytes) {
                prop_assert!(Packet::parse(&whole).is_ok());
            }
        }
        while reassembly.expire(NOW + TIME_V4).is_some() {}
        prop_assert!(reassembly.is_empty());
    }
}
