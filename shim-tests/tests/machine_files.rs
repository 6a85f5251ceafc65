//! The files of /sys and /proc in which links stand: those of the machine's links, which are shown
//! as the net has them and never written, and those of the net's, by every way that leads to them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shim_tests::build;
use shim_tests::not_run::not_run;
use shim_tests::sides::TempDir;
use shim_tests::watchdog;

/// Runs a script as root of a namespace of its own. It is `None` where there are no namespaces.
fn in_namespace(script: &str, more: &[(&str, &str)]) -> Option<String> {
    let dir = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let mut command = Command::new("unshare");
    command
        .args(["-Urnm", "bash", "-c", script])
        .env("LC_ALL", "C")
        .env("LIBRARY", &build::shim().library)
        .env("NET", dir.path().join("net"))
        .env("MEMTUN_LINK", "down")
        .env("MEMTUN_LOG", "off")
        .envs(more.iter().copied());
    let run = watchdog::run(&mut command, dir.path(), Duration::from_secs(60)).expect("unshare");
    if run.stderr.contains("unshare failed") {
        not_run("files of the machine's links", &run.stderr);
        return None;
    }
    assert!(
        run.ended.success() && run.stderr.is_empty(),
        "{}\n{}\n{}",
        run.ended,
        run.stdout,
        run.stderr
    );
    Some(run.stdout)
}

#[test]
fn what_is_written_stays_in_the_net() {
    let Some(printed) = in_namespace(include_str!("../files/machine.sh"), &[]) else {
        return;
    };
    assert_eq!(printed, include_str!("../files/machine.txt"));
}

/// The files of an interface, and a few hundred writes, on the kernel and under the shim. On each
/// side the namespace is the machine. `MEMTUN_FILES_SEED` chooses other writes.
#[test]
fn every_file_is_as_on_the_kernel() {
    let seed = std::env::var("MEMTUN_FILES_SEED").unwrap_or_else(|_| "1".to_owned());
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("files/differences.py");
    let program = program.to_str().expect("a path");
    let on = |under: &str| {
        let script = format!(
            "mount -t sysfs sysfs /sys; {under} ip tuntap add dif0 mode tap && \
             {under} python3 -B \"$PROGRAM\" $SEED; {under} ip link del dif0"
        );
        in_namespace(&script, &[("PROGRAM", program), ("SEED", &seed)])
    };
    let (Some(kernel), Some(shim)) = (on(""), on("env MEMTUN_NET=$NET LD_PRELOAD=$LIBRARY")) else {
        return;
    };
    assert!(kernel.ends_with("True\n"), "{kernel}");
    let mut place = "";
    let mut different = Vec::new();
    for (kernel, shim) in kernel.lines().zip(shim.lines()) {
        if kernel.starts_with('/') {
            place = kernel;
        }
        if kernel != shim {
            different.push(format!("{place}\n  kernel {kernel}\n  memtun {shim}"));
        }
    }
    assert!(
        different.is_empty() && kernel.lines().count() == shim.lines().count(),
        "seed {seed}:\n{}",
        different.join("\n")
    );
}
