//! Runs Twisted's own tun and tap tests, from PyPI, without `CAP_NET_ADMIN`.
//!
//! When an ordinary user runs them on the kernel, they end with `PASSED (skips=16, successes=102)`:
//! every test of the real device is skipped. Under the shim those must run and pass as well. Four
//! of them send and receive datagrams over taps that somebody has given addresses before.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use shim_tests::real_programs::{installed::python, Link, Watchdog, World};

const MODULE: &str = "twisted.pair.test.test_tuntap";
const TESTS: usize = 118;
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
    // The library finds the command beside itself.
    world.copy(&shim_tests::build::shim().command);
    make_taps(&world);
    let mut trial = world.command("python3-venv", environment.join("bin/python"));
    trial.args(["-m", "twisted.trial", "--reporter=verbose", MODULE]);
    let output = trial.output().expect("setpriv or env runs");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let results = results(&report);
    assert_eq!(results.len(), TESTS, "{report}\n{stderr}");
    let wrong: Vec<_> = results
        .iter()
        .filter(|(_, result)| *result != "OK")
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{report}\n{stderr}");
}

/// Does what Twisted asks an administrator to do before its device tests.
fn make_taps(world: &World) {
    for (name, net, pi) in [
        ("tap-twtest", "172.16.0", ""),
        ("tap-twtest-pi", "172.16.1", "pi"),
    ] {
        let mut sh = world.command("bash", "/bin/sh");
        sh.arg("-ec").arg(format!(
            "ip tuntap add dev {name} mode tap {pi}; ip link set up dev {name}
             ip addr add {net}.1/24 dev {name}
             ip neigh add {net}.2 lladdr de:ad:be:ef:ca:fe dev {name}"
        ));
        run(sh);
    }
}
