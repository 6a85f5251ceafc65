//! What the first segments say, and the timestamps of those after them.

mod common;

use std::time::Duration;

use common::{given, here, polled, settings, shown, there, MILLI};
use memtun_tcp::segment::{build, Plain, ACK, FIN, PSH, RST, SYN, URG};
use memtun_tcp::{Connection, End, Offer, Segment, Settings, State};

const SECOND: Duration = Duration::from_secs(1);

/// The options of the first packet that leaves, for what a SYN with these options says.
fn answer_to(options: &[u8], offer: Offer) -> (Vec<u8>, u16) {
    let plain = Plain {
        source: there(),
        destination: here(),
        sequence: 77,
        acknowledgement: 0,
        flags: SYN,
        window: 1000,
        options,
    };
    let mut syn = Vec::new();
    build(&plain, &mut syn);
    let settings = Settings {
        offer,
        ..settings(7)
    };
    let mut connection = Connection::accept(&syn, &settings, SECOND).expect("one");
    let answer = polled(&mut connection, SECOND).remove(0);
    let segment = Segment::parse(&answer).expect("a segment");
    (segment.options.to_vec(), segment.window)
}

const STAMP: [u8; 12] = [1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0];

#[test]
fn an_answer_offers_what_the_syn_did() {
    let offer = Offer::default();
    let all = [&[2, 4, 3, 232, 1, 1, 4, 2, 1, 3, 3, 9][..], &STAMP].concat();
    let (options, window) = answer_to(&all, offer);
    assert_eq!(options[..8], [2, 4, 5, 180, 4, 2, 8, 10]);
    assert_eq!(options[12..], [0, 0, 1, 0, 1, 3, 3, 7]);
    assert_eq!(window, 65_160, "segments with timestamps are shorter");
    let (options, window) = answer_to(&[2, 4, 3, 232, 1, 1, 4, 2], offer);
    assert_eq!(options, [2, 4, 5, 180, 1, 1, 4, 2]);
    assert_eq!(window, 64_240);
    let (options, _) = answer_to(&[2, 4, 3, 232, 1, 3, 3, 0], offer);
    assert_eq!(options, [2, 4, 5, 180, 1, 3, 3, 7]);
    let none = Offer {
        timestamps: false,
        selective: false,
        scale: None,
        ..offer
    };
    assert_eq!(answer_to(&all, none).0, [2, 4, 5, 180]);
    let (options, _) = answer_to(&STAMP, offer);
    assert_eq!(options[..8], [2, 4, 5, 180, 1, 1, 8, 10]);
}

#[test]
fn a_buffer_decides_the_window_and_its_scale() {
    let offer = Offer::default();
    let usual = offer.of_buffer(131_072, Some(6_291_456));
    assert_eq!((usual.scale, usual.window), (Some(7), 65_536));
    assert_eq!(offer.of_buffer(540_000, Some(15 << 20)).scale, Some(8));
    let small = offer.of_buffer(20_000, None);
    assert_eq!((small.scale, small.window), (Some(0), 10_000));
    let (options, window) = answer_to(&[2, 4, 3, 232, 1, 3, 3, 0], small);
    assert_eq!((&options[4..], window), (&[1, 3, 3, 0][..], 8_760));
}

/// An open connection with timestamps, and the other side's clock.
fn stamped() -> (Connection, Segment<'static>) {
    let mut connection = Connection::connect(here(), there(), &settings(7), SECOND).expect("one");
    let syn = polled(&mut connection, SECOND).remove(0);
    let ours = Segment::parse(&syn).expect("a segment").sequence;
    let template = Segment {
        source: there(),
        destination: here(),
        sequence: 77,
        acknowledgement: ours.wrapping_add(1),
        flags: SYN | ACK,
        window: 1000,
        urgent: 0,
        options: &[],
        payload: &[],
    };
    let answer = stamp(&template, 256, &[2, 4, 3, 232]);
    assert_eq!(shown(&given(&mut connection, &answer, SECOND)).len(), 0);
    let third = polled(&mut connection, SECOND).remove(0);
    let segment = Segment::parse(&third).expect("a segment");
    assert_eq!(segment.options[..4], [1, 1, 8, 10]);
    assert_eq!(segment.options[8..], [0, 0, 1, 0], "what was heard");
    assert_eq!(connection.maximum(), 988);
    let template = Segment {
        sequence: 78,
        flags: ACK,
        ..template
    };
    (connection, template)
}

/// A segment of the other side's with its clock.
fn stamp(segment: &Segment<'_>, clock: u32, before: &[u8]) -> Vec<u8> {
    let clock = clock.to_be_bytes();
    let stamp = [&[1, 1, 8, 10][..], &clock, &[0; 4]].concat();
    let plain = Plain {
        source: segment.source,
        destination: segment.destination,
        sequence: segment.sequence,
        acknowledgement: segment.acknowledgement,
        flags: segment.flags,
        window: segment.window,
        options: &[before, &stamp].concat(),
    };
    let mut packet = Vec::new();
    build(&plain, &mut packet);
    packet
}

#[test]
fn an_old_segment_is_dropped_and_answered() {
    let (mut connection, template) = stamped();
    let end = Segment {
        flags: FIN | ACK,
        ..template
    };
    let answer = given(&mut connection, &stamp(&end, 254, &[]), SECOND);
    assert_eq!(shown(&answer)[0].1, 78, "the FIN is not taken");
    assert_eq!(connection.name(), "ESTAB");
    given(&mut connection, &stamp(&template, 300, &[]), SECOND);
    given(&mut connection, &stamp(&end, 301, &[]), SECOND);
    let answer = polled(&mut connection, 2 * SECOND).remove(0);
    let segment = Segment::parse(&answer).expect("a segment");
    assert_eq!((segment.acknowledgement, segment.flags), (79, ACK));
    assert_eq!(segment.options[8..], [0, 0, 1, 45], "the clock of the FIN");
    assert_eq!(connection.name(), "CLOSE-WAIT");
}

/// Sequence from the first byte on, flags, urgent pointer, length of data.
fn marks(packet: &[u8], first: u32) -> (u32, u8, u16, usize) {
    let segment = Segment::parse(packet).expect("a segment");
    let sequence = segment.sequence.wrapping_sub(first);
    (
        sequence,
        segment.flags,
        segment.urgent,
        segment.payload.len(),
    )
}

#[test]
fn urgent_data_is_pointed_at_until_it_is_acknowledged() {
    let (mut connection, template) = stamped();
    let first = template.acknowledgement;
    connection.write(&[1; 10]);
    assert_eq!(
        marks(&polled(&mut connection, SECOND)[0], first),
        (0, ACK | PSH, 0, 10)
    );
    connection.write(&[2]);
    connection.press();
    let now = SECOND + MILLI;
    assert_eq!(
        marks(&polled(&mut connection, now)[0], first),
        (10, ACK | PSH | URG, 1, 1),
        "it does not wait, though it is short"
    );
    let now = 4 * SECOND;
    let again = marks(&polled(&mut connection, now)[0], first);
    assert_eq!((again.0, again.1 & URG, again.2), (0, URG, 11));
    let all = Segment {
        acknowledgement: first.wrapping_add(11),
        ..template
    };
    given(&mut connection, &stamp(&all, 400, &[]), now);
    connection.write(&[3; 4]);
    assert_eq!(
        marks(&polled(&mut connection, now)[0], first),
        (11, ACK | PSH, 0, 4)
    );
}

/// A segment of the other side's with data and an urgent pointer.
fn urging(template: &Segment<'_>, data: &[u8], urgent: u16) -> Vec<u8> {
    let mut packet = stamp(template, 300, &[]);
    let at = packet.len() - 32;
    packet.extend_from_slice(data);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[at + 13] |= URG;
    packet[at + 18..at + 20].copy_from_slice(&urgent.to_be_bytes());
    packet
}

#[test]
fn urgent_data_that_comes_is_told_of() {
    let (mut connection, template) = stamped();
    given(&mut connection, &urging(&template, b"abcd", 3), SECOND);
    assert_eq!((connection.available(), connection.urgent()), (4, Some(2)));
    assert_eq!(connection.read(&mut [0; 2]), 2);
    assert_eq!(connection.urgent(), Some(0));
    assert_eq!(connection.read(&mut [0; 1]), 1);
    assert_eq!(connection.urgent(), None);
}

#[test]
fn who_is_refused_is_told_what_it_has_acknowledged() {
    let (mut connection, template) = stamped();
    connection.write(&[1; 10]);
    polled(&mut connection, SECOND);
    connection.refuse();
    let reset = polled(&mut connection, SECOND).remove(0);
    let segment = Segment::parse(&reset).expect("a segment");
    assert_eq!(segment.flags, RST);
    assert_eq!(segment.sequence, template.acknowledgement);
    assert!(segment.options.is_empty());
}

#[test]
fn a_silent_peer_is_asked_and_given_up() {
    let (mut connection, template) = stamped();
    connection.set_keepalive(Some((10 * SECOND, 2 * SECOND, 2)));
    let mut seen = Vec::new();
    let mut now = SECOND;
    while connection.state() == State::Open {
        now = connection.poll_at(now).expect("a time");
        for packet in polled(&mut connection, now) {
            let (sequence, flags, ..) = marks(&packet, template.acknowledgement);
            seen.push((now.as_secs(), sequence, flags));
        }
    }
    let before = u32::MAX;
    assert_eq!(
        seen,
        [(11, before, ACK), (13, before, ACK), (15, 0, RST | ACK)]
    );
    assert_eq!(connection.state(), State::Ended(End::TimedOut));
}

#[test]
fn short_segments_wait_for_each_other() {
    let (mut connection, template) = stamped();
    let first = template.acknowledgement;
    for data in [b"first", b"other", b"third"] {
        connection.write(data);
        polled(&mut connection, SECOND);
    }
    let one = Segment {
        acknowledgement: first.wrapping_add(5),
        ..template
    };
    given(&mut connection, &stamp(&one, 300, &[]), SECOND);
    let rest = polled(&mut connection, SECOND);
    assert_eq!(rest.len(), 1);
    assert_eq!(marks(&rest[0], first), (5, ACK | PSH, 0, 10));
    connection.write(b"fourth");
    assert_eq!(polled(&mut connection, SECOND).len(), 0);
    connection.set_no_delay(true);
    assert_eq!(
        marks(&polled(&mut connection, SECOND)[0], first),
        (15, ACK | PSH, 0, 6)
    );
}

#[test]
fn tcp_info_is_the_connections() {
    let (mut connection, _) = stamped();
    connection.write(&[1; 3000]);
    polled(&mut connection, SECOND);
    let info = connection.info(2 * SECOND);
    let word = |at: usize| u32::from_ne_bytes(info[at..at + 4].try_into().expect("four"));
    assert_eq!((info[0], info[5]), (1, 1), "state and options");
    assert_eq!((word(16), word(80)), (988, 10), "segment and window");
    assert_eq!((word(24), word(144)), (2, 2000), "on its way, and not sent");
    assert_eq!(word(44), 1000, "milliseconds since");
}

#[test]
fn who_has_said_all_is_silent() {
    let (mut connection, template) = stamped();
    connection.write(&[1; 10]);
    connection.close();
    polled(&mut connection, SECOND);
    let all = Segment {
        acknowledgement: template.acknowledgement.wrapping_add(11),
        ..template
    };
    given(&mut connection, &stamp(&all, 300, &[]), SECOND);
    assert!(connection.is_finished());
    assert_eq!(polled(&mut connection, SECOND).len(), 0);
    assert_eq!(connection.poll_at(SECOND), None, "no timer is left");
}
