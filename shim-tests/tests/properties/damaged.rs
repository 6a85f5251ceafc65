//! Damages the files of a net as another process would that stores what it likes. Each file is
//! refused, or every use of it ends with an answer.

use super::holds;
use memtun_shm::layout::{InterfaceState, State, TunnelState};
use memtun_shm::lock::{Patience, Peers};
use memtun_shm::log::{Entry, Sort};
use memtun_shm::Mapped;
use memtun_sys::{memory_file, Fd};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Says that there is only this process, so that every other holder of a lock is dead.
struct Alone;

impl Peers for Alone {
    fn token(&self) -> u32 {
        7
    }
    fn is_alive(&self, token: u32) -> Option<bool> {
        Some(token == 7)
    }
}

/// A change of a file: a word that is stored somewhere, or a new length.
#[derive(Clone, Debug)]
enum Damage {
    Word(u64, u64),
    Length(u64),
}

fn damage(head: u64, of_use: u64) -> impl Strategy<Value = Damage> {
    let at = prop_oneof![
        2 => 0..head,
        // The words of rings and logs are here.
        4 => of_use.saturating_sub(160)..of_use,
        3 => 4096..4096 + 2048u64,
    ];
    let word = prop_oneof![
        any::<u64>(),
        (0..64u32).prop_map(|bit| 1 << bit),
        0..100u64,
        Just(u64::MAX),
        Just(u32::MAX.into()),
    ];
    prop_oneof![
        40 => (at, word).prop_map(|(at, word)| Damage::Word(at & !7, word)),
        1 => prop_oneof![Just(0), 0..8192u64].prop_map(Damage::Length),
    ]
}

fn shared<S: State>() -> (File, Mapped<S>) {
    let fd = memory_file(c"damaged", libc::MFD_CLOEXEC).expect("a file");
    let mapped = Mapped::create(&fd).expect("a mapping");
    (File::from(OwnedFd::from(fd)), mapped)
}

fn apply(file: &File, damage: &Damage) {
    match damage {
        Damage::Word(at, word) => drop(file.write_all_at(&word.to_ne_bytes(), *at)),
        Damage::Length(length) => drop(file.set_len(*length)),
    }
}

/// Maps the file as a process does that comes later.
fn map_again<S: State>(file: &File) -> Option<Mapped<S>> {
    let fd = Fd::from(file.as_fd().try_clone_to_owned().expect("a descriptor"));
    let size = file.metadata().expect("a length").len();
    match Mapped::map(&fd, size) {
        Ok(mapped) => Some(mapped),
        Err((e, why)) => {
            assert_eq!(e.0, libc::EUCLEAN, "{why}");
            None
        }
    }
}

fn soon<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = run();
    let time = begun.elapsed();
    assert!(time < Duration::from_secs(2), "{what} took {time:?}");
    answer
}

fn use_queue(tunnel: &Mapped<TunnelState>) {
    let _ = tunnel.is_damaged();
    let locked = soon("the lock", || tunnel.lock(&Alone, Patience::Brief, || {}));
    let Ok(locked) = locked else { return };
    let queue = locked.queue();
    soon("the queue", || {
        let _ = queue.peek_all();
        let _ = queue.push(&[1; 100], 0x800, 500);
        let _ = queue.shrink(400);
        for _ in 0..20 {
            queue.pop(|packet| packet.data.copy_to(&mut [0; 64]));
        }
        queue.clear();
        assert_eq!(queue.queued(), 0);
        let _ = queue.push(&[2; 40], 0x800, 500);
    });
}

fn use_log(interface: &Mapped<InterfaceState>) {
    let read = || {
        for everything in [true, false] {
            let mut cursor = interface.log().cursor(everything);
            let mut data = Vec::new();
            // This is the largest number that there may ever be.
            for _ in 0..1000 {
                let _ = interface.log().peek(&cursor);
                if interface.log().read(&mut cursor, &mut data) == Entry::Empty {
                    break;
                }
            }
        }
    };
    soon("reading the log", read);
    let locked = soon("the lock", || {
        interface.lock(&Alone, Patience::Brief, || {})
    });
    let Ok(locked) = locked else { return };
    soon("writing the log", || {
        let log = locked.log_writer();
        let _ = locked.log_blocked(100);
        let _ = log.wants(100).map(|upto| log.grow(upto, |_| true));
        for _ in 0..5 {
            let _ = log.append(Sort::Written, 100, |room| {
                room.store(&[3; 100]);
                Ok(0x800)
            });
        }
    });
    soon("reading what was written", read);
    soon("the queues", || {
        let _ = interface.queue_inodes().count();
        let _ = interface.add_queue(5);
        let _ = interface.switch_queue(5, false);
        interface.remove_queue(5);
        interface.learn_flow(1, 5);
        let _ = interface.known_queue(1);
    });
}

#[test]
fn a_queue_that_leads_around_is_shown_once() {
    const LEN: usize = 60_000;
    const UNITS: u64 = 1 + LEN as u64 / 16;
    let (file, tunnel) = shared::<TunnelState>();
    let locked = tunnel.lock(&Alone, Patience::Brief, || {});
    let locked = locked.expect("nobody has the lock");
    locked
        .queue()
        .push(&[4; LEN], 0x800, 500)
        .expect("there is room");
    // Behind the packet a marker leads to the beginning, and the queue counts many packets.
    let ends = size_of::<TunnelState>() as u64 - 16;
    for damage in [
        Damage::Word(TunnelState::HEAD as u64 + UNITS * 16, u32::MAX.into()),
        Damage::Word(ends, UNITS << 20 | 2000),
    ] {
        apply(&file, &damage);
    }
    assert_eq!(locked.queue().queued(), 2000);
    let seen = locked.queue().peek_all();
    assert!(!seen.is_empty() && seen.len() * LEN <= TunnelState::AREA);
    assert_eq!(locked.queue().shrink(1000), 1000);
}

#[test]
fn a_damaged_queue_gives_answers() {
    let of_use = size_of::<TunnelState>() as u64;
    let before = vec(vec(any::<u8>(), 0..100), 0..6);
    let cases = (before, vec(damage(of_use, of_use), 0..12));
    holds(cases, |(packets, damages)| {
        let (file, tunnel) = shared::<TunnelState>();
        if let Ok(locked) = tunnel.lock(&Alone, Patience::Brief, || {}) {
            for packet in &packets {
                locked.queue().push(packet, 0x86dd, 500).expect("room");
            }
            assert_eq!(locked.queue().queued() as usize, packets.len());
        }
        damages.iter().for_each(|damage| apply(&file, damage));
        use_queue(&tunnel);
        map_again::<TunnelState>(&file).iter().for_each(use_queue);
        Ok(())
    });
}

#[test]
fn a_damaged_log_gives_answers() {
    let of_use = size_of::<InterfaceState>() as u64;
    // The words of the log stand in front of those of the capturer.
    let words = std::mem::offset_of!(InterfaceState, log) as u64 + 160;
    let cases = (vec(0..100usize, 0..6), vec(damage(of_use, words), 0..12));
    holds(cases, |(lengths, damages)| {
        let (file, interface) = shared::<InterfaceState>();
        if let Ok(locked) = interface.lock(&Alone, Patience::Brief, || {}) {
            for len in lengths {
                let written = locked
                    .log_writer()
                    .append(Sort::Written, len, |_| Ok(0x800));
                written.expect("room");
            }
        }
        damages.iter().for_each(|damage| apply(&file, damage));
        use_log(&interface);
        map_again::<InterfaceState>(&file).iter().for_each(use_log);
        Ok(())
    });
}
