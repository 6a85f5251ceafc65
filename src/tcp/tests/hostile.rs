//! Whatever comes: no panic, no memory without bound, and no connection that never rests.

mod common;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use common::settings;
use memtun_tcp::segment::{build, Plain, ACK, SYN};
use memtun_tcp::{reset_for, Connection, Segment, State};
use proptest::prelude::*;

/// A connection survives a panic within it, and so would this test.
static PANICKED: AtomicBool = AtomicBool::new(false);

fn watch_panics() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        PANICKED.store(true, Relaxed);
    }));
}

#[derive(Debug, Clone)]
struct Step {
    flags: u8,
    sequence: i32,
    acknowledgement: i32,
    window: u16,
    options: Vec<u8>,
    /// Blocks that it says to have, near what has left.
    blocks: Vec<(i32, i32)>,
    payload: usize,
    mtu: Option<usize>,
    wait: u64,
    write: usize,
    read: usize,
    close: bool,
}

fn near() -> impl Strategy<Value = i32> {
    prop_oneof![4 => -3..4, 2 => -2000..2000, 1 => -300_000..300_000, 1 => any::<i32>()]
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![6 => Just(ACK), 2 => Just(ACK | 8), 1 => Just(ACK | 1), 1 => 0..64_u8];
    let sacks = prop::collection::vec(any::<u8>(), 0..3).prop_map(|words| {
        words
            .iter()
            .flat_map(|&word| [1, 3, 3, word])
            .collect::<Vec<u8>>()
    });
    let blocks = prop::collection::vec((near(), near()), 0..4);
    let payload = prop_oneof![2 => Just(0_usize), 1 => 1..1400_usize];
    let mtu = prop::option::weighted(0.05, 0..2000_usize);
    let head = (flags, near(), near(), any::<u16>(), sacks);
    let rest = (
        (blocks, payload, mtu),
        0..500_u64,
        0..5000_usize,
        0..5000_usize,
        prop::bool::weighted(0.03),
    );
    (head, rest).prop_map(
        |(
            (flags, sequence, acknowledgement, window, options),
            ((blocks, payload, mtu), wait, write, read, close),
        )| Step {
            blocks,
            payload,
            mtu,
            flags,
            sequence,
            acknowledgement,
            window,
            options,
            wait,
            write,
            read,
            close,
        },
    )
}

fn plain(sequence: u32, acknowledgement: u32, flags: u8, window: u16, options: &[u8]) -> Plain<'_> {
    let (local, remote) = ends();
    Plain {
        source: remote,
        destination: local,
        sequence,
        acknowledgement,
        flags,
        window,
        options,
    }
}

fn ends() -> (SocketAddr, SocketAddr) {
    (
        "10.0.0.1:1".parse().expect("one"),
        "10.0.0.2:2".parse().expect("the other"),
    )
}

/// Polls until it rests, which it must do soon. Returns the last sequence number that left.
fn rests(connection: &mut Connection, now: Duration, mine: &mut u32) {
    for _ in 0..2000 {
        let all = connection.poll(now, &mut |packet| {
            let segment = Segment::parse(packet).expect("what leaves is a segment");
            *mine = segment.sequence.wrapping_add(segment.len());
        });
        if all && connection.poll_at(now).is_none_or(|at| at > now) {
            return;
        }
    }
    panic!("it never rests: {connection:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400), ..ProptestConfig::default() })]

    #[test]
    fn segments_that_do_not_fit_do_no_harm(steps in prop::collection::vec(step(), 1..60), passive: bool, bbr: bool) {
        watch_panics();
        let (local, remote) = ends();
        let mut now = Duration::from_secs(5);
        let mut packet = Vec::new();
        let mut mine = 0;
        let mut connection = if passive {
            build(&plain(4999, 0, SYN, 500, &[2, 4, 5, 180, 1, 1, 4, 2]), &mut packet);
            Connection::accept(&packet, &settings(3), now).expect("a connection")
        } else {
            Connection::connect(local, remote, &settings(3), now).expect("a connection")
        };
        if bbr {
            connection.use_bbr();
        }
        rests(&mut connection, now, &mut mine);
        let flags = if passive { ACK } else { SYN | ACK };
        let first = if passive { 5000 } else { 4999 };
        build(&plain(first, mine, flags, 500, if passive { &[] } else { &[2, 4, 5, 180, 1, 3, 3, 7, 1, 1, 4, 2] }), &mut packet);
        connection.segment(&packet, now, &mut |_| {});
        let mut bytes = [0; 5000];
        for step in &steps {
            rests(&mut connection, now, &mut mine);
            connection.write(&bytes[..step.write]);
            let sequence = 5000_u32.wrapping_add(step.sequence as u32);
            let acknowledgement = mine.wrapping_add(step.acknowledgement as u32);
            let mut options = step.options.clone();
            if !step.blocks.is_empty() {
                options.extend([1, 1, 5, 2 + 8 * step.blocks.len() as u8]);
                for &(from, size) in &step.blocks {
                    let from = mine.wrapping_add(from as u32);
                    options.extend(from.to_be_bytes());
                    options.extend(from.wrapping_add(size as u32).to_be_bytes());
                }
            }
            build(&plain(sequence, acknowledgement, step.flags, step.window, &options), &mut packet);
            packet.extend(std::iter::repeat_n(7, step.payload));
            let total = packet.len() as u16;
            packet[2..4].copy_from_slice(&total.to_be_bytes());
            if let Some(mtu) = step.mtu {
                connection.set_mtu(mtu);
            }
            connection.segment(&packet, now, &mut |packet| {
                assert!(Segment::parse(packet).is_some());
            });
            connection.read(&mut bytes[..step.read]);
            if step.close {
                connection.close();
            }
            now += Duration::from_millis(step.wait);
            prop_assert!(connection.available() <= 1024 * 1024 && connection.pending() <= 1024 * 1024);
        }
        connection.abort();
        rests(&mut connection, now, &mut mine);
        prop_assert!(matches!(connection.state(), State::Ended(_)));
        prop_assert!(!PANICKED.load(Relaxed), "something has panicked");
    }

    #[test]
    fn any_bytes_are_a_packet_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200), version in prop_oneof![Just(4_u8), Just(6)]) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = version << 4 | *first & 15;
        }
        if let Some(segment) = Segment::parse(&bytes) {
            let _ = segment.options().count();
            reset_for(&segment, &mut Vec::new());
        }
        prop_assert!(Connection::accept(&bytes, &settings(1), Duration::ZERO).is_none() || bytes.len() >= 40);
    }
}
