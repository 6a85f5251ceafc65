//! The sockets of a net stand on the machine's loopback, where everybody can send.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shim_tests::build::crate_dir;
use shim_tests::users::*;

/// Gives the net an address of each family, and becomes the program.
const SET_UP: &str = "ip tuntap add tun0 mode tun
echo 0 >/proc/sys/net/ipv6/conf/tun0/disable_ipv6
ip addr add 10.9.0.1/24 dev tun0
ip addr add fd09::1/64 dev tun0
ip link set tun0 up
ip link set lo up
exec /usr/bin/python3 \"$0\" \"$@\"";

/// A program of `users/` in root's directory, which everybody may read.
fn staged(m: &Machine, name: &str) -> PathBuf {
    let there = m.stage().join(name);
    fs::copy(crate_dir().join("users").join(name), &there).expect("a copy");
    there
}

/// Alice runs a program of `users/` in a net with addresses.
fn alice(m: &Machine, net: &Path, name: &str) -> Command {
    let mut command = m.command(ALICE, "/bin/sh");
    command
        .args(["-ec", SET_UP])
        .arg(staged(m, name))
        .env("LD_PRELOAD", m.stage().join("libmemtun.so"))
        .env("MEMTUN_NET", net)
        .env("MEMTUN_HOST", "isolated");
    command
}

#[test]
fn another_user_takes_no_net_its_sockets() {
    const SAID: &str =
        "datagram 10.9.0.1 5000\nstream 10.9.0.1 80\ndatagram fd09::1 5000\nstream fd09::1 80\n";
    if !Path::new("/usr/bin/python3").exists() {
        shim_tests::not_run::not_run("a user who takes names of the loopback", "no python3");
        return;
    }
    for how in ["everywhere", "each"] {
        on_a_machine(|m| {
            own_loopback();
            let net = m.home(ALICE).join("net");
            make_dir(&net, ALICE, 0o700);
            let mut squatter = m.command(MALLORY, "/usr/bin/python3");
            squatter.arg(staged(m, "squatter.py")).arg(how);
            let _squatter = m.start(&mut squatter);
            let finished = m.run(&mut alice(m, &net, "talks.py"));
            assert_eq!(finished.stdout, SAID, "{how}: {}", finished.stderr);
        });
    }
}

#[test]
fn another_user_does_not_speak_for_a_socket_that_has_ended() {
    if !Path::new("/usr/bin/python3").exists() {
        shim_tests::not_run::not_run("a user who takes names of sockets", "no python3");
        return;
    }
    on_a_machine(|m| {
        own_loopback();
        let net = m.home(ALICE).join("net");
        make_dir(&net, ALICE, 0o700);
        let [close, look] = ["close", "look"].map(|name| m.stage().join(name));
        let mut ends = m.start(alice(m, &net, "ends.py").arg(&close).arg(&look));
        ends.wait_for("ready");
        let mut successor = m.command(MALLORY, "/usr/bin/python3");
        successor
            .arg(staged(m, "successor.py"))
            .arg(ALICE.to_string());
        let mut successor = m.start(&mut successor);
        fs::write(&close, "").expect("a file");
        successor.wait_for("spoken");
        fs::write(&look, "").expect("a file");
        ends.wait_for("end");
        let said = ends.output();
        assert!(
            said.ends_with("closed\nheard b'last words' ('10.9.0.1', 7002)\naccepted ('10.9.0.1', 7004)\nend\n"),
            "{said}"
        );
    });
}

#[test]
fn another_user_reaches_no_socket_of_a_net() {
    if !Path::new("/usr/bin/python3").exists() {
        shim_tests::not_run::not_run("a user who looks for another's sockets", "no python3");
        return;
    }
    on_a_machine(|m| {
        let net = m.home(ALICE).join("net");
        make_dir(&net, ALICE, 0o700);
        let go = m.stage().join("go");
        let mut victim = m.start(alice(m, &net, "victim.py").arg(&go));
        let mut stranger = m.command(MALLORY, "/usr/bin/python3");
        stranger
            .arg(staged(m, "stranger.py"))
            .arg(ALICE.to_string());
        let said = m.run(&mut stranger).stdout;
        // Slices, places to connect to, and places to send to.
        let counts: Vec<u32> = said.split_whitespace().flat_map(str::parse).collect();
        assert!(
            counts.len() == 3 && counts[0] > 0 && counts[1].min(counts[2]) > 100,
            "the stranger has found nothing: {said}"
        );
        fs::write(&go, "").expect("a file");
        victim.wait_for("connected");
        let said = victim.output();
        assert!(
            said.contains("accepted 0 received 0 sent 0 connected 0"),
            "{said}"
        );
        assert_eq!(victim.ends(), None);
    });
}
