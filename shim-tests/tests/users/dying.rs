//! Nets whose makers were killed, at whatever moment, are removed. Nets in which somebody lives
//! stay, even where `/proc` does not show who lives there.

use std::fs;
use std::path::{Path, PathBuf};

use shim_tests::users::*;

use crate::sweeping::{dead_net_of, everyday_life, swept};

#[test]
fn whoever_was_killed_leaves_nothing() {
    on_a_machine(|m| {
        let made = |what: &str, at_least: usize| {
            let left = private_nets(Path::new(SHM)).len();
            assert!(
                left >= at_least,
                "{what} left {left} nets: this test tests nothing"
            );
            swept(m, ALICE, what);
        };
        let die = |steps: &[&str]| {
            let steps = [steps, &["kill"]].concat();
            m.run_anyhow(&mut m.program(ALICE, None, &steps));
        };
        die(&["open"]);
        made("a program with a tunnel", 1);
        die(&["open", "attach=tun0"]);
        made("a program with an interface", 1);
        die(&["open", "attach=tun0", "persist"]);
        made("a program with a persistent interface", 1);
        die(&["open", "attach=tun0", "persist", "close"]);
        made("a program without a tunnel, with a persistent interface", 1);
        let killed = |options: &[&str]| {
            let line = [&["run"], options, &["--", "sh", "-c", "kill -9 $PPID"]].concat();
            m.run_anyhow(&mut m.memtun(ALICE, &line));
        };
        killed(&[]);
        made("a command", 1);
        killed(&["--tun", "x0", "--tap", "x1"]);
        made("a command with persistent interfaces", 1);
        let file = m.home(ALICE).join("capture.pcapng");
        killed(&["--tun", "x0", "--capture", file.to_str().expect("UTF-8")]);
        made("a command that captures", 1);
        // The maker died between mkdir and its first file.
        make_dir(&dead_net_of(ALICE), ALICE, 0o700);
        made("a maker that had not got far", 1);
    });
}

#[test]
fn a_capturer_keeps_a_net_whose_maker_was_killed() {
    on_a_machine(|m| {
        // The capturer has an interface that it has not read to the end.
        let script = "echo $MEMTUN_NET; echo ready; exec sleep 100";
        let mut run =
            m.start(&mut m.memtun(ALICE, &["run", "--tun", "x0", "--", "sh", "-c", script]));
        run.wait_for("/dev/shm/");
        let output = run.output();
        let net = PathBuf::from(output.lines().next().expect("a line"));
        let dir = net.to_str().expect("UTF-8");
        let file = m.home(ALICE).join("capture.pcapng");
        let line = ["capture", "--net", dir, "-w", file.to_str().expect("UTF-8")];
        let mut command = m.command(ALICE, "sh");
        command.args([
            "-c",
            "\"$0\" \"$@\" & while ! [ -e \"$5\" ]; do sleep 0.01; done; echo ready; wait",
        ]);
        let capture = m.start(command.arg(m.stage().join("memtun")).args(line));
        run.kill();
        everyday_life(m, ALICE);
        assert!(net.is_dir(), "somebody is in it");
        capture.kill();
        swept(m, ALICE, "maker and capturer killed");
    });
}

#[test]
fn a_maker_that_is_killed_at_any_system_call_leaves_nothing() {
    on_a_machine(|m| {
        let mut calls = 0;
        let mut nets = 0;
        loop {
            let mut program = m.program(ALICE, None, &["open", "attach=tun0", "persist", "close"]);
            let ended = killed_at_call(&mut program, calls);
            let left = private_nets(Path::new(SHM)).len();
            // Each program removes the net that the one before has left, unless it died before or
            // during that.
            assert!(left <= 3, "killed at call {calls}: {left} nets lie about");
            nets += left;
            if ended {
                break;
            }
            calls += 1;
        }
        assert!(
            calls > 50 && nets > 20,
            "{calls} calls, {nets} nets were there"
        );
        swept(m, ALICE, "killed at any call");
    });
}

/// A container: a PID namespace of its own, in which `/proc` shows only its own processes.
fn in_a_container(m: &Machine, uid: u32, command: &[&str]) -> std::process::Command {
    let mut outside = m.command(ROOT, "unshare");
    outside.args(["--pid", "--fork", "--kill-child", "--mount-proc", "setpriv"]);
    outside.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
    outside.arg("--clear-groups").args(command);
    outside
}

#[test]
fn containers_that_share_shm_leave_each_others_living_nets_alone() {
    on_a_machine(|m| {
        let memtun = m.stage().join("memtun");
        let program = m.stage().join("program");
        let (memtun, program) = (
            memtun.to_str().expect("UTF-8"),
            program.to_str().expect("UTF-8"),
        );
        for uid in [ALICE, ROOT] {
            let go = m.home(uid).join("go");
            make_fifo(&go, uid);
            let wait = format!("read go < {}", go.display());
            // The lives are one without a tunnel, one with a tunnel, and one with only an
            // interface. What the command holds keeps the net.
            let alone = format!("echo ready; {wait}; exec {program} open");
            let accompanied =
                format!("{program} open ready wait & {wait}; {program} open; kill $!");
            let deny: [&[&str]; 2] = [&["--deny", "ioctl"], &["--deny", "ioctl", "--tun", "x0"]];
            let lives = [
                (deny[0], &alone),
                (deny[0], &accompanied),
                (deny[1], &alone),
            ];
            for (options, life) in lives {
                let line = [&[memtun, "run"], options, &["--", "sh", "-c", life]].concat();
                let mut first = m.start(&mut in_a_container(m, uid, &line));
                let nets = private_nets(Path::new(SHM));
                assert_eq!(nets.len(), 1, "the first container's");
                for another in [
                    vec![memtun, "run", "--", "true"],
                    vec!["env", "LD_PRELOAD", program, "open"],
                ] {
                    let library = format!("LD_PRELOAD={}/libmemtun.so", m.stage().display());
                    let another: Vec<&str> = another
                        .iter()
                        .map(|word| {
                            if *word == "LD_PRELOAD" {
                                library.as_str()
                            } else {
                                word
                            }
                        })
                        .collect();
                    let another = m.run(&mut in_a_container(m, uid, &another));
                    assert!(another.ended.success(), "{}", another.stderr);
                }
                assert_eq!(private_nets(Path::new(SHM)), nets, "it is still there");
                let ls =
                    m.run(&mut m.memtun(uid, &["fault", "--net", &format!("{SHM}/{}", nets[0])]));
                assert_eq!(
                    ls.stdout, "ioctl denied\n",
                    "what was set in it holds: {}",
                    ls.stderr
                );
                fs::write(&go, "go\n").expect("the shell reads");
                first.wait_for("open: ok\n");
                first.kill();
                swept(m, uid, "the first container is gone");
            }
        }
    });
}
