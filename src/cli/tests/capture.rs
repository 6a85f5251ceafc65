//! How `capture` ends: at once, with everything that was complete, and even when nobody reads its
//! output.

mod common;

use common::{finish, memtun, signal, until, Done, Scratch};
use memtun::uapi::{IFF_NO_PI, IFF_TUN, TUNSETIFF};
use memtun::{ifreq, IoSystem, MemoryIoSystem, Net, TunnelClass};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

struct Writers {
    system: MemoryIoSystem,
    fds: Vec<i32>,
}

impl Writers {
    fn new(net: &Path, interfaces: usize) -> Writers {
        let system = MemoryIoSystem::new(&Net::create(net).unwrap());
        system.register_special_device("/dev/net/tun", TunnelClass);
        let attach = |i| {
            let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).unwrap();
            let name = format!("c{i}");
            system
                .ioctl(fd, TUNSETIFF, &ifreq(&name, IFF_TUN | IFF_NO_PI))
                .unwrap();
            fd
        };
        let fds = (0..interfaces).map(attach).collect();
        Writers { system, fds }
    }

    fn write(&self, rounds: usize) {
        let packet = [0x45; 1400];
        for _ in 0..rounds {
            for fd in &self.fds {
                self.system.write(*fd, &packet).unwrap();
            }
        }
    }
}

/// Starts a capture, and returns when it has begun.
fn capture(net: &Path, arguments: &[&str], out: Stdio) -> Child {
    let mut command = memtun();
    command.arg("capture").args(arguments);
    command.env("MEMTUN_NET", net).stdout(out);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    until("it captures", || {
        net.join(".memtun-capturer").exists() && net_is_captured(net)
    });
    child
}

fn net_is_captured(net: &Path) -> bool {
    Net::open(net).is_ok_and(|net| net.dir().is_captured())
}

/// Ends a capture by SIGINT, and returns how long that took.
fn interrupt(child: Child) -> (Done, Duration) {
    let began = Instant::now();
    signal(child.id(), libc::SIGINT);
    let done = finish(child);
    (done, began.elapsed())
}

/// Counts the whole packets in a file that memtun wrote and that may be cut.
fn packets(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(head) = bytes.get(..8) {
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let (kind, length) = (word(0), word(4) as usize);
        let Some(rest) = bytes.get(length..) else {
            break;
        };
        count += usize::from(kind == 6);
        bytes = rest;
    }
    count
}

/// Returns the number in front of these words.
fn number_in(text: &str, words: &str) -> usize {
    let at = text.find(words).unwrap_or_else(|| panic!("{text}"));
    let number = text[..at].split_whitespace().next_back();
    number.and_then(|n| n.parse().ok()).expect(text)
}

#[test]
fn a_backlog_of_many_interfaces_is_written_at_once_on_sigint() {
    const INTERFACES: usize = 25;
    // The first case writes as much as 25 logs of 8 MiB hold, and the second one as much as a disk
    // may get in a test.
    for (rounds, to_null) in [(5500, true), (1000, false)] {
        let scratch = Scratch::new();
        let net = scratch.path("net");
        let writers = Writers::new(&net, INTERFACES);
        let file = scratch.path("file");
        let path = if to_null {
            "/dev/null".as_ref()
        } else {
            &*file
        };
        let child = capture(&net, &["-w", path.to_str().unwrap()], Stdio::null());
        signal(child.id(), libc::SIGSTOP);
        writers.write(rounds);
        signal(child.id(), libc::SIGCONT);
        let (done, took) = interrupt(child);
        done.ok();
        assert!(took < Duration::from_secs(2), "{took:?}");
        if !to_null {
            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(packets(&bytes), rounds * INTERFACES);
        }
    }
}

#[test]
fn an_output_that_nobody_reads_does_not_keep_it_from_ending() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    let writers = Writers::new(&net, 3);
    let mut child = capture(&net, &["-w", "-"], Stdio::piped());
    const ROUNDS: usize = 1000;
    writers.write(ROUNDS);
    std::thread::sleep(Duration::from_millis(300));
    let mut pipe = child.stdout.take().unwrap();
    let (done, took) = interrupt(child);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut pipe, &mut bytes).unwrap();
    let missing = number_in(&done.err, " packets were not written");
    assert_eq!(packets(&bytes) + missing, 3 * ROUNDS, "{}", done.err);
    done.fails(1, &["standard output"]);
}

#[test]
fn a_second_sigint_ends_it_without_a_moment_more() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    let writers = Writers::new(&net, 1);
    let child = capture(&net, &["-w", "-"], Stdio::piped());
    writers.write(1000);
    std::thread::sleep(Duration::from_millis(300));
    signal(child.id(), libc::SIGINT);
    // This is the same order, passed on by somebody else, and not a second one.
    std::thread::sleep(Duration::from_millis(20));
    signal(child.id(), libc::SIGINT);
    std::thread::sleep(Duration::from_millis(180));
    let (done, took) = interrupt(child);
    assert!(took < Duration::from_millis(400), "{took:?}");
    done.fails(130, &["packets were not written"]);
}

#[test]
fn an_order_that_comes_twice_is_one() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    let writers = Writers::new(&net, 1);
    let child = capture(&net, &["-w", "/dev/null"], Stdio::null());
    signal(child.id(), libc::SIGSTOP);
    writers.write(5500);
    signal(child.id(), libc::SIGINT);
    signal(child.id(), libc::SIGTERM);
    signal(child.id(), libc::SIGCONT);
    finish(child).ok();
}

#[test]
fn a_reader_that_is_slow_gets_everything() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    let writers = Writers::new(&net, 1);
    let mut child = capture(&net, &["-w", "-"], Stdio::piped());
    writers.write(1000);
    let mut pipe = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let (mut bytes, mut piece) = (Vec::new(), [0; 50_000]);
        loop {
            std::thread::sleep(Duration::from_millis(40));
            match std::io::Read::read(&mut pipe, &mut piece).unwrap() {
                0 => return bytes,
                n => bytes.extend_from_slice(&piece[..n]),
            }
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    interrupt(child).0.ok();
    assert_eq!(packets(&reader.join().unwrap()), 1000);
}

#[test]
fn a_fifo_is_written_once_somebody_reads_it_and_not_waited_for() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    let fifo = scratch.path("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: mkfifo(3) reads the path, which is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let writers = Writers::new(&net, 1);
    let path = fifo.to_str().unwrap();
    let child = capture(&net, &["-w", path], Stdio::null());
    writers.write(10);
    let read = fifo.clone();
    let reader = std::thread::spawn(move || std::fs::read(read).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    interrupt(child).0.ok();
    assert_eq!(packets(&reader.join().unwrap()), 10);
    let child = capture(&net, &["-w", path], Stdio::null());
    let (done, took) = interrupt(child);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    done.fails(1, &["10 packets were not written", path]);
}

#[test]
fn run_ends_although_nobody_reads_its_capture() {
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: mkfifo(3) reads the path, which is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let began = Instant::now();
    let run = memtun()
        .args(["run", "--capture", fifo.to_str().unwrap(), "--", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let done = finish(run.unwrap());
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(done.status, Some(0));
    assert!(
        done.err.contains("0 packets were not written"),
        "{}",
        done.err
    );
}
