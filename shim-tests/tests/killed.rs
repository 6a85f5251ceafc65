//! Kills programs at random moments of everything that they do with tunnels. A fresh program works
//! in their net afterwards, and nothing of them is left.
//!
//! `MEMTUN_KILLS` says how many programs are killed (default 200; 2,000 and more before a release),
//! and `MEMTUN_KILLS_SEED` repeats the choices.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use memtun::Net;
use shim_tests::hostile::{number, Process, Random, Stage, PATTERNS};

const LIMIT: Duration = Duration::from_secs(20);
const PEERS: usize = 6;

/// Waits until no process of the programs is left. Locks show that, because the kernel takes them
/// back when the last process of a peer, its children included, is gone.
fn wait_until_all_are_gone(net: &Net) {
    let limit = Instant::now() + LIMIT;
    while !net.tunnels().expect("a look").is_empty() {
        assert!(
            Instant::now() < limit,
            "{:?} outlive their programs",
            net.tunnels()
        );
        std::thread::yield_now();
    }
}

fn files(net: &Path) -> Vec<String> {
    let entries = fs::read_dir(net).expect("the net");
    let name = |e: std::io::Result<fs::DirEntry>| e.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_net_is_clean_and_works_after_random_kills() {
    let kills = number("MEMTUN_KILLS", 200);
    let mut random = Random::seeded("MEMTUN_KILLS_SEED");
    let stage = Stage::new("killed");
    let (peer, check) = (stage.program("peer"), stage.program("check"));
    let net = Net::temporary().expect("a net");
    let start = |random: &mut Random| {
        let pattern = *random.of(&PATTERNS);
        // There are few names, so that programs meet; one is that of a multi-queue interface.
        let name = if pattern == "m" {
            "mq0"
        } else {
            *random.of(&["k0", "k1", "k2"])
        };
        let mut command = stage.shimmed(net.path(), &peer);
        Process::start(command.args([pattern, name]).env("MEMTUN_LOG", "off"))
    };
    let mut peers: Vec<Process> = (0..PEERS).map(|_| start(&mut random)).collect();
    for number in 0..kills {
        memtun_sys::nap(Duration::from_micros(random.below(6000)));
        let which = random.below(PEERS as u64) as usize;
        let mut victim = std::mem::replace(&mut peers[which], start(&mut random));
        victim.signal(libc::SIGKILL);
        let ended = victim.ended(LIMIT);
        assert_eq!(
            ended.signal(),
            Some(libc::SIGKILL),
            "kill {number}: {ended}\n{}",
            stage.said()
        );
        if number % 100 == 99 {
            let status =
                Process::start(stage.shimmed(net.path(), &check).arg(net.path())).ended(LIMIT);
            assert!(
                status.success(),
                "after {number} kills: {status}\n{}",
                stage.said()
            );
        }
    }
    drop(peers);
    wait_until_all_are_gone(&net);
    let status = Process::start(stage.shimmed(net.path(), &check).arg(net.path())).ended(LIMIT);
    assert!(status.success(), "{status}\n{}", stage.said());
    let interfaces = net.interfaces().expect("a list");
    // An interface that was made persistent stays, as on the kernel.
    for left in &interfaces {
        assert!(
            left.tunnels.is_empty() && left.tun_flags & memtun::uapi::IFF_PERSIST != 0,
            "{left:?}"
        );
        net.interface(&left.name.to_string())
            .expect("a look")
            .expect("it")
            .delete()
            .expect("delete");
    }
    let left = files(net.path());
    assert_eq!(left, [".memtun-net-private", ".memtun-net-state"]);
    let said = stage.said();
    assert!(
        !said.contains("SLOW") && !said.contains("panicked"),
        "{said}"
    );
    eprintln!(
        "{kills} killed, {} persistent interfaces deleted",
        interfaces.len()
    );
}

#[test]
fn what_a_link_leaves_whose_interface_is_gone_is_swept() {
    let net = Net::temporary().expect("a net");
    let left = net.path().join(".memtun-link-4711");
    let name = std::ffi::CString::new(left.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: the path is NUL-terminated.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(net.interfaces().expect("a list").is_empty());
    let left = files(net.path());
    assert_eq!(left, [".memtun-net-private", ".memtun-net-state"]);
}
