//! `memtun addr`, `route`, `neigh`, `ip`, and the same from Rust: what is given in one way is seen
//! in every other.

mod common;

use common::{library, memtun, Scratch};
use memtun::{ifreq, uapi, Address, ErrorKind, IoSystem, MemoryIoSystem};
use memtun::{Neighbour, Net, Route, TunnelClass};
use std::process::Output;

/// A net with an interface that this process holds.
struct Held {
    _dir: Scratch,
    net: Net,
    _system: MemoryIoSystem,
}

fn held(name: &str, flags: u32) -> Held {
    // The driver's side starts the host process from the build's own command.
    std::env::set_var("MEMTUN_COMMAND", env!("CARGO_BIN_EXE_memtun"));
    std::env::set_var("MEMTUN_LIBRARY", library());
    let dir = Scratch::new();
    let net = Net::create(dir.path("net")).expect("a net");
    let system = MemoryIoSystem::new(&net);
    system.register_special_device("/dev/net/tun", TunnelClass);
    let fd = system.open("/dev/net/tun", libc::O_RDWR, 0).expect("open");
    let request = ifreq(name, flags | uapi::IFF_NO_PI);
    system
        .ioctl(fd, uapi::TUNSETIFF, &request)
        .expect("TUNSETIFF");
    net.interface(name)
        .expect("a look")
        .expect("the interface")
        .set_up(true)
        .expect("up");
    Held {
        _dir: dir,
        net,
        _system: system,
    }
}

fn run(net: &Net, words: &[&str]) -> Output {
    let mut command = memtun();
    command.env("MEMTUN_NET", net.path()).args(words);
    command.output().expect("the command")
}

fn said(net: &Net, words: &[&str]) -> String {
    let out = run(net, words);
    let shown = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{words:?}: {shown}");
    String::from_utf8(out.stdout).expect("text")
}

fn refused(net: &Net, words: &[&str], status: i32, part: &str) {
    let out = run(net, words);
    let shown = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(status), "{words:?}: {shown}");
    assert!(
        shown.contains(part) && shown.trim_end().lines().count() == 1,
        "{words:?}: {shown}"
    );
}

#[test]
fn an_address_that_is_given_is_seen_everywhere() {
    let held = held("tun0", uapi::IFF_TUN);
    let net = &held.net;
    let tun = net.interface("tun0").unwrap().unwrap();
    assert_eq!(said(net, &["route"]), "", "nothing is there before");
    said(net, &["addr", "add", "10.0.0.1/24", "dev", "tun0"]);
    tun.add_address(&"fd00::1/64".parse().unwrap()).unwrap();
    let v4: Address = "10.0.0.1/24".parse().unwrap();
    assert_eq!(tun.addresses().unwrap()[0], v4);
    let shown = said(net, &["addr", "show", "dev", "tun0"]);
    assert!(
        shown.starts_with("10.0.0.1/24 dev tun0\n") && shown.contains("fd00::1/64 dev tun0\n"),
        "{shown}"
    );
    assert!(said(net, &["show", "tun0"]).contains("    inet 10.0.0.1/24\n"));
    assert!(said(net, &["ls", "--json"]).contains("\"text\": \"10.0.0.1/24\""));
    assert!(said(net, &["addr", "--json"]).contains("\"prefixlen\": 24"));
    said(net, &["route", "add", "10.20.0.0/16", "via", "10.0.0.2"]);
    let routes = said(net, &["route"]);
    assert!(
        routes.contains("10.0.0.0/24 dev tun0 src 10.0.0.1\n")
            && routes.contains("10.20.0.0/16 via 10.0.0.2 dev tun0\n"),
        "{routes}"
    );
    let wanted: Route = "10.20.0.0/16 via 10.0.0.2".parse().unwrap();
    net.remove_route(&wanted).unwrap();
    assert_eq!(
        net.remove_route(&wanted).unwrap_err().errno().0,
        libc::ESRCH
    );
    tun.set_addresses(&["10.0.0.7/24".parse().unwrap()])
        .unwrap();
    let left: Vec<String> = tun
        .addresses()
        .unwrap()
        .iter()
        .map(Address::to_string)
        .filter(|address| !address.starts_with("fe80"))
        .collect();
    assert_eq!(left, ["10.0.0.7/24"]);
    tun.set_up(false).unwrap();
    assert_eq!(said(net, &["route"]), "", "routes go with the link");
}

#[test]
fn the_machines_ip_shows_what_the_driver_gave() {
    let held = held("tap0", uapi::IFF_TAP);
    let net = &held.net;
    let tap = net.interface("tap0").unwrap().unwrap();
    tap.add_address(&"10.0.0.1/24".parse().unwrap()).unwrap();
    let neighbour = "10.0.0.2 lladdr 02:00:00:00:00:02 dev tap0";
    net.add_neighbour(&neighbour.parse().unwrap()).unwrap();
    let out = run(net, &["ip", "-br", "-4", "addr", "show", "dev", "tap0"]);
    if out.status.code() == Some(127) {
        common::not_run(
            "the_machines_ip_shows_what_the_driver_gave",
            "there is no ip(8)",
        );
        return;
    }
    let words: Vec<&str> = std::str::from_utf8(&out.stdout)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(words, ["tap0", "UNKNOWN", "10.0.0.1/24"], "{out:?}");
    let shown = said(net, &["ip", "neigh", "show", "dev", "tap0"]);
    assert_eq!(
        shown.trim_end(),
        "10.0.0.2 lladdr 02:00:00:00:00:02 PERMANENT"
    );
    said(net, &["ip", "route", "add", "10.9.0.0/16", "dev", "tap0"]);
    let routes = net.routes().unwrap();
    assert!(
        routes
            .iter()
            .any(|r| r.to_string() == "10.9.0.0/16 dev tap0"),
        "{routes:?}"
    );
    said(net, &["neigh", "del", "10.0.0.2", "dev", "tap0"]);
    assert!(net.neighbours().unwrap().is_empty());
}

#[test]
fn what_is_refused_names_the_thing_and_the_remedy() {
    let held = held("tun0", uapi::IFF_TUN);
    let net = &held.net;
    said(net, &["addr", "add", "10.0.0.1/24", "dev", "tun0"]);
    let again = ["addr", "add", "10.0.0.1/24", "dev", "tun0"];
    refused(net, &again, 2, "Address already assigned");
    let nowhere = ["addr", "add", "10.0.0.1/24", "dev", "tun9"];
    refused(net, &nowhere, 1, "tun9: no such interface");
    refused(net, &["addr", "add", "10.0.0.1/24"], 2, "\"dev\"");
    refused(
        net,
        &["addr", "add", "10.0.0.1/99", "dev", "tun0"],
        2,
        "0 to 32",
    );
    refused(net, &["addr", "mend"], 2, "show, add or del");
    refused(
        net,
        &["route", "add", "10.9.0.0/16", "over", "x"],
        2,
        "\"over\"",
    );
    let far = ["route", "add", "10.9.0.0/16", "via", "99.0.0.1"];
    refused(net, &far, 2, "Nexthop has invalid gateway");
    refused(
        net,
        &["neigh", "add", "10.0.0.2"],
        2,
        "dev and the interface",
    );
    // What programs may not do, a driver may.
    said(net, &["deny", "net_admin"]);
    said(net, &["addr", "add", "10.1.0.1/24", "dev", "tun0"]);
    let e = "10.0.0.1/24 peer fd00::1".parse::<Address>().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Invalid);
}

#[test]
fn what_is_shown_of_one_interface_is_its_own() {
    let held = held("tun0", uapi::IFF_TUN);
    let net = &held.net;
    said(net, &["address", "add", "10.0.0.1/24", "dev", "tun0"]);
    said(net, &["route", "add", "blackhole", "10.9.0.0/16"]);
    assert!(said(net, &["route"]).contains("blackhole 10.9.0.0/16\n"));
    for words in [
        ["route", "show", "dev", "tun0"].as_slice(),
        &["route", "show", "tun0"],
    ] {
        let shown = said(net, words);
        assert!(
            shown.contains("10.0.0.0/24 dev tun0") && !shown.contains("blackhole"),
            "{shown}"
        );
    }
    assert!(said(net, &["addr", "show", "tun0"]).starts_with("10.0.0.1/24 dev tun0\n"));
    assert_eq!(said(net, &["neighbour", "show", "dev", "tun0"]), "");
    refused(
        net,
        &["neigh", "show", "dev", "tun9"],
        1,
        "tun9: no such interface",
    );
    refused(net, &["route", "show", "dev"], 2, "name the interface");
    refused(
        net,
        &["route", "show", "table", "5"],
        2,
        "\"5\" is not known here",
    );
    refused(
        net,
        &["route", "add", "10.8.0.0/16"],
        1,
        "name the interface with dev",
    );
}

#[test]
fn routes_and_neighbours_become_what_they_are_set_to() {
    let held = held("tap0", uapi::IFF_TAP);
    let net = &held.net;
    let tap = net.interface("tap0").unwrap().unwrap();
    tap.add_address(&"10.0.0.1/24".parse().unwrap()).unwrap();
    let route = |text: &str| text.parse::<Route>().unwrap();
    net.add_route(&route("blackhole 10.9.0.0/16")).unwrap();
    let kept = [
        route("10.0.0.0/24 dev tap0"),
        route("10.20.0.0/16 via 10.0.0.2"),
    ];
    for _ in 0..2 {
        net.set_routes(&kept).unwrap();
        let left: Vec<String> = net.routes().unwrap().iter().map(Route::to_string).collect();
        let wanted = [
            "10.0.0.0/24 dev tap0 src 10.0.0.1",
            "10.20.0.0/16 via 10.0.0.2 dev tap0",
        ];
        assert_eq!(left, wanted);
    }
    let near = |last: u8| Neighbour::new([10, 0, 0, last], "tap0", [2, 0, 0, 0, 0, last]);
    net.add_neighbour(&near(2)).unwrap();
    net.set_neighbours(&[near(3)]).unwrap();
    assert_eq!(net.neighbours().unwrap(), [near(3)]);
}

#[test]
fn without_a_host_process_the_command_says_at_once_whose_word_that_is() {
    let held = held("tun0", uapi::IFF_TUN);
    let net = &held.net;
    for (setting, part) in [("off", "leave the variable out"), ("none", "say merged")] {
        for words in [
            ["addr", "add", "10.0.0.1/24", "dev", "tun0"].as_slice(),
            &["route", "add", "10.9.0.0/16", "dev", "tun0"],
            &["neigh", "add", "10.0.0.2", "dev", "tun0"],
        ] {
            let begin = std::time::Instant::now();
            let mut command = memtun();
            command
                .env("MEMTUN_NET", net.path())
                .env("MEMTUN_HOST", setting)
                .args(words);
            let out = command.output().expect("the command");
            let shown = String::from_utf8_lossy(&out.stderr).into_owned();
            assert!(!out.status.success(), "{words:?}");
            let named = format!("MEMTUN_HOST={setting}: ");
            assert!(shown.contains(&named) && shown.contains(part), "{shown}");
            assert!(
                begin.elapsed() < std::time::Duration::from_secs(4),
                "{words:?}"
            );
        }
    }
    assert!(
        !memtun_stack::state::is_there(net.dir()),
        "none was started"
    );
}

#[test]
fn what_is_written_is_what_is_read() {
    for text in [
        "10.0.0.1/24",
        "10.0.0.1 peer 10.0.0.2/32",
        "10.0.0.1/24 brd 10.0.0.255 label tun0:1",
        "fd00::1/64",
    ] {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
    for text in [
        "default via 10.0.0.2 dev tun0",
        "10.20.0.0/16 via 10.0.0.2 metric 5",
        "blackhole 10.9.0.0/16",
        "10.0.0.9 dev tun0 table 100",
        "fd00:20::/32 via fd00::2 dev tun0 src fd00::1",
    ] {
        assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
    }
}
