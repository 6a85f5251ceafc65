//! Nets that nobody named: what lies in `/dev/shm` under such a name is removed if it is the user's
//! own and dead, and is otherwise not looked at.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use memtun_shm::layout::{NetState, State};
use shim_tests::users::*;

/// Offset of the net's lock in its state.
const LOCK: usize = NetState::LOCK_AT;
/// The bit in a lock's word that says that somebody sleeps on it.
const WAITERS: u32 = libc::FUTEX_WAITERS;

fn state(net: &Path) -> PathBuf {
    net.join(".memtun-net-state")
}

/// Path of a net of a user's whose maker is dead.
pub fn dead_net_of(uid: u32) -> PathBuf {
    Path::new(SHM).join(format!("memtun-{uid}-{NOBODYS_PID}-1"))
}

/// Makes a net of Mallory's that is open to everybody.
fn mallorys_net(m: &Machine, path: &Path) {
    let made = Path::new(SHM).join("made-by-mallory");
    m.run(&mut m.program(MALLORY, Some(&made), &["open"]));
    fs::rename(&made, path).expect("a rename in a directory of everybody's");
    set_mode(path, 0o777);
    set_mode(&state(path), 0o666);
}

/// Runs what a victim runs every day: a program of its own, and a program under the command. Both
/// make a net that nobody named.
#[track_caller]
pub fn everyday_life(m: &Machine, uid: u32) {
    let program = m.run(&mut m.program(uid, None, &["open", "attach=tun0", "write"]));
    let all_is_well = "open: ok\nattach: ok\nwrite: ok\n";
    assert_eq!(program.stdout, all_is_well, "{}", program.stderr);
    let run = m.run(&mut m.memtun(uid, &["run", "--", "true"]));
    assert!(run.ended.success(), "{}", run.stderr);
}

/// Asserts that everyday life removes whatever there is. Some of the killed processes may still be
/// dying.
#[track_caller]
pub fn swept(m: &Machine, uid: u32, what: &str) {
    let end = Instant::now() + SOON;
    loop {
        everyday_life(m, uid);
        let left = private_nets(Path::new(SHM));
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{what}: not swept: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_net_of_another_user_by_our_name_holds_nobody_up() {
    on_a_machine(|m| {
        for victim in [ALICE, ROOT] {
            let planted = dead_net_of(victim);
            mallorys_net(m, &planted);
            // The lock is held by a process that lives for ever.
            Page::of(&state(&planted)).word(LOCK).store(1, SeqCst);
            let before = tree(&planted);
            everyday_life(m, victim);
            assert_untouched(&planted, &before);
        }
    });
}

#[test]
fn a_net_of_another_user_by_our_name_writes_nothing_into_us() {
    on_a_machine(|m| {
        let planted = dead_net_of(ROOT);
        mallorys_net(m, &planted);
        // There are many files, so that time passes between lock and unlock.
        for number in 0..20_000 {
            let name = format!(".a-long-name-that-nobody-minds-{number}");
            make_file(&planted.join(name), MALLORY, 0o600, b"");
        }
        let page = Page::of(&state(&planted));
        let held = std::process::id();
        page.word(LOCK).store(held, SeqCst);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Lets the victim in as soon as it waits, and then puts addresses where the pointers of
            // a list would be.
            scope.spawn(|| {
                let lock = page.word(LOCK);
                while !over.load(SeqCst) && lock.load(SeqCst) & WAITERS == 0 {
                    std::thread::yield_now();
                }
                lock.store(0, SeqCst);
                page.wake(LOCK);
                while !over.load(SeqCst) {
                    for at in [24, 32] {
                        page.word(LOCK + at).store(0, SeqCst);
                        page.word(LOCK + at + 4).store(0xdead, SeqCst);
                    }
                }
            });
            let victim = m.run_anyhow(&mut m.program(ROOT, None, &["open"]));
            over.store(true, SeqCst);
            assert_eq!(harm(&victim), None, "{}", victim.stderr);
            assert_eq!(victim.stdout, "open: ok\n", "{}", victim.stderr);
        });
        everyday_life(m, ROOT);
    });
}

#[test]
fn a_link_by_our_name_leads_nowhere() {
    on_a_machine(|m| {
        let private = Path::new(SHM).join("roots-private");
        make_dir(&private, ROOT, 0o700);
        // The name is longer than those of interfaces, which would keep a net in being.
        make_file(
            &private.join("customer database.sqlite"),
            ROOT,
            0o600,
            b"precious",
        );
        make_file(
            &private.join("irreplaceable-thesis.tex"),
            ROOT,
            0o600,
            b"precious",
        );
        let before = tree(&private);
        symlink(&private, dead_net_of(ROOT)).expect("a link");
        everyday_life(m, ROOT);
        assert_untouched(&private, &before);

        // The link leads first to a net with its lock held; when root waits there, the link is
        // turned round.
        let own = Path::new(SHM).join("mallorys");
        mallorys_net(m, &own);
        let (link, turned) = (dead_net_of(ROOT), Path::new(SHM).join("turned"));
        fs::remove_file(&link).expect("our own link");
        symlink(&own, &link).expect("a link");
        symlink(&private, &turned).expect("a link");
        give(&link, MALLORY);
        let page = Page::of(&state(&own));
        page.word(LOCK).store(std::process::id(), SeqCst);
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let lock = page.word(LOCK);
                while !over.load(SeqCst) && lock.load(SeqCst) & WAITERS == 0 {
                    std::thread::yield_now();
                }
                fs::rename(&turned, &link).expect("a rename in a directory of everybody's");
                lock.store(0, SeqCst);
                page.wake(LOCK);
            });
            let victim = m.run_anyhow(&mut m.program(ROOT, None, &["open"]));
            over.store(true, SeqCst);
            assert_eq!(harm(&victim), None, "{}", victim.stderr);
        });
        assert_untouched(&private, &before);
    });
}

#[test]
fn a_net_that_becomes_a_link_while_we_live_in_it_is_not_removed_through_it() {
    // The directory lets everybody rename what belongs to another user: it is a $TMPDIR that is not
    // sticky.
    on_a_machine(|m| {
        set_mode(Path::new(SHM), 0o755);
        let base = Path::new(SHM).join("everybodys");
        make_dir(&base, ROOT, 0o777);
        let private = m.home(ALICE).join("private");
        make_dir(&private, ALICE, 0o700);
        make_file(
            &private.join("irreplaceable-thesis.tex"),
            ALICE,
            0o600,
            b"precious",
        );
        let before = tree(&private);
        let steps = ["open", "attach=tun0", "persist", "ready", "nap"];
        let script = "echo ready; sleep 0.2";
        let lives = [
            m.program(ALICE, None, &steps),
            m.program(ALICE, None, &["open", "attach=tun0", "ready", "nap"]),
            m.memtun(ALICE, &["run", "--tun", "x0", "--", "sh", "-c", script]),
        ];
        for mut life in lives {
            let running = m.start(life.env("TMPDIR", &base));
            let nets = private_nets(&base);
            assert_eq!(nets.len(), 1, "{nets:?}");
            let net = base.join(&nets[0]);
            fs::rename(&net, base.join("moved")).expect("anybody may");
            symlink(&private, &net).expect("a link");
            assert_eq!(running.ends(), None);
            assert_untouched(&private, &before);
            fs::remove_file(&net).expect("the link stays");
            let _ = fs::remove_dir_all(base.join("moved"));
        }
    });
}

#[test]
fn other_things_by_our_name_hold_nobody_up() {
    on_a_machine(|m| {
        for victim in [ALICE, ROOT] {
            let name = |end: &str| Path::new(SHM).join(format!("memtun-{victim}-{end}"));
            make_fifo(&name("4194000-2"), MALLORY);
            make_file(&name("4194000-3"), MALLORY, 0o666, b"text");
            make_dir(&name("4194000-4"), MALLORY, 0o777);
            make_dir(&name("4194000-5"), MALLORY, 0o000);
            make_dir(&name("4194000-6"), MALLORY, 0o777);
            make_fifo(&name("4194000-6/.memtun-net-state"), MALLORY);
            symlink(name("4194000-8"), name("4194000-7")).expect("a link");
            symlink(name("4194000-7"), name("4194000-8")).expect("a link");
            make_null_device(&name("4194000-9"));
            let places = private_nets(Path::new(SHM));
            let before: Vec<_> = places
                .iter()
                .map(|name| tree(&Path::new(SHM).join(name)))
                .collect();
            everyday_life(m, victim);
            for (name, before) in places.iter().zip(before) {
                assert_untouched(&Path::new(SHM).join(name), &before);
            }
        }
    });
}

#[test]
fn what_a_net_is_called_says_nothing() {
    // A net by a name with a date in it once counted as private, and was emptied.
    on_a_machine(|m| {
        let net = m.home(ALICE).join("memtun-2026-39999-25");
        make_dir(&net, ALICE, 0o700);
        // The last one is named as an interface could be.
        let notes = ["notes about the run.txt", ".gitignore-of-mine-here", "tun0"];
        for count in [2, 3] {
            for name in &notes[..count] {
                make_file(&net.join(name), ALICE, 0o600, b"precious");
            }
            let before: Vec<_> = notes.map(|name| tree(&net.join(name))).into();
            m.run(&mut m.program(ALICE, Some(&net), &["open"]));
            let dir = net.to_str().expect("UTF-8");
            let run = m.run(&mut m.memtun(ALICE, &["run", "--net", dir, "--", "true"]));
            assert!(run.ended.success(), "{}", run.stderr);
            for (name, before) in notes.iter().zip(&before) {
                assert_untouched(&net.join(name), before);
            }
        }

        // The same holds where private nets are: a directory that was not made as one is not
        // removed.
        let net = dead_net_of(ALICE);
        m.run(&mut m.program(ALICE, Some(&net), &["open", "attach=tun1", "persist"]));
        make_file(&net.join("notes.txt"), ALICE, 0o600, b"precious");
        let before = tree(&net.join("notes.txt"));
        everyday_life(m, ALICE);
        assert_untouched(&net.join("notes.txt"), &before);
        let ls = m.run(&mut m.memtun(ALICE, &["ls", "--net", net.to_str().expect("UTF-8")]));
        assert!(ls.stdout.contains("tun1"), "{}{}", ls.stdout, ls.stderr);
    });
}

#[test]
fn a_users_own_files_survive_the_removal_of_a_net() {
    on_a_machine(|m| {
        let only_notes = |net: &Path, said: &str, before: &[String]| {
            assert_untouched(&net.join("notes.txt"), before);
            assert_eq!(names(net), ["notes.txt"], "memtun's own files go");
            assert!(
                said.contains("notes.txt"),
                "the sentence names one of them: {said:?}"
            );
        };
        // A driver removes a net that has a file of each kind in it.
        let net = m.home(ALICE).join("net");
        m.run(&mut m.program(ALICE, Some(&net), &["open", "attach=tun0", "persist"]));
        make_file(&net.join("notes.txt"), ALICE, 0o600, b"precious");
        let before = tree(&net.join("notes.txt"));
        let removed = m.run(&mut m.driver(ALICE, &net, None, &["remove"]));
        only_notes(&net, &removed.stdout, &before);
        assert!(
            removed.stdout.contains("\nremove: 39 "),
            "ENOTEMPTY: {}",
            removed.stdout
        );

        // `memtun run` removes the net that it made.
        let script = "echo precious > $MEMTUN_NET/notes.txt; echo $MEMTUN_NET";
        let run = m.run(&mut m.memtun(ALICE, &["run", "--tun", "tun0", "--", "sh", "-c", script]));
        assert_eq!(run.ended.code(), Some(0), "the program's own status");
        let net = Path::new(run.stdout.trim());
        let before = tree(&net.join("notes.txt"));
        only_notes(net, &run.stderr, &before);

        // The next program removes a net whose maker was killed.
        let script = "echo precious > $MEMTUN_NET/notes.txt; echo $MEMTUN_NET; kill -9 $PPID";
        let run =
            m.run_anyhow(&mut m.memtun(ALICE, &["run", "--tun", "tun0", "--", "sh", "-c", script]));
        let net = Path::new(run.stdout.trim());
        let before = tree(&net.join("notes.txt"));
        let end = Instant::now() + SOON;
        while names(net).len() > 1 && Instant::now() < end {
            everyday_life(m, ALICE);
        }
        only_notes(net, "notes.txt", &before);
    });
}
