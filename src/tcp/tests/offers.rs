//! What the first segments say, and the timestamps of those after them.

mod common;

use std::time::Duration;

use common::{given, here, polled, settings, shown, there};
use memtun_tcp::segment::{build, Plain, ACK, FIN, SYN};
use memtun_tcp::{Connection, Offer, Segment, Settings};

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
