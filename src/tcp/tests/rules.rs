//! What a connection does with segments, one at a time, in a time of its own.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{given, here, polled, settings, shown, there, told, transfer, Path, World, MILLI};
use memtun_tcp::segment::{build, Plain, ACK, FIN, PSH, RST, SYN};
use memtun_tcp::{
    reset_for, Connection, Demux, End, FastOpen, Pair, Segment, Settings, State, Verdict,
};

const SECOND: Duration = Duration::from_secs(1);

/// A packet of the other side's.
fn packet(sequence: u32, acknowledgement: u32, flags: u8, options: &[u8]) -> Vec<u8> {
    told(sequence, acknowledgement, flags, 1000, options)
}

/// A connection that is open: it, its next sequence number, and the time. The other side's next is
/// 5001.
fn opened() -> (Connection, u32, Duration) {
    let now = 10 * SECOND;
    let mut connection = Connection::connect(here(), there(), &settings(7), now).expect("one");
    let syn = polled(&mut connection, now).remove(0);
    let next = Segment::parse(&syn)
        .expect("a segment")
        .sequence
        .wrapping_add(1);
    given(
        &mut connection,
        &packet(5000, next, SYN | ACK, &[2, 4, 5, 180, 1, 3, 3, 7]),
        now,
    );
    assert_eq!(connection.state(), State::Open);
    assert_eq!(shown(&polled(&mut connection, now)), [(next, 5001, ACK, 0)]);
    (connection, next, now)
}

#[test]
fn a_syn_is_linuxs() {
    let mut connection = Connection::connect(here(), there(), &settings(7), SECOND).expect("one");
    let syn = polled(&mut connection, SECOND).remove(0);
    let segment = Segment::parse(&syn).expect("a segment");
    let options = segment.options;
    assert_eq!(options[..8], [2, 4, 5, 180, 4, 2, 8, 10]);
    assert_eq!(options[12..], [0, 0, 0, 0, 1, 3, 3, 7]);
    assert_eq!((segment.flags, segment.window), (SYN, 64240));
    assert_eq!(
        (syn[1], syn[6], syn[8]),
        (0, 0x40, 64),
        "type of service, DF, TTL"
    );
}

#[test]
fn ipv6_has_twenty_bytes_less() {
    let (local, remote) = (
        "[fd00::1]:1".parse().expect("1"),
        "[fd00::2]:2".parse().expect("2"),
    );
    let mut connection = Connection::connect(local, remote, &settings(7), SECOND).expect("one");
    let syn = polled(&mut connection, SECOND).remove(0);
    let segment = Segment::parse(&syn).expect("a segment");
    assert_eq!((segment.maximum(), segment.window), (Some(1440), 64800));
}

#[test]
fn a_syn_is_sent_ten_times_again_in_131_seconds() {
    let mut now = SECOND;
    let mut connection = Connection::connect(here(), there(), &settings(7), now).expect("one");
    let mut times = Vec::new();
    while connection.state() == State::Connecting {
        for _ in polled(&mut connection, now) {
            times.push((now - SECOND).as_secs());
        }
        now = connection.poll_at(now).unwrap_or(now);
    }
    assert_eq!(times, [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]);
    assert_eq!((now - SECOND).as_secs(), 131);
    assert_eq!(connection.state(), State::Ended(End::TimedOut));
    assert!(polled(&mut connection, now).is_empty());
}

#[test]
fn a_reset_answers_a_syn_for_nobody() {
    let mut out = Vec::new();
    let syn = packet(77, 0, SYN, &[]);
    assert!(reset_for(
        &Segment::parse(&syn).expect("a segment"),
        &mut out
    ));
    assert_eq!(shown(&[out.clone()]), [(0, 78, RST | ACK, 0)]);
    let ack = packet(77, 99, ACK, &[]);
    assert!(reset_for(
        &Segment::parse(&ack).expect("a segment"),
        &mut out
    ));
    assert_eq!(shown(&[out.clone()]), [(99, 0, RST, 0)]);
    let reset = packet(77, 99, RST, &[]);
    assert!(!reset_for(
        &Segment::parse(&reset).expect("a segment"),
        &mut out
    ));
}

#[test]
fn a_reset_refuses_and_only_the_right_one() {
    let mut connection = Connection::connect(here(), there(), &settings(7), SECOND).expect("one");
    let syn = polled(&mut connection, SECOND).remove(0);
    let next = Segment::parse(&syn)
        .expect("a segment")
        .sequence
        .wrapping_add(1);
    given(
        &mut connection,
        &packet(0, next.wrapping_add(9), RST | ACK, &[]),
        SECOND,
    );
    assert_eq!(connection.state(), State::Connecting);
    assert!(given(&mut connection, &packet(0, next, RST | ACK, &[]), SECOND).is_empty());
    assert_eq!(connection.state(), State::Ended(End::Refused));
}

#[test]
fn a_reset_must_have_the_very_number() {
    let (mut connection, next, now) = opened();
    let challenge = given(&mut connection, &packet(5002, 0, RST, &[]), now);
    assert_eq!(shown(&challenge), [(next, 5001, ACK, 0)]);
    assert!(
        given(&mut connection, &packet(5002, 0, RST, &[]), now).is_empty(),
        "twice a second"
    );
    assert!(given(&mut connection, &packet(4000, 0, RST, &[]), now + SECOND).is_empty());
    assert_eq!(connection.state(), State::Open);
    given(&mut connection, &packet(5001, 0, RST, &[]), now);
    assert_eq!(connection.state(), State::Ended(End::Reset));
    assert!(polled(&mut connection, now).is_empty());
}

#[test]
fn a_syn_and_an_acknowledgement_of_the_unsent_are_challenged() {
    let (mut connection, next, now) = opened();
    let syn = packet(9000, 0, SYN, &[]);
    assert_eq!(
        shown(&given(&mut connection, &syn, now)),
        [(next, 5001, ACK, 0)]
    );
    let ack = packet(5001, next.wrapping_add(5), ACK, &[]);
    assert_eq!(
        shown(&given(&mut connection, &ack, now + SECOND)),
        [(next, 5001, ACK, 0)]
    );
    assert_eq!(connection.state(), State::Open);
}

#[test]
fn data_is_sent_again_after_200_milliseconds() {
    let (mut connection, next, now) = opened();
    assert_eq!(connection.write(b"hello"), 5);
    assert_eq!(
        shown(&polled(&mut connection, now)),
        [(next, 5001, PSH | ACK, 5)]
    );
    let mut times = Vec::new();
    let mut at = now;
    for _ in 0..4 {
        at = connection.poll_at(at).expect("a time");
        for _ in polled(&mut connection, at) {
            times.push((at - now).as_millis());
        }
    }
    assert_eq!(times, [200, 600, 1400, 3000]);
}

#[test]
fn abort_sends_a_reset_and_not_before_the_connection_is_one() {
    let (mut connection, next, now) = opened();
    connection.abort();
    assert_eq!(
        shown(&polled(&mut connection, now)),
        [(next, 5001, RST | ACK, 0)]
    );
    let mut connection = Connection::connect(here(), there(), &settings(7), now).expect("one");
    polled(&mut connection, now);
    connection.abort();
    assert!(polled(&mut connection, now).is_empty());
}

#[test]
fn who_ends_first_waits_a_minute() {
    let (mut connection, next, now) = opened();
    connection.close();
    assert_eq!(
        shown(&polled(&mut connection, now)),
        [(next, 5001, FIN | ACK, 0)]
    );
    given(
        &mut connection,
        &packet(5001, next.wrapping_add(1), FIN | ACK, &[]),
        now,
    );
    assert_eq!(
        shown(&polled(&mut connection, now)),
        [(next.wrapping_add(1), 5002, ACK, 0)]
    );
    assert_eq!(connection.state(), State::Ended(End::Closed));
    assert!(connection.is_read() && connection.is_finished());
    let mut wait = connection.wait(now).expect("a rest");
    assert_eq!(wait.until(), now + 60 * SECOND);
    assert!(
        !wait.makes_room(),
        "nothing tells old segments from new ones"
    );
    let mut answers = Vec::new();
    let again = packet(5001, next.wrapping_add(1), FIN | ACK, &[]);
    let segment = Segment::parse(&again).expect("a segment");
    let verdict = wait.segment(&segment, now + SECOND, &mut |packet| {
        answers.push(packet.to_vec())
    });
    assert_eq!(verdict, Verdict::Stays);
    assert_eq!(shown(&answers), [(next.wrapping_add(1), 5002, ACK, 0)]);
    assert_eq!(wait.until(), now + 61 * SECOND);
    let syn = packet(6000, 0, SYN, &[]);
    let segment = Segment::parse(&syn).expect("a segment");
    assert_eq!(wait.segment(&segment, now, &mut |_| {}), Verdict::Makes);
}

#[test]
fn an_end_before_its_data_is_remembered() {
    let (mut connection, next, now) = opened();
    given(&mut connection, &packet(5011, next, FIN | ACK, &[]), now);
    let mut data = packet(5001, next, PSH | ACK, &[]);
    data.extend(b"0123456789");
    data[3] += 10;
    seal(&mut data);
    let answers = given(&mut connection, &data, now);
    let mut bytes = [0; 20];
    assert_eq!(connection.read(&mut bytes), 10);
    assert!(connection.is_read());
    assert_eq!(shown(&answers), [(next, 5012, ACK, 0)]);
}

/// The checksums of a packet that was changed.
fn seal(packet: &mut [u8]) {
    let sum = |bytes: &[u8], start: u32| {
        let mut sum = start;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    };
    packet[10..12].fill(0);
    let header = sum(&packet[..20], 0);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    packet[36..38].fill(0);
    let length = (packet.len() - 20) as u32;
    let mut whole = packet[12..20].to_vec();
    whole.extend(&packet[20..]);
    let tcp = sum(&whole, 6 + length);
    packet[36..38].copy_from_slice(&tcp.to_be_bytes());
}

#[test]
fn a_smaller_path_cuts_what_is_sent() {
    let (mut connection, next, now) = opened();
    // The first window was small: half of it is the most that Linux sends at once.
    given(&mut connection, &packet(5001, next, ACK, &[]), now);
    connection.set_mtu(1000);
    connection.write(&[1; 1460]);
    let packets = polled(&mut connection, now);
    let cut = shown(&packets);
    assert_eq!(cut[0], (next, 5001, ACK, 960));
    assert_eq!(cut[1].0, next.wrapping_add(960));
    assert!(packets.iter().all(|packet| packet.len() <= 1000));
}

#[test]
fn what_is_cut_is_cut_as_one_piece() {
    let (mut connection, next, now) = opened();
    given(&mut connection, &packet(5001, next, ACK, &[]), now);
    given(&mut connection, &told(5001, next, ACK, 64_000, &[]), now);
    connection.write(&[1; 2920]);
    assert_eq!(polled(&mut connection, now).len(), 2);
    connection.set_mtu(1200);
    let sizes = |packets: &[Vec<u8>]| -> Vec<usize> {
        let all = shown(packets);
        all.iter().map(|it| it.3).collect()
    };
    assert_eq!(sizes(&polled(&mut connection, now)), [1160, 1160, 600]);
    // Nobody asks for the tail of what was just sent again.
    let early = now + MILLI * 199;
    assert_eq!(polled(&mut connection, early).len(), 0);
}

/// What one of the usual scale is.
const UNIT: usize = 128;

#[test]
fn a_slow_reader_stops_the_writer() {
    let mut world = World::new(Path {
        delay: MILLI,
        ..Path::quick()
    });
    world.open();
    let mut written = 0;
    for _ in 0..20_000 {
        let from = world.ends[0].as_mut().expect("an end");
        written += from.write(&[9; 8192]);
        world.poll(0);
        if !world.step() {
            break;
        }
    }
    // What the writer keeps, and the reader's window, which has not grown.
    const WINDOW: usize = 64 * 1024;
    let most = 256 * 1024 + WINDOW + UNIT;
    assert!((most - 2 * UNIT..=most).contains(&written), "{written}");
    let available = world.ends[1].as_ref().expect("an end").available();
    assert!(available >= WINDOW - UNIT, "{available}");
    let mut read = 0;
    while read < written {
        let to = world.ends[1].as_mut().expect("an end");
        let mut chunk = [0; 65536];
        let count = to.read(&mut chunk);
        read += count;
        world.poll(1);
        if !world.step() && count == 0 {
            break;
        }
    }
    assert_eq!(read, written);
}

#[test]
fn ten_thousand_connections_do_not_know_of_each_other() {
    let now = SECOND;
    let mut demux = Demux::default();
    for index in 0..10_000_u32 {
        let remote = SocketAddr::new([10, 1, (index >> 8) as u8, index as u8].into(), 80);
        let connection = Connection::connect(here(), remote, &settings(u64::from(index)), now);
        let number = demux.insert(Pair::new(here(), remote), connection.expect("one"));
        demux.schedule(
            number.expect("a number"),
            Some(now + Duration::from_micros(index.into())),
        );
    }
    let mut count = 0;
    while let Some(number) = demux.due(now + SECOND) {
        count += polled(demux.get_mut(number).expect("a connection"), now).len();
    }
    assert_eq!(count, 10_000);
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident: usize = pages
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    assert!(resident * 4096 < 300 << 20, "{resident} pages");
}

#[test]
fn a_connection_that_was_used_ends_at_both_sides() {
    let mut world = World::new(Path::quick());
    transfer(&mut world, 100_000);
    world.ends[1].as_mut().expect("an end").close();
    while world.step() {}
    for end in world.ends.iter().flatten() {
        assert_eq!(end.state(), State::Ended(End::Closed));
    }
    assert!(world.ends[0]
        .as_ref()
        .expect("an end")
        .wait(world.now)
        .is_some());
    assert!(world.ends[1]
        .as_ref()
        .expect("an end")
        .wait(world.now)
        .is_none());
}

#[test]
fn data_in_a_syn_is_read_and_answered_before_the_syn_is() {
    let fast = FastOpen {
        key: [1; 16],
        trusts: true,
    };
    let told = Settings {
        fast_open: Some(fast),
        ..settings(7)
    };
    let mut syn = packet(5000, 0, SYN, &[2, 4, 5, 180, 1, 3, 3, 7]);
    syn.extend(b"hello");
    let length = syn.len() as u16;
    syn[2..4].copy_from_slice(&length.to_be_bytes());
    let mut now = SECOND;
    let mut connection = Connection::accept(&syn, &told, now).expect("one");
    assert_eq!(connection.state(), State::Open);
    let mut read = [0; 10];
    assert_eq!((connection.read(&mut read), &read[..5]), (5, &b"hello"[..]));
    let first = shown(&polled(&mut connection, now));
    let [(number, 5006, flags, 0)] = first[..] else {
        panic!("{first:?}");
    };
    assert_eq!(flags, SYN | ACK);
    // The answer does not wait.
    connection.write(b"answer");
    let data = (number + 1, 5006, PSH | ACK, 6);
    assert_eq!(shown(&polled(&mut connection, now)), [data]);
    // Until the SYN's answer is answered, that is what is sent again.
    now = connection.poll_at(now).expect("a timer");
    assert_eq!(now, 2 * SECOND);
    assert_eq!(shown(&polled(&mut connection, now)), first);
    assert_eq!(shown(&given(&mut connection, &syn, now)), first);
    given(&mut connection, &packet(5006, number + 7, ACK, &[]), now);
    assert_eq!(connection.poll_at(now), None);
    // A SYN is nothing any more.
    let challenged = shown(&given(&mut connection, &syn, now));
    assert_eq!(challenged, [(number + 7, 5006, ACK, 0)]);
}

#[test]
fn data_in_a_syn_is_not_taken_from_just_anybody() {
    let mut syn = packet(5000, 0, SYN, &[2, 4, 5, 180, 34, 2, 1, 1]);
    syn.extend(b"hello");
    let length = syn.len() as u16;
    syn[2..4].copy_from_slice(&length.to_be_bytes());
    let fast = |trusts| FastOpen {
        key: [1; 16],
        trusts,
    };
    for (fast_open, options) in [(None, 4), (Some(fast(false)), 16)] {
        let told = Settings {
            fast_open,
            ..settings(7)
        };
        let mut connection = Connection::accept(&syn, &told, SECOND).expect("one");
        assert_eq!(connection.state(), State::Accepting);
        let answer = polled(&mut connection, SECOND).remove(0);
        let answer = Segment::parse(&answer).expect("a segment");
        assert_eq!(answer.acknowledgement, 5001);
        assert_eq!(answer.options.len(), options);
    }
}

#[test]
fn a_cookie_leaves_of_a_syn_what_it_can_say() {
    let told = Settings {
        cookies: true,
        ..settings(7)
    };
    let stamped = [2, 4, 35, 0, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7];
    let bare = [2, 4, 35, 0, 4, 2, 1, 1, 1, 3, 3, 7];
    for (options, answer) in [(&stamped[..], 20), (&bare[..], 4)] {
        let syn = packet(5000, 0, SYN, options);
        let mut connection = Connection::accept(&syn, &told, SECOND).expect("one");
        let sent = polled(&mut connection, SECOND).remove(0);
        let sent = Segment::parse(&sent).expect("a segment");
        assert_eq!(sent.options.len(), answer);
        let stamps = if answer == 20 { 12 } else { 0 };
        assert_eq!(connection.maximum(), 1460 - stamps);
        // There is one answer only.
        let last = connection.poll_at(SECOND).expect("a timer");
        assert!(last > 31 * SECOND);
        assert_eq!(polled(&mut connection, last), Vec::<Vec<u8>>::new());
        assert_eq!(connection.state(), State::Ended(End::TimedOut));
    }
}

#[test]
fn an_end_without_data_before_is_answered_at_once_and_one_after_data_soon() {
    for data in [false, true] {
        let (mut connection, next, now) = opened();
        let mut number = 5001;
        if data {
            let mut packet = packet(number, next, ACK, &[]);
            packet.extend(b"data");
            let length = packet.len() as u16;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            given(&mut connection, &packet, now);
            polled(&mut connection, now);
            number += 4;
        }
        given(&mut connection, &packet(number, next, FIN | ACK, &[]), now);
        let answers = polled(&mut connection, now).len();
        assert_eq!(answers, usize::from(!data));
        let due = connection.poll_at(now);
        assert_eq!(due, data.then(|| now + 40 * MILLI));
    }
}

/// A connection with the other side's port 0, which sends and takes bytes and ends: each packet of
/// it goes to that port.
fn ends_with_port_0(connects: bool, local: &str, remote: &str) {
    let (local, remote): (SocketAddr, SocketAddr) =
        (local.parse().unwrap(), remote.parse().unwrap());
    let now = 10 * SECOND;
    let says = |sequence, acknowledgement, flags, payload: &[u8]| {
        let plain = Plain {
            source: remote,
            destination: local,
            sequence,
            acknowledgement,
            flags,
            window: 1000,
            options: &[],
        };
        let mut packet = Vec::new();
        build(&plain, &mut packet);
        let at = packet.len() - 20;
        packet.extend_from_slice(payload);
        // The sum of what is added, and of the length of that.
        match local.is_ipv4() {
            true => packet[3] += payload.len() as u8,
            false => packet[5] += payload.len() as u8,
        }
        let sum =
            |bytes: &[u8]| u32::from(bytes[0]) << 8 | u32::from(bytes.get(1).map_or(0, |b| *b));
        let mut all = sum(&packet[at + 16..]) ^ 0xffff;
        all += payload.chunks(2).map(sum).sum::<u32>() + payload.len() as u32;
        let all = (all & 0xffff) + (all >> 16);
        packet[at + 16..at + 18].copy_from_slice(&(!(all as u16)).to_be_bytes());
        packet
    };
    let see = |packets: Vec<Vec<u8>>| {
        for packet in &packets {
            let segment = Segment::parse(packet).expect("a segment with the right checksum");
            assert_eq!((segment.source, segment.destination), (local, remote));
        }
        shown(&packets)
    };
    let (mut connection, next) = if connects {
        let mut connection = Connection::connect(local, remote, &settings(7), now).expect("one");
        let syn = see(polled(&mut connection, now));
        let [(first, 0, SYN, 0)] = syn[..] else {
            panic!("{syn:?}");
        };
        let answer = says(5000, first + 1, SYN | ACK, b"");
        given(&mut connection, &answer, now);
        assert_eq!(
            see(polled(&mut connection, now)),
            [(first + 1, 5001, ACK, 0)]
        );
        (connection, first + 1)
    } else {
        let syn = says(5000, 0, SYN, b"");
        let mut connection = Connection::accept(&syn, &settings(7), now).expect("one");
        let answer = see(polled(&mut connection, now));
        let [(first, 5001, flags, 0)] = answer[..] else {
            panic!("{answer:?}");
        };
        assert_eq!(flags, SYN | ACK);
        given(&mut connection, &says(5001, first + 1, ACK, b""), now);
        (connection, first + 1)
    };
    assert_eq!(connection.state(), State::Open);
    connection.write(b"hello");
    assert_eq!(
        see(polled(&mut connection, now)),
        [(next, 5001, ACK | PSH, 5)]
    );
    let data = says(5001, next + 5, ACK | PSH, b"back");
    let mut answers = given(&mut connection, &data, now);
    answers.extend(polled(&mut connection, now));
    assert_eq!(see(answers), [(next + 5, 5005, ACK, 0)]);
    let mut room = [0; 10];
    assert_eq!((connection.read(&mut room), &room[..4]), (4, &b"back"[..]));
    connection.close();
    assert_eq!(
        see(polled(&mut connection, now)),
        [(next + 5, 5005, FIN | ACK, 0)]
    );
    let mut reset = says(5005, next + 6, RST | ACK, b"");
    given(&mut connection, &reset, now);
    assert_eq!(connection.state(), State::Ended(End::Reset));
    let segment = says(5005, next + 6, ACK, b"");
    let segment = Segment::parse(&segment).expect("a segment");
    assert!(reset_for(&segment, &mut reset));
    assert_eq!(see(vec![reset]), [(next + 6, 0, RST, 0)]);
}

#[test]
fn the_other_sides_port_may_be_0() {
    for connects in [true, false] {
        ends_with_port_0(connects, "10.0.0.1:1000", "10.0.0.2:0");
        ends_with_port_0(connects, "[fd00::1]:1000", "[fd00::2]:0");
    }
    let [own, other] = ["10.0.0.1:0", "10.0.0.2:80"].map(|name| name.parse().expect("a name"));
    assert!(Connection::connect(own, other, &settings(1), SECOND).is_none());
}
