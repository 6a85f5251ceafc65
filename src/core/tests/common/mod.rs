//! What the tests of this crate share.
#![allow(dead_code)]

pub mod process;
#[cfg(target_arch = "x86_64")]
pub mod steps;

#[path = "../../../../shim-tests/src/not_run.rs"]
mod not_run;
pub use not_run::not_run;

use std::process::Command;
use std::time::Duration;

/// Limit of a wait: long enough for a busy machine, and never reached when things work.
pub const WAIT: Duration = Duration::from_secs(20);

/// A packet that a TUN without packet information accepts.
pub const FRAME: &[u8] = &[0x45; 60];

/// Runs a test of this program in a network namespace of its own, where the real /dev/net/tun
/// works: the program is started again there for this one test.
pub fn in_namespace(test: &str, run: impl FnOnce()) {
    const INSIDE: &str = "MEMTUN_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return run();
    }
    let me = std::env::current_exe().expect("this program");
    let inside = Command::new("unshare")
        .args(["-Urn", "--"])
        .arg(me)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    let inside = inside.expect("the command unshare, of Debian's util-linux");
    let text = String::from_utf8_lossy(&inside.stdout).into_owned()
        + &String::from_utf8_lossy(&inside.stderr);
    if text.contains("unshare failed") || text.contains("write failed /proc/self/") {
        return not_run("the comparison with the kernel's driver", &text);
    }
    assert!(inside.status.success(), "in a namespace:\n{text}");
    assert!(
        text.contains("1 passed"),
        "the test did not run in the namespace:\n{text}"
    );
}
