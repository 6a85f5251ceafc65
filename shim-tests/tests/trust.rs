//! A process of the same net, or what the program itself has been given, may make a call on the
//! host side fail. It must not crash a program or hold it up for longer than its patience.
//!
//! `MEMTUN_FUZZ_SECONDS` says how long the state is damaged (default 6), and `MEMTUN_FUZZ_SEED`
//! repeats the choices.

use memtun::{ifreq, uapi, IoSystem, MemoryIoSystem, Net, TunnelClass};
use memtun_shm::layout::NetState;
use memtun_sys as sys;
use shim_tests::hostile::{number, Process, Random, Stage};
use shim_tests::hosts::{hosts, standbys, wait_for_standby};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The patience of a call, and what a busy machine takes.
const LIMIT: Duration = Duration::from_secs(9);
const EPOCH: u64 = std::mem::offset_of!(NetState, host_epoch) as u64;
const TURN: u64 = std::mem::offset_of!(NetState, host_turn) as u64;

/// A net with a persistent interface `tun0`.
fn net() -> (Net, String) {
    let net = Net::temporary().expect("a net");
    let system = MemoryIoSystem::new(&net);
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
    let flags = uapi::IFF_TUN | uapi::IFF_NO_PI;
    let made = system.ioctl(fd, uapi::TUNSETIFF, &ifreq("tun0", flags));
    made.expect("made");
    let stays = system.ioctl(fd, uapi::TUNSETPERSIST, &1i32.to_ne_bytes());
    stays.expect("stays");
    system.close(fd).expect("closed");
    let index = net.wait_interface("tun0").expect("there").index();
    (net, index.to_string())
}

/// Ends what a test has made of a net, and its host process.
fn end(net: Net) {
    let path = net.path().to_owned();
    kill_hosts(&path);
    let _ = net.remove();
    let begin = Instant::now();
    loop {
        kill_hosts(&path);
        let _ = fs::remove_dir_all(&path);
        if !path.exists() && hosts(&path).is_empty() {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "something is left of {path:?}");
        sys::nap(Duration::from_millis(5));
    }
}

/// Kills the net's host process, and first who would start another one.
fn kill_hosts(net: &Path) {
    let begin = Instant::now();
    loop {
        let (standbys, hosts) = (standbys(net), hosts(net));
        if standbys.is_empty() && hosts.is_empty() {
            return;
        }
        for pid in standbys.into_iter().chain(hosts) {
            // SAFETY: kill takes two integers; the process is one that this test's programs
            // started.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        assert!(begin.elapsed() < LIMIT, "{net:?} has hosts again and again");
        sys::nap(Duration::from_millis(1));
    }
}

/// The path of the net's only file whose name begins so.
fn file_of(net: &Path, begin: &str) -> Option<PathBuf> {
    let mut entries = fs::read_dir(net).ok()?.flatten();
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with(begin))?;
    Some(found.path())
}

#[track_caller]
fn no_crash(status: ExitStatus, said: &str) {
    assert!(
        status.code().is_some_and(|code| code < 128),
        "{status}: {said}"
    );
    for word in ["panicked", "bug in memtun", "SLOW", "overflow"] {
        assert!(!said.contains(word), "{said}");
    }
    assert_eq!(status.signal(), None);
}

/// What a host process answers that means harm.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answers {
    Never,
    Nothing,
    Garbage,
    Endless,
    Half,
    AnotherId,
    AnotherErrno,
    Link,
}

/// Answers at a socket in the place of the host process until it is over.
fn answer(socket: &sys::Fd, how: Answers, over: &AtomicBool) {
    let mut connections = Vec::new();
    let mut random = Random(5);
    while !over.load(SeqCst) {
        let Ok(connection) = sys::accept(socket.as_fd()) else {
            sys::nap(Duration::from_millis(1));
            continue;
        };
        if how == Answers::Nothing {
            continue;
        }
        let mut room = [0; 70_000];
        let n = loop {
            match sys::receive(connection.as_fd(), &mut room, 0) {
                Ok(n) => break n,
                _ if over.load(SeqCst) => return,
                _ => sys::nap(Duration::from_millis(1)),
            }
        };
        if n < 16 {
            continue;
        }
        // The head of an answer: version, errno, id, whether more follows.
        let head = |errno: i32, id: &[u8], more: u8| {
            let mut head = room[..4].to_vec();
            head.extend(errno.to_ne_bytes());
            head.extend(id);
            head.extend([more, 0, 0, 0, 0, 0, 0, 0]);
            head
        };
        let (id, send) = (&room[8..16], |bytes: &[u8]| {
            sys::send(connection.as_fd(), &[bytes])
        });
        let _ = match how {
            Answers::Garbage => {
                let length = 1 + random.below(100) as usize;
                let bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
                send(&bytes)
            }
            Answers::Endless => {
                let packet = [head(0, id, 1), vec![9; 1000]].concat();
                while !over.load(SeqCst) {
                    match send(&packet) {
                        Err(memtun::Errno(libc::EAGAIN)) => sys::yield_now(),
                        Err(_) => break,
                        Ok(_) => {}
                    }
                }
                Ok(0)
            }
            Answers::Half => send(&[head(0, id, 1), vec![9; 40]].concat()),
            Answers::AnotherId => send(&head(0, b"another!", 0)),
            // The shim has a meaning of its own for 4095.
            Answers::AnotherErrno => send(&head(*random.of(&[4095, -1, i32::MIN, 100_000]), id, 0)),
            Answers::Never | Answers::Nothing | Answers::Link => Ok(0),
        };
        if how == Answers::Never {
            connections.push(connection);
        }
    }
}

#[test]
fn a_host_process_that_answers_rubbish_costs_an_error() {
    use Answers::*;
    let stage = Stage::new("trust-answers");
    let asker = stage.program("asker");
    let all = [
        Never,
        Nothing,
        Garbage,
        Endless,
        Half,
        AnotherId,
        AnotherErrno,
        Link,
    ];
    std::thread::scope(|scope| {
        for how in all {
            let (stage, asker) = (&stage, &asker);
            let command = |net: &Path, words: &[&str]| {
                let mut command = stage.shimmed(net, asker);
                command.args(words).env("MEMTUN_LOG", "off");
                command
            };
            let (net, index) = net();
            let first = Process::start(&mut command(net.path(), &[&index, "0", "1"])).ended(LIMIT);
            assert_eq!(first.code(), Some(0));
            // The address is there, so one stands by soon, who would start another host process.
            wait_for_standby(net.path(), LIMIT);
            kill_hosts(net.path());
            let name = file_of(net.path(), ".memtun-host-").expect("it has listened");
            fs::remove_file(&name).expect("its socket");
            let place = match how {
                Link => net.path().join("elsewhere"),
                _ => name.clone(),
            };
            let socket = sys::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0).expect("socket");
            let path = place.as_os_str().as_encoded_bytes();
            sys::bind_path(socket.as_fd(), path).expect("bound");
            sys::listen(socket.as_fd(), 10).expect("listens");
            if how == Link {
                std::os::unix::fs::symlink(&place, &name).expect("a link");
            }
            let mut process = Process::start(&mut command(net.path(), &[&index, "0", "2"]));
            scope.spawn(move || {
                let over = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| answer(&socket, how, &over));
                    let begin = Instant::now();
                    let status = process.ended(LIMIT);
                    over.store(true, SeqCst);
                    eprintln!("{how:?}: {status} after {:?}", begin.elapsed());
                    assert_eq!(status.code(), Some(1), "{how:?}");
                });
                end(net);
            });
        }
    });
    let said = stage.said();
    assert!(
        !said.contains("panicked") && !said.contains("bug in"),
        "{said}"
    );
}

/// Damages the bytes of a state.
fn damaged(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    let some = |random: &mut Random, n: usize| random.below(n.max(1) as u64) as usize;
    for _ in 0..1 + random.below(6) {
        let at = some(random, bytes.len());
        match random.below(9) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.bits() as u8,
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + 8).min(bytes.len()))),
            5 => {
                let part = bytes[at..].to_vec();
                bytes.extend(part);
            }
            6 => bytes = vec![0; at],
            7 => {
                let word = *random.of(&[0u32, 3, 15, 17, 1 << 16, 1 << 31, u32::MAX]);
                let at = at & !3;
                if let Some(to) = bytes.get_mut(at..at + 4) {
                    to.copy_from_slice(&word.to_ne_bytes());
                }
            }
            _ => {
                let word = *random.of(&[0u16, 3, 4, 5, 0xffff]);
                let at = at & !3;
                if let Some(to) = bytes.get_mut(at..at + 2) {
                    to.copy_from_slice(&word.to_ne_bytes());
                }
            }
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

#[test]
fn a_damaged_state_crashes_and_holds_up_nobody() {
    let seconds = number("MEMTUN_FUZZ_SECONDS", 6);
    let mut random = Random::seeded("MEMTUN_FUZZ_SEED");
    let stage = Stage::new("trust-state");
    let (asker, reader) = (stage.program("asker"), stage.program("reader"));
    let (net, index) = net();
    for last in ["1", "2", "3"] {
        let mut command = stage.shimmed(net.path(), &asker);
        let status = Process::start(command.args([&index, "0", last])).ended(LIMIT);
        assert_eq!(status.code(), Some(0), "{}", stage.said());
    }
    kill_hosts(net.path());
    let state = file_of(net.path(), ".memtun-stack-").expect("a state");
    let good = fs::read(&state).expect("its bytes");
    let mut words = File::options();
    let words = words
        .write(true)
        .read(true)
        .open(net.path().join(".memtun-net-state"));
    let words = words.expect("the net's file");
    let mut readers: Vec<Process> = (0..2)
        .map(|_| {
            let mut command = stage.shimmed(net.path(), &reader);
            command.arg(seconds.to_string()).env("MEMTUN_LOG", "off");
            Process::start(&mut command)
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(seconds);
    let new = net.path().join(".new");
    let mut rounds = 0;
    while Instant::now() < until {
        rounds += 1;
        let Some(state) = file_of(net.path(), ".memtun-stack-") else {
            break;
        };
        match random.below(40) {
            0 => {
                let file = File::options().write(true).open(&state);
                let _ = file.map(|file| file.set_len(*random.of(&[1, 1 << 20, 1 << 40])));
            }
            1 => {
                // A link, a directory or a FIFO in its place.
                let _ = fs::remove_file(&state);
                let _ = match random.below(3) {
                    0 => std::os::unix::fs::symlink("/etc/passwd", &state),
                    1 => fs::create_dir(&state),
                    _ => std::process::Command::new("mkfifo")
                        .arg(&state)
                        .status()
                        .map(drop),
                };
                sys::nap(Duration::from_millis(20));
                let _ = fs::remove_file(&state).or_else(|_| fs::remove_dir(&state));
                let _ = fs::write(&state, &good);
            }
            2..=4 => {
                let at = *random.of(&[EPOCH, TURN]);
                let mut old = [0; 8];
                let _ = words.read_exact_at(&mut old, at);
                let any = random.bits();
                let word = *random.of(&[0, 1, any, u64::MAX, u64::MAX - 1]);
                let _ = words.write_all_at(&word.to_ne_bytes(), at);
                sys::nap(Duration::from_millis(random.below(30)));
                let _ = words.write_all_at(&old, at);
            }
            5..=7 => drop(fs::write(&state, &good)),
            _ => {
                let _ = fs::write(&new, damaged(&mut random, &good));
                let _ = fs::rename(&new, &state);
            }
        }
        sys::nap(Duration::from_millis(random.below(4)));
    }
    for reader in &mut readers {
        let status = reader.ended(Duration::from_secs(40));
        no_crash(status, &stage.said());
        assert_eq!(status.code(), Some(0));
    }
    eprintln!("{rounds} states");
    end(net);
}

#[test]
fn what_is_taken_from_the_asking_program_costs_an_error() {
    let stage = Stage::new("trust-limits");
    let limits = stage.program("limits");
    // What is to go well in spite of it; where the host process is there already, and where not:
    // one that is started has the hard limits of the program that needs it.
    let all = [
        ("", true, true),
        ("nofile", false, false),
        ("nofile-0", false, false),
        ("nproc", true, true),
        ("fsize", true, false),
        ("as", false, false),
        ("stack", true, true),
        ("closed", true, true),
        ("chroot", false, false),
        ("socket", false, false),
        ("connect", false, false),
        ("clone", true, false),
        ("execve", true, false),
        ("sendmsg", false, false),
        ("signals", true, true),
        ("vfork", true, true),
        ("fork", true, true),
        ("cancel", true, true),
    ];
    let mut wrong = Vec::new();
    for (what, there, not_there) in all {
        for (is_there, goes_well) in [(true, there), (false, not_there)] {
            let (net, _) = net();
            let run = |what: &str| {
                let mut command = stage.shimmed(net.path(), &limits);
                command.arg(what);
                Process::start(&mut command).ended(LIMIT * 2)
            };
            if is_there {
                assert_eq!(run("").code(), Some(0), "{}", stage.said());
            }
            let begin = Instant::now();
            let status = run(what);
            let (took, said) = (begin.elapsed(), stage.said());
            if status.code() != Some(i32::from(!goes_well)) || took > LIMIT {
                wrong.push(format!(
                    "{what} {is_there}: {status} after {took:?}: {said}"
                ));
            }
            // Everybody else is answered.
            let after = run("");
            if after.code() != Some(0) {
                wrong.push(format!(
                    "after {what} {is_there}: {after}: {}",
                    stage.said()
                ));
            }
            end(net);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
