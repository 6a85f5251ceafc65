//! Marks of routers that tell of congestion.

mod common;

use std::time::Duration;

use common::{given, here, polled, settings, there, told};
use memtun_tcp::segment::{ACK, SYN};
use memtun_tcp::{Connection, Offer, Segment, Settings};

const SECOND: Duration = Duration::from_secs(1);
const TRIP: Duration = Duration::from_millis(100);
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;
const CAPABLE: u8 = 2;
const CONGESTED: u8 = 3;

/// A packet of the other side's with a mark.
fn packet(sequence: u32, acknowledgement: u32, flags: u8, mark: u8, data: &[u8]) -> Vec<u8> {
    let options: &[u8] = match flags & SYN {
        0 => &[],
        _ => &[2, 4, 5, 180],
    };
    let mut packet = told(sequence, acknowledgement, flags, 60_000, options);
    packet.extend_from_slice(data);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[1] = mark;
    packet
}

/// Number, flags of ECN, mark, and length of what has left.
fn left(packets: &[Vec<u8>]) -> Vec<(u32, u8, u8, usize)> {
    let show = |packet: &Vec<u8>| {
        let segment = Segment::parse(packet).expect("a segment");
        let flags = segment.flags & (ECE | CWR);
        (
            segment.sequence,
            flags,
            packet[1] & 3,
            segment.payload.len(),
        )
    };
    packets.iter().map(show).collect()
}

fn asking() -> Settings {
    Settings {
        offer: Offer {
            asks_ecn: true,
            ..Offer::default()
        },
        ..settings(7)
    }
}

/// A connection that has agreed, and its first number after the SYN.
fn agreed(now: Duration) -> (Connection, u32) {
    let mut connection = Connection::connect(here(), there(), &asking(), now).expect("one");
    let syn = left(&polled(&mut connection, now));
    let [(number, flags, 0, 0)] = syn[..] else {
        panic!("{syn:?}");
    };
    assert_eq!(flags, ECE | CWR);
    let answer = packet(5000, number + 1, SYN | ACK | ECE, 0, &[]);
    given(&mut connection, &answer, now + TRIP);
    let third = left(&polled(&mut connection, now + TRIP));
    assert_eq!(third, [(number + 1, 0, 0, 0)]);
    (connection, number + 1)
}

#[test]
fn only_data_that_leaves_for_the_first_time_is_marked() {
    let mut now = SECOND;
    let (mut connection, first) = agreed(now);
    now += TRIP;
    connection.write(&[1; 100]);
    let sent = left(&polled(&mut connection, now));
    assert_eq!(sent, [(first, 0, CAPABLE, 100)]);
    while left(&polled(&mut connection, now)).is_empty() {
        now = connection.poll_at(now).expect("a timer");
        let again = left(&polled(&mut connection, now));
        if !again.is_empty() {
            assert_eq!(again, [(first, 0, 0, 100)]);
            break;
        }
    }
    connection.close();
    given(
        &mut connection,
        &packet(5001, first + 100, ACK, 0, &[]),
        now,
    );
    let fin = left(&polled(&mut connection, now));
    assert_eq!(fin, [(first + 100, 0, 0, 0)]);
}

#[test]
fn a_mark_that_is_echoed_lowers_the_window_once_and_is_confirmed() {
    let mut now = SECOND;
    let (mut connection, first) = agreed(now);
    now += TRIP;
    connection.write(&vec![1; 100 * 1460]);
    assert_eq!(polled(&mut connection, now).len(), 10);
    now += TRIP;
    let mut fresh = 0;
    let mut confirmed = Vec::new();
    for count in 1..=10 {
        let echo = packet(5001, first + count * 1460, ACK | ECE, 0, &[]);
        given(&mut connection, &echo, now);
        for (_, flags, mark, _) in left(&polled(&mut connection, now)) {
            assert_eq!(mark, CAPABLE);
            confirmed.push(flags);
            fresh += 1;
        }
    }
    // Seven tenths of ten.
    assert_eq!(fresh, 7);
    assert_eq!(confirmed[0], CWR);
    assert!(confirmed[1..].iter().all(|&flags| flags == 0));
    // In the next round trip it is news again.
    now += TRIP;
    let echo = packet(5001, first + 11 * 1460, ACK | ECE, 0, &[]);
    given(&mut connection, &echo, now);
    let sent = left(&polled(&mut connection, now));
    assert_eq!(sent[0].1, CWR);
}

#[test]
fn a_marked_packet_is_told_of_until_that_is_confirmed() {
    let now = SECOND;
    let (mut connection, first) = agreed(now);
    let mut at = 5001;
    let mut says = |flags, mark| {
        given(
            &mut connection,
            &packet(at, first, ACK | flags, mark, b"data"),
            now + TRIP,
        );
        at += 4;
        left(&polled(&mut connection, now + TRIP))
    };
    for (flags, mark, told) in [
        (0, CAPABLE, 0),
        (0, CONGESTED, ECE),
        (0, CAPABLE, ECE),
        (CWR, CAPABLE, 0),
        (CWR, CONGESTED, ECE),
    ] {
        assert_eq!(says(flags, mark), [(first, told, 0, 0)]);
    }
}

#[test]
fn who_answers_agrees_where_the_net_does_and_the_syn_is_right() {
    let answer = |settings: &Settings, flags, mark| {
        let syn = packet(5000, 0, SYN | flags, mark, &[]);
        let mut connection = Connection::accept(&syn, settings, SECOND).expect("one");
        left(&polled(&mut connection, SECOND))[0].1
    };
    let usual = settings(7);
    let never = Settings {
        offer: Offer {
            takes_ecn: false,
            ..Offer::default()
        },
        ..usual
    };
    assert_eq!(answer(&usual, ECE | CWR, 0), ECE);
    assert_eq!(answer(&asking(), ECE | CWR, 0), ECE);
    assert_eq!(answer(&usual, ECE, 0), 0);
    assert_eq!(answer(&usual, 0, 0), 0);
    assert_eq!(answer(&usual, ECE | CWR, CAPABLE), 0);
    assert_eq!(answer(&never, ECE | CWR, 0), 0);
}

#[test]
fn a_syn_that_is_sent_again_does_not_ask_but_may_be_understood() {
    let mut connection = Connection::connect(here(), there(), &asking(), SECOND).expect("one");
    assert_eq!(left(&polled(&mut connection, SECOND))[0].1, ECE | CWR);
    let now = connection.poll_at(SECOND).expect("a timer");
    let again = left(&polled(&mut connection, now));
    assert_eq!(again[0].1, 0);
    let answer = packet(5000, again[0].0 + 1, SYN | ACK | ECE, 0, &[]);
    given(&mut connection, &answer, now);
    connection.write(b"data");
    let sent = left(&polled(&mut connection, now));
    assert_eq!(sent.last(), Some(&(again[0].0 + 1, 0, CAPABLE, 4)));
}
