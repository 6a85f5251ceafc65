//! Changes random bits in every file of a net, lock words included, while programs and drivers use
//! the net: nothing crashes, no call hangs, and a net that is made anew works.
//!
//! `MEMTUN_FUZZ_SECONDS` says for how long (default 6; 60 before a release). `MEMTUN_FUZZ_SEED`
//! gives the same changes again, but not at the same moments.

use memtun::Sending;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use memtun::{Fault, Interface, Net};
use shim_tests::build;
use shim_tests::hostile::{number, Process, Random, Stage, PATTERNS};

/// The longest time of a driver's call that names no timeout or a short one.
const LIMIT: Duration = Duration::from_secs(3);
/// Names of the programs' interfaces.
const NAMES: [&str; 4] = ["fz0", "fz1", "fz2", "mq0"];
/// This variable tells a process of this test program that it is a driver in the net of this
/// directory.
const DRIVER: &str = "MEMTUN_FUZZ_DRIVER";

/// Changes something in a file of the net. Most changes are taken back later, so that traffic goes
/// on.
fn corrupt(net: &Path, random: &mut Random, undo: &mut Vec<(File, u64, [u8; 8])>) {
    const HEAD: u64 = 4096;
    let Ok(entries) = fs::read_dir(net) else {
        return;
    };
    let files: Vec<_> = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
        .collect();
    if files.is_empty() {
        return;
    }
    let Ok(file) = File::options()
        .read(true)
        .write(true)
        .open(random.of(&files).path())
    else {
        return;
    };
    for _ in 0..8 {
        // The structs are shorter than a page; the first words of a tunnel's file are the lock and
        // the ring.
        let at = match random.below(10) {
            0..=4 => random.below(256),
            5..=8 => random.below(HEAD),
            _ => random.below(HEAD + 65536),
        } & !7;
        let mut old = [0; 8];
        if file.read_exact_at(&mut old, at).is_err() {
            return;
        }
        let mut word = u64::from_ne_bytes(old);
        match random.below(6) {
            0..=2 => word ^= 1 << random.below(64),
            3 => word = random.bits(),
            4 => {
                word = *random.of(&[
                    0,
                    u64::MAX,
                    1 << 31,
                    1 << 63,
                    i64::MAX as u64,
                    u32::MAX.into(),
                ])
            }
            _ => {
                let shift = random.below(8) * 8;
                word = word & !(0xff << shift) | (random.bits() & 0xff) << shift;
            }
        }
        let _ = file.write_all_at(&word.to_ne_bytes(), at);
        if random.below(20) != 0 {
            undo.push((file.try_clone().expect("a descriptor"), at, old));
        }
    }
    let keep = random.below(64) as usize;
    for (file, at, old) in undo.drain(..undo.len().saturating_sub(keep)) {
        let _ = file.write_all_at(&old, at);
    }
}

/// Cuts a file of the net, empties it or makes it longer.
fn cut(net: &Path, random: &mut Random) {
    let entries = fs::read_dir(net).into_iter().flatten().flatten();
    let files: Vec<_> = entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
        .collect();
    if files.is_empty() {
        return;
    }
    if let Ok(file) = File::options().write(true).open(random.of(&files).path()) {
        let length = *random.of(&[0, 16, 100, 4096, 8192, 64 << 20]);
        let _ = file.set_len(length);
    }
}

/// Makes one call of a driver's and measures its time. Errors are expected, and hanging is not.
fn verb(net: &Net, interface: Option<&Interface>, random: &mut Random) {
    let begun = Instant::now();
    let time = Some(Duration::from_millis(*random.of(&[0, 1, 20])));
    let packet = vec![0x45; 1 + random.below(1400) as usize];
    let name = *random.of(&NAMES);
    let mut what = "";
    match (interface, random.below(14)) {
        (_, 0) => (what, _) = ("interfaces", net.interfaces().map(drop)),
        (_, 1) => (what, _) = ("tunnels", net.tunnels().map(drop)),
        (_, 2) => (what, _) = ("interface", net.interface(name).map(drop)),
        (_, 3) => {
            let fault: Fault = "write=EINTR@1".parse().expect("a fault");
            (what, _) = ("fault", net.fault(&fault));
        }
        (_, 4) => (what, _) = ("reset", net.reset()),
        (_, 5) => {
            (what, _) = (
                "wait_interface",
                net.wait_interface_within("none", time).map(drop),
            )
        }
        (Some(i), 6) if random.below(20) == 0 => (what, _) = ("delete", i.delete()),
        (Some(i), 7) => {
            let mtu = 68 + random.below(3000) as u32;
            (what, _) = ("set", i.set_mtu(mtu).and(i.set_up(!mtu.is_multiple_of(8))));
            let _ = i.set_txqueuelen(random.below(2000) as u32);
        }
        (Some(i), 8) => {
            what = "read_buffer, info";
            drop((i.read_buffer(), i.info(), i.is_gone()));
        }
        (Some(i), 9) => (what, _) = ("set_name", i.set_name(name)),
        (Some(i), 10 | 11) => {
            what = "recv";
            for _ in 0..50 {
                if i.recv_within(time).is_err() {
                    break;
                }
            }
        }
        (Some(i), _) => {
            what = "inject";
            for _ in 0..20 {
                if i.inject_with(&packet, Sending::new().within(time))
                    .map_err(|e| e.errno())
                    .is_err()
                {
                    break;
                }
            }
        }
        _ => {}
    }
    // One verb makes up to fifty calls with a timeout of 20 ms.
    assert!(
        begun.elapsed() < LIMIT,
        "SLOW: {what} took {:?}",
        begun.elapsed()
    );
}

/// A driver in a process of its own, so that a crash ends only that process.
#[test]
fn a_driver() {
    let Some(dir) = std::env::var_os(DRIVER) else {
        return;
    };
    let mut random = Random::seeded("MEMTUN_FUZZ_SEED");
    loop {
        let Ok(net) = Net::create(&dir) else {
            std::thread::yield_now();
            continue;
        };
        for _ in 0..50 {
            let name = *random.of(&NAMES);
            let interface = net.interface(name).ok().flatten();
            for _ in 0..10 {
                verb(&net, interface.as_ref(), &mut random);
            }
        }
    }
}

fn driver(net: &Path, stage: &Stage, seed: u64) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let file = File::options()
        .append(true)
        .create(true)
        .open(stage.path().join("stderr"));
    command
        .args(["a_driver", "--exact", "--nocapture"])
        .env(DRIVER, net)
        .env("MEMTUN_FUZZ_SEED", seed.to_string())
        .env("MEMTUN_LOG", "off")
        .stdout(Stdio::null())
        .stderr(file.expect("a file"));
    Process::start(&mut command)
}

/// The signal that ended the process, unless it ended by its own will.
fn crash(status: std::process::ExitStatus) -> Option<i32> {
    let crashes = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGABRT,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
    ];
    status.signal().filter(|s| crashes.contains(s))
}

/// One net's life while its files are changed. Returns the number of changes.
fn round(stage: &Stage, peer: &Path, random: &mut Random, time: Duration, cuts: bool) -> u64 {
    let net = Net::temporary().expect("a net");
    let path = net.path().to_owned();
    let start_peer = |random: &mut Random| {
        let pattern = *random.of(&PATTERNS);
        let name = if pattern == "m" {
            "mq0"
        } else {
            *random.of(&NAMES[..3])
        };
        Process::start(
            stage
                .shimmed(&path, peer)
                .args([pattern, name])
                .env("MEMTUN_LOG", "off"),
        )
    };
    let mut peers: Vec<Process> = (0..5).map(|_| start_peer(random)).collect();
    let mut drivers: Vec<Process> = (0..2)
        .map(|_| driver(&path, stage, random.bits()))
        .collect();
    let mut capture = Process::start(stage.memtun("capture", &path).args(["-w", "/dev/null"]));
    let mut list = Process::start(&mut stage.memtun("ls", &path));
    let (mut begun_list, end) = (Instant::now(), Instant::now() + time);
    let (mut undo, mut flips) = (Vec::new(), 0);
    while Instant::now() < end {
        for _ in 0..10 {
            corrupt(&path, random, &mut undo);
            flips += 8;
            if cuts && random.below(500) == 0 {
                cut(&path, random);
            }
        }
        for process in peers.iter_mut().chain(&mut drivers) {
            if let Some(status) = process.0.try_wait().expect("a look") {
                // With status 0 to 3 the program says that it could not go on because of an error
                // that it got.
                let fine = status.code().is_some_and(|code| code < 4) && crash(status).is_none();
                assert!(fine, "{status}\n{}", stage.said());
                *process = start_peer(random);
            }
        }
        if let Some(status) = list.0.try_wait().expect("a look") {
            assert!(
                crash(status).is_none() && status.code() != Some(101),
                "ls: {status}\n{}",
                stage.said()
            );
            list = Process::start(&mut stage.memtun("ls", &path));
            begun_list = Instant::now();
        }
        assert!(begun_list.elapsed() < LIMIT, "ls hangs");
        if let Some(status) = capture.0.try_wait().expect("a look") {
            assert!(
                crash(status).is_none() && status.code() != Some(101),
                "capture: {status}\n{}",
                stage.said()
            );
            if random.below(2000) == 0 {
                capture = Process::start(stage.memtun("capture", &path).args(["-w", "/dev/null"]));
            }
        }
    }
    // Nobody hangs: every driver and program ends when it is told to.
    for process in peers
        .iter_mut()
        .chain(&mut drivers)
        .chain([&mut list, &mut capture])
    {
        process.signal(libc::SIGKILL);
    }
    for process in peers
        .iter_mut()
        .chain(&mut drivers)
        .chain([&mut list, &mut capture])
    {
        let status = process.ended(Duration::from_secs(20));
        assert!(crash(status).is_none(), "{status}\n{}", stage.said());
    }
    drop(net);
    // A damaged net leaves a directory that can be removed.
    if path.exists() {
        fs::remove_dir_all(&path).expect("the rest of the net");
    }
    flips
}

#[test]
fn nothing_crashes_and_no_call_hangs_when_random_bits_flip_in_a_net() {
    fuzz(false);
}

#[test]
fn nothing_crashes_and_no_call_hangs_when_files_of_a_net_are_cut() {
    fuzz(true);
}

fn fuzz(cuts: bool) {
    let time = Duration::from_secs(number("MEMTUN_FUZZ_SECONDS", 6));
    let mut random = Random::seeded("MEMTUN_FUZZ_SEED");
    let stage = Stage::new(if cuts { "fuzz-cut" } else { "fuzz" });
    let _ = build::shim();
    let (peer, check) = (stage.program("peer"), stage.program("check"));
    let (begun, mut flips, mut rounds) = (Instant::now(), 0, 0);
    while begun.elapsed() < time {
        flips += round(
            &stage,
            &peer,
            &mut random,
            Duration::from_millis(1500),
            cuts,
        );
        rounds += 1;
        let said = stage.said();
        for word in ["panicked", "SLOW", "overflow", "RUST_BACKTRACE"] {
            assert!(!said.contains(word), "{said}");
        }
    }
    eprintln!("{rounds} nets, {flips} changes");
    let net = Net::temporary().expect("a net");
    let mut fresh = Process::start(stage.shimmed(net.path(), check).arg(net.path()));
    let status = fresh.ended(Duration::from_secs(20));
    assert!(status.success(), "a fresh net: {status}\n{}", stage.said());
}
