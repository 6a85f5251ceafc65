//! Programs that only wait, in accept(2) and recvfrom(2), ask nobody: their host process is killed
//! and stopped, and whoever speaks to them over the tunnel is answered by the next one.

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
        let tunnel = system.open("/dev/net/tun", libc::O_RDWR | libc::O_NONBLOCK, 0);
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
    for end in ends {
        let path = end.net.path().to_owned();
        end.net.remove().expect("removed");
        until("nothing is left", || {
            hosts(&path).is_empty() && standbys(&path).is_empty() && !path.exists()
        });
    }
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
