//! Capturing gives every packet whole, in order and in both directions, and nobody waits for a
//! capturer that has ended.

use memtun::Sending;
mod common;

use common::{FRAME, WAIT};
use memtun::uapi::{IFF_MULTI_QUEUE, IFF_NO_PI, IFF_TAP, IFF_TUN, TUNSETIFF};
use memtun::Direction::{Inbound, Outbound};
use memtun::{
    ifreq, Capture, Captured, Errno, Interface, IoSystem, MemoryIoSystem, Net, TunnelClass,
};
use memtun_shm::lock::Patience;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NOW: Option<Duration> = Some(Duration::ZERO);

fn system() -> MemoryIoSystem {
    let system = MemoryIoSystem::new(&Net::temporary().expect("a net"));
    system.register_special_device("/dev/net/tun", TunnelClass);
    system
}

fn attached(system: &MemoryIoSystem, name: &str, flags: u32) -> (i32, Interface) {
    opened(system, name, flags, libc::O_NONBLOCK)
}

/// A program's tunnel that waits for a capturer.
fn patient(system: &MemoryIoSystem, name: &str) -> (i32, Interface) {
    opened(system, name, IFF_TUN, 0)
}

fn opened(system: &MemoryIoSystem, name: &str, flags: u32, open: i32) -> (i32, Interface) {
    let fd = system
        .open("/dev/net/tun", libc::O_RDWR | open, 0)
        .expect("open");
    system
        .ioctl(fd, TUNSETIFF, &ifreq(name, flags | IFF_NO_PI))
        .expect("TUNSETIFF");
    let interface = system.net().wait_interface_within(name, WAIT);
    (fd, interface.expect("the interface"))
}

fn numbered(number: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![0x45; len];
    packet[1..5].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]])
}

fn everything(capture: &mut Capture) -> Vec<Captured> {
    std::iter::from_fn(|| match capture.recv_within(NOW) {
        Ok(packet) => Some(packet),
        Err(e) if e.errno().0 == libc::EAGAIN => None,
        Err(e) => panic!("{e}"),
    })
    .collect()
}

fn hidden_files(net: &Net) -> Vec<String> {
    let entries = std::fs::read_dir(net.path()).expect("the net");
    let names = entries.map(|e| e.expect("an entry").file_name().into_string());
    names
        .map(|n| n.expect("ASCII"))
        .filter(|n| n.starts_with(".memtun-gone") || n.starts_with(".memtun-capturer"))
        .collect()
}

#[test]
fn both_directions_in_the_order_of_question_and_answer() {
    let system = system();
    let (fd, interface) = attached(&system, "c0", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    const QUESTIONS: u32 = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..QUESTIONS {
                let packet = loop {
                    if let Ok(packet) = system.read(fd, 2000) {
                        break packet;
                    }
                    std::hint::spin_loop();
                };
                system.write(fd, &packet).expect("an answer");
            }
        });
        scope.spawn(|| {
            for i in 0..QUESTIONS {
                let len = 60 + i as usize % 1000;
                let injected =
                    interface.inject_with(&numbered(i, len), Sending::new().within(WAIT));
                injected.expect("room");
            }
        });
        let (mut asked, mut answered, mut time) = (0, 0, 0);
        while answered < QUESTIONS {
            let packet = capture.recv_within(WAIT).expect("a packet");
            assert_eq!(packet.refused, None);
            assert_eq!(packet.ethertype, 0x0800);
            assert_eq!((packet.tap, packet.mtu), (false, 1500));
            assert_eq!(packet.interface.to_string(), "c0");
            assert!(packet.time_ns >= time, "time goes on");
            time = packet.time_ns;
            match packet.direction {
                Inbound => {
                    assert_eq!(number(&packet.data), asked);
                    asked += 1;
                }
                Outbound => {
                    assert_eq!(number(&packet.data), answered);
                    answered += 1;
                    assert!(answered <= asked, "an answer before its question");
                }
            }
        }
        assert_eq!(asked, QUESTIONS);
    });
}

#[test]
fn order_holds_across_interfaces() {
    let system = system();
    let (from, interface) = attached(&system, "c0", IFF_TUN);
    let (to, _) = attached(&system, "c1", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    const PACKETS: u32 = 20_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..PACKETS {
                interface
                    .inject_with(&numbered(i, 60), Sending::new().within(NOW))
                    .expect("room");
                let packet = system.read(from, 100).expect("a packet");
                system.write(to, &packet).expect("forwarded");
            }
        });
        for i in 0..PACKETS {
            for (name, direction) in [("c0", Inbound), ("c1", Outbound)] {
                let packet = capture.recv_within(WAIT).expect("a packet");
                let found = (
                    packet.interface.to_string(),
                    packet.direction,
                    number(&packet.data),
                );
                assert_eq!(found, (name.to_owned(), direction, i));
            }
        }
    });
}

#[test]
fn a_million_small_packets_in_a_tight_loop_are_all_there() {
    let system = system();
    let (fd, _interface) = patient(&system, "c0");
    let mut capture = system.net().capture().expect("a capture");
    const PACKETS: u32 = 1_000_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..PACKETS {
                system.write(fd, &numbered(i, 64)).expect("write");
            }
        });
        for i in 0..PACKETS {
            let packet = capture.recv_within(WAIT).expect("a packet");
            assert_eq!(number(&packet.data), i);
        }
        assert_eq!(capture.lost(1001), 0);
    });
}

#[test]
fn injected_packets_beyond_a_log_are_all_there() {
    let system = system();
    let (fd, interface) = attached(&system, "c0", IFF_TAP);
    let mut capture = system.net().capture().expect("a capture");
    const PACKETS: u32 = 30_000;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..PACKETS {
                let injected =
                    interface.inject_with(&numbered(i, 1400), Sending::new().within(WAIT));
                injected.expect("room");
                while system.read(fd, 2000).is_ok() {}
            }
        });
        for i in 0..PACKETS {
            let packet = capture.recv_within(WAIT).expect("a packet");
            assert_eq!((number(&packet.data), packet.direction), (i, Inbound));
            assert!(packet.tap && packet.mac.is_some());
        }
    });
}

#[test]
fn a_program_that_is_gone_at_once_is_captured() {
    let system = system();
    let net = system.net();
    let mut capture = net.capture().expect("a capture");
    for i in 0..50 {
        // The name and the index are always the same, and every third interface has no packet.
        let (fd, interface) = attached(&system, "c0", IFF_TUN);
        if i % 3 != 2 {
            system.write(fd, &numbered(i, 60)).expect("write");
        }
        system.close(fd).expect("close");
        assert!(interface.is_gone());
    }
    assert_eq!(hidden_files(net).len(), 51, "kept for the capturer");
    let found: Vec<u32> = everything(&mut capture)
        .iter()
        .map(|p| number(&p.data))
        .collect();
    assert_eq!(
        found,
        (0..50).filter(|i| i % 3 != 2).collect::<Vec<_>>(),
        "in order"
    );
    assert_eq!(hidden_files(net), [".memtun-capturer"]);
    let (fd, _) = attached(&system, "c0", IFF_TUN);
    system.close(fd).expect("close");
    drop(capture);
    assert!(hidden_files(net).is_empty());
    assert!(net.is_idle().expect("a look"));
}

#[test]
fn refused_packets_are_there_with_their_errors() {
    let system = system();
    let net = system.net().clone();
    let (fd, interface) = attached(&system, "c0", IFF_TUN);
    let mut capture = net.capture().expect("a capture");
    let write = |packet: &[u8]| system.write(fd, packet).expect_err("refused").0;
    let inject = |packet: &[u8]| {
        let refused = interface
            .inject_with(packet, Sending::new().within(NOW))
            .expect_err("refused");
        refused.errno().0
    };
    net.fault(&"write=EINTR@1".parse().expect("a fault"))
        .expect("set");
    assert_eq!(write(&numbered(0, 60)), libc::EINTR);
    net.set_send_buffer_size(Some(100));
    assert_eq!(write(&numbered(1, 101)), libc::ENOBUFS);
    net.reset().expect("reset");
    assert_eq!(write(&[0x15; 60]), libc::EINVAL);
    assert_eq!(inject(&numbered(3, 1501)), libc::EMSGSIZE);
    interface.set_txqueuelen(1).expect("a length");
    interface
        .inject_with(&numbered(4, 60), Sending::new().within(NOW))
        .expect("room");
    assert_eq!(inject(&numbered(5, 60)), libc::EAGAIN);
    interface.set_up(false).expect("down");
    assert_eq!(write(&numbered(6, 60)), libc::EIO);
    assert_eq!(inject(&numbered(7, 60)), libc::ENETDOWN);
    interface.set_up(true).expect("up");
    system.write(fd, &numbered(8, 60)).expect("write");
    let found: Vec<_> = everything(&mut capture)
        .into_iter()
        .map(|p| (p.direction, p.refused.map(|e| e.0), p.data.len()))
        .collect();
    let expected = [
        (Outbound, Some(libc::EINTR), 60),
        (Outbound, Some(libc::ENOBUFS), 101),
        (Outbound, Some(libc::EINVAL), 60),
        (Inbound, Some(libc::EMSGSIZE), 1501),
        (Inbound, None, 60),
        (Inbound, Some(libc::EAGAIN), 60),
        (Outbound, Some(libc::EIO), 60),
        (Inbound, Some(libc::ENETDOWN), 60),
        (Outbound, None, 60),
    ];
    assert_eq!(found, expected);
    // A subscriber gets what the program wrote, and nothing else.
    let subscriber = interface.subscribe();
    assert_eq!(
        number(&subscriber.recv_within(NOW).expect("the last").data),
        8
    );
    assert_eq!(
        subscriber.recv_within(NOW).expect_err("nothing").errno(),
        Errno(libc::EAGAIN)
    );
}

#[test]
fn a_subscriber_counts_only_what_the_program_wrote() {
    let system = system();
    let (fd, interface) = attached(&system, "c0", IFF_TUN);
    let late = interface.subscribe();
    let mut capture = system.net().capture().expect("a capture");
    const PACKETS: u32 = 10_000;
    for i in 0..PACKETS {
        interface
            .inject_with(&numbered(i, 1400), Sending::new().within(NOW))
            .expect("room");
        system.read(fd, 2000).expect("a packet");
        system.write(fd, &numbered(i, 1400)).expect("write");
        if i % 100 == 0 {
            everything(&mut capture);
        }
    }
    let (mut next, mut lost) = (0, 0);
    loop {
        match late.recv_within(NOW) {
            Ok(packet) => {
                assert_eq!(number(&packet.data), next);
                next += 1;
            }
            Err(e) if e.errno().0 == libc::ENOBUFS => {
                let text = e.to_string();
                let n = text.split_whitespace().nth(1).map(str::parse::<u32>);
                lost += n.expect("a word").expect("a number");
                next = lost;
            }
            Err(e) => break assert_eq!(e.errno().0, libc::EAGAIN),
        }
    }
    assert_eq!(next, PACKETS);
    // The subscriber goes on in the middle of what is kept, which is some 2,900 packets of the
    // program's.
    let kept = PACKETS - lost;
    assert!((900..2500).contains(&kept), "{kept} were left");
}

#[test]
fn one_interface_alone_can_be_captured() {
    let system = system();
    let net = system.net();
    let (other, _) = attached(&system, "c1", IFF_TUN);
    let mut capture = net.capture_interface("c0").expect("a capture");
    let (fd, interface) = attached(&system, "c0", IFF_TUN);
    let (later, _) = attached(&system, "c2", IFF_TUN);
    everything(&mut capture);
    let began = Instant::now();
    // Nobody reads these packets, which are more than a log's length.
    for i in 0..10_000 {
        system.write(other, &numbered(i, 1400)).expect("write");
        system.write(later, &numbered(i, 1400)).expect("write");
    }
    assert!(began.elapsed() < Duration::from_secs(4));
    interface
        .inject_with(&numbered(77, 60), Sending::new().within(NOW))
        .expect("room");
    for fd in [other, later, fd] {
        system.close(fd).expect("close");
    }
    assert!(net.is_idle().expect("a look"));
    let found = everything(&mut capture);
    assert_eq!(found.len(), 1);
    assert_eq!(number(&found[0].data), 77);
    assert_eq!(hidden_files(net), [".memtun-capturer"]);
}

#[test]
fn there_is_one_capturer_at_a_time() {
    let system = system();
    let net = system.net();
    let capture = net.capture().expect("a capture");
    let second = net.capture().expect_err("a second one");
    assert_eq!(second.errno(), Errno(libc::EBUSY));
    assert!(second.to_string().contains("captures it already"));
    assert!(net.capture_interface("c0").is_err());
    drop(capture);
    drop(net.capture().expect("when the first has ended"));
}

#[test]
fn a_capturer_that_does_not_read_is_told_what_it_lost() {
    let system = system();
    let (fd, _interface) = patient(&system, "c0");
    let mut capture = system.net().capture().expect("a capture");
    const PACKETS: u32 = 20_000;
    let began = Instant::now();
    for i in 0..PACKETS {
        system.write(fd, &numbered(i, 1400)).expect("write");
    }
    let waited = began.elapsed();
    assert!(
        (4..10).contains(&waited.as_secs()),
        "once, not for each packet: {waited:?}"
    );
    let told = capture.recv_within(NOW).expect_err("overtaken");
    assert_eq!(told.errno(), Errno(libc::ENOBUFS));
    let lost = capture.lost(1001) as u32;
    let found = everything(&mut capture);
    assert_eq!(lost + found.len() as u32, PACKETS);
    assert_eq!(number(&found[0].data), lost);
}

#[test]
fn a_net_that_is_removed_ends_a_capture() {
    let system = system();
    let (fd, _interface) = attached(&system, "c0", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    system.write(fd, FRAME).expect("write");
    system.net().clone().remove().expect("removed");
    assert_eq!(capture.recv_within(WAIT).expect("the packet").data, FRAME);
    let end = capture.recv_within(WAIT).expect_err("the end");
    assert_eq!(end.errno(), Errno(libc::ENODEV));
}

const CAPTURE_HERE: &str = "MEMTUN_TEST_CAPTURE_HERE";

/// This is not a test of its own, but the other process of the tests below.
#[test]
fn as_a_capturer_of_another_process() {
    if let Some(dir) = std::env::var_os(CAPTURE_HERE) {
        let _capture = Net::open(dir).expect("the net").capture();
        println!("\ncapturing: {}", _capture.is_ok());
        std::thread::sleep(WAIT);
    }
}

fn capturer(net: &Net) -> Child {
    let me = std::env::current_exe().expect("this program");
    let mut child = Command::new(me)
        .args(["--exact", "as_a_capturer_of_another_process", "--nocapture"])
        .env(CAPTURE_HERE, net.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let said = out
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("capturing: "));
    assert_eq!(said.as_deref(), Some("capturing: true"));
    child
}

#[test]
fn nobody_waits_for_a_capturer_that_was_killed() {
    let system = system();
    let net = system.net();
    let (fd, interface) = patient(&system, "c0");
    let mut child = capturer(net);
    assert!(net.capture().is_err(), "it captures");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // This is the length of two logs, so the program has to wait.
            for i in 0..12_000 {
                system.write(fd, &numbered(i, 1400)).expect("write");
            }
            Instant::now()
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!writer.is_finished(), "the capturer has not read anything");
        child.kill().expect("killed");
        let killed = Instant::now();
        child.wait().expect("gone");
        let ended = writer.join().expect("no panic");
        assert!(ended.duration_since(killed) < Duration::from_secs(1));
    });
    system.close(fd).expect("close");
    assert!(interface.is_gone());
    assert!(hidden_files(net).iter().all(|f| f == ".memtun-capturer"));
    drop(net.capture().expect("after it"));
}

#[test]
fn what_a_killed_capturer_left_is_swept() {
    let system = system();
    let net = system.net();
    let mut child = capturer(net);
    let (fd, _) = attached(&system, "c0", IFF_TUN);
    child.kill().expect("killed");
    child.wait().expect("gone");
    system.write(fd, FRAME).expect("write");
    system.close(fd).expect("close");
    assert!(net.is_idle().expect("a look"));
    assert!(hidden_files(net).is_empty(), "{:?}", hidden_files(net));
}

/// The size in KiB of the memory that the process has for itself.
fn anonymous_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|n| n.parse().ok()).expect("a number")
}

const ALONE: &str = "MEMTUN_TEST_ALONE";

/// Runs a test of this program in a process of its own, so that what it measures is its own.
fn alone(test: &str, run: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some_and(|name| name == test) {
        return run();
    }
    let me = std::env::current_exe().expect("this program");
    let ended = Command::new(me)
        .args(["--exact", test])
        .env(ALONE, test)
        .status();
    assert!(ended.expect("this program again").success());
}

#[test]
fn a_backlog_of_many_interfaces_is_merged_in_bounded_memory() {
    alone(
        "a_backlog_of_many_interfaces_is_merged_in_bounded_memory",
        || {
            const INTERFACES: usize = 25;
            const EACH: u32 = 5000;
            let system = system();
            let fds: Vec<i32> = (0..INTERFACES)
                .map(|i| attached(&system, &format!("c{i}"), IFF_TUN).0)
                .collect();
            let mut capture = system.net().capture().expect("a capture");
            // One interface is far behind the others in time; what it holds back must not be kept
            // in memory.
            for i in 0..EACH {
                system.write(fds[0], &numbered(i, 1400)).expect("write");
            }
            for i in 0..EACH {
                for fd in &fds[1..] {
                    system.write(*fd, &numbered(i, 1400)).expect("write");
                }
            }
            assert_eq!(capture.backlog(), u64::from(EACH) * INTERFACES as u64);
            let before = anonymous_memory();
            let (mut most, mut time) = (before, 0);
            let mut next = [0; INTERFACES];
            let began = Instant::now();
            for n in 0..EACH as usize * INTERFACES {
                let packet = capture.recv_within(NOW).expect("a packet");
                assert!(packet.time_ns >= time, "in the order of time");
                time = packet.time_ns;
                let name = packet.interface.to_string();
                let from: usize = name[1..].parse().expect("a number");
                assert_eq!(number(&packet.data), next[from], "in order");
                next[from] += 1;
                if n % 1000 == 0 {
                    most = most.max(anonymous_memory());
                }
            }
            assert!(began.elapsed() < Duration::from_secs(2));
            assert!(most - before < 2048, "{} KiB", most - before);
            assert_eq!(capture.backlog(), 0);
        },
    );
}

#[test]
fn order_holds_through_a_thousand_interfaces() {
    let system = system();
    const INTERFACES: usize = 1000;
    const PACKETS: u32 = 20_000;
    let fds: Vec<i32> = (0..INTERFACES)
        .map(|i| attached(&system, &format!("c{i}"), IFF_TUN).0)
        .collect();
    let mut capture = system.net().capture().expect("a capture");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..PACKETS {
                let fd = fds[i as usize * 7919 % INTERFACES];
                system.write(fd, &numbered(i, 60)).expect("write");
            }
        });
        for i in 0..PACKETS {
            let packet = capture.recv_within(WAIT).expect("a packet");
            assert_eq!(number(&packet.data), i);
        }
    });
}

#[test]
fn a_loss_is_told_behind_what_was_before_it() {
    let system = system();
    let (fd, _) = patient(&system, "c0");
    let (other, _) = attached(&system, "c1", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    system.write(fd, &numbered(0, 60)).expect("write");
    capture.recv_within(NOW).expect("the first");
    system.write(other, &numbered(1, 60)).expect("write");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        // The program waits, and gives up in the end.
        for i in 0..8000 {
            system.write(fd, &numbered(i, 1400)).expect("write");
        }
    }
    system.write(other, &numbered(2, 60)).expect("write");
    let mut seen = Vec::new();
    loop {
        match capture.recv_within(NOW) {
            Ok(packet) if packet.interface.to_string() == "c1" => {
                seen.push(number(&packet.data).to_string());
            }
            Ok(_) => {}
            Err(e) if e.errno().0 == libc::ENOBUFS => seen.push("lost".into()),
            Err(_) => break,
        }
    }
    assert_eq!(seen, ["lost", "1", "2"]);
}

#[test]
fn a_capture_that_is_stopped_gives_what_was_complete_and_no_more() {
    let system = system();
    let (fd, _) = attached(&system, "c0", IFF_TUN);
    let (gone, _) = attached(&system, "c1", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    let (late, _) = attached(&system, "c2", IFF_TUN);
    for i in 0..3 {
        system.write(fd, &numbered(i, 60)).expect("write");
    }
    system.write(gone, &numbered(3, 60)).expect("write");
    system.close(gone).expect("close");
    system.write(late, &numbered(4, 60)).expect("write");
    capture.stop().expect("stopped");
    assert_eq!(capture.backlog(), 5);
    // A program that goes on writing neither lengthens what is given nor waits for it.
    let began = Instant::now();
    for i in 0..5000 {
        system.write(late, &numbered(5 + i, 1400)).expect("write");
    }
    let (later, _) = attached(&system, "c3", IFF_TUN);
    system.write(later, &numbered(77, 60)).expect("write");
    let found: Vec<u32> = std::iter::from_fn(|| capture.recv_within(WAIT).ok())
        .map(|p| number(&p.data))
        .collect();
    assert_eq!(found, [0, 1, 2, 3, 4]);
    for i in 0..10_000 {
        system.write(late, &numbered(i, 1400)).expect("write");
    }
    assert!(began.elapsed() < Duration::from_secs(4));
}

const STOP_HERE: &str = "MEMTUN_TEST_STOP_HERE";

/// This is not a test of its own, but a process that is stopped while it holds the lock of an
/// interface, as a writer may be during a write.
#[test]
fn as_a_writer_that_is_stopped() {
    if let Some(dir) = std::env::var_os(STOP_HERE) {
        let net = Net::open(dir).expect("the net");
        let name = "c0".parse().expect("a name");
        let state = net.dir().open_interface(&name).expect("a look");
        let state = state.expect("the interface");
        let lock = net.dir().lock_interface(&state, Patience::Program);
        println!("\nlocked: {}", lock.is_ok());
        std::thread::sleep(WAIT);
    }
}

#[test]
fn a_writer_that_is_stopped_in_a_write_does_not_hold_up_a_capture() {
    let system = system();
    let net = system.net().clone();
    let (fd, _) = attached(&system, "c0", IFF_TUN);
    let (other, _) = attached(&system, "c1", IFF_TUN);
    system.write(fd, &numbered(0, 60)).expect("write");
    let me = std::env::current_exe().expect("this program");
    let mut child = Command::new(me)
        .args(["--exact", "as_a_writer_that_is_stopped", "--nocapture"])
        .env(STOP_HERE, net.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = out.lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "locked: true"));
    // SAFETY: the child has not been waited for, so the process id is still its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGSTOP) };
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut capture = net.capture().expect("a capture");
        let first = capture.recv_within(WAIT).expect("what was written before");
        told.send(number(&first.data)).expect("heard");
        let second = capture.recv_within(WAIT).expect("of another interface");
        capture.stop().expect("stopped");
        let end = capture.recv_within(WAIT).expect_err("the end").errno().0;
        assert_eq!(end, libc::EAGAIN);
        drop(capture);
        told.send(number(&second.data)).expect("heard");
    });
    let moment = Duration::from_secs(3);
    assert_eq!(heard.recv_timeout(moment), Ok(0));
    system.write(other, &numbered(1, 60)).expect("write");
    assert_eq!(heard.recv_timeout(moment), Ok(1));
    child.kill().expect("killed");
    child.wait().expect("gone");
    // The lock is taken back from the dead process.
    system.write(fd, &numbered(2, 60)).expect("write");
}

fn refuses(answer: Result<usize, Errno>) -> bool {
    match answer {
        Ok(_) => false,
        Err(e) => {
            assert_eq!(e, Errno(libc::EAGAIN));
            true
        }
    }
}

/// Writes until the capturer is behind by the whole log. Returns the number of packets that were
/// written.
fn fill(system: &MemoryIoSystem, fd: i32) -> u32 {
    let filled = (0..20_000).find(|i| refuses(system.write(fd, &numbered(*i, 1400))));
    filled.expect("a log has an end")
}

#[test]
fn a_write_that_may_not_block_is_refused_and_nothing_is_lost() {
    let system = system();
    let (fd, interface) = attached(&system, "c0", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    let filled = fill(&system, fd);
    let began = Instant::now();
    for i in 0..1000 {
        assert!(refuses(system.write(fd, &numbered(i, 1400))));
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    assert_eq!(interface.info().capture_refused, 1001);
    assert_eq!(capture.refused(interface.index()), 1001);
    let found = everything(&mut capture);
    assert!(found.iter().map(|p| number(&p.data)).eq(0..filled));
    assert!(found.iter().all(|p| p.refused.is_none()));
    assert_eq!(capture.lost(interface.index()), 0);
    // The capturer has read, so there is room.
    system.write(fd, &numbered(0, 1400)).expect("room");
    // A packet that is refused for another reason does not wait either, though there is no room to
    // show it.
    fill(&system, fd);
    let began = Instant::now();
    interface.set_up(false).expect("down");
    let refused = system.write(fd, &numbered(0, 1400));
    assert_eq!(refused, Err(Errno(libc::EIO)));
    interface.set_up(true).expect("up");
    assert!(began.elapsed() < Duration::from_millis(500));
    // The next capture begins to count from zero.
    drop(capture);
    let capture = system.net().capture().expect("the next");
    assert_eq!(capture.refused(interface.index()), 0);
}

#[test]
fn who_waited_in_vain_does_not_take_the_others_packets_away() {
    let system = system();
    let (fd, interface) = opened(&system, "c0", IFF_TUN | IFF_MULTI_QUEUE, 0);
    let (quick, _) = opened(&system, "c0", IFF_TUN | IFF_MULTI_QUEUE, libc::O_NONBLOCK);
    let mut capture = system.net().capture().expect("a capture");
    fill(&system, quick);
    let began = Instant::now();
    system.write(fd, &numbered(0, 1400)).expect("in the end");
    let waited = began.elapsed();
    assert!((4..8).contains(&waited.as_secs()), "{waited:?}");
    // This descriptor overwrites from now on, and the other one does not.
    system.write(fd, &numbered(0, 1400)).expect("at once");
    assert!(began.elapsed() - waited < Duration::from_secs(1));
    assert!(refuses(system.write(quick, &numbered(0, 1400))));
    assert!(capture.recv_within(NOW).is_err(), "told of the loss");
    everything(&mut capture);
    assert!(capture.lost(interface.index()) > 0);
    assert!(!refuses(system.write(quick, &numbered(0, 1400))));
}

#[test]
fn an_injector_waits_for_a_capturer_no_longer_than_it_wants() {
    let system = system();
    let (fd, interface) = attached(&system, "c0", IFF_TUN);
    let mut capture = system.net().capture().expect("a capture");
    let filled = fill(&system, fd);
    let long = numbered(0, 1400);
    for (timeout, least) in [(0, 0), (300, 300)] {
        let began = Instant::now();
        let timeout = Duration::from_millis(timeout);
        let refused = interface
            .inject_with(&long, Sending::new().within(timeout))
            .err();
        let took = began.elapsed();
        let least = Duration::from_millis(least);
        assert!(
            (least..least + Duration::from_millis(200)).contains(&took),
            "{took:?}"
        );
        let refused = refused.expect("no room");
        assert_eq!(refused.errno(), Errno(libc::EAGAIN));
        assert!(refused.to_string().contains("captures it"), "{refused}");
    }
    assert!(refuses(system.read(fd, 100).map(|p| p.len())), "not queued");
    assert_eq!(interface.info().capture_refused, 3);
    // A packet that finds the queue full is refused in time as well, though there is no room to
    // show that.
    everything(&mut capture);
    interface.set_txqueuelen(1).expect("a length");
    interface
        .inject_with(&long, Sending::new().within(NOW))
        .expect("room");
    fill(&system, fd);
    let began = Instant::now();
    assert!(interface
        .inject_with(&long, Sending::new().within(NOW))
        .is_err());
    assert!(began.elapsed() < Duration::from_millis(200));
    let found = everything(&mut capture);
    assert!(found.iter().all(|p| p.refused.is_none()));
    assert!((filled - 5..filled + 5).contains(&(found.len() as u32)));
    // A waiting injector goes on as soon as there is room.
    system.read(fd, 100).expect("the first");
    fill(&system, fd);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            interface
                .inject_with(&long, Sending::new().within(WAIT))
                .is_ok()
        });
        std::thread::sleep(Duration::from_millis(100));
        everything(&mut capture);
        assert!(waiting.join().expect("no panic"));
    });
    assert_eq!(capture.lost(interface.index()), 0);
}

#[test]
fn a_killed_capturer_is_noticed_by_who_does_not_wait() {
    let system = system();
    let (fd, _) = attached(&system, "c0", IFF_TUN);
    let mut child = capturer(system.net());
    fill(&system, fd);
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(20));
        assert!(refuses(system.write(fd, &numbered(0, 1400))), "it lives");
    }
    child.kill().expect("killed");
    child.wait().expect("gone");
    let killed = Instant::now();
    while refuses(system.write(fd, &numbered(0, 1400))) {
        assert!(killed.elapsed() < Duration::from_millis(200));
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(system.net().capture().expect("after it"));
}

#[test]
fn a_signal_handler_that_interrupted_a_call_does_not_wait_for_a_capturer() {
    let system = system();
    let net = system.net().clone();
    let (quick, _) = attached(&system, "c0", IFF_TUN | IFF_MULTI_QUEUE);
    let (fd, _) = opened(&system, "c0", IFF_TUN | IFF_MULTI_QUEUE, 0);
    let mut capture = net.capture().expect("a capture");
    let filled = fill(&system, quick);
    let inode = net.tunnels().expect("tunnels")[1].inode;
    let tunnel = net.dir().tunnel(inode).expect("the second");
    // The lock is held as by a read that is interrupted in the moment in which it holds the
    // tunnel's lock.
    let lock = net.dir().lock_tunnel(inode, &tunnel, Patience::Program);
    let began = Instant::now();
    assert!(refuses(system.write(fd, &numbered(0, 1400))));
    assert!(began.elapsed() < Duration::from_millis(200));
    drop(lock);
    assert_eq!(everything(&mut capture).len() as u32, filled);
    assert_eq!(capture.lost(1001), 0);
}
