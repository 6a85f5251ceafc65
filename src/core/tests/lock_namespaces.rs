//! Processes of two PID namespaces share a lock and have the same ids. Nobody is taken for somebody
//! else, whichever of them is killed. `MEMTUN_CRASH_KILLS` says how many processes are killed
//! (default 200).

mod common;

use common::process::{child, Child, Shared};
use common::WAIT;
use memtun::Net;
use memtun_kernel::NetDir;
use memtun_shm::lock::{self, Lock, Patience};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

/// The id that the worker of each namespace is to have; the first process of a namespace has 1.
const WORKER_ID: u32 = 2;
const NO_NAMESPACES: i32 = 77;

struct Table {
    lock: Lock,
    /// Namespace and id of the process that is at work.
    at_work: AtomicU32,
    calls: [AtomicU64; 2],
    killed: AtomicU64,
    other_ids: AtomicU64,
    broken: AtomicU64,
    repairs: AtomicU64,
}

fn work(table: &Table, dir: &NetDir, space: usize) -> i32 {
    if memtun_sys::getpid() as u32 != WORKER_ID {
        table.other_ids.fetch_add(1, Relaxed);
    }
    let mark = (space as u32 + 1) << 16 | memtun_sys::gettid() as u32;
    loop {
        let repair = || {
            table.at_work.store(0, SeqCst);
            table.repairs.fetch_add(1, Relaxed);
        };
        let guard = table.lock.lock(dir, Patience::Driver(Some(WAIT)), repair);
        let _guard = guard.expect("a lock within the time");
        if table.at_work.swap(mark, SeqCst) != 0 {
            table.broken.fetch_add(1, Relaxed);
        }
        // This is long enough for others to wake up and come in, if the lock lets them.
        for _ in 0..5000 {
            std::hint::spin_loop();
        }
        // A holder that was taken for dead finds another process's mark, or none: the other one
        // repaired what was not broken.
        if table.at_work.swap(0, SeqCst) != mark {
            table.broken.fetch_add(1, Relaxed);
        }
        table.calls[space].fetch_add(1, Relaxed);
    }
}

/// Process 1 of a namespace, which starts a worker with the same id whenever it has killed the last
/// one.
fn first(table: &Table, dir: &NetDir, space: usize, kills: u64) -> i32 {
    while table.killed.load(SeqCst) < kills {
        // The next id is one more than this. Only root may set it, and a worker that gets another
        // id is counted.
        let last = (WORKER_ID - 1).to_string();
        let _ = std::fs::write("/proc/sys/kernel/ns_last_pid", last);
        let worker = child(|| {
            lock::forked();
            dir.forked();
            // There are two threads, so that the one that is left at once takes a lock that was
            // wrongly said to be free.
            std::thread::scope(|scope| {
                scope.spawn(|| work(table, dir, space));
                work(table, dir, space)
            })
        });
        let calls = table.calls[space].load(Relaxed);
        let limit = Instant::now() + WAIT;
        while table.calls[space].load(Relaxed) < calls + 50 {
            assert!(
                Instant::now() < limit,
                "the worker of namespace {space} hangs"
            );
            memtun_sys::yield_now();
        }
        worker.signal(libc::SIGKILL);
        worker.ended(WAIT);
        table.killed.fetch_add(1, SeqCst);
    }
    0
}

fn namespace(table: &Table, dir: &NetDir, space: usize, kills: u64) -> Child {
    child(|| {
        let new = libc::CLONE_NEWPID;
        // SAFETY: unshare takes an integer.
        let alone =
            unsafe { libc::unshare(new) == 0 || libc::unshare(new | libc::CLONE_NEWUSER) == 0 };
        if !alone {
            return NO_NAMESPACES;
        }
        let first = child(|| first(table, dir, space, kills));
        first.ended(Duration::from_secs(300)).code().unwrap_or(1)
    })
}

#[test]
fn the_same_ids_in_two_pid_namespaces_are_not_the_same_holder() {
    let kills = std::env::var("MEMTUN_CRASH_KILLS").ok();
    let kills = kills.and_then(|k| k.parse().ok()).unwrap_or(200);
    let net = Net::temporary().expect("a net");
    // SAFETY: the table consists of a lock and atomics, which are valid when zero.
    let table: Shared<Table> = unsafe { Shared::zeroed() };
    let spaces = [0, 1].map(|space| namespace(&table, net.dir(), space, kills));
    for space in spaces {
        match space.ended(Duration::from_secs(300)).code() {
            Some(0) => {}
            Some(NO_NAMESPACES) => {
                return common::not_run("two PID namespaces", "this machine gives none");
            }
            code => panic!("a namespace ended with {code:?}"),
        }
    }
    let (killed, repairs) = (table.killed.load(SeqCst), table.repairs.load(Relaxed));
    eprintln!(
        "{killed} killed, {repairs} locks taken from the dead, {:?} calls, {} workers with another id than {WORKER_ID}",
        [0, 1].map(|space: usize| table.calls[space].load(Relaxed)),
        table.other_ids.load(Relaxed)
    );
    assert_eq!(
        table.broken.load(Relaxed),
        0,
        "two held the lock at the same time"
    );
    assert!(repairs > kills / 20, "the kills miss what they are to hit");
    // A run in which the ids differ shows nothing.
    let same = killed - table.other_ids.load(Relaxed).min(killed);
    assert!(
        same > killed / 2 || memtun_sys::effective_uid() != 0,
        "{same} of {killed} had the same id"
    );
}
