//! Processes that are stopped while they hold a lock of the net stop nobody: drivers keep their
//! timeouts, and listing, deleting and other programs' calls go on. A process that shares a tunnel
//! with a stopped one gets an error after a second, and a sentence in the log.
//!
//! `MEMTUN_STOPS` says how many random stops there are (default 30; 200 and more before a release).

mod stopping;

use std::time::{Duration, Instant};

use memtun::Net;
use shim_tests::hostile::{number, Process, Random, Stage, PATTERNS};
use stopping::{hold, Lock, Longest};

const LIMIT: Duration = Duration::from_secs(20);
/// The timeouts of a driver's calls, in milliseconds.
const ALL: [u64; 4] = [0, 1, 50, 1000];

/// Environment of a program that will be stopped: its calls may take long, and what it says about
/// that is not looked at.
const VICTIM: [(&str, &str); 2] = [("MEMTUN_LOG", "off"), ("PEER_LIMIT_MS", "1000000")];

/// Another program in the same net, on an interface of its own. None of its calls may take two
/// seconds.
fn bystander(stage: &Stage, net: &Net, peer: &std::path::Path) -> Process {
    let mut command = stage.shimmed(net.path(), peer);
    Process::start(command.args(["w", "other0"]).env("PEER_LIMIT_MS", "2000"))
}

fn still_runs(process: &mut Process, stage: &Stage) {
    let ended = process.0.try_wait().expect("a look");
    assert!(
        ended.is_none(),
        "the bystander: {ended:?}\n{}",
        stage.said()
    );
}

#[test]
fn random_stops_stop_nobody() {
    let stops = number("MEMTUN_STOPS", 30);
    let mut random = Random::seeded("MEMTUN_STOPS_SEED");
    let stage = Stage::new("stopped");
    let peer = stage.program("peer");
    let net = Net::temporary().expect("a net");
    let mut longest = Longest::default();
    let mut other = bystander(&stage, &net, &peer);
    for stop in 0..stops {
        // A program with four threads in I/O holds a lock most of the time.
        let pattern = if stop % 2 == 0 {
            "t"
        } else {
            *random.of(&PATTERNS)
        };
        // The name is a new one, because children of the last program may outlive it for a moment.
        let name = format!("st{stop}");
        let mut command = stage.shimmed(net.path(), &peer);
        let mut victim = Process::start(command.args([pattern, &name]).envs(VICTIM));
        if ["t", "w"].contains(&pattern) {
            net.wait_interface_within(&name, LIMIT)
                .expect("the program's interface");
        }
        memtun_sys::nap(Duration::from_micros(random.below(8000)));
        victim.signal(libc::SIGSTOP);
        longest.verbs(&net, &name, if stop % 10 == 0 { &ALL } else { &ALL[..3] });
        if stop % 10 == 0 {
            longest.commands(&net, &stage, &name);
        }
        still_runs(&mut other, &stage);
        victim.signal(libc::SIGCONT);
        if pattern == "t" && stop % 10 != 0 {
            // The program goes on where it was.
            let interface = net
                .interface(&name)
                .expect("a look")
                .expect("its interface");
            let written = interface.info().rx.packets;
            let limit = Instant::now() + LIMIT;
            while interface.info().rx.packets == written {
                assert!(
                    Instant::now() < limit,
                    "stop {stop}: the program does not go on"
                );
                std::thread::yield_now();
            }
        }
        victim.signal(libc::SIGKILL);
        victim.ended(LIMIT);
    }
    other.signal(libc::SIGKILL);
    other.ended(LIMIT);
    eprintln!("{stops} stops\n{longest}");
    longest.check();
    let said = stage.said();
    assert!(
        !said.contains("SLOW") && !said.contains("panicked"),
        "{said}"
    );
}

#[test]
fn a_stopped_holder_of_each_lock_stops_nobody() {
    let stage = Stage::new("holders");
    let peer = stage.program("peer");
    for (lock, pattern) in [
        (Lock::Tunnel, "w"),
        (Lock::Interface, "w"),
        (Lock::Net, "a"),
        (Lock::Interface, "a"),
        (Lock::Tunnel, "a"),
    ] {
        let net = Net::temporary().expect("a net");
        let mut command = stage.shimmed(net.path(), &peer);
        let mut victim = Process::start(command.args([pattern, "st0"]).envs(VICTIM));
        // The program is in its loop by now, and not still being loaded.
        net.wait_interface_within("st0", LIMIT)
            .expect("the program's interface");
        let held = hold(&net, victim.0.id() as i32, lock, "st0");
        // The other program is started only now, because the net's lock is taken from a holder that
        // is as slow as this one was.
        let mut other = bystander(&stage, &net, &peer);
        let mut longest = Longest::default();
        longest.verbs(&net, "st0", &ALL);
        longest.commands(&net, &stage, "st0");
        still_runs(&mut other, &stage);
        drop(held);
        eprintln!("{lock:?} held in pattern {pattern}:\n{longest}");
        longest.check();
        victim.signal(libc::SIGKILL);
        victim.ended(LIMIT);
        other.signal(libc::SIGKILL);
        other.ended(LIMIT);
        let idle = Instant::now() + LIMIT;
        while !net.is_idle().expect("a look") {
            assert!(
                Instant::now() < idle,
                "something is left: {:?}",
                net.interfaces()
            );
        }
        let mut left: Vec<_> = std::fs::read_dir(net.path())
            .expect("the net")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        left.sort();
        let expected = [".memtun-net-private", ".memtun-net-state"];
        assert_eq!(left, expected, "{lock:?}");
    }
    let said = stage.said();
    assert!(
        !said.contains("SLOW") && !said.contains("panicked"),
        "{said}"
    );
}

#[test]
fn who_shares_a_tunnel_with_a_stopped_holder_gets_an_error_and_a_sentence() {
    let stage = Stage::new("sharers");
    let sharers = stage.program("sharers");
    for lock in [Lock::Tunnel, Lock::Interface] {
        let net = Net::temporary().expect("a net");
        let mut command = stage.shimmed(net.path(), &sharers);
        let mut program = Process::start(command.arg("st0").env("PEER_LIMIT_MS", "1300"));
        let interface = net
            .wait_interface_within("st0", LIMIT)
            .expect("the interface");
        let held = hold(&net, program.0.id() as i32, lock, "st0");
        let limit = Instant::now() + LIMIT;
        let mut said = String::new();
        // The second process says what it got. EAGAIN from a read says nothing, so the sentence in
        // the log is what counts.
        while !said.contains("does not go on")
            || lock == Lock::Interface && !said.contains("sharer: write")
        {
            assert!(
                Instant::now() < limit,
                "{lock:?}: nobody said anything: {said}"
            );
            said += &stage.said();
            std::thread::yield_now();
        }
        assert!(!said.contains("SLOW"), "{lock:?}: {said}");
        drop(held);
        let written = interface.info().rx.packets;
        while interface.info().rx.packets < written + 1000 {
            assert!(Instant::now() < limit, "{lock:?}: it does not go on");
            std::thread::yield_now();
        }
        program.signal(libc::SIGKILL);
        program.ended(LIMIT);
    }
}
