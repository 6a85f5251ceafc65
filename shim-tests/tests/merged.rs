//! What programs see beside the machine's own interfaces, which is the default: on the kernel, and
//! under the shim. The machine is a namespace with an interface of its own, whose events and routes
//! are the kernel's on both sides.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shim_tests::build;
use shim_tests::not_run::not_run;
use shim_tests::real_programs::installed;
use shim_tests::sides::{kernel_missing, TempDir};
use shim_tests::watchdog;

/// Runs a script of `merged/` on one side, and returns what it printed.
fn run(side: &str, script: &str, with: &str) -> String {
    let dir = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("merged");
    let mut command = Command::new("unshare");
    // All processes of the namespace end with its first one.
    command.args(["-Urnmpf", "--kill-child", "--mount-proc", "bash"]);
    command.arg(scripts.join(format!("{script}.sh")));
    command.env_clear().env("SIDE", side).env("WITH", with);
    command.env("SCRIPTS", &scripts).env("PLACE", dir.path());
    command.env("NET", dir.path().join("net"));
    command.env("LIBRARY", &build::shim().library);
    command.env("PYTHON", installed::python("configured"));
    let out = TempDir::new(&std::env::temp_dir(), 0o755, None);
    let ran = watchdog::run(&mut command, out.path(), Duration::from_secs(60)).expect("unshare");
    let text = ran.stdout + &ran.stderr;
    assert!(
        ran.ended.success(),
        "{script} {side}: {}\n{text}",
        ran.ended
    );
    text.replace(&dir.path().display().to_string(), "PLACE")
}

fn same(script: &str, with: &str) {
    if let Some(why) = kernel_missing() {
        return not_run("what is seen beside the machine's interfaces", why);
    }
    let [kernel, shim] = ["kernel", "shim"].map(|side| run(side, script, with));
    assert!(kernel.contains("eth9"), "{kernel}");
    let differ = kernel
        .lines()
        .zip(shim.lines())
        .find(|(one, other)| one != other);
    assert!(
        kernel == shim,
        "{script} {with}: {differ:#?}\n--- kernel\n{kernel}--- shim\n{shim}"
    );
}

#[test]
fn the_nets_interface_stands_beside_the_machines() {
    same("view", "tunnel");
}

#[test]
fn listeners_hear_of_the_machine_and_of_the_first_tunnel() {
    same("listening", "tunnel");
}

#[test]
fn listeners_in_a_net_without_interfaces_hear_of_the_machine() {
    same("listening", "nothing");
}

#[test]
fn a_net_without_interfaces_changes_nothing() {
    same("nothing", "nothing");
}
