//! Runs real programs with one tun interface, which translate or answer the packets that this
//! driver sends.
//!
//! `MEMTUN_ON=kernel unshare -Urn` runs the same on the kernel's own driver.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use shim_tests::real_programs::{installed, wire, End, Link, Watchdog, World, SOON};

const LIMIT: Duration = Duration::from_secs(100);
const BURST: usize = 100;

fn real_programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("real-programs")
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn next(end: &dyn End, what: &str) -> Vec<u8> {
    end.take(SOON)
        .unwrap_or_else(|| panic!("no packet: {what}"))
}

/// Sends a UDP datagram, and expects one with these addresses and this payload.
fn udp_in_udp_out(end: &dyn End, put: (&str, &str), take: (&str, &str), payloads: (&[u8], &[u8])) {
    end.put(&wire::udp(at(put.0), at(put.1), payloads.0));
    let what = format!("{} to {}, {} bytes", take.0, take.1, payloads.1.len());
    let datagram = wire::read_udp(&next(end, &what));
    assert_eq!(
        datagram,
        Some((at(take.0), at(take.1), payloads.1.to_vec()))
    );
}

/// Sends an echo request, and expects the reply (or the translated request).
fn ping(end: &dyn End, put: (&str, &str), take: (&str, &str, u8), payload: &[u8]) {
    end.put(&wire::ping(ip(put.0), ip(put.1), 7, payload));
    let echo = wire::read_echo(&next(end, "an echo packet"));
    assert_eq!(
        echo,
        Some((ip(take.0), ip(take.1), take.2, 7, payload.to_vec()))
    );
}

const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

shim_tests::on_both_links! {
    tayga_translates_between_ipv6_and_ipv4
    smoltcp_answers_pings_and_echoes_udp
    asyncio_answers_udp
    tokio_answers_udp
}

fn tayga_translates_between_ipv6_and_ipv4(link: Link) {
    let _watchdog = Watchdog::new("tayga", LIMIT);
    let world = World::new("tayga", link);
    let conf = real_programs().join("tayga.conf");
    let mut tayga = world.command("tayga", "tayga");
    tayga.arg("-d").arg("-c").arg(world.copy(&conf));
    let _tayga = world.start(tayga);
    let end = world.end("nat64");
    let end = end.as_ref();

    // 2001:db8:64::/96 stands for all of IPv4: 192.0.2.7 is ::c000:207. 2001:db8:1::10 is
    // 192.168.255.10.
    let (host6, peer6) = ("[2001:db8:1::10]:4000", "[2001:db8:64::c000:207]:53");
    let (host4, peer4) = ("192.168.255.10:4000", "192.0.2.7:53");
    udp_in_udp_out(end, (host6, peer6), (host4, peer4), (b"query", b"query"));
    udp_in_udp_out(end, (peer4, host4), (peer6, host6), (b"answer", b"answer"));
    for i in 0..BURST {
        let payload = wire::payload(i, i * 12);
        udp_in_udp_out(end, (host6, peer6), (host4, peer4), (&payload, &payload));
        udp_in_udp_out(end, (peer4, host4), (peer6, host6), (&payload, &payload));
    }

    let to_v4 = ("192.168.255.10", "192.0.2.7", ECHO_V4.0);
    ping(
        end,
        ("2001:db8:1::10", "2001:db8:64::c000:207"),
        to_v4,
        b"an echo request",
    );
    // tayga itself answers, on both of its addresses.
    let itself = ("192.168.255.1", "192.0.2.7", ECHO_V4.1);
    ping(
        end,
        ("192.0.2.7", "192.168.255.1"),
        itself,
        b"are you there?",
    );

    let payloads: Vec<_> = (0..BURST).map(|i| wire::payload(i, i * 12)).collect();
    for payload in &payloads {
        end.put(&wire::udp(at(host6), at(peer6), payload));
    }
    for (i, payload) in payloads.iter().enumerate() {
        let datagram = wire::read_udp(&next(end, "the burst's next"));
        let (_, _, seen) = datagram.unwrap_or_else(|| panic!("packet {i} is no UDP"));
        assert!(
            seen == *payload,
            "packet {i} of the burst, whole and in order"
        );
    }
}

fn smoltcp_answers_pings_and_echoes_udp(link: Link) {
    let _watchdog = Watchdog::new("smoltcp", Duration::from_secs(600));
    let world = World::new("smoltcp", link);
    if link == Link::DownAtFirst {
        // The program panics when it writes to an interface that is down.
        return;
    }
    if world.is_kernel() {
        // The administrator sets the interface up first.
        let mut ip = Command::new("sh");
        ip.args(["-c", "ip tuntap add smol0 mode tun && ip link set smol0 up"]);
        assert!(ip.status().is_ok_and(|status| status.success()));
    }
    let mut smoltcp = world.command(
        "smoltcp-echo",
        world.copy(&installed::built("smoltcp-echo")),
    );
    smoltcp.args(["smol0", "10.9.0.1/24", "fd00:9::1/64"]);
    let _smoltcp = world.start(smoltcp);
    let end = world.end("smol0");
    let end = end.as_ref();

    let reply = ("10.9.0.1", "10.9.0.2", ECHO_V4.1);
    ping(end, ("10.9.0.2", "10.9.0.1"), reply, b"over IPv4");
    let reply = ("fd00:9::1", "fd00:9::2", ECHO_V6.1);
    ping(end, ("fd00:9::2", "fd00:9::1"), reply, b"over IPv6");
    for (here, there) in [
        ("10.9.0.2:5000", "10.9.0.1:7"),
        ("[fd00:9::2]:5000", "[fd00:9::1]:7"),
    ] {
        for i in 0..BURST {
            let payload = wire::payload(i, i * 14);
            udp_in_udp_out(end, (here, there), (there, here), (&payload, &payload));
        }
    }
}

fn asyncio_answers_udp(link: Link) {
    let _watchdog = Watchdog::new("asyncio", LIMIT);
    let world = World::new("asyncio", link);
    let script = world.copy(&real_programs().join("asyncio_udp.py"));
    let mut python = world.command("python3", "/usr/bin/python3");
    python.arg(script).arg("tun7");
    let mut python = world.start(python);
    let end = world.end("tun7");
    let end = end.as_ref();
    python.wait_output("serving on tun7", SOON);

    for (here, there) in [
        ("10.9.0.2:5000", "10.9.0.1:7"),
        ("[fd00:9::2]:5000", "[fd00:9::1]:7"),
    ] {
        for i in 0..BURST {
            let payload = wire::payload(i, i * 14);
            let answer = [b"you said: ", payload.as_slice()].concat();
            udp_in_udp_out(end, (here, there), (there, here), (&payload, &answer));
        }
    }
    python.must_run();
}

fn tokio_answers_udp(link: Link) {
    let _watchdog = Watchdog::new("tokio", Duration::from_secs(600));
    let world = World::new("tokio", link);
    let mut tokio = world.command("tokio-echo", world.copy(&installed::built("tokio-echo")));
    tokio.arg("tok0");
    let _tokio = world.start(tokio);
    let end = world.end("tok0");
    let end = end.as_ref();
    for (here, there) in [
        ("10.9.0.2:5000", "10.9.0.1:7"),
        ("[fd00:9::2]:5000", "[fd00:9::1]:7"),
    ] {
        for i in 0..BURST {
            let payload = wire::payload(i, i * 14);
            udp_in_udp_out(end, (here, there), (there, here), (&payload, &payload));
        }
    }
}
