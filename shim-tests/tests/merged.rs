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

/// Has a program of a net that is the machine's root try to change the machine's interface, and
/// looks that nothing has changed, and that what was `refused` is named in the log.
fn changes_nothing(with: &str, refused: &[&str]) {
    if let Some(why) = kernel_missing() {
        return not_run("changes of the machine's interface", why);
    }
    let text = run("shim", "changing", with);
    let is_same = text.lines().any(|line| line == "nothing has changed");
    assert!(is_same, "{text}");
    assert!(!text.contains("has told of a change"), "{text}");
    for refused in refused {
        let is_it = |line: &str| line.contains(refused) && line.contains("refused, because");
        assert!(text.lines().any(is_it), "{refused} without a word\n{text}");
    }
}

#[test]
fn no_call_of_a_program_of_a_net_changes_the_machines_interface() {
    let refused = [
        "SIOCETHTOOL of eth9",
        "SIOCBRADDBR",
        "about eth9",
        "option 200",
    ];
    changes_nothing("calls", &refused);
}

#[test]
fn no_tool_in_a_net_changes_the_machines_interface() {
    changes_nothing("tools", &["SIOCBRADDBR", "about eth9"]);
}

#[test]
fn no_write_in_a_net_changes_the_machines_interface() {
    changes_nothing("files", &[]);
}

#[test]
fn lists_of_generic_netlink_hold_the_nets_devices_and_the_machines() {
    same("lists", "tunnel");
}

#[test]
fn a_net_without_interfaces_changes_nothing() {
    same("nothing", "nothing");
}
