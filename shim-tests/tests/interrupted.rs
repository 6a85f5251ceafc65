//! Interrupts calls on a tunnel at each of their instructions: by handlers that use another tunnel,
//! by jumps out of the call, and by every kind of end of the process. The tunnel works at once
//! afterwards.
//!
//! `MEMTUN_STEPS=1` looks at every instruction, which takes minutes. By default it looks at one of
//! so many, a prime number.
#![cfg(target_arch = "x86_64")]

use std::time::Duration;

use memtun::Net;
use shim_tests::build;
use shim_tests::hostile::{number, Process, Stage};

const LIMIT: Duration = Duration::from_secs(120);

/// Runs `hostile/steps.c` in one mode, on each call with its stride.
fn steps(mode: &str, calls: &[(&str, u64)]) {
    let stage = Stage::new(&format!("steps-{mode}"));
    let _ = build::shim();
    let program = stage.program("steps");
    let every = number("MEMTUN_STEPS", 0) != 0;
    for (call, stride) in calls {
        let net = Net::temporary().expect("a net");
        let stride = if every { 1 } else { *stride };
        let mut command = stage.shimmed(net.path(), &program);
        command.args([mode, call, &stride.to_string()]);
        let status = Process::start(&mut command).ended(LIMIT);
        let said = stage.said();
        assert!(status.success(), "{mode} {call}: {status}\n{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_handler_writes_on_another_tunnel_at_any_instruction() {
    steps("w", &[("w", 1), ("r", 1), ("a", 3)]);
}

#[test]
fn a_handler_opens_and_attaches_another_tunnel_at_any_instruction() {
    steps("o", &[("w", 11), ("r", 3), ("a", 197)]);
}

#[test]
fn a_jump_out_of_a_call_at_any_instruction_leaves_a_tunnel_that_works() {
    steps("j", &[("w", 7), ("r", 7), ("a", 1009)]);
}

#[test]
fn a_kill_at_any_instruction_leaves_a_tunnel_that_works() {
    steps("k", &[("w", 7), ("r", 7), ("a", 1009)]);
}

#[test]
fn another_program_at_any_instruction_leaves_a_tunnel_that_works() {
    steps("e", &[("w", 11), ("r", 11), ("a", 1009)]);
}

#[test]
fn a_vfork_child_that_is_killed_at_any_instruction_leaves_a_tunnel_that_works_a_second_later() {
    steps("v", &[("w", 29), ("r", 29)]);
}

#[test]
fn a_child_that_returns_from_a_handler_at_any_instruction_leaves_a_tunnel_that_works() {
    steps("r", &[("w", 5), ("r", 5)]);
}
