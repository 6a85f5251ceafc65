//! Segments that a connection does not expect: outside the window, too old, behind the end.

mod common;

use std::time::Duration;

use common::{given, here, polled, settings, shown, there, told, MILLI};
use memtun_tcp::segment::{ACK, FIN, PSH, RST, SYN};
use memtun_tcp::{Connection, End, Segment, State};

const SECOND: Duration = Duration::from_secs(1);
/// The other side's options: the largest segment, blocks, timestamps, a scale of 7.
const OFFER: [u8; 20] = [
    2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 3, 232, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// A packet of the other side's with data, which left when its clock showed `at`.
fn packet((sequence, acknowledgement): (u32, u32), flags: u8, at: u32, data: &[u8]) -> Vec<u8> {
    let mut options = vec![1, 1, 8, 10];
    options.extend(at.to_be_bytes());
    options.extend([0; 4]);
    let mut packet = told(sequence, acknowledgement, flags, 1000, &options);
    packet.extend(data);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// A connection whose SYN is answered by this, with data: it, its next sequence number, and the
/// time. The other side's next is 5001.
fn answered(flags: u8, data: &[u8]) -> (Connection, u32, Duration) {
    let now = 10 * SECOND;
    let mut connection = Connection::connect(here(), there(), &settings(7), now).expect("one");
    let syn = polled(&mut connection, now).remove(0);
    let next = Segment::parse(&syn).expect("one").sequence.wrapping_add(1);
    let mut answer = told(5000, next, flags, 1000, &OFFER);
    answer.extend(data);
    let length = answer.len() as u16;
    answer[2..4].copy_from_slice(&length.to_be_bytes());
    given(&mut connection, &answer, now);
    (connection, next, now)
}

fn opened() -> (Connection, u32, Duration) {
    let (mut connection, next, now) = answered(SYN | ACK, &[]);
    assert_eq!(shown(&polled(&mut connection, now)), [(next, 5001, ACK, 0)]);
    (connection, next, now)
}

/// The blocks that an answer says, and the timestamp that it returns.
fn said(answers: &[Vec<u8>]) -> (Vec<(u32, u32)>, u32) {
    let [answer] = answers else {
        panic!("{} answers", answers.len())
    };
    let segment = Segment::parse(answer).expect("a segment");
    let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four"));
    let (mut blocks, mut echoed) = (Vec::new(), 0);
    for (kind, data) in segment.options() {
        match kind {
            5 => blocks.extend(data.chunks(8).map(|two| (word(&two[..4]), word(&two[4..])))),
            8 => echoed = word(&data[4..]),
            _ => {}
        }
    }
    (blocks, echoed)
}

#[test]
fn what_comes_with_the_answer_to_a_syn_is_not_heard() {
    for (flags, data) in [(SYN | ACK | FIN, &b""[..]), (SYN | ACK | PSH, b"data")] {
        let (mut connection, next, now) = answered(flags, data);
        assert_eq!(connection.state(), State::Open);
        assert_eq!(shown(&polled(&mut connection, now)), [(next, 5001, ACK, 0)]);
        assert!(!connection.is_read() && connection.available() == 0);
    }
}

#[test]
fn what_lies_outside_the_window_acknowledges_nothing_and_its_time_is_not_heard() {
    let (mut connection, next, now) = opened();
    connection.write(b"abc");
    polled(&mut connection, now);
    let all = next + 3;
    let probe = packet((5000, all), ACK, 2000, &[]);
    let (_, echoed) = said(&given(&mut connection, &probe, now));
    assert_eq!((connection.pending(), echoed), (3, 1000));
    let far = packet((5001 + 100_000_000, all), ACK | PSH, 2000, b"far");
    let (blocks, echoed) = said(&given(&mut connection, &far, now));
    assert_eq!((connection.pending(), blocks, echoed), (3, vec![], 1000));
    let old = packet((4996, all), ACK | PSH, 2000, b"old");
    let (blocks, echoed) = said(&given(&mut connection, &old, now));
    let pending = connection.pending();
    assert_eq!((pending, blocks, echoed), (3, vec![(4996, 4999)], 1000));
    given(&mut connection, &packet((5001, all), ACK, 2000, &[]), now);
    assert_eq!(connection.pending(), 0);
}

#[test]
fn an_acknowledgement_that_is_too_old_to_be_overtaken_is_answered() {
    let (mut connection, next, now) = opened();
    let little = packet((5001, next), ACK, 900, &[]);
    assert!(given(&mut connection, &little, now).is_empty());
    let long_ago = packet((5001, next), ACK, 1000_u32.wrapping_sub(100_000), &[]);
    assert_eq!(given(&mut connection, &long_ago, now).len(), 1);
}

#[test]
fn an_acknowledgement_that_others_have_overtaken_tells_no_time() {
    let (mut connection, next, now) = opened();
    connection.write(b"abc");
    polled(&mut connection, now);
    given(
        &mut connection,
        &packet((5001, next + 3), ACK, 1100, &[]),
        now,
    );
    // Not what a kernel expects, because it closes the window.
    let mut late = packet((5001, next + 1), ACK, 1200, &[]);
    late[34..36].copy_from_slice(&900_u16.to_be_bytes());
    given(&mut connection, &late, now);
    connection.write(b"d");
    assert_eq!(said(&polled(&mut connection, now)).1, 1100);
}

#[test]
fn behind_the_end_nothing_is_heard_and_what_began_before_it_resets() {
    let (mut connection, next, now) = opened();
    given(
        &mut connection,
        &packet((5001, next), ACK | FIN, 1100, b"ab"),
        now,
    );
    polled(&mut connection, now + SECOND);
    let now = now + 2 * SECOND;
    let behind = packet((5004, next), ACK | PSH, 1200, b"more");
    assert!(given(&mut connection, &behind, now).is_empty());
    assert!(polled(&mut connection, now).is_empty());
    let again = packet((5001, next), ACK | FIN, 1200, b"ab");
    let mut answers = given(&mut connection, &again, now);
    answers.extend(polled(&mut connection, now));
    assert_eq!(said(&answers).0, [(5001, 5004)], "with the end itself");
    let across = packet((5003, next), ACK | PSH, 1200, b"across");
    let answers = shown(&given(&mut connection, &across, now));
    assert_eq!(answers, [(next, 0, RST, 0)]);
    assert_eq!(connection.state(), State::Ended(End::Reset));
}

#[test]
fn a_reset_may_have_the_number_of_the_end() {
    let (mut connection, next, now) = opened();
    given(
        &mut connection,
        &packet((5001, next), ACK | FIN, 1100, &[]),
        now,
    );
    polled(&mut connection, now + SECOND);
    given(&mut connection, &packet((5001, next), RST, 1200, &[]), now);
    assert_eq!(connection.state(), State::Ended(End::Reset));
}

#[test]
fn what_came_beyond_a_gap_and_comes_again_in_part_is_said_first() {
    let (mut connection, next, now) = opened();
    let ahead = packet((5101, next), ACK | PSH, 1100, &[1; 100]);
    let answers = given(&mut connection, &ahead, now);
    assert_eq!(said(&answers).0, [(5101, 5201)]);
    let around = packet((5051, next), ACK | PSH, 1100, &[1; 300]);
    let answers = given(&mut connection, &around, now);
    assert_eq!(said(&answers).0, [(5101, 5201), (5051, 5351)]);
    connection.abort();
    let reset = polled(&mut connection, now);
    assert_eq!(shown(&reset), [(next, 5001, RST | ACK, 0)]);
    assert_eq!(said(&reset).0, [(5051, 5351)]);
}

#[test]
fn what_may_leave_carries_the_answer_that_is_urgent() {
    let (mut connection, next, now) = opened();
    connection.write(b"first");
    polled(&mut connection, now);
    // What is short waits for the acknowledgement of what is short.
    connection.write(b"second");
    assert!(polled(&mut connection, now).is_empty());
    let ahead = packet((5101, next + 5), ACK | PSH, 1100, &[1; 100]);
    let answers = given(&mut connection, &ahead, now);
    assert_eq!(shown(&answers), [(next + 5, 5001, PSH | ACK, 6)]);
    assert_eq!(said(&answers).0, [(5101, 5201)]);
}

#[test]
fn a_challenge_of_the_handshake_says_the_window_and_is_counted_by_itself() {
    let now = 10 * SECOND;
    let syn = told(5000, 0, SYN, 1000, &OFFER);
    let mut connection = Connection::accept(&syn, &settings(7), now).expect("one");
    let answer = polled(&mut connection, now).remove(0);
    let next = Segment::parse(&answer).expect("one").sequence + 1;
    let other = told(6000, 0, SYN, 1000, &OFFER);
    let challenge = given(&mut connection, &other, now).remove(0);
    let window = Segment::parse(&challenge).expect("one").window;
    assert_eq!(window, 65160 >> 7);
    given(&mut connection, &packet((5001, next), ACK, 1000, &[]), now);
    assert_eq!(connection.state(), State::Open);
    let soon = now + 100 * MILLI;
    let probe = packet((5000, next), ACK, 1000, &[]);
    assert_eq!(given(&mut connection, &probe, soon).len(), 1);
}

#[test]
fn data_that_was_expected_is_taken_whatever_it_acknowledges() {
    let (mut connection, next, now) = opened();
    given(
        &mut connection,
        &packet((5001, next), ACK, 1000, b"data"),
        now,
    );
    let data = packet((5005, next.wrapping_sub(1 << 30)), ACK | PSH, 1100, b"data");
    given(&mut connection, &data, now);
    assert_eq!(connection.available(), 8);
    // The next one is not, because it has another window.
    let mut data = packet((5009, next.wrapping_sub(1 << 30)), ACK | PSH, 1100, b"data");
    data[34..36].copy_from_slice(&900_u16.to_be_bytes());
    given(&mut connection, &data, now);
    assert_eq!(connection.available(), 8);
}

#[test]
fn the_window_is_that_of_the_beginning_until_much_has_come_at_once() {
    let (mut connection, next, now) = opened();
    let mut window_after = |sequence: u32, data: &[u8]| {
        given(
            &mut connection,
            &packet((sequence, next), ACK | PSH, 1000, data),
            now,
        );
        let mut read = [0; 500];
        connection.read(&mut read);
        let answers = polled(&mut connection, now);
        let last = Segment::parse(&answers[0]).expect("an answer");
        (u32::from(last.window) << 7) + 127
    };
    assert!(window_after(5001, b"little") < 65160 + 128 + 127);
    assert!(window_after(5007, &[1; 400]) >= 65536);
}
