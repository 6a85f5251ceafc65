//! The host side of a net: what others send to a program's netlink socket, the host process's
//! socket, and root in a user's view of /sys.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use shim_tests::build::user_program;
use shim_tests::users::*;

/// A program of `users/` in root's directory, which everybody may run.
fn staged(m: &Machine, name: &str) -> std::path::PathBuf {
    let there = m.stage().join(name);
    if !there.exists() {
        let copied = Command::new("cp")
            .arg(user_program(name))
            .arg(&there)
            .status();
        assert!(copied.is_ok_and(|status| status.success()));
        set_mode(&there, 0o755);
    }
    there
}

fn users_net(m: &Machine, uid: u32) -> std::path::PathBuf {
    let net = m.home(uid).join("net");
    make_dir(&net, uid, 0o700);
    net
}

#[test]
fn what_another_user_forges_reaches_no_netlink_socket() {
    on_a_machine(|m| {
        let net = users_net(m, ALICE);
        let (listener, forger) = (staged(m, "listener"), staged(m, "forger"));
        let mut command = m.command(ALICE, listener);
        command
            .env("LD_PRELOAD", m.stage().join("libmemtun.so"))
            .env("MEMTUN_NET", &net);
        let listener = m.start(&mut command);
        let said = listener.output();
        let port = said.lines().find_map(|line| line.strip_prefix("port "));
        let port = port.expect("its port").to_owned();
        // The listener's socket stands there as everybody may see.
        let all = fs::read_to_string("/proc/net/netlink").expect("the sockets");
        assert!(all.contains(&port), "{all}");
        let flood: Vec<Running> = (0..2)
            .map(|_| m.start(m.command(MALLORY, &forger).arg(&port)))
            .collect();
        listener.signal(libc::SIGUSR1);
        let mut listener = listener;
        listener.wait_for("done\n");
        let said = listener.output();
        assert!(!said.contains("wrong"), "{said}");
        assert_eq!(listener.ends(), None);
        for forger in &flood {
            assert_eq!(forger.output(), "ready\n");
        }
    });
}

#[test]
fn another_user_cannot_ask_the_host_process() {
    on_a_machine(|m| {
        let net = users_net(m, ALICE);
        let steps = [
            "open",
            "attach=tun0",
            "list=/sys/class/net",
            "ask=tun0",
            "ready",
            "wait",
        ];
        let owner = m.start(&mut m.program(ALICE, Some(&net), &steps));
        let said = owner.output();
        assert!(said.contains("ask: ok"), "{said}");
        let socket = names(&net)
            .into_iter()
            .find(|name| name.starts_with(".memtun-host-"));
        let socket = net.join(socket.expect("the host process listens"));
        let mut connect = m.command(MALLORY, m.stage().join("program"));
        connect.arg(format!("connect={}", socket.display()));
        let finished = m.run(&mut connect);
        assert_eq!(finished.stdout, "connect: 13 EACCES\n");
        // Though the net's directory lets everybody in, nobody else is answered, and the socket is
        // closed to them.
        set_mode(&net, 0o755);
        let finished = m.run(&mut connect);
        assert_eq!(finished.stdout, "connect: 13 EACCES\n");
        let steps = ["open", "attach=tun1", "ask=tun0"];
        let finished = m.run(&mut m.program(MALLORY, Some(&net), &steps));
        assert!(!finished.stdout.contains("ok"), "{}", finished.stdout);
        assert!(!names(&net).contains(&"tun1".to_owned()));
    });
}

#[test]
fn root_follows_no_link_in_a_users_view_of_sys() {
    on_a_machine(|m| {
        let own = Path::new(SHM).join("profile.d");
        make_dir(&own, ROOT, 0o755);
        make_dir(&own.join("inner"), ROOT, 0o755);
        make_file(&own.join("inner/tun0"), ROOT, 0o644, b"root's\n");
        make_file(&own.join("locale.sh"), ROOT, 0o644, b"export LANG=C\n");
        let net = users_net(m, MALLORY);
        let program = m.start(&mut m.program(
            MALLORY,
            Some(&net),
            &[
                "open",
                "attach=tun0",
                "list=/sys/class/net",
                "ready",
                "wait",
            ],
        ));
        assert!(
            program.output().contains("list: ok"),
            "{}",
            program.output()
        );
        let before = tree(&own);
        let view = net.join(".memtun-view");
        let places = [
            "",
            "sys",
            "sys/class",
            "sys/class/net",
            "sys/class/net/tun0",
        ];
        let targets = [own.clone(), own.join("inner"), own.join("inner/tun0")];
        for place in places {
            for target in &targets {
                let there = view.join(place);
                let there = Path::new(there.to_str().expect("UTF-8").trim_end_matches('/'));
                let _ = fs::remove_dir_all(there);
                let _ = fs::remove_file(there);
                fs::create_dir_all(there.parent().expect("above")).expect("above");
                give_all_above(&net, there);
                symlink(target, there).expect("a link");
                let steps = ["list=/sys/class/net", "list=/sys/class/net/tun0/"];
                let mut roots = m.program(ROOT, Some(&net), &steps);
                let finished = m.run(roots.env("MEMTUN_NET_OWNER", MALLORY.to_string()));
                assert!(finished.stdout.contains("list: ok"), "{}", finished.stdout);
                assert_eq!(touched(&own, &before), None, "{there:?}");
            }
        }
        // A FIFO at the place of a file, and a directory at that of a link, hold nobody up.
        let class = view.join("sys/class/net");
        let _ = fs::remove_file(class.join("tun0"));
        fs::create_dir_all(class.join("tun0/deep/er")).expect("a directory");
        let device = view.join("sys/devices/virtual/net/tun0");
        let _ = m.run(&mut m.program(MALLORY, Some(&net), &["list=/sys/class/net/tun0/"]));
        let _ = fs::remove_file(device.join("mtu"));
        let fifo = Command::new("mkfifo").arg(device.join("mtu")).status();
        assert!(fifo.is_ok_and(|status| status.success()));
        give(&device.join("mtu"), MALLORY);
        let mut roots = m.program(ROOT, Some(&net), &["list=/sys/class/net/tun0/"]);
        let finished = m.run(roots.env("MEMTUN_NET_OWNER", MALLORY.to_string()));
        assert_eq!(finished.stdout, "list: ok\n");
        // What root has made is the user's.
        for dir in [&view, &view.join("sys"), &device] {
            use std::os::unix::fs::MetadataExt;
            let st = fs::symlink_metadata(dir).expect("there");
            assert_eq!(st.uid(), MALLORY, "{dir:?}");
        }
    });
}

/// Gives what stands between the net and a place to the net's owner.
fn give_all_above(net: &Path, place: &Path) {
    let mut at = place.parent();
    while let Some(dir) = at.filter(|dir| dir.starts_with(net)) {
        give(dir, MALLORY);
        at = dir.parent();
    }
}
