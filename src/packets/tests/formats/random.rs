//! Whatever a file holds, reading it ends, and if the file is bad, it ends in a sentence; what is
//! written can be read again. The tests try random bytes, good files that were damaged, and random
//! packets: [`CASES`] of each, or as many as there is time for in `MEMTUN_FUZZ_SECONDS`.

use super::frames;
use memtun_packets::{fit, hex, other_length, pcap, pcapng, LinkType, LONGEST};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, Index};
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use std::time::{Duration, Instant};

const CASES: u32 = 1000;

/// Length that no packet that is read exceeds. It is more than the longest packet, because a block
/// of pcapng has room for options.
const LONGEST_READ: usize = LONGEST as usize + (1 << 17);

/// Runs a test with random values. The tests of this file share the seconds.
fn check<S: Strategy>(values: S, test: impl Fn(S::Value) -> TestCaseResult) {
    let seconds = std::env::var("MEMTUN_FUZZ_SECONDS").ok();
    let seconds: Option<u64> = seconds.and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds) / 4);
    loop {
        let config = Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        };
        if let Err(e) = TestRunner::new(config).run(&values, &test) {
            panic!("{e}");
        }
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
}

/// Reads a file, and asks about every packet in it what an interface would ask.
fn survived(bytes: &[u8]) -> TestCaseResult {
    for frame in frames(bytes).unwrap_or_default() {
        prop_assert!(frame.data.len() <= LONGEST_READ);
        for tap in [false, true] {
            let _ = fit(frame.link, &frame.data, tap);
            let _ = other_length(&frame.data, tap);
        }
    }
    Ok(())
}

fn good_pcapng() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = pcapng::Writer::new(&mut bytes).unwrap();
    let interface = writer.interface("tun0", LinkType::RAW, None).unwrap();
    for n in 0..3 {
        let packet = pcapng::Packet {
            interface,
            time_ns: n,
            data: &[0x45; 33],
            inbound: n == 1,
            comment: Some("c"),
        };
        writer.packet(&packet).unwrap();
    }
    bytes
}

fn good_pcap() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = pcap::Writer::new(&mut bytes, LinkType::RAW).unwrap();
    for time_ns in 0..3 {
        writer.packet(time_ns, &[0x45; 21]).unwrap();
    }
    bytes
}

/// Returns a file of each format, and of each kind of dump.
fn good() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 5] = [
        b"# two\n45 00:001c\n\n0x60 0x00 # six\n",
        b"00000000: 4500 001c 0000 0000 4011 669d 0a09 0001  E.......@.f.....\n00000010: 0a09 0002  ....\n",
        b"00000000  45 00 00 1c 00 00 00 00  40 11 66 9d 0a 09 00 01  |E.......@.f.....|\n*\n00000040  0a\n00000041\n",
        b"0000000 45 00 00 1c 00 00 00 00 40 11 66 9d 0a 09 00 01\n0000020 0a 09\n0000022\n",
        b"12:00 IP a > b\n\t0x0000:  4500 001c\n\t0x0004:  0001\nIP\n\t0x0000:  6000\n",
    ];
    let mut files = vec![good_pcapng(), good_pcap()];
    files.extend(texts.map(<[u8]>::to_vec));
    files
}

#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Repeat(Index, Index),
    Cut(Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Damage> {
        let byte = || prop_oneof![any::<u8>(), select(b"\0\n 0f:*|x\xff".to_vec())];
        prop_oneof![
            4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Set(at, byte)),
            2 => any::<Index>().prop_map(Damage::Remove),
            2 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
            2 => any::<(Index, Index)>().prop_map(|(from, upto)| Damage::Repeat(from, upto)),
            1 => any::<Index>().prop_map(Damage::Cut),
        ]
    }

    fn inflict(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| {
            index
                .index(bytes.len().max(1))
                .min(bytes.len().saturating_sub(1))
        };
        match self {
            _ if bytes.is_empty() => {}
            Damage::Set(index, byte) => {
                let at = at(index);
                bytes[at] = *byte;
            }
            Damage::Remove(index) => {
                let at = at(index);
                bytes.remove(at);
            }
            Damage::Insert(index, byte) => {
                let at = at(index);
                bytes.insert(at, *byte);
            }
            Damage::Repeat(one, other) => {
                let (one, other) = (at(one), at(other));
                bytes.extend_from_within(one.min(other)..one.max(other));
            }
            Damage::Cut(index) => {
                let at = at(index);
                bytes.truncate(at);
            }
        }
    }
}

/// The bytes begin with one of the beginnings by which a format is known.
#[test]
fn random_bytes_are_survived() {
    let begins: [&[u8]; 8] = [
        b"",
        b"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0",
        b"\n\r\r\n\0\0\0\x1c\x1a\x2b\x3c\x4d\0\x01\0\0",
        b"\xd4\xc3\xb2\xa1\x02\0\x04\0",
        b"\xa1\xb2\x3c\x4d\0\x02\0\x04",
        b"45 00\n",
        b"00000000: 4500",
        b"0000000 ",
    ];
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..400),
        vec(select(b"0123459af :*x|\n.".to_vec()), 0..400)
    ];
    check((select(begins.to_vec()), bytes), |(start, rest)| {
        survived(&[start, &rest].concat())
    });
}

#[test]
fn random_damage_is_survived() {
    let damages = vec(Damage::any(), 1..9);
    check((select(good()), damages), |(mut bytes, damages)| {
        damages.iter().for_each(|damage| damage.inflict(&mut bytes));
        survived(&bytes)
    });
}

/// Damages each byte in turn, and cuts the file at each length.
#[test]
fn damage_anywhere_is_survived() {
    for good in good() {
        frames(&good).unwrap();
        for at in 0..good.len() {
            for value in *b"\0\x01\n0af:*x|\x7f\x80\xff" {
                let mut bad = good.clone();
                bad[at] = value;
                survived(&bad).unwrap();
            }
            survived(&good[..at]).unwrap();
        }
    }
}

type Packets = Vec<(u64, Vec<u8>)>;

fn packets() -> impl Strategy<Value = Packets> {
    vec((any::<u64>(), vec(any::<u8>(), 1..200)), 0..20)
}

#[test]
fn what_is_written_as_pcap_or_text_is_read_again() {
    check(packets(), |packets| {
        let (mut file, mut text) = (Vec::new(), Vec::new());
        let mut writer = pcap::Writer::new(&mut file, LinkType::ETHERNET).unwrap();
        let in_range = |time: u64| time % (u64::from(u32::MAX) * 1_000_000_000);
        for (time, data) in &packets {
            writer.packet(in_range(*time), data).unwrap();
            hex::write(&mut text, data).unwrap();
        }
        let from_file = frames(&file).unwrap();
        let from_text = frames(&text).unwrap();
        prop_assert_eq!(from_file.len(), packets.len());
        prop_assert_eq!(from_text.len(), packets.len());
        for (((time, data), of_file), of_text) in packets.iter().zip(&from_file).zip(&from_text) {
            prop_assert_eq!(&of_file.data, data);
            prop_assert_eq!(of_file.time_ns, Some(i128::from(in_range(*time))));
            prop_assert_eq!(
                (of_file.link, of_file.cut_short),
                (LinkType::ETHERNET, false)
            );
            prop_assert_eq!(&of_text.data, data);
        }
        Ok(())
    });
}

#[test]
fn what_is_written_as_pcapng_is_read_again() {
    let marks = vec((any::<bool>(), any::<bool>(), any::<Option<String>>()), 20);
    check((packets(), marks), |(packets, marks)| {
        let mut bytes = Vec::new();
        let mut writer = pcapng::Writer::new(&mut bytes).unwrap();
        writer.interface("tun0", LinkType::RAW, None).unwrap();
        writer
            .interface("tap0", LinkType::ETHERNET, Some([2; 6]))
            .unwrap();
        for ((time_ns, data), (tap, inbound, comment)) in packets.iter().zip(&marks) {
            let packet = pcapng::Packet {
                interface: u32::from(*tap),
                time_ns: *time_ns,
                inbound: *inbound,
                comment: comment.as_deref(),
                data,
            };
            writer.packet(&packet).unwrap();
        }
        writer
            .statistics(0, 1, packets.len() as u64, Some(0))
            .unwrap();
        let found = frames(&bytes).unwrap();
        prop_assert_eq!(found.len(), packets.len());
        for (((time_ns, data), (tap, inbound, _)), frame) in packets.iter().zip(&marks).zip(&found)
        {
            let name = if *tap { "tap0" } else { "tun0" };
            prop_assert_eq!(&frame.data, data);
            prop_assert_eq!(frame.time_ns, Some(i128::from(*time_ns)));
            prop_assert_eq!(frame.sent_by_program, !inbound);
            prop_assert_eq!(frame.interface.as_deref(), Some(name));
        }
        Ok(())
    });
}
