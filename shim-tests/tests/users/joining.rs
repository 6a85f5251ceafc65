//! A net is joined only if its directory is a real one, the caller's own and closed to others. A
//! net that is refused is left alone, and the sentence is the same in every language.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use shim_tests::users::*;

const NOT_YOURS: i32 = libc::EPERM;
const NO_DIRECTORY: i32 = libc::ENOTDIR;

/// Asserts that a user is refused in every way, with this errno and one sentence that has these
/// words, and that everything stays as it was in the places where harm could be done.
#[track_caller]
fn refused(
    m: &Machine,
    (uid, dir, owner): (u32, &Path, Option<u32>),
    errno: i32,
    words: &[&str],
    places: &[&Path],
) {
    // Some ways make a path plainer before they look at it.
    let shown = dir.to_str().expect("UTF-8");
    let plain = shown.trim_end_matches(['/', '.']);
    let before: Vec<_> = places.iter().map(|place| tree(place)).collect();
    let mut sentences: Vec<(Way, String)> = Vec::new();
    let mut wrong = Vec::new();
    for way in Way::ALL {
        match m.join(way, uid, dir, owner) {
            Err(harm) => wrong.push(harm),
            Ok(Ok(())) => wrong.push(format!("{way:?}: joined")),
            Ok(Err(refusal)) => {
                if refusal.errno.is_some_and(|given| given != errno) {
                    wrong.push(format!(
                        "{way:?}: errno {:?}: {}",
                        refusal.errno, refusal.sentence
                    ));
                }
                sentences.push((
                    way,
                    refusal
                        .sentence
                        .replace(shown, plain)
                        .replace(&format!("{plain}/:"), &format!("{plain}:")),
                ));
            }
        }
    }
    for (way, sentence) in &sentences {
        for word in [plain, "; "].iter().chain(words) {
            if !sentence.contains(word) {
                wrong.push(format!("{way:?}: {word:?} is not in {sentence:?}"));
            }
        }
        if *sentence != sentences[0].1 {
            wrong.push(format!(
                "{way:?} says {sentence:?}, {:?} says {:?}",
                sentences[0].0, sentences[0].1
            ));
        }
    }
    for (place, before) in places.iter().zip(before) {
        wrong.extend(touched(place, &before));
    }
    let wrong = wrong.join("\n");
    assert!(
        wrong.is_empty(),
        "user {uid} joins {} (owner {owner:?}):\n{wrong}",
        dir.display()
    );
}

/// Asserts that a user may join in every way.
#[track_caller]
fn welcome(m: &Machine, uid: u32, dir: &Path, owner: Option<u32>) {
    for way in Way::ALL {
        let joined = m.join(way, uid, dir, owner);
        assert_eq!(joined, Ok(Ok(())), "user {uid} joins {dir:?} by {way:?}");
    }
}

/// A net in a user's home, made as people make one.
fn net_of(m: &Machine, uid: u32) -> PathBuf {
    let net = m.home(uid).join("net");
    m.run(&mut m.program(uid, Some(&net), &["open", "attach=tun0"]));
    assert!(net.is_dir());
    net
}

#[test]
fn ones_own_net_is_joined() {
    on_a_machine(|m| {
        let net = net_of(m, ALICE);
        welcome(m, ALICE, &net, None);
        welcome(m, ALICE, &net, Some(ALICE));
        // The net is still joined when others may look into it.
        set_mode(&net, 0o755);
        welcome(m, ALICE, &net, None);
        // It is up to its owner whether the directory above is reached by a link.
        symlink(m.home(ALICE), m.home(ALICE).join("alias")).expect("a link");
        welcome(m, ALICE, &m.home(ALICE).join("alias/net"), None);
        let new = m.home(ALICE).join("new");
        fs::create_dir(&new).expect("a directory");
        give(&new, ALICE);
        set_mode(&new, 0o700);
        welcome(m, ALICE, &new, None);
    });
}

#[test]
fn a_net_that_another_user_made_before_is_refused() {
    // The README's own example is /dev/shm/mynet, and whoever comes first has it.
    on_a_machine(|m| {
        let net = Path::new(SHM).join("mynet");
        m.run(&mut m.program(MALLORY, Some(&net), &["open"]));
        let all = [net.as_path()];
        refused(m, (ALICE, &net, None), NOT_YOURS, &["65534"], &all);
        set_mode(&net, 0o777);
        for name in names(&net) {
            set_mode(&net.join(name), 0o666);
        }
        refused(m, (ALICE, &net, None), NOT_YOURS, &["65534"], &all);
        // Only root may say whose net it means.
        refused(m, (ALICE, &net, Some(MALLORY)), NOT_YOURS, &[], &all);
        refused(m, (ALICE, &net, Some(ALICE)), NOT_YOURS, &["65534"], &all);
        for name in names(&net) {
            fs::remove_file(net.join(name)).expect("a net has files only");
        }
        refused(m, (ALICE, &net, None), NOT_YOURS, &["65534"], &all);
        let roots = Path::new(SHM).join("roots");
        make_dir(&roots, ROOT, 0o777);
        refused(m, (ALICE, &roots, None), NOT_YOURS, &["user 0"], &[&roots]);
    });
}

#[test]
fn a_net_that_others_may_write_to_is_refused() {
    on_a_machine(|m| {
        let net = net_of(m, ALICE);
        for mode in [0o770, 0o702, 0o777, 0o1777, 0o720] {
            set_mode(&net, mode);
            refused(m, (ALICE, &net, None), NOT_YOURS, &["chmod"], &[&net]);
            refused(
                m,
                (ALICE, &net, Some(ALICE)),
                NOT_YOURS,
                &["chmod"],
                &[&net],
            );
            refused(m, (ROOT, &net, Some(ALICE)), NOT_YOURS, &["chmod"], &[&net]);
        }
    });
}

#[test]
fn what_is_no_directory_is_refused_and_no_link_is_followed() {
    on_a_machine(|m| {
        let net = net_of(m, ALICE);
        let home = m.home(ALICE);
        let private = Path::new(SHM).join("roots-private");
        make_dir(&private, ROOT, 0o700);
        make_file(&private.join("thesis.tex"), ROOT, 0o600, b"precious");
        let links = [
            ("own", net.clone()),
            ("roots", private.clone()),
            ("nowhere", home.join("to-be-made")),
        ];
        for (name, target) in links {
            let link = home.join(name);
            symlink(&target, &link).expect("a link");
            for end in ["", "/", "//", "/."] {
                let dir = PathBuf::from(format!("{}{end}", link.display()));
                let places: [&Path; 2] = [&home, &private];
                for uid in [ALICE, ROOT] {
                    let owner = (uid == ROOT).then_some(ALICE);
                    refused(m, (uid, &dir, owner), NO_DIRECTORY, &[], &places);
                }
            }
        }
        make_file(&home.join("file"), ALICE, 0o600, b"text");
        make_fifo(&home.join("fifo"), ALICE);
        make_null_device(&home.join("device"));
        for name in ["file", "fifo", "device"] {
            let dir = home.join(name);
            refused(m, (ALICE, &dir, None), NO_DIRECTORY, &[], &[&home]);
        }
    });
}

#[test]
fn root_joins_a_users_net_only_when_it_says_whose() {
    on_a_machine(|m| {
        let net = net_of(m, MALLORY);
        let all = [net.as_path()];
        let told = ["65534", "MEMTUN_NET_OWNER"];
        refused(m, (ROOT, &net, None), NOT_YOURS, &told, &all);
        refused(m, (ROOT, &net, Some(ALICE)), NOT_YOURS, &["65534"], &all);
        refused(m, (ROOT, &net, Some(ROOT)), NOT_YOURS, &["65534"], &all);
        welcome(m, ROOT, &net, Some(MALLORY));
        let roots = Path::new(SHM).join("roots");
        make_dir(&roots, ROOT, 0o700);
        welcome(m, ROOT, &roots, None);
        welcome(m, ROOT, &roots, Some(ROOT));
        refused(
            m,
            (ROOT, &roots, Some(MALLORY)),
            NOT_YOURS,
            &["user 0"],
            &[&roots],
        );
        // In all these ways a missing net of a user's is made for that user.
        for way in Way::ALL {
            let new = m.home(MALLORY).join("new");
            let joined = m.join(way, ROOT, &new, Some(MALLORY)).expect("no harm");
            let made = tree(&new).iter().all(|line| line.contains(" 65534:65534 "));
            assert!(joined.is_err() || made, "{way:?}: {:#?}", tree(&new));
            let _ = fs::remove_dir_all(&new);
        }
    });
}

#[test]
fn who_the_owner_is_can_be_said_by_name_and_is_told_to_programs() {
    on_a_machine(|m| {
        let net = net_of(m, MALLORY);
        let dir = net.to_str().expect("UTF-8");
        let ls = m.run(&mut m.memtun(ROOT, &["ls", "--net", dir, "--owner", "nobody"]));
        assert!(ls.ended.success(), "{}", ls.stderr);
        let program = m.stage().join("program");
        let shown = program.to_str().expect("UTF-8");
        let run = ["run", "--net", dir, "--owner", "nobody", "--", shown];
        // The same holds for a program that is started with an empty environment.
        let run = m.run(&mut m.memtun(ROOT, &[&run[..], &["open", "attach=tun0", "env"]].concat()));
        assert_eq!(
            run.stdout, "open: ok\nattach: ok\nenv: ok\n",
            "{}",
            run.stderr
        );
        // The shim takes numbers, and a value that it cannot understand must not count as none.
        for bad in [
            "nobody",
            "-1",
            "4294967295",
            "65534x",
            "99999999999999999999",
        ] {
            let mut program = m.program(ROOT, Some(&net), &["open"]);
            let refused = m.run(program.env("MEMTUN_NET_OWNER", bad));
            assert!(
                refused.stdout.starts_with("open: 1"),
                "{bad}: {}",
                refused.stdout
            );
            assert!(
                refused.stderr.contains("MEMTUN_NET_OWNER"),
                "{bad}: {}",
                refused.stderr
            );
        }
        // An empty value counts as none.
        let mut program = m.program(MALLORY, Some(&net), &["open"]);
        let joined = m.run(program.env("MEMTUN_NET_OWNER", ""));
        assert_eq!(joined.stdout, "open: ok\n", "{}", joined.stderr);
    });
}

#[test]
fn the_variable_is_about_the_process_s_own_net_only() {
    on_a_machine(|m| {
        let net = net_of(m, MALLORY);
        let under = |dir: &Path, owner: Option<u32>| {
            let mut driver = m.driver(ROOT, dir, owner, &["join"]);
            driver
                .env("LD_PRELOAD", m.stage().join("libmemtun.so"))
                .env("MEMTUN_NET", &net)
                .env("MEMTUN_NET_OWNER", MALLORY.to_string());
            m.run(&mut driver).stdout
        };
        assert_eq!(under(Path::new("-"), None), "join: ok\n");
        assert_eq!(under(&net, Some(MALLORY)), "join: ok\n");
        let by_name = under(&net, None);
        assert!(by_name.starts_with("join: 1 net "), "{by_name}");
        let nowhere = under(Path::new("-"), Some(MALLORY));
        assert!(nowhere.starts_with("join: 22 "), "{nowhere}");
    });
}
