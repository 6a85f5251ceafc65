//! The host process may be killed at any moment, many nets live beside one another, and other
//! users of the machine are kept out.

use crate::datagrams::datagram;
use crate::hosting::{hosts, kill, standbys, until, Over};
use crate::support::{Place, Socket};
use memtun::IoSystem;
use memtun_abi::Errno;
use memtun_stack::ask::What;
use memtun_stack::sockets::question::{set, SocketAnswer};
use memtun_stack::sockets::table::native_v4;
use memtun_sys::{self as sys, inet};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

#[test]
fn sockets_outlive_host_processes_that_are_killed_at_any_moment() {
    const KILLS: usize = 60;
    let place = Place::new(&["10.1.0.1/24"]);
    let kept = Socket::udp();
    let native = kept.bind(&place, "10.1.0.1:4000").expect("bound");
    let slice = place.table().mapped().slices[0].load(SeqCst);
    let (over, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seed = sys::random();
            while !over.load(SeqCst) {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                sys::nap(Duration::from_micros(seed >> 32 & 0x1_ffff));
                for pid in hosts(place.net.path()) {
                    kill(pid, libc::SIGKILL);
                    kills.fetch_add(1, SeqCst);
                }
            }
        });
        let _over = Over(&over);
        let begin = Instant::now();
        let mut rounds = 0;
        while kills.load(SeqCst) < KILLS && begin.elapsed() < Duration::from_secs(60) {
            let socket = [Socket::udp, Socket::tcp][rounds % 2]();
            let port = 5000 + rounds % 50;
            let bound = socket.bind(&place, &format!("10.1.0.1:{port}"));
            assert!(matches!(bound, Ok(Some(_))), "{rounds}: {bound:?}");
            let taken = Socket::udp().bind(&place, "10.1.0.1:4000");
            assert_eq!(taken, Err(Errno(libc::EADDRINUSE)), "{rounds}");
            let mut asked = kept.asked;
            asked.name = Some("10.1.0.9:77".parse().unwrap());
            let way = place.ask(What::Path, &asked);
            assert!(
                matches!(way, Ok(SocketAnswer::Path(_))),
                "{rounds}: {way:?}"
            );
            rounds += 1;
        }
        assert!(rounds > KILLS, "{rounds} rounds");
    });
    // The next one goes on with what there was.
    let mut asked = kept.asked;
    asked.name = Some("10.1.0.9:77".parse().unwrap());
    place.ask(What::Path, &asked).expect("a way");
    let table = place.table();
    assert_eq!(table.mapped().slices[0].load(SeqCst), slice);
    let entry = table.socket(kept.asked.cookie).expect("an entry");
    assert_eq!(Some(entry.native), native);
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"still"));
    assert_eq!(kept.receive().0, b"still");
}

/// Kills the host process and who stands by for it, so that nobody starts another one.
fn kill_both(place: &Place) {
    let path = place.net.path();
    until("somebody stands by", || standbys(path).len() == 1);
    let all = hosts(path);
    for pid in &all {
        kill(*pid, libc::SIGSTOP);
    }
    for pid in standbys(path) {
        kill(pid, libc::SIGKILL);
    }
    until("nobody stands by", || standbys(path).is_empty());
    for pid in all {
        kill(pid, libc::SIGKILL);
    }
    until("there is none", || hosts(path).is_empty());
}

#[test]
fn what_is_written_while_there_is_no_host_process_is_taken_by_the_next() {
    let place = Place::new(&["10.1.0.1/24"]);
    let socket = Socket::udp();
    socket.bind(&place, "10.1.0.1:4000").expect("bound");
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"before"));
    assert_eq!(socket.receive().0, b"before");
    for round in 0..3u8 {
        kill_both(&place);
        for number in 0..10 {
            let text = [round, number];
            place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", &text));
        }
        // Whoever asks starts one.
        Socket::udp()
            .bind(&place, "10.1.0.1:4001")
            .expect("by the next");
        for number in 0..10 {
            assert_eq!(socket.receive().0, [round, number], "once, and in order");
        }
    }
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"after"));
    assert_eq!(socket.receive().0, b"after");
}

#[test]
fn what_a_killed_host_process_has_given_to_a_socket_counts() {
    let place = Place::new(&["10.1.0.1/24"]);
    let socket = Socket::udp();
    socket.bind(&place, "10.1.0.1:4000").expect("bound");
    let secret = place.table().secret();
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"given"));
    let (text, from) = socket.receive();
    assert_eq!(text, b"given");
    kill_both(&place);
    Socket::udp()
        .bind(&place, "10.1.0.1:4001")
        .expect("by the next");
    // A program reads it only now, and looks whose the port is and whether it is a report.
    assert_eq!(from.port(), place.table().ports().datagram);
    assert_eq!(secret, place.table().secret());
    // The same where the one before is stopped, and killed by the next.
    let stopped = hosts(place.net.path());
    for pid in &stopped {
        kill(*pid, libc::SIGSTOP);
    }
    Socket::udp()
        .bind(&place, "10.1.0.1:4002")
        .expect("by another one");
    assert!(hosts(place.net.path())
        .iter()
        .all(|pid| !stopped.contains(pid)));
    assert_eq!(from.port(), place.table().ports().datagram);
}

/// A socket joins a group at the tunnel, all of it or one source.
fn join(place: &Place, socket: &Socket, group: &str, source: Option<&str>) -> Result<(), Errno> {
    let mut asked = socket.asked;
    asked.name = Some(format!("{group}:0").parse().expect("a group"));
    asked.out = place.index;
    asked.source = source.map(|it| it.parse().expect("an address"));
    asked.flags |= source.map_or(0, |_| set::OF_SOURCE);
    let done = place.ask(What::Join, &asked)?;
    assert_eq!(done, SocketAnswer::Done);
    Ok(())
}

#[test]
fn a_group_that_a_socket_has_joined_outlives_the_host_process() {
    let place = Place::new(&["10.1.0.1/24"]);
    let [all, one] = [Socket::udp(), Socket::udp()].map(|it| it.with(set::REUSE_ADDRESS));
    for (socket, source) in [(&all, None), (&one, Some("10.1.0.9"))] {
        socket.bind(&place, "0.0.0.0:4000").expect("bound");
        join(&place, socket, "239.1.2.3", source).expect("joined");
    }
    for round in 0..3u8 {
        place.write(&datagram("10.1.0.8:77", "239.1.2.3:4000", &[round, 8]));
        place.write(&datagram("10.1.0.9:77", "239.1.2.3:4000", &[round, 9]));
        assert_eq!(all.receive().0, [round, 8]);
        assert_eq!(all.receive().0, [round, 9]);
        assert_eq!(one.receive().0, [round, 9], "of the only source");
        kill_both(&place);
        // Whoever asks starts the next one.
        Socket::udp()
            .bind(&place, "10.1.0.1:4001")
            .expect("by the next");
    }
}

#[test]
fn who_joins_another_group_each_time_and_closes_may_go_on() {
    let place = Place::new(&["10.1.0.1/24"]);
    for number in 0..1100u32 {
        let group = Ipv4Addr::from(0xef01_0000 + number).to_string();
        join(&place, &Socket::udp(), &group, None).expect("there is room");
    }
}

#[test]
fn of_each_killed_host_process_at_most_one_datagram_is_lost() {
    const KILLS: usize = 40;
    let place = Place::new(&["10.1.0.1/24"]);
    let socket = Socket::udp();
    socket.bind(&place, "10.1.0.1:4000").expect("bound");
    let (mut kills, mut sent, mut heard) = (0, 0u32, Vec::new());
    let mut seed = sys::random();
    let begin = Instant::now();
    while kills < KILLS && begin.elapsed() < Duration::from_secs(60) {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        for _ in 0..seed >> 32 & 0x3f {
            let text = sent.to_be_bytes();
            place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", &text));
            sent += 1;
        }
        // Most of it is read, so that no buffer is full.
        const WAITING: usize = 100;
        while sent as usize - heard.len() > kills + WAITING {
            heard.push(socket.receive().0);
        }
        for pid in hosts(place.net.path()) {
            kill(pid, libc::SIGKILL);
            kills += 1;
        }
    }
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"last"));
    while heard.last().is_none_or(|text| text != b"last") {
        heard.push(socket.receive().0);
    }
    heard.pop();
    let numbers = heard
        .iter()
        .map(|text| text[..].try_into().expect("four bytes"));
    let numbers: Vec<u32> = numbers.map(u32::from_be_bytes).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "twice, or not in order");
    let lost = sent as usize - numbers.len();
    assert!(lost <= kills, "{lost} of {sent} are lost, by {kills} kills");
}

#[test]
fn a_host_process_that_is_stopped_loses_its_place_and_not_the_slice() {
    let place = Place::new(&["10.1.0.1/24"]);
    let socket = Socket::udp();
    socket.bind(&place, "10.1.0.1:4000").expect("bound");
    let (slice, before) = (
        place.table().mapped().slices[0].load(SeqCst),
        hosts(place.net.path()),
    );
    for pid in &before {
        kill(*pid, libc::SIGSTOP);
    }
    Socket::udp()
        .bind(&place, "10.1.0.1:4001")
        .expect("by another one");
    assert_eq!(place.table().mapped().slices[0].load(SeqCst), slice);
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"by the other"));
    assert_eq!(socket.receive().0, b"by the other");
    for pid in before {
        kill(pid, libc::SIGKILL);
    }
}

#[test]
fn a_hundred_nets_have_a_slice_each() {
    const NETS: usize = 100;
    let places: Vec<Place> = std::thread::scope(|scope| {
        let make = |part: usize| {
            scope.spawn(move || {
                let part = (0..NETS / 4).map(|_| part);
                part.map(|_| Place::new(&["10.1.0.1/24"]))
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..4).map(make).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("made"))
            .collect()
    });
    let slices = places
        .iter()
        .map(|place| place.table().mapped().slices[0].load(SeqCst));
    let slices: HashSet<u32> = slices.filter(|base| *base != 0).collect();
    assert_eq!(slices.len(), NETS);
    assert!(!slices.contains(&(127 << 24)), "the machine's own part");
    for place in &places {
        let socket = Socket::udp();
        socket.bind(place, "0.0.0.0:53").expect("bound");
        place.write(&datagram("10.1.0.9:77", "10.1.0.1:53", b"hello"));
        assert_eq!(socket.receive().0, b"hello");
    }
}

/// Runs a script as another user of the machine.
fn as_another(script: &str) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65533", "--regid=65533", "--clear-groups"]);
    let done = command.args(["/usr/bin/python3", "-c", script]).output();
    let done = done.expect("started");
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

#[test]
fn another_user_gets_nothing_and_says_nothing() {
    if sys::effective_uid() != 0 {
        return crate::not_run::not_run("what another user gets", "only root can be two users");
    }
    let place = Place::new(&["10.1.0.1/24"]);
    let socket = Socket::udp();
    let native = socket
        .bind(&place, "10.1.0.1:4000")
        .expect("bound")
        .expect("the net's");
    place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"one"));
    let (_, from) = socket.receive();
    let alias = native_v4(from.ip()).expect("an alias");
    let ports = place.table().ports();
    // It sends to the flow's alias: nothing leaves by the tunnel.
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.sendto(b'foreign', ('{alias}', {}))\nprint('sent')",
        ports.datagram
    );
    assert_eq!(as_another(&script).trim(), "sent");
    // It takes the native name of a socket that is gone.
    let own = native.to_string();
    drop(socket);
    let (address, port) = own.split_once(':').expect("a port");
    let script = format!(
        "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         s.bind(('{address}', {port}))\ns.settimeout(3)\nprint('bound', flush=True)\n\
         try: print(s.recv(100))\nexcept TimeoutError: print('nothing')"
    );
    let heard = std::thread::scope(|scope| {
        let thread = scope.spawn(|| as_another(&script));
        until("another user has the native name", || {
            let probe = Socket::udp();
            inet::bind_name(probe.fd.as_fd(), &native) == Err(Errno(libc::EADDRINUSE))
        });
        for _ in 0..20 {
            place.write(&datagram("10.1.0.9:77", "10.1.0.1:4000", b"secret"));
            sys::nap(Duration::from_millis(5));
        }
        thread.join().expect("ran")
    });
    assert_eq!(heard.trim(), "bound\nnothing");
    // What came of it is told to whoever sent, and nothing that the other user has said.
    let mut seen = 0;
    while let Ok(packet) = place.system.read(place.tunnel, 2048) {
        assert_eq!(packet[9], 1, "a datagram left");
        seen += 1;
    }
    assert!(seen > 0, "the sender is told that nobody listens");
}
