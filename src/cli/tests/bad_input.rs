//! Bad input ends in one line that names the thing and the remedy, and in status 2; nothing panics.

mod common;

use common::*;

#[test]
fn wrong_command_lines() {
    let cases: &[(&[&str], &[&str])] = &[
        (&[], &["memtun --help"]),
        (&["fly"], &["'fly'", "memtun --help"]),
        (&["run"], &["COMMAND", "memtun run --help"]),
        (
            &["run", "--fault", "write=NONSENSE", "--", "true"],
            &["NONSENSE", "write=EINTR@1"],
        ),
        (
            &["run", "--fault", "jump=EIO", "--", "true"],
            &["\"jump\" is no operation"],
        ),
        (
            &["run", "--deny", "read", "--", "true"],
            &["\"read\" is no permission", "open, ioctl or net_admin"],
        ),
        (
            &["run", "--device", "relative", "--", "true"],
            &["absolute path"],
        ),
        (&["run", "--link", "sideways", "--", "true"], &["sideways"]),
        (
            &["run", "--rename", "much-too-long-a-suffix", "--", "true"],
            &["at most 12 bytes"],
        ),
        (
            &[
                "run",
                "--name-suffix",
                "much-too-long-a-suffix",
                "--",
                "true",
            ],
            &["at most 12 bytes"],
        ),
        (&["run", "--send-buffer-size", "0", "--", "true"], &["0"]),
        (
            &["run", "--send-buffer-size", "99999999999", "--", "true"],
            &["99999999999"],
        ),
        (&["run", "--tun", "a/b", "--", "true"], &["a/b"]),
        (
            &["run", "--tun", "t=10.0.0.1/99", "--", "true"],
            &["10.0.0.1/24"],
        ),
        (
            &["run", "--inject", "/no/such/file", "--", "true"],
            &["/no/such/file"],
        ),
        (&["run", "--inject", "-", "--", "true"], &["standard input"]),
        (
            &["run", "--capture", "/no/such/directory/file", "--", "true"],
            &["/no/such/directory/file"],
        ),
        (
            &["run", "--net", "/no/such/parent/net", "--", "true"],
            &["/no/such/parent/net", "parent"],
        ),
        (
            &["run", "--net", "/etc/passwd", "--", "true"],
            &["/etc/passwd", "directory"],
        ),
        (&["ls"], &["--net", "MEMTUN_NET"]),
        (
            &["ls", "--net", "/no/such/net"],
            &["/no/such/net", "there is no net"],
        ),
        (&["ls", "--net", ""], &["--net"]),
        (
            &["run", "--net", "/proc/sys", "true"],
            &[
                "net /proc/sys: this is no net",
                "holds other files",
                "empty",
            ],
        ),
        (
            &["run", "--net", "/proc/self", "true"],
            &["net /proc/self: it is a symbolic link"],
        ),
        (
            &["ls", "--net", "/no/such/net", "--owner", "no such user"],
            &["no such user", "name or number"],
        ),
        (
            &["ls", "--net", "/no/such/net", "--owner", "4294967295"],
            &["4294967295", "name or number"],
        ),
        (&["ls", "--owner", "root"], &["--net", "MEMTUN_NET"]),
        (
            &["run", "--owner", "root", "--", "true"],
            &["--net DIR", "MEMTUN_NET_OWNER"],
        ),
        (&["show", "--net", "/no/such/net", "a/b"], &["a/b"]),
        (
            &["show", "--net", "/no/such/net", "tab\tname"],
            &["cannot be an interface name", "\\t"],
        ),
        (
            &["send-udp", "tun0", "localhost:7", "x"],
            &["localhost:7", "10.0.0.1:7"],
        ),
        (
            &["send-udp", "tun0", "10.0.0.1:70000", "x"],
            &["10.0.0.1:70000"],
        ),
        (
            &[
                "send-udp",
                "--net",
                "/no/such/net",
                "--from",
                "fd00::1",
                "tun0",
                "10.0.0.1:7",
                "x",
            ],
            &["fd00::1"],
        ),
        (&["recv-udp", "tun0", "0"], &["'0'"]),
        (&["recv-udp", "tun0", "7", "--count", "0"], &["0"]),
        (&["recv-udp", "tun0", "7", "--count", "-1"], &["-1"]),
        (
            &[
                "recv-udp",
                "tun0",
                "7",
                "--count",
                "99999999999999999999999",
            ],
            &["99999999999999999999999"],
        ),
        (
            &["recv-udp", "tun0", "7", "--timeout", "soon"],
            &["soon", "forever"],
        ),
        (&["recv-udp", "tun0", "7", "--timeout", "1e400"], &["1e400"]),
        (
            &["recv-udp", "tun0", "7", "--timeout", "-1"],
            &["-1", "forever"],
        ),
        (&["inject", "tun0", "/no/such/file"], &["/no/such/file"]),
        (&["inject", "tun0", "/proc"], &["/proc"]),
        (&["capture", "--net", "/no/such/net", "-c", "0"], &["0"]),
        (&["fault", "--net", "/no/such/net", "open"], &["no '='"]),
        (&["deny", "--net", "/no/such/net"], &["OPERATION"]),
        (
            &["set", "--net", "/no/such/net", "tun0"],
            &["nothing to set"],
        ),
        (&["completions", "tcsh"], &["tcsh"]),
    ];
    for (arguments, words) in cases {
        let mut words = words.to_vec();
        words.dedup();
        cli(*arguments).fails(2, &words);
    }
}

/// As for the library. A script hands on what it has not set.
#[test]
fn an_empty_variable_is_as_none() {
    let with_empty = |arguments: &[&str]| {
        let mut command = memtun();
        command.env("MEMTUN_NET", "").env("MEMTUN_NET_OWNER", "");
        done(command.args(arguments))
    };
    let out = with_empty(&["run", "--", "true"]);
    assert_eq!(out.status, Some(0), "{}", out.err);
    let out = with_empty(&["ls"]);
    assert_eq!(out.status, Some(2), "{}", out.err);
    assert!(out.err.contains("no net: give --net DIR"), "{}", out.err);
}

#[test]
fn time_that_is_over_is_status_1() {
    cli([
        "recv-udp",
        "--net",
        "/no/such/net",
        "--timeout",
        "0.05",
        "tun0",
        "7",
    ])
    .fails(1, &["/no/such/net", "in time"]);
    let scratch = Scratch::new();
    let net = scratch.path("net");
    done(memtun().args(["deny", "open", "--net"]).arg(&net)).ok();
    done(
        memtun()
            .args([
                "send-udp",
                "--timeout",
                "0.05",
                "tun0",
                "10.0.0.1:7",
                "x",
                "--net",
            ])
            .arg(&net),
    )
    .fails(1, &["tun0", "in time"]);
}

#[test]
fn a_net_full_of_rubbish() {
    let scratch = Scratch::new();
    let net = scratch.path("net");
    std::fs::create_dir(&net).unwrap();
    std::fs::create_dir(net.join("tun1")).unwrap();
    for name in [
        ".memtun-tunnel-7",
        ".memtun-bell-7",
        ".memtun-new-1",
        "tun0",
        "a:b",
        "..",
    ] {
        let _ = std::fs::write(net.join(name), b"rubbish");
    }
    let net_verb = |arguments: &[&str]| done(memtun().args(arguments).env("MEMTUN_NET", &net));
    net_verb(&["fault", "open=EIO"]).ok();
    assert_eq!(net_verb(&["ls"]).ok().out.lines().count(), 1);
    net_verb(&["show", "\x1b[31mred"]).fails(1, &["no such interface", "\\x1b[31m"]);
    net_verb(&["show", "tun0"]).fails(2, &["tun0 is not an interface"]);
    std::fs::write(net.join(".memtun-net-state"), b"rubbish").unwrap();
    net_verb(&["ls"]).fails(2, &["not a file of memtun's", "remove the directory"]);
    net_verb(&["run", "--", "true"]).fails(2, &["not a file of memtun's"]);
}

#[test]
fn malformed_files() {
    let scratch = Scratch::new();
    let echo = Running::echo(&scratch, "tun0", &[]);
    let pcapng = [
        &[
            0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,
        ][..],
        &[0xff; 8],
        &[28, 0, 0, 0],
    ]
    .concat();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("hex", b"hello world".to_vec(), "not hexadecimal"),
        ("binary", vec![0xee; 5000], "begins with 0xeeeeeeee"),
        ("gz", vec![0x1f, 0x8b, 8, 0], "gzip -dc"),
        (
            "short-pcap",
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0],
            "ends in the middle",
        ),
        ("short-pcapng", pcapng[..20].to_vec(), "ends in the middle"),
        (
            "block",
            [&pcapng[..], &[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat(),
            "damaged",
        ),
        (
            "packet",
            [
                &pcapng[..],
                &[6, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0],
            ]
            .concat(),
            "damaged",
        ),
        (
            "section",
            pcapng
                .iter()
                .map(|b| if *b == 0x4d { 0 } else { *b })
                .collect(),
            "byte order",
        ),
    ];
    for (name, bytes, words) in cases {
        let file = scratch.write(name, bytes);
        echo.cli(&["inject", "tun0", file.to_str().unwrap()])
            .fails(2, &[name, words]);
    }
}

#[test]
fn the_helps_and_the_pages_are_there() {
    for verb in [
        "run", "ls", "show", "set", "delete", "send-udp", "recv-udp", "inject", "capture", "fault",
        "deny", "permit", "reset", "doctor", "addr", "route", "neigh", "ip", "host",
    ] {
        assert!(cli([verb, "--help"]).ok().out.contains("Usage: memtun"));
    }
    let scratch = Scratch::new();
    done(memtun().arg("man").arg(scratch.path("man"))).ok();
    let page = std::fs::read_to_string(scratch.path("man/memtun-recv-udp.1")).unwrap();
    assert!(
        page.contains(".TH memtun-recv-udp 1") && page.contains("SEE ALSO"),
        "{page}"
    );
    assert!(
        !page.contains("version\\fR"),
        "a verb has no such option: {page}"
    );
    assert!(cli(["completions", "bash"]).ok().out.contains("recv-udp"));
    assert!(cli(["--version"]).ok().out.starts_with("memtun "));
}
