//! The sockets of a net stand on the machine's loopback, where everybody can send.

use std::fs;
use std::path::Path;

use shim_tests::build::crate_dir;
use shim_tests::users::*;

/// Gives the net an address of each family, and becomes the program.
const SET_UP: &str = "ip tuntap add tun0 mode tun
echo 0 >/proc/sys/net/ipv6/conf/tun0/disable_ipv6
ip addr add 10.9.0.1/24 dev tun0
ip addr add fd09::1/64 dev tun0
ip link set tun0 up
ip link set lo up
exec /usr/bin/python3 \"$0\" \"$1\"";

#[test]
fn another_user_reaches_no_socket_of_a_net() {
    if !Path::new("/usr/bin/python3").exists() {
        shim_tests::not_run::not_run("a user who looks for another's sockets", "no python3");
        return;
    }
    on_a_machine(|m| {
        let net = m.home(ALICE).join("net");
        make_dir(&net, ALICE, 0o700);
        for name in ["victim.py", "stranger.py"] {
            let from = crate_dir().join("users").join(name);
            fs::copy(from, m.stage().join(name)).expect("a copy");
        }
        let go = m.stage().join("go");
        let mut command = m.command(ALICE, "/bin/sh");
        command
            .args(["-ec", SET_UP])
            .args([&m.stage().join("victim.py"), &go])
            .env("LD_PRELOAD", m.stage().join("libmemtun.so"))
            .env("MEMTUN_NET", &net)
            .env("MEMTUN_HOST", "isolated");
        let mut victim = m.start(&mut command);
        let mut stranger = m.command(MALLORY, "/usr/bin/python3");
        stranger
            .arg(m.stage().join("stranger.py"))
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
