//! Processes that share locks are killed at random moments: what a lock guards is whole or is
//! repaired, the locks are taken from the dead, and nobody hangs. `MEMTUN_CRASH_KILLS` says how
//! many processes are killed (default 300; 2000 and more before a release), and `MEMTUN_CRASH_SEED`
//! repeats a run.

mod common;

use common::process::{child, Child, Shared};
use common::WAIT;
use memtun::Net;
use memtun_kernel::NetDir;
use memtun_shm::lock::{self, Lock, Patience};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

const WORKERS: usize = 6;
const PAIRS: usize = 3;

/// Two numbers that are equal whenever the lock is free, and a third one between them. A holder
/// that finds them unequal came while another one was at work, or after one that died.
struct Guarded {
    lock: Lock,
    first: AtomicU64,
    second: AtomicU64,
    /// One bit for each worker that is at work.
    at_work: AtomicU64,
}

struct Table {
    /// These locks nest in this order, as those of the net, an interface and a tunnel do.
    outer: Lock,
    pairs: [Guarded; PAIRS],
    calls: AtomicU64,
    repairs: AtomicU64,
    torn: AtomicU64,
    longest_ns: AtomicU64,
    over: AtomicBool,
}

impl Table {
    fn change(&self, pair: &Guarded, dir: &NetDir, worker: usize) {
        let begun = Instant::now();
        let repair = || {
            // What the dead holder has half done is taken back, so the state is whole again before
            // anybody sees it.
            pair.first.store(pair.second.load(Relaxed), Relaxed);
            pair.at_work.store(0, Relaxed);
            self.repairs.fetch_add(1, Relaxed);
        };
        let guard = pair.lock.lock(dir, Patience::Driver(Some(WAIT)), repair);
        let _guard = guard.expect("a lock within the time");
        self.longest_ns
            .fetch_max(begun.elapsed().as_nanos() as u64, Relaxed);
        let others = pair.at_work.swap(1 << worker, SeqCst);
        let (first, second) = (pair.first.load(Relaxed), pair.second.load(Relaxed));
        if others != 0 || first != second {
            self.torn.fetch_add(1, Relaxed);
            eprintln!("worker {worker}: {others:#x} at work, {first} and {second}");
        }
        pair.first.store(first + 1, Relaxed);
        for _ in 0..20 {
            std::hint::spin_loop();
        }
        pair.second.store(first + 1, Relaxed);
        if pair.at_work.swap(0, SeqCst) != 1 << worker {
            self.torn.fetch_add(1, Relaxed);
            eprintln!("worker {worker} was taken for dead while it was at work");
        }
        self.calls.fetch_add(1, Relaxed);
    }

    fn work(&self, dir: &NetDir, worker: usize, mut random: Random) {
        while !self.over.load(Relaxed) {
            let pair = random.below(PAIRS as u64) as usize;
            // Most calls hold one lock, and some hold all of them.
            match random.below(8) {
                0 => {
                    let outer = self.outer.lock_in_turn(dir, Patience::Driver(Some(WAIT)));
                    let _outer = outer.expect("the outer lock within the time");
                    self.change_nested(dir, worker, pair);
                }
                1 => self.change_nested(dir, worker, pair),
                _ => self.change(&self.pairs[pair], dir, worker),
            }
        }
    }

    /// Holds the first lock while it takes another one.
    fn change_nested(&self, dir: &NetDir, worker: usize, pair: usize) {
        if pair == 0 {
            return self.change(&self.pairs[0], dir, worker);
        }
        let first = &self.pairs[0];
        let repair = || {
            first.first.store(first.second.load(Relaxed), Relaxed);
            first.at_work.store(0, Relaxed);
            self.repairs.fetch_add(1, Relaxed);
        };
        let guard = first.lock.lock(dir, Patience::Driver(Some(WAIT)), repair);
        let _guard = guard.expect("a lock within the time");
        let others = first.at_work.swap(1 << worker, SeqCst);
        if others != 0 {
            self.torn.fetch_add(1, Relaxed);
            eprintln!("worker {worker}: {others:#x} at work while nested");
        }
        self.change(&self.pairs[pair], dir, worker);
        if first.at_work.swap(0, SeqCst) != 1 << worker {
            self.torn.fetch_add(1, Relaxed);
            eprintln!("worker {worker} was taken for dead while it was at work, nested");
        }
    }
}

/// A pseudo-random sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

#[test]
fn no_state_is_torn_and_nobody_hangs_when_holders_are_killed() {
    let kills = number("MEMTUN_CRASH_KILLS", 300);
    let seed = number("MEMTUN_CRASH_SEED", u64::from(std::process::id()) << 20 | 1);
    eprintln!("MEMTUN_CRASH_SEED={seed}");
    let mut random = Random(seed);
    let net = Net::temporary().expect("a net");
    let dir = net.dir();
    // SAFETY: the table consists of locks and atomics, which are valid when zero.
    let table: Shared<Table> = unsafe { Shared::zeroed() };
    let start = |worker: usize, seed: u64| -> Child {
        child(|| {
            lock::forked();
            dir.forked();
            table.work(dir, worker, Random(seed));
            0
        })
    };
    let mut workers: Vec<Option<Child>> = (0..WORKERS).map(|_| None).collect();
    let mut victims = 0;
    while victims < kills {
        for (number, worker) in workers.iter_mut().enumerate() {
            worker
                .get_or_insert_with(|| start(number, random.below(u64::MAX >> 40) << 20 | victims));
        }
        // Workers make progress: an untouched state alone would prove nothing.
        let calls = table.calls.load(Relaxed);
        let limit = Instant::now() + WAIT;
        let more = calls + random.below(200);
        while table.calls.load(Relaxed) <= more {
            assert!(
                Instant::now() < limit,
                "nobody gets on after {victims} kills"
            );
            std::hint::spin_loop();
        }
        let which = random.below(WORKERS as u64) as usize;
        let victim = workers[which].take().expect("all were started");
        victim.signal(libc::SIGKILL);
        let ended = victim.ended(WAIT);
        assert_eq!(
            ended.signal(),
            Some(libc::SIGKILL),
            "a worker ended by itself: {ended}"
        );
        victims += 1;
    }
    table.over.store(true, Relaxed);
    for worker in workers.into_iter().flatten() {
        assert_eq!(worker.ended(WAIT).code(), Some(0));
    }
    let longest = Duration::from_nanos(table.longest_ns.load(Relaxed));
    let repairs = table.repairs.load(Relaxed);
    eprintln!(
        "{victims} killed, {} calls, {repairs} locks taken from the dead, the longest wait {longest:?}",
        table.calls.load(Relaxed)
    );
    assert_eq!(
        table.torn.load(Relaxed),
        0,
        "two held a lock at the same time, or a repair was left out"
    );
    assert!(
        repairs > kills / 50,
        "{repairs} of {kills} died with a lock: the kills miss what they are to hit"
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");
}
