//! The host has an interface with the name of one in the net. The host is never asked about what
//! belongs to the net, and is never changed by it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use shim_tests::build;
use shim_tests::sides::TempDir;
use shim_tests::watchdog::{self, Finished};

/// Makes of a namespace a host that has tun0 and other0 with addresses, and runs the shim on it.
/// `$KEEP` is empty, or drops privileges.
const SCRIPT: &str = "
ip tuntap add mode tap dev tun0; ip link set tun0 mtu 1300; ip addr add 10.77.0.1/24 dev tun0; ip link set tun0 up
ip tuntap add mode tap dev other0; ip addr add 10.78.0.1/24 dev other0; ip link set other0 up
before=$(ip -o addr show; ip -o link show)
$AS env LD_PRELOAD=$LIBRARY MEMTUN_NET=$NET MEMTUN_LINK=down $PROGRAM
test \"$before\" = \"$(ip -o addr show; ip -o link show)\" || { echo the host was changed; ip addr show; exit 1; }
";

const DROP: &str = "setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all";

/// Runs the program as root of a namespace, or without privileges in it. It is `None` where there
/// are no namespaces.
fn run(privileged: bool) -> Option<Finished> {
    let dir = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let program = build::process_program("same_name", dir.path());
    let library = dir.path().join("libmemtun.so");
    fs::copy(&build::shim().library, &library).expect("a copy of the library");
    // The host process is started from the command beside the library.
    let command = build::shim().library.with_file_name("memtun");
    fs::copy(command, dir.path().join("memtun")).expect("a copy of the command");
    let mut command = Command::new("unshare");
    command
        .args(["-Urn", "sh", "-euc", SCRIPT])
        .env("AS", if privileged { "" } else { DROP })
        .env("LIBRARY", &library)
        .env("PROGRAM", &program)
        .env("NET", dir.path().join("net"))
        .env_remove("MEMTUN_LOG");
    let run = watchdog::run(&mut command, dir.path(), Duration::from_secs(20)).expect("unshare");
    if run.stderr.contains("unshare failed") {
        shim_tests::not_run::not_run("a host with the same name", &run.stderr);
        return None;
    }
    assert!(
        run.ended.success(),
        "{}\n{}\n{}",
        run.ended,
        run.stdout,
        run.stderr
    );
    Some(run)
}

const BEFORE: &str = "before
 if_nametoindex host's
 if_nametoindex tun0:1 host's
 mtu of tun0 1300
 mtu of tun0:1 1300
 address 10.77.0.1
 SIOCGIFNAME of the host's index a name
 if_indextoname of the host's index tun0
 if_nameindex 1
 getifaddrs 2
 SIOCGIFCONF 1
 the host's other interface 1 1 found
";

const ATTACHED: &str = "TUNSETIFF tun0
attached
 if_nametoindex net's
 if_nametoindex tun0:1 net's
 mtu of tun0 1500
 mtu of tun0:1 1500
 address EADDRNOTAVAIL
 SIOCGIFNAME of the host's index ENODEV
 if_indextoname of the host's index ENXIO
 if_nameindex 1
 getifaddrs 1
 SIOCGIFCONF 0
 the host's other interface 1 1 found
";

const FILTERS: &str = "TUNSETFILTEREBPF 0
TUNSETFILTEREBPF 0
";

const CHANGES: &str = " SIOCSIFADDR 0
 SIOCSIFMTU 0
 SIOCSIFFLAGS 0
 SO_BINDTODEVICE 0
 SIOCETHTOOL EFAULT
 unknown ENOTTY
";

const GONE: &str = "gone
 if_nametoindex ENODEV
 if_nametoindex tun0:1 ENODEV
 mtu of tun0 ENODEV
 mtu of tun0:1 ENODEV
 address ENODEV
 SIOCGIFNAME of the host's index ENODEV
 if_indextoname of the host's index ENXIO
 if_nameindex 0
 getifaddrs 0
 SIOCGIFCONF 0
 the host's other interface 1 1 found
";

const REFUSED: &str = " SIOCSIFADDR ENODEV
 SIOCSIFMTU ENODEV
 SIOCSIFFLAGS ENODEV
 SO_BINDTODEVICE ENODEV
 SIOCETHTOOL ENODEV
 unknown ENOTTY
";

fn check(privileged: bool) {
    let Some(run) = run(privileged) else { return };
    // getifaddrs has an entry for the link and one for the address; IPv6 may add another.
    let said = run.stdout.replace(" getifaddrs 3\n", " getifaddrs 2\n");
    let expected = [
        BEFORE, ATTACHED, FILTERS, CHANGES, CHANGES, GONE, REFUSED, REFUSED,
    ]
    .concat();
    assert_eq!(said, expected);
    // A request that the kernel does not have either is nothing to warn of.
    let warnings = run.stderr.lines().filter(|line| line.contains("WARN: "));
    assert_eq!(warnings.count(), 0, "{}", run.stderr);
}

#[test]
fn a_name_of_the_net_is_not_the_hosts() {
    check(false);
}

#[test]
fn root_changes_nothing_on_the_host() {
    check(true);
}
