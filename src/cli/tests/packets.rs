//! Packets in and out: `send-udp`, `recv-udp`, `inject`, `capture`, and what `ls` and `show` report
//! about them.

mod common;

use common::*;
use std::process::{Command, Stdio};

/// An IPv4 packet with a UDP datagram for the echo program, in hexadecimal.
const DATAGRAM: &str = "4500002100010000401164c70a0102030a000001 5361 0007 000d 0000 68656c6c6f";

#[test]
fn a_datagram_is_answered() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    assert_eq!(
        echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"])
            .ok()
            .out,
        "10.1.2.3:21345\n"
    );
    assert_eq!(
        echo.cli(&["recv-udp", "tun0", "10.1.2.3:21345"]).ok().out,
        "hello\n"
    );
    let from = echo
        .cli(&[
            "send-udp",
            "--from",
            "192.0.2.9:99",
            "tun0",
            "10.0.0.1:7",
            "again",
        ])
        .ok();
    assert_eq!(from.out, "192.0.2.9:99\n");
    assert_eq!(
        echo.cli(&["recv-udp", "--verbose", "tun0", "99"]).ok().out,
        "10.0.0.1:7 again\n"
    );
    // Datagrams to another host are not received, and the first one is skipped.
    echo.cli(&["recv-udp", "--timeout", "0", "tun0", "192.0.2.1:99"])
        .fails(
            1,
            &[
                "0 of 1",
                "192.0.2.1:99",
                "passed over: 1 datagram to port 21345, 1 to host 192.0.2.9",
                "--timeout",
            ],
        );
    echo.cli(&["recv-udp", "--timeout", "0", "--skip", "1", "tun0", "99"])
        .fails(1, &["1 of 2"]);
    assert_eq!(echo.end(), Some(143));
}

#[test]
fn several_datagrams_and_bytes_as_they_are() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tap0", &[]);
    for payload in ["a", "b\u{7f}", ""] {
        echo.cli(&["send-udp", "tap0", "10.0.0.1:7", payload]).ok();
    }
    let all = echo
        .cli(&["recv-udp", "--count", "3", "tap0", "21345"])
        .ok();
    assert_eq!(all.bytes, b"a\nb\x7f\n\n");
}

#[test]
fn the_payload_can_come_from_standard_input() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    let file = scratch.write("payload", [0u8, 255, 10]);
    let mut send = memtun();
    send.args(["send-udp", "tun0", "10.0.0.1:7"])
        .env("MEMTUN_NET", &echo.net);
    let child = send
        .stdin(std::fs::File::open(file).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(child.spawn().unwrap()).ok();
    assert_eq!(
        echo.cli(&["recv-udp", "tun0", "21345"]).ok().bytes,
        [0, 255, 10, b'\n']
    );
}

#[test]
fn a_fault_strikes_and_is_taken_back() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &["--fault", "write=EINTR@1"]);
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"]).ok();
    assert_eq!(echo.cli(&["recv-udp", "tun0", "21345"]).ok().out, "hello\n");
    echo.cli(&["fault", "read=EAGAIN@3-5", "open=ENOENT"]).ok();
    echo.cli(&["deny", "ioctl"]).ok();
    assert_eq!(
        echo.cli(&["fault"]).ok().out,
        "read=EAGAIN@3-5\nopen=ENOENT\nioctl denied\n"
    );
    echo.cli(&["fault", "--take-back", "open=ENOENT"]).ok();
    echo.cli(&["fault", "--take-back", "open=ENOENT"])
        .fails(1, &["no such fault"]);
    echo.cli(&["permit", "ioctl"]).ok();
    for spec in [
        "write=4000@7",
        "ioctl:0x400454ca=EBUSY@7",
        "ioctl:0x8916=41@7",
    ] {
        echo.cli(&["fault", spec]).ok();
        let listed = echo.cli(&["fault"]).ok().out;
        let listed = listed.lines().last().expect("the one that was set");
        echo.cli(&["fault", "--take-back", listed]).ok();
    }
    let json = echo.cli(&["fault", "--json"]).ok().out;
    assert!(
        json.contains("\"read=EAGAIN@3-5\"") && json.contains("\"denied\": []"),
        "{json}"
    );
    echo.cli(&["reset"]).ok();
    assert_eq!(echo.cli(&["fault"]).ok().out, "");
}

#[test]
fn an_interface_is_listed_shown_and_changed() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"]).ok();
    echo.cli(&["recv-udp", "tun0", "21345"]).ok();
    let list = echo.cli(&["ls"]).ok().out;
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[..10],
        ["tun0", "tun", "UP", "1500", "500", "0", "1", "1", "0", "1"],
        "{list}"
    );
    let json = echo.cli(&["ls", "--json"]).ok().out;
    assert!(
        json.starts_with('[')
            && json.contains("\"name\": \"tun0\"")
            && json.contains("\"bytes\": 33"),
        "{json}"
    );
    let show = echo.cli(&["show", "tun0"]).ok().out;
    assert!(
        show.contains("mtu 1500 state UNKNOWN qlen 500") && show.contains("tun type tun pi off"),
        "{show}"
    );
    echo.cli(&["set", "tun0", "down", "--mtu", "1400", "--txqueuelen", "7"])
        .ok();
    let show = echo.cli(&["show", "tun0"]).ok().out;
    assert!(show.contains("mtu 1400 state DOWN qlen 7"), "{show}");
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "x"])
        .fails(1, &["tun0", "link is down"]);
    echo.cli(&["set", "tun0", "up", "--name", "other"]).ok();
    echo.cli(&["show", "tun0"]).fails(1, &["no such interface"]);
    echo.cli(&["delete", "other"]).ok();
    assert_eq!(echo.cli(&["ls"]).ok().out.lines().count(), 1);
}

#[test]
fn hexadecimal_text_is_injected() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    let file = scratch.write("packets.hex", format!("# one\n{DATAGRAM}\n\n{DATAGRAM}\n"));
    let inject = echo.cli(&["inject", "tun0", file.to_str().unwrap()]).ok();
    assert_eq!(inject.out, "2 packets, 66 bytes into tun0\n");
    assert_eq!(
        echo.cli(&["recv-udp", "--count", "2", "tun0", "21345"])
            .ok()
            .out,
        "hello\nhello\n"
    );
}

/// The file holds two packets, as the tools write them.
#[test]
fn a_packet_that_was_broken_into_lines_is_told_of_once() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    // The lines have the lengths that xxd -p and od -An give them.
    for width in [60, 32] {
        let digits = DATAGRAM.replace([' ', '\n'], "");
        let lines: Vec<_> = digits.as_bytes().chunks(width).collect();
        let broken = [&lines[..], &lines[..]].concat().join(&b'\n');
        let file = scratch.write("broken.hex", broken);
        let inject = echo.cli(&["inject", "tun0", file.to_str().unwrap()]);
        assert_eq!(inject.err.lines().count(), 1, "{}", inject.err);
        let has = format!(
            "memtun: packet 1: has {} bytes, and says of itself that it has 33;",
            width / 2
        );
        assert!(inject.err.starts_with(&has), "{}", inject.err);
        assert_eq!(inject.status, Some(0));
    }
}

#[test]
fn dumps_with_offsets_are_injected() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    let digits: Vec<u8> = DATAGRAM.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let raw: Vec<u8> = digits.chunks(2).map(byte).collect();
    let raw = scratch.write("packet", raw);
    for tool in [
        "xxd",
        "xxd -g1 -c8",
        "xxd -d",
        "hexdump -C",
        "od -tx1",
        "od -Ax -tx1z",
        "od -Ad -tx1",
    ] {
        let mut words = tool.split(' ');
        let made = Command::new(words.next().unwrap())
            .args(words)
            .arg(&raw)
            .output();
        let Some(made) = made.ok().filter(|made| made.status.success()) else {
            not_run(&format!("a dump of {tool}"), "there is no such tool");
            continue;
        };
        let text = String::from_utf8(made.stdout).unwrap();
        let file = scratch.write("dump", format!("{text}{text}"));
        let inject = echo.cli(&["inject", "tun0", file.to_str().unwrap()]).ok();
        assert_eq!(
            inject.out, "2 packets, 66 bytes into tun0\n",
            "{tool}: {text}"
        );
        let received = echo.cli(&["recv-udp", "--count", "2", "tun0", "21345"]);
        assert_eq!(received.ok().out, "hello\nhello\n", "{tool}: {text}");
    }
}

#[test]
fn packets_are_injected_with_their_spacing() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    // The file is a big-endian pcap with nanoseconds and Ethernet; its packets are 300 ms apart.
    let mut pcap: Vec<u8> = [0xa1b2_3c4d_u32, 0x0002_0004, 0, 0, 65535, 1]
        .iter()
        .flat_map(|n| n.to_be_bytes())
        .collect();
    let digits: String = DATAGRAM.chars().filter(|c| !c.is_whitespace()).collect();
    let packet: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect();
    let frame = [&[0xff; 12][..], &[8, 0], &packet, &[0; 13]].concat();
    for time in [0, 300_000_000u32] {
        let length = frame.len() as u32;
        pcap.extend(
            [7, time, length, length]
                .iter()
                .flat_map(|n| n.to_be_bytes()),
        );
        pcap.extend(&frame);
    }
    let file = scratch.write("spaced.pcap", pcap);
    let began = std::time::Instant::now();
    echo.cli(&["inject", "--pace", "tun0", file.to_str().unwrap()])
        .ok();
    assert!(began.elapsed().as_millis() >= 300);
    assert_eq!(
        echo.cli(&["recv-udp", "--count", "2", "tun0", "21345"])
            .ok()
            .out,
        "hello\nhello\n"
    );
}

#[test]
fn a_capture_ends_in_order_and_is_read_again() {
    let scratch = Scratch::new();
    let file = scratch.path("out.pcapng");
    let echo = Running::echo(&scratch, "tun0", &[]);
    let mut capture = memtun();
    capture
        .arg("capture")
        .arg("-w")
        .arg(&file)
        .env("MEMTUN_NET", &echo.net);
    let capture = capture
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the capture has begun", || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    for payload in ["one", "two"] {
        echo.cli(&["send-udp", "tun0", "10.0.0.1:7", payload]).ok();
    }
    echo.cli(&["recv-udp", "--count", "2", "tun0", "21345"])
        .ok();
    // The capture is live: nobody has to end it for the packets to be in the file.
    let has = |word: &[u8]| {
        std::fs::read(&file)
            .unwrap_or_default()
            .windows(word.len())
            .any(|w| w == word)
    };
    until("the packets are in the file", || has(b"one") && has(b"two"));
    signal(capture.id(), libc::SIGINT);
    finish(capture).ok();
    check_with_tshark(&file, &["in", "out", "in", "out"]);
    // What the program had sent is not injected.
    let again = echo.cli(&["inject", "tun0", file.to_str().unwrap()]).ok();
    assert!(
        again.out.contains("left out that the program had sent"),
        "{}",
        again.out
    );
}

/// Checks that Wireshark reads the file without a warning, where it is installed.
fn check_with_tshark(file: &std::path::Path, directions: &[&str]) {
    let tshark = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-T", "fields", "-e", "frame.packet_flags_direction"])
        .output();
    let Ok(tshark) = tshark else {
        return not_run("reading the file with tshark", "there is no tshark");
    };
    let err = String::from_utf8_lossy(&tshark.stderr);
    assert!(
        err.lines().all(|l| l.starts_with("Running as user")),
        "{err}"
    );
    let out = String::from_utf8_lossy(&tshark.stdout);
    let found: Vec<&str> = out
        .lines()
        .map(
            |l| match l.trim_start_matches("0x").trim_start_matches('0') {
                "1" => "in",
                "2" => "out",
                _ => l,
            },
        )
        .collect();
    assert_eq!(found, directions);
}

#[test]
fn a_capture_can_go_through_a_pipe_and_wait_for_the_net() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    let capture = memtun()
        .args(["capture", "-w", "-", "-c", "1", "tun0"])
        .env("MEMTUN_NET", &net)
        .stdout(Stdio::piped())
        .spawn();
    let echo = Running::echo(&scratch, "tun0", &[]);
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"]).ok();
    let captured = finish(capture.unwrap());
    assert_eq!(captured.status, Some(0));
    assert!(
        captured.bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
            && captured.bytes.windows(5).any(|w| w == b"hello")
    );
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    let mut capture = memtun();
    capture
        .arg("capture")
        .env("MEMTUN_NET", &echo.net)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut capture = capture.spawn().unwrap();
    drop(capture.stdout.take());
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"]).ok();
    finish(capture).ok();
}

/// Returns the packets of a capture that memtun wrote, each with its direction and its comment.
fn packets(bytes: &[u8]) -> Vec<(&'static str, Option<String>)> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let half = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()) as usize;
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let end = at + word(at + 4) as usize;
        if word(at) == 6 {
            let mut option = at + 28 + (word(at + 20) as usize).div_ceil(4) * 4;
            let (mut direction, mut comment) = ("none", None);
            while half(option) != 0 {
                let value = &bytes[option + 4..option + 4 + half(option + 2)];
                match half(option) {
                    1 => comment = Some(String::from_utf8_lossy(value).into_owned()),
                    2 => direction = ["none", "in", "out"][value[0] as usize],
                    _ => {}
                }
                option += 4 + half(option + 2).div_ceil(4) * 4;
            }
            found.push((direction, comment));
        }
        at = end;
    }
    found
}

#[test]
fn a_program_that_ends_with_its_packet_is_captured() {
    let scratch = Scratch::new();
    let (file, hex) = (
        scratch.path("run.pcapng"),
        scratch.write("packets.hex", DATAGRAM),
    );
    for _ in 0..20 {
        let mut run = memtun();
        run.args(["run", "--inject"]).arg(&hex);
        run.arg("--capture").arg(&file).arg("--");
        done(run.arg(udp_echo()).args(["tun0", "1"])).ok();
        let found = packets(&std::fs::read(&file).unwrap());
        assert_eq!(found, [("in", None), ("out", None)]);
    }
}

#[test]
fn refused_packets_are_captured_with_the_reason() {
    let scratch = Scratch::new();
    let file = scratch.path("out.pcapng");
    let options = [
        "--capture",
        file.to_str().unwrap(),
        "--fault",
        "write=EINTR@1",
    ];
    let echo = Running::echo(&scratch, "tun0", &options);
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"]).ok();
    echo.cli(&["recv-udp", "tun0", "21345"]).ok();
    echo.cli(&["set", "tun0", "down"]).ok();
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"])
        .fails(1, &["link is down"]);
    assert_eq!(echo.end(), Some(143));
    let found = packets(&std::fs::read(&file).unwrap());
    let refused = |reason: &str| Some(format!("refused: {reason}"));
    assert_eq!(
        found,
        [
            ("in", None),
            ("out", refused("EINTR")),
            ("out", None),
            ("in", refused("ENETDOWN"))
        ]
    );
    check_with_tshark(&file, &["in", "out", "out", "in"]);
}

#[test]
fn a_net_has_one_capture_at_a_time() {
    let scratch = Scratch::new();
    let (file, second) = (scratch.path("one.pcapng"), scratch.path("two.pcapng"));
    let echo = Running::echo(&scratch, "tun0", &["--capture", file.to_str().unwrap()]);
    echo.cli(&["send-udp", "tun0", "10.0.0.1:7", "hello"]).ok();
    echo.cli(&["recv-udp", "tun0", "21345"]).ok();
    echo.cli(&["capture", "-w", second.to_str().unwrap()])
        .fails(1, &["captures it already", "end that capture first"]);
    assert!(!second.exists());
    assert_eq!(echo.end(), Some(143));
    assert_eq!(packets(&std::fs::read(&file).unwrap()).len(), 2);
}

#[test]
fn run_captures_and_injects() {
    let scratch = Scratch::new();
    let (file, packets) = (
        scratch.path("run.pcapng"),
        scratch.write("packets.hex", DATAGRAM),
    );
    let run = done(
        memtun()
            .arg("run")
            .arg("--inject")
            .arg(packets)
            .arg("--capture")
            .arg(&file)
            .arg("--")
            .arg(udp_echo())
            .args(["tun0", "1"]),
    );
    run.ok();
    check_with_tshark(&file, &["in", "out"]);
}
