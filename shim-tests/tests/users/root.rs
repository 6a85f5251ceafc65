//! Root uses a user's net on purpose. What it makes there belongs to the user, and it does not go
//! where the user wants to lead it.

use std::fs;
use std::os::unix::fs::{symlink, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use memtun_shm::layout::{NetState, State};
use shim_tests::users::*;

const LOCK: usize = NetState::LOCK_AT;
const RENAME: usize = std::mem::offset_of!(NetState, rename);
const WAITERS: u32 = libc::FUTEX_WAITERS;

/// A directory of root's that nobody may touch.
fn roots_own(m: &Machine) -> PathBuf {
    let own = Path::new(SHM).join("profile.d");
    make_dir(&own, ROOT, 0o755);
    make_file(&own.join("locale.sh"), ROOT, 0o644, b"export LANG=C\n");
    assert!(m.stage().exists());
    own
}

/// A program that root runs in the user's net.
fn program(m: &Machine, net: &Path, steps: &[&str]) -> std::process::Command {
    let mut command = m.program(ROOT, Some(net), steps);
    command.env("MEMTUN_NET_OWNER", MALLORY.to_string());
    command
}

/// A living program of the user's, which has `tun0`.
fn users_program(m: &Machine, net: &Path) -> Running {
    m.start(&mut m.program(
        MALLORY,
        Some(net),
        &["open", "attach=tun0", "ready", "wait"],
    ))
}

/// The owners of the files in a net.
fn owners(net: &Path) -> Vec<(String, u32, u32)> {
    let of = |name: String| {
        let st = fs::symlink_metadata(net.join(&name)).ok()?;
        Some((name, st.uid(), st.gid()))
    };
    names(net).into_iter().filter_map(of).collect()
}

#[track_caller]
fn all_are_the_users(net: &Path) {
    for (name, uid, gid) in owners(net) {
        assert_eq!((uid, gid), (MALLORY, MALLORY), "{name}");
    }
}

#[test]
fn what_root_makes_is_the_users() {
    on_a_machine(|m| {
        let net = m.home(MALLORY).join("net");
        make_dir(&net, MALLORY, 0o700);
        let steps = [
            "open",
            "attach=tun0",
            "persist",
            "write",
            "poll",
            "ready",
            "wait",
        ];
        let mut roots = program(m, &net, &steps);
        // The interface is down, so that somebody waits for the link, which makes one more file.
        let roots = m.start(roots.env("MEMTUN_LINK", "down"));
        assert!(names(&net).len() >= 4, "{:?}", names(&net));
        all_are_the_users(&net);
        // Each side uses what the other one has made.
        let users =
            m.run(&mut m.program(MALLORY, Some(&net), &["open", "attach=tun1", "lookup=tun0"]));
        assert_eq!(
            users.stdout, "open: ok\nattach: ok\nlookup: ok\n",
            "{}",
            users.stderr
        );
        for (uid, owner, done) in [
            (ROOT, Some(MALLORY), "inject: ok\n"),
            (MALLORY, None, "up: ok\n"),
        ] {
            let driver = m.run(&mut m.driver(uid, &net, owner, &["everything"]));
            assert!(driver.stdout.contains(done), "{uid}: {}", driver.stdout);
            all_are_the_users(&net);
            m.run(&mut m.program(MALLORY, Some(&net), &["open", "attach=tun0", "persist"]));
        }
        let dir = net.to_str().expect("UTF-8");
        let capture = m.home(ROOT).join("capture.pcapng");
        let capture = capture.to_str().expect("UTF-8");
        let line = [
            "run",
            "--net",
            dir,
            "--owner",
            "65534",
            "--tun",
            "x0",
            "--capture",
            capture,
            "--",
            "true",
        ];
        assert!(m.run(&mut m.memtun(ROOT, &line)).ended.success());
        all_are_the_users(&net);
        drop(roots);
        let ls = m.run(&mut m.memtun(MALLORY, &["ls", "--net", dir]));
        assert!(
            ls.ended.success() && ls.stdout.contains("x0"),
            "{}{}",
            ls.stdout,
            ls.stderr
        );
    });
}

#[test]
fn a_bell_that_is_a_link_is_not_rung() {
    on_a_machine(|m| {
        let net = m.home(MALLORY).join("net");
        make_dir(&net, MALLORY, 0o700);
        let victim = Path::new(SHM).join("roots-file");
        make_file(&victim, ROOT, 0o644, b"original");
        let before = tree(&victim);
        let _users = users_program(m, &net);
        let bell = names(&net).into_iter().find(|name| name.contains("bell"));
        let bell = net.join(bell.expect("a tunnel has a bell"));
        fs::remove_file(&bell).expect("the user's own file");
        symlink(&victim, &bell).expect("a link");
        give(&bell, MALLORY);
        // The lock makes the tunnel seem to live.
        let mut holder = m.command(MALLORY, "flock");
        let script = "echo ready; exec sleep 1000";
        let _holder = m.start(holder.arg("-s").arg(&victim).args(["sh", "-c", script]));
        let dir = net.to_str().expect("UTF-8");
        for verb in [
            &["send-udp", "--timeout", "1", "tun0", "10.0.0.1:7", "x"][..],
            &["set", "--timeout", "1", "tun0", "--down"],
            &["show", "tun0"],
            &["ls"],
            &["delete", "--timeout", "1", "tun0"],
        ] {
            let line = [&verb[..1], &["--net", dir, "--owner", "65534"], &verb[1..]].concat();
            m.run(&mut m.memtun(ROOT, &line));
            assert_untouched(&victim, &before);
        }
    });
}

/// Replaces the net by a link to root's directory as soon as root waits for the net's lock, and
/// then lets root go on.
fn swap_amid_a_call(page: &Page, net: &Path, target: &Path, over: &AtomicBool) {
    let lock = page.word(LOCK);
    while !over.load(SeqCst) && lock.load(SeqCst) & WAITERS == 0 {
        std::thread::yield_now();
    }
    fs::rename(net, net.with_extension("old")).expect("the user's own directory");
    symlink(target, net).expect("a link");
    give(net, MALLORY);
    lock.store(0, SeqCst);
    page.wake(LOCK);
}

#[test]
fn a_net_that_becomes_a_link_leads_nowhere() {
    on_a_machine(|m| {
        let own = roots_own(m);
        let before = tree(&own);
        for step in ["attach=tun0", "open", "cycle=3"] {
            let net = m.home(MALLORY).join("net");
            make_dir(&net, MALLORY, 0o700);
            m.run(&mut m.program(MALLORY, Some(&net), &["open"]));
            let page = Page::of(&net.join(".memtun-net-state"));
            // The names of files that root makes end as the user wishes.
            for (at, four) in b"aaaaaaaa.sh\0\0\0\0\0".chunks(4).enumerate() {
                let four = u32::from_ne_bytes(four.try_into().expect("four bytes"));
                page.word(RENAME + 4 * at).store(four, SeqCst);
            }
            // The lock is held from the moment when root has joined.
            let steps = [
                "open",
                "ready",
                "nap",
                step,
                "open",
                "attach=tun1",
                "write",
                "close",
            ];
            let roots = m.start(&mut program(m, &net, &steps));
            page.word(LOCK).store(std::process::id(), SeqCst);
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| swap_amid_a_call(&page, &net, &own, &over));
                let ended = roots.ends();
                over.store(true, SeqCst);
                assert_eq!(ended, None, "{step}");
            });
            assert_untouched(&own, &before);
            fs::remove_file(&net).expect("the link");
            fs::remove_dir_all(net.with_extension("old")).expect("the net");
        }
    });
}

#[test]
fn a_net_that_was_moved_away_is_an_error() {
    on_a_machine(|m| {
        let own = roots_own(m);
        let before = tree(&own);
        let net = m.home(MALLORY).join("net");
        make_dir(&net, MALLORY, 0o700);
        let _users = users_program(m, &net);
        let steps = [
            "open",
            "attach=tun1",
            "ready",
            "nap",
            "open",
            "attach=tun2",
            "write",
            "cycle=2",
        ];
        let roots = m.start(&mut program(m, &net, &steps));
        let driver = ["ready", "nap", "everything", "remove"];
        let driver = m.start(&mut m.driver(ROOT, &net, Some(MALLORY), &driver));
        fs::rename(&net, net.with_extension("old")).expect("the user's own directory");
        symlink(&own, &net).expect("a link");
        assert_eq!(roots.ends(), None);
        assert_eq!(driver.ends(), None);
        assert_untouched(&own, &before);
    });
}

#[test]
fn files_that_are_swapped_amid_their_making_are_not_given_away() {
    on_a_machine(|m| {
        let own = roots_own(m);
        let before = tree(&own.join("locale.sh"));
        let net = m.home(MALLORY).join("net");
        make_dir(&net, MALLORY, 0o700);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Every file that is being made becomes root's file, by either kind of link. Hard links
            // work as where fs.protected_hardlinks is 0.
            scope.spawn(|| {
                let mut hard = false;
                while !over.load(SeqCst) {
                    for name in names(&net) {
                        if !name.starts_with(".memtun-new") {
                            continue;
                        }
                        let (file, target) = (net.join(name), own.join("locale.sh"));
                        let link = net.with_extension("link");
                        hard = !hard;
                        let linked = match hard {
                            true => fs::hard_link(&target, &link),
                            false => symlink(&target, &link),
                        };
                        let _ = linked.and_then(|()| fs::rename(&link, &file));
                        let _ = fs::remove_file(&link);
                    }
                }
            });
            let end = Instant::now() + Duration::from_secs(2);
            let mut wrong = None;
            while wrong.is_none() && Instant::now() < end {
                wrong = harm(&m.run_anyhow(&mut program(m, &net, &["cycle=200"])));
            }
            over.store(true, SeqCst);
            assert_eq!(wrong, None);
        });
        // A link more or less is the attacker's doing, and shows as a change of the inode.
        let _ = fs::remove_dir_all(&net);
        let plain = |lines: Vec<String>| lines[0].split(" changed ").next().map(str::to_owned);
        let now = tree(&own.join("locale.sh"));
        assert!(now[0].ends_with("LANG=C\\n"), "{now:?}");
        assert_eq!(plain(now), plain(before), "root's file");
    });
}

#[test]
fn root_by_accident_makes_and_removes_nothing() {
    on_a_machine(|m| {
        let net = m.home(MALLORY).join("net");
        make_dir(&net, MALLORY, 0o700);
        let _users = users_program(m, &net);
        let before = tree(&net);
        let mut steps = m.program(
            ROOT,
            Some(&net),
            &["open", "attach=tun1", "lookup=tun0", "cycle=1"],
        );
        let roots = m.run(&mut steps);
        assert!(
            roots.stdout.starts_with("open: 1 EPERM\n"),
            "{}",
            roots.stdout
        );
        assert!(roots.stdout.contains("lookup: "), "{}", roots.stdout);
        assert!(!roots.stdout.contains("lookup: ok"), "{}", roots.stdout);
        let dir = net.to_str().expect("UTF-8");
        for verb in [
            &["run", "--tun", "x0", "--net", dir, "--", "true"][..],
            &["deny", "--net", dir, "open"],
            &["fault", "--net", dir, "write=EIO"],
            &["delete", "--net", dir, "tun0"],
            &[
                "send-udp",
                "--net",
                dir,
                "--timeout",
                "1",
                "tun0",
                "10.0.0.1:7",
                "x",
            ],
            &["capture", "--net", dir, "-c", "1"],
            &["reset", "--net", dir],
        ] {
            let refused = m.run(&mut m.memtun(ROOT, verb));
            assert_eq!(
                refused.ended.code(),
                Some(2),
                "{verb:?}: {}",
                refused.stderr
            );
            assert!(
                refused.stderr.contains("65534"),
                "{verb:?}: {}",
                refused.stderr
            );
        }
        assert_untouched(&net, &before);
    });
}
