//! Bytes over wires that lose and reorder: all of them arrive, and at a sane rate.

mod common;

use std::time::Duration;

use common::{transfer, Path, Random, World, MILLI};

const MIB: usize = 1024 * 1024;

fn rate(path: Path, total: usize) -> f64 {
    let mut world = World::new(path.clone());
    let time = transfer(&mut world, total);
    let rate = total as f64 / time.as_secs_f64();
    println!(
        "{:?} loss {} reorder {}: {:.2} MB/s, {} packets, {} lost",
        path.delay,
        path.loss,
        path.reorder,
        rate / 1e6,
        world.count,
        world.lost
    );
    rate
}

/// What Mathis et al. say of a connection that halves: MSS / RTT * sqrt(3/2) / sqrt(p).
fn mathis(path: &Path) -> f64 {
    let trip = path.delay.as_secs_f64() * 2.0;
    1460.0 / trip * 1.22 / (path.loss as f64 / 1000.0).sqrt()
}

#[test]
fn a_quick_wire_is_filled() {
    assert!(rate(Path::quick(), 50 * MIB) > 300e6);
}

#[test]
fn fifty_megabytes_arrive_over_a_wire_that_loses_two_percent_and_reorders() {
    let path = Path {
        delay: MILLI,
        loss: 20,
        reorder: 50,
        ..Path::quick()
    };
    let expected = mathis(&path);
    assert!(rate(path, 50 * MIB) > expected / 2.0, "expected {expected}");
}

#[test]
fn losses_cost_what_they_must() {
    for (delay, loss) in [
        (MILLI / 10, 20),
        (MILLI, 20),
        (MILLI * 10, 20),
        (MILLI * 10, 1),
    ] {
        for seed in [3, 5, 7] {
            let path = Path {
                delay,
                loss,
                random: Random(seed),
                ..Path::quick()
            };
            let expected = mathis(&path);
            let rate = rate(path, 4 * MIB);
            assert!(
                rate > expected / 4.0,
                "{rate} where {expected} was expected"
            );
        }
    }
}

#[test]
fn every_second_packet_lost_only_slows_it_down() {
    let path = Path {
        delay: MILLI,
        loss: 300,
        ..Path::quick()
    };
    let mut world = World::new(path);
    assert!(transfer(&mut world, 200_000) < Duration::from_secs(600));
}

#[test]
fn losses_cost_bbr_little() {
    for (delay, rate_of_wire) in [
        (MILLI, 20_000_000),
        (MILLI * 10, 10_000_000),
        (MILLI / 10, 100_000_000),
    ] {
        for seed in [3, 5, 7] {
            let path = Path {
                delay,
                rate: rate_of_wire,
                loss: 20,
                // What overtakes the whole delay is no round trip.
                reorder: if delay > MILLI { 0 } else { 10 },
                random: Random(seed),
                bbr: true,
            };
            let rate = rate(path, 16 * MIB);
            assert!(rate > rate_of_wire as f64 / 2.0, "{rate} of {rate_of_wire}");
        }
    }
}
