//! Runs Twisted's own tun and tap tests, from PyPI, without `CAP_NET_ADMIN`.
//!
//! When an ordinary user runs them on the kernel, they end with `PASSED (skips=16, successes=102)`:
//! every test of the real device is skipped. Under the shim those must run and pass, except four
//! that send and receive through the kernel's own sockets over the tunnel.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use shim_tests::real_programs::{installed::python, Link, Watchdog, World};

const MODULE: &str = "twisted.pair.test.test_tuntap";
const ORDINARY: usize = 102;
const DEVICE_CLASSES: [&str; 2] = [
    "RealDeviceWithProtocolInformationTests",
    "RealDeviceWithoutProtocolInformationTests",
];
const DEVICE_TESTS: [&str; 8] = [
    "test_closeEBADF",
    "test_interface",
    "test_ioctlEBADF",
    "test_ioctlEINVAL",
    "test_readEBADF",
    "test_receive",
    "test_send",
    "test_writeEBADF",
];
/// Tests that bind a socket to the kernel's address of the interface (172.16.0.1, 172.16.1.1).
const NEED_SOCKETS: [&str; 2] = ["test_receive", "test_send"];

fn run(mut command: Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Maps "Class.test" to its result, from trial's verbose report.
fn results(report: &str) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    let mut class = "";
    for line in report.lines() {
        if let Some((test, result)) = line.split_once(" ... ") {
            let result = result.trim().trim_matches(['[', ']']);
            results.insert(format!("{class}.{}", test.trim()), result.to_owned());
        } else if line.starts_with("  ") && line.trim().ends_with("Tests") {
            class = line.trim();
        } else if line.starts_with("====") {
            break;
        }
    }
    results
}

#[test]
fn device_tests_of_twisted_pass_without_privileges() {
    let _watchdog = Watchdog::new("twisted", Duration::from_secs(300));
    let world = World::new("twisted", Link::Up);
    let environment = world.reachable(&python("twisted"));
    if world.is_kernel() {
        make_taps();
    }
    let mut trial = world.command("python3-venv", environment.join("bin/python"));
    trial.args(["-m", "twisted.trial", "--reporter=verbose", MODULE]);
    let output = trial.output().expect("setpriv or env runs");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let results = results(&report);
    assert_eq!(results.len(), ORDINARY + 16, "{report}\n{stderr}");

    let mut wrong = Vec::new();
    for (test, result) in &results {
        let (class, name) = test.split_once('.').expect("Class.test");
        let of_device = DEVICE_CLASSES.contains(&class) && DEVICE_TESTS.contains(&name);
        let may_fail = of_device && NEED_SOCKETS.contains(&name) && !world.is_kernel();
        if result != "OK" && !may_fail {
            wrong.push(format!("{test}: {result}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{report}\n{stderr}");
    let passed = results.values().filter(|result| *result == "OK").count();
    println!("{passed} of {} tests of {MODULE} pass", results.len());
}

/// Does what Twisted asks an administrator to do before its device tests.
fn make_taps() {
    for (name, net, pi) in [
        ("tap-twtest", "172.16.0", ""),
        ("tap-twtest-pi", "172.16.1", "pi"),
    ] {
        let mut sh = Command::new("sh");
        sh.arg("-ec").arg(format!(
            "ip tuntap add dev {name} mode tap {pi}; ip link set up dev {name}
             ip addr add {net}.1/24 dev {name}
             ip neigh add {net}.2 lladdr de:ad:be:ef:ca:fe dev {name}"
        ));
        run(sh);
    }
}
