//! Several programs read, fork, exec and are killed at random while packets are injected. Every
//! packet is read once, still queued, or counted as discarded, and nothing is left in the net.

use memtun::{Sending, Timeout};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use memtun::{Interface, Net};
use shim_tests::build;
use shim_tests::hostile::number;

const PROGRAMS: usize = 3;
/// Seconds that it takes, unless `MEMTUN_STRESS_SECONDS` says otherwise; 60 and more before a
/// release.
const SECONDS: u64 = 24;
/// Largest number of packets in the life of one program.
const NUMBERS: u64 = 4 << 20;

/// A pseudo-random sequence. The seed is printed, so that a failure can be run again.
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

fn worker() -> PathBuf {
    let program = std::env::temp_dir().join(format!("memtun-stress-worker-{}", std::process::id()));
    let source = build::crate_dir().join("stress/worker.c");
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-o"])
        .arg(&program)
        .arg(source)
        .status();
    assert!(built.expect("the command cc, of Debian's gcc").success());
    program
}

fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![number as u8; len];
    packet[..4].copy_from_slice(&[0x45, 0, 0, 0]);
    packet[4..8].copy_from_slice(&number.to_ne_bytes());
    packet
}

fn start(program: &Path, net: &Net, name: &str, marks: &Path, seed: u64) -> Child {
    // The child has no capability, so that the real device can never be what it opens.
    let drop = [
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "env",
    ];
    Command::new("setpriv")
        .args(drop)
        .arg(format!("LD_PRELOAD={}", build::shim().library.display()))
        .arg(format!("MEMTUN_NET={}", net.path().display()))
        .arg(program)
        .args([
            name,
            marks.to_str().expect("a UTF-8 path"),
            &seed.to_string(),
        ])
        .stdin(Stdio::null())
        .spawn()
        .expect("the command setpriv, of Debian's util-linux")
}

/// The life of one program: packets are injected until the random moment at which it is killed.
/// Returns what became of them.
fn live(
    program: &Path,
    net: &Net,
    name: &str,
    random: &mut Random,
    end: Instant,
) -> (u64, u64, u64) {
    let marks_path = net.path().with_extension(format!("marks-{name}"));
    let marks = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&marks_path)
        .expect("a file for marks");
    marks.set_len(NUMBERS).expect("its length");
    let mut child = start(program, net, name, &marks_path, random.below(1 << 30));
    let interface = net
        .wait_interface_within(name, Duration::from_secs(20))
        .expect("the program's interface");
    let (mut accepted, mut refused) = (0u64, 0u64);
    let killed_at = Instant::now() + Duration::from_millis(random.below(400));
    while Instant::now() < killed_at.min(end) && accepted < NUMBERS {
        let burst = 1 + random.below(64);
        for _ in 0..burst {
            let packet = numbered(accepted as u32, 8 + random.below(1400) as usize);
            let patience = Duration::from_millis(random.below(3));
            match interface
                .inject_with(&packet, Sending::new().within(patience))
                .map_err(|e| e.errno())
            {
                Ok(()) => accepted += 1,
                Err(e) if e.0 == libc::EAGAIN => refused += 1,
                Err(e) => panic!(
                    "{name}: {e} while the program lives: {:?}",
                    child.try_wait()
                ),
            }
        }
        while interface.recv_within(Timeout::NOW).is_ok() {}
    }
    assert!(
        child.try_wait().expect("wait").is_none(),
        "{name}: the program ended by itself"
    );
    child.kill().expect("kill");
    assert_eq!(child.wait().expect("wait").signal(), Some(libc::SIGKILL));
    (
        accepted,
        account(&interface, &marks, accepted, refused),
        refused,
    )
}

/// Waits for the last forked reader to end (the readers die with their parent) and adds up. Returns
/// the number of packets that nobody read: they were still queued, or a process that was killed had
/// taken them out of the queue and not marked them yet.
fn account(interface: &Interface, marks: &File, accepted: u64, refused: u64) -> u64 {
    let limit = Instant::now() + Duration::from_secs(20);
    while !interface.is_gone() {
        assert!(
            Instant::now() < limit,
            "{:?} outlives its program",
            interface.name()
        );
        std::thread::yield_now();
    }
    let mut read = vec![0u8; accepted as usize];
    marks.read_exact_at(&mut read, 0).expect("the marks");
    let twice = read.iter().filter(|n| **n > 1).count();
    assert_eq!(twice, 0, "packets read more than once");
    let read: u64 = read.iter().map(|n| u64::from(*n)).sum();
    assert_eq!(
        interface.info().tx.dropped,
        refused,
        "each refusal is counted"
    );
    accepted - read
}

#[test]
fn nothing_is_lost_when_programs_are_killed_at_random() {
    let seed = std::env::var("MEMTUN_STRESS_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    eprintln!("MEMTUN_STRESS_SEED={seed}");
    let program = worker();
    let net = Net::temporary().expect("a net");
    let time = Duration::from_secs(number("MEMTUN_STRESS_SECONDS", SECONDS));
    let end = Instant::now() + time;
    let lives: Vec<(u64, u64, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PROGRAMS)
            .map(|i| {
                let (program, net) = (&program, net.clone());
                scope.spawn(move || {
                    let mut random = Random(seed.wrapping_add(i as u64));
                    let mut lives = Vec::new();
                    while Instant::now() < end {
                        lives.push(live(program, &net, &format!("stress{i}"), &mut random, end));
                    }
                    lives
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().expect("a program's driver"))
            .collect()
    });
    let (packets, unread): (u64, u64) = lives
        .iter()
        .fold((0, 0), |sum, life| (sum.0 + life.0, sum.1 + life.1));
    assert!(net.is_idle().expect("a look"), "something lives in the net");
    let discarded = net.discarded();
    assert!(
        discarded <= unread,
        "{discarded} discarded, {unread} not read"
    );
    let in_hand = unread - discarded;
    eprintln!(
        "{} lives, {packets} packets, {in_hand} in the hands of killed processes",
        lives.len()
    );
    assert!(lives.len() > 10 && packets > 10_000, "too little happened");
    // Each life ends with one killed parent and the readers that it forked, which are killed as
    // well, some of them earlier at random.
    assert!(
        in_hand <= 64 * lives.len() as u64,
        "{in_hand} of {packets} packets are unaccounted for"
    );
    let mut left: Vec<_> = std::fs::read_dir(net.path())
        .expect("the net")
        .map(|e| e.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".memtun-net-private", ".memtun-net-state"]);
    for i in 0..PROGRAMS {
        let _ = std::fs::remove_file(net.path().with_extension(format!("marks-stress{i}")));
    }
    let _ = std::fs::remove_file(program);
}
