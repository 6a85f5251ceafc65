//! Programs that only wait, in accept(2) and recvfrom(2), ask nobody: their host process is killed
//! and stopped, and whoever speaks to them over the tunnel is answered by the next one. A flood of
//! SYNs keeps nobody from them.

use memtun::{ifreq, uapi, Address, IoSystem, MemoryIoSystem, Net, TunnelClass};
use shim_tests::hostile::{Process, Random, Stage};
use shim_tests::hosts::{hosts, standbys};
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// What is not answered within this time is not answered.
const LIMIT: Duration = Duration::from_secs(20);

/// A net with a tunnel, which this process has open.
struct End {
    net: Net,
    system: MemoryIoSystem,
    tunnel: i32,
}

impl End {
    fn new(address: &str) -> End {
        let net = Net::temporary().expect("a net");
        let system = MemoryIoSystem::new(&net);
        system.register_special_device("/dev/net/tun", TunnelClass);
        let tunnel = system.open(
            "/dev/net/tun",
            libc::O_RDWR | libc::O_NONBLOCK | libc::O_CLOEXEC,
            0,
        );
        let tunnel = tunnel.expect("open");
        let flags = uapi::IFF_TUN | uapi::IFF_NO_PI;
        let made = system.ioctl(tunnel, uapi::TUNSETIFF, &ifreq("tun0", flags));
        made.expect("made");
        let interface = net.wait_interface("tun0").expect("there");
        interface.set_up(true).expect("up");
        let address: IpAddr = address.parse().expect("an address");
        let own = Address::new(address, 24);
        interface.add_address(&own).expect("added");
        End {
            net,
            system,
            tunnel,
        }
    }

    /// Removes the net, and looks that nothing of it is left.
    fn remove(self) {
        let path = self.net.path().to_owned();
        self.net.remove().expect("removed");
        until("nothing is left", || {
            hosts(&path).is_empty() && standbys(&path).is_empty() && !path.exists()
        });
    }
}

/// Carries packets between the two tunnels until it is over.
fn carry(ends: [&End; 2], over: &AtomicBool) {
    while !over.load(SeqCst) {
        let mut idle = true;
        for (from, to) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            while let Ok(packet) = from.system.read(from.tunnel, 65536) {
                idle = false;
                // Where a queue is full the packet is lost.
                let _ = to.system.write(to.tunnel, &packet);
            }
        }
        if idle {
            memtun_sys::nap(Duration::from_micros(200));
        }
    }
}

struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: kill takes two integers; the process is one that this test's nets have started.
    unsafe { libc::kill(pid, signal) };
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LIMIT, "never: {what}");
        memtun_sys::nap(Duration::from_millis(5));
    }
}

/// Starts a program that says when it is ready, and waits for that.
fn ready(command: &mut Command) -> Process {
    let mut program = Process::start(command.stdout(Stdio::piped()));
    let mut said = [0; 6];
    let output = program.0.stdout.as_mut().expect("its output");
    output.read_exact(&mut said).expect("ready");
    program
}

/// Two ends with a wire between them and a server at the first one.
fn with_server(name: &str, test: impl FnOnce(&Path, &mut dyn FnMut(&str))) {
    with_server_and(name, |[server, _], talk, _| test(server, talk));
}

/// The same, with both nets, and with what starts a client that waits for the server.
fn with_server_and(
    name: &str,
    test: impl FnOnce([&Path; 2], &mut dyn FnMut(&str), &mut dyn FnMut() -> Process),
) {
    let stage = Stage::new(name);
    let program = stage.program("waits");
    let ends = ["10.9.0.1", "10.9.0.2"].map(End::new);
    let mut server = stage.shimmed(ends[0].net.path(), &program);
    let server = ready(&mut server);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| carry([&ends[0], &ends[1]], &over));
        let _over = Over(&over);
        let mut talk = |kind: &str| {
            let begin = Instant::now();
            loop {
                let mut client = stage.shimmed(ends[1].net.path(), &program);
                let client = Process::start(client.args([kind, "10.9.0.1"])).ended(LIMIT);
                if client.code() == Some(0) {
                    break;
                }
                let said = stage.said();
                assert!(begin.elapsed() < LIMIT, "{kind}: {client:?}: {said}");
            }
        };
        let mut held = || {
            let mut client = stage.shimmed(ends[1].net.path(), &program);
            ready(client.args(["held", "10.9.0.1"]))
        };
        let nets = [ends[0].net.path(), ends[1].net.path()];
        test(nets, &mut talk, &mut held);
    });
    drop(server);
    ends.into_iter().for_each(End::remove);
}

#[test]
fn a_server_goes_on_when_its_host_process_is_killed_at_any_moment() {
    let mut random = Random::seeded("MEMTUN_KILLS_SEED");
    with_server("waits-killed", |net, talk| {
        for round in 0..20 {
            let kind = ["tcp", "udp"][round % 2];
            talk(kind);
            memtun_sys::nap(Duration::from_micros(random.below(20_000)));
            for pid in hosts(net) {
                signal(pid, libc::SIGKILL);
            }
            talk(kind);
        }
        assert_eq!(hosts(net).len(), 1);
    });
}

#[test]
fn who_stands_by_is_replaced_as_well() {
    with_server("waits-standby", |net, talk| {
        talk("tcp");
        for _ in 0..3 {
            until("one stands by", || standbys(net).len() == 1);
            let standby = standbys(net)[0];
            signal(standby, libc::SIGKILL);
            until(
                "another one stands by",
                || matches!(standbys(net)[..], [other] if other != standby),
            );
            hosts(net)
                .iter()
                .for_each(|pid| signal(*pid, libc::SIGKILL));
            talk("tcp");
            talk("udp");
        }
    });
}

#[test]
fn killed_again_and_again_who_stands_by_is_soon_replaced() {
    with_server("waits-standbys", |net, talk| {
        talk("tcp");
        let begin = Instant::now();
        let mut last = 0;
        // A pause of a second after each would leave the host process alone for most of the time.
        for _ in 0..12 {
            until(
                "another one stands by",
                || matches!(standbys(net)[..], [other] if other != last),
            );
            last = standbys(net)[0];
            signal(last, libc::SIGKILL);
        }
        assert!(begin.elapsed() < Duration::from_secs(8));
        // Each replaces the other, however soon after the last kill, and nobody asks.
        let mut random = Random::seeded("MEMTUN_KILLS_SEED");
        for _ in 0..30 {
            let whole = || (hosts(net), standbys(net));
            until("both are there", || {
                whole().0.len() == 1 && whole().1.len() == 1
            });
            memtun_sys::nap(Duration::from_micros(random.below(20_000)));
            let (host, standby) = whole();
            let one = [host, standby][random.below(2) as usize].clone();
            one.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
            until("it is gone", || {
                !one.iter()
                    .any(|pid| whole().0.contains(pid) || whole().1.contains(pid))
            });
        }
        talk("udp");
        until("one stands by", || standbys(net).len() == 1);
        assert_eq!(hosts(net).len(), 1);
    });
}

#[test]
fn a_server_goes_on_when_its_host_process_is_stopped() {
    with_server("waits-stopped", |net, talk| {
        // The one that an address has started, and the one that stands by has started.
        for _ in 0..2 {
            talk("tcp");
            let [host] = hosts(net)[..] else {
                panic!("one host process");
            };
            signal(host, libc::SIGSTOP);
            talk("udp");
            talk("tcp");
            until("the stopped one is ended", || !hosts(net).contains(&host));
        }
    });
}

#[test]
fn a_connection_whose_host_process_is_killed_is_reset() {
    with_server_and("waits-held", |[_, net], _, held| {
        for _ in 0..3 {
            let mut client = held();
            hosts(net)
                .iter()
                .for_each(|pid| signal(*pid, libc::SIGKILL));
            // An end would look as if all had come.
            assert_eq!(client.ended(LIMIT).code(), Some(0), "no ECONNRESET");
        }
    });
}

#[test]
fn a_signal_handler_over_a_call_that_sends_holds_up_nobody() {
    let stage = Stage::new("handlers");
    let program = stage.program("waits");
    let end = End::new("10.9.0.1");
    let tun = end.net.wait_interface("tun0").expect("there");
    tun.set_txqueuelen(10_000).expect("set");
    let mut sends = stage.shimmed(end.net.path(), &program);
    let sends = Process::start(sends.args(["many", "10.9.0.2"])).ended(LIMIT);
    assert_eq!(sends.code(), Some(0), "{}", stage.said());
    let mut read = 0;
    while let Ok(packet) = end.system.read(end.tunnel, 65536) {
        read += usize::from(packet.ends_with(b"hello"));
    }
    // A handler over a call that holds the queue's lock would get nothing into the queue.
    assert_eq!((read, tun.info().tx.dropped), (4000, 0));
    end.remove();
}

#[test]
fn a_program_with_little_memory_and_few_descriptors_sends_and_hears() {
    let stage = Stage::new("limited");
    let program = stage.program("waits");
    let end = End::new("10.9.0.1");
    for limit in ["--as=41943040", "--nofile=6", "--nofile=5"] {
        let mut client = stage.shimmed(end.net.path(), "prlimit");
        let mut client = Process::start(client.arg(limit).arg(&program).args(["udp", "10.9.0.2"]));
        let begin = Instant::now();
        let code = loop {
            if let Ok(mut packet) = end.system.read(end.tunnel, 65536) {
                // What was sent comes back, from where it went.
                let (ips, ports) = (packet[12..20].to_vec(), packet[20..24].to_vec());
                packet[12..20].copy_from_slice(&[&ips[4..], &ips[..4]].concat());
                packet[20..24].copy_from_slice(&[&ports[2..], &ports[..2]].concat());
                end.system.write(end.tunnel, &packet).expect("written");
            }
            if let Some(status) = client.0.try_wait().expect("a look") {
                break status.code();
            }
            assert!(begin.elapsed() < LIMIT, "{limit}: it does not end");
            memtun_sys::nap(Duration::from_millis(1));
        };
        assert_eq!(code, Some(0), "{limit}: {}", stage.said());
    }
    end.remove();
}

#[test]
fn a_connection_whose_net_is_removed_is_reset() {
    let mut client = None;
    // The net is removed with the client still there.
    with_server_and("waits-removed", |_, _, held| client = Some(held()));
    let status = client.expect("a client").ended(LIMIT);
    assert_eq!(status.code(), Some(0), "no ECONNRESET");
}

#[test]
fn what_a_socket_has_sent_before_it_ended_is_received() {
    let stage = Stage::new("late");
    let program = stage.program("waits");
    let end = End::new("10.9.0.1");
    let mut waits = stage.shimmed(end.net.path(), &program);
    let waits = Process::start(waits.args(["late", "10.9.0.1"])).ended(LIMIT);
    assert_eq!(waits.code(), Some(0), "{}", stage.said());
    end.remove();
}

/// A segment from a host of 10.9.0.0/16 to the server, whose checksums are right.
fn segment(from: u16, sequence: u32, acknowledged: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let words = bytes.chunks(2).map(|two| match *two {
            [high, low] => u32::from(high) << 8 | u32::from(low),
            [high] => u32::from(high) << 8,
            _ => 0,
        });
        let sum: u32 = words.sum();
        !((sum & 0xffff) + (sum >> 16)) as u16
    };
    let [high, low] = from.to_be_bytes();
    let ends = [10, 9, high, low, 10, 9, 0, 1];
    let mut tcp = [4000_u16.to_be_bytes(), 9000_u16.to_be_bytes()].concat();
    tcp.extend([sequence.to_be_bytes(), acknowledged.to_be_bytes()].concat());
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(data);
    let length = tcp.len() as u16;
    let pseudo = [&ends, &[0, 6][..], &length.to_be_bytes(), &tcp].concat();
    tcp[16..18].copy_from_slice(&sum(&pseudo).to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
    ip[2..4].copy_from_slice(&(length + 20).to_be_bytes());
    ip.extend(ends);
    let header = sum(&ip).to_be_bytes();
    ip[10..12].copy_from_slice(&header);
    ip.extend(tcp);
    ip
}

/// The memory of a process, in KiB.
fn memory(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let words = line.expect("its memory").split_whitespace().nth(1);
    words.and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn a_flood_of_syns_takes_little_memory_and_each_may_answer() {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const FROM: u16 = 0x100;
    const COUNT: u16 = 20_000;
    let stage = Stage::new("flooded");
    let program = stage.program("waits");
    let end = End::new("10.9.0.1");
    let net = end.net.wait_interface("tun0").expect("there");
    let wide = Address::new(std::net::Ipv4Addr::new(10, 9, 0, 1), 16);
    net.add_address(&wide).expect("added");
    let server = ready(&mut stage.shimmed(end.net.path(), &program));
    let [host] = hosts(end.net.path())[..] else {
        panic!("one host process");
    };
    let before = memory(host);
    let mut numbers = std::collections::HashMap::new();
    let mut answer = |end: &End| {
        while let Ok(packet) = end.system.read(end.tunnel, 65536) {
            if packet[0] >> 4 == 4 && packet[9] == 6 {
                let number = u32::from_be_bytes(packet[24..28].try_into().expect("four"));
                let to = u16::from_be_bytes([packet[18], packet[19]]);
                let text = packet[20 + usize::from(packet[32] >> 4) * 4..].to_vec();
                if packet[33] & SYN != 0 {
                    numbers.entry(to).or_insert(number);
                } else if !text.is_empty() {
                    return (numbers.len(), Some((to, text)), None);
                }
            }
        }
        (numbers.len(), None, numbers.get(&FROM).copied())
    };
    for (at, from) in (FROM..FROM + COUNT).enumerate() {
        let packet = segment(from, 100, 0, SYN, b"");
        end.system.write(end.tunnel, &packet).expect("written");
        // A queue that is full loses some.
        if at % 100 == 99 {
            until("a SYN is answered", || answer(&end).0 > at);
        }
    }
    let more = memory(host) - before;
    assert!(more < 40_000, "{more} KiB");
    let (_, _, Some(first)) = answer(&end) else {
        panic!("the first was answered");
    };
    let packet = segment(FROM, 101, first.wrapping_add(1), ACK, b"hello");
    end.system.write(end.tunnel, &packet).expect("written");
    until("the first is connected", || {
        answer(&end).1 == Some((FROM, b"hello".to_vec()))
    });
    drop(server);
    end.remove();
}
